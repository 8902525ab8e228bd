"""The exceptions; the class of an exception shows what the caller can do.

```
CriteoError
├── TransportError              no answer came
│   ├── ConnectError            no connection: no part of the last request was sent
│   └── RequestTimeout          no progress for too long: whether Criteo applied the call is not known
├── ResponseError               an answer: .status .problems .trace_id
│   ├── AuthenticationError     401: wrong or expired credentials; 400 if the token endpoint refuses a login
│   ├── PermissionDeniedError   403: the application or the user may not do this
│   ├── NotFoundError           404: no such segment, account or path
│   ├── InvalidRequestError     any other 4xx
│   │   ├── ApiVersionGoneError    410: this API version has ended
│   │   └── PayloadTooLargeError   413: the body is too large
│   ├── RateLimitExceeded       429: .rate_limit
│   └── ServerError             5xx, from Criteo or a gateway: Criteo may have applied the call
├── InvalidResponseError        an answer that cannot be read: .paths, never values
├── PartialFailureError         a 200 with problems where one result was required: .receipt, if there was one
├── UploadFailedError           from report.raise_for_failures(): counts, codes, .report
├── ErasureFailedError          from receipt.raise_for_failures(): counts, the receipt
├── QuotaWaitError              the quota would make a call wait longer than max_quota_wait
│   └── WindowMissedError       the quota keeps an upload from ending before Criteo's next computation: .window
├── JournalError                a journal that is locked, of another job, or damaged
├── SnapshotError               a snapshot that is in use, damaged, of something else, or not the newest
├── MirrorRefusedError          a mirror that would remove too much: .added .removed .unchanged
├── SourceChangedError          a file that changed while it was read
├── SegmentMismatchError        a segment of another owner or kind, or read-only: .differences
├── ConfigurationError          wrong or missing settings, before anything is sent
└── InvalidIdentifierError      also a ValueError; never contains the identifier
```

No message contains an identifier, a token or a secret. A problem's `title` and `detail`, which may echo one, are
attributes only, unless the call carries no identifiers.
"""

import datetime as dt
import errno
import os
from collections.abc import Sequence
from typing import Any, ClassVar, Final

from criteo_audiences.models import Problem, RateLimit, printable_trace_id

# Statuses by which Criteo itself says that it did nothing. After any other error status, the call may have been
# applied: 408 and 5xx may come from gateways, which may have forwarded the call before they gave up, and other statuses
# do not reveal what became of the call (RFC 9110 §15.5, §15.6).
_REFUSALS: Final = frozenset({400, 401, 403, 404, 410, 413, 429})


_OF_TOKENS: Final = {
    "authorization-token-expired": (
        "The token has expired: give a fresh one, or a login that renews its tokens, such as ClientCredentials."
    ),
    "authorization-token-invalid": "Criteo did not issue this token: check where it comes from, and the base URL.",
    "authorization-token-missing": "The call had no token: check what your token source returns.",
}


class CriteoError(Exception):
    """The base class of every exception that this library raises on purpose.

    Attributes:
        outcome_unknown: whether Criteo may have applied the failed call: one of its requests got no answer, or an
            answer that does not exclude it.
        ends_upload: whether every further batch of an upload would fail the same way, so that it stops.
    """

    outcome_unknown: bool = False
    ends_upload: bool = False

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles the state, so that an error can cross process boundaries whatever arguments its constructor takes."""
        return _restore, (type(self), self.args, self.__dict__)


def _restore(kind: type[CriteoError], args: tuple[Any, ...], state: dict[str, Any]) -> CriteoError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(state)
    return error


class TransportError(CriteoError):
    """No answer came: the connection broke, so whether Criteo applied the call is not known."""

    outcome_unknown = True


class ConnectError(TransportError):
    """No connection could be made: no part of the last request was sent.

    `outcome_unknown` says whether an earlier request of the call may have been applied.

    Attributes:
        passing: whether the cause may go away by itself. An untrusted certificate or a proxy that requires a password
            does not, so the call is not repeated.
    """

    outcome_unknown = False

    def __init__(self, message: str = "", *, passing: bool = True) -> None:
        self.passing = passing
        self.ends_upload = not passing
        super().__init__(message)


class RequestTimeout(TransportError):  # noqa: N818 - the promised public name
    """Nothing moved for `timeout` seconds, or the call's deadline passed.

    `outcome_unknown` is false if all requests before were refused (429): then Criteo certainly did not apply the call.
    """


class ResponseError(CriteoError):
    """Criteo answered with an error status.

    Attributes:
        status: the HTTP status.
        problems: the errors the answer listed.
        warnings: the warnings it listed, which include failed items of Retail Media and Commerce Grid.
        trace_id: Criteo's correlation id, or `None`.
        retry_after: seconds the server asked to wait, or `None`.
    """

    advice: ClassVar[str] = ""

    def __init__(
        self,
        status: int,
        problems: Sequence[Problem] = (),
        *,
        warnings: Sequence[Problem] = (),
        what: str = "Criteo answered",
        trace_id: str | None = None,
        retry_after: float | None = None,
        advice: str | None = None,
    ) -> None:
        self.status = status
        self.problems = tuple(problems)
        self.warnings = tuple(warnings)
        self.trace_id = trace_id or next((p.trace_id for p in (*self.problems, *self.warnings) if p.trace_id), None)
        self.retry_after = retry_after
        self.outcome_unknown = status not in _REFUSALS
        told = self.problems or tuple(problem for problem in self.warnings if problem.is_failure)
        super().__init__(describe(f"{what} HTTP {status}", told, self.trace_id, advice or self._advised()))

    def _advised(self) -> str:
        """Returns advice on what the caller can do."""
        return self.advice

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes of the errors and of the warnings, in order."""
        return tuple(problem.code for problem in (*self.problems, *self.warnings) if problem.code)


class AuthenticationError(ResponseError):
    """401: the credentials or the token were refused; 400 when the token endpoint refused a code or a refresh token."""

    advice = "Check the client id and the client secret of the application."

    def _advised(self) -> str:
        """Returns advice. A refused token does not imply a wrong login, since tokens expire after 15 minutes."""
        return next((_OF_TOKENS[code] for code in self.codes if code in _OF_TOKENS), self.advice)


class PermissionDeniedError(ResponseError):
    """403: the application or the consenting user may not do this."""

    ends_upload = True
    advice = (
        "Check that the application has the Audiences permission (Manage) and consent for this advertiser; a user who "
        "has revoked it must consent again (AuthorizationCode.consent_url)."
    )


class NotFoundError(ResponseError):
    """404: there is no such segment, account or path."""

    ends_upload = True
    advice = "Check the id, and that the application has access to its owner."


class InvalidRequestError(ResponseError):
    """Any other 4xx: Criteo refused what was sent."""


class ApiVersionGoneError(InvalidRequestError):
    """410: this API version has been decommissioned."""

    ends_upload = True
    advice = "This API version has ended: choose a newer api_version."


class PayloadTooLargeError(InvalidRequestError):
    """413: the body is larger than Criteo takes."""

    advice = "Use a smaller batch_size."


class RateLimitExceeded(ResponseError):  # noqa: N818 - the promised public name
    """429: the quota is used up.

    Attributes:
        rate_limit: what the answer's headers announced, or `None`.
    """

    advice = "Wait for the next window, or leave the waiting to the client's rate limiter."

    def __init__(
        self,
        status: int = 429,
        problems: Sequence[Problem] = (),
        *,
        rate_limit: RateLimit | None = None,
        what: str = "Criteo answered",
        trace_id: str | None = None,
        retry_after: float | None = None,
        advice: str | None = None,
    ) -> None:
        self.rate_limit = rate_limit
        super().__init__(status, problems, what=what, trace_id=trace_id, retry_after=retry_after, advice=advice)


class ServerError(ResponseError):
    """5xx: Criteo or a gateway failed, maybe after the call was applied; the call is repeated if that does no harm."""

    advice = "Criteo has a fault or is overloaded: try again later."


class InvalidResponseError(CriteoError):
    """An answer that cannot be read.

    Attributes:
        paths: the errors, with their places by names on the wire: `expected text @ $.data[0].id`; never a value.
        status: the HTTP status of the answer, `None` if unknown.
    """

    outcome_unknown = True

    def __init__(self, paths: Sequence[str], *, status: int | None = None) -> None:
        self.paths = tuple(paths)
        self.status = status
        listed = "; ".join(self.paths[:5]) + ("; …" if len(self.paths) > 5 else "")  # noqa: PLR2004 - enough to see
        answered = f"Criteo's answer (HTTP {status})" if status else "Criteo's answer"
        super().__init__(f"{answered} cannot be read: {listed}.")


class PartialFailureError(CriteoError):
    """A 200 with problems where exactly one result was required.

    Attributes:
        problems: the problems the answer listed.
        trace_id: Criteo's correlation id, or `None`.
        receipt: the result that came with the problems, such as a `ContactListOperation` or the `Page` of a search;
            `None` without one.
    """

    def __init__(
        self,
        problems: Sequence[Problem],
        *,
        what: str = "Criteo answered HTTP 200 with problems",
        receipt: Any = None,
    ) -> None:
        self.problems = tuple(problems)
        self.receipt = receipt
        self.trace_id = next((p.trace_id for p in self.problems if p.trace_id), None)
        super().__init__(describe(what, self.problems, self.trace_id, ""))


class UploadFailedError(CriteoError):
    """An upload that did not end well, raised by `report.raise_for_failures()`.

    Attributes:
        report: the `UploadReport`.
    """

    def __init__(self, message: str, *, report: Any) -> None:
        self.report = report
        super().__init__(message)


class ErasureFailedError(CriteoError):
    """An erasure that did not end well, raised by `receipt.raise_for_failures()`.

    Attributes:
        receipt: the `ErasureReceipt`.
    """

    def __init__(self, message: str, *, receipt: Any) -> None:
        self.receipt = receipt
        super().__init__(message)


class QuotaWaitError(CriteoError):
    """The quota would make a call wait longer than `max_quota_wait`, or a 429 longer than the deadline of a call.

    Attributes:
        wait: seconds the call would have to wait.
    """

    def __init__(self, wait: float, longest: float, *, what: str = "max_quota_wait") -> None:
        self.wait = wait
        super().__init__(
            f"The quota would make this call wait {wait:.1f} s, longer than {what}={longest:g} s. "
            f"Try again later or raise {what}."
        )


class WindowMissedError(QuotaWaitError):
    """The quota keeps an upload with `deadline="next-window"` from ending in time; nothing of it was sent.

    Attributes:
        wait: seconds until its last call could be sent.
        window: the time of the computation that it would miss.
    """

    def __init__(self, found: str, wait: float, window: dt.datetime) -> None:
        CriteoError.__init__(
            self, f"{found}. Nothing was sent, because deadline='next-window': start it earlier, or leave that out."
        )
        self.wait = wait
        self.window = window


class JournalError(CriteoError):
    """A journal that is locked, belongs to another job, or is damaged."""


class SnapshotError(CriteoError):
    """A snapshot of a mirrored list that is missing, in use, damaged, or of another list."""


class MirrorRefusedError(CriteoError):
    """A mirror that would empty a list, or remove more of it than `max_removals` allows; nothing was sent.

    Attributes:
        added: identifiers that it would have added.
        removed: identifiers that it would have removed.
        unchanged: identifiers that it would have kept.
    """

    def __init__(self, message: str, *, added: int, removed: int, unchanged: int) -> None:
        self.added = added
        self.removed = removed
        self.unchanged = unchanged
        super().__init__(message)


class SourceChangedError(CriteoError):
    """A source that changed while it was read: the file that was checked is not the file that was read."""


class SegmentMismatchError(CriteoError):
    """A segment that is not as requested; no identifier was sent to it.

    Attributes:
        segment_id: the segment.
        differences: the differences from the requested segment, a clause each.
    """

    def __init__(self, segment_id: str, differences: Sequence[str], *, way_out: str = "Nothing was sent.") -> None:
        self.segment_id = segment_id
        self.differences = tuple(differences)
        super().__init__(f"Segment {segment_id} {'; it '.join(self.differences)}. {way_out}")


class ConfigurationError(CriteoError):
    """Wrong or missing settings, found before anything was sent."""


class InvalidIdentifierError(CriteoError, ValueError):
    """A value that is not an identifier of its kind; the message never contains the value.

    Attributes:
        reason: why, as a word such as `no_at_sign`.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"Not a valid identifier: {reason.replace('_', ' ')}.")


def describe(what: str, problems: Sequence[Problem], trace_id: str | None = None, advice: str = "") -> str:
    """Returns an answer's problems as one sentence: codes, items, the trace id, and the texts that may be shown."""
    shown = 3
    listed = ", ".join(str(problem) for problem in problems[:shown])
    more = f" and {len(problems) - shown} more" if len(problems) > shown else ""
    trace = printable_trace_id(trace_id)
    sentence = what + (f": {listed}{more}" if listed else "") + (f" (trace {trace})" if trace else "") + "."
    return f"{sentence} {advice}" if advice else sentence


NO_DESCRIPTORS: Final = "this process has no file descriptors left; raise the limit (ulimit -n)"
TOO_MANY_FILES: Final = os.strerror(errno.EMFILE)  # the message of other libraries, such as the engine
_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE})


def lacks_descriptors(error: BaseException | None) -> bool:
    """Whether an exception stems from a lack of file descriptors."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _EXHAUSTED:
            return True
        error = error.__cause__
    return False


def has_descriptors() -> bool:
    """Whether this process can open another file; explains failures that do not give a reason."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return not lacks_descriptors(error)
    return True
