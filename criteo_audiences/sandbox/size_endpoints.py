"""Compute the sizes of segments and audiences that exist, and estimate those of definitions."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from aiohttp import web

from criteo_audiences.sandbox import algebra, calls, kinds
from criteo_audiences.sandbox.audience_endpoints import algebra_violations
from criteo_audiences.sandbox.calls import (
    Action,
    CallScope,
    Item,
    Reach,
    answer,
    bulk,
    document,
    id_entity,
    items,
    scope,
)
from criteo_audiences.sandbox.entities import AudienceEntity, E, SegmentEntity
from criteo_audiences.sandbox.kinds import Kind
from criteo_audiences.sandbox.problems import ProblemError, Violation, invalid
from criteo_audiences.sandbox.schema import (
    attributes_of,
    is_list_of,
    is_one_of,
    is_text,
    refuse,
    required_object,
    required_value,
)
from criteo_audiences.sandbox.services import Service


def routes(service: Service) -> list[web.RouteDef]:
    """Returns the routes of a service for the sizes of its segments and audiences."""
    traits = service.with_audiences
    audiences, segments = f"/{service.name}/{traits.path}", f"/{service.name}/{service.segments}"
    items_of = partial(named_items, service=service) if traits.channels else items
    rows: list[calls.Route] = [
        ("audiences.sizes", "POST", f"{audiences}/compute-sizes", bulk(COMPUTE_AUDIENCES, items_of)),
        ("audiences.estimate", "POST", f"{audiences}/estimate-size", estimate_audience),
        ("sizes", "POST", f"{segments}/compute-sizes", bulk(COMPUTE_SEGMENTS, items_of)),
        ("estimate", "POST", f"{segments}/estimate-size", estimate_segment),
    ]
    return calls.routes(service, rows, traits.versions)


def named_items(body: Mapping[str, Any], service: Service) -> list[Item]:
    """Returns the items of the one object in which Retail Media names a channel and ids.

    Raises:
        ProblemError: 400, when the body has not the shape of OpenAPI.
    """
    attributes = attributes_of(body)
    _check_channel(attributes, service)
    return [Item(each, {}) for each in required_value(attributes, "ids", is_list_of(is_text))]


async def estimate_segment(request: web.Request) -> web.Response:
    """Answers how many users a definition would come to."""
    service = scope(request).service
    attributes = _definition(await document(request), service)
    kind, settings = _settings(attributes, service)
    refuse(next(kind.violations(settings), None))
    return _estimated(service.entity_type, _size(kind, kind.kept(settings)), service)


async def estimate_audience(request: web.Request) -> web.Response:
    """Answers how many users an algebra would come to."""
    reach = scope(request)
    attributes = _definition(await document(request), reach.service)
    definition = required_object(attributes, "algebra")
    refuse(next(algebra_violations(definition, reach.owner_of(attributes), reach), None))
    return _estimated(reach.service.with_audiences.entity_type, _algebra_size(definition, reach), reach.service)


def _computing(reach_of: Callable[[CallScope], Reach[E]], size_of: Callable[[E, CallScope], int]) -> Action:
    def violations(item: Item, scope: CallScope) -> Iterator[Violation]:
        if unreachable := reach_of(scope).violation(item.id):
            yield unreachable
            return
        try:
            size_of(reach_of(scope)[item.id], scope)
        except ProblemError as error:
            yield error.violation

    def carry_out(item: Item, scope: CallScope) -> dict[str, Any]:
        entity = reach_of(scope)[item.id]
        return {**id_entity(entity), "attributes": _attributes(size_of(entity, scope), scope.service)}

    return Action(violations, carry_out)


def _segment_size(segment: SegmentEntity, scope: CallScope) -> int:
    """Returns the users of a segment.

    Raises:
        ProblemError: 400, with the code of Criteo's guide.
    """
    if segment.contact_list is None:
        return _size(segment.service.kinds[segment.settings_name], segment.settings)
    # Which lists are too small is published nowhere: here, those of which nobody was matched.
    if not len(segment.contact_list):
        raise _unavailable()
    size = kinds.matched(len(segment.contact_list), scope.match_rate)
    if not size:
        raise invalid("The segment is too small for its size to be told.", code="segment-size-too-small")
    return size


def _audience_size(audience: AudienceEntity, scope: CallScope) -> int:
    return _algebra_size(audience.algebra, scope)


def _algebra_size(definition: dict[str, Any], scope: CallScope) -> int:
    return algebra.size(definition, lambda each: _segment_size(scope.segments[each], scope), kinds.EVERYONE)


def _size(kind: Kind, settings: Mapping[str, Any]) -> int:
    if kind.size is None:
        raise invalid(f"The size of {kind.type} segments is not supported.", code="segment-size-not-supported")
    size = kind.size(settings)
    if size is None:
        raise _unavailable()
    return size


def _unavailable() -> ProblemError:
    return invalid("The size is not available yet.", code="segment-size-not-available")


def _attributes(size: int, service: Service) -> dict[str, Any]:
    relative = {"relativeSize": size / kinds.EVERYONE} if service.with_audiences.channels else {}
    return {"size": size, **relative}


def _estimated(type_: str, size: int, service: Service) -> web.Response:
    return answer({"type": type_, "attributes": _attributes(size, service)})


def _definition(body: Mapping[str, Any], service: Service) -> dict[str, Any]:
    attributes = attributes_of(body)
    for name in service.required:
        required_value(attributes, name, is_text)
    _check_channel(attributes, service)
    return attributes


def _check_channel(attributes: Mapping[str, Any], service: Service) -> None:
    channels = service.with_audiences.channels
    if channels:
        required_value(attributes, "channel", is_one_of(*channels))


def _settings(attributes: Mapping[str, Any], service: Service) -> tuple[Kind, dict[str, Any]]:
    given = [name for name in service.kinds if attributes.get(name) is not None]
    if not given:
        raise invalid("There is no settings object.", code="required-field")
    if len(given) > 1:
        raise invalid("There must be exactly one settings object.")
    (name,) = given
    kind = service.kinds[name]
    if name not in service.with_audiences.estimable:
        raise invalid(f"The size of {kind.type} segments cannot be estimated.", code="segment-size-not-supported")
    return kind, required_object(attributes, name)


COMPUTE_SEGMENTS = _computing(lambda scope: scope.segments, _segment_size)

COMPUTE_AUDIENCES = _computing(lambda scope: scope.audiences, _audience_size)
