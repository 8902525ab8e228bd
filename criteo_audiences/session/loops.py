"""Event loops and time: where a client is at home, work that outlasts a cancellation, and a clock that tests move."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol, TypeVar

import anyio

from criteo_audiences.errors import ConfigurationError
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


T = TypeVar("T")


async def completed(work: Coroutine[Any, Any, T], *, patience: float | None = None) -> T:
    """Awaits work; if the caller is canceled meanwhile, the work may end before the cancellation takes effect.

    Args:
        work: what must not be left half done.
        patience: seconds it gets to end after a cancellation, before it is canceled too; `None` sets no limit.
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
            task.exception()  # retrieved, or asyncio would log that it never was
        raise
    return task.result()


async def _outlast(task: "asyncio.Task[T]", seconds: float | None) -> None:
    """Waits until a task has ended or the time is up, even if the caller is canceled again."""
    loop = asyncio.get_running_loop()
    ends_at = None if seconds is None else loop.time() + seconds
    while not task.done() and (ends_at is None or loop.time() < ends_at):
        try:
            await asyncio.wait([task], timeout=None if ends_at is None else max(0.0, ends_at - loop.time()))
        except asyncio.CancelledError:
            continue  # the caller is on its way out already, and raises in the end


def at_end_of_loop(close: Callable[[], Awaitable[None]]) -> AsyncGenerator[None, None]:
    """Arranges that something is closed when the running event loop ends, before it is too late to wait for it.

    `asyncio.run`, `anyio.run` and test runners close every unfinished async generator before they close their loop.

    Args:
        close: closes it; harmless when it has been closed.

    Returns:
        What must be kept as long as this holds: the loop knows it weakly.
    """

    async def closing() -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            await close()

    generator = closing()
    with contextlib.suppress(StopIteration):
        generator.__anext__().send(None)  # it runs to its `yield` and waits for nothing on the way
    return generator


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
