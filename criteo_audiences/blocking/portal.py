"""Where a blocking client's coroutines run: an event loop in a thread of its own, and what the waiting thread does."""

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
"""Values that are taken from a source at once."""

_PATIENCE: Final = 0.05
"""Seconds after which fewer are handed over, from a source that trickles."""

_END: Final = object()
_CLOSED: Final = "This client is closed; make a new one."
_FORKED: Final = "This client was used before the process was forked; make a client in each process."


class Caller:
    """The thread that waits for a call; what must happen in that thread, it does meanwhile.

    Sources and callbacks are often tied to their thread, as database connections are, and may take their time. In the
    event loop's thread they would fail, or keep all other calls waiting.

    Attributes:
        in_flight: what its uploads have in flight, which a second Ctrl-C ends at once.
    """

    def __init__(self) -> None:
        self.in_flight = InFlight()
        self._inbox: SimpleQueue[Callable[[], object] | Future[Any]] = SimpleQueue()
        self._sources = ExitStack()

    def wait(self, call: "Future[T]", cancel: Callable[[], object], cut: Callable[[], object]) -> T:
        """Does jobs until a call has ended, and returns its result.

        What is raised here meanwhile (Ctrl-C, a job that fails) cancels the call, and is raised once it has ended: an
        upload's batches in flight get their `drain_timeout`. A second Ctrl-C ends those at once.

        Raises:
            BaseException: what the call raised, or a job.
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
                cancel()  # again, since this one may have come before the event loop had been asked
                cut()
                self._outlast(call)
                raise
            raise
        return call.result()

    def close(self) -> None:
        """Closes generators given as sources, in the thread that read them."""
        self._sources.close()

    def calls_back(self, function: Callable[[T], object]) -> Callable[[T], None]:
        """Returns a function that lets this thread call another one, and does not wait for it."""
        return lambda value: self._inbox.put(partial(function, value))

    async def values(self, source: Iterable[T]) -> AsyncIterator[T]:
        """Yields what a source yields that is read in this thread."""
        loop, parts = asyncio.get_running_loop(), self._parts(source)
        while True:
            taken: asyncio.Future[list[T]] = loop.create_future()
            self._inbox.put(partial(_take, parts, taken, loop))
            if not (values := await taken):
                return
            for value in values:
                yield value

    def _parts(self, source: Iterable[T]) -> Iterator[list[T]]:
        """Yields the values of a source in lists; in the end empty ones."""
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
        # A Ctrl-C may come right after `get` has taken the call out, so that it would be waited for in vain.
        while not call.done() and self._inbox.get() is not call:
            continue  # the source is not read any further


def _take(parts: "Iterator[list[T]]", taken: "asyncio.Future[list[T]]", loop: asyncio.AbstractEventLoop) -> None:
    """Takes values from a source, in its thread, and answers the event loop that waits for them."""
    try:
        answer = partial(taken.set_result, next(parts))
    except Exception as error:  # noqa: BLE001 - it ends the upload, which raises it as it is
        answer = partial(taken.set_exception, error)
    loop.call_soon_threadsafe(lambda: taken.done() or answer())


class _Call:
    """A call under way, which can be canceled from another thread.

    Args:
        function: returns what to wait for, or the result itself.
        in_flight: what its uploads have in flight.

    Attributes:
        task: what carries it out, once it has begun.
        notes: what its exception says in addition, such as how far an upload has come.
    """

    def __init__(self, function: Callable[[], Any], in_flight: InFlight) -> None:
        self._function = function
        self._in_flight = in_flight
        self._is_canceled = False
        self.task: asyncio.Task[Any] | None = None
        self.notes: tuple[str, ...] = ()

    async def run(self) -> Any:
        """Does it, in the event loop."""
        self.task = asyncio.current_task()
        IN_FLIGHT.set(self._in_flight)
        try:
            result = self._function()
            return await result if inspect.isawaitable(result) else result
        except BaseException as error:
            self.notes = tuple(getattr(error, "__notes__", ()))
            raise

    def cancel(self) -> None:
        """Cancels it, in the event loop; twice would end what its upload has in flight."""
        if self.task is not None and not self._is_canceled:
            self._is_canceled = True
            self.task.cancel()


class Portal:
    """An event loop in a thread of its own, which begins with the first call.

    Args:
        close: closes, in the event loop, what the calls have opened.
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
            function: what to call.
            caller: the thread, where it must do something meanwhile.
            interrupts: how often Ctrl-C was pressed before, where the call ends what that has interrupted.

        Raises:
            ConfigurationError: when the client is closed, or the process has been forked since.
            BaseException: what was raised there, or here while it ran.
        """
        portal, caller = self._running(), caller or Caller()
        call = _Call(function, caller.in_flight)
        cut = partial(_soon, portal, caller.in_flight.cut)
        try:
            future = portal.start_task_soon(call.run)
            if interrupts > 1:
                cut()
            return caller.wait(future, cut if interrupts else partial(_soon, portal, call.cancel), cut)
        except CancelledError:  # what is canceled here is raised as its cause, so this was `close`
            raise ConfigurationError(_CLOSED) from None
        except BaseException as error:  # Ctrl-C is another exception than that of the call
            for note in call.notes:
                if note not in getattr(error, "__notes__", ()):
                    error.add_note(note)
            raise

    def iterate(self, items: AsyncIterable[T]) -> Iterator[T]:
        """Yields the items of an async iterable, each when it is asked for."""
        iterator = aiter(items)
        try:
            while (item := self.call(partial(anext, iterator, _END))) is not _END:
                yield item
        finally:
            if isinstance(iterator, AsyncGenerator):
                with contextlib.suppress(ConfigurationError):
                    self.call(iterator.aclose)

    def close(self) -> None:
        """Cancels the calls that still run, and ends the thread; harmless when repeated."""
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
    """Cancels whatever runs in the event loop, what is in flight included, and waits for its end.

    Args:
        main: the tasks of the loop itself, which go on.
    """
    tasks = asyncio.all_tasks() - main - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


def _begin() -> tuple[BlockingPortal, threading.Thread]:
    """Begins an event loop in a thread, as `anyio.from_thread.start_blocking_portal` does.

    That one is a generator, which waits for its thread when it is collected: for ever, as the interpreter ends and
    after a fork.
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
    """Ends the event loop, which closes its connections: of a client that is closed, forgotten or left to the end."""
    if process != os.getpid():
        return  # it stayed with the process that this one was forked from
    if thread is threading.current_thread():  # a client is collected wherever it happens
        with contextlib.suppress(StopIteration):
            portal.stop(cancel_remaining=True).send(None)  # it waits for nothing
        return
    portal.call(_cancel_all, main)
    portal.call(partial(portal.stop, cancel_remaining=True))
    thread.join()


def _soon(portal: BlockingPortal, function: Callable[[], Any]) -> None:
    with contextlib.suppress(RuntimeError):  # a portal that has ended has nothing left to cancel
        portal.start_task_soon(function)
