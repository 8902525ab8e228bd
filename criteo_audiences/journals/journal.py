"""The journal of an upload: what was sent and acknowledged, so that a run that was cut short is continued.

A batch is known by a keyed digest of its bytes: any source that is read again in the same order resumes, and a changed
one is sent again from its first changed batch. No identifier is written, nor anything that could be tried out without
the key, which is kept next to the journals (`JournalDirectory`).
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
    """What an upload is to do: a journal continues the same job only.

    Attributes:
        service: the service's name.
        host: of the API, so that a sandbox is not taken for the real thing.
        segment_id: the list.
        operation: add or remove.
        configuration: all else that decides which bytes are sent, JSON-safe. It is never written, because a condition
            may hold an identifier; the journal has a keyed digest of it.
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
        path: of its file.
        run_id: names the run; a run that is continued keeps its own.
        resumes: whether it continues an unfinished upload.
        acknowledged: batches on record as acknowledged, those of earlier runs of the upload included.
        set_aside: why an unfinished upload was not continued, a sentence for the user; `None` when there was none.
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
        """Opens a journal; makes it, its directory and the directory's register where there are none.

        What the file holds is replaced when the first batch is begun, not before; a file that holds nothing is removed
        when no batch is.

        A completed journal starts anew, as does an unfinished one without an acknowledged batch: there is nothing to
        continue. An unfinished upload of the same job is continued, but not unasked when its last batch is more than
        24 hours old or something else has operated on the list since.

        Args:
            path: of its file.
            job: what the upload is to do.
            resume: `True` continues whatever its age, `False` starts anew, `None` decides as said above.
            now: the clock, seconds since 1970.

        Raises:
            JournalError: when the file is in use, damaged, none of ours, or cannot be written or locked; when it holds
                an unfinished upload of another job and `resume` is not `False`; when `resume` is `True` and there is
                nothing to continue.
        """
        require_locks(path, FORMAT.what)
        with JournalDirectory(path.parent) as register:  # keeps others out while the file comes into being
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
        """Decides whether the journal's upload is continued, and writes the run down where there is none."""
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
        """Whether the next `begin` takes as long as a disk may: once in a dozen batches."""
        return not self._noted or not self._store.has_room(len(self._in_flight))

    def begin(self, batch: Batch) -> Entry | None:
        """Records a batch before it is sent, or says that it need not be sent.

        Every batch of the source must be begun, in the order of its numbers; it may be called while others are in
        flight. A loss of the process after it does not lose the record.

        Args:
            batch: the next one.

        Returns:
            `None` when the batch must be sent. Otherwise what an earlier run knows of it: it got this batch, with the
            same bytes, acknowledged, and no batch before it has changed.

        Raises:
            JournalError: when it cannot be recorded, because the disk is full for example: do not send it. The ends
                of the batches in flight can be recorded still.
            ValueError: when it is not the next one.
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
            if anew:  # what followed is forgotten
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
        """Records what became of a batch that was begun; an acknowledgement is on the disk after `sync`.

        Args:
            number: of the batch.
            state: anything but sent; pending when no request has carried it.
            valid: identifiers that Criteo accepted.
            invalid: identifiers that Criteo refused.
            unreported: identifiers that its answer did not count.
            trace_id: of the answer; left out unless it has a trace id's shape.
            wait: for another thread that is recording something, and maybe waits for the disk.

        Returns:
            Whether it was recorded; always, but for another thread that was not waited for.

        Raises:
            JournalError: when it cannot be recorded; a full disk does not keep it from that.
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
        """Returns when all that was recorded outlives a loss of power.

        Raises:
            JournalError: when the disk cannot take it.
        """
        self._store.sync()

    def complete(self) -> bool:
        """Marks the upload as finished, once its source has been read to the end and every batch has come back.

        Returns:
            Whether it is: otherwise a batch is not acknowledged, and the next run continues.

        Raises:
            JournalError: when it cannot be recorded; the next run then finds all batches acknowledged.
        """
        with self._lock:
            self._start()
            return self._store.complete(self._last, float(self._now()))

    def close(self) -> None:
        """Closes and unlocks the journal; closing it again does nothing.

        Raises:
            JournalError: when the register could not take down that another run operated on the list meanwhile.
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
        """Writes the job down, unless an earlier run did."""
        if not self._has_job:
            self._store.start(self._run)
            self._has_job = True

    def _note(self) -> None:
        """Notes this run in the registers before its first call; a run without a call is not noted.

        A run that is continued has another mark each time, so that a copy of its journal from before is not.
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
        """Returns the keyed digest by which a batch is known; without the key it says nothing."""
        header = f"{batch.kind or ''}\0{batch.count}\0{batch.size}\0".encode()
        return keyed_digest(self._key, b"batch", header + batch.checksum)


def found_in(store: Store, path: Path, register: JournalDirectory | None) -> Found | None:
    """Returns the unfinished upload that a journal holds.

    Args:
        store: its rows.
        path: of its file.
        register: of its directory, within its transaction; `None` when there is none.

    Raises:
        JournalError: when the user's other notes on the list cannot be read.
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
