"""Counts what a piece of work costs: requests, and the time the quota held it back."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum, auto
from typing import Final, Protocol

from attrs import define

# CLOCK_MONOTONIC stands still on Linux while a laptop sleeps; a token that expired meanwhile would look valid.
_STEADY: Final = getattr(time, "CLOCK_BOOTTIME", None)


def steady() -> float:
    """Returns seconds that only ever go forward, also while the machine is suspended where the system can tell."""
    return time.monotonic() if _STEADY is None else time.clock_gettime(_STEADY)


class CallEnd(Enum):
    """What the end of a request says of the server's load."""

    ANSWERED = auto()
    FAILED = auto()
    """For a passing reason: it may be too much for the server."""
    SILENT = auto()
    """Nothing: it was given up, or refused for the quota (429)."""


class CallWatch(Protocol):
    """Follows the requests of a piece of work."""

    def began(self, meter: "CallMeter") -> None:
        """Is told that a request is about to be sent."""

    def ended(self, meter: "CallMeter", end: CallEnd) -> None:
        """Is told that it came back, or will not."""

    def settled(self, meter: "CallMeter") -> None:
        """Is told that there will be no more of them."""


@define(eq=False)
class CallMeter:
    """A counter that an upload hands down to its calls.

    Attributes:
        parent: a meter that counts the same again, for the whole of which this is a part.
        calls: requests made, retries included.
        window: how many calls the quota allows, in how many seconds; `None` when that is not known.
        now: the time, in seconds: the same clock for all that is compared with the waits.
        watch: follows the requests.
        is_under_way: whether one has been sent and has not ended.
    """

    parent: "CallMeter | None" = None
    calls: int = 0
    window: tuple[int, float] | None = None
    now: Callable[[], float] = steady
    watch: CallWatch | None = None
    is_under_way: bool = False
    _waited: float = 0.0
    _waiting: int = 0
    _since: float = 0.0

    def count_call(self) -> None:
        """Counts a request that is about to be made."""
        self.calls += 1
        if self.parent is not None:
            self.parent.count_call()
        if self.watch is not None:
            self.is_under_way = True
            self.watch.began(self)

    def count_end(self, end: CallEnd) -> None:
        """Counts that a request has ended; does nothing when none is under way."""
        if self.watch is not None and self.is_under_way:
            self.is_under_way = False
            self.watch.ended(self, end)

    def settle(self) -> None:
        """Notes that no more requests will be made."""
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
        """Counts the time inside as waiting for the quota; calls that wait at the same time count once."""
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
