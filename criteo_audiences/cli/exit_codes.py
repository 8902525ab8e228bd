"""How a command ends: its exit code, and the one line that says why."""

from collections.abc import Collection
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from criteo_audiences import (
    ApiVersionGoneError,
    AuthenticationError,
    ConfigurationError,
    CriteoError,
    InvalidRequestError,
    JournalError,
    MirrorRefusedError,
    NotFoundError,
    PartialFailureError,
    PayloadTooLargeError,
    PermissionDeniedError,
    QuotaWaitError,
    RateLimitExceeded,
    SegmentMismatchError,
    ServerError,
    SnapshotError,
    SourceChangedError,
    TransportError,
)
from criteo_audiences.cli.options import in_option_spelling
from criteo_audiences.errors import lacks_descriptors

if TYPE_CHECKING:
    from criteo_audiences import Problem, UploadReport

_UNKNOWN: Final = ("-not-found", "-has-not-been-found")


class Exit(IntEnum):
    """The exit codes, explained in docs/reference/errors.md."""

    OK = 0
    BUG = 1
    USAGE = 2
    FILE = 3
    CREDENTIALS = 4
    PERMISSION = 5
    SEGMENT = 6
    INCOMPLETE = 7
    OUTAGE = 8
    INTERRUPTED = 130  # 128 and the number of SIGINT, as shells have it
    TERMINATED = 143  # and of SIGTERM


# The first class that fits decides.
_EXITS: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], Exit], ...] = (
    (ConfigurationError, Exit.USAGE),
    (AuthenticationError, Exit.CREDENTIALS),
    (PermissionDeniedError, Exit.PERMISSION),
    ((ApiVersionGoneError, PayloadTooLargeError), Exit.USAGE),
    ((NotFoundError, InvalidRequestError, SegmentMismatchError), Exit.SEGMENT),
    ((TransportError, ServerError, RateLimitExceeded, QuotaWaitError), Exit.OUTAGE),
    ((JournalError, SnapshotError, SourceChangedError), Exit.FILE),
    (CriteoError, Exit.INCOMPLETE),
    (OSError, Exit.FILE),
)


def exit_for(error: BaseException) -> Exit:
    """Returns the exit code, which says who can do something about it."""
    if isinstance(error, PartialFailureError) and _say_unknown(error.problems):
        return Exit.SEGMENT
    return next((code for kinds, code in _EXITS if isinstance(error, kinds)), Exit.BUG)


def exit_for_problems(problems: "Collection[Problem]", *, done: bool) -> Exit:
    """Returns the exit code of a call about many items that did not do all of them.

    Args:
        problems: of the items that failed.
        done: whether others may be done.
    """
    return Exit.SEGMENT if not done and _say_unknown(problems) else Exit.INCOMPLETE


def _say_unknown(problems: "Collection[Problem]") -> bool:
    """Whether all that is wrong is that there is no such segment or audience; Criteo has several codes for that."""
    return bool(problems) and all((problem.code or "").endswith(_UNKNOWN) for problem in problems)


def first_error(report: "UploadReport") -> CriteoError | None:
    """Returns the error of the batch that failed first, when nothing happened at all and no deadline was why."""
    decides = report.failures and not report.valid and not report.deadline_passed and report.cleared is False
    return report.failures[0].error if decides else None


def exit_for_report(report: "UploadReport") -> Exit:
    """Returns the exit code of an upload that ran to its end.

    An upload of which nothing arrived ends like the call that failed first; one of which something did is incomplete,
    and so is one whose list was cleared first, or may have been.
    """
    if report.ok:
        return Exit.OK
    error = first_error(report)
    return Exit.INCOMPLETE if error is None else exit_for(error)


def shortfall(report: "UploadReport") -> str:
    """Says in one line why an upload that ran to its end is not what was asked for."""
    error = first_error(report)
    return in_option_spelling(report.explain()) if error is None else one_line(error)


def one_line(error: BaseException) -> str:
    """Says in one line what went wrong; of a foreign exception only what is safe to show."""
    if isinstance(error, OSError) and lacks_descriptors(error):
        return "There are no file descriptors left for this process: raise the limit (ulimit -n)."
    if isinstance(error, FileNotFoundError) and error.filename:
        return f"There is no file {error.filename!r}."
    if isinstance(error, PermissionError):
        return f"The file {error.filename!r} may not be read; check its mode."
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"The file {error.filename!r} cannot be used: {error.strerror}."
    if isinstance(error, (CriteoError, OSError)):
        line = " ".join(str(error).split())
        return in_option_spelling(line) if isinstance(error, (ConfigurationError, MirrorRefusedError)) else line
    return f"Unexpected {type(error).__name__}; run again with --debug for a traceback."
