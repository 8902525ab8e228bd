"""The body of a contact-list amendment in Marketing Solutions, read as strictly as OpenAPI puts it."""

from collections.abc import Mapping
from typing import Any

import attrs

from criteo_audiences.sandbox.identifier_rules import Rule, is_email, is_mobile_ad_id, is_opaque_id, is_phone_number
from criteo_audiences.sandbox.problems import invalid

_OPERATIONS = "add", "remove"
_RULES: Mapping[str, Rule] = {
    "email": is_email,
    "madid": is_mobile_ad_id,
    "identityLink": is_opaque_id,
    "gum": is_opaque_id,
    "phoneNumber": is_phone_number,
}
# OpenAPI lets the type be left out and does not say what is assumed then.
_ASSUMED_TYPE = "email"


@attrs.frozen
class Amendment:
    """What a call asks for."""

    operation: str
    identifier_type: str
    identifiers: list[str] = attrs.field(repr=False)

    @property
    def is_valid(self) -> Rule:
        """The rule for identifiers of the type."""
        return _RULES[self.identifier_type]


def identifiers_of(document: Mapping[str, Any]) -> list[Any]:
    """Returns the identifiers before anything is checked, so that a refused call can be counted too."""
    data = document.get("data")
    attributes = data.get("attributes") if isinstance(data, dict) else None
    identifiers = attributes.get("identifiers") if isinstance(attributes, dict) else None
    return identifiers if isinstance(identifiers, list) else []


def read_amendment(document: Mapping[str, Any], *, max_identifiers: int) -> Amendment:
    """Returns the amendment.

    Raises:
        ProblemError: 400, at the first thing that is not as OpenAPI demands.
    """
    data = _object(document, "data")
    if not isinstance(_required(data, "type"), str):
        raise invalid("type must be a string.")
    attributes = _object(data, "attributes")
    operation = _required(attributes, "operation")
    if operation not in _OPERATIONS:
        raise invalid('operation must be "add" or "remove".')
    identifier_type = attributes.get("identifierType", _ASSUMED_TYPE)
    if not isinstance(identifier_type, str) or identifier_type not in _RULES:
        raise invalid(f"identifierType must be one of {', '.join(_RULES)}.")
    _check_caller(attributes, identifier_type)
    return Amendment(operation, identifier_type, _identifiers(attributes, max_identifiers))


def _check_caller(attributes: Mapping[str, Any], identifier_type: str) -> None:
    # OpenAPI lists it as optional; Criteo's guide demands it for gum.
    if identifier_type == "gum":
        _required(attributes, "gumCallerId")
    if type(attributes.get("gumCallerId", 0)) is not int:
        raise invalid("gumCallerId must be an integer.")


def _identifiers(attributes: Mapping[str, Any], max_identifiers: int) -> list[str]:
    identifiers = _required(attributes, "identifiers")
    if not isinstance(identifiers, list) or not set(map(type, identifiers)) <= {str}:
        raise invalid("identifiers must be a list of strings.")
    # The number is in Criteo's guide; OpenAPI sets none.
    if len(identifiers) > max_identifiers:
        raise invalid(f"There are more than {max_identifiers} identifiers.", code="invalid-range")
    return identifiers


def _required(parent: Mapping[str, Any], name: str) -> object:
    if name not in parent:
        raise invalid(f"{name} is missing.", code="required-field")
    return parent[name]


def _object(parent: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = _required(parent, name)
    if not isinstance(value, dict):
        raise invalid(f"{name} must be an object.")
    return value
