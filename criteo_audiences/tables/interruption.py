"""How a thread that reads is asked to stop, and how it listens while it waits for what may never answer."""

import io
import os
import select
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from queue import SimpleQueue
from typing import Any, Final, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_LISTEN_EVERY: Final = 0.1


class Interruption:
    """Asked for by one thread, noticed by another between two pieces of its work."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def ask(self) -> None:
        """Asks the reading thread to stop."""
        self._event.set()

    def check(self) -> None:
        """Stops the reading thread if it has been asked to.

        Raises:
            OSError: when it has.
        """
        if self._event.is_set():
            raise OSError("Reading was interrupted.")


class Worker:
    """A daemon thread that makes one call after the other; the interpreter ends without waiting for it."""

    def __init__(self, name: str) -> None:
        self._calls: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._thread = threading.Thread(target=_make_all, args=(self._calls,), name=name, daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended yet."""
        return self._thread.is_alive()

    def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Returns what a call will return; it is made after those before it."""
        made: Future[R] = Future()

        def make() -> None:
            if made.set_running_or_notify_cancel():
                try:
                    made.set_result(function(*args, **kwargs))
                except BaseException as error:  # noqa: BLE001 - the caller who waits gets it
                    made.set_exception(error)

        self._calls.put(make)
        return made

    def end(self) -> None:
        """Ends the thread after the calls made so far."""
        self._calls.put(None)

    def join(self, seconds: float) -> None:
        """Waits until it has ended, but not for longer than that."""
        self._thread.join(seconds)


def _make_all(calls: "SimpleQueue[Callable[[], object] | None]") -> None:
    while (call := calls.get()) is not None:
        call()


def result_of(made: Future[R], interruption: Interruption) -> R:
    """Waits for what a worker returns.

    Raises:
        OSError: when the wait was interrupted; the worker goes on.
    """
    while not made.done():
        interruption.check()
        wait([made], _LISTEN_EVERY)
    return made.result()


def read_standard_input(size: int, interruption: Interruption) -> bytes:
    """Returns what has arrived on standard input, at most so many bytes; nothing at its end.

    Raises:
        OSError: when it cannot be read, or the wait was interrupted.
    """
    reader: Any = sys.stdin.buffer
    try:
        descriptor = reader.fileno()
    except io.UnsupportedOperation:
        return bytes(reader.read1(size))
    if sys.platform != "win32":  # where select knows sockets only
        while not select.select([descriptor], [], [], _LISTEN_EVERY)[0]:
            interruption.check()
    return os.read(descriptor, size)
