"""The body of a contact-list amendment, read as strictly as OpenAPI puts it."""

from collections.abc import Mapping
from typing import Any

import attrs

from criteo_audiences.sandbox.contact_list import IdentifierRule
from criteo_audiences.sandbox.problems import invalid
from criteo_audiences.sandbox.schema import required, required_object
from criteo_audiences.sandbox.services import Service


@attrs.frozen
class Amendment:
    """What a call asks for."""

    adds: bool
    operation: str
    """The word that was sent, for the answer; so is the next."""
    identifier_type: str
    identifiers: list[str] = attrs.field(repr=False)
    is_valid: IdentifierRule = attrs.field(repr=False)
    """The rule for identifiers of the type."""

    @property
    def digest(self) -> int:
        """A number by which to know the amendment again, whatever the order of its identifiers; in this process only.

        Python's own hashes are keyed, and at hand: a cryptographic one would keep the event loop five times as long.
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
) -> Amendment:
    """Returns the amendment.

    Args:
        document: The body.
        service: Whose words it must use.
        fixed_type: The identifier type of the list, where it was chosen when the list was created.
        max_identifiers: Most identifiers in one call.

    Raises:
        ProblemError: 400, at the first thing that is not as OpenAPI demands.
    """
    data = required_object(document, "data")
    _check_type(data, service)
    attributes = required_object(data, "attributes")
    operation = required(attributes, "operation")
    if not isinstance(operation, str) or operation not in service.operations:
        raise invalid(f"operation must be one of {', '.join(service.operations)}.")
    identifier_type = _identifier_type(attributes, service, fixed_type)
    _check_caller(attributes, identifier_type, service)
    return Amendment(
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
        # Criteo documents that the type cannot change, but not what another one is answered.
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
    # The number is in Criteo's guide; OpenAPI sets none.
    if len(identifiers) > max_identifiers:
        raise invalid(f"There are more than {max_identifiers} identifiers.", code="invalid-range")
    return identifiers
