"""A lock file next to a file, which keeps a second upload out for as long as the first one runs."""

import contextlib
import errno
import os
import stat
import struct
import sys
import tempfile
from pathlib import Path
from typing import Final

from criteo_audiences.errors import JournalError
from criteo_audiences.journals.sqlite_file import (
    IN_USE,
    InUseError,
    TranslatedErrors,
    make_directory,
    objection_to_file,
    refused,
)

if sys.platform != "win32":
    import fcntl

_FLAGS: Final = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_PRIVATE: Final = 0o600
_NO_LOCKS: Final = "is on a file system that cannot lock, so two uploads could write it at once: name a local directory"
_BUSY: Final = frozenset({errno.EAGAIN, errno.EACCES})


class FileLock:
    """A lock in a file of its own, `…-lock`, which is removed when the lock is released.

    SQLite's locks alone do not do: they belong to the process, which loses them as soon as any part of it opens and
    closes the file, a backup for example (fcntl(2), "record locks"). This one belongs to the open file (flock(2)), is
    given up by forked children at once, and ends with the process however it ends. On Windows SQLite's own locks
    belong to the open file, so nothing is made there.

    Args:
        path: of the file that is locked.
        what: its name in messages.

    Raises:
        InUseError: when another upload has the lock.
        JournalError: when no lock can be made.
    """

    def __init__(self, path: Path, what: str) -> None:
        self.path: Final = path.with_name(f"{path.name}-lock")
        self._descriptor = -1
        if sys.platform == "win32":
            return
        with TranslatedErrors(path, what):
            while self._descriptor < 0:
                self._try(path, what)
        _held.add(self)

    def release(self) -> None:
        """Removes the lock; doing so again, or in a forked child, does nothing."""
        if self in _held:
            _held.discard(self)
            with contextlib.suppress(OSError):  # a directory that became read-only: an empty file stays
                self.path.unlink()
            self.let_go()

    def let_go(self) -> None:
        """Closes the file and leaves it where it is."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _try(self, path: Path, what: str) -> None:
        """Takes the lock, unless its former holder removes the file meanwhile."""
        self._descriptor = os.open(self.path, _FLAGS, _PRIVATE)
        try:
            status = os.fstat(self._descriptor)
            self._require_own(status, what)
            _lock(self._descriptor, path, what)
            if self._is_still_there(status):
                return
        except BaseException:
            self.let_go()
            raise
        self.let_go()

    def _require_own(self, status: os.stat_result, what: str) -> None:
        claim = objection_to_file(status) if stat.S_ISREG(status.st_mode) else "must be a plain file"
        if claim is not None:
            raise JournalError(f"The lock {self.path} of the {what} {claim}.")

    def _is_still_there(self, status: os.stat_result) -> bool:
        try:
            return os.path.samestat(status, self.path.lstat())
        except FileNotFoundError:
            return False


_held: Final[set[FileLock]] = set()


def _let_go_of_all() -> None:
    """Keeps a forked child from holding its parent's locks when the parent has ended."""
    for lock in _held:
        lock.let_go()
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go_of_all)


def require_locks(path: Path, what: str) -> None:
    """Makes sure that the file system under a file really locks: some answer "done" and do nothing.

    Both kinds are tried on a file that is gone afterwards: the lock of `FileLock`, and the record locks that SQLite
    takes.

    Raises:
        JournalError: when one of them does not exclude a second one, or the file system says that it has none.
    """
    if sys.platform == "win32":  # locks belong to the operating system there
        return
    with TranslatedErrors(path, what):
        make_directory(path.parent)
        first, name = tempfile.mkstemp(prefix=".criteo-audiences.", suffix=".lock", dir=path.parent)
        second = -1
        try:
            second = os.open(name, os.O_RDWR | os.O_CLOEXEC)
            problem = _flock_problem(first, second) or _record_lock_problem(first, second)
        finally:
            os.close(first)
            if second >= 0:
                os.close(second)
            Path(name).unlink()
    if problem is not None:
        raise refused(path, what, f"{_NO_LOCKS} ({problem})")


if sys.platform != "win32":
    _EXCLUSIVE: Final = fcntl.LOCK_EX | fcntl.LOCK_NB

    def _lock(descriptor: int, path: Path, what: str) -> None:
        try:
            fcntl.flock(descriptor, _EXCLUSIVE)
        except OSError as error:
            if error.errno in _BUSY:
                raise InUseError(*refused(path, what, IN_USE).args) from None
            raise refused(path, what, f"{_NO_LOCKS} ({_reason(error)})") from None

    def _flock_problem(first: int, second: int) -> str | None:
        """Returns what is wrong with the locks of open files, `None` when they exclude each other."""
        try:
            fcntl.flock(first, _EXCLUSIVE)
        except OSError as error:
            return _reason(error)
        try:
            fcntl.flock(second, _EXCLUSIVE)
        except OSError as error:
            return None if error.errno in _BUSY else _reason(error)
        finally:
            fcntl.flock(first, fcntl.LOCK_UN)
        return "a lock is granted twice"

    def _record_lock_problem(first: int, second: int) -> str | None:
        """Returns what is wrong with record locks, `None` when they work or cannot be tried.

        A process cannot exclude itself by them. What excludes it is a lock of the open file on the same bytes, where
        the kernel has such (fcntl(2), "open file description locks").
        """
        try:
            fcntl.lockf(first, _EXCLUSIVE)
        except OSError as error:
            return _reason(error)
        command = getattr(fcntl, "F_OFD_SETLK", None)
        if command is None:
            return None
        try:
            fcntl.fcntl(second, command, struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
        except OSError as error:
            return None if error.errno in _BUSY | {errno.EINVAL} else _reason(error)  # EINVAL: a kernel without them
        return "a lock is granted twice"


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__
