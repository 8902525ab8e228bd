"""Counts what a piece of work costs: requests, and the time the quota held it back."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from attrs import define


@define
class CallMeter:
    """A counter that an upload hands down to its calls.

    Attributes:
        parent: a meter that counts the same again, for the whole of which this is a part.
        calls: requests made, retries included.
        window: calls that the quota allows within so many seconds, as far as is known.
    """

    parent: "CallMeter | None" = None
    calls: int = 0
    window: tuple[int, float] | None = None
    _waited: float = 0.0
    _waiting: int = 0
    _since: float = 0.0
    _now: Callable[[], float] = time.monotonic

    def count_call(self) -> None:
        """Counts a request that is about to be made."""
        self.calls += 1
        if self.parent is not None:
            self.parent.count_call()

    def note_window(self, window: tuple[int, float]) -> None:
        """Remembers what the quota allows: calls, and the seconds within which."""
        self.window = window
        if self.parent is not None:
            self.parent.note_window(window)

    @contextmanager
    def waiting(self, now: Callable[[], float]) -> Iterator[None]:
        """Counts the time inside as waiting for the quota; calls that wait at the same time count once."""
        if self.parent is not None:
            with self.parent.waiting(now):
                yield
            return
        if not self._waiting:
            self._now, self._since = now, now()
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._waited += now() - self._since

    @property
    def is_waiting(self) -> bool:
        """Whether a call waits at this moment."""
        return self._waiting > 0

    def waited(self) -> float:
        """Returns the seconds so far during which at least one call waited."""
        return self._waited + (self._now() - self._since if self._waiting else 0.0)
