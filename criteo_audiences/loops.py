"""Event loops, tasks and time: work that outlasts a cancellation, tasks bound to a block, and a clock for tests."""

import asyncio
import contextlib
import contextvars
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from functools import partial
from queue import SimpleQueue
from typing import Any, Final, Generic, Protocol, TypeVar

import anyio

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.meter import steady


class Timer(Protocol):
    """A callback that was scheduled and can be canceled."""

    def cancel(self) -> None:
        """Makes the callback never run."""


class Clock(Protocol):
    """A source of time; tests pass one that they move themselves."""

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
    """Awaits work; if the caller is canceled meanwhile, lets the work end before the cancellation takes effect.

    Args:
        work: the work that must not be left half done.
        patience: seconds that it gets to end after a cancellation, before it is canceled too; `None` sets no limit.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        with anyio.CancelScope(shield=True):  # a canceled scope of anyio's would cancel again at each turn of the loop
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
            continue  # the caller is being canceled already, and raises that later


class InFlight:
    """Work in flight that may continue for a while after a cancellation, and that can also be ended at once."""

    def __init__(self) -> None:
        self._scopes: set[anyio.CancelScope] = set()
        self._is_cut = False

    @contextmanager
    def having(self, scope: anyio.CancelScope) -> Iterator[None]:
        """Counts the work of a cancel scope as in flight inside the block."""
        self._scopes.add(scope)
        if self._is_cut:
            scope.cancel()
        try:
            yield
        finally:
            self._scopes.discard(scope)

    def cut(self) -> None:
        """Ends this work and any that follows; to be called in its event loop."""
        self._is_cut = True
        for scope in self._scopes:
            scope.cancel()


IN_FLIGHT: Final = ContextVar("criteo_audiences_in_flight", default=InFlight())  # noqa: B039 - all may share that one
"""Collects the running work of uploads, so that it can be ended at once; nothing ends the default instance."""


def at_end_of_loop(close: Callable[[], Awaitable[None]]) -> AsyncGenerator[None, None]:
    """Arranges for `close` to be awaited when the running event loop ends, while it can still run tasks.

    `asyncio.run`, `anyio.run` and test runners close every unfinished async generator before they close their loop.

    Args:
        close: closes something; safe to call when that is closed already.

    Returns:
        An object to keep as long as the arrangement is to last: the loop has only a weak reference to it.
    """

    async def closing() -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            await close()

    generator = closing()
    with contextlib.suppress(StopIteration):
        generator.__anext__().send(None)  # it runs to its `yield` without waiting
    return generator


def run_apart(main: Callable[[], Coroutine[Any, Any, T]], name: str) -> T:
    """Runs a coroutine in a new event loop in a separate thread, so that the caller's thread may run a loop as well.

    It has the caller's context variables, and so its trace. An exception in the calling thread meanwhile, such as
    `KeyboardInterrupt` or a queue's time limit, cancels the coroutine and is raised once the coroutine has ended.

    Args:
        main: makes the coroutine, in the new thread.
        name: the name of the thread.
    """
    run = _RunApart(main)
    try:
        # Not kept, so that the object is freed in its own thread: Python drops an exception while it frees an object.
        threading.Thread(target=contextvars.copy_context().run, args=(run.body,), name=name).start()
        run.wait()
    except BaseException:
        run.stop()
        raise
    return run.result()


class _RunApart(Generic[T]):
    """A coroutine in a thread of its own. It shares no lock with the thread that waits, as `blocking.portal.Call`.

    Args:
        main: makes the coroutine, in its thread.
    """

    def __init__(self, main: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._main = main
        self._cancel: Callable[[], object] | None = None
        self._is_stopped = False
        self._has_ended = False
        self._ended: SimpleQueue[None] = SimpleQueue()
        self._values: list[T] = []
        self._error: BaseException | None = None

    def body(self) -> None:
        """Runs the coroutine; the body of its thread."""
        try:
            self._values.append(asyncio.run(self._run()))
        except BaseException as error:  # noqa: BLE001 - raised where the coroutine was started
            self._error = error
        self._cancel = None  # with the task, which is freed here
        self._has_ended = True
        self._ended.put(None)

    def wait(self) -> None:
        """Waits until the coroutine has ended."""
        while not self._has_ended:  # an exception may have come right after `get` took what says so
            self._ended.get()

    def stop(self) -> None:
        """Cancels the coroutine and waits until it has ended; if it has not begun, it never does."""
        self._is_stopped = True
        if (cancel := self._cancel) is not None:
            with contextlib.suppress(RuntimeError):  # the loop ended at this very moment
                cancel()
            self.wait()

    def result(self) -> T:
        """Returns the result of a coroutine that has ended, or raises its exception."""
        if self._error is not None:
            raise self._error
        return self._values[0]

    async def _run(self) -> T:
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        if task is not None:
            self._cancel = partial(loop.call_soon_threadsafe, task.cancel)
        if self._is_stopped:
            raise asyncio.CancelledError
        return await self._main()


MOVED: Final = (
    "The client went on in another event loop before this call ended; make one client per event loop where two are "
    "used in turn."
)
_TWO_AT_ONCE: Final = (
    "The client is in use in another event loop that is still running; make one client per event loop, with one "
    "Quota(share=...) each."
)


class HomeLoop:
    """Remembers the event loop in which its owner is used, and notices a change of the loop.

    Attributes:
        loop: the event loop, `None` before the first use.
    """

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None

    def has_moved(self) -> bool:
        """Returns whether the running event loop differs from that of the last use, and remembers it.

        Raises:
            ConfigurationError: when the other event loop is still running, in another thread.
        """
        running, before = asyncio.get_running_loop(), self.loop
        if running is before:
            return False
        if before is not None and before.is_running():
            raise ConfigurationError(_TWO_AT_ONCE)
        self.loop = running
        return before is not None


class LoopLock:
    """A lock that is free again in a new event loop: the task that held it in the former loop no longer runs."""

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


Work = Callable[[Callable[[], Awaitable[None]], Awaitable[Exception | None]], Coroutine[Any, Any, None]]
"""Awaits its first argument when the block may be entered, and then its second, which waits until the block is left.

The second returns the exception that left the block, if any, which the work then raises.
"""


class OwnTask:
    """A task whose work ends with a block.

    A cancel scope must be left by the task that entered it. A block inside an async generator cannot ensure that: if
    its caller leaves by `break`, another task closes the generator (PEP 789). So the work enters cancel scopes in its
    own task, and the caller's task enters none.

    Args:
        work: the work to do.
    """

    def __init__(self, work: Work) -> None:
        loop = asyncio.get_running_loop()
        self._may_enter: asyncio.Future[None] = loop.create_future()
        self._entered: asyncio.Future[None] = loop.create_future()
        self._left: asyncio.Future[Exception | None] = loop.create_future()
        self._task = loop.create_task(work(self._wait_for_entry, self._left), name="criteo-audiences upload")

    async def begin(self) -> None:
        """Returns once the block may be entered; the work continues in the next turn of the loop.

        Raises:
            BaseException: the exception of work that failed before.
        """
        await asyncio.wait([self._task, self._may_enter], return_when=asyncio.FIRST_COMPLETED)
        if self._task.done():
            self._task.result()
        if not self._entered.done():  # done: the work was canceled meanwhile
            self._entered.set_result(None)

    async def ended(self) -> None:
        """Returns when the work has ended.

        Raises:
            BaseException: the exception of the work.
        """
        await asyncio.wait([self._task])
        self._task.result()

    async def end(self, error: BaseException | None) -> None:
        """Waits until the work has ended, even if the caller is canceled; passes each cancellation on to the work.

        Args:
            error: the exception that left the block, `None` if there was none.

        Raises:
            BaseException: the exception of the work, unless it is `error`; or a cancellation that came meanwhile.
        """
        if error is None or isinstance(error, Exception):
            if not self._left.done():  # done: work that failed no longer waits for it
                self._left.set_result(error)
        else:
            self._task.cancel()
        canceled = await self._outlast()
        if not self._task.cancelled() and (failure := self._task.exception()) not in {None, error}:
            raise failure
        if error is None and (canceled is not None or self._task.cancelled()):
            raise canceled or asyncio.CancelledError

    async def _outlast(self) -> asyncio.CancelledError | None:
        canceled = None
        with anyio.CancelScope(shield=True):  # a canceled scope of anyio's would cancel at each turn of the loop
            while not self._task.done():
                try:
                    await asyncio.wait([self._task])
                except asyncio.CancelledError as error:
                    canceled = error
                    self._task.cancel()
        return canceled

    async def _wait_for_entry(self) -> None:
        self._may_enter.set_result(None)
        await self._entered


@asynccontextmanager
async def own_task(work: Work) -> AsyncIterator[OwnTask]:
    """Does work in a separate task: the block is entered once the work allows it, and left once the work has ended.

    Raises:
        BaseException: the exception of the work, or else that of the block.
    """
    task = OwnTask(work)
    try:
        await task.begin()
        yield task
    except BaseException as error:
        await task.end(error)
        raise
    else:
        await task.end(None)


@contextmanager
def first_error() -> Iterator[None]:
    """Raises the first error of a task group instead of its exception group, since the other errors follow from it.

    Only the outer group is unwrapped, so that a group raised by the caller's own code stays whole.
    """
    try:
        yield
    except BaseExceptionGroup as failures:
        error = failures.exceptions[0]
        context = error.__context__
        try:
            raise error
        finally:
            error.__context__ = context  # restores the original context, which `raise` replaced by the group
