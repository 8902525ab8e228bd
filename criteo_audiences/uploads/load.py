"""How busy an upload's senders and its reader are: what its pace can be explained by."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from attrs import define, field


def _monotonic() -> float:
    return time.monotonic()


@define
class Load:
    """Adds up, over the time of an upload, what its parts were doing.

    Attributes:
        senders: batches that can be in flight at the same time.
        now: the time, seconds.
        busy: seconds that batches were in flight, summed over the batches.
        full: seconds during which as many batches were in flight as can be.
        delivering: seconds during which the reader held a batch that nobody was free to send.
    """

    senders: int
    now: Callable[[], float] = _monotonic
    busy: float = 0.0
    full: float = 0.0
    delivering: float = 0.0
    _in_flight: int = 0
    _since: float = 0.0
    _began: float = field(init=False)
    _ended: float | None = None

    def __attrs_post_init__(self) -> None:
        self._began = self._since = self.now()

    def change(self, by: int) -> None:
        """A batch has gone out (1), or has come back (-1)."""
        now = self.now()
        self.busy += self._in_flight * (now - self._since)
        self.full += (now - self._since) * (self._in_flight >= self.senders)
        self._in_flight += by
        self._since = now

    @contextmanager
    def handing_over(self) -> Iterator[None]:
        """Counts the time inside as the reader's wait for a sender."""
        began = self.now()
        try:
            yield
        finally:
            self.delivering += self.now() - began

    def end_reading(self) -> None:
        """The source has come to its end."""
        self._ended = self.now()

    @property
    def reading(self) -> float:
        """Seconds that the reader took to read and prepare, waits for a sender left out."""
        return (self.now() if self._ended is None else self._ended) - self._began - self.delivering
