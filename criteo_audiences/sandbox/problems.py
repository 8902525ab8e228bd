"""Problems as Criteo words them: a category, a code, and an id that ties them to a request.

No message here may quote what the caller sent: it could be an identifier.
"""

import uuid
from collections.abc import Mapping
from http import HTTPStatus

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
    """A rule that a request broke, before it is known which request that was."""

    code: str
    detail: str
    type: str = "validation"


class ProblemError(Exception):
    """Ends the handling of a call with a problem instead of a result.

    Args:
        status: HTTP status of the answer.
        detail: A sentence for the reader, free of anything the caller sent.
        code: Criteo's word for the problem; the usual one of the status when left out.
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
    """Returns the id of the request, one and the same in all its problems."""
    known: str | None = request.get(TRACE_ID)
    if known is None:
        known = request[TRACE_ID] = str(uuid.uuid4())
    return known


def problem(request: web.Request, violation: Violation, *, instance: str | None = None) -> dict[str, str]:
    """Returns the problem as JSON: a ``CommonProblem`` and an ``AudienceError`` of OpenAPI at once.

    Args:
        request: The call that it belongs to.
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
