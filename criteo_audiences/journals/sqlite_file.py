"""Opens our SQLite files: private files, recognized before they are changed, with clear messages if unusable.

Files and directories that another user owns or may change are not trusted.
"""

import errno
import os
import sqlite3
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import Final

from attrs import frozen

from criteo_audiences.errors import JournalError

if sys.platform != "win32":
    import grp
    import pwd

_OTHERS: Final = stat.S_IWOTH
_GROUP: Final = stat.S_IWGRP

_NOT_YOURS: Final = "belongs to another user: name another place"
_OPEN_FILE: Final = "can be written by other users, so it cannot be trusted: remove it, or use chmod 600 if nobody has"
_OPEN_DIRECTORY: Final = "can be written by other users: take that right away (chmod go-w), or name another place"


def make_directory(path: Path) -> None:
    """Makes a directory and its missing parents, for its owner only, whatever the umask is.

    Raises:
        OSError: when it cannot be made.
    """
    missing = []
    while not path.exists():
        missing.append(path)
        path = path.parent
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)


def objection_to_file(status: os.stat_result) -> str | None:
    """Returns why a file of ours cannot be trusted, or `None` if it can.

    Other users must not be able to write it. If they can read it, the caller must fix that.
    """
    if os.name != "posix":
        return None
    if status.st_uid != os.geteuid():
        return _NOT_YOURS
    return _OPEN_FILE if status.st_mode & (_GROUP | _OTHERS) else None


def objection_to_place(directory: Path) -> str | None:
    """Returns which directory on the path to a file lets other users replace the file, or `None` if none does.

    It checks the path as it is written, and with its links resolved. Directories such as `/tmp`, where users can remove
    only their own files, are trusted, and so is a group with the user as its only member.
    """
    if os.name != "posix":
        return None
    for each in _on_the_way(directory):
        if claim := _objection(os.lstat(each)):
            return f"the directory {each} {claim}"
    return None


def _on_the_way(directory: Path) -> Iterable[str]:
    """Returns a directory and its parents, first as written, then with symbolic links resolved.

    They are texts, because creating path objects costs more here than checking the directories.
    """
    found: dict[str, None] = {}
    for way in (str(directory.absolute()), str(directory.resolve())):
        at = way
        while at not in found:
            found[at] = None
            at = at.rpartition("/")[0] or "/"
    return found


def _objection(status: os.stat_result) -> str | None:
    user = os.geteuid()
    # Root may use a user's directory, such as a volume; the owner of the root directory can do anything anyway.
    if user and status.st_uid not in {user, 0, Path("/").stat().st_uid}:
        return _NOT_YOURS
    if stat.S_ISLNK(status.st_mode) or status.st_mode & stat.S_ISVTX:
        return None
    if status.st_mode & _OTHERS:
        return _OPEN_DIRECTORY
    return _OPEN_DIRECTORY if status.st_mode & _GROUP and not _is_own_group(status.st_gid) else None


def _is_own_group(group: int) -> bool:
    """Whether a group is root's, or has the user's name and no other member."""
    if not group or sys.platform == "win32":
        return True
    try:
        user, found = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(group)
    except KeyError:  # a user or a group without a name, as in containers
        return False
    return found.gr_name == user and set(found.gr_mem) <= {user}


_PATIENCE: Final = 10.0
"""Seconds to wait for the short transactions of other processes."""

_NEW: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_PRIVATE: Final = 0o600

IN_USE: Final = "is in use by another upload: wait for its end, or name another journal"
_NO_LOCKS: Final = "is on a file system that cannot lock, so two uploads could write it at once: name a local directory"
_FOREIGN: Final = "is no {what} of this library, and is left as it is: name another file"
DAMAGED: Final = "is damaged: remove it, and the next upload sends everything"
_FULL: Final = "cannot record what is sent because the disk is full: make room and run again"
_UNWRITABLE: Final = "cannot be written"

# Our messages, by the beginning of SQLite's name for the error; the first match counts.
_CLAIMS: Final = (
    (("SQLITE_BUSY", "SQLITE_LOCKED"), IN_USE),
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
    """Another process, or another upload in this process, has locked the file."""


class NeverBeganError(JournalError):
    """The file exists, but nothing has been recorded in it."""


@frozen
class Format:
    """A format of our SQLite files.

    Attributes:
        what: its name in messages.
        application_id: the application id in the file's header.
        version: the version of the schema.
        schema: the statements that create the tables.
    """

    what: str
    application_id: int
    version: int
    schema: tuple[str, ...]


@frozen
class TranslatedErrors:
    """Turns errors of SQLite and of the operating system into a `JournalError`, without the values of a statement.

    It is a class and no generator, which would be slower: it is entered for every batch, on the event loop.

    Attributes:
        path: the path of the file, for the message.
        what: its name in messages.
    """

    path: Path
    what: str

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, sqlite3.Error) and not isinstance(error, sqlite3.ProgrammingError):  # a bug of ours
            raise _refusal(self.path, self.what, getattr(error, "sqlite_errorname", "")) from None
        if isinstance(error, UnicodeDecodeError):  # the text in the file is no UTF-8
            raise refused(self.path, self.what, DAMAGED) from None
        if isinstance(error, ValueError) and "\0" in str(self.path):
            shown = Path(str(self.path).replace("\0", "\\0"))
            raise refused(shown, self.what, "holds a NUL character, which no file's name can hold") from None
        if isinstance(error, OSError):
            full = error.errno in {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
            claim = _FULL if full else f"{_UNWRITABLE}: {error.strerror or type(error).__name__}"
            raise refused(self.path, self.what, claim) from None


def refused(path: Path, what: str, claim: str) -> JournalError:
    """Returns the error for a file that cannot be used."""
    return JournalError(f"The {what} {path} {claim.replace('{what}', what)}.")


def never_began(path: Path, what: str) -> JournalError:
    """Returns the error for a file in which nothing has been recorded."""
    return NeverBeganError(*refused(path, what, "is empty: no upload has begun").args)


def _refusal(path: Path, what: str, name: str) -> JournalError:
    claim = next((claim for names, claim in _CLAIMS if name.startswith(names)), DAMAGED)
    error = refused(path, what, claim)
    return InUseError(*error.args) if claim is IN_USE else error


def connect(
    path: Path, form: Format, *, exclusive: bool, create: bool = True, patience: float | None = None
) -> sqlite3.Connection:
    """Opens a file of ours, and creates it if necessary.

    The caller begins and ends transactions itself. A file of another program is recognized and not changed.

    Args:
        path: the path of the file.
        form: the format that it must have.
        exclusive: whether to lock it for this connection until it is closed or the process ends; it then has a
            write-ahead log, which is checkpointed only when the caller asks for it.
        create: whether to create it, and its directory; otherwise it must exist.
        patience: seconds to wait for other transactions, if the file is shared; 10 by default.

    Raises:
        InUseError: when another connection has locked it.
        JournalError: when it cannot be used, with the reason.
    """
    with TranslatedErrors(path, form.what):
        if create:
            make_directory(path.parent)
        _require_trust(path, form.what)
        made = create and _create(path)
        if not path.exists():
            raise refused(path, form.what, "does not exist")
        wait = _PATIENCE if patience is None else patience
        timeout = 0.0 if exclusive else wait
        db = sqlite3.connect(path.absolute(), timeout=timeout, isolation_level=None, check_same_thread=False)
        try:
            _prepare(db, path, form, exclusive=exclusive, create=create)
        except BaseException:
            db.close()
            if made and exclusive:  # a shared file may already be in use by others
                unlink(path)
            raise
        return db


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """Runs the block in a transaction: commits it, or rolls it back if the block raises."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def checksum(*values: object) -> bytes:
    """Returns a checksum that shows whether the values of a row have changed.

    It detects accidents only: whoever can write the file can also write the checksum.
    """
    return blake2b(repr(values).encode("utf-8", "surrogatepass"), digest_size=8).digest()


def log_of(path: Path) -> Path:
    """Returns the path of a file's write-ahead log."""
    return path.with_name(f"{path.name}-wal")


def unlink(path: Path) -> None:
    """Removes a file and the files that SQLite keeps next to it."""
    for each in (path, *_logs_of(path)):
        each.unlink(missing_ok=True)


def _logs_of(path: Path) -> tuple[Path, ...]:
    """Returns the paths of a file's logs and their index."""
    return tuple(path.with_name(f"{path.name}{end}") for end in ("-wal", "-shm", "-journal"))


def _require_trust(path: Path, what: str) -> None:
    """Refuses a file that is no plain file, or that another user owns or may write; the same for its logs.

    Raises:
        JournalError: when it is such a file; names the file or the directory.
    """
    for each in (path, *_logs_of(path)):
        try:
            status = each.lstat()
        except FileNotFoundError:
            continue
        if not stat.S_ISREG(status.st_mode):
            kind = _kind(status.st_mode)
            raise JournalError(f"The {what} {each} must be a plain file, but is a {kind}.")
        if claim := objection_to_file(status):
            raise refused(each, what, claim)
    if claim := objection_to_place(path.parent):
        raise refused(path, what, f"cannot be trusted because {claim}")


def _kind(mode: int) -> str:
    return "directory" if stat.S_ISDIR(mode) else "link" if stat.S_ISLNK(mode) else "special file"


def _create(path: Path) -> bool:
    """Creates the file, for its owner only, and returns whether it is new."""
    try:
        os.close(os.open(path, _NEW, _PRIVATE))
    except FileExistsError:
        return False
    _keep_name(path.parent)
    return True


def _keep_name(directory: Path) -> None:
    """Makes the name of a new file survive a power failure (fsync of the directory)."""
    if os.name == "posix":
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _prepare(db: sqlite3.Connection, path: Path, form: Format, *, exclusive: bool, create: bool) -> None:
    if exclusive:
        db.execute("PRAGMA locking_mode=EXCLUSIVE")
        # Before the log mode is written: the file may belong to another program.
        if _recognize(db, path, form) and not create:
            raise never_began(path, form.what)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA wal_autocheckpoint=0")
    # With FULL, commits and so the event loop wait for the disk; users of an exclusive file call fsync separately.
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
    """Returns whether the file is blank; refuses a file that is not ours, has another version, or is damaged."""
    ((application_id,),) = db.execute("PRAGMA application_id")
    ((version,),) = db.execute("PRAGMA user_version")
    ((tables,),) = db.execute("SELECT count(*) FROM sqlite_master")
    if not application_id and not version and not tables:
        return True
    if application_id != form.application_id:
        raise refused(path, form.what, _FOREIGN)
    if version != form.version:
        raise refused(path, form.what, "was written by another version of this library: finish it there, or remove it")
    if db.execute("PRAGMA integrity_check(1)").fetchall() != [("ok",)] or _schema_of(db) != _schema(form):
        raise refused(path, form.what, DAMAGED)
    return False


def _schema_of(db: sqlite3.Connection) -> list[str]:
    """Returns the statements that created a file's tables."""
    return sorted(_words(sql) for (sql,) in db.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL"))


def _schema(form: Format) -> list[str]:
    return sorted(_words(statement) for statement in form.schema)


def _words(statement: str) -> str:
    return " ".join(statement.split())


def _make_private(path: Path) -> None:
    """Removes the rights of other users on a file, which a copy or a backup may have."""
    if os.name == "posix" and path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077:
        path.chmod(_PRIVATE)
