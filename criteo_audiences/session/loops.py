"""State that belongs to one event loop and is renewed when its owner is used in another."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import anyio

from criteo_audiences.errors import ConfigurationError

MOVED: Final = (
    "The client went on in another event loop before this call ended; make one client per event loop where two are "
    "used in turn."
)
_TWO_AT_ONCE: Final = (
    "The client is in use in another event loop that is still running; make one client per event loop, with one "
    "Quota(share=...) each."
)


class HomeLoop:
    """Remembers the event loop in which its owner is used, and notices another one.

    Attributes:
        loop: the event loop, `None` before the first use.
    """

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None

    def has_moved(self) -> bool:
        """Returns whether the running event loop is another one than at the last use, and remembers it.

        Raises:
            ConfigurationError: when the other one is still running, in another thread.
        """
        running, before = asyncio.get_running_loop(), self.loop
        if running is before:
            return False
        if before is not None and before.is_running():
            raise ConfigurationError(_TWO_AT_ONCE)
        self.loop = running
        return before is not None


class LoopLock:
    """A lock that is free in a new event loop: the task that held it in the former one no longer runs."""

    def __init__(self) -> None:
        self._home = HomeLoop()
        self._lock = anyio.Lock()

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Waits for the lock and holds it inside the block."""
        if self._home.has_moved():
            self._lock = anyio.Lock()
        async with self._lock:
            yield
