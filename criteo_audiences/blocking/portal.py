"""Runs a blocking client's coroutines in an event loop in a separate thread, while the calling thread waits."""

import asyncio
import contextlib
import inspect
import os
import threading
import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Generator,
    Iterable,
    Iterator,
)
from concurrent.futures import CancelledError, Future
from contextlib import ExitStack, closing
from functools import partial
from queue import SimpleQueue
from typing import Any, Final, TypeVar
from weakref import finalize

import anyio
from anyio.from_thread import BlockingPortal

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.loops import IN_FLIGHT, InFlight

T = TypeVar("T")

_CHUNK: Final = 1_000
"""Most values that are taken from a source at once."""

_PATIENCE: Final = 0.05
"""Seconds after which fewer values are passed on, for a slow source."""

_END: Final = object()
_CLOSED: Final = "This client is closed; make a new one."
_FORKED: Final = "This client was used before the process was forked; make a client in each process."


class Caller:
    """The thread that waits for a call, and meanwhile does the work that must happen in that thread.

    Sources and callbacks are often tied to their thread, like database connections, and may be slow. In the event
    loop's thread they would fail, or block all other calls.

    Attributes:
        in_flight: the batches in flight of its uploads, which a second Ctrl-C ends at once.
    """

    def __init__(self) -> None:
        self.in_flight = InFlight()
        self._inbox: SimpleQueue[Callable[[], object] | Future[Any]] = SimpleQueue()
        self._sources = ExitStack()

    def wait(self, call: "Future[T]", cancel: Callable[[], object], cut: Callable[[], object]) -> T:
        """Does jobs until a call has ended, and returns its result.

        An exception in this thread meanwhile (Ctrl-C, a failing job) cancels the call and is raised once the call has
        ended: an upload's batches in flight get their `drain_timeout`. A second Ctrl-C ends them at once.

        Raises:
            BaseException: the exception of the call, or of a job.
        """
        call.add_done_callback(self._inbox.put)
        try:
            while (job := self._inbox.get()) is not call:
                if not isinstance(job, Future):
                    job()
        except BaseException:
            try:
                cancel()
                self._outlast(call)
            except BaseException:
                cancel()  # again: Ctrl-C may have come before the event loop received the first request
                cut()
                self._outlast(call)
                raise
            raise
        return call.result()

    def close(self) -> None:
        """Closes generators passed as sources, in the thread that reads them."""
        self._sources.close()

    def calls_back(self, function: Callable[[T], object]) -> Callable[[T], None]:
        """Returns a function that makes this thread call `function`, without waiting for it."""
        return lambda value: self._inbox.put(partial(function, value))

    async def values(self, source: Iterable[T]) -> AsyncIterator[T]:
        """Yields the values of a source that this thread reads."""
        loop, parts = asyncio.get_running_loop(), self._parts(source)
        while True:
            taken: asyncio.Future[list[T]] = loop.create_future()
            self._inbox.put(partial(_take, parts, taken, loop))
            if not (values := await taken):
                return
            for value in values:
                yield value

    def _parts(self, source: Iterable[T]) -> Iterator[list[T]]:
        """Yields the values of a source in lists, and an empty list at the end."""
        iterator = iter(source)
        if isinstance(iterator, Generator):
            self._sources.enter_context(closing(iterator))
        values: list[T] = []
        due = time.monotonic() + _PATIENCE
        for value in iterator:
            values.append(value)
            if len(values) == _CHUNK or time.monotonic() >= due:
                yield values
                values, due = [], time.monotonic() + _PATIENCE
        yield values
        yield []

    def _outlast(self, call: "Future[Any]") -> None:
        # Ctrl-C may come right after `get` has taken the call out of the queue; then `get` would wait in vain.
        while not call.done() and self._inbox.get() is not call:
            continue  # drops jobs: the source is not read any further


def _take(parts: "Iterator[list[T]]", taken: "asyncio.Future[list[T]]", loop: asyncio.AbstractEventLoop) -> None:
    """Takes values from a source, in its thread, and passes them to the event loop that waits for them."""
    try:
        answer = partial(taken.set_result, next(parts))
    except Exception as error:  # noqa: BLE001 - it ends the upload, which raises it as it is
        answer = partial(taken.set_exception, error)
    loop.call_soon_threadsafe(lambda: taken.done() or answer())


class _Call:
    """A running call, which can be canceled from another thread.

    Args:
        function: returns an awaitable, or the result itself.
        in_flight: the batches in flight of its uploads.

    Attributes:
        task: the task of the call, once it has begun.
        notes: the notes of its exception, such as how far an upload has come.
    """

    def __init__(self, function: Callable[[], Any], in_flight: InFlight) -> None:
        self._function = function
        self._in_flight = in_flight
        self._is_canceled = False
        self.task: asyncio.Task[Any] | None = None
        self.notes: tuple[str, ...] = ()

    async def run(self) -> Any:
        """Carries out the call, in the event loop."""
        self.task = asyncio.current_task()
        IN_FLIGHT.set(self._in_flight)
        try:
            result = self._function()
            return await result if inspect.isawaitable(result) else result
        except BaseException as error:
            self.notes = tuple(getattr(error, "__notes__", ()))
            raise

    def cancel(self) -> None:
        """Cancels the call, in the event loop; only once, since a second time would end its batches in flight."""
        if self.task is not None and not self._is_canceled:
            self._is_canceled = True
            self.task.cancel()


class Portal:
    """An event loop in its own thread, which starts with the first call.

    Args:
        close: closes, in the event loop, everything that calls have opened.
    """

    def __init__(self, close: Callable[[], Awaitable[None]]) -> None:
        self._close = close
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._portal: BlockingPortal | None = None
        self._stop: Callable[[], object] | None = None
        self._main: set[asyncio.Task[Any]] = set()
        self._closed = False

    def call(self, function: Callable[[], Any], caller: Caller | None = None, *, interrupts: int = 0) -> Any:
        """Calls a function in the event loop, awaits what it returns, and gives the result to this thread.

        Args:
            function: the function to call.
            caller: this thread, if it must do something meanwhile.
            interrupts: how often Ctrl-C was pressed before, for a call that ends the interrupted work.

        Raises:
            ConfigurationError: when the client is closed, or the process has been forked since.
            BaseException: an exception of the function, or one in this thread meanwhile.
        """
        portal, caller = self._running(), caller or Caller()
        call = _Call(function, caller.in_flight)
        cut = partial(_soon, portal, caller.in_flight.cut)
        try:
            future = portal.start_task_soon(call.run)
            if interrupts > 1:
                cut()
            return caller.wait(future, cut if interrupts else partial(_soon, portal, call.cancel), cut)
        except CancelledError:  # `close` canceled it: a cancellation by this thread raises its cause instead
            raise ConfigurationError(_CLOSED) from None
        except BaseException as error:  # Ctrl-C is an exception other than the call's
            for note in call.notes:
                if note not in getattr(error, "__notes__", ()):
                    error.add_note(note)
            raise

    def iterate(self, items: AsyncIterable[T]) -> Iterator[T]:
        """Yields the items of an async iterable, each when it is requested."""
        iterator = aiter(items)
        try:
            while (item := self.call(partial(anext, iterator, _END))) is not _END:
                yield item
        finally:
            if isinstance(iterator, AsyncGenerator):
                with contextlib.suppress(ConfigurationError):
                    self.call(iterator.aclose)

    def close(self) -> None:
        """Cancels the calls that still run, and ends the thread; safe to call twice."""
        is_running = self._portal is not None and not self._closed and self._process == os.getpid()
        if is_running:
            self.call(self._end)
        self._closed = True
        if is_running and self._stop is not None:
            self._stop()

    def _running(self) -> BlockingPortal:
        with self._lock:
            if self._closed:
                raise ConfigurationError(_CLOSED)
            if self._process != os.getpid():
                raise ConfigurationError(_FORKED)
            if self._portal is None:
                self._portal, thread = _begin()
                self._main = self._portal.call(asyncio.all_tasks)
                self._stop = finalize(self, _stop, self._portal, thread, self._main, self._process)
            return self._portal

    async def _end(self) -> None:
        self._closed = True
        await _cancel_all(self._main)
        await self._close()


async def _cancel_all(main: "set[asyncio.Task[Any]]") -> None:
    """Cancels all tasks in the event loop, including batches in flight, and waits until they end.

    Args:
        main: the tasks of the loop itself, which continue.
    """
    tasks = asyncio.all_tasks() - main - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


def _begin() -> tuple[BlockingPortal, threading.Thread]:
    """Starts an event loop in a thread, as `anyio.from_thread.start_blocking_portal` does.

    That function is a generator, which waits for its thread when it is garbage-collected. At interpreter exit and
    after a fork, it would wait forever.
    """
    started: Future[BlockingPortal] = Future()

    async def serve() -> None:
        async with BlockingPortal() as portal:
            started.set_result(portal)
            await portal.sleep_until_stopped()

    thread = threading.Thread(target=anyio.run, args=(serve,), daemon=True, name="criteo-audiences portal")
    thread.start()
    return started.result(), thread


def _stop(portal: BlockingPortal, thread: threading.Thread, main: "set[asyncio.Task[Any]]", process: int) -> None:
    """Ends the event loop, which closes its connections: after `close`, garbage collection or interpreter exit."""
    if process != os.getpid():
        return  # the thread stayed in the parent process
    if thread is threading.current_thread():  # a client may be garbage-collected in any thread
        with contextlib.suppress(StopIteration):
            portal.stop(cancel_remaining=True).send(None)  # it completes without waiting
        return
    portal.call(_cancel_all, main)
    portal.call(partial(portal.stop, cancel_remaining=True))
    thread.join()


def _soon(portal: BlockingPortal, function: Callable[[], Any]) -> None:
    with contextlib.suppress(RuntimeError):  # a portal that has ended has nothing left to cancel
        portal.start_task_soon(function)
