"""Read and answer calls on contact lists, with one code for all services; OpenAPI's names differ by service.

An amendment is checked as strictly as OpenAPI specifies.
"""

from collections.abc import Mapping
from typing import Any

import attrs
from aiohttp import web

from criteo_audiences.sandbox import calls
from criteo_audiences.sandbox.calls import STATE, answer, scope
from criteo_audiences.sandbox.calls import document as document_of
from criteo_audiences.sandbox.contact_list import AmendmentCounts, ContactList, IdentifierRule
from criteo_audiences.sandbox.entities import SegmentEntity, timestamp
from criteo_audiences.sandbox.faults import ENTRY
from criteo_audiences.sandbox.kinds import matched
from criteo_audiences.sandbox.problems import invalid, required, required_object
from criteo_audiences.sandbox.services import ANY_VERSION, Service


@attrs.frozen
class AmendmentBody:
    """An amendment as a call requests it."""

    adds: bool
    operation: str
    """The word that the client sent, which the answer repeats; the same is true of `identifier_type`."""
    identifier_type: str
    identifiers: list[str] = attrs.field(repr=False)
    is_valid: IdentifierRule = attrs.field(repr=False)
    """The rule for identifiers of the type."""

    @property
    def digest(self) -> int:
        """A number that equal amendments share within this process, whatever the order of their identifiers.

        It is built from Python's own keyed hashes: a cryptographic hash would block the event loop five times as long.
        """
        asked = self.operation, self.identifier_type, len(self.identifiers)
        return hash((*asked, sum(map(hash, self.identifiers))))


def identifiers_of(document: Mapping[str, Any]) -> list[Any]:
    """Returns the identifiers before anything is checked, so that a refused call can be counted too."""
    data = document.get("data")
    attributes = data.get("attributes") if isinstance(data, dict) else None
    identifiers = attributes.get("identifiers") if isinstance(attributes, dict) else None
    return identifiers if isinstance(identifiers, list) else []


def read_amendment(
    document: Mapping[str, Any], service: Service, *, fixed_type: str | None, max_identifiers: int
) -> AmendmentBody:
    """Returns the amendment.

    Args:
        document: The body.
        service: The service whose words it must use.
        fixed_type: The identifier type of the list, where it was chosen when the list was created.
        max_identifiers: The most identifiers in one call.

    Raises:
        ProblemError: 400, at the first deviation from OpenAPI.
    """
    data = required_object(document, "data")
    _check_type(data, service)
    attributes = required_object(data, "attributes")
    operation = required(attributes, "operation")
    if not isinstance(operation, str) or operation not in service.operations:
        raise invalid(f"operation must be one of {', '.join(service.operations)}.")
    identifier_type = _identifier_type(attributes, service, fixed_type)
    _check_caller(attributes, identifier_type, service)
    return AmendmentBody(
        operation == service.operations[0],
        operation,
        identifier_type,
        _identifiers(attributes, max_identifiers),
        service.identifiers[identifier_type],
    )


def _check_type(data: Mapping[str, Any], service: Service) -> None:
    type_ = required(data, "type") if service.amendment_needs_type else data.get("type", "")
    if not isinstance(type_, str):
        raise invalid("type must be a string.")


def _identifier_type(attributes: Mapping[str, Any], service: Service, fixed_type: str | None) -> str:
    # OpenAPI lets the type be left out and does not say what is assumed then.
    identifier_type = attributes.get("identifierType", fixed_type or service.default_identifier)
    if not isinstance(identifier_type, str) or identifier_type not in service.identifiers:
        raise invalid(f"identifierType must be one of {', '.join(service.identifiers)}.")
    if fixed_type not in {None, identifier_type}:
        # Criteo documents that the type cannot change, but not the answer to an amendment with another type.
        raise invalid("The contact list is of another identifier type.", code="type-must-be-the-same")
    return identifier_type


def _check_caller(attributes: Mapping[str, Any], identifier_type: str, service: Service) -> None:
    if service.caller_id_for is None:
        return
    if identifier_type == service.caller_id_for:
        required(attributes, "gumCallerId")
    if type(attributes.get("gumCallerId", 0)) is not int:
        raise invalid("gumCallerId must be an integer.")


def _identifiers(attributes: Mapping[str, Any], max_identifiers: int) -> list[str]:
    identifiers = required(attributes, "identifiers")
    if not isinstance(identifiers, list) or not set(map(type, identifiers)) <= {str}:
        raise invalid("identifiers must be a list of strings.")
    # The limit is in Criteo's guide; OpenAPI sets none.
    if len(identifiers) > max_identifiers:
        raise invalid(f"There are more than {max_identifiers} identifiers.", code="invalid-range")
    return identifiers


def routes(service: Service) -> list[web.RouteDef]:
    """Returns the routes of a service for its contact lists."""
    base, contact_list = f"/{service.name}", "{segment_id}/contact-list"
    amend_method, amend_end = service.amend
    clear_method, clear_end = service.clear
    rows: list[calls.Route] = [
        ("statistics", "GET", f"{base}/{service.segments}/{contact_list}{service.statistics}", get_statistics),
        # These two have no owner in the path of any service.
        ("amend", amend_method, f"{base}/audience-segments/{contact_list}{amend_end}", amend_contact_list),
        ("clear", clear_method, f"{base}/audience-segments/{contact_list}{clear_end}", clear_contact_list),
    ]
    return calls.routes(service, rows, ANY_VERSION)


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
    """Answers how many identifiers the list contains and how many of them were matched."""
    segment = _segment(request)
    if segment.contact_list is None:
        raise invalid("The segment is not a contact list.", code="contact-list-statistics-not-supported")
    count, match_rate = len(segment.contact_list), request.app[STATE].match_rate
    attributes = {
        "numberOfIdentifiers": count,
        "numberOfMatches": matched(count, match_rate),
        "matchRate": match_rate if count else None,
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
        # Criteo documents isReadOnly, but not the answer to a write to such a list.
        raise invalid("The contact list was not made through the API.", code="audience-segment-read-only")
    return segment.contact_list
