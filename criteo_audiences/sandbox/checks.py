"""Whether a value in a request is what a schema of OpenAPI allows."""

import re
from collections.abc import Callable
from typing import Final

Check = Callable[[object], bool]

_INT32 = range(-(2**31), 2**31)
_INT64 = range(-(2**63), 2**63)


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
