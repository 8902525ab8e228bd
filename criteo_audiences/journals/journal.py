"""The journal of an upload: records what was sent and acknowledged, so that an interrupted upload can be continued.

A batch is identified by a keyed digest of its bytes. Any source that is read again in the same order can be resumed; a
changed source is sent again from its first changed batch. The journal contains no identifier, and nothing against which
identifiers could be tested without the key, which is stored next to the journals (`JournalDirectory`).
"""

import hmac
import json
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from attrs import evolve, field, frozen

from criteo_audiences.batches import Batch
from criteo_audiences.journals.directory import JournalDirectory, Witness, keyed_digest
from criteo_audiences.journals.file_lock import require_locks
from criteo_audiences.journals.rows import FORMAT, BatchState, Entry, Found, Run, decide, key_id_of
from criteo_audiences.journals.store import Store
from criteo_audiences.models import printable_trace_id


def _lowered(host: str) -> str:
    return host.lower()


@frozen(kw_only=True)
class Job:
    """The job of an upload; a journal continues only the same job.

    Attributes:
        service: the service's name.
        host: the host of the API, so that a sandbox is not mistaken for the real API.
        segment_id: the list.
        operation: add or remove.
        configuration: all other options that determine which bytes are sent, JSON-safe. The journal contains only a
            keyed digest of it, because a condition may contain an identifier.
    """

    service: str
    host: str = field(converter=_lowered)
    segment_id: str
    operation: str
    configuration: Mapping[str, Any] = field(factory=dict, repr=False)

    def digest(self, key: bytes) -> bytes:
        """Returns the job's keyed digest."""
        parts = [self.service, self.host, self.segment_id, self.operation, dict(self.configuration)]
        return keyed_digest(key, b"job", json.dumps(parts, sort_keys=True).encode())


class Journal:
    """An open journal, locked against other uploads for as long as it is open.

    Open it with `Journal.open`. Its methods block, and may be called from any thread.

    Attributes:
        path: the path of its file.
        run_id: the id of the run; a continued run keeps its id.
        resumes: whether it continues an unfinished upload.
        acknowledged: batches recorded as acknowledged, including those of earlier runs of the upload.
        set_aside: why an unfinished upload was not continued, a sentence for the user; `None` otherwise.
    """

    def __init__(
        self,
        store: Store,
        run: Run,
        key: bytes,
        *,
        resumes: bool,
        acknowledged: int,
        set_aside: str | None,
        last_mark: str | None,
        path: Path,
        now: Callable[[], float],
    ) -> None:
        self.path: Final = path
        self.run_id: Final = run.run_id
        self.resumes: Final = resumes
        self.acknowledged = acknowledged
        self.set_aside: Final = set_aside
        self._store = store
        self._run = run
        self._last_mark = last_mark
        self._witness = Witness(path.parent)
        self._list = (run.service, run.host, run.segment_id)
        self._key = key
        self._now = now
        self._lock = threading.Lock()
        self._last = 0
        self._in_flight: set[int] = set()
        self._has_job = store.run() == run
        self._noted = False

    @classmethod
    def open(
        cls, path: Path, job: Job, *, resume: bool | None = None, now: Callable[[], float] = time.time
    ) -> "Journal":
        """Opens a journal; creates it, its directory and the directory's register if they do not exist.

        The content of the file is replaced when the first batch is begun, not before. A new or empty file is removed
        again if no batch is begun.

        A completed journal starts anew, and so does an unfinished one without an acknowledged batch: there is nothing
        to continue. By default, an unfinished upload of the same job is continued, unless its last batch is more than
        24 hours old or something else has operated on the list since.

        Args:
            path: the path of its file.
            job: the job of the upload.
            resume: `True` continues at any age, `False` starts anew, `None` applies the default.
            now: the clock, seconds since 1970.

        Raises:
            JournalError: when the file is in use, damaged, no journal, or cannot be written or locked; when it contains
                an unfinished upload of another job and `resume` is not `False`; when `resume` is `True` and there is
                nothing to continue.
        """
        require_locks(path, FORMAT.what)
        with JournalDirectory(path.parent) as register:  # locks others out while the file is created
            store = Store(path)
            try:
                return cls._begun(path, store, register, job, resume=resume, now=now)
            except BaseException:
                store.close()
                raise

    @classmethod
    def _begun(
        cls,
        path: Path,
        store: Store,
        register: JournalDirectory,
        job: Job,
        *,
        resume: bool | None,
        now: Callable[[], float],
    ) -> "Journal":
        """Decides whether to continue the journal's upload, and records the run in a new journal."""
        key = register.key()
        run, acknowledged = _new_run(job, key, now()), 0
        found = found_in(store, path, register)
        continued, set_aside = decide(path, found, run, resume, now())
        if continued and found is not None:
            run, acknowledged = found.run, found.acknowledged
        last_mark = register.last_mark(job.service, job.host, job.segment_id)
        if store.run() is None:
            store.start(run)
        else:
            store.prepare()
        return cls(
            store,
            run,
            key,
            resumes=continued,
            acknowledged=acknowledged,
            set_aside=set_aside,
            last_mark=last_mark,
            path=path,
            now=now,
        )

    @property
    def waits_for_disk(self) -> bool:
        """Whether the next `begin` waits for the disk, as about one in a dozen does."""
        return not self._noted or not self._store.has_room(len(self._in_flight))

    def begin(self, batch: Batch) -> Entry | None:
        """Records a batch before it is sent, or returns its entry if it need not be sent.

        Every batch of the source must be begun, in the order of the numbers, even while others are in flight. The
        record survives the end of the process.

        Args:
            batch: the next batch.

        Returns:
            `None` if the batch must be sent. Otherwise the entry of an earlier run that got this batch, with the same
            bytes, acknowledged; no batch before it has changed.

        Raises:
            JournalError: when it cannot be recorded, because the disk is full for example; it must not be sent then.
                The results of the batches in flight can still be recorded.
            ValueError: when it is not the next batch.
        """
        digest = self._digest(batch)
        with self._lock:
            if batch.number != self._last + 1:
                raise ValueError(f"batch {self._last + 1} comes next, not batch {batch.number}")
            self._start()
            known = self._store.find(batch.number)
            same = known is not None and hmac.compare_digest(known[0], digest)
            if known is not None and same and known[1].state is BatchState.ACKNOWLEDGED:
                self._last = batch.number
                return known[1]
            self._note()
            anew = known is not None and not same
            moment = float(self._now())
            self._store.begin(batch, digest, moment, in_flight=len(self._in_flight), anew=anew)
            if anew:  # the batches after it were deleted
                self.acknowledged = self._store.acknowledged()
            self._last = batch.number
            self._in_flight.add(batch.number)
            return None

    def end(
        self,
        number: int,
        state: BatchState,
        *,
        valid: int = 0,
        invalid: int = 0,
        unreported: int = 0,
        trace_id: str | None = None,
        wait: bool = True,
    ) -> bool:
        """Records the outcome of a batch that was begun; an acknowledgement survives a power failure after `sync`.

        Args:
            number: the number of the batch.
            state: any state but sent; pending if no request was made for it.
            valid: identifiers that Criteo accepted.
            invalid: identifiers that Criteo refused.
            unreported: identifiers that its answer did not count.
            trace_id: the trace id of the answer; ignored unless it has the form of one.
            wait: whether to wait for another thread that is recording something, and may wait for the disk.

        Returns:
            Whether it was recorded; false only if another thread is recording and `wait` is false.

        Raises:
            JournalError: when it cannot be recorded; a full disk does not prevent it.
            ValueError: when the batch is not in flight.
        """
        counts, shown = (valid, invalid, unreported), printable_trace_id(trace_id)
        if not self._lock.acquire(blocking=wait):
            return False
        try:
            if number not in self._in_flight or state is BatchState.SENT:
                raise ValueError(f"batch {number} is not in flight, or has not ended")
            recorded = self._store.end(number, state, float(self._now()), counts, shown)
            self.acknowledged += recorded is BatchState.ACKNOWLEDGED
            self._in_flight.discard(number)
        finally:
            self._lock.release()
        return True

    def sync(self) -> None:
        """Writes all records to the disk (fsync), so that they survive a power failure.

        Raises:
            JournalError: when they cannot be written.
        """
        self._store.sync()

    def complete(self) -> bool:
        """Marks the upload as finished; call it once its source has been read to the end and every batch has come back.

        Returns:
            Whether it is finished; if not, a batch is not acknowledged, and the next run continues.

        Raises:
            JournalError: when it cannot be recorded; the next run then finds all batches acknowledged.
        """
        with self._lock:
            self._start()
            return self._store.complete(self._last, float(self._now()))

    def close(self) -> None:
        """Closes and unlocks the journal; closing it again does nothing.

        Raises:
            JournalError: when the register could not record the end of the run.
        """
        with self._lock:
            self._store.close()
            if self._noted:
                self._noted = False
                with JournalDirectory(self.path.parent) as register:
                    register.note_end(*self._list, self._run.mark)
                self._witness.note_end(*self._list, self._run.mark)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _start(self) -> None:
        """Records the job, unless an earlier run has."""
        if not self._has_job:
            self._store.start(self._run)
            self._has_job = True

    def _note(self) -> None:
        """Records this run in the registers before its first call; a run without a call is not recorded.

        A run gets a new mark each time it is continued, so that an older copy of its journal is not continued.
        """
        if self._noted:
            return
        if self.resumes:
            self._run = evolve(self._run, mark=uuid.uuid4().hex, earlier_mark=self._last_mark or None)
            self._store.set_marks(self._run.mark, self._run.earlier_mark)
        with JournalDirectory(self.path.parent) as register:
            register.note(*self._list, self._run.mark)
        self._witness.note(*self._list, self._run.mark)
        self._noted = True

    def _digest(self, batch: Batch) -> bytes:
        """Returns the keyed digest that identifies a batch; it reveals nothing without the key."""
        header = f"{batch.kind or ''}\0{batch.count}\0{batch.size}\0".encode()
        return keyed_digest(self._key, b"batch", header + batch.checksum)


def found_in(store: Store, path: Path, register: JournalDirectory | None) -> Found | None:
    """Returns the unfinished upload in a journal, or `None`.

    Args:
        store: the journal's rows.
        path: the path of its file.
        register: the register of its directory, with an open transaction; `None` if there is none.

    Raises:
        JournalError: when the register of the user's state directory cannot be read.
    """
    run = store.run()
    if run is None or run.completed is not None:
        return None
    counts = store.counts()
    place = (run.service, run.host, run.segment_id)
    last_mark = None if register is None else register.last_mark(*place)
    witnessed = Witness(path.parent).last_mark(*place)
    mine = {run.mark, run.earlier_mark} - {None}
    return Found(
        path=path,
        run=run,
        begun=sum(batches for batches, _ in counts.values()),
        acknowledged=store.acknowledged(),
        active_at=store.last_activity() or run.started,
        disturbed=last_mark not in mine or (witnessed is not None and witnessed not in mine),
    )


def _new_run(job: Job, key: bytes, moment: float) -> Run:
    return Run(
        run_id=uuid.uuid4().hex,
        mark=uuid.uuid4().hex,
        service=job.service,
        host=job.host,
        segment_id=job.segment_id,
        operation=job.operation,
        digest=job.digest(key),
        key_id=key_id_of(key),
        started=float(moment),
        last_activity=float(moment),
    )
