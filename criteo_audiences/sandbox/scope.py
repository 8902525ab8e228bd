"""What one call can reach: what its service holds, of one owner only where the path names it."""

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, Generic

import attrs
from aiohttp import web

from criteo_audiences.sandbox.entities import AudienceEntity, E, EntityStore, SegmentEntity
from criteo_audiences.sandbox.problems import ProblemError, Violation
from criteo_audiences.sandbox.services import Service
from criteo_audiences.sandbox.state import STATE, ServerState


@attrs.frozen
class Call:
    """Which endpoint of which service a request is for."""

    service: Service
    endpoint: str


CALL = web.RequestKey("call", Call)


@attrs.frozen
class Reach(Generic[E]):
    """The part of a store that a call is about."""

    store: EntityStore[E]
    service: Service
    owner_id: str | None = None

    def find(self, entity_id: str) -> E | None:
        """Returns the entity, unless it lies outside: one of another owner than the path's is as good as none."""
        entity = self.store.find(entity_id, service=self.service)
        return entity if entity is not None and self.owner_id in {None, entity.owner_id} else None

    def __getitem__(self, entity_id: str) -> E:
        """Returns an entity that the application may use.

        Raises:
            ProblemError: 404 or 403.
        """
        entity, word = self.find(entity_id), self.store.word
        if entity is None:
            raise ProblemError(HTTPStatus.NOT_FOUND, f"There is no such {word}.", code=f"{word}-not-found")
        if entity.denied:
            raise ProblemError(HTTPStatus.FORBIDDEN, f"The application has no access to the owner of this {word}.")
        return entity

    def __iter__(self) -> Iterator[E]:
        """Yields every entity that the application may see, in the order of their creation."""
        return (each for each in self.store if self.find(each.id) is not None and not each.denied)

    def violation(self, entity_id: object) -> Violation | None:
        """Returns why an item of a bulk call cannot mean an entity of that id, if it cannot."""
        if not isinstance(entity_id, str):
            return Violation("required-field" if entity_id is None else "invalid", "id must be a string.")
        try:
            self[entity_id]
        except ProblemError as error:
            return error.violation
        return None


@attrs.frozen
class Scope:
    """What a call is about, at the moment of the call."""

    service: Service
    segments: Reach[SegmentEntity]
    audiences: Reach[AudienceEntity]
    now: float
    match_rate: float
    owner_id: str | None = None

    def owner_of(self, attributes: Mapping[str, Any]) -> Any:
        """Returns the id of the owner: the path's, or else the one that the attributes name."""
        return attributes.get(self.service.owner) if self.owner_id is None else self.owner_id

    def reference_violation(self, segment_id: object, owner_id: object) -> Violation | None:
        """Returns why something of an owner cannot be made of a segment, if it cannot."""
        wrong = self.segments.violation(segment_id)
        if wrong or self.segments[str(segment_id)].owner_id == owner_id:
            return wrong
        return Violation("segment-must-have-valid-segment-id", "The segment belongs to another owner.")


def scope_of(state: ServerState, service: Service, owner_id: str | None) -> Scope:
    """Returns what can be reached of a service."""
    return Scope(
        service,
        Reach(state.segments, service, owner_id),
        Reach(state.audiences, service, owner_id),
        state.clock(),
        state.match_rate,
        owner_id,
    )


def scope(request: web.Request) -> Scope:
    """Returns what a request can reach."""
    return scope_of(request.app[STATE], request[CALL].service, request.match_info.get("owner_id"))
