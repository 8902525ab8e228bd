"""The endpoints of segments and contact lists, written once for all services; OpenAPI's names differ by service."""

from typing import Any

from aiohttp import web

from criteo_audiences.sandbox import calls, versions
from criteo_audiences.sandbox.amendment import identifiers_of, read_amendment
from criteo_audiences.sandbox.call_log import ENTRY
from criteo_audiences.sandbox.calls import answer, bulk, full_entity, scope
from criteo_audiences.sandbox.calls import document as document_of
from criteo_audiences.sandbox.contact_list import AmendmentCounts, ContactList
from criteo_audiences.sandbox.creation import CREATE
from criteo_audiences.sandbox.entities import SegmentEntity, timestamp
from criteo_audiences.sandbox.kinds import matched
from criteo_audiences.sandbox.problems import invalid
from criteo_audiences.sandbox.search import matching, read_filters, read_page
from criteo_audiences.sandbox.services import Service
from criteo_audiences.sandbox.state import STATE
from criteo_audiences.sandbox.updating import DELETE, UPDATE


def routes(service: Service) -> list[web.RouteDef]:
    """Returns the routes of a service for its segments and contact lists."""
    base = f"/{service.name}"
    segments, contact_list = f"{base}/{service.segments}", "{segment_id}/contact-list"
    amend_method, amend_end = service.amend
    clear_method, clear_end = service.clear
    rows: list[calls.Route] = [
        ("create", "POST", f"{segments}/create", bulk(CREATE)),
        ("update", "PATCH", segments, bulk(UPDATE)),
        ("delete", "POST", f"{segments}/delete", bulk(DELETE)),
        ("search", "POST", f"{segments}/search", search_segments),
        ("statistics", "GET", f"{segments}/{contact_list}{service.statistics}", get_statistics),
        # These two have no owner in the path of any service.
        ("amend", amend_method, f"{base}/audience-segments/{contact_list}{amend_end}", amend_contact_list),
        ("clear", clear_method, f"{base}/audience-segments/{contact_list}{clear_end}", clear_contact_list),
    ]
    return calls.routes(service, rows, versions.ANY)


async def search_segments(request: web.Request) -> web.Response:
    """Answers a page of the segments that pass the filters, oldest first."""
    reach = scope(request)
    page = read_page(request.query, reach.service)
    filters = read_filters(await document_of(request), reach.service.filters, reach.service.types)
    found = matching(reach.segments, filters)
    return answer([full_entity(segment) for segment in page.of(found)], meta=page.meta(len(found)))


async def amend_contact_list(request: web.Request) -> web.Response:
    """Adds or removes identifiers, and counts the valid ones."""
    state, segment = request.app[STATE], _segment(request)
    document = await document_of(request)
    request[ENTRY].identifiers = len(identifiers_of(document))
    fixed_type = segment.settings.get("identifierType")
    amendment = read_amendment(document, segment.service, fixed_type=fixed_type, max_identifiers=state.max_identifiers)
    request[ENTRY].digest = amendment.digest
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
        return answer(attributes, type=type_)
    return answer({"type": type_, "attributes": attributes})


async def clear_contact_list(request: web.Request) -> web.Response:
    """Empties the list and keeps the segment."""
    segment = _segment(request)
    _writable_list(segment).clear()
    if segment.service.cleared_type is None:
        return web.Response(status=204)
    return answer({"id": segment.id, "type": segment.service.cleared_type})


async def get_statistics(request: web.Request) -> web.Response:
    """Answers how many identifiers there are and how many were matched."""
    segment = _segment(request)
    if segment.contact_list is None:
        raise invalid("The segment is not a contact list.", code="contact-list-statistics-not-supported")
    count, match_rate = len(segment.contact_list), request.app[STATE].match_rate
    attributes = {
        "numberOfIdentifiers": count,
        "numberOfMatches": matched(count, match_rate),
        "matchRate": match_rate,
    }
    return answer({"id": segment.id, "type": "ContactListStatistics", "attributes": attributes})


def _counts(outcome: AmendmentCounts) -> dict[str, Any]:
    return {
        "nbValidIdentifiers": outcome.valid,
        "nbInvalidIdentifiers": outcome.invalid,
        "sampleInvalidIdentifiers": outcome.sample_invalid,
    }


def _segment(request: web.Request) -> SegmentEntity:
    return scope(request).segments[request.match_info["segment_id"]]


def _writable_list(segment: SegmentEntity) -> ContactList:
    if segment.contact_list is None:
        raise invalid("The segment is not a contact list.")
    if segment.contact_list.read_only:
        # Criteo documents isReadOnly but not what a write to such a list is answered.
        raise invalid("The contact list was not made through the API.", code="audience-segment-read-only")
    return segment.contact_list
