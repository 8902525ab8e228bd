"""Create, update, delete and search segments, by calls or, for tests, without a call."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from aiohttp import web

from criteo_audiences.sandbox import calls
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
    Action,
    CallScope,
    Item,
    ServerState,
    answer,
    bulk,
    full_entity,
    id_entity,
    scope,
    scope_of,
)
from criteo_audiences.sandbox.calls import document as document_of
from criteo_audiences.sandbox.contact_list import ContactList
from criteo_audiences.sandbox.entities import SegmentEntity
from criteo_audiences.sandbox.problems import Violation
from criteo_audiences.sandbox.services import ANY_VERSION, Service

_SOME_ID = "1"
_OWNERS = {"advertiser_id": "advertiserId", "account_id": "accountId", "data_provider_id": "dataProviderId"}


def create_violations(item: Item, scope: CallScope) -> Iterator[Violation]:
    """Returns everything that keeps a segment from being created."""
    yield from creation_violations(item.attributes, scope.segments, scope)
    yield from _new_settings_violations(item.attributes, scope)


def create(item: Item, scope: CallScope, segment_id: str | None = None) -> SegmentEntity:
    """Create a segment from attributes without violations; makes up a missing name and a missing id."""
    attributes, service = item.attributes, scope.service
    (name,) = _settings_names(attributes, service)
    settings = attributes.get(name, {})
    return scope.segments.store.add(
        **own_attributes(attributes, scope),
        entity_id=segment_id,
        settings_name=name,
        settings=service.kinds[name].kept(settings),
        contact_list=ContactList() if name == "contactList" else None,
    )


CREATE = Action(create_violations, lambda item, scope: full_entity(create(item, scope)))


def _settings_names(attributes: Mapping[str, Any], service: Service) -> list[str]:
    names = [name for name in service.kinds if name in attributes]
    return names if names or service.default_kind is None else [service.default_kind]


def _new_settings_violations(attributes: Mapping[str, Any], scope: CallScope) -> Iterator[Violation]:
    names = _settings_names(attributes, scope.service)
    if len(names) != 1:
        # In Criteo's guide, not in OpenAPI: each segment is of one kind.
        yield Violation("invalid" if names else "required-field", "There must be exactly one settings object.")
        return
    (name,) = names
    settings, kind = attributes.get(name, {}), scope.service.kinds[name]
    if not isinstance(settings, dict):
        yield Violation("invalid", f"{name} must be an object.")
        return
    wrong = list(kind.violations(settings))
    yield from wrong
    for segment_id in [] if wrong else kind.segment_ids(settings):
        if violation := scope.reference_violation(segment_id, scope.owner_of(attributes)):
            yield violation


def update_violations(item: Item, scope: CallScope) -> Iterator[Violation]:
    """Returns everything that keeps a segment from being changed as the item says."""
    if unreachable := scope.segments.violation(item.id):
        yield unreachable
        return
    segment, changes = scope.segments[item.id], item.attributes
    yield from change_violations(changes, segment, scope.segments)
    yield from _changed_settings_violations(changes, segment)


def update(item: Item, scope: CallScope) -> dict[str, Any]:
    """Change only what the item names."""
    segment, changes = scope.segments[item.id], item.attributes
    if segment.settings_name in _updatable(changes, segment):
        kind = segment.service.kinds[segment.settings_name]
        segment.settings = kind.updated(changes[segment.settings_name], segment.settings)
    change(changes, segment, scope.segments, scope.now)
    return full_entity(segment)


def delete_violations(item: Item, scope: CallScope) -> Iterator[Violation]:
    """Returns everything that keeps a segment from being deleted."""
    if unreachable := scope.segments.violation(item.id):
        yield unreachable
    elif scope.segments[item.id].in_audience or any(each.uses(item.id) for each in scope.audiences.store):
        yield Violation("segment-must-not-be-used-in-audience", "An audience uses the segment.")


def delete(item: Item, scope: CallScope) -> dict[str, Any]:
    """Delete a segment."""
    segment = scope.segments[item.id]
    scope.segments.store.remove(segment)
    return id_entity(segment)


UPDATE = Action(update_violations, update)

DELETE = Action(delete_violations, delete)


def _updatable(changes: Mapping[str, Any], segment: SegmentEntity) -> list[str]:
    # Settings that the schema of an update does not have are ignored, like any unknown field.
    kinds = segment.service.kinds
    return [name for name in kinds if name in changes and kinds[name].is_updatable]


def _changed_settings_violations(changes: Mapping[str, Any], segment: SegmentEntity) -> Iterator[Violation]:
    for name in _updatable(changes, segment):
        if name != segment.settings_name:
            yield Violation("type-must-be-the-same", f"The segment is of another type than {name}.")
        elif not isinstance(changes[name], dict):
            yield Violation("invalid", f"{name} must be an object.")
        else:
            yield from segment.service.kinds[name].update_violations(changes[name], segment.settings)


def routes(service: Service) -> list[web.RouteDef]:
    """Returns the routes of a service for its segments."""
    segments = f"/{service.name}/{service.segments}"
    rows: list[calls.Route] = [
        ("create", "POST", f"{segments}/create", bulk(CREATE)),
        ("update", "PATCH", segments, bulk(UPDATE)),
        ("delete", "POST", f"{segments}/delete", bulk(DELETE)),
        ("search", "POST", f"{segments}/search", search_segments),
    ]
    return calls.routes(service, rows, ANY_VERSION)


async def search_segments(request: web.Request) -> web.Response:
    """Answers a page of the segments that pass the filters, oldest first."""
    reach = scope(request)
    page = read_page(request.query, reach.service)
    filters = read_filters(await document_of(request), reach.service.filters, reach.service.types)
    found = matching(reach.segments, filters)
    return answer([full_entity(segment) for segment in page.of(found)], meta=page.meta(len(found)))


def add_contact_list(
    state: ServerState,
    service_name: str,
    *,
    name: str | None,
    owners: Mapping[str, str | None],
    retailer_id: str | None,
    identifier_type: str | None,
    read_only: bool,
    segment_id: str | None,
) -> SegmentEntity:
    """Create an empty contact list without a call.

    Raises:
        ValueError: The service has no such option, or the name or the id is taken.
    """
    service = _service(state, service_name)
    if segment_id is not None and not re.fullmatch("[1-9][0-9]{0,18}", segment_id):
        raise ValueError("an id of a segment is a number of at most 19 digits")
    _check_settings(service, retailer_id=retailer_id, identifierType=identifier_type)
    owner_id = _owner_id(service, owners)
    attributes: dict[str, Any] = {
        service.owner: owner_id,
        "retailerId": _SOME_ID if retailer_id is None else retailer_id,
        "contactList": {} if identifier_type is None else {"identifierType": identifier_type},
        **({} if name is None else {"name": name}),
    }
    segment = create(Item(None, attributes), scope_of(state, service, owner_id), segment_id)
    segment.contact_list = ContactList(read_only=read_only)
    # Contact lists of Commerce Grid do not show isReadOnly.
    if "isReadOnly" in segment.settings:
        segment.settings = {**segment.settings, "isReadOnly": read_only}
    return segment


def _service(state: ServerState, name: str) -> Service:
    for service in state.dialect.services:
        if service.name == name:
            return service
    raise ValueError(f"service must be one of {', '.join(service.name for service in state.dialect.services)}")


def _owner_id(service: Service, owners: Mapping[str, str | None]) -> str:
    given = {keyword: owner_id for keyword, owner_id in owners.items() if owner_id is not None}
    unfit = [keyword for keyword in given if _OWNERS.get(keyword, service.owner) != service.owner]
    if unfit:
        raise ValueError(f"{unfit[0]} is not what owns a segment of {service.name}")
    if len(given) > 1:
        raise ValueError(f"{' and '.join(given)} mean the same: give one of them")
    return next(iter(given.values()), _SOME_ID)


def _check_settings(service: Service, *, retailer_id: str | None, **settings: str | None) -> None:
    if retailer_id is not None and "retailerId" not in service.required:
        raise ValueError(f"{service.name} has no retailers")
    kind = service.kinds["contactList"]
    given = {name: value for name, value in settings.items() if value is not None}
    if not given.keys() <= kind.defaults.keys():
        raise ValueError(f"a contact list of {service.name} is of no identifier type")
    for violation in kind.violations(given):
        raise ValueError(violation.detail)
