"""Locks a file with a lock file next to it, so that a second upload cannot use it while the first one runs."""

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
    """A lock on a separate file, `…-lock`, which is removed when the lock is released.

    SQLite's locks are not enough: they belong to the process, which loses them as soon as any part of it opens and
    closes the file, a backup for example (fcntl(2), "record locks"). This lock belongs to the open file (flock(2)).
    Forked children close it at once, and the system releases it when the process ends in any way. On Windows, SQLite's
    own locks belong to the open file, so no lock file is created there.

    Args:
        path: the path of the locked file.
        what: its name in messages.

    Raises:
        InUseError: when another upload has the lock.
        JournalError: when the lock file cannot be created or locked.
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
        """Removes the lock file and releases the lock; does nothing the second time, or in a forked child."""
        if self in _held:
            _held.discard(self)
            with contextlib.suppress(OSError):  # the directory may have become read-only: an empty file stays
                self.path.unlink()
            self.let_go()

    def let_go(self) -> None:
        """Closes the lock file without removing it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _try(self, path: Path, what: str) -> None:
        """Tries to take the lock; fails if its former holder removes the lock file meanwhile."""
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
    """Closes all lock files in a forked child, which would otherwise keep the locks after its parent has ended."""
    for lock in _held:
        lock.let_go()
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go_of_all)


def require_locks(path: Path, what: str) -> None:
    """Checks that the file system really locks, because some report success and do nothing.

    It tries both kinds of lock on a temporary file: that of `FileLock`, and the record locks that SQLite uses.

    Raises:
        JournalError: when a lock does not exclude a second one, or the file system reports that it has no locks.
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
        """Returns what is wrong with the locks of open files; `None` if they exclude each other."""
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
        """Returns what is wrong with record locks; `None` if they work or cannot be tested.

        A record lock does not exclude the process that has it. The test therefore uses a lock of the open file on the
        same bytes, if the kernel has such locks (fcntl(2), "open file description locks").
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
