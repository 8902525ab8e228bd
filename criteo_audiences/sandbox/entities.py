"""Store segments and audiences: each store numbers its entities in one sequence, and names are unique per owner."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

import attrs

from criteo_audiences.sandbox.algebra import segment_ids
from criteo_audiences.sandbox.contact_list import ContactList
from criteo_audiences.sandbox.services import SERVICES, AudienceTraits, Service

_FIRST_SEGMENT = 300_001
_FIRST_AUDIENCE = 700_001


def timestamp(epoch_seconds: float) -> str:
    """Returns a time in the format of Criteo's samples: ``2024-01-15T12:23:18.180Z``."""
    moment = datetime.fromtimestamp(epoch_seconds, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@attrs.define(kw_only=True)
class Entity:
    """A segment or an audience of one service. ``owner_id`` names an advertiser, an account or a data provider."""

    id: str
    service: Service
    owner_id: str
    name: str
    created_at: str
    updated_at: str
    description: str | None = None
    attributes: Mapping[str, Any] = attrs.field(factory=dict)
    """Attributes that only this service has."""
    denied: bool = False

    @property
    def entity_type(self) -> str:
        """The type by which its service names such an entity."""
        raise NotImplementedError

    def document(self) -> dict[str, Any]:
        """Returns its attributes as OpenAPI defines them."""
        raise NotImplementedError

    def searchable(self) -> dict[str, Any]:
        """Returns what the filters of a search look at."""
        return {"id": self.id, **self.document()}

    def common(self) -> dict[str, Any]:
        """Returns the attributes that a segment and an audience both have."""
        return {
            self.service.owner: self.owner_id,
            "name": self.name,
            "description": self.description,
            "createdAt": self.created_at,
            "updatedAt": self.updated_at,
            **self.service.constants,
            **self.attributes,
        }


E = TypeVar("E", bound=Entity)


class EntityStore(Generic[E]):
    """Stores all entities of a class.

    Args:
        make: Makes an entity from its fields.
        word: What such an entity is called in messages.
        first_number: The first number for an id.
    """

    def __init__(self, make: Callable[..., E], word: str, first_number: int) -> None:
        self.word = word
        self._make = make
        self._numbers = itertools.count(first_number)
        self._entities: dict[tuple[str, str], E] = {}
        self._names: set[tuple[str, str, str]] = set()

    def has_name(self, service: Service, owner_id: str, name: str) -> bool:
        """Returns whether the owner already has an entity of that name."""
        return (service.name, owner_id, name) in self._names

    def add(
        self, *, entity_id: str | None = None, name: str | None = None, service: Service, owner_id: str, **fields: Any
    ) -> E:
        """Store a new entity, with a new id unless one is given.

        Raises:
            ValueError: The service already has that id, or the owner already has that name.
        """
        entity_id = self._next_id(service) if entity_id is None else entity_id
        if self.find(entity_id, service=service) is not None:
            raise ValueError(f"the service has a {self.word} of that id already")
        name = f"{self.word} {entity_id}" if name is None else name
        if self.has_name(service, owner_id, name):
            raise ValueError(f"the owner has a {self.word} of that name already")
        entity = self._make(id=entity_id, service=service, owner_id=owner_id, name=name, **fields)
        self._names.add((service.name, owner_id, name))
        self._entities[service.name, entity_id] = entity
        return entity

    def _next_id(self, service: Service) -> str:
        numbers = (str(service.id_offset + number) for number in self._numbers)
        return next(each for each in numbers if self.find(each, service=service) is None)

    def rename(self, entity: E, name: str) -> None:
        """Rename an entity; its old name becomes free."""
        self._names.discard((entity.service.name, entity.owner_id, entity.name))
        self._names.add((entity.service.name, entity.owner_id, name))
        entity.name = name

    def remove(self, entity: E) -> None:
        """Delete an entity and free its name."""
        self._names.discard((entity.service.name, entity.owner_id, entity.name))
        del self._entities[entity.service.name, entity.id]

    def find(self, entity_id: str, *, service: Service) -> E | None:
        """Returns the entity of a service, ``None`` when the service has no such id."""
        return self._entities.get((service.name, entity_id))

    def __iter__(self) -> Iterator[E]:
        return iter(self._entities.values())

    def __getitem__(self, entity_id: str) -> E:
        """Returns the entity of that id, of whichever service.

        Raises:
            LookupError: No service has that id, or several have it.
        """
        found = [each for service in SERVICES.values() if (each := self.find(entity_id, service=service)) is not None]
        if not found:
            raise LookupError(f"the sandbox has no {self.word} {entity_id!r}")
        if len(found) > 1:
            raise LookupError(f"several services have a {self.word} {entity_id!r}")
        return found[0]


@attrs.define(kw_only=True)
class SegmentEntity(Entity):
    """A segment of one kind."""

    settings_name: str
    settings: Mapping[str, Any] = attrs.field(factory=dict)
    contact_list: ContactList | None = None
    in_audience: bool = False
    """Whether the server treats it as used in an audience, though it stores no such audience."""

    @property
    def type(self) -> str:
        """Its kind, in the service's words."""
        return self.service.kinds[self.settings_name].type

    @property
    def entity_type(self) -> str:
        """The type by which its service names segments."""
        return self.service.entity_type

    def document(self) -> dict[str, Any]:
        """Returns the attributes of the entity that OpenAPI calls ``…AudienceSegmentEntityV1``."""
        return {**self.common(), "type": self.type, self.settings_name: self.settings}


def segment_store() -> EntityStore[SegmentEntity]:
    """Returns an empty store of segments."""
    return EntityStore(SegmentEntity, "segment", _FIRST_SEGMENT)


@attrs.define(kw_only=True)
class AudienceEntity(Entity):
    """An audience: an algebra of segments."""

    algebra: dict[str, Any]
    ad_set_ids: list[str] = attrs.field(factory=list)

    @property
    def traits(self) -> AudienceTraits:
        """How its service handles audiences."""
        return self.service.with_audiences

    @property
    def entity_type(self) -> str:
        """The type by which its service names audiences."""
        return self.traits.entity_type

    def uses(self, segment_id: str) -> bool:
        """Returns whether the segment is in the algebra."""
        return segment_id in segment_ids(self.algebra)

    def document(self) -> dict[str, Any]:
        """Returns the attributes of the entity that OpenAPI calls ``…AudienceEntityV1``."""
        ad_sets = {"adSetIds": list(self.ad_set_ids)} if self.traits.on_ad_sets else {}
        return {**self.common(), **ad_sets, "algebra": self.algebra}

    def searchable(self) -> dict[str, Any]:
        """Returns what the filters of a search look at."""
        return {**super().searchable(), "segmentIds": segment_ids(self.algebra)}


def audience_store() -> EntityStore[AudienceEntity]:
    """Returns an empty store of audiences."""
    return EntityStore(AudienceEntity, "audience", _FIRST_AUDIENCE)
