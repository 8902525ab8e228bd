"""Reading what OpenAPI demands out of the body of a request."""

from collections.abc import Mapping
from typing import Any

from criteo_audiences.sandbox.checks import Check
from criteo_audiences.sandbox.problems import ProblemError, Violation, invalid


def required(parent: Mapping[str, Any], name: str) -> Any:
    """Returns a value.

    Raises:
        ProblemError: 400, when it is missing.
    """
    if name not in parent:
        raise invalid(f"{name} is missing.", code="required-field")
    return parent[name]


def required_object(parent: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Returns an object.

    Raises:
        ProblemError: 400, when it is missing or something else.
    """
    value = required(parent, name)
    if not isinstance(value, dict):
        raise invalid(f"{name} must be an object.")
    return value


def required_value(parent: Mapping[str, Any], name: str, check: Check) -> Any:
    """Returns a value that passes a check.

    Raises:
        ProblemError: 400, when it is missing or does not pass.
    """
    value = required(parent, name)
    if not check(value):
        raise invalid(f"{name} is not valid.")
    return value


def attributes_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the attributes of the one entity in a body.

    Raises:
        ProblemError: 400, when there are none.
    """
    return required_object(required_object(document, "data"), "attributes")


def refuse(violation: Violation | None) -> None:
    """End a call that is about one thing only, when something is wrong with it.

    Raises:
        ProblemError: 400.
    """
    if violation is not None:
        raise ProblemError(400, violation.detail, code=violation.code)
