"""Hold the server's state, give each call the part that it can reach, and carry out bulk calls item by item."""

import itertools
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, Generic

import attrs
from aiohttp import web

from criteo_audiences.sandbox import entities
from criteo_audiences.sandbox.admission import CallQuota, Consents, TokenIssuer
from criteo_audiences.sandbox.dialects import Dialect
from criteo_audiences.sandbox.entities import AudienceEntity, E, Entity, EntityStore, SegmentEntity
from criteo_audiences.sandbox.faults import CallLog, FaultQueue
from criteo_audiences.sandbox.problems import ProblemError, Violation, invalid, problem
from criteo_audiences.sandbox.services import Service, Versions
from criteo_audiences.sandbox.wire import json_response, read_json

# A refused body is read up to the size of four bodies of the maximum size.
_DISCARDED_BODIES = 4


@attrs.frozen
class Target:
    """The audiences of a line item."""

    scope: str = "include"
    audience_ids: list[str] = attrs.field(factory=list)


@attrs.define(kw_only=True)
class ServerState:
    """The state that all handlers share. Times are epoch seconds of ``clock``, durations are seconds."""

    tokens: TokenIssuer
    consents: Consents
    quota: CallQuota | None
    consented_quota: CallQuota | None
    latency: float
    max_identifiers: int
    max_body_bytes: int
    match_rate: float
    clock: Callable[[], float]
    dialect: Dialect
    versions: Versions = attrs.field(factory=Versions)
    turns: Iterator[int] = attrs.field(factory=itertools.count)
    """Numbers the answers, so that a dialect can alternate between several ways of saying a thing."""
    faults: FaultQueue = attrs.field(factory=FaultQueue)
    recording: CallLog = attrs.field(factory=CallLog)
    segments: EntityStore[SegmentEntity] = attrs.field(factory=entities.segment_store)
    audiences: EntityStore[AudienceEntity] = attrs.field(factory=entities.audience_store)
    line_items: dict[str, Target] = attrs.field(factory=dict)

    def quota_of(self, authorization: str | None) -> CallQuota | None:
        """Returns the quota that a call uses: the application's, or that of the users who have consented."""
        return self.consented_quota if self.tokens.is_consented(authorization) else self.quota

    @property
    def max_discarded_bytes(self) -> int:
        """How many bytes of a refused body are read before the answer."""
        return _DISCARDED_BODIES * self.max_body_bytes


STATE = web.AppKey("state", ServerState)


@attrs.frozen
class RoutedCall:
    """Which endpoint of which service a request is for."""

    service: Service
    endpoint: str


CALL = web.RequestKey("call", RoutedCall)


@attrs.frozen
class Reach(Generic[E]):
    """The entities in a store that a call can reach."""

    store: EntityStore[E]
    service: Service
    owner_id: str | None = None

    def find(self, entity_id: str) -> E | None:
        """Returns the entity; `None` when it belongs to another service, or to another owner than the path names."""
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
        return (each for each in self.store if self.find(each.id) is each and not each.denied)

    def violation(self, entity_id: object) -> Violation | None:
        """Returns why an item of a bulk call cannot use an entity of that id, ``None`` when it can."""
        if not isinstance(entity_id, str):
            return Violation("required-field" if entity_id is None else "invalid", "id must be a string.")
        try:
            self[entity_id]
        except ProblemError as error:
            return error.violation
        return None


@attrs.frozen
class CallScope:
    """The entities that a call can reach, and the time of the call."""

    service: Service
    segments: Reach[SegmentEntity]
    audiences: Reach[AudienceEntity]
    now: float
    match_rate: float
    owner_id: str | None = None

    def owner_of(self, attributes: Mapping[str, Any]) -> Any:
        """Returns the id of the owner: from the path, or else from the attributes."""
        return attributes.get(self.service.owner) if self.owner_id is None else self.owner_id

    def reference_violation(self, segment_id: object, owner_id: object) -> Violation | None:
        """Returns why an owner cannot use a segment in an audience or another segment, ``None`` when it can."""
        wrong = self.segments.violation(segment_id)
        if wrong or self.segments[str(segment_id)].owner_id == owner_id:
            return wrong
        return Violation("segment-must-have-valid-segment-id", "The segment belongs to another owner.")


def scope_of(state: ServerState, service: Service, owner_id: str | None) -> CallScope:
    """Returns what calls can reach in a service."""
    return CallScope(
        service,
        Reach(state.segments, service, owner_id),
        Reach(state.audiences, service, owner_id),
        state.clock(),
        state.match_rate,
        owner_id,
    )


def scope(request: web.Request) -> CallScope:
    """Returns what a request can reach."""
    return scope_of(request.app[STATE], request[CALL].service, request.match_info.get("owner_id"))


@attrs.frozen
class Item:
    """An entity in a request, before anything but its outer shape is checked."""

    id: Any
    attributes: Mapping[str, Any]


@attrs.frozen
class Action:
    """What a bulk call does with each item."""

    violations: Callable[[Item, CallScope], Iterator[Violation]]
    """Yields everything that keeps an item from being carried out."""
    carry_out: Callable[[Item, CallScope], dict[str, Any]]
    """Carries out an item without violations, and returns its part of the answer."""


def items(document: Mapping[str, Any]) -> list[Item]:
    """Returns the items of a body.

    Raises:
        ProblemError: 400, when the body does not have OpenAPI's shape, so that it has no items to judge.
    """
    data = document.get("data")
    if not isinstance(data, list) or not all(isinstance(item, dict) for item in data):
        raise invalid("data must be a list of objects.", code="invalid" if "data" in document else "required-field")
    if not all(isinstance(item.get("attributes", {}), dict) for item in data):
        raise invalid("attributes must be an object.")
    return [Item(item.get("id"), item.get("attributes", {})) for item in data]


def full_entity(entity: Entity) -> dict[str, Any]:
    """Returns the ``…EntityV1Resource`` of OpenAPI."""
    return {**id_entity(entity), "attributes": entity.document()}


def id_entity(entity: Entity) -> dict[str, Any]:
    """Returns the ``…IdEntityV1Resource`` of OpenAPI."""
    return {"id": entity.id, "type": entity.entity_type}


Endpoint = Callable[[web.Request], Awaitable[web.Response]]

Route = tuple[str, str, str, Endpoint]
"""Name, method, path after the API version, and the endpoint."""


def routes(service: Service, rows: Iterable[Route], versions: str) -> list[web.RouteDef]:
    """Returns the routes of a service under the versions that a regular expression matches."""
    prefix = f"/{{version:{versions}}}"
    return [
        web.route(method, prefix + path, _named(endpoint, RoutedCall(service, name)))
        for name, method, path, endpoint in rows
    ]


def _named(endpoint: Endpoint, call: RoutedCall) -> Endpoint:
    async def handle(request: web.Request) -> web.Response:
        request[CALL] = call
        return await endpoint(request)

    return handle


def bulk(action: Action, items_of: Callable[[dict[str, Any]], list[Item]] = items) -> Endpoint:
    """Returns an endpoint that carries out every item without violations, and answers 200 even if items fail."""

    async def handle(request: web.Request) -> web.Response:
        reach = scope(request)
        done, errors = [], []
        for index, item in enumerate(items_of(await document(request))):
            violations = list(action.violations(item, reach))
            errors += [problem(request, each, instance=f"@data/{index}") for each in violations]
            if not violations:
                done.append(action.carry_out(item, reach))
        return answer(done, errors=errors)

    return handle


def answer(data: object, *, errors: list[dict[str, str]] | None = None, **members: object) -> web.Response:
    """Returns a result in its envelope."""
    return json_response({"data": data, "errors": errors or [], "warnings": [], **members})


async def document(request: web.Request) -> dict[str, Any]:
    """Returns the body of a request in the words of OpenAPI."""
    state, call = request.app[STATE], request[CALL]
    body = await read_json(request, max_bytes=state.max_body_bytes)
    return state.dialect.understood(body, call.service, call.endpoint)
