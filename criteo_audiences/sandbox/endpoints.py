"""The endpoints of segments and contact lists, written once for all services; OpenAPI's names differ by service."""

import math
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from criteo_audiences.sandbox.amendment import identifiers_of, read_amendment
from criteo_audiences.sandbox.bodies import read_json
from criteo_audiences.sandbox.bulk import Action, full_entity, items
from criteo_audiences.sandbox.contact_list import ContactList, Outcome
from criteo_audiences.sandbox.creation import CREATE
from criteo_audiences.sandbox.problems import invalid, json_response, problem
from criteo_audiences.sandbox.recording import ENTRY
from criteo_audiences.sandbox.scope import CALL, Call, scope
from criteo_audiences.sandbox.searching import matching, read_filters, read_page
from criteo_audiences.sandbox.segments import Segment, timestamp
from criteo_audiences.sandbox.services import Service
from criteo_audiences.sandbox.state import STATE
from criteo_audiences.sandbox.updating import DELETE, UPDATE

Endpoint = Callable[[web.Request], Awaitable[web.Response]]


def routes(prefix: str, service: Service) -> list[web.RouteDef]:
    """Returns the routes of a service, below a prefix that holds the API version."""
    base = f"{prefix}/{service.name}"
    segments, contact_list = f"{base}/{service.segments}", "{segment_id}/contact-list"
    amend_method, amend_end = service.amend
    clear_method, clear_end = service.clear
    table: list[tuple[str, str, str, Endpoint]] = [
        ("create", "POST", f"{segments}/create", bulk(CREATE)),
        ("update", "PATCH", segments, bulk(UPDATE)),
        ("delete", "POST", f"{segments}/delete", bulk(DELETE)),
        ("search", "POST", f"{segments}/search", search_segments),
        ("statistics", "GET", f"{segments}/{contact_list}{service.statistics}", get_statistics),
        # These two have no owner in the path of any service.
        ("amend", amend_method, f"{base}/audience-segments/{contact_list}{amend_end}", amend_contact_list),
        ("clear", clear_method, f"{base}/audience-segments/{contact_list}{clear_end}", clear_contact_list),
    ]
    return [web.route(method, path, _named(endpoint, Call(service, name))) for name, method, path, endpoint in table]


def _named(endpoint: Endpoint, call: Call) -> Endpoint:
    async def handle(request: web.Request) -> web.Response:
        request[CALL] = call
        return await endpoint(request)

    return handle


def bulk(action: Action) -> Endpoint:
    """Returns the endpoint that carries out what can be, item by item, and answers 200 either way."""

    async def handle(request: web.Request) -> web.Response:
        reach = scope(request)
        done, errors = [], []
        for index, item in enumerate(items(await _document(request))):
            violations = list(action.violations(item, reach))
            errors += [problem(request, each, instance=f"@data/{index}") for each in violations]
            if not violations:
                done.append(action.entity(action.carry_out(item, reach)))
        return _answer(done, errors=errors)

    return handle


async def search_segments(request: web.Request) -> web.Response:
    """Answers a page of the segments that pass the filters, oldest first."""
    reach = scope(request)
    page = read_page(request.query, reach.service)
    found = matching(reach, read_filters(await _document(request), reach.service))
    return _answer([full_entity(segment) for segment in page.of(found)], meta=page.meta(len(found)))


async def amend_contact_list(request: web.Request) -> web.Response:
    """Adds or removes identifiers, and counts the valid ones."""
    state, segment = request.app[STATE], _segment(request)
    document = await _document(request)
    request[ENTRY].identifiers = len(identifiers_of(document))
    fixed_type = segment.settings.get("identifierType")
    amendment = read_amendment(document, segment.service, fixed_type=fixed_type, max_identifiers=state.max_identifiers)
    outcome = await _writable_list(segment).amend(amendment.identifiers, amendment.is_valid, adds=amendment.adds)
    attributes = {
        "contactListId": int(segment.id),
        "operation": amendment.operation,
        "requestDate": timestamp(state.clock()),
        "identifierType": amendment.identifier_type,
        **_counts(outcome),
    }
    type_ = segment.service.operation_type
    if segment.service.operation_is_flat:
        return _answer(attributes, type=type_)
    return _answer({"type": type_, "attributes": attributes})


async def clear_contact_list(request: web.Request) -> web.Response:
    """Empties the list and keeps the segment."""
    segment = _segment(request)
    _writable_list(segment).clear()
    if segment.service.cleared_type is None:
        return web.Response(status=204)
    return _answer({"id": segment.id, "type": segment.service.cleared_type})


async def get_statistics(request: web.Request) -> web.Response:
    """Answers how many identifiers there are and how many were matched."""
    segment = _segment(request)
    if segment.contact_list is None:
        raise invalid("The segment is not a contact list.", code="contact-list-statistics-not-supported")
    count, match_rate = len(segment.contact_list), request.app[STATE].match_rate
    attributes = {
        "numberOfIdentifiers": count,
        "numberOfMatches": math.floor(count * match_rate),
        "matchRate": match_rate,
    }
    return _answer({"id": segment.id, "type": "ContactListStatistics", "attributes": attributes})


def _counts(outcome: Outcome) -> dict[str, Any]:
    return {
        "nbValidIdentifiers": outcome.valid,
        "nbInvalidIdentifiers": outcome.invalid,
        "sampleInvalidIdentifiers": outcome.sample_invalid,
    }


def _answer(data: object, *, errors: list[dict[str, str]] | None = None, **members: object) -> web.Response:
    return json_response({"data": data, "errors": errors or [], "warnings": [], **members})


async def _document(request: web.Request) -> dict[str, Any]:
    state, call = request.app[STATE], request[CALL]
    document = await read_json(request, max_bytes=state.max_body_bytes)
    return state.dialect.understood(document, call.service, call.endpoint)


def _segment(request: web.Request) -> Segment:
    return scope(request)[request.match_info["segment_id"]]


def _writable_list(segment: Segment) -> ContactList:
    if segment.contact_list is None:
        raise invalid("The segment is not a contact list.")
    if segment.contact_list.read_only:
        # Criteo documents isReadOnly but not what a write to such a list is answered.
        raise invalid("The contact list was not made through the API.", code="audience-segment-read-only")
    return segment.contact_list
