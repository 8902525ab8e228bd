"""The rows of a journal, and the room on the disk for those that are still to be written."""

import math
import os
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from attrs import astuple, fields, frozen

from criteo_audiences.batches import Batch
from criteo_audiences.models import IdentifierType
from criteo_audiences.uploads.sqlite_file import Format, TranslatedErrors, connect, log_of, refused, transaction

_BEGIN_FRAMES: Final = 8
"""Pages that a row changes at most: the leaf, its new neighbor, those above them, the header (4 were seen)."""

_APPEND_FRAMES: Final = 1
"""Pages that a row behind all others changes when it fits into the last leaf."""

_MOST_OF_A_ROW: Final = 256
"""Bytes that a row takes at most. Rows behind all others fill a new leaf not before there are as many as fit into a
page, so of that many one is counted as one that changes more pages, whichever it is.
"""

_END_FRAMES: Final = 1
"""Pages that the end of a batch changes: its row keeps its place, because it was made as long as it gets."""

_SPARE_FRAMES: Final = 4
"""For the row of the job."""

_LOG_FRAMES: Final = 128
"""Pages that the log holds at first: half a megabyte, and a checkpoint every forty batches or so."""

_LOG_HEADER: Final = 32
_FRAME_HEADER: Final = 24

_RESERVE: Final = 112
"""Bytes by which the end of a batch may lengthen its row: the longest trace id, state, time and counts."""


# Of SQLite's own types: for any other, an enum for example, Python first looks for somebody who converts it.
_BEGIN: Final = f"""
    INSERT OR REPLACE INTO batches (number, digest, kind, count, size, sent_at, state, reserve)
    VALUES (?, ?, ?, ?, ?, ?, 'sent', zeroblob({_RESERVE}))
"""  # noqa: S608 - a number of ours
_END: Final = """
    UPDATE batches
    SET state = ?, ended_at = ?, valid = ?, invalid = ?, unreported = ?, trace_id = ?, reserve = NULL
    WHERE number = ?
"""


class BatchState(StrEnum):
    """How far a batch has come: pending (handed back unsent), sent, or what came of it."""

    PENDING = "pending"
    SENT = "sent"
    ACKNOWLEDGED = "acknowledged"
    FAILED = "failed"
    UNKNOWN = "unknown"


FORMAT: Final = Format(
    what="journal",
    application_id=0x43724A6C,
    version=1,
    schema=(
        """
        CREATE TABLE job (
            run_id TEXT NOT NULL,
            service TEXT NOT NULL,
            host TEXT NOT NULL,
            segment_id TEXT NOT NULL,
            operation TEXT NOT NULL,
            digest BLOB NOT NULL,
            key_id BLOB NOT NULL,
            started REAL NOT NULL CHECK (typeof(started) = 'real'),
            completed REAL CHECK (typeof(completed) IN ('real', 'null')),
            last_activity REAL NOT NULL CHECK (typeof(last_activity) = 'real'),
            batches INTEGER NOT NULL CHECK (typeof(batches) = 'integer'),
            identifiers INTEGER NOT NULL CHECK (typeof(identifiers) = 'integer')
        )
        """,
        """
        CREATE TABLE batches (
            number INTEGER PRIMARY KEY,
            digest BLOB NOT NULL CHECK (typeof(digest) = 'blob' AND length(digest) = 32),
            kind TEXT,
            count INTEGER NOT NULL CHECK (typeof(count) = 'integer'),
            size INTEGER NOT NULL CHECK (typeof(size) = 'integer'),
            state TEXT NOT NULL CHECK (state IN ('pending', 'sent', 'acknowledged', 'failed', 'unknown')),
            sent_at REAL NOT NULL CHECK (typeof(sent_at) = 'real'),
            ended_at REAL CHECK (typeof(ended_at) IN ('real', 'null')),
            trace_id TEXT,
            valid INTEGER NOT NULL DEFAULT 0 CHECK (typeof(valid) = 'integer'),
            invalid INTEGER NOT NULL DEFAULT 0 CHECK (typeof(invalid) = 'integer'),
            unreported INTEGER NOT NULL DEFAULT 0 CHECK (typeof(unreported) = 'integer'),
            reserve BLOB
        )
        """,
    ),
)


@frozen(kw_only=True)
class Entry:
    """What a journal knows of a batch.

    Attributes:
        number: from 1, in the order of the source.
        kind: of its identifiers, `None` where the job has one kind only.
        count: identifiers in it.
        size: bytes of identifiers.
        state: how far it has come.
        sent_at: when it was begun, in seconds since 1970.
        ended_at: when it came back, `None` when it did not.
        trace_id: of Criteo's answer.
        valid: identifiers that Criteo accepted.
        invalid: identifiers that Criteo refused.
        unreported: identifiers that Criteo's answer did not count.
    """

    number: int
    kind: IdentifierType | None = None
    count: int
    size: int
    state: BatchState
    sent_at: float
    ended_at: float | None = None
    trace_id: str | None = None
    valid: int = 0
    invalid: int = 0
    unreported: int = 0


@frozen(kw_only=True)
class Run:
    """The row of the job that a journal is about; its fields are the table's columns.

    Attributes:
        run_id: names the run in the ledger.
        service: the service's name.
        host: of the API.
        segment_id: the list.
        operation: add or remove.
        digest: keyed, of the job with its whole configuration.
        key_id: tells whether the key is the one that the digests were made with.
        started: in seconds since 1970.
        completed: the same, `None` as long as it is unfinished.
        last_activity: the same, when it was completed.
        batches: that were acknowledged, once it is completed.
        identifiers: in them.
    """

    run_id: str
    service: str
    host: str
    segment_id: str
    operation: str
    digest: bytes
    key_id: bytes
    started: float
    completed: float | None = None
    last_activity: float
    batches: int = 0
    identifiers: int = 0


class Store:
    """An open journal file, kept for this process alone.

    What is acknowledged must not get lost to a full disk, so the log gets its length in advance and is written anew
    from its beginning, and a batch is begun only if the log has room for the end of every batch in flight. A full
    disk then shows before a batch is sent.

    A statement is a transaction of its own where one is enough: at each of them other threads wait for their turn.

    Args:
        path: of the file.
        create: whether to make it; otherwise it must be there.

    Raises:
        InUseError: when somebody else keeps it.
        JournalError: when it cannot be used.
    """

    def __init__(self, path: Path, *, create: bool = True) -> None:
        self._path = path
        self._translated = TranslatedErrors(path, FORMAT.what)
        self._db = connect(path, FORMAT, exclusive=True, create=create)
        self._length = 0
        self._used = 0
        self._log: int | None = None
        self._highest = math.inf
        self._page: int
        self._counted_small = 0  # rows to come that count as appended to a leaf that has room

    def run(self) -> Run | None:
        """Returns the job, `None` where none has been started."""
        with self._translated:
            row = self._db.execute("SELECT * FROM job").fetchone()
        return None if row is None else run_of(row)

    def counts(self) -> Mapping[BatchState, tuple[int, int]]:
        """Returns batches and identifiers by state."""
        with self._translated:
            rows = self._db.execute("SELECT state, count(*), sum(count) FROM batches GROUP BY state").fetchall()
        return {BatchState(state): (batches, identifiers) for state, batches, identifiers in rows}

    def last_activity(self) -> float | None:
        """Returns when the last batch was begun or came back, in seconds since 1970."""
        with self._translated:
            ((moment,),) = self._db.execute("SELECT max(max(sent_at, coalesce(ended_at, sent_at))) FROM batches")
        return None if moment is None else float(moment)

    def start(self, run: Run) -> None:
        """Replaces what the journal holds by a job without a batch; on the disk when this returns."""
        with self._translated, transaction(self._db):
            self._db.execute("DELETE FROM job")
            self._db.execute("DELETE FROM batches")
            marks = ", ".join("?" * len(fields(Run)))
            self._db.execute(f"INSERT INTO job VALUES ({marks})", astuple(run))  # noqa: S608 - question marks

    def prepare(self) -> None:
        """Gives the log its length; before the first batch, and for whatever `sync` is to cover."""
        with self._translated:
            self._log = os.open(log_of(self._path), os.O_RDWR | getattr(os, "O_BINARY", 0))
            ((self._page,),) = self._db.execute("PRAGMA page_size")
            ((self._highest,),) = self._db.execute("SELECT coalesce(max(number), 0) FROM batches")
            self._checkpoint()
            self._lengthen(_LOG_FRAMES)
        self.sync()

    def find(self, number: int) -> tuple[bytes, Entry] | None:
        """Returns a batch's digest and entry; a new journal, which has none, is not asked."""
        if number > self._highest:
            return None
        with self._translated:
            row = self._db.execute("SELECT * FROM batches WHERE number = ?", (number,)).fetchone()
        return None if row is None else _entry(row)

    def has_room(self, in_flight: int) -> bool:
        """Whether the log has room for the next batch, and for the ends of all in flight, as it is."""
        return self._used + _needed(in_flight) <= self._length

    def begin(self, batch: Batch, digest: bytes, moment: float, *, in_flight: int, anew: bool) -> None:
        """Records a batch before it is sent; a loss of power may lose that, which does no harm.

        Args:
            batch: the batch.
            digest: of its bytes.
            moment: when it is begun, in seconds since 1970.
            in_flight: other batches whose end is still to be recorded.
            anew: whether it is another batch than the one on record: what follows that one is forgotten.
        """
        number, kind = batch.number, None if batch.kind is None else batch.kind.value
        with self._translated:
            self._make_room(number, in_flight, self._pages() if anew else 0)
            row = (number, digest, kind, batch.count, batch.size, moment)
            if anew:
                with transaction(self._db):
                    self._db.execute("DELETE FROM batches WHERE number > ?", (number,))
                    self._db.execute(_BEGIN, row)
                self._highest = number
            else:
                self._db.execute(_BEGIN, row)
                self._highest = max(self._highest, number)

    def end(
        self, number: int, state: BatchState, moment: float, counts: tuple[int, int, int], trace_id: str | None
    ) -> None:
        """Records what became of a batch, with what was valid, invalid and unreported; `sync` puts it on the disk."""
        self._used += _END_FRAMES
        with self._translated:
            self._db.execute(_END, (state.value, moment, *counts, trace_id, number))

    def sync(self) -> None:
        """Returns when all that was recorded outlives a loss of power; another thread may record more meanwhile."""
        if self._log is not None:
            with self._translated:
                getattr(os, "fdatasync", os.fsync)(self._log)

    def complete(self, last: int, moment: float) -> bool:
        """Marks the job as finished if every batch up to the last one is acknowledged, and forgets those after it."""
        with self._translated:
            query = "SELECT count(*), coalesce(sum(count), 0) FROM batches WHERE number <= ? AND state = ?"
            ((batches, identifiers),) = self._db.execute(query, (last, BatchState.ACKNOWLEDGED))
            if batches != last:
                return False
            with transaction(self._db):
                self._db.execute("DELETE FROM batches WHERE number > ?", (last,))
                self._db.execute(
                    "UPDATE job SET completed = ?, last_activity = ?, batches = ?, identifiers = ?",
                    (moment, moment, batches, identifiers),
                )
            return True

    def compact(self) -> None:
        """Forgets the batches and gives their room back; the row of the job stays."""
        with self._translated:
            with transaction(self._db):
                self._db.execute("DELETE FROM batches")
            self._db.execute("VACUUM")

    def remove(self) -> None:
        """Removes the file and closes it."""
        with self._translated:
            # Without a log, so that closing does not touch the name again, which somebody else may use by then.
            self._db.execute("PRAGMA journal_mode=DELETE")
            if os.name == "posix":
                self._path.unlink()
                self.close()
            else:  # where an open file cannot be removed
                self.close()
                self._path.unlink()

    def close(self) -> None:
        """Closes the file; its log is put into it, or stays beside it when the disk is full."""
        log, self._log = self._log, None
        if log is not None:
            os.close(log)
        self._db.close()

    def _pages(self) -> int:
        ((pages,),) = self._db.execute("PRAGMA page_count")
        return int(pages)

    def _make_room(self, number: int, in_flight: int, changed: int) -> None:
        """Makes sure that the log has room for a row and the ends of all in flight, and takes what the row may need.

        Args:
            number: of the row's batch.
            in_flight: other batches whose end is still to be recorded.
            changed: further pages that change with it.
        """
        needed = _needed(in_flight) + changed
        if self._used + needed > self._length:
            self._checkpoint()
            self._lengthen(needed)
        appended = number > self._highest
        if appended and self._counted_small:
            self._counted_small -= 1
            self._used += _APPEND_FRAMES
        else:
            self._counted_small = self._page // _MOST_OF_A_ROW - 1 if appended else 0
            self._used += _BEGIN_FRAMES + changed

    def _checkpoint(self) -> None:
        """Puts the log into the file; it is then written anew from its beginning."""
        ((busy, _, _),) = self._db.execute("PRAGMA wal_checkpoint(RESTART)")
        if busy:
            raise refused(self._path, FORMAT.what, "cannot be written: its log does not end")
        self._used = self._counted_small = 0

    def _lengthen(self, frames: int) -> None:
        """Makes the log so many frames long; SQLite ignores what follows the last frame that it has written."""
        if frames <= self._length:
            return
        descriptor = os.open(log_of(self._path), os.O_WRONLY | os.O_APPEND | getattr(os, "O_BINARY", 0))
        try:
            missing = _LOG_HEADER + frames * (self._page + _FRAME_HEADER) - os.fstat(descriptor).st_size
            while missing > 0:
                missing -= os.write(descriptor, bytes(missing))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self._length = frames


def _needed(in_flight: int) -> int:
    """Returns the pages that a batch and the ends of all in flight may change."""
    return _BEGIN_FRAMES + (in_flight + 1) * _END_FRAMES + _SPARE_FRAMES


def run_of(row: tuple[Any, ...]) -> Run:
    """Reads a row of the table of the job."""
    return Run(**dict(zip((each.name for each in fields(Run)), row, strict=True)))


def _entry(row: tuple[Any, ...]) -> tuple[bytes, Entry]:
    number, digest, kind, count, size, state, sent_at, ended_at, trace_id, valid, invalid, unreported, _ = row
    entry = Entry(
        number=number,
        kind=None if kind is None else IdentifierType(kind),
        count=count,
        size=size,
        state=BatchState(state),
        sent_at=sent_at,
        ended_at=ended_at,
        trace_id=trace_id,
        valid=valid,
        invalid=invalid,
        unreported=unreported,
    )
    return digest, entry
