"""One SQLite file of ours: private, recognized before it is touched, refused in words when it cannot be used."""

import errno
import os
import sqlite3
import stat
import struct
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final

from attrs import frozen

from criteo_audiences.errors import JournalError

if sys.platform != "win32":
    import fcntl

_PATIENCE: Final = 10.0
"""Seconds to wait for the short transactions of other processes."""

_NEW: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_PRIVATE: Final = 0o600

_IN_USE: Final = "is in use by another upload: wait for its end, or name another journal"
_NO_LOCKS: Final = "is on a file system that cannot lock, so two uploads could write it at once: name a local directory"
_FOREIGN: Final = "is no {what} of this library, and is left as it is: name another file"
_DAMAGED: Final = "is damaged: remove it, and the next upload sends everything"
_FULL: Final = "cannot record what is sent because the disk is full: make room and run again"
_UNWRITABLE: Final = "cannot be written"
EMPTY: Final = "is empty: no upload has begun"

# By the beginning of SQLite's name for the error; the first that fits.
_CLAIMS: Final = (
    (("SQLITE_BUSY", "SQLITE_LOCKED"), _IN_USE),
    (("SQLITE_NOTADB",), _FOREIGN),
    (("SQLITE_FULL",), _FULL),
    (
        (
            "SQLITE_IOERR_LOCK",
            "SQLITE_IOERR_UNLOCK",
            "SQLITE_IOERR_RDLOCK",
            "SQLITE_IOERR_CHECKRESERVEDLOCK",
            "SQLITE_IOERR_SHM",
            "SQLITE_PROTOCOL",
            "SQLITE_NOLFS",
        ),
        _NO_LOCKS,
    ),
    (("SQLITE_IOERR_READ", "SQLITE_IOERR_SHORT_READ", "SQLITE_IOERR_CORRUPTFS"), "cannot be read"),
    (("SQLITE_IOERR", "SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM", "SQLITE_AUTH"), _UNWRITABLE),
)


class InUseError(JournalError):
    """Another process, or another upload of this one, holds the file."""


@frozen
class Format:
    """What makes a SQLite file one of ours.

    Attributes:
        what: its name in messages.
        application_id: stands in its header.
        version: of the schema.
        schema: the statements that make it.
    """

    what: str
    application_id: int
    version: int
    schema: tuple[str, ...]


@frozen
class TranslatedErrors:
    """Turns errors of SQLite and of the operating system into a `JournalError`, without the values of a statement.

    It is no generator, because it is entered for every batch, on the event loop.

    Attributes:
        path: of the file, for the message.
        what: its name in messages.
    """

    path: Path
    what: str

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, sqlite3.Error) and not isinstance(error, sqlite3.ProgrammingError):  # that is our mistake
            raise _refusal(self.path, self.what, getattr(error, "sqlite_errorname", "")) from None
        if isinstance(error, OSError):
            full = error.errno in {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
            claim = _FULL if full else f"{_UNWRITABLE}: {error.strerror or type(error).__name__}"
            raise refused(self.path, self.what, claim) from None


def refused(path: Path, what: str, claim: str) -> JournalError:
    """Returns the error that says what is the matter with a file."""
    return JournalError(f"The {what} {path} {claim.format(what=what)}.")


def _refusal(path: Path, what: str, name: str) -> JournalError:
    claim = next((claim for names, claim in _CLAIMS if name.startswith(names)), _DAMAGED)
    error = refused(path, what, claim)
    return InUseError(*error.args) if claim is _IN_USE else error


def connect(path: Path, form: Format, *, exclusive: bool, create: bool = True) -> sqlite3.Connection:
    """Opens a file of ours, and makes it where there is none yet.

    The caller begins and ends transactions itself. What another program has written is recognized and left as it is.

    Args:
        path: of the file.
        form: what it must be.
        exclusive: keeps it for this connection until it is closed, or the process ends however it ends; it then has
            a write-ahead log that no checkpoint empties unless the caller asks for one.
        create: whether to make it, and its directory; otherwise it must be there.

    Raises:
        InUseError: when another connection keeps it.
        JournalError: when it cannot be used, with the reason.
    """
    with TranslatedErrors(path, form.what):
        if create:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _require_regular(path, form.what)
        if create:
            _create(path)
        elif not path.exists():
            raise refused(path, form.what, "does not exist")
        timeout = 0.0 if exclusive else _PATIENCE
        db = sqlite3.connect(path.absolute(), timeout=timeout, isolation_level=None, check_same_thread=False)
        try:
            _prepare(db, path, form, exclusive=exclusive, create=create)
        except BaseException:
            db.close()
            raise
        return db


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """Commits what the block does, or nothing of it."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def log_of(path: Path) -> Path:
    """Returns where SQLite keeps a file's write-ahead log."""
    return path.with_name(f"{path.name}-wal")


def _require_regular(path: Path, what: str) -> None:
    """Refuses links and whatever else is no plain file, also in place of the log."""
    for each in (path, log_of(path)):
        try:
            mode = each.lstat().st_mode
        except FileNotFoundError:
            continue
        if not stat.S_ISREG(mode):
            kind = "directory" if stat.S_ISDIR(mode) else "link" if stat.S_ISLNK(mode) else "special file"
            raise JournalError(f"The {what} {each} must be a plain file, but is a {kind}.")


def _create(path: Path) -> None:
    """Makes the file, for its owner only, unless it is there.

    One that is there is not opened: closing any descriptor of it would free the locks that SQLite holds on it in this
    process.
    """
    try:
        os.close(os.open(path, _NEW, _PRIVATE))
    except FileExistsError:
        return
    _keep_name(path.parent)


def _keep_name(directory: Path) -> None:
    """Makes the name of a new file outlive a loss of power."""
    if os.name == "posix":
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _prepare(db: sqlite3.Connection, path: Path, form: Format, *, exclusive: bool, create: bool) -> None:
    if exclusive:
        db.execute("PRAGMA locking_mode=EXCLUSIVE")
        # Before the mode of the log is written into what may be another program's file.
        if _recognize(db, path, form) and not create:
            raise refused(path, form.what, EMPTY)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA wal_autocheckpoint=0")
    # Where commits wait for the disk, so does the event loop: who has an exclusive file asks for it apart.
    db.execute(f"PRAGMA synchronous={'NORMAL' if exclusive else 'FULL'}")
    with transaction(db):
        if _recognize(db, path, form):
            for statement in form.schema:
                db.execute(statement)
            db.execute(f"PRAGMA application_id={form.application_id}")
            db.execute(f"PRAGMA user_version={form.version}")
    for each in (path, log_of(path)):
        _make_private(each)


def _recognize(db: sqlite3.Connection, path: Path, form: Format) -> bool:
    """Returns whether the file is blank; refuses one that is not ours, is of another version, or damaged."""
    ((application_id,),) = db.execute("PRAGMA application_id")
    ((version,),) = db.execute("PRAGMA user_version")
    ((tables,),) = db.execute("SELECT count(*) FROM sqlite_master")
    if not application_id and not version and not tables:
        return True
    if application_id != form.application_id:
        raise refused(path, form.what, _FOREIGN)
    if version != form.version:
        raise refused(path, form.what, "was written by another version of this library: finish it there, or remove it")
    if db.execute("PRAGMA quick_check(1)").fetchall() != [("ok",)]:
        raise refused(path, form.what, _DAMAGED)
    return False


def _make_private(path: Path) -> None:
    """Takes the rights of others away, where a file has some (a copy, a backup)."""
    if os.name == "posix" and path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077:
        path.chmod(_PRIVATE)


def require_locks(path: Path, what: str) -> None:
    """Makes sure that the file system under a file really locks: some answer "done" and do nothing.

    Two descriptors of a file of its own must keep each other out; the file is gone afterwards.

    Raises:
        JournalError: when they do not, or the file system says that it cannot.
    """
    if sys.platform == "win32":  # locks belong to the operating system there
        return
    with TranslatedErrors(path, what):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        first, name = tempfile.mkstemp(prefix=".criteo-audiences.", suffix=".lock", dir=path.parent)
        second = -1
        try:
            second = os.open(name, os.O_RDWR | os.O_CLOEXEC)
            problem = _locking_problem(first, second)
        finally:
            os.close(first)
            if second >= 0:
                os.close(second)
            Path(name).unlink()
    if problem is not None:
        raise refused(path, what, f"{_NO_LOCKS} ({problem})")


if sys.platform != "win32":

    def _locking_problem(first: int, second: int) -> str | None:
        """Returns what is wrong with the locks of a file that has two descriptors; `None` when they work."""
        try:
            _lock(first)
        except OSError as error:
            return error.strerror or type(error).__name__
        try:
            _lock(second)
        except OSError as error:
            return None if error.errno in {errno.EAGAIN, errno.EACCES} else error.strerror or type(error).__name__
        return "a lock is granted twice"

    def _lock(descriptor: int) -> None:
        """Takes a lock that belongs to the open file, where there is one: a record lock would belong to the process."""
        command = getattr(fcntl, "F_OFD_SETLK", None)
        if command is not None:
            try:
                fcntl.fcntl(descriptor, command, struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
            except OSError as error:
                if error.errno != errno.EINVAL:  # a kernel without such locks
                    raise
            else:
                return
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
