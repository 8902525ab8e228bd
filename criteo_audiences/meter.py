"""Counts what a piece of work costs: requests, and the time the quota held it back."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from attrs import define

# CLOCK_MONOTONIC stands still on Linux while a laptop sleeps; a token that expired meanwhile would look valid.
_STEADY: Final = getattr(time, "CLOCK_BOOTTIME", None)


def steady() -> float:
    """Returns seconds that only ever go forward, also while the machine is suspended where the system can tell."""
    return time.monotonic() if _STEADY is None else time.clock_gettime(_STEADY)


@define
class CallMeter:
    """A counter that an upload hands down to its calls.

    Attributes:
        parent: a meter that counts the same again, for the whole of which this is a part.
        calls: requests made, retries included.
        window: how many calls the quota allows, in how many seconds; `None` when that is not known.
        now: the time, in seconds: the same clock for all that is compared with the waits.
    """

    parent: "CallMeter | None" = None
    calls: int = 0
    window: tuple[int, float] | None = None
    now: Callable[[], float] = steady
    _waited: float = 0.0
    _waiting: int = 0
    _since: float = 0.0

    def count_call(self) -> None:
        """Counts a request that is about to be made."""
        self.calls += 1
        if self.parent is not None:
            self.parent.count_call()

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
    def is_waiting(self) -> bool:
        """Whether a call waits at this moment."""
        return self._waiting > 0

    def waiting_for(self) -> float | None:
        """Returns the seconds since the present wait began; `None` when no call waits."""
        return self.now() - self._since if self._waiting else None

    def waited(self) -> float:
        """Returns the seconds so far during which at least one call waited."""
        return self._waited + (self.now() - self._since if self._waiting else 0.0)
