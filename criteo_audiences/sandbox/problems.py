"""Word problems as Criteo does, and check the values of a request against OpenAPI's schemas.

A problem has a category, a code, and an id that ties it to a request. No message here may quote what the caller sent:
it could be an identifier.
"""

import re
import uuid
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

import attrs
from aiohttp import web

TRACE_ID = web.RequestKey("trace_id", str)

# Type and code by status. OpenAPI declares no 4xx or 5xx answer; Criteo's guides describe these statuses and name
# some codes. Those for 405, 410, 413, 415, 429 and 503 are published nowhere and are our own wording.
_STANDARD: Mapping[int, tuple[str, str]] = {
    400: ("validation", "invalid"),
    401: ("authorization", "authorization-token-invalid"),
    403: ("access-control", "insufficient-advertiser-permissions"),
    404: ("validation", "segment-not-found"),
    405: ("validation", "method-not-allowed"),
    410: ("deprecation", "version-no-longer-supported"),
    413: ("validation", "payload-too-large"),
    415: ("validation", "unsupported-media-type"),
    429: ("quota", "too-many-requests"),
    500: ("availability", "internal-error"),
    503: ("availability", "service-unavailable"),
}
_CLIENT_ERROR = ("validation", "invalid")
_SERVER_ERROR = ("availability", "internal-error")


@attrs.frozen
class Violation:
    """A rule that a request broke, without a reference to the request."""

    code: str
    detail: str
    type: str = "validation"


class ProblemError(Exception):
    """Ends the handling of a call with a problem instead of a result.

    Args:
        status: HTTP status of the answer.
        detail: A sentence for the reader, free of anything the caller sent.
        code: Criteo's code for the problem; the usual code of the status when left out.
    """

    def __init__(self, status: int, detail: str, *, code: str | None = None) -> None:
        super().__init__(f"{status}: {detail}")
        self.status = status
        type_, usual = _STANDARD.get(
            status, _SERVER_ERROR if status >= HTTPStatus.INTERNAL_SERVER_ERROR else _CLIENT_ERROR
        )
        self.violation = Violation(code=code or usual, detail=detail, type=type_)


def invalid(detail: str, *, code: str = "invalid") -> ProblemError:
    """Returns the error for a request that is wrong as a whole."""
    return ProblemError(HTTPStatus.BAD_REQUEST, detail, code=code)


def trace_id(request: web.Request) -> str:
    """Returns the id of the request, which is the same in all its problems."""
    known: str | None = request.get(TRACE_ID)
    if known is None:
        known = request[TRACE_ID] = str(uuid.uuid4())
    return known


def problem(request: web.Request, violation: Violation, *, instance: str | None = None) -> dict[str, str]:
    """Returns the problem as JSON that fits both ``CommonProblem`` and ``AudienceError`` of OpenAPI.

    Args:
        request: The call that the problem belongs to.
        violation: What is wrong.
        instance: ``@data/N`` for an item of a bulk call; the path otherwise.
    """
    return {
        "traceId": trace_id(request),
        "type": violation.type,
        "code": violation.code,
        "instance": instance or request.path,
        "title": violation.code.replace("-", " ").capitalize(),
        "detail": violation.detail,
    }


_INT32 = range(-(2**31), 2**31)
_INT64 = range(-(2**63), 2**63)

Check = Callable[[object], bool]


def is_text(value: object) -> bool:
    """Returns whether the value is a string."""
    return isinstance(value, str)


def is_number(value: object) -> bool:
    """Returns whether the value is a number in JSON; in Python, `True` would be one."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_one_of(*words: str) -> Check:
    """Returns the check for a member of an enumeration."""
    return lambda value: isinstance(value, str) and value in words


def is_list_of(check: Check) -> Check:
    """Returns the check for a list whose items all pass another check."""
    return lambda value: isinstance(value, list) and all(map(check, value))


def is_set_of(check: Check) -> Check:
    """Returns the check for a list whose items all pass another check and are unique (``uniqueItems``)."""

    def is_set(value: object) -> bool:
        return isinstance(value, list) and all(map(check, value)) and len(set(value)) == len(value)

    return is_set


def is_integer(within: range) -> Check:
    """Returns the check for an integer within a range."""
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
    """Returns the value of a required field.

    Raises:
        ProblemError: 400, when it is missing.
    """
    if name not in parent:
        raise invalid(f"{name} is missing.", code="required-field")
    return parent[name]


def required_object(parent: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Returns the object in a required field.

    Raises:
        ProblemError: 400, when it is missing or not an object.
    """
    value = required(parent, name)
    if not isinstance(value, dict):
        raise invalid(f"{name} must be an object.")
    return value


def required_value(parent: Mapping[str, Any], name: str, check: Check) -> Any:
    """Returns the value of a required field if it passes a check.

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
    """End a call on a single entity if there is a violation.

    Raises:
        ProblemError: 400.
    """
    if violation is not None:
        raise ProblemError(400, violation.detail, code=violation.code)
