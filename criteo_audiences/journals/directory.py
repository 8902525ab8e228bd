"""The register of a directory of journals: the key of their digests, and the last operation on each list."""

import contextlib
import logging
import os
import secrets
import sqlite3
import sys
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from criteo_audiences.errors import JournalError
from criteo_audiences.journals.file_lock import require_locks
from criteo_audiences.journals.sqlite_file import (
    DAMAGED,
    Format,
    TranslatedErrors,
    checksum,
    connect,
    make_directory,
    refused,
)

_log = logging.getLogger("criteo_audiences.uploads")

REGISTER_NAME: Final = ".criteo-audiences.register"
"""The register's file, next to the journals."""

_OTHER: Final = ""
"""The mark of what no journal continues: runs that overlapped, a clear, a single call, an upload without a journal."""

_SNAPSHOT_OF: Final = "snapshot of "
"""Prefix of a service's name in rows that name the newest snapshot of a list instead of a run's mark."""

_REJECTS: Final = "rejects with values"
"""Replaces the service's name in rows with the path of a file of rejects with their values."""

_PATIENCE_OF_A_CALL: Final = 1.0
"""Seconds that a call without a journal waits for other users of the register."""

_MARK_OF_A_LIST: Final = "SELECT mark FROM lists WHERE service = ? AND host = ? AND segment_id = ?"

_FORMAT: Final = Format(
    what="register",
    application_id=0x43724C67,
    version=2,
    schema=(
        "CREATE TABLE secret (key BLOB NOT NULL CHECK (length(key) = 32), checksum BLOB NOT NULL)",
        """
        CREATE TABLE lists (
            service TEXT NOT NULL,
            host TEXT NOT NULL,
            segment_id TEXT NOT NULL,
            mark TEXT NOT NULL,
            checksum BLOB NOT NULL,
            PRIMARY KEY (service, host, segment_id)
        )
        """,
    ),
)


def keyed_digest(key: bytes, purpose: bytes, data: bytes, *, size: int = 32) -> bytes:
    """Returns a keyed BLAKE2b digest (RFC 7693), which reveals nothing about the data without the key.

    Args:
        key: the register's key.
        purpose: the kind of data, up to 16 bytes; equal data have different digests for different purposes.
        data: any bytes.
        size: the size of the digest, in bytes.
    """
    return blake2b(data, key=key, person=purpose, digest_size=size).digest()


class JournalDirectory:
    """The register, a hidden file in a directory of journals; only its owner can read it.

    It is open for a `with` block, which is one transaction: other processes wait until it ends, so keep it short. If
    the block raises, the transaction is rolled back. A journal is opened within a transaction, so that two openings do
    not interfere.

    Without the key in the register, the digests in a journal are useless. The last operation on a list leaves its mark
    in the register. A journal that finds another mark than its own is not continued by default.

    Args:
        directory: the directory of the journals; created if it does not exist.
        patience: seconds to wait for other processes; 10 by default.
    """

    def __init__(self, directory: Path, patience: float | None = None) -> None:
        self.path: Final = directory / REGISTER_NAME
        self._patience = patience
        self._translated = TranslatedErrors(self.path, _FORMAT.what)
        self._db: sqlite3.Connection

    def __enter__(self) -> Self:
        """Opens the register.

        Raises:
            JournalError: when it cannot be used, with the reason.
        """
        if not self.path.exists():  # an existing one has passed this test, and a full disk has no room for it
            require_locks(self.path, _FORMAT.what)
        self._db = connect(self.path, _FORMAT, exclusive=False, patience=self._patience)
        try:
            with self._translated:
                self._db.execute("BEGIN IMMEDIATE")
                self._check()
        except BaseException:
            self._db.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Commits the transaction, or rolls it back if the block failed.

        Raises:
            JournalError: when the register cannot be written.
        """
        try:
            if kind is None:
                with self._translated:
                    self._db.execute("COMMIT")
        finally:
            self._db.close()  # rolls back what is not committed

    def key(self) -> bytes:
        """Returns the key of the directory's digests; creates it the first time."""
        with self._translated:
            row = self._db.execute("SELECT key FROM secret").fetchone()
            if row is not None:
                return bytes(row[0])
            key = secrets.token_bytes(32)
            self._db.execute("INSERT INTO secret VALUES (?, ?)", (key, checksum(key)))
            return key

    def last_mark(self, service: str, host: str, segment_id: str) -> str | None:
        """Returns the mark of the last operation on a list; `None` if none is known.

        It is an empty text after overlapping runs, and after any operation but an upload with a journal.
        """
        with self._translated:
            row = self._db.execute(_MARK_OF_A_LIST, (service, host.lower(), segment_id)).fetchone()
            return None if row is None else str(row[0])

    def note(self, service: str, host: str, segment_id: str, mark: str) -> None:
        """Records that a run begins to operate on a list; call it before the run's first call.

        Args:
            service: the service's name.
            host: the host of the API.
            segment_id: the list.
            mark: the run's mark, which is unique.
        """
        row = (service, host.lower(), segment_id, mark)
        with self._translated:
            self._db.execute("INSERT OR REPLACE INTO lists VALUES (?, ?, ?, ?, ?)", (*row, checksum(*row)))

    def note_end(self, service: str, host: str, segment_id: str, mark: str) -> None:
        """Records that a run has ended; if another operation overlapped it, the mark becomes that of no journal."""
        if self.last_mark(service, host, segment_id) not in {None, mark}:
            self.note_other(service, host, segment_id)

    def note_other(self, service: str, host: str, segment_id: str) -> None:
        """Records an operation that no journal continues; writes nothing if no run with a journal is known."""
        if self.last_mark(service, host, segment_id):
            self.note(service, host, segment_id, _OTHER)

    def snapshot(self, service: str, host: str, segment_id: str) -> str | None:
        """Returns the name of the newest snapshot of a list that is known here; `None` if none is."""
        return self.last_mark(_SNAPSHOT_OF + service, host, segment_id)

    def note_snapshot(self, service: str, host: str, segment_id: str, name: str) -> None:
        """Records the newest snapshot of a list."""
        self.note(_SNAPSHOT_OF + service, host, segment_id, name)

    def rejects(self) -> list[Path]:
        """Returns the paths of files of rejects with values that uploads have written, even if they are gone."""
        with self._translated:
            rows = self._db.execute("SELECT segment_id FROM lists WHERE service = ?", (_REJECTS,))
            return [Path(os.fsdecode(bytes.fromhex(place))) for (place,) in rows]

    def note_rejects(self, path: Path) -> None:
        """Records that an upload writes a file of rejects with their values."""
        self.note(_REJECTS, "", os.fsencode(path).hex(), "written")  # a file name need not be text

    def forget_rejects(self, path: Path) -> None:
        """Deletes the record of a file of rejects."""
        with self._translated:
            place = os.fsencode(path).hex()
            self._db.execute("DELETE FROM lists WHERE service = ? AND segment_id = ?", (_REJECTS, place))

    def _check(self) -> None:
        """Verifies the checksum of every row.

        Raises:
            JournalError: when a checksum does not match.
        """
        rows = [*self._db.execute("SELECT * FROM secret"), *self._db.execute("SELECT * FROM lists")]
        if any(written != checksum(*values) for *values, written in rows):
            raise refused(self.path, _FORMAT.what, DAMAGED)


def state_directory() -> Path | None:
    """Returns the default directory of this user's journals, in whose register operations on lists are recorded.

    It is `criteo-audiences/journals` in the user's state directory (XDG Base Directory Specification,
    `XDG_STATE_HOME`), or below `LOCALAPPDATA` on Windows; `None` for a user without a home directory.
    """
    try:
        if sys.platform == "win32":
            base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
        else:
            given = os.environ.get("XDG_STATE_HOME", "")
            base = given if given.startswith("/") else Path.home() / ".local" / "state"  # a relative path is ignored
    except RuntimeError:
        return None
    return Path(base) / "criteo-audiences" / "journals"


class Witness:
    """The register of the user's state directory, if it can be used.

    Runs with a journal in another directory are recorded here, too, so that calls without a journal can change the mark
    of a list.

    Args:
        journals: the directory of a journal. If it is the state directory itself, nothing is recorded here, because the
            journal uses the same register anyway.
    """

    def __init__(self, journals: Path | None = None) -> None:
        directory = state_directory()
        is_own = journals is not None and directory is not None and journals.resolve() == directory.resolve()
        self._directory = None if is_own else directory

    def last_mark(self, service: str, host: str, segment_id: str) -> str | None:
        """Returns the mark of the last operation on a list; `None` if none is known.

        Raises:
            JournalError: when the register is damaged, or in use for long.
        """
        if not self._is_usable():
            return None
        with self._register() as register:
            return register.last_mark(service, host, segment_id)

    def snapshot(self, service: str, host: str, segment_id: str) -> str | None:
        """Returns the name of the newest snapshot of a list, see `JournalDirectory.snapshot`.

        Raises:
            JournalError: when the register is damaged, or in use for long.
        """
        return self.last_mark(_SNAPSHOT_OF + service, host, segment_id)

    def note_snapshot(self, service: str, host: str, segment_id: str, name: str) -> None:
        """Records the newest snapshot of a list, if possible; creates the register if necessary."""
        self.note(_SNAPSHOT_OF + service, host, segment_id, name)

    def note(self, service: str, host: str, segment_id: str, mark: str) -> None:
        """Records that a run with a journal begins, if possible; creates the register if necessary."""
        if self._can_be_made():
            with self._forgiven(), self._register() as register:
                register.note(service, host, segment_id, mark)

    def note_rejects(self, path: Path) -> None:
        """Records that an upload writes a file of rejects with their values, so that an erasure finds it.

        It does so if possible, and creates the register if necessary.
        """
        if self._can_be_made():
            with self._forgiven(), self._register() as register:
                register.note_rejects(path.absolute())

    def rejects(self, *, forget_gone: bool) -> list[Path]:
        """Returns the files of rejects with values that uploads have written and that still exist.

        Args:
            forget_gone: whether to delete the records of files that no longer exist.

        Raises:
            JournalError: when the register is damaged, or in use for long.
        """
        if not self._is_usable():
            return []
        with self._register() as register:
            noted = register.rejects()
            for path in noted if forget_gone else ():
                if not os.path.lexists(path):
                    register.forget_rejects(path)
        return [path for path in noted if os.path.lexists(path)]

    def _can_be_made(self) -> bool:
        """Whether the register can be written; creates its directory if necessary."""
        if self._directory is None:
            return False
        with contextlib.suppress(OSError):
            make_directory(self._directory)
        return os.access(self._directory, os.R_OK | os.W_OK | os.X_OK)

    def note_end(self, service: str, host: str, segment_id: str, mark: str) -> None:
        """Records that a run with a journal has ended, if possible."""
        if self._is_usable():
            with self._forgiven(), self._register() as register:
                register.note_end(service, host, segment_id, mark)

    def note_other(self, service: str, host: str, segment_id: str) -> None:
        """Records an operation that no journal continues, if possible; does not create the register."""
        if self._is_usable() and self._may_be_continued(service, host, segment_id):
            with self._forgiven(), self._register(_PATIENCE_OF_A_CALL) as register:
                register.note_other(service, host, segment_id)

    def _may_be_continued(self, service: str, host: str, segment_id: str) -> bool:
        """Whether there may be a mark to replace; a quick check without a lock, because most single calls find none."""
        path = self._register().path.absolute()
        if not path.is_file():  # reading a pipe would block; the register refuses it
            return True
        address = f"{path.as_uri()}?mode=ro"
        try:
            with contextlib.closing(sqlite3.connect(address, uri=True, timeout=_PATIENCE_OF_A_CALL)) as db:
                row = db.execute(_MARK_OF_A_LIST, (service, host.lower(), segment_id)).fetchone()
        except (sqlite3.Error, UnicodeDecodeError):
            return True
        return row is not None and row[0] != _OTHER

    def _register(self, patience: float | None = None) -> JournalDirectory:
        return JournalDirectory(self._directory or Path(), patience)

    def _is_usable(self) -> bool:
        if self._directory is None:
            return False
        places = (self._directory, self._directory / REGISTER_NAME)
        return all(os.access(each, os.R_OK | os.W_OK) for each in places)

    @contextlib.contextmanager
    def _forgiven(self) -> Iterator[None]:
        """Logs an error of the register instead of raising it, because the operation itself must go on."""
        try:
            yield
        except JournalError as error:
            _log.warning("An operation on a list could not be noted for unfinished uploads: %s", error)
