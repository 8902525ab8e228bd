"""Event loops: where a client is at home, and work that outlasts the cancellation of its caller."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import anyio

from criteo_audiences.errors import ConfigurationError

T = TypeVar("T")


async def completed(work: Coroutine[Any, Any, T], *, patience: float | None = None) -> T:
    """Awaits work; when the caller is cancelled meanwhile, the work may end before the cancellation goes on.

    Args:
        work: what must not be left half done.
        patience: seconds it gets to end after a cancellation, before it is cancelled too; `None` for all it takes.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        with anyio.CancelScope(shield=True):  # a cancelled scope of anyio's would cancel again at each turn of the loop
            await _outlast(task, patience)
            task.cancel()
            await _outlast(task, None)
        if not task.cancelled():
            task.exception()  # or asyncio would complain that nobody looked at it
        raise
    return task.result()


async def _outlast(task: "asyncio.Task[T]", seconds: float | None) -> None:
    """Waits until a task has ended or the time is up, whoever cancels the caller again."""
    loop = asyncio.get_running_loop()
    ends_at = None if seconds is None else loop.time() + seconds
    while not task.done() and (ends_at is None or loop.time() < ends_at):
        try:
            await asyncio.wait([task], timeout=None if ends_at is None else max(0.0, ends_at - loop.time()))
        except asyncio.CancelledError:
            continue  # the caller is on its way out already, and raises in the end


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
    """A lock that is free in a new event loop: whoever held it in the one before does not run any more."""

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
