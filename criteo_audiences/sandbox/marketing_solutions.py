"""The endpoints of Criteo's Marketing Solutions service."""

import math

from aiohttp import web

from criteo_audiences.sandbox.amendment import identifiers_of, read_amendment
from criteo_audiences.sandbox.bodies import read_json
from criteo_audiences.sandbox.contact_list import ContactList
from criteo_audiences.sandbox.creation import SERVICE, create, entity, items, violations
from criteo_audiences.sandbox.problems import ProblemError, invalid, json_response, problem
from criteo_audiences.sandbox.recording import ENTRY
from criteo_audiences.sandbox.segments import Segment, timestamp
from criteo_audiences.sandbox.state import STATE


def routes(prefix: str) -> list[web.RouteDef]:
    """Returns the routes, below a prefix that holds the API version."""
    segments = f"{prefix}/{SERVICE}/audience-segments"
    contact_list = f"{segments}/{{segment_id}}/contact-list"
    return [
        web.post(f"{segments}/create", create_segments),
        web.patch(contact_list, amend_contact_list),
        web.delete(contact_list, clear_contact_list),
        web.get(f"{contact_list}/statistics", get_statistics, allow_head=False),
    ]


async def create_segments(request: web.Request) -> web.Response:
    """CreateAudienceSegments: every item that can be created is, and the answer is 200 either way."""
    state = request.app[STATE]
    created, errors = [], []
    for index, attributes in enumerate(items(await read_json(request, max_bytes=state.max_body_bytes))):
        wrong = [problem(request, each, instance=f"@data/{index}") for each in violations(attributes, state.segments)]
        errors += wrong
        if not wrong:
            created.append(entity(create(attributes, state.segments, now=state.clock())))
    return json_response({"data": created, "errors": errors, "warnings": []})


async def amend_contact_list(request: web.Request) -> web.Response:
    """UpdateContactListByAudienceSegment: add or remove identifiers, and count the valid ones."""
    state = request.app[STATE]
    segment = _segment(request)
    document = await read_json(request, max_bytes=state.max_body_bytes)
    request[ENTRY].identifiers = len(identifiers_of(document))
    amendment = read_amendment(document, max_identifiers=state.max_identifiers)
    contact_list = _writable_list(segment)
    outcome = await contact_list.amend(amendment.operation, amendment.identifiers, amendment.is_valid)
    attributes = {
        "contactListId": int(segment.id),
        "operation": amendment.operation,
        "requestDate": timestamp(state.clock()),
        "identifierType": amendment.identifier_type,
        "nbValidIdentifiers": outcome.valid,
        "nbInvalidIdentifiers": outcome.invalid,
        "sampleInvalidIdentifiers": outcome.sample_invalid,
    }
    data = {"type": "ContactlistAmendment", "attributes": attributes}
    return json_response({"data": data, "errors": [], "warnings": []})


async def clear_contact_list(request: web.Request) -> web.Response:
    """DeleteContactListByAudienceSegment: empty the list, keep the segment."""
    segment = _segment(request)
    _writable_list(segment).clear()
    data = {"id": segment.id, "type": "AudienceContactlist"}
    return json_response({"data": data, "errors": [], "warnings": []})


async def get_statistics(request: web.Request) -> web.Response:
    """GetAudienceSegmentContactListStatistics: how many identifiers there are and how many were matched."""
    segment = _segment(request)
    if segment.contact_list is None:
        raise invalid("The segment is not a contact list.", code="contact-list-statistics-not-supported")
    count, match_rate = len(segment.contact_list), request.app[STATE].match_rate
    attributes = {
        "numberOfIdentifiers": count,
        "numberOfMatches": math.floor(count * match_rate),
        "matchRate": match_rate,
    }
    data = {"id": segment.id, "type": "ContactListStatistics", "attributes": attributes}
    return json_response({"data": data, "errors": [], "warnings": []})


def _segment(request: web.Request) -> Segment:
    segment = request.app[STATE].segments.find(request.match_info["segment_id"], service=SERVICE)
    if segment is None:
        raise ProblemError(404, "There is no such segment.", code="segment-not-found")
    if segment.denied:
        raise ProblemError(403, "The application has no access to the advertiser of this segment.")
    return segment


def _writable_list(segment: Segment) -> ContactList:
    if segment.contact_list is None:
        raise invalid("The segment is not a contact list.")
    if segment.contact_list.read_only:
        # Criteo documents isReadOnly but not what a write to such a list is answered.
        raise invalid("The contact list was not made through the API.", code="audience-segment-read-only")
    return segment.contact_list
