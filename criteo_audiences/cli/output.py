"""How a command speaks and ends: standard streams made safe to use, the report of an upload, and the exit code."""

import datetime as dt
import io
import math
import os
import sys
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from enum import IntEnum
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TextIO, cast

import orjson
from attrs import evolve, frozen
from rich.cells import cell_len

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
    live_from,
)
from criteo_audiences.cli.options import in_option_spelling
from criteo_audiences.errors import lacks_descriptors
from criteo_audiences.rendering import printable

if TYPE_CHECKING:
    from criteo_audiences import CriteoClient, Problem, Quota, UploadReport


_RED: Final = "\x1b[1;31m"
_GREEN: Final = "\x1b[1;32m"
_PLAIN: Final = "\x1b[0m"
_LISTEN_EVERY: Final = 0.05
_JSON: Final = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE


class _Outlet(io.FileIO):
    """A standard stream whose reader may leave early, as `head` does: what is written after that goes nowhere."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            return memoryview(data).nbytes


def open_streams() -> None:
    """Lets the standard streams tolerate what a shell may do with them.

    One that is closed becomes the null device, so that no file or connection takes its place; a reader that leaves
    early ends no upload; a character that the terminal's encoding lacks is written as an escape.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r+", encoding="utf-8"))  # noqa: SIM115, PTH123 - stays open to the end
        elif number and sys.platform != "win32":
            setattr(sys, name, _bearing(getattr(sys, name), number))


def _bearing(stream: io.TextIOWrapper, number: int) -> io.TextIOWrapper:
    stream.flush()
    buffer = io.BufferedWriter(_Outlet(number, "w", closefd=False))
    return io.TextIOWrapper(
        buffer, encoding=stream.encoding, errors="backslashreplace", line_buffering=stream.line_buffering
    )


def print_error(line: str) -> None:
    """Prints an error's line on standard error."""
    print(f"criteo-audiences: {line}", file=sys.stderr, flush=True)  # noqa: T201 - this is where a command speaks


def print_note(text: str) -> None:
    """Prints a line of what is going on, on standard error."""
    shown = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
    print(shown, file=sys.stderr, flush=True)  # noqa: T201 - this is where a command speaks


def print_result(text: str) -> None:
    """Prints a line of the result; a control character, which could fool a terminal, shows as a replacement."""
    print(printable(text).rstrip())  # noqa: T201 - this is where a command shows its result


def print_verdict(line: str, *, failed: bool = False) -> None:
    """Prints the last line of a report, in color where a terminal shows it; a failure goes to standard error."""
    sys.stdout.flush()  # the verdict comes last, also where both streams are one file
    stream = sys.stderr if failed else sys.stdout
    word, colon, rest = printable(line).partition(":")
    start, end = (_RED if failed else _GREEN, _PLAIN) if shows_color(stream) else ("", "")
    print(f"{start}{word}{end}{colon}{rest}", file=stream, flush=failed)


def print_marked(ok: bool | None, text: str) -> None:
    """Prints a line of a check: `ok`, `FAIL`, or `note` for what works and could be better."""
    word, color = {True: ("ok", _GREEN), False: ("FAIL", _RED), None: ("note", "")}[ok]
    mark = f"{color}{word:<4}{_PLAIN}" if color and shows_color(sys.stdout) else f"{word:<4}"
    print(f"{mark}  {printable(text)}")  # noqa: T201 - see above


def shows_color(stream: TextIO) -> bool:
    """Whether a stream is a terminal that shows color, and its user wants it (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") not in {"dumb", "unknown"}


def print_table(*rows: Sequence[str | None]) -> None:
    """Prints rows in columns as wide as their widest cell, never wrapped, so that `grep` and `cut` can read them."""
    cells = [[cell or "" for cell in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        print_result("  ".join(cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)))


def print_json(document: dict[str, Any]) -> None:
    """Prints the one document of `--json`, which is UTF-8 whatever the terminal's encoding.

    A name that is no UTF-8 shows escapes in place of its bytes.
    """
    try:
        written = orjson.dumps(document, option=_JSON)
    except orjson.JSONEncodeError:
        written = orjson.dumps(_encodable(document), option=_JSON)
    sys.stdout.flush()
    sys.stdout.buffer.write(written)


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, Mapping):
        return {_encodable(key): _encodable(each) for key, each in value.items()}
    return [_encodable(each) for each in value] if isinstance(value, list | tuple) else value


def flush() -> OSError | None:
    """Hands over what was printed; returns the error when it cannot be written, and drops it then."""
    try:
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return error
    return None


def read_content(path: str, most: int) -> bytes:
    """Returns what a file, a pipe or standard input (`-`) holds, or its beginning, one byte longer than allowed.

    A thread reads it. A Ctrl-C that comes right before a read that waits would otherwise be seen after it only.

    Args:
        path: names it.
        most: bytes that are allowed.

    Raises:
        OSError, ValueError: when it cannot be read.
    """
    done: SimpleQueue[bytes | Exception] = SimpleQueue()

    def read() -> None:
        try:
            with _opened(path) as opened:
                done.put(_beginning(opened, most + 1))
        except (OSError, ValueError) as error:
            done.put(error)

    Thread(target=read, daemon=True).start()
    while True:
        with suppress(Empty):
            content = done.get(timeout=_LISTEN_EVERY)
            if isinstance(content, Exception):
                raise content
            return content


def _opened(path: str) -> BinaryIO:
    """Opens it without a buffer, whose lock the interpreter would want at its end while a read waits."""
    if path != "-":
        return cast("BinaryIO", Path(path).open("rb", buffering=0))
    try:
        return cast("BinaryIO", io.FileIO(sys.stdin.fileno(), closefd=False))
    except io.UnsupportedOperation:  # a program has put a stream of its own there
        return io.BytesIO(sys.stdin.buffer.read())


def _beginning(opened: BinaryIO, size: int) -> bytes:
    content = bytearray()
    while len(content) < size and (piece := opened.read(size - len(content))):
        content += piece
    return bytes(content)


_MINUTE: Final = 60


@frozen(kw_only=True)
class QuotaPlan:
    """An upload that is not made yet.

    Attributes:
        calls: that it takes, if none has to be repeated.
        quota: calls that the login may make.
        assumed: whether the quota is a guess, because there is no login.
    """

    calls: int
    quota: "Quota"
    assumed: bool

    @classmethod
    def of(cls, criteo: "CriteoClient", calls: int, *, assumed: bool) -> "QuotaPlan":
        """Returns the plan of so many calls by a client, of whose quota the server may have announced the number."""
        from criteo_audiences import Quota  # noqa: PLC0415 - `--help` does without

        quota, announced = criteo.quota or Quota(), criteo.rate_limit
        if announced is not None and announced.limit:
            quota = evolve(quota, calls=announced.limit)
        return cls(calls=calls, quota=quota, assumed=assumed)

    @property
    def seconds(self) -> float:
        """Seconds before the last call may start: a window may be spent at once, and then comes the next."""
        return max(0, math.ceil(self.calls / self.quota.calls) - 1) * self.quota.period

    def cost(self) -> str:
        """Says what an upload would take of the quota."""
        calls = "1 call" if self.calls == 1 else f"{self.calls:,} calls"
        wait = f"at least {self.seconds / _MINUTE:,.0f} min" if self.seconds else "no wait"
        return f"It would take {calls}: {wait} under a quota of {self.quota.calls:,} a minute."

    def forecast(self, now: dt.datetime) -> str:
        """Says when the last call could go out, and whose quota that is counted with."""
        if self.assumed:
            why = f"assuming {self.quota.calls:,} calls a minute, since no credentials are set"
        else:
            why = f"the login's quota is {self.quota.calls:,} calls a minute"
        return f"Started now, its last call could go out {self._moment(now)}: {why}."

    def live(self, now: dt.datetime) -> str:
        """Says when all of it would be live."""
        return f"Sent now, it would be live from about {live_from(self._earliest(now)):%Y-%m-%d %H:%M} UTC."

    def _moment(self, now: dt.datetime) -> str:
        if not self.seconds:
            return "at once"
        return f"at {self._earliest(now):%Y-%m-%d %H:%M} UTC at the earliest"

    def _earliest(self, now: dt.datetime) -> dt.datetime:
        return now.astimezone(dt.UTC) + dt.timedelta(seconds=self.seconds)

    def to_dict(self, now: dt.datetime) -> dict[str, Any]:
        """Returns JSON-safe values."""
        return {
            "calls": self.calls,
            "calls_a_window": self.quota.calls,
            "window_seconds": self.quota.period,
            "quota_assumed": self.assumed,
            "seconds": self.seconds,
            "earliest_last_call": self._earliest(now).isoformat(timespec="seconds"),
            "live_from": live_from(self._earliest(now)).isoformat(),
        }


def print_report(report: "UploadReport", plan: QuotaPlan | None = None) -> None:
    """Prints what `str(report)` says but for its verdict, which comes last of all; and the plan of a dry run."""
    for line in str(report).splitlines()[:-1]:
        print_result(in_option_spelling(line) if line == report.hint else line)
    if plan is not None:
        print_result(plan.cost())
        if plan.seconds or plan.assumed:  # otherwise that has said it all
            print_result(plan.forecast(dt.datetime.now(dt.UTC)))
        if plan.calls and not report.window_warning:
            print_result(plan.live(dt.datetime.now(dt.UTC)))


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
