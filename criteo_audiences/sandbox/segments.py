"""The segments of all services: one sequence of numbers, names unique per owner."""

import itertools
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import attrs

from criteo_audiences.sandbox.contact_list import ContactList
from criteo_audiences.sandbox.services import Service

_FIRST_NUMBER = 300_001


def timestamp(epoch_seconds: float) -> str:
    """Returns a moment in the spelling of Criteo's samples: ``2024-01-15T12:23:18.180Z``."""
    moment = datetime.fromtimestamp(epoch_seconds, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@attrs.define(kw_only=True)
class Segment:
    """A segment of one service. ``owner_id`` is what that service calls advertiser, account or data provider."""

    id: str
    service: Service
    owner_id: str
    name: str
    settings_name: str
    created_at: str
    updated_at: str
    description: str | None = None
    attributes: Mapping[str, Any] = attrs.field(factory=dict)
    """Attributes that only this service has."""
    settings: Mapping[str, Any] = attrs.field(factory=dict)
    contact_list: ContactList | None = None
    denied: bool = False
    in_audience: bool = False

    @property
    def type(self) -> str:
        """The word for its kind."""
        return self.service.kinds[self.settings_name].type

    def document(self) -> dict[str, Any]:
        """Returns the attributes of the entity that OpenAPI calls ``…AudienceSegmentEntityV1``."""
        return {
            self.service.owner: self.owner_id,
            "name": self.name,
            "description": self.description,
            "type": self.type,
            "createdAt": self.created_at,
            "updatedAt": self.updated_at,
            **self.service.constants,
            **self.attributes,
            self.settings_name: self.settings,
        }


class SegmentStore:
    """Every segment there is."""

    def __init__(self) -> None:
        self._numbers = itertools.count(_FIRST_NUMBER)
        self._segments: dict[str, Segment] = {}
        self._names: set[tuple[str, str, str]] = set()

    def has_name(self, service: Service, owner_id: str, name: str) -> bool:
        """Returns whether the owner has a segment of that name already."""
        return (service.name, owner_id, name) in self._names

    def add(self, *, name: str | None = None, service: Service, owner_id: str, **fields: Any) -> Segment:
        """Keep a new segment and give it an id.

        Raises:
            ValueError: The owner has a segment of that name.
        """
        segment_id = str(service.id_offset + next(self._numbers))
        name = f"segment {segment_id}" if name is None else name
        if self.has_name(service, owner_id, name):
            raise ValueError("the owner has a segment of that name already")
        segment = Segment(id=segment_id, service=service, owner_id=owner_id, name=name, **fields)
        self._names.add((service.name, owner_id, name))
        self._segments[segment_id] = segment
        return segment

    def rename(self, segment: Segment, name: str) -> None:
        """Give a segment another name, which frees its old one."""
        self._names.discard((segment.service.name, segment.owner_id, segment.name))
        self._names.add((segment.service.name, segment.owner_id, name))
        segment.name = name

    def remove(self, segment: Segment) -> None:
        """Forget a segment and its name."""
        self._names.discard((segment.service.name, segment.owner_id, segment.name))
        del self._segments[segment.id]

    def find(self, segment_id: str, *, service: Service) -> Segment | None:
        """Returns the segment, unless it belongs to another service or to none."""
        segment = self._segments.get(segment_id)
        return segment if segment is not None and segment.service.name == service.name else None

    def __iter__(self) -> Iterator[Segment]:
        return iter(self._segments.values())

    def __getitem__(self, segment_id: str) -> Segment:
        try:
            return self._segments[segment_id]
        except KeyError:
            raise LookupError(f"the sandbox has no segment {segment_id!r}") from None
