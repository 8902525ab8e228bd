import copy
import datetime as dt
import inspect
import pickle
import re
from typing import Any

import pytest

from criteo_audiences import errors
from criteo_audiences.errors import (
    ApiVersionGoneError,
    AuthenticationError,
    ConfigurationError,
    ConnectError,
    CriteoError,
    ErasureFailedError,
    InvalidIdentifierError,
    InvalidRequestError,
    InvalidResponseError,
    JournalError,
    MirrorRefusedError,
    NotFoundError,
    PartialFailureError,
    PayloadTooLargeError,
    PermissionDeniedError,
    QuotaWaitError,
    RateLimitExceeded,
    RequestTimeout,
    ResponseError,
    SegmentMismatchError,
    ServerError,
    SnapshotError,
    SourceChangedError,
    TransportError,
    UploadFailedError,
    WindowMissedError,
)
from criteo_audiences.models import Problem, RateLimit

PROBLEMS = (
    Problem(code="name-must-be-unique", instance="@data/1", trace_id="trace-1", title="t", detail="d"),
    Problem(code="other", trace_id="trace-2"),
)

TREE = {
    TransportError: CriteoError,
    ConnectError: TransportError,
    RequestTimeout: TransportError,
    ResponseError: CriteoError,
    AuthenticationError: ResponseError,
    PermissionDeniedError: ResponseError,
    NotFoundError: ResponseError,
    InvalidRequestError: ResponseError,
    ApiVersionGoneError: InvalidRequestError,
    PayloadTooLargeError: InvalidRequestError,
    RateLimitExceeded: ResponseError,
    ServerError: ResponseError,
    InvalidResponseError: CriteoError,
    PartialFailureError: CriteoError,
    UploadFailedError: CriteoError,
    ErasureFailedError: CriteoError,
    QuotaWaitError: CriteoError,
    WindowMissedError: QuotaWaitError,
    JournalError: CriteoError,
    SnapshotError: CriteoError,
    MirrorRefusedError: CriteoError,
    SourceChangedError: CriteoError,
    SegmentMismatchError: CriteoError,
    ConfigurationError: CriteoError,
    InvalidIdentifierError: CriteoError,
}

EXAMPLES: list[CriteoError] = [
    CriteoError("x"),
    TransportError("x"),
    ConnectError("x"),
    RequestTimeout("x"),
    ResponseError(418, PROBLEMS, retry_after=5.0),
    AuthenticationError(401, PROBLEMS),
    PermissionDeniedError(403, trace_id="trace-9"),
    NotFoundError(404),
    InvalidRequestError(400, PROBLEMS, advice="Do this."),
    ApiVersionGoneError(410),
    PayloadTooLargeError(413),
    RateLimitExceeded(rate_limit=RateLimit(limit=250, remaining=0), retry_after=3.0),
    ServerError(503),
    InvalidResponseError(["required field missing @ $.data"], status=200),
    PartialFailureError(PROBLEMS),
    UploadFailedError("x", report={"sent": 1}),
    ErasureFailedError("x", receipt={"ok": False}),
    QuotaWaitError(61.0, 5.0),
    WindowMissedError("x", 61.0, dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)),
    JournalError("x"),
    SnapshotError("x"),
    MirrorRefusedError("x", added=1, removed=2, unchanged=3),
    SourceChangedError("x"),
    SegmentMismatchError("5", ["is no contact list", "is read-only"]),
    ConfigurationError("x"),
    InvalidIdentifierError("no_at_sign"),
]


def pickled(value: Any) -> Any:
    """Returns what comes back from a pickle."""
    return pickle.loads(pickle.dumps(value))  # noqa: S301 - our own


def classes() -> set[type[CriteoError]]:
    """Returns the exceptions that the module defines."""
    return {
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if kind.__module__ == errors.__name__ and issubclass(kind, BaseException)
    }


def test_tree_is_as_promised() -> None:
    """Each exception hangs where the design has it, and there is no other."""
    assert {kind: kind.__bases__[0] for kind in classes() - {CriteoError}} == TREE
    assert CriteoError.__bases__ == (Exception,)
    assert issubclass(InvalidIdentifierError, ValueError)


def test_tree_is_drawn_in_the_docstring() -> None:
    """The module's docstring draws every exception at its depth."""
    drawn = {}
    for line in (errors.__doc__ or "").splitlines():
        if found := re.match(r"([│ ]*)[├└]── (\w+)", line):
            drawn[found[2]] = len(found[1]) // 4 + 1
    assert drawn == {
        kind.__name__: len(kind.__mro__) - len(CriteoError.__mro__) - issubclass(kind, ValueError) for kind in TREE
    }


def test_every_exception_has_an_example() -> None:
    """The tests below leave no exception out."""
    assert {type(example) for example in EXAMPLES} == classes()


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("remake", [pickled, copy.copy, copy.deepcopy])
def test_error_crosses_process_borders(error: CriteoError, remake: Any) -> None:
    """An error can be pickled and copied with everything it holds, whatever its constructor takes."""
    error.outcome_unknown = True
    error.__notes__ = ["a note"]
    again = remake(error)
    assert type(again) is type(error)
    assert (str(again), again.args, vars(again)) == (str(error), error.args, vars(error))
    assert again.outcome_unknown
    assert again.__notes__ == ["a note"]


@pytest.mark.parametrize(
    ("kind", "unknown"),
    [(TransportError, True), (RequestTimeout, True), (ConnectError, False), (ConfigurationError, False)],
)
def test_outcome_is_unknown_without_an_answer(kind: type[CriteoError], *, unknown: bool) -> None:
    """A request without an answer has an unknown outcome, one that was never sent has not."""
    assert kind("x").outcome_unknown is unknown


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ResponseError(418), "Criteo answered HTTP 418."),
        (
            InvalidRequestError(400, PROBLEMS),
            "Criteo answered HTTP 400: name-must-be-unique at @data/1, other (trace trace-1).",
        ),
        (InvalidRequestError(400, advice="Do this."), "Criteo answered HTTP 400. Do this."),
        (
            AuthenticationError(401),
            "Criteo answered HTTP 401. Check the client id and the client secret of the application.",
        ),
        (
            PermissionDeniedError(403, trace_id="trace-9"),
            (
                "Criteo answered HTTP 403 (trace trace-9). "
                "Check that the application has the Audiences permission (Manage) and consent for this advertiser; a user who has revoked it must consent again (AuthorizationCode.consent_url)."
            ),
        ),
        (
            NotFoundError(404),
            "Criteo answered HTTP 404. Check the id, and that the application has access to its owner.",
        ),
        (
            ApiVersionGoneError(410),
            "Criteo answered HTTP 410. This API version has ended: choose a newer api_version.",
        ),
        (PayloadTooLargeError(413), "Criteo answered HTTP 413. Use a smaller batch_size."),
        (
            RateLimitExceeded(),
            "Criteo answered HTTP 429. Wait for the next window, or leave the waiting to the client's rate limiter.",
        ),
        (ServerError(503), "Criteo answered HTTP 503. Criteo has a fault or is overloaded: try again later."),
        (
            PartialFailureError(PROBLEMS),
            "Criteo answered HTTP 200 with problems: name-must-be-unique at @data/1, other (trace trace-1).",
        ),
        (InvalidResponseError(["a @ $.x"]), "Criteo's answer cannot be read: a @ $.x."),
        (
            InvalidResponseError(["a @ $"] * 5, status=200),
            "Criteo's answer (HTTP 200) cannot be read: " + "; ".join(["a @ $"] * 5) + ".",
        ),
        (InvalidResponseError(["a @ $"] * 6), "Criteo's answer cannot be read: " + "; ".join(["a @ $"] * 5) + "; …."),
        (InvalidIdentifierError("no_at_sign"), "Not a valid identifier: no at sign."),
    ],
)
def test_message_is_one_clear_sentence(error: CriteoError, message: str) -> None:
    """A message says what happened, with code, item and trace id, and what to do."""
    assert str(error) == message


def test_response_error_tells_its_parts() -> None:
    """An error answer's status, problems, codes and trace id are attributes."""
    error = InvalidRequestError(400, list(PROBLEMS), retry_after=7.0)
    assert (error.status, error.problems, error.codes) == (400, PROBLEMS, ("name-must-be-unique", "other"))
    assert (error.trace_id, error.retry_after) == ("trace-1", 7.0)
    assert ResponseError(400, PROBLEMS, trace_id="given").trace_id == "given"


def test_trace_id_out_of_shape_is_not_in_the_message() -> None:
    """A trace id that is none stays an attribute."""
    error = ServerError(500, [Problem(trace_id="john.doe@example.com")])
    assert "john.doe" not in f"{error} {error!r}"
