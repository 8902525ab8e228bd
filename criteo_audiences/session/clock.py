"""Time as a parameter: what the session core asks of a clock."""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from criteo_audiences.meter import steady


class Timer(Protocol):
    """A callback that was scheduled and can be cancelled."""

    def cancel(self) -> None:
        """Makes the callback never run."""


class Clock(Protocol):
    """A source of time; tests give one that they move themselves."""

    def now(self) -> float:
        """Monotonic seconds; they include the time that the machine is suspended, where the system counts it."""

    def time(self) -> float:
        """Seconds since the Unix epoch, by this machine's clock."""

    def call_later(self, delay: float, callback: Callable[[], None]) -> Timer:
        """Runs a callback after `delay` seconds."""

    async def sleep(self, delay: float) -> None:
        """Returns after `delay` seconds."""


class SystemClock:
    """The real time."""

    def now(self) -> float:
        """See `Clock.now`."""
        return steady()

    def time(self) -> float:
        """See `Clock.time`."""
        return time.time()

    def call_later(self, delay: float, callback: Callable[[], None]) -> Timer:
        """See `Clock.call_later`."""
        return asyncio.get_running_loop().call_later(delay, callback)

    async def sleep(self, delay: float) -> None:
        """See `Clock.sleep`."""
        await asyncio.sleep(delay)
