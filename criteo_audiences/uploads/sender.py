"""Sends batches, one call each, returns the result of each, and records it in the journal, if the upload has one."""

import contextlib
import datetime as dt
import logging
import math
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import anyio
from anyio import to_thread
from anyio.lowlevel import checkpoint
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from criteo_audiences.batches import Batch
from criteo_audiences.errors import AuthenticationError, ConfigurationError, CriteoError, JournalError, RequestTimeout
from criteo_audiences.journals.directory import JournalDirectory, keyed_digest
from criteo_audiences.journals.journal import Job, Journal
from criteo_audiences.journals.rows import JOURNAL_SUFFIX, BatchState, Entry
from criteo_audiences.loops import IN_FLIGHT
from criteo_audiences.meter import CallMeter, CallWatch
from criteo_audiences.models import ContactListOperation, IdentifierType
from criteo_audiences.tables import Table
from criteo_audiences.uploads.amendment import (
    Amend,
    Amendment,
    BatchResult,
    Destination,
    Outcome,
    failure_of,
    given_up,
    is_hopeless,
    result_of,
)
from criteo_audiences.uploads.options import JournalPlace, Options
from criteo_audiences.uploads.tally import Tally

_log = logging.getLogger("criteo_audiences.uploads")

_BETWEEN_SYNCS: Final = 0.2
"""Minimum seconds between two fsyncs. Each costs the event loop a thread switch, so results in between share one."""

_UNFIT: Final = re.compile(r"[^A-Za-z0-9_-]")


class Recorder:
    """Records an upload's batches in its journal.

    Without a journal, its methods do nothing. With a journal, it records from `opened` to `close`.

    Attributes:
        completed: whether the journal marks the upload as finished.
    """

    def __init__(self) -> None:
        self._journal: Journal | None = None
        self._turns = anyio.CapacityLimiter(1)
        self._unsent: set[int] = set()  # begun, but not taken by a sender yet
        self.completed = False

    @asynccontextmanager
    async def opened(self, destination: Destination, source: object, options: Options) -> AsyncIterator[None]:
        """Opens the journal that the options name, and closes it after the block, even after an error.

        Raises:
            JournalError: when it cannot be used; nothing has been sent then.
        """
        if options.journal is None or options.dry_run:
            yield
            return
        job, resume, place = job_of(destination, source, options), options.resume, options.journal
        self._journal = await to_thread.run_sync(lambda: Journal.open(_file_of(place, job, source), job, resume=resume))
        if self.set_aside:
            _log.warning(self.set_aside)
        try:
            yield
        finally:
            await self.close()

    @property
    def path(self) -> Path | None:
        """The journal's file; `None` for an upload without a journal."""
        return None if self._journal is None else self._journal.path

    @property
    def acknowledged(self) -> int:
        """Batches that the journal records as acknowledged, including those of earlier runs."""
        return 0 if self._journal is None else self._journal.acknowledged

    @property
    def resumes(self) -> bool:
        """Whether this run continues an unfinished upload."""
        return self._journal is not None and self._journal.resumes

    @property
    def set_aside(self) -> str | None:
        """Why this run does not continue the unfinished upload in the journal; `None` if it does or there is none."""
        return None if self._journal is None else self._journal.set_aside

    async def write_begin(self, batch: Batch) -> Entry | None:
        """Records a batch before it is sent, in the order of the source; returns its entry if it need not be sent.

        Raises:
            JournalError: when it cannot be recorded; it must not be sent then.
        """
        journal = self._journal
        if journal is None:
            return None
        if journal.waits_for_disk:
            known = await to_thread.run_sync(journal.begin, batch, limiter=self._turns)
        else:
            known = journal.begin(batch)
        if known is None:
            self._unsent.add(batch.number)
        return known

    def taken(self, number: int) -> None:
        """Records that a sender has taken a batch; `close` marks batches that no sender has taken as pending."""
        self._unsent.discard(number)

    async def write_end(self, result: BatchResult) -> None:
        """Records the result of a sent batch; it survives the end of the process, and after `sync` a power failure.

        Raises:
            JournalError: when it cannot be recorded.
        """
        state, outcome = _state_of(result), result.outcome
        trace_id = getattr(result.error, "trace_id", None)
        await self._end(
            result.number,
            state,
            valid=outcome.valid,
            invalid=outcome.invalid,
            unreported=outcome.unreported,
            trace_id=trace_id,
        )

    async def sync(self) -> None:
        """Writes all records to the disk (fsync) and returns when that is done.

        Raises:
            JournalError: when they cannot be written.
        """
        if self._journal is not None:
            await to_thread.run_sync(self._journal.sync)

    async def keep_results(
        self, results: MemoryObjectReceiveStream[BatchResult], give_kept: MemoryObjectSendStream[BatchResult]
    ) -> None:
        """Passes results on once a power failure cannot undo them; results close together share one fsync.

        Raises:
            JournalError: when they cannot be written to the disk.
        """
        not_before = -math.inf
        async with results, give_kept:
            async for result in results:
                together = [result]
                with contextlib.suppress(anyio.EndOfStream), anyio.CancelScope(deadline=not_before):
                    while True:
                        together.append(await results.receive())
                await self.sync()
                not_before = anyio.current_time() + _BETWEEN_SYNCS
                for kept in together:
                    await give_kept.send(kept)

    async def give_up(self, number: int, outcome: Outcome) -> None:
        """Tries to record that a batch was given up before it ended; ignores a failure, as it is sent again anyway."""
        with contextlib.suppress(JournalError):
            await self._end(number, _state_of_unfinished(outcome))

    async def complete(self) -> None:
        """Records that the source has been read to its end; if every batch is acknowledged, the upload is finished.

        Raises:
            JournalError: when it cannot be recorded.
        """
        if self._journal is not None:
            with anyio.CancelScope(shield=True):
                self.completed = await to_thread.run_sync(self._journal.complete, limiter=self._turns)

    async def close(self) -> None:
        """Closes and unlocks the journal; marks batches that were begun but never sent as pending.

        Raises:
            JournalError: when the register could not record the end of the run.
        """
        if self._journal is not None:
            for number in sorted(self._unsent):
                await self.give_up(number, Outcome())
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(self._journal.close, limiter=self._turns)

    async def _end(self, number: int, state: BatchState, **receipt: Any) -> None:
        journal = self._journal
        # Nearly always returns at once, because it does not wait for the disk.
        if journal is None or journal.end(number, state, wait=False, **receipt):
            return
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(partial(journal.end, number, state, **receipt), limiter=self._turns)


def _state_of(result: BatchResult) -> BatchState:
    if result.ok:
        return BatchState.ACKNOWLEDGED
    return _state_of_unfinished(result.outcome)


def _state_of_unfinished(outcome: Outcome) -> BatchState:
    if not outcome.sent:
        return BatchState.PENDING
    return BatchState.FAILED if outcome.failed else BatchState.UNKNOWN


def job_of(destination: Destination, source: object, options: Options) -> Job:
    """Returns the job of an upload; two uploads are the same only if all of its values are equal."""
    table = source if isinstance(source, Table) else Table()
    region_column = options.region_column or table.region_column
    return Job(
        service=destination.service,
        host=destination.host,
        segment_id=destination.segment_id,
        operation=options.operation.value,
        configuration={
            "application": destination.application,
            "kinds": [[each.kind, each.algorithm, *each.columns] for each in options.selections],
            "region": [options.region, region_column, *["trunk zero"] * options.keep_trunk_zero],
            "table": [table.query, table.column, table.where, options.where, *_layout_of(table, options)],
            "dedupe": options.dedupe,
            "suppress": options.suppress is not None,
            "gum_caller_id": options.gum_caller_id,
            "batches": [options.batch_size, options.max_body_bytes],
        },
    )


def _layout_of(table: Table, options: Options) -> list[object]:
    """Returns the caller's options for reading files; empty without any, so that older journals still match."""
    said: list[object] = [table.skip_rows or options.skip_rows, table.encoding or options.encoding]
    return said if any(said) else []


def _file_of(place: JournalPlace, job: Job, source: object) -> Path:
    """Returns the journal's file; in a directory, each job has its own, and so has each source file or list of files.

    Raises:
        JournalError: when the directory cannot be made or used.
    """
    if not place.is_directory:
        return place.path
    with JournalDirectory(place.path) as register:
        key = register.key()
    paths = source.paths if isinstance(source, Table) else ()
    files = "\0".join(str(Path(each).absolute()) for each in paths)
    digest = keyed_digest(key, b"file", job.digest(key) + files.encode("utf-8", "surrogateescape"), size=6).hex()
    words = (job.service, job.segment_id, job.operation, digest)
    return place.path / ("-".join(_UNFIT.sub("", word) for word in words) + JOURNAL_SUFFIX)


class Sender:
    """Sends the batches of one upload; several tasks may call it at the same time.

    Args:
        amend: makes the calls.
        segment_id: the contact list.
        upload_id: the upload's id in events.
        options: the caller's choices.
        tally: counts what is sent and what comes back.
        recorder: records it in the journal.
        watch: follows the calls.

    Attributes:
        cut_by_deadline: whether the deadline ended a call, including one that still waited for the quota or a token.
    """

    def __init__(
        self,
        amend: Amend,
        segment_id: str,
        upload_id: str,
        options: Options,
        tally: Tally,
        recorder: Recorder,
        watch: CallWatch,
    ) -> None:
        self._amend = amend
        self._segment_id = segment_id
        self._upload_id = upload_id
        self._options = options
        self._tally = tally
        self._recorder = recorder
        self._watch = watch
        self._carrying: dict[anyio.CancelScope, CallMeter] = {}
        self._forbidden: Exception | None = None
        self._is_stopped = False
        self._is_overdue = False
        self.cut_by_deadline = False

    def stop(self) -> None:
        """Stops sending; calls under way continue."""
        self._is_stopped = True

    def drain(self) -> None:
        """Gives the calls under way `drain_timeout` seconds; if it is 0, the cancellation itself ends them."""
        if self._options.drain_timeout:
            for scope in self._carrying:
                self._drain(scope)

    def end_at_deadline(self) -> None:
        """Gives the calls under way `drain_timeout` seconds, and ends those that wait for the quota or a token."""
        self._is_overdue = True
        for scope, meter in list(self._carrying.items()):
            if meter.calls:
                self._drain(scope)
            else:
                scope.cancel()

    def resume(self, batch: Batch, entry: Entry) -> BatchResult:
        """Counts a batch that an earlier run had delivered, and returns its result from the journal's entry."""
        outcome = Outcome(valid=entry.valid, invalid=entry.invalid, unreported=entry.unreported)
        result = BatchResult(
            number=batch.number, kind=self._kind(batch), sent=batch.count, outcome=outcome, resumed=True
        )
        self._tally.resume(result, dt.datetime.fromtimestamp(entry.ended_at or entry.sent_at, dt.UTC))
        return result

    async def send(self, batch: Batch) -> BatchResult | None:
        """Sends a batch; a `CriteoError` becomes its result, except one that ends the whole upload.

        Returns:
            Its result, or `None` if it was not sent, because the upload was stopped before any request for it.
        """
        if self._is_stopped:
            return None
        meter = CallMeter(parent=self._tally.meter, watch=self._watch)
        amendment = self._amendment(batch, meter)
        self._tally.start(batch.count)
        self._recorder.taken(batch.number)
        try:
            receipt = await self._call(amendment, meter)
        except CriteoError as error:
            is_refusal = isinstance(error, AuthenticationError)
            is_raised = error is self._forbidden or isinstance(error, ConfigurationError)
            if is_raised or is_refusal:  # it ends the upload: no other batch may start in the slot that becomes free
                self.stop()
            if is_raised or (is_refusal and not meter.calls):
                await self._give_up(batch, meter)
                raise
            if self._is_stopped and not meter.calls and is_hopeless(error):  # the batch that stopped it has said why
                await self._give_up(batch, meter)
                return None
            result = failure_of(amendment, error, carried=meter.calls > 0)
        except BaseException:
            self.stop()
            await self._give_up(batch, meter)
            raise
        else:
            if receipt is None:
                await self._give_up(batch, meter)
                return None
            result = result_of(amendment, receipt)
        self._tally.finish(result)
        await self._recorder.write_end(result)
        return result

    async def _call(self, amendment: Amendment, meter: CallMeter) -> ContactListOperation | None:
        """Makes the call within the time that is left; returns `None` if no request was made before the deadline."""
        with anyio.CancelScope(shield=self._options.drain_timeout > 0) as scope, IN_FLIGHT.get().having(scope):
            self._carrying[scope] = meter
            try:
                return await self._amend(amendment)
            finally:
                del self._carrying[scope]
                meter.settle()
        if not meter.calls:  # nothing was sent: it still waited for the quota or a token
            await checkpoint()  # raises here if the task was canceled
        self.cut_by_deadline = self.cut_by_deadline or self._is_overdue
        if not meter.calls:
            return None
        reason = "The upload's deadline passed" if self._is_overdue else "The upload was canceled"
        refused = "" if meter.may_be_applied else " Criteo had refused every request of it, so it was not applied."
        late = RequestTimeout(f"{reason} and the batch did not end within drain_timeout.{refused}")
        late.outcome_unknown = meter.may_be_applied
        raise late

    async def _ask(self, before_call: Callable[[], Awaitable[None]]) -> None:
        """Awaits the caller's `before_call`; its error ends the upload and is no failure of a batch."""
        try:
            await before_call()
        except Exception as error:
            self._forbidden = error
            raise

    async def _give_up(self, batch: Batch, meter: CallMeter) -> None:
        outcome = given_up(batch, meter)
        self._tally.abandon(self._kind(batch), outcome)
        await self._recorder.give_up(batch.number, outcome)

    def _drain(self, scope: anyio.CancelScope) -> None:
        scope.deadline = anyio.current_time() + self._options.drain_timeout

    def _kind(self, batch: Batch) -> IdentifierType:
        return batch.kind or self._options.kind

    def _amendment(self, batch: Batch, meter: CallMeter) -> Amendment:
        kind, before_call = self._kind(batch), self._options.before_call
        return Amendment(
            segment_id=self._segment_id,
            operation=self._options.operation,
            identifier_type=kind,
            batch=batch,
            gum_caller_id=self._options.gum_caller_id if kind is IdentifierType.GUM else None,
            upload_id=self._upload_id,
            meter=meter,
            before=None if before_call is None else partial(self._ask, before_call),
        )
