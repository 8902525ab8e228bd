"""Observes calls: counts them for an upload, reports to a callback and the log; never a body, token or identifier."""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import Enum, auto
from typing import Final, Literal, Protocol

from attrs import define, field, frozen

# CLOCK_MONOTONIC stands still on Linux while a laptop sleeps; a token that expired meanwhile would look valid.
_STEADY: Final = getattr(time, "CLOCK_BOOTTIME", None)


def steady() -> float:
    """Returns monotonic seconds, which include the time of a suspended machine if the system counts that."""
    return time.monotonic() if _STEADY is None else time.clock_gettime(_STEADY)


class CallEnd(Enum):
    """What a finished request reveals about the server's load."""

    ANSWERED = auto()
    FAILED = auto()
    """For a transient reason: the server may be overloaded."""
    SILENT = auto()
    """Nothing: the request was given up, or refused because of the quota (429)."""


class CallWatch(Protocol):
    """Follows the requests of a piece of work."""

    def began(self, meter: "CallMeter") -> None:
        """Called by the session right before it sends a request."""

    def ended(self, meter: "CallMeter", end: CallEnd) -> None:
        """Called by the session when the answer has arrived, or none will arrive."""

    def settled(self, meter: "CallMeter") -> None:
        """Called by the session after the last request of a call."""


_A_LOOK: Final = 1.0  # seconds between two samples of the bytes written
_LOOKS: Final = 30
_WAITS: Final = 0.25  # share of the bytes under way that must be unwritten for the line to count as the bottleneck
_LATE: Final = 0.25  # predicted further delay when the next bytes are late, as a share of the seconds since the last


@define(eq=False)
class Line:
    """Measures how fast bodies leave this machine, once they have to wait for the line to the server.

    The system buffers some bytes of each body at once and delivers them later. The estimate of these bytes is what was
    written before the first sample in excess of the pace since then; they still have to leave when all is written.

    Attributes:
        now: returns the time, in seconds.
        written: bytes handed to the system.
        unwritten: bytes of the bodies under way that were not yet handed to the system.
    """

    now: Callable[[], float]
    written: int = 0
    unwritten: int = 0
    _under_way: int = 0
    _bodies: int = 0
    _most: int = 0
    _begun: int = 0
    _size: int = 0
    _began: tuple[float, int] = (0.0, 0)
    _looks: deque[tuple[float, int]] = field(factory=lambda: deque(maxlen=_LOOKS))
    _held: float = 0.0
    _moved_at: float = 0.0

    def begin(self, size: int) -> None:
        """Records that a body of this many bytes is about to be written."""
        if not self._bodies:
            self._began, self._most = (self.now(), self.written), 0
        self._bodies += 1
        if self._bodies > self._most:  # the system now buffers bytes of one more body
            self._most = self._bodies
            self._looks.clear()
        self._begun, self._size = self._begun + 1, self._size + size
        self._under_way += size
        self.unwritten += size

    def write(self, size: int) -> None:
        """Records that this many bytes were written."""
        self.written += size
        self.unwritten -= size

    def end(self, size: int, unwritten: int) -> None:
        """Records that a body of this many bytes is no longer under way, and how many bytes were left to write."""
        self._bodies -= 1
        self._under_way -= size
        self.unwritten -= unwritten

    def seconds(self, bodies: float) -> float | None:
        """Returns the seconds until the bodies under way and some more have left; `None` if the line is no bottleneck.

        Args:
            bodies: how many bodies are still to come.
        """
        now = self.now()
        if self.unwritten and (self._looks or self.unwritten >= _WAITS * self._under_way):
            self._moved_at = now
            if not self._looks or now >= self._looks[-1][0] + _A_LOOK:
                self._looks.append((now, self.written))
        since, before = self._looks[0] if self._looks else (now, self.written)
        if not self._bodies or self._moved_at < since + _A_LOOK or self.written <= before:
            return None
        pace = (self.written - before) / (self._moved_at - since)
        if len(self._looks) < _LOOKS:
            began, already = self._began
            self._held = max(0.0, before - already - pace * (since - began))
        due = (max(0.0, bodies) * self._size / self._begun + self.unwritten + self._held) / pace
        idle = now - self._moved_at
        return None if idle > 2 * due + _A_LOOK else max(due - idle, _LATE * idle)


@define(eq=False)
class CallMeter:
    """A counter that an upload passes to its calls.

    Attributes:
        parent: the meter of the whole of which this is a part; it counts the same events again.
        calls: requests made, retries included.
        window: how many calls the quota allows, in how many seconds; `None` when that is not known.
        now: returns the time, in seconds, by the same clock as all times that are compared with the waits.
        watch: follows the requests.
        line: measures how fast the bodies of the whole leave.
        is_under_way: whether a request has been sent and has not ended.
        may_be_applied: whether a request may have been applied: it is under way, or its answer does not exclude it.
    """

    parent: "CallMeter | None" = None
    calls: int = 0
    window: tuple[int, float] | None = None
    now: Callable[[], float] = steady
    watch: CallWatch | None = None
    line: Line = field(init=False)
    is_under_way: bool = False
    may_be_applied: bool = False
    _waited: float = 0.0
    _waiting: int = 0
    _since: float = 0.0
    _body: tuple[int, int] | None = None

    @line.default
    def _line(self) -> Line:
        return Line(self.now) if self.parent is None else self.parent.line

    def count_call(self, size: int = 0) -> None:
        """Counts a request that is about to be made, with a body of `size` bytes."""
        self.calls += 1
        self.may_be_applied = True
        self._end_body()
        if size:
            self._body = size, size
            self.line.begin(size)
        if self.parent is not None:
            self.parent.count_call()
        if self.watch is not None:
            self.is_under_way = True
            self.watch.began(self)

    def count_written(self, size: int) -> None:
        """Counts bytes of the body that were written."""
        if self._body is not None:
            self._body = self._body[0], self._body[1] - size
            self.line.write(size)

    def _end_body(self) -> None:
        if self._body is not None:
            self.line.end(*self._body)
            self._body = None

    def count_end(self, end: CallEnd) -> None:
        """Counts the end of a request; does nothing when none is under way."""
        self._end_body()
        if self.watch is not None and self.is_under_way:
            self.is_under_way = False
            self.watch.ended(self, end)

    def settle(self) -> None:
        """Records that no more requests will be made."""
        self.count_end(CallEnd.SILENT)
        if self.watch is not None:
            self.watch.settled(self)

    def note_window(self, window: tuple[int, float] | None) -> None:
        """Remembers how many calls the quota allows, in how many seconds; `None` when that is not known."""
        self.window = window
        if self.parent is not None:
            self.parent.note_window(window)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Counts the time inside the block as a wait for the quota; calls that wait at the same time count once."""
        if self.parent is not None:
            with self.parent.waiting():
                yield
            return
        if not self._waiting:
            self._since = self.now()
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._waited += self.now() - self._since

    @property
    def waits(self) -> int:
        """Calls that wait at this moment."""
        return self._waiting

    @property
    def is_waiting(self) -> bool:
        """Whether a call waits at this moment."""
        return self._waiting > 0

    def waiting_for(self) -> float | None:
        """Returns the seconds since the present wait began; `None` when no call waits."""
        return self.now() - self._since if self._waiting else None

    def waited(self) -> float:
        """Returns the seconds so far during which at least one call waited."""
        return self._waited + (self.now() - self._since if self._waiting else 0.0)


EventName = Literal[
    "request.started",
    "request.completed",
    "request.retried",
    "request.failed",
    "request.canceled",
    "quota.waited",
    "upload.started",
    "upload.ended",
]


@frozen(kw_only=True)
class Event:
    """One step of a call, or the beginning or the end of an upload.

    Attributes:
        name: what happened.
        host: the host of the API.
        method: of a call: the HTTP method.
        path: of a call: the path template, such as `/marketing-solutions/audience-segments/create`.
        attempt: 1 for the first request of the call.
        size: of `request.started`: the bytes of the body.
        status: the HTTP status, once there is one.
        seconds: how long the step took (`quota.waited`: the wait; `request.retried`: the delay before the repeat).
        trace_id: Criteo's correlation id, if an answer had one.
        error: the class of the error that ended the attempt.
        upload_id: of an upload and its batches: the upload.
        segment_id: of an upload and its batches: the contact list.
        batch: of an upload's batch: its number, from 1.
        counts: of `upload.ended`: identifiers by outcome, in the words of the report.
        headers: of `request.started`: the callback may add the headers of a trace context here (`traceparent`,
            `tracestate`, `baggage`), in printable ASCII; the request carries them. Any others are left out.
    """

    name: EventName
    host: str = ""
    method: str = ""
    path: str = ""
    attempt: int = 1
    size: int | None = None
    status: int | None = None
    seconds: float | None = field(default=None, repr=lambda seconds: f"{seconds:.3f}" if seconds else repr(seconds))
    trace_id: str | None = None
    error: str | None = None
    upload_id: str | None = None
    segment_id: str | None = None
    batch: int | None = None
    counts: Mapping[str, int] | None = None
    headers: dict[str, str] = field(factory=dict, repr=False, eq=False)

    def __str__(self) -> str:
        shown = {key: value for key in _SHOWN if (value := getattr(self, key)) is not None and value != ""}
        return f"{self.name} " + " ".join(f"{key}={_short(value)}" for key, value in shown.items())


_SHOWN: Final = (
    "method",
    "path",
    "attempt",
    "status",
    "seconds",
    "trace_id",
    "error",
    "upload_id",
    "segment_id",
    "batch",
)
"""The fields of an event that the log shows."""


def _short(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


_LEVELS: Final = {
    "request.started": logging.DEBUG,
    "request.completed": logging.DEBUG,
    "request.retried": logging.INFO,
    "request.failed": logging.WARNING,
    "request.canceled": logging.DEBUG,
    "quota.waited": logging.INFO,
    "upload.started": logging.DEBUG,
    "upload.ended": logging.DEBUG,  # an upload logs its counts in a line of its own
}
_SESSION_LOG: Final = logging.getLogger("criteo_audiences.session")
_QUOTA_LOG: Final = logging.getLogger("criteo_audiences.quota")

logging.getLogger("criteo_audiences").addHandler(logging.NullHandler())

OnEvent = Callable[[Event], object]


def emit(event: Event, on_event: OnEvent | None) -> None:
    """Logs an event and passes it to the callback; the callback's errors are logged and end no call."""
    log = _QUOTA_LOG if event.name == "quota.waited" else _SESSION_LOG
    level = _LEVELS[event.name]
    if log.isEnabledFor(level):
        log.log(level, "%s", event)
    if on_event is None:
        return
    try:
        on_event(event)
    except Exception as error:  # noqa: BLE001 - an observer must not break what it observes
        log.error("on_event raised %s at %s", type(error).__name__, event.name)  # noqa: TRY400 - might show secrets
