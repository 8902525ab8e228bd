"""Stores the rows of a journal, and reserves disk space for those that are still to be written."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from attrs import astuple, evolve

from criteo_audiences.batches import Batch
from criteo_audiences.journals.file_lock import FileLock
from criteo_audiences.journals.rows import (
    COLUMNS,
    FORMAT,
    NO_END,
    BatchState,
    Entry,
    Run,
    check_batches,
    checksum_of,
    entry_of,
    run_of,
    settled,
)
from criteo_audiences.journals.sqlite_file import (
    DAMAGED,
    TranslatedErrors,
    checksum,
    connect,
    log_of,
    make_directory,
    refused,
    transaction,
    unlink,
)

_BEGIN_FRAMES: Final = 8
"""Most pages that a new row changes: the leaf, its new neighbor, those above them, the header (4 were seen)."""

_APPEND_FRAMES: Final = 1
"""Pages that a new row at the end changes if it fits into the last leaf."""

_MOST_OF_A_ROW: Final = 256
"""Most bytes of a row. A new leaf is needed at most once for as many appended rows as fit into a page. Therefore one of
that many rows is counted as changing `_BEGIN_FRAMES` pages, and the others as changing `_APPEND_FRAMES`.
"""

_END_FRAMES: Final = 1
"""Pages that the end of a batch changes: its row keeps its place, because room for the end is reserved in it."""

_SPARE_FRAMES: Final = 4
"""Pages reserved for the row of the job."""

_LOG_FRAMES: Final = 128
"""Pages of the log at first: half a megabyte, with a checkpoint about every forty batches."""

_LOG_HEADER: Final = 32
_FRAME_HEADER: Final = 24

_RESERVE: Final = 112
"""Most bytes by which the end of a batch lengthens its row: the longest trace id, state, time and counts."""


# Parameters have SQLite's own types: for any other, such as an enum, Python first searches for a registered converter.
_BEGIN: Final = f"""
    INSERT OR REPLACE INTO batches (number, digest, kind, count, size, sent_at, state, checksum, reserve)
    VALUES (?, ?, ?, ?, ?, ?, 'sent', ?, zeroblob({_RESERVE}))
"""  # noqa: S608 - a number of ours
_END: Final = """
    UPDATE batches
    SET state = ?, ended_at = ?, valid = ?, invalid = ?, unreported = ?, trace_id = ?, checksum = ?, reserve = NULL
    WHERE number = ?
"""


class Store:
    """An open journal file, locked for this process.

    A full disk must not lose an acknowledgement. Therefore the log is allocated in advance and reused from its
    beginning, and a batch is begun only if the log has room for the end of every batch in flight. A full disk then
    causes an error before a batch is sent.

    Single statements run in autocommit mode, so that the lock is held as briefly as possible.

    Args:
        path: the path of the file.
        create: whether to create it; otherwise it must exist.

    Raises:
        InUseError: when another upload has locked it.
        JournalError: when it cannot be used.
    """

    def __init__(self, path: Path, *, create: bool = True) -> None:
        self._path = path
        self._translated = TranslatedErrors(path, FORMAT.what)
        self._length = 0
        self._used = 0
        self._log: int | None = None
        self._highest: float = 0
        self._page: int
        self._counted_small = 0  # coming rows that count as appended to a leaf with room
        self._begun: dict[int, tuple[Any, ...]] = {}  # rows of batches in flight, up to their state
        self._run: Run | None = None
        self._never_began = False
        if create:
            with self._translated:
                make_directory(path.parent)
        self._lock = None if not create and not path.exists() else FileLock(path, FORMAT.what)
        try:
            self._db = connect(path, FORMAT, exclusive=True, create=create)
        except BaseException:
            self._unlock()
            raise
        try:
            self._read()
        except BaseException:
            self.close()
            raise
        self._never_began = create and not self._run

    def run(self) -> Run | None:
        """Returns the job, or `None` if none has been started."""
        return self._run

    def counts(self) -> Mapping[BatchState, tuple[int, int]]:
        """Returns the number of batches and of their identifiers by state."""
        with self._translated:
            rows = self._db.execute("SELECT state, count(*), sum(count) FROM batches GROUP BY state").fetchall()
        return {BatchState(state): (batches, identifiers) for state, batches, identifiers in rows}

    def entries(self) -> list[Entry]:
        """Returns the entries of all batches, in the order of their numbers."""
        with self._translated:
            rows = self._db.execute(f"SELECT {COLUMNS} FROM batches ORDER BY number").fetchall()  # noqa: S608 - ours
        return [entry_of(row) for row in rows]

    def acknowledged(self) -> int:
        """Returns how many batches are recorded as acknowledged."""
        return self.counts().get(BatchState.ACKNOWLEDGED, (0, 0))[0]

    def last_activity(self) -> float | None:
        """Returns when the last batch was begun or came back, in seconds since 1970."""
        with self._translated:
            ((moment,),) = self._db.execute("SELECT max(max(sent_at, coalesce(ended_at, sent_at))) FROM batches")
        return None if moment is None else float(moment)

    def start(self, run: Run) -> None:
        """Replaces the journal's content by a job without a batch; it is on the disk when this returns."""
        with self._translated:
            with transaction(self._db):
                self._db.execute("DELETE FROM batches")
                self._write(run)
            self._highest = 0
        self.prepare()

    def set_marks(self, mark: str, earlier: str | None) -> None:
        """Changes the marks of the job; they are on the disk when this returns."""
        if self._run is None:
            raise ValueError("there is no job")
        with self._translated, transaction(self._db):
            self._write(evolve(self._run, mark=mark, earlier_mark=earlier))
        self.prepare()

    def prepare(self) -> None:
        """Checkpoints the log, allocates it and calls `sync`; must be called before the first batch."""
        with self._translated:
            if self._log is None:
                self._log = os.open(log_of(self._path), os.O_RDWR | getattr(os, "O_BINARY", 0))
            ((self._page,),) = self._db.execute("PRAGMA page_size")
            self._checkpoint()
            self._lengthen(_LOG_FRAMES)
        self.sync()

    def find(self, number: int) -> tuple[bytes, Entry] | None:
        """Returns a batch's digest and entry, or `None`; does not query a journal that cannot contain it."""
        if number > self._highest:
            return None
        with self._translated:
            row = self._db.execute(f"SELECT {COLUMNS} FROM batches WHERE number = ?", (number,)).fetchone()  # noqa: S608 - ours
        return None if row is None else (row[1], entry_of(row))

    def has_room(self, in_flight: int) -> bool:
        """Whether the log already has room for the next batch and for the ends of all batches in flight."""
        return self._used + _needed(in_flight) <= self._length

    def begin(self, batch: Batch, digest: bytes, moment: float, *, in_flight: int, anew: bool) -> None:
        """Records a batch before it is sent; a power failure may lose the record, which does no harm.

        Args:
            batch: the batch.
            digest: the digest of its bytes.
            moment: when it is begun, in seconds since 1970.
            in_flight: number of other batches with an end that is still to be recorded.
            anew: whether it differs from the recorded batch of this number; later batches are deleted then.
        """
        number, kind = batch.number, None if batch.kind is None else batch.kind.value
        with self._translated:
            self._make_room(number, in_flight, self._pages() if anew else 0)
            begun = (number, digest, kind, batch.count, batch.size, moment)
            row = (*begun, checksum_of(self._run, begun, NO_END))
            if anew:
                with transaction(self._db):
                    self._db.execute("DELETE FROM batches WHERE number > ?", (number,))
                    self._db.execute(_BEGIN, row)
                self._highest = number
            else:
                self._db.execute(_BEGIN, row)
                self._highest = max(self._highest, number)
            self._begun[number] = begun
            self._never_began = False

    def end(
        self, number: int, state: BatchState, moment: float, counts: tuple[int, int, int], trace_id: str | None
    ) -> BatchState:
        """Records the outcome of a batch, with its valid, invalid and unreported counts; `sync` writes it to the disk.

        Returns:
            The recorded state: unknown instead of acknowledged if the counts do not add up to the batch.
        """
        self._used += _END_FRAMES
        begun = self._begun[number]
        state, counts = settled(state, counts, begun[3])
        ended = (state.value, moment, *counts, trace_id)
        with self._translated:
            self._db.execute(_END, (*ended, checksum_of(self._run, begun, ended), number))
        del self._begun[number]
        return state

    def sync(self) -> None:
        """Writes all records to the disk (fsync); another thread may record more meanwhile."""
        if self._log is not None:
            with self._translated:
                getattr(os, "fdatasync", os.fsync)(self._log)

    def complete(self, last: int, moment: float) -> bool:
        """Marks the job as finished if every batch up to the last one is acknowledged; deletes batches after it."""
        with self._translated:
            query = "SELECT count(*), coalesce(sum(count), 0) FROM batches WHERE number <= ? AND state = ?"
            ((batches, identifiers),) = self._db.execute(query, (last, BatchState.ACKNOWLEDGED))
            if batches != last or self._run is None:
                return False
            done = evolve(self._run, completed=moment, last_activity=moment, batches=batches, identifiers=identifiers)
            with transaction(self._db):
                self._db.execute("DELETE FROM batches WHERE number > ?", (last,))
                self._write(done)
            self._never_began = False
            return True

    def compact(self) -> None:
        """Deletes the batches and frees their space; the row of the job stays."""
        with self._translated:
            with transaction(self._db):
                self._db.execute("DELETE FROM batches")
            self._db.execute("VACUUM")

    def remove(self) -> None:
        """Removes the file and closes it."""
        self._never_began = True
        with self._translated:
            self.close()

    def close(self) -> None:
        """Closes the file and checkpoints its log, which stays next to the file if the disk is full.

        It removes a journal in which no upload has begun.
        """
        log, self._log = self._log, None
        if log is not None:
            os.close(log)
        try:
            self._db.close()
            if self._never_began:
                unlink(self._path)
                self._never_began = False
        finally:
            self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.release()

    def _read(self) -> None:
        """Reads the job and verifies the checksum of every row.

        Raises:
            JournalError: when a checksum does not match, or a row is missing.
        """
        with self._translated:
            jobs = self._db.execute("SELECT * FROM job").fetchall()
            rows = self._db.execute(f"SELECT {COLUMNS} FROM batches ORDER BY number")  # noqa: S608 - ours
            try:
                self._run = run_of(jobs[0]) if jobs else None
                self._highest = check_batches(rows, self._run)
            except ValueError:
                raise refused(self._path, FORMAT.what, DAMAGED) from None
            if len(jobs) > 1 or (self._highest and self._run is None):
                raise refused(self._path, FORMAT.what, DAMAGED)

    def _write(self, run: Run) -> None:
        """Writes the row of the job, within a transaction."""
        values = astuple(run)
        marks = ", ".join("?" * (len(values) + 1))
        self._db.execute("DELETE FROM job")
        self._db.execute(f"INSERT INTO job VALUES ({marks})", (*values, checksum(*values)))  # noqa: S608 - question marks
        self._run = run

    def _pages(self) -> int:
        ((pages,),) = self._db.execute("PRAGMA page_count")
        return int(pages)

    def _make_room(self, number: int, in_flight: int, changed: int) -> None:
        """Ensures that the log has room for a row and the ends of all batches in flight, and reserves it for the row.

        Args:
            number: the number of the row's batch.
            in_flight: number of other batches with an end that is still to be recorded.
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
        """Copies the log into the file (a checkpoint); the log is then reused from its beginning."""
        ((busy, _, _),) = self._db.execute("PRAGMA wal_checkpoint(RESTART)")
        if busy:
            raise refused(self._path, FORMAT.what, "cannot be written: its log does not end")
        self._used = self._counted_small = 0

    def _lengthen(self, frames: int) -> None:
        """Extends the log to this many frames; SQLite ignores the bytes after the last frame that it has written."""
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
    """Returns the pages that a batch and the ends of all batches in flight may change."""
    return _BEGIN_FRAMES + (in_flight + 1) * _END_FRAMES + _SPARE_FRAMES
