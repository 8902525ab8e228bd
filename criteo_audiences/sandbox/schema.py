"""Check a value of a request against a schema of OpenAPI, and read what the schema demands."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from criteo_audiences.sandbox.problems import ProblemError, Violation, invalid

_INT32 = range(-(2**31), 2**31)
_INT64 = range(-(2**63), 2**63)

Check = Callable[[object], bool]


def is_text(value: object) -> bool:
    """Returns whether the value is a string."""
    return isinstance(value, str)


def is_number(value: object) -> bool:
    """Returns whether the value is a number; "true" is one to Python, not to JSON."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_one_of(*words: str) -> Check:
    """Returns the check for a member of an enumeration."""
    return lambda value: isinstance(value, str) and value in words


def is_list_of(check: Check) -> Check:
    """Returns the check for a list whose items all pass another check."""
    return lambda value: isinstance(value, list) and all(map(check, value))


def is_set_of(check: Check) -> Check:
    """Returns the check for a list of the same kind, without repetitions (``uniqueItems``)."""

    def is_set(value: object) -> bool:
        return isinstance(value, list) and all(map(check, value)) and len(set(value)) == len(value)

    return is_set


def is_integer(within: range) -> Check:
    """Returns the check for an integer of a range."""
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and value in within


is_int32: Final = is_integer(_INT32)

is_int64: Final = is_integer(_INT64)

is_positive: Final = is_integer(range(1, _INT32.stop))


def is_country(value: object) -> bool:
    """Returns whether the value can be a country of ISO 3166-1 alpha-2."""
    return isinstance(value, str) and re.fullmatch("[A-Z]{2}", value) is not None


def is_point_of_interest(value: object) -> bool:
    """Returns whether the value is a ``PointOfInterestV1``: its three fields are optional and nullable."""
    return (
        isinstance(value, dict)
        and (value.get("name") is None or is_text(value["name"]))
        and _is_coordinate(value.get("latitude"), 90)
        and _is_coordinate(value.get("longitude"), 180)
    )


def _is_coordinate(value: object, limit: float) -> bool:
    return value is None or (isinstance(value, int | float) and is_number(value) and -limit <= value <= limit)


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
