"""Answer calls on audiences, on their links with ad sets and line items (any id will do), and on sizes."""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from aiohttp import web

from criteo_audiences.sandbox import algebra, calls, kinds
from criteo_audiences.sandbox.attributes import (
    change,
    change_violations,
    creation_violations,
    matching,
    own_attributes,
    read_filters,
    read_page,
)
from criteo_audiences.sandbox.calls import (
    STATE,
    Action,
    CallScope,
    Item,
    Reach,
    Target,
    answer,
    bulk,
    document,
    full_entity,
    id_entity,
    items,
    scope,
)
from criteo_audiences.sandbox.entities import AudienceEntity, E, SegmentEntity
from criteo_audiences.sandbox.kinds import Kind
from criteo_audiences.sandbox.problems import (
    ProblemError,
    Violation,
    attributes_of,
    invalid,
    is_list_of,
    is_one_of,
    is_text,
    refuse,
    required_object,
    required_value,
)
from criteo_audiences.sandbox.services import ANY_VERSION, RETAIL_MEDIA, STABLE_VERSION, Service

_RETARGETING = "Retargeting"


def algebra_violations(definition: Any, owner_id: object, scope: CallScope) -> Iterator[Violation]:
    """Returns everything that keeps an owner from having an audience with this algebra."""
    if wrong := algebra.shape_violation(definition):
        yield wrong
        return
    segment_ids = algebra.segment_ids(definition)
    unfit = [each for segment_id in segment_ids if (each := scope.reference_violation(segment_id, owner_id))]
    yield from unfit
    if unfit or algebra.is_lone_segment(definition):
        return
    if any(scope.segments[segment_id].type == _RETARGETING for segment_id in segment_ids):
        yield Violation(
            "audience-with-retargeting-segment-must-be-correctly-specified", "A retargeting segment must stand alone."
        )


def create_violations(item: Item, scope: CallScope) -> Iterator[Violation]:
    """Returns everything that keeps an audience from being created."""
    attributes, limits = item.attributes, scope.service.with_audiences.limits
    yield from creation_violations(attributes, scope.audiences, scope, limits)
    # OpenAPI allows a null algebra, but requires the field.
    if attributes.get("algebra") is None:
        yield Violation("required-field", "algebra is missing.")
    else:
        yield from algebra_violations(attributes["algebra"], scope.owner_of(attributes), scope)


def create(item: Item, scope: CallScope) -> dict[str, Any]:
    """Create an audience from attributes without violations."""
    own = own_attributes(item.attributes, scope)
    return full_entity(scope.audiences.store.add(**own, algebra=item.attributes["algebra"]))


def update_violations(item: Item, scope: CallScope) -> Iterator[Violation]:
    """Returns everything that keeps an audience from being changed as the item says."""
    if unreachable := scope.audiences.violation(item.id):
        yield unreachable
        return
    audience, changes = scope.audiences[item.id], item.attributes
    yield from change_violations(changes, audience, scope.audiences, scope.service.with_audiences.limits)
    if changes.get("algebra") is not None:
        yield from algebra_violations(changes["algebra"], audience.owner_id, scope)


def update(item: Item, scope: CallScope) -> dict[str, Any]:
    """Change only what the item names. OpenAPI allows a null algebra, which changes nothing."""
    audience, changes = scope.audiences[item.id], item.attributes
    if changes.get("algebra") is not None:
        audience.algebra = changes["algebra"]
    change(changes, audience, scope.audiences, scope.now)
    return full_entity(audience)


def delete_violations(item: Item, scope: CallScope) -> Iterator[Violation]:
    """Returns what keeps an audience from being deleted."""
    if unreachable := scope.audiences.violation(item.id):
        yield unreachable


def delete(item: Item, scope: CallScope) -> dict[str, Any]:
    """Delete an audience."""
    audience = scope.audiences[item.id]
    scope.audiences.store.remove(audience)
    return id_entity(audience)


CREATE = Action(create_violations, create)

UPDATE = Action(update_violations, update)

DELETE = Action(delete_violations, delete)


def routes(service: Service) -> list[web.RouteDef]:
    """Returns the routes of a service for its audiences and for their links with ad sets and line items."""
    traits = service.with_audiences
    base, audiences = f"/{service.name}", f"/{service.name}/{traits.path}"
    line_item = f"{base}/preferred-line-items/{{line_item_id}}/targeting/audiences"
    rows: list[calls.Route] = [
        ("audiences.create", "POST", f"{audiences}/create", bulk(CREATE)),
        ("audiences.update", "PATCH", audiences, bulk(UPDATE)),
        ("audiences.delete", "POST", f"{audiences}/delete", bulk(DELETE)),
    ]
    search: calls.Route = ("audiences.search", "POST", f"{audiences}/search", search_audiences)
    ad_set: calls.Route = ("ad-set", "PUT", f"{base}/ad-sets/{{ad_set_id}}/audience", link_audience)
    targets: list[calls.Route] = [
        ("target", "GET", line_item, get_target),
        ("target.set", "PUT", line_item, set_target),
        ("target.append", "POST", f"{line_item}/append", append_audiences),
        ("target.delete", "POST", f"{line_item}/delete", delete_audiences),
    ]
    return [
        *calls.routes(service, rows, traits.versions),
        *calls.routes(service, [search], ANY_VERSION),
        *calls.routes(service, [ad_set] if traits.on_ad_sets else [], ANY_VERSION),
        # OpenAPI has none of these under "experimental".
        *calls.routes(service, targets if service.name == RETAIL_MEDIA.name else [], STABLE_VERSION),
    ]


async def search_audiences(request: web.Request) -> web.Response:
    """Answers a page of the audiences that pass the filters, oldest first."""
    reach = scope(request)
    page = read_page(request.query, reach.service)
    found = matching(reach.audiences, read_filters(await document(request), reach.service.with_audiences.filters))
    return answer([full_entity(audience) for audience in page.of(found)], meta=page.meta(len(found)))


async def link_audience(request: web.Request) -> web.Response:
    """Replaces the audience of an ad set; null removes it."""
    ad_set_id, audiences = request.match_info["ad_set_id"], scope(request).audiences
    body = await document(request)
    attributes = attributes_of(body)
    if body["data"].get("id") not in {None, ad_set_id}:
        raise invalid("id must be that of the ad set in the path.")
    audience_id = required_value(attributes, "audienceId", lambda value: value is None or isinstance(value, str))
    chosen = None if audience_id is None else audiences[audience_id]
    for audience in audiences.store:
        audience.ad_set_ids = [each for each in audience.ad_set_ids if each != ad_set_id]
    if chosen is not None:
        chosen.ad_set_ids.append(ad_set_id)
    return answer({"id": ad_set_id, "type": "AdSetAudienceLink", "attributes": {"audienceId": audience_id}})


async def get_target(request: web.Request) -> web.Response:
    """Answers the audiences of a line item; a line item that was never set includes none."""
    return _answered(_target(request))


async def set_target(request: web.Request) -> web.Response:
    """Replaces the scope and the audiences of a line item."""
    attributes = attributes_of(await document(request))
    word = required_value(attributes, "scope", is_one_of("unknown", "include", "exclude"))
    return _kept(request, Target(word, _known(request, _audience_ids(attributes))))


async def append_audiences(request: web.Request) -> web.Response:
    """Adds audiences to a line item, each once."""
    target = _target(request)
    new = _known(request, _audience_ids(attributes_of(await document(request))))
    return _kept(request, Target(target.scope, [*dict.fromkeys((*target.audience_ids, *new))]))


async def delete_audiences(request: web.Request) -> web.Response:
    """Removes audiences from a line item."""
    target = _target(request)
    gone = _audience_ids(attributes_of(await document(request)))
    return _kept(request, Target(target.scope, [each for each in target.audience_ids if each not in gone]))


def _audience_ids(attributes: dict[str, Any]) -> list[str]:
    ids: list[str] = required_value(attributes, "audienceIds", is_list_of(_is_id))
    return ids


def _is_id(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9]{1,19}", value) is not None


def _known(request: web.Request, audience_ids: list[str]) -> list[str]:
    audiences = scope(request).audiences
    return [audiences[each].id for each in audience_ids]


def _target(request: web.Request) -> Target:
    return request.app[STATE].line_items.get(request.match_info["line_item_id"], Target())


def _kept(request: web.Request, target: Target) -> web.Response:
    request.app[STATE].line_items[request.match_info["line_item_id"]] = target
    return _answered(target)


def _answered(target: Target) -> web.Response:
    attributes = {"scope": target.scope, "audienceIds": target.audience_ids}
    return answer({"type": "AudienceTarget", "attributes": attributes})


def size_routes(service: Service) -> list[web.RouteDef]:
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
    """Returns the items of Retail Media's body, a single object with a channel and ids.

    Raises:
        ProblemError: 400, when the body does not have OpenAPI's shape.
    """
    attributes = attributes_of(body)
    _check_channel(attributes, service)
    return [Item(each, {}) for each in required_value(attributes, "ids", is_list_of(is_text))]


async def estimate_segment(request: web.Request) -> web.Response:
    """Answers how many users a segment with these settings would have."""
    service = scope(request).service
    attributes = _definition(await document(request), service)
    kind, settings = _settings(attributes, service)
    refuse(next(kind.violations(settings), None))
    return _estimated(service.entity_type, _size(kind, kind.kept(settings)), service)


async def estimate_audience(request: web.Request) -> web.Response:
    """Answers how many users an audience with this algebra would have."""
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
    # Criteo does not publish which lists are too small: here, lists without a single match.
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
