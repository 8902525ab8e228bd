"""A run's own resources: a directory for what does not fit into memory, and a flag that asks it to stop."""

import ctypes
import os
import shutil
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue
from typing import ClassVar, Final, ParamSpec, TypeVar
from weakref import WeakSet

from criteo_audiences.validation import require_unicode

P = ParamSpec("P")
R = TypeVar("R")

_LISTEN_EVERY: Final = 0.1
_STOP_EVERY: Final = 0.05

_raise_in: Final = ctypes.pythonapi.PyThreadState_SetAsyncExc


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

    _every: ClassVar["WeakSet[Worker]"] = WeakSet()

    def __init__(self, name: str) -> None:
        self._calls: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._make_all, name=name, daemon=True)
        self._thread.start()
        self._every.add(self)

    @classmethod
    def stop_all(cls, seconds: float) -> None:
        """Stops all threads that run Python's code, for which the interpreter's end is too late.

        Before Python 3.14, a thread that then wants to go on is ended where it stands. With frames of C++ on its stack,
        as of pyarrow calling a generator, that aborts the process. A thread that the system holds does not want to.

        Args:
            seconds: how long those are waited for that do not end.
        """
        ends_by = time.monotonic() + seconds
        workers = list(cls._every)
        for each in workers:
            each.end()
        while (running := [each for each in workers if each.is_alive]) and time.monotonic() < ends_by:
            for each in running:
                each.stop()
                each.join(_STOP_EVERY / len(running))

    def stop(self) -> None:
        """Raises `SystemExit` in the call in progress, as soon as that runs Python's code."""
        _raise_in(ctypes.c_ulong(self._thread.ident or 0), ctypes.py_object(SystemExit))

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

    def _make_all(self) -> None:
        while (call := self._calls.get()) is not None:
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


if sys.platform != "win32":
    import fcntl

_PREFIX: Final = "criteo-audiences-"
_SUFFIX: Final = ".run"  # a directory that a person made is not called so
_YOUNG: Final = 60.0
"""Seconds after its creation in which an unlocked directory is not yet taken for a leftover."""

_OWNER_ONLY: Final = 0o700


@contextmanager
def workspace() -> Iterator[Path]:
    """Makes a directory that only its owner can enter, and removes it with all it holds.

    It also removes those of the same user whose process was killed. A lock that the system gives up with the process
    distinguishes them; Windows has no such lock, and leaves them.
    """
    place = tempfile.gettempdir()
    require_unicode(place, "The path of the directory for temporary files (TMPDIR)")  # the engine takes no other
    leftovers()
    directory = Path(tempfile.mkdtemp(prefix=_PREFIX, suffix=_SUFFIX))  # mode 0700
    try:
        with _locked(directory):
            yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def leftovers(*, remove: bool = True) -> list[Path]:
    """Removes the directories of this user's runs whose process was killed, or only finds them; returns them."""
    found = []
    with suppress(OSError):
        for directory in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*{_SUFFIX}"):
            if not _is_mine(directory):
                continue
            with _locked(directory) as taken:
                if taken:
                    found.append(directory)
                    if remove:
                        shutil.rmtree(directory, ignore_errors=True)
    return found


def _is_mine(directory: Path) -> bool:
    """Whether a directory is one that this user's runs make, and a while old."""
    try:
        status = directory.lstat()
    except OSError:
        return False
    mine = sys.platform != "win32" and status.st_uid == os.geteuid()
    private = stat.S_ISDIR(status.st_mode) and stat.S_IMODE(status.st_mode) == _OWNER_ONLY
    return mine and private and time.time() - status.st_mtime > _YOUNG


@contextmanager
def _locked(directory: Path) -> Iterator[bool]:
    """Locks a directory; yields whether that worked: no other run holds it, and the file system has locks."""
    if sys.platform == "win32":
        yield False
        return
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        taken = False
    else:
        taken = True
    try:
        yield taken
    finally:
        os.close(descriptor)
