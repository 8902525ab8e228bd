"""How the parts of an upload are connected: one reader, N senders, the caller; batches in flight bound its memory."""

import asyncio
import datetime as dt
import logging
import math
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

import anyio
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from criteo_audiences.batches import Batch
from criteo_audiences.errors import (
    AuthenticationError,
    ConfigurationError,
    CriteoError,
    InvalidResponseError,
    RequestTimeout,
    SourceChangedError,
)
from criteo_audiences.meter import CallMeter
from criteo_audiences.models import ContactListOperation, IdentifierType
from criteo_audiences.tables.source_rows import SourceRow
from criteo_audiences.uploads.amendment import Amend, Amendment
from criteo_audiences.uploads.hints import hint_of, time_left
from criteo_audiences.uploads.intake import Intake
from criteo_audiences.uploads.journal_rows import Entry
from criteo_audiences.uploads.judging import is_hopeless
from criteo_audiences.uploads.load import Load
from criteo_audiences.uploads.options import Settings
from criteo_audiences.uploads.progress import Progress
from criteo_audiences.uploads.record import Record
from criteo_audiences.uploads.report import BatchResult, Outcome, UploadReport, failure_of, live_from, result_of
from criteo_audiences.uploads.second_look import rows_of
from criteo_audiences.uploads.tally import Tally

_log = logging.getLogger("criteo_audiences.uploads")

_PROGRESS_EVERY: Final = 0.25
_BETWEEN_SYNCS: Final = 0.2
"""Seconds from a wait for the disk to the next one, which delays a busy loop: results that come sooner wait so long."""

_Begun = tuple[Batch, Entry | None]
"""A batch that is written down, and what an earlier run knows of it, `None` when it must be sent."""

Look = Callable[[], Awaitable[None]]
"""Looks at a contact list before anything is read of the source; raises when the upload cannot be meant for it."""


class Pipeline:
    """The parts of one upload and how they are connected.

    Args:
        amend: makes the calls.
        segment_id: the contact list.
        intake: reads the source.
        settings: the caller's choices.

    Attributes:
        upload_id: names the upload in events.
        record: what is written down about the batches; to be set before `start`.
        has_begun_all: whether the source has been read to its end and every batch of it was begun.
    """

    def __init__(self, amend: Amend, segment_id: str, intake: Intake, settings: Settings) -> None:
        self.upload_id: Final = uuid.uuid4().hex[:12]
        self._amend = amend
        self._segment_id = segment_id
        self._settings = settings
        self._intake = intake
        self.record = Record()
        self.has_begun_all = False
        self._load = Load(settings.max_concurrency)
        self._tally = Tally(self._load)
        self._meter = CallMeter()
        self._stopped = False
        self._overdue = False
        self._cut_short = False
        self._all_back = False
        seconds_left = settings.seconds_left()
        self._ends_at = math.inf if seconds_left is None else anyio.current_time() + seconds_left
        self._invalid_rows: tuple[SourceRow, ...] = ()
        self._reader_scope = anyio.CancelScope()
        self._reading_ended = False
        self._changed: SourceChangedError | None = None
        self._carrying: dict[anyio.CancelScope, CallMeter] = {}
        self._give_result: MemoryObjectSendStream[BatchResult]
        self._results: MemoryObjectReceiveStream[BatchResult]
        self._group: TaskGroup
        self._planned = 0

    @asynccontextmanager
    async def opened(self, look: Look | None = None) -> AsyncIterator[None]:
        """Opens the source for as long as the block lasts, and then looks at the contact list.

        When the deadline passes meanwhile, the block is entered all the same, and the upload ends at once.

        Raises:
            ConfigurationError: when the source or the opt-outs cannot be used.
            OSError: when they cannot be read.
            CriteoError: what the look at the contact list raises.
        """
        try:
            with anyio.CancelScope(deadline=self._ends_at) as scope:
                await self._intake.open()
                if look is not None:
                    await look()
            if scope.cancelled_caught:
                self._cut_short = True
                self._stop()
            count = self._intake.opt_outs
            if count is not None and count.fault is not None:
                _log.warning("%s: they leave nobody out.", count.fault)
            yield
        finally:
            with anyio.CancelScope(shield=True):
                await self._intake.close()

    def prepare(self, group: TaskGroup) -> None:
        """Makes what `next_result` waits at, before anything runs."""
        self._group = group
        self._give_result, self._results = anyio.create_memory_object_stream[BatchResult](0)

    def start(self) -> None:
        """Starts the reader, the senders and the clockwork of progress."""
        group, give_result = self._group, self._give_result
        give_batch, take_batch = anyio.create_memory_object_stream[_Begun](0)
        if self.record.path is not None:
            give_kept = give_result
            give_result, take_result = anyio.create_memory_object_stream[BatchResult](0)
            group.start_soon(self._keep_results, take_result, give_kept)
        group.start_soon(self._read, give_batch)
        for _ in range(self._settings.max_concurrency):
            group.start_soon(self._send_batches, take_batch.clone(), give_result.clone())
        take_batch.close()
        give_result.close()
        if self._settings.on_progress is not None:
            group.start_soon(self._tick)
        if self._ends_at < math.inf:
            group.start_soon(self._keep_deadline)

    async def next_result(self) -> BatchResult | None:
        """Returns the next batch that came back; `None` when all have, the upload failed, or the block was left."""
        try:
            return await self._results.receive()
        except (anyio.EndOfStream, anyio.ClosedResourceError) as end:
            self._all_back = self._all_back or isinstance(end, anyio.EndOfStream)
            return None

    @property
    def is_failing(self) -> bool:
        """Whether one of its parts has failed while the block lasts."""
        return self._tally.elapsed is None and self._group.cancel_scope.cancel_called

    def wind_down(self) -> None:
        """Starts no more batches; those in flight get `drain_timeout` seconds."""
        self._stop()
        if self._settings.drain_timeout:  # without it the cancellation itself ends them
            for scope in self._carrying:
                self._drain(scope)

    async def _keep_deadline(self) -> None:
        """Ends the upload at its deadline: what has not been sent by then is not, what is under way is drained."""
        await anyio.sleep_until(self._ends_at)
        self._overdue = True
        self._cut_short = self._cut_short or not self._reading_ended
        self._stop()
        for scope, meter in list(self._carrying.items()):
            if meter.calls:
                self._drain(scope)
            else:  # it waits for the quota or a token
                scope.cancel()

    def _drain(self, scope: anyio.CancelScope) -> None:
        scope.deadline = anyio.current_time() + self._settings.drain_timeout

    def close(self) -> None:
        """Gives back what the upload holds."""
        self._give_result.close()
        self._results.close()
        self._tally.close()

    def require_unchanged_source(self) -> None:
        """Raises what the reader found at the end of a source that changed meanwhile.

        Raises:
            SourceChangedError: when it did.
        """
        if self._changed is not None:
            raise self._changed

    async def look_again(self) -> None:
        """Finds the rows of refused identifiers, unless the upload was left early or its deadline passes."""
        with anyio.CancelScope(deadline=self._ends_at):
            if self._all_back and not self._cut_short:
                self._invalid_rows = await rows_of(self._intake, self._tally.refused())

    async def _read(self, give_batch: MemoryObjectSendStream[_Begun]) -> None:
        async def hand_over(batch: Batch) -> None:
            known = await self.record.begin(batch)
            with self._load.handing_over():
                await give_batch.send((batch, known))

        async with give_batch:
            try:
                with self._reader_scope:
                    if not self._stopped:  # by a deadline that has passed already
                        await self._intake.run(self._plan if self._settings.dry_run else hand_over)
                        self.has_begun_all = True
            except SourceChangedError as error:  # all of it is read: what is under way comes back first
                self._changed = error
            finally:  # however it ended, what was read of the source is in the report
                self._intake.count_rest()
        self._reading_ended = True
        self._load.end_reading()
        self._tell_progress()

    async def _plan(self, _: Batch) -> None:
        """Takes a batch in a dry run."""
        self._planned += 1

    async def _send_batches(
        self, batches: MemoryObjectReceiveStream[_Begun], results: MemoryObjectSendStream[BatchResult]
    ) -> None:
        async with batches, results:
            async for batch, known in batches:
                if known is not None:
                    await results.send(self._resumed(batch, known))
                elif not self._stopped and (result := await self._send(batch)) is not None:
                    await results.send(result)

    async def _keep_results(
        self, results: MemoryObjectReceiveStream[BatchResult], give_kept: MemoryObjectSendStream[BatchResult]
    ) -> None:
        """Hands results on when a loss of power would not undo them; those that follow closely wait together."""
        not_before = -math.inf
        async with results, give_kept:
            async for result in results:
                together = [result]
                with suppress(anyio.EndOfStream), anyio.CancelScope(deadline=not_before):
                    while True:
                        together.append(await results.receive())
                await self.record.sync()
                not_before = anyio.current_time() + _BETWEEN_SYNCS
                for kept in together:
                    await give_kept.send(kept)

    def _resumed(self, batch: Batch, entry: Entry) -> BatchResult:
        """Counts a batch that an earlier run got acknowledged."""
        outcome = Outcome(valid=entry.valid, invalid=entry.invalid, unreported=entry.unreported)
        result = BatchResult(
            number=batch.number, kind=self._kind(batch), sent=batch.count, outcome=outcome, resumed=True
        )
        self._tally.resume(result, dt.datetime.fromtimestamp(entry.ended_at or entry.sent_at, dt.UTC))
        self._tell_progress()
        return result

    async def _send(self, batch: Batch) -> BatchResult | None:
        """Sends one batch; an error of Criteo's is its result, anything else ends the upload.

        Returns:
            Its result, or `None` when it was not sent, because the upload had been stopped before it could start.
        """
        meter = CallMeter(parent=self._meter)
        amendment = self._amendment(batch, meter)
        self._tally.start()
        self.record.start(batch.number)
        try:
            receipt = await self._call(amendment, meter)
        except CriteoError as error:
            if isinstance(error, ConfigurationError) or (isinstance(error, AuthenticationError) and not meter.calls):
                await self._give_up(batch, sent=False)
                raise
            if self._stopped and not meter.calls and is_hopeless(error):  # the batch that stopped it has told why
                await self._give_up(batch, sent=False)
                return None
            result = failure_of(amendment, error, carried=meter.calls > 0)
        except BaseException:
            await self._give_up(batch, sent=meter.calls > 0)
            raise
        else:
            if receipt is None:
                await self._give_up(batch, sent=False)
                return None
            result = result_of(amendment, receipt)
        self._tally.finish(result)
        await self.record.end(result)
        self._judge(batch, result)
        self._tell_progress()
        return result

    async def _give_up(self, batch: Batch, *, sent: bool) -> None:
        self._tally.abandon(batch, self._kind(batch), sent=sent)
        await self.record.give_up(batch.number, sent=sent)

    def _kind(self, batch: Batch) -> IdentifierType:
        return batch.kind or self._settings.kind

    def _amendment(self, batch: Batch, meter: CallMeter) -> Amendment:
        kind = self._kind(batch)
        return Amendment(
            segment_id=self._segment_id,
            operation=self._settings.operation,
            identifier_type=kind,
            batch=batch,
            gum_caller_id=self._settings.gum_caller_id if kind is IdentifierType.GUM else None,
            upload_id=self.upload_id,
            meter=meter,
        )

    async def _call(self, amendment: Amendment, meter: CallMeter) -> ContactListOperation | None:
        """Makes the call, within the time that is left; `None` when nothing was sent before the deadline."""
        with anyio.CancelScope(shield=self._settings.drain_timeout > 0) as scope:
            self._carrying[scope] = meter
            try:
                return await self._amend(amendment)
            finally:
                del self._carrying[scope]
        if not meter.calls:  # nothing was sent: it still waited for the quota or a token
            await checkpoint()  # here a cancellation comes through
        self._cut_short = self._cut_short or self._overdue
        if not meter.calls:
            return None
        reason = "The upload's deadline passed" if self._overdue else "The upload was canceled"
        raise RequestTimeout(f"{reason} and the batch did not end within drain_timeout.")

    def _judge(self, batch: Batch, result: BatchResult) -> None:
        """Stops the upload when the batches to come would fare no better.

        Raises:
            AuthenticationError: the batch's own, when Criteo refused the credentials.
        """
        if isinstance(result.error, AuthenticationError):
            raise result.error
        is_no_login = not result.sent and isinstance(result.error, InvalidResponseError)
        mostly_refused = result.invalid > self._settings.max_invalid * batch.count
        if is_no_login or is_hopeless(result.error) or (batch.number == 1 and batch.full and mostly_refused):
            self._stop()

    def _stop(self) -> None:
        self._stopped = True
        self._reader_scope.cancel()

    async def _tick(self) -> None:
        """Tells progress also while nothing comes back."""
        while self._tally.elapsed is None:
            self._tell_progress()
            await anyio.sleep(_PROGRESS_EVERY)

    def _tell_progress(self) -> None:
        if self._settings.on_progress is None:
            return
        rows, tally, share_read = self._intake.rows, self._tally, self._intake.share()
        progress = Progress(
            read=self._intake.seen(),
            rejected=rows.rejected.total(),
            duplicates=rows.duplicates or 0,
            sent=tally.outcome.sent,
            valid=tally.outcome.valid,
            in_flight=tally.in_flight,
            batches=tally.ended,
            elapsed=tally.seconds(),
            waited=self._meter.waited(),
            is_waiting=self._meter.is_waiting,
            share_read=share_read,
            share_staged=self._intake.staged(),
            remaining=time_left(share_read, self._meter, tally),
        )
        returned = self._settings.on_progress(progress)
        if asyncio.iscoroutine(returned):  # a lambda around a coroutine function: nothing tells before the call
            returned.close()
            raise ConfigurationError(
                "on_progress returned a coroutine; it must be a plain function: it is not awaited."
            )

    def report(self) -> UploadReport:
        """Adds everything up; identifiers read that no call has carried are pending."""
        rows, tally, settings = self._intake.rows, self._tally, self._settings
        opt_outs = self._intake.opt_outs
        rejected = {str(reason): count for reason, count in rows.rejected.items()}
        gone = rows.rejected.total() + (rows.duplicates or 0) + rows.suppressed + tally.outcome.sent
        return UploadReport(
            read=rows.read,
            rejected=rejected,
            duplicates=rows.duplicates,
            suppressed=rows.suppressed,
            opt_outs=None if opt_outs is None else opt_outs.usable,
            unusable_opt_outs=0 if opt_outs is None else opt_outs.unusable,
            pending=rows.read - gone,
            already_hashed=rows.already_hashed,
            by_type=dict(tally.outcomes),
            columns=self._intake.columns,
            notes=self._intake.notes,
            batches=self._planned if settings.dry_run else tally.batches,
            failures=tuple(tally.failures),
            resumed=tally.resumed,
            calls=self._meter.calls,
            elapsed=tally.seconds(),
            waited=self._meter.waited(),
            live_from=live_from(tally.accepted_at) if tally.accepted_at else None,
            hint=hint_of(self._load, self._meter, tally, settings),
            deadline_passed=self._cut_short,
            dry_run=settings.dry_run,
            max_rejected=settings.max_rejected,
            max_invalid=settings.max_invalid,
            allow_empty=settings.allow_empty,
            sample_invalid=tuple(identifier for _, identifier in tally.sample_invalid),
            invalid_rows=self._invalid_rows,
        ).judged_by(settings.fail_on)
