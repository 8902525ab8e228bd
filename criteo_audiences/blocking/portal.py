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
from contextlib import AbstractAsyncContextManager, ExitStack, closing
from functools import partial
from queue import SimpleQueue
from typing import Any, Final, TypeVar
from weakref import finalize

from attrs import define, field

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


class Call:
    """A call that the event loop carries out for a thread.

    The two share no lock. If Ctrl-C comes when a thread has just taken one, Python may not release it
    (https://github.com/python/cpython/issues/148874), and the event loop would wait for it forever.

    Args:
        function: returns an awaitable, or the result itself.
        in_flight: the batches in flight of its uploads.
        ended: called in the event loop once the call has ended.

    Attributes:
        has_ended: whether it has; set before `ended` is called.
        error: the exception that ended it.
    """

    def __init__(self, function: Callable[[], Any], in_flight: InFlight, ended: Callable[["Call"], object]) -> None:
        self.has_ended = False
        self.error: BaseException | None = None
        self._function = function
        self._in_flight = in_flight
        self._ended = ended
        self._task: asyncio.Task[None] | None = None
        self._value: Any = None
        self._is_canceled = False

    def result(self) -> Any:
        """Returns the result of a call that has ended, or raises its exception."""
        if self.error is not None:
            raise self.error
        return self._value

    def begin(self) -> None:
        """Begins the call, in the event loop; only once."""
        if self._task is None and not self.has_ended:
            self._task = asyncio.ensure_future(self._run())
            self._task.add_done_callback(lambda _: self.end())

    def cancel(self) -> None:
        """Cancels the call, in the event loop; only once, since a second time would end its batches in flight."""
        if self._task is not None and not self._is_canceled:
            self._is_canceled = True
            self._task.cancel()

    def end(self, error: BaseException | None = None) -> None:
        """Notes that the call has ended."""
        if error is not None or (self._task is not None and self._task.cancelled()):  # it had not begun
            self.error = error or asyncio.CancelledError()
        self._task = None  # freed here: Python drops an exception, such as Ctrl-C's, while it frees an object
        self.has_ended = True
        self._ended(self)

    async def _run(self) -> None:
        IN_FLIGHT.set(self._in_flight)
        try:
            value = self._function()
            self._value = await value if inspect.isawaitable(value) else value
        except BaseException as error:  # noqa: BLE001 - raised where the call was made
            self.error = error


class Caller:
    """The thread that waits for a call, and meanwhile does the work that must happen in that thread.

    Sources and callbacks are often tied to their thread, like database connections, and may be slow. In the event
    loop's thread they would fail, or block all other calls.

    Attributes:
        in_flight: the batches in flight of its uploads, which a second Ctrl-C ends at once.
    """

    def __init__(self) -> None:
        self.in_flight = InFlight()
        self._inbox: SimpleQueue[Callable[[], object] | Call] = SimpleQueue()
        self._sources = ExitStack()

    def call(self, function: Callable[[], Any]) -> Call:
        """Returns a call that this thread can wait for."""
        return Call(function, self.in_flight, self._inbox.put)

    def wait(
        self, call: Call, begin: Callable[[], object], cancel: Callable[[], object], cut: Callable[[], object]
    ) -> Any:
        """Begins a call, does jobs until it has ended, and returns its result.

        An exception in this thread meanwhile (Ctrl-C, a failing job) cancels the call and is raised once the call has
        ended: an upload's batches in flight get their `drain_timeout`. A second Ctrl-C ends them at once.

        Args:
            call: what to wait for.
            begin: asks the event loop to begin it; asking twice is harmless, as with the other two.
            cancel: asks the event loop to cancel it.
            cut: asks the event loop to end the batches in flight.

        Raises:
            BaseException: the exception of the call, or of a job.
        """
        try:
            begin()
            while (job := self._inbox.get()) is not call:
                if not isinstance(job, Call):
                    job()
        except BaseException:
            try:
                self._outlast(call, begin, cancel)
            except BaseException:
                self._outlast(call, begin, cancel, cut)
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

    def _outlast(self, call: Call, *requests: Callable[[], object]) -> None:
        """Makes requests of the event loop, and waits until the call has ended.

        They are all made, because Ctrl-C may have come before the event loop received those before.
        """
        for request in requests:
            request()
        # Ctrl-C may come right after `get` has taken the call out of the queue; then `get` would wait in vain.
        while not call.has_ended and self._inbox.get() is not call:
            continue  # drops jobs: the source is not read any further


def _take(parts: "Iterator[list[T]]", taken: "asyncio.Future[list[T]]", loop: asyncio.AbstractEventLoop) -> None:
    """Takes values from a source, in its thread, and passes them to the event loop that waits for them."""
    try:
        answer = partial(taken.set_result, next(parts))
    except Exception as error:  # noqa: BLE001 - it ends the upload, which raises it as it is
        answer = partial(taken.set_exception, error)
    loop.call_soon_threadsafe(lambda: taken.done() or answer())


class Portal:
    """An event loop in its own thread, which starts with the first call.

    Args:
        close: closes, in the event loop, everything that calls have opened.
    """

    def __init__(self, close: Callable[[], Awaitable[None]]) -> None:
        self._close = close
        self._lock = threading.RLock()
        self._process = os.getpid()
        self._serving: _Serving | None = None
        self._stop: Callable[[], object] | None = None
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
        loop, caller = self._running().loop, caller or Caller()
        call, cut = caller.call(function), partial(_soon, loop, caller.in_flight.cut)
        cancel = cut if interrupts else partial(_soon, loop, call.cancel)
        try:
            if interrupts > 1:
                cut()
            return caller.wait(call, partial(self._begin, call), cancel, cut)
        except asyncio.CancelledError:  # `close` canceled it: a cancellation by this thread raises its cause instead
            raise ConfigurationError(_CLOSED) from None
        except BaseException as error:  # Ctrl-C is an exception other than the call's
            for note in getattr(call.error, "__notes__", ()):
                if note not in getattr(error, "__notes__", ()):
                    error.add_note(note)
            raise

    def enter(self, context: AbstractAsyncContextManager[T], caller: Caller) -> T:
        """Enters a context in the event loop; `close` leaves it if `leave` has not."""
        entered = self._running().entered

        async def enter() -> T:
            value = await context.__aenter__()
            entered.append(context)
            return value

        value: T = self.call(enter, caller)
        return value

    def leave(
        self,
        context: AbstractAsyncContextManager[Any],
        error: BaseException | None,
        caller: Caller,
        interrupts: int = 0,
    ) -> bool:
        """Leaves a context in the event loop, if it has not been left, and returns whether the error is handled.

        Args:
            context: what to leave.
            error: what ended the block.
            caller: this thread.
            interrupts: how often Ctrl-C was pressed before.
        """
        entered = self._running().entered

        async def leave() -> bool:
            if context not in entered:
                return False
            entered.remove(context)
            if error is None:
                return bool(await context.__aexit__(None, None, None))
            return bool(await context.__aexit__(type(error), error, error.__traceback__))

        return bool(self.call(leave, caller, interrupts=interrupts))

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
        serving = self._serving if not self._closed and self._process == os.getpid() else None
        if serving is not None:
            self.call(partial(self._end, serving))
        with self._lock:  # from here on, no call begins; the event loop ends after those that have
            self._closed = True
        if serving is not None and self._stop is not None:
            self._stop()

    def _running(self) -> "_Serving":
        with self._lock:
            if self._closed:
                raise ConfigurationError(_CLOSED)
            if self._process != os.getpid():
                raise ConfigurationError(_FORKED)
            if self._serving is None:
                self._serving = _serve()
                self._stop = finalize(self, _stop, self._serving, self._process)
            return self._serving

    def _begin(self, call: Call) -> None:
        with self._lock:
            if self._closed or self._serving is None:
                call.end(ConfigurationError(_CLOSED))
            else:
                self._serving.loop.call_soon_threadsafe(call.begin)

    async def _end(self, serving: "_Serving") -> None:
        self._closed = True
        await serving.cancel_all()
        await self._close()


@define
class _Serving:
    """An event loop that runs in a thread until it is told that it is over.

    Attributes:
        thread: its thread.
        loop: the event loop.
        main: the tasks of the loop itself.
        over: tells it to end.
        entered: the contexts that calls have entered and not left yet.
    """

    thread: threading.Thread
    loop: asyncio.AbstractEventLoop
    main: set[asyncio.Task[Any]]
    over: asyncio.Event
    entered: list[AbstractAsyncContextManager[Any]] = field(factory=list)

    async def cancel_all(self) -> None:
        """Cancels all calls and their tasks, including batches in flight, and leaves the contexts."""
        tasks = asyncio.all_tasks() - self.main - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        while self.entered:  # or the loop would close the generators within each other all at once, which fails
            with contextlib.suppress(Exception, asyncio.CancelledError):
                await self.entered.pop().__aexit__(asyncio.CancelledError, asyncio.CancelledError(), None)


def _serve() -> _Serving:
    """Starts an event loop in a thread.

    `anyio.from_thread.start_blocking_portal` does so, too, but is a generator that waits for its thread when it is
    garbage-collected: at interpreter exit and after a fork, forever. And its calls share locks with the thread.
    """
    started: SimpleQueue[_Serving] = SimpleQueue()

    async def serve() -> None:
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        started.put(serving := _Serving(thread, loop, asyncio.all_tasks(), over))
        await over.wait()
        await serving.cancel_all()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True, name="criteo-audiences portal")
    thread.start()
    return started.get()


def _stop(serving: _Serving, process: int) -> None:
    """Ends the event loop, which closes its connections: after `close`, garbage collection or interpreter exit."""
    if process != os.getpid():
        return  # the thread stayed in the parent process
    if serving.thread is threading.current_thread():  # a client may be garbage-collected in any thread
        serving.over.set()
        return
    _soon(serving.loop, serving.over.set)
    serving.thread.join()


def _soon(loop: asyncio.AbstractEventLoop, function: Callable[[], Any]) -> None:
    with contextlib.suppress(RuntimeError):  # a loop that has ended has nothing left to cancel
        loop.call_soon_threadsafe(function)
