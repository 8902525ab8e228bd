"""Sends batches, one call each, and says what became of every one."""

import datetime as dt

import anyio
from anyio.lowlevel import checkpoint

from criteo_audiences.batches import Batch
from criteo_audiences.errors import AuthenticationError, ConfigurationError, CriteoError, RequestTimeout
from criteo_audiences.journals.rows import Entry
from criteo_audiences.meter import CallMeter, CallWatch
from criteo_audiences.models import ContactListOperation, IdentifierType
from criteo_audiences.uploads.amendment import (
    Amend,
    Amendment,
    BatchResult,
    Outcome,
    failure_of,
    is_hopeless,
    result_of,
)
from criteo_audiences.uploads.options import Options
from criteo_audiences.uploads.recorder import Recorder
from criteo_audiences.uploads.tally import Tally


class Sender:
    """Sends the batches of one upload; several tasks may do so at the same time.

    Args:
        amend: makes the calls.
        segment_id: the contact list.
        upload_id: names the upload in events.
        options: the caller's choices.
        tally: counts what is sent and what comes back.
        recorder: writes that down.
        watch: follows the calls.

    Attributes:
        cut_by_deadline: whether the deadline ended a call, or one that still waited for the quota or a token.
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
        self._is_stopped = False
        self._is_overdue = False
        self.cut_by_deadline = False

    def stop(self) -> None:
        """Sends nothing more; calls under way go on."""
        self._is_stopped = True

    def drain(self) -> None:
        """Gives the calls under way `drain_timeout` seconds; without those, the cancellation itself ends them."""
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
        """Counts a batch that an earlier run had delivered, as the journal's entry says, and returns its result."""
        outcome = Outcome(valid=entry.valid, invalid=entry.invalid, unreported=entry.unreported)
        result = BatchResult(
            number=batch.number, kind=self._kind(batch), sent=batch.count, outcome=outcome, resumed=True
        )
        self._tally.resume(result, dt.datetime.fromtimestamp(entry.ended_at or entry.sent_at, dt.UTC))
        return result

    async def send(self, batch: Batch) -> BatchResult | None:
        """Sends a batch; an error of Criteo's is its result, anything else is raised.

        Returns:
            Its result, or `None` when it was not sent, because the upload had been stopped before it could start.
        """
        if self._is_stopped:
            return None
        meter = CallMeter(parent=self._tally.meter, watch=self._watch)
        amendment = self._amendment(batch, meter)
        self._tally.start()
        self._recorder.taken(batch.number)
        try:
            receipt = await self._call(amendment, meter)
        except CriteoError as error:
            if isinstance(error, ConfigurationError) or (isinstance(error, AuthenticationError) and not meter.calls):
                await self._give_up(batch, sent=False)
                raise
            if self._is_stopped and not meter.calls and is_hopeless(error):  # the batch that stopped it has said why
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
        await self._recorder.write_end(result)
        return result

    async def _call(self, amendment: Amendment, meter: CallMeter) -> ContactListOperation | None:
        """Makes the call, within the time that is left; `None` when nothing was sent before the deadline."""
        with anyio.CancelScope(shield=self._options.drain_timeout > 0) as scope:
            self._carrying[scope] = meter
            try:
                return await self._amend(amendment)
            finally:
                del self._carrying[scope]
                meter.settle()
        if not meter.calls:  # nothing was sent: it still waited for the quota or a token
            await checkpoint()  # here a cancellation comes through
        self.cut_by_deadline = self.cut_by_deadline or self._is_overdue
        if not meter.calls:
            return None
        reason = "The upload's deadline passed" if self._is_overdue else "The upload was canceled"
        raise RequestTimeout(f"{reason} and the batch did not end within drain_timeout.")

    async def _give_up(self, batch: Batch, *, sent: bool) -> None:
        self._tally.abandon(batch, self._kind(batch), sent=sent)
        await self._recorder.give_up(batch.number, sent=sent)

    def _drain(self, scope: anyio.CancelScope) -> None:
        scope.deadline = anyio.current_time() + self._options.drain_timeout

    def _kind(self, batch: Batch) -> IdentifierType:
        return batch.kind or self._options.kind

    def _amendment(self, batch: Batch, meter: CallMeter) -> Amendment:
        kind = self._kind(batch)
        return Amendment(
            segment_id=self._segment_id,
            operation=self._options.operation,
            identifier_type=kind,
            batch=batch,
            gum_caller_id=self._options.gum_caller_id if kind is IdentifierType.GUM else None,
            upload_id=self._upload_id,
            meter=meter,
        )
