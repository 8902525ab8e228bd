"""Reads files in pieces of bounded size, decompressed and checked to their end, and provides what a reading run needs.

A run needs a directory for data that do not fit into memory, a thread, and a flag that requests a stop.
"""

import ctypes
import errno
import os
import shutil
import stat
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue
from types import ModuleType
from typing import Any, ClassVar, Final, ParamSpec, TypeVar
from weakref import WeakSet

from attrs import define, field

from criteo_audiences.errors import NO_DESCRIPTORS, ConfigurationError, has_descriptors
from criteo_audiences.tables.files.layout import Compression
from criteo_audiences.validation import require_unicode

if sys.platform != "win32":
    import fcntl

P = ParamSpec("P")
R = TypeVar("R")

LISTEN_EVERY: Final = 0.1
"""Seconds between two checks for an interruption while waiting."""

_STOP_EVERY: Final = 0.05

_raise_in: Final = ctypes.pythonapi.PyThreadState_SetAsyncExc


class Interruption:
    """A request to stop: one thread makes it, and another checks for it between two pieces of its work."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def ask(self) -> None:
        """Asks the reading thread to stop."""
        self._event.set()

    def check(self) -> None:
        """Stops the reading thread if another thread has asked for it.

        Raises:
            OSError: when another thread has.
        """
        if self._event.is_set():
            raise OSError("Reading was interrupted.")


class Worker:
    """A daemon thread that makes calls in order; the interpreter does not wait for it when it exits."""

    _every: ClassVar["WeakSet[Worker]"] = WeakSet()

    def __init__(self, name: str) -> None:
        self._calls: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._make_all, name=name, daemon=True)
        self._thread.start()
        self._every.add(self)

    @classmethod
    def stop_all(cls, seconds: float) -> None:
        """Stops all worker threads that run Python code, before the interpreter exits.

        Before Python 3.14, an exiting interpreter kills a thread as soon as the thread tries to run Python code. If the
        thread has frames of C++ on its stack, as when pyarrow calls a generator, that aborts the process. A thread that
        is blocked in a system call does no harm.

        Args:
            seconds: how long to wait for threads that do not end by themselves.
        """
        ends_by = time.monotonic() + seconds
        workers = list(cls._every)
        for each in workers:
            each.end()
        if any(each.is_alive for each in workers):
            # While an exception is pending for a thread that is blocked in a system call, no other thread of CPython
            # 3.11 can enter a traced function (coverage, a debugger): it tries for ever.
            sys.settrace(None)
            sys.setprofile(None)
        while (running := [each for each in workers if each.is_alive]) and time.monotonic() < ends_by:
            for each in running:
                each.stop()
                each.join(_STOP_EVERY / len(running))

    def stop(self) -> None:
        """Raises `SystemExit` in the call in progress, as soon as it runs Python code."""
        _raise_in(ctypes.c_ulong(self._thread.ident or 0), ctypes.py_object(SystemExit))

    @property
    def is_alive(self) -> bool:
        """Whether the thread still runs."""
        return self._thread.is_alive()

    def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Schedules a call after those made before, and returns a future of its result."""
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
        """Lets the thread end after the calls made so far."""
        self._calls.put(None)

    def join(self, seconds: float) -> None:
        """Waits until the thread has ended, for at most this many seconds."""
        self._thread.join(seconds)

    def _make_all(self) -> None:
        while (call := self._calls.get()) is not None:
            call()


def result_of(made: Future[R], interruption: Interruption) -> R:
    """Waits for the result of a worker's call and returns it.

    Raises:
        OSError: when the wait was interrupted; the worker continues.
    """
    while not made.done():
        interruption.check()
        wait([made], LISTEN_EVERY)
    return made.result()


_PREFIX: Final = "criteo-audiences-"
_SUFFIX: Final = ".run"  # a person would not name a directory so
_YOUNG: Final = 60.0
"""Seconds after its creation during which an unlocked directory does not count as a leftover."""

_OWNERS_DIRECTORY: Final = 0o700
_LACKING: Final = f"No temporary file can be made: {NO_DESCRIPTORS}."


@contextmanager
def workspace() -> Iterator[Path]:
    """Makes a directory that only its owner can enter, and removes it with its content after the block.

    It also removes directories that killed processes of the same user left behind. It recognizes them by their lock,
    which the system releases when the process ends. Windows has no such lock, so there they stay.
    """
    directory = _new_directory()
    try:
        with _locked(directory):
            yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _new_directory() -> Path:
    """Makes a directory for temporary files.

    Raises:
        OSError: when none can be made; names a lack of file descriptors, which Python's own message would hide.
        ConfigurationError: when the engine cannot use its path.
    """
    try:
        place = tempfile.gettempdir()
        require_unicode(place, "The path of the directory for temporary files (TMPDIR)")  # the engine takes no other
        leftovers()
        return Path(tempfile.mkdtemp(prefix=_PREFIX, suffix=_SUFFIX))  # mode 0700
    except OSError as error:
        if not has_descriptors():
            raise OSError(_LACKING) from None
        reason = error.strerror or "none of the usual ones"
        raise OSError(f"No temporary directory can be written to ({reason}): let TMPDIR name another.") from None


def leftovers(*, remove: bool = True) -> list[Path]:
    """Returns the directories that killed processes of this user left behind, and removes them if `remove` is set."""
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
    """Whether a run of this user made a directory, more than `_YOUNG` seconds ago."""
    try:
        status = directory.lstat()
    except OSError:
        return False
    mine = sys.platform != "win32" and status.st_uid == os.geteuid()
    private = stat.S_ISDIR(status.st_mode) and stat.S_IMODE(status.st_mode) == _OWNERS_DIRECTORY
    return mine and private and time.time() - status.st_mtime > _YOUNG


@contextmanager
def _locked(directory: Path) -> Iterator[bool]:
    """Locks a directory, and yields whether it succeeded: not if another run has the lock, or there are no locks."""
    if sys.platform == "win32":
        yield False
        return
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        if has_descriptors():
            raise
        raise OSError(_LACKING) from None
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


CHUNK: Final = 256 * 1024
"""Bytes per piece, so that examining one blocks other threads (the GIL) for well below a millisecond."""

_OWNERS_FILE: Final = 0o600
_FED: Final = 64 * 1024
_MOST_OF_IT: Final = 0.9  # share of the free space, so that a copy cannot fill the disk
_MOST_TIMES: Final = 5_000
_SURELY: Final = 1_000_000_000
"""Decompressed bytes that are always allowed, whatever the size of the compressed file."""

_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_SKIPPABLE: Final = tuple(bytes([low]) + b"\x2a\x4d\x18" for low in range(0x50, 0x60))
_GZIP_HEADER: Final = 10
_FLAGS: Final = 3
_HAS_A_NAME: Final = 0b1000


class _DamagedError(Exception):
    """Compressed data that cannot be read."""


@define
class Content:
    """The decompressed content of a file.

    Attributes:
        path: the path of the file.
        name: the file's name, for messages.
        compression: how it is compressed.
        interruption: stops reading early.
        portable: whether the engine can read the file as it is; known once it has been read to its end. DuckDB refuses
            gzip members with an extra field (bgzip), a comment or a checksum in their header, and zeros after a member.
    """

    path: Path
    name: str
    compression: Compression
    interruption: Interruption = field(factory=Interruption, repr=False)
    portable: bool = True

    @classmethod
    def of(cls, path: Path, name: str, start: bytes, interruption: Interruption) -> "Content":
        """Detects the compression by the file's first bytes, never by its name."""
        if start.startswith(_GZIP):
            return cls(path, name, "gzip", interruption)
        return cls(path, name, "zstd" if start.startswith((_ZSTD, *_SKIPPABLE)) else "none", interruption)

    def chunks(self) -> Iterator[bytes]:
        """Yields pieces of at most `CHUNK` bytes, so that a small compressed file cannot fill the memory.

        Raises:
            OSError: when the file cannot be read, its compressed data are cut or damaged anywhere, or reading is
                interrupted.
            ConfigurationError: when it is compressed with zstd and no decompressor is installed.
        """
        most = max(_SURELY, _MOST_TIMES * self.path.stat().st_size)
        for chunk in self._pieces():
            self.interruption.check()
            most -= len(chunk)
            if most < 0 and self.compression != "none":
                raise OSError(
                    f"{self.name} holds more than {_MOST_TIMES:,} times its size, which no list does: it is "
                    "damaged, or made to fill a disk."
                )
            yield chunk

    def _pieces(self) -> Iterator[bytes]:
        with self.path.open("rb", buffering=0) as file:
            if self.compression == "none":
                yield from iter(lambda: file.read(CHUNK), b"")
                return
            fed = iter(lambda: file.read(_FED), b"")
            try:
                yield from self._gunzipped(fed) if self.compression == "gzip" else _unframed(fed)
            except (EOFError, zlib.error, _DamagedError):
                raise OSError(
                    f"{self.name} is damaged: its {self.compression} data end too early or cannot be read. "
                    "Fetch or export it again."
                ) from None

    def _gunzipped(self, fed: Iterator[bytes]) -> Iterator[bytes]:
        """Yields the content of all members; zlib checks the checksum and length of each."""
        data = next(fed)
        while data:
            while len(data) < _GZIP_HEADER:
                data += _more(fed)
            self.portable = self.portable and not data[_FLAGS] & ~_HAS_A_NAME
            member = zlib.decompressobj(wbits=31)
            while not member.eof:
                content = member.decompress(data, CHUNK)
                if content:
                    yield content
                data = member.unconsumed_tail
                if not (data or content or member.eof):
                    data = _more(fed)
            data = self._after_padding(member.unused_data, fed)

    def _after_padding(self, data: bytes, fed: Iterator[bytes]) -> bytes:
        """Returns the data after the zeros that tapes and block devices append to a member."""
        data = data or next(fed, b"")
        while data:
            stripped = data.lstrip(b"\0")
            self.portable = self.portable and len(stripped) == len(data)
            if stripped:
                return stripped
            data = next(fed, b"")
        return b""


def _unframed(fed: Iterator[bytes]) -> Iterator[bytes]:
    """Yields the content of all zstd frames; each is checked to its end, and against its checksum if it has one."""
    zstd = _zstd()
    data = next(fed)
    while data:
        frame = zstd.ZstdDecompressor()
        while not frame.eof:
            try:
                content = frame.decompress(data, CHUNK)
            except zstd.ZstdError:
                raise _DamagedError from None
            if content:
                yield content
            data = _more(fed) if frame.needs_input and not frame.eof else b""
        data = frame.unused_data or next(fed, b"")


def _more(fed: Iterator[bytes]) -> bytes:
    data = next(fed, b"")
    if not data:
        raise EOFError
    return data


def _zstd() -> ModuleType:
    """Returns Python's module for zstd, or its backport for older versions of Python."""
    try:
        if sys.version_info >= (3, 14):
            from compression import zstd  # noqa: PLC0415 - an extra
        else:
            from backports import zstd  # noqa: PLC0415 - an extra
    except ImportError:
        raise ConfigurationError("Reading zstd needs an extra: pip install 'criteo-audiences[files]'.") from None
    return zstd


def write_copy(path: Path, chunks: Iterable[bytes]) -> Path:
    """Writes a new file that only its owner can read, within `_MOST_OF_IT` of the free space, and returns its path."""
    room = shutil.disk_usage(path.parent).free * _MOST_OF_IT
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNERS_FILE), "wb", buffering=0) as file:
        for chunk in chunks:
            room -= len(chunk)
            if room < 0:
                raise _no_room()
            try:
                _write_all(file, chunk)
            except OSError as error:
                if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
                    raise
                raise _no_room() from None
    return path


def _no_room() -> OSError:
    return OSError(
        "A copy of the file, decompressed and in UTF-8, does not fit into the temporary directory "
        f"{tempfile.gettempdir()}: let TMPDIR name a larger disk, or convert the file to UTF-8."
    )


def _write_all(file: Any, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[file.write(view) :]
