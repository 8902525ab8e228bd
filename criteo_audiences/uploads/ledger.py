"""What the journals of a directory share: the key of their digests, and which run was the last on each list."""

import secrets
import sqlite3
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from criteo_audiences.uploads.sqlite_file import Format, TranslatedErrors, connect, require_locks

LEDGER_NAME: Final = ".criteo-audiences.ledger"
"""Its file, beside the journals."""

_SEVERAL: Final = ""
"""Stands for runs that overlapped: none of them was the last."""

_FORMAT: Final = Format(
    what="ledger",
    application_id=0x43724C67,
    version=1,
    schema=(
        "CREATE TABLE secret (key BLOB NOT NULL CHECK (length(key) = 32))",
        """
        CREATE TABLE lists (
            service TEXT NOT NULL,
            host TEXT NOT NULL,
            segment_id TEXT NOT NULL,
            run_id TEXT NOT NULL,
            PRIMARY KEY (service, host, segment_id)
        )
        """,
    ),
)


def keyed_digest(key: bytes, purpose: bytes, data: bytes, *, size: int = 32) -> bytes:
    """Returns a keyed BLAKE2b digest (RFC 7693), which says nothing about the data to who has not got the key.

    Args:
        key: the ledger's.
        purpose: what it is a digest of, up to 16 bytes: equal data of two purposes have different digests.
        data: any bytes.
        size: of the digest, in bytes.
    """
    return blake2b(data, key=key, person=purpose, digest_size=size).digest()


class Ledger:
    """The hidden file of a directory of journals; only its owner can read it.

    It is open for a `with` block, which is one transaction: other processes wait until it ends, so keep it short. The
    block is undone when it raises. Opening a journal happens within one, so that openings do not disturb each other.

    The key makes the digests in the journals useless to whoever gets a journal without it.

    Args:
        directory: of the journals; it is made when it is not there.
    """

    def __init__(self, directory: Path) -> None:
        self.path: Final = directory / LEDGER_NAME
        self._translated = TranslatedErrors(self.path, _FORMAT.what)
        self._db: sqlite3.Connection

    def __enter__(self) -> Self:
        """Opens the ledger.

        Raises:
            JournalError: when it cannot be used, with the reason.
        """
        if not self.path.exists():  # one that is there was made where locks work, and a full disk has no room to try
            require_locks(self.path, _FORMAT.what)
        self._db = connect(self.path, _FORMAT, exclusive=False)
        try:
            with self._translated:
                self._db.execute("BEGIN IMMEDIATE")
        except BaseException:
            self._db.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Writes what the block noted, unless it failed.

        Raises:
            JournalError: when it cannot be written.
        """
        try:
            if kind is None:
                with self._translated:
                    self._db.execute("COMMIT")
        finally:
            self._db.close()  # undoes what is not written

    def key(self) -> bytes:
        """Returns the key of the directory's digests; makes it the first time."""
        with self._translated:
            self._db.execute(
                "INSERT INTO secret SELECT ? WHERE NOT EXISTS (SELECT 1 FROM secret)", (secrets.token_bytes(32),)
            )
            ((key,),) = self._db.execute("SELECT key FROM secret LIMIT 1")
            return bytes(key)

    def last_run(self, service: str, host: str, segment_id: str) -> str | None:
        """Returns the id of the last run that operated on a list, `None` when none is known.

        After runs that overlapped it is the id of none of them.
        """
        with self._translated:
            row = self._db.execute(
                "SELECT run_id FROM lists WHERE service = ? AND host = ? AND segment_id = ?",
                (service, host, segment_id),
            ).fetchone()
            return None if row is None else str(row[0])

    def note(self, service: str, host: str, segment_id: str, run_id: str) -> None:
        """Notes that a run begins to operate on a list, before its first call.

        Args:
            service: its name.
            host: of the API.
            segment_id: the list.
            run_id: of an upload, or any new one for an operation that is over at once, such as a clear.
        """
        with self._translated:
            self._db.execute("INSERT OR REPLACE INTO lists VALUES (?, ?, ?, ?)", (service, host, segment_id, run_id))

    def note_end(self, service: str, host: str, segment_id: str, run_id: str) -> None:
        """Notes that a run has ended; when another one has begun meanwhile, neither of them was the last."""
        if self.last_run(service, host, segment_id) not in {None, run_id}:
            self.note(service, host, segment_id, _SEVERAL)
