"""Connects the parts of an upload: a reader, a sender per batch, and the caller; slots limit the batches in flight.

A ledger, which several machines can share, remembers which batches were acknowledged.
"""

import json
import logging
import math
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from enum import Enum, auto
from hashlib import blake2b
from typing import Final

import anyio
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from criteo_audiences.batches import Batch
from criteo_audiences.errors import AuthenticationError, SourceChangedError
from criteo_audiences.identifiers import SourceRow
from criteo_audiences.journals.rows import Acknowledged, BatchLedger, BatchState, Entry
from criteo_audiences.models import IdentifierType
from criteo_audiences.uploads.amendment import Amend, BatchResult, Destination, ends_upload
from criteo_audiences.uploads.lane import Lane
from criteo_audiences.uploads.options import Options
from criteo_audiences.uploads.report import UploadReport
from criteo_audiences.uploads.sender import Recorder, Sender
from criteo_audiences.uploads.slots import Slots
from criteo_audiences.uploads.tally import Tally
from criteo_audiences.windows import NEXT_WINDOW, QuotaWait, WindowCheck


class LedgerRecorder(Recorder):
    """Looks each batch up in a ledger before it is sent, and records each acknowledgement in the ledger.

    Args:
        ledger: the ledger.
    """

    def __init__(self, ledger: BatchLedger) -> None:
        super().__init__()
        self._ledger = ledger
        self._job = b""
        self._digests: dict[int, bytes] = {}

    @asynccontextmanager
    async def opened(self, destination: Destination, source: object, options: Options) -> AsyncIterator[None]:
        """See `Recorder.opened`; equal batches for another list, operation or kind count as different batches."""
        del source  # equal batches from different sources are the same call
        where = (destination.service, destination.host.lower(), destination.segment_id)
        self._job = json.dumps([*where, options.operation, options.kind, options.gum_caller_id]).encode()
        yield

    async def write_begin(self, batch: Batch) -> Entry | None:
        """See `Recorder.write_begin`."""
        digest = blake2b(batch.checksum + self._job, digest_size=32).digest()
        known = await self._ledger.find(digest)
        if known is None:
            self._digests[batch.number] = digest
            return None
        return Entry(
            number=batch.number,
            count=batch.count,
            size=batch.size,
            state=BatchState.ACKNOWLEDGED,
            sent_at=known.at,
            ended_at=known.at,
            valid=known.valid,
            invalid=known.invalid,
        )

    async def write_end(self, result: BatchResult) -> None:
        """See `Recorder.write_end`; records only acknowledged batches."""
        digest = self._digests.pop(result.number, None)
        if digest is not None and result.ok:
            answer = Acknowledged(valid=result.valid, invalid=result.invalid, at=time.time())
            await self._ledger.note(digest, answer)


_log = logging.getLogger("criteo_audiences.uploads")

Look = Callable[[], Awaitable[None]]
"""Checks the contact list before the source is read; raises if the upload cannot be meant for it."""


class Ending(Enum):
    """Why an upload ended before its source did. The first reason is kept, except that LEFT replaces HOPELESS."""

    NONE = auto()
    HOPELESS = auto()
    """Every further batch would fail the same way."""
    LEFT = auto()
    """The caller left the block before the last result."""
    DEADLINE = auto()


class Reading(Enum):
    """How far the source has been read."""

    GOING_ON = auto()
    DONE = auto()
    """It was read to its end, and every batch of it was begun."""
    CHANGED = auto()
    """It was read to its end, but one of its files changed meanwhile."""
    CUT = auto()


class Pipeline:
    """Connects the parts of one upload.

    Its state consists of two values: how far the source has been read, and what ended the upload early.

    | reading  | ending           | then                                                                      |
    |----------|------------------|---------------------------------------------------------------------------|
    | GOING_ON | NONE             | batches are read and sent                                                 |
    | any      | not NONE         | reading stops and no batch is started; those in flight come back          |
    | GOING_ON, CUT | DEADLINE    | the report says that the deadline passed; otherwise if it cut a call      |
    | DONE     | NONE             | the journal is complete once every batch is acknowledged                  |
    | CHANGED  | any              | what is in flight comes back, then `SourceChangedError` is raised         |
    | any      | NONE, HOPELESS   | the source is read once more for the rows of refused identifiers          |

    Args:
        amend: makes the calls.
        segment_id: the contact list.
        lane: reads the source.
        options: the caller's choices.
        quota_wait: returns how long a number of calls must wait for the quota.
        slots: the client's slots, which its uploads share.

    Attributes:
        upload_id: the upload's id in events.
        recorder: records the batches and their results.
        reading: how far the source has been read.
    """

    def __init__(
        self, amend: Amend, segment_id: str, lane: Lane, options: Options, quota_wait: QuotaWait, slots: Slots
    ) -> None:
        self.upload_id: Final = uuid.uuid4().hex[:12]
        self.recorder: Final = Recorder() if options.ledger is None else LedgerRecorder(options.ledger)
        self.reading = Reading.GOING_ON
        self._ending = Ending.NONE
        self._options = options
        self._lane = lane
        self._window_check = WindowCheck(quota_wait, is_deadline=options.deadline == NEXT_WINDOW)
        self._tally = Tally(lane, options, slots)
        self._slots = self._tally.slots
        self._sender = Sender(amend, segment_id, self.upload_id, options, self._tally, self.recorder, self._slots)
        seconds_left = options.seconds_left()
        self._ends_at = math.inf if seconds_left is None else anyio.current_time() + seconds_left
        self._invalid_rows: tuple[SourceRow, ...] = ()
        self._reader_scope = anyio.CancelScope()
        self._changed: SourceChangedError | None = None
        self._give_result: MemoryObjectSendStream[BatchResult]
        self._results: MemoryObjectReceiveStream[BatchResult]
        self._group: TaskGroup

    @asynccontextmanager
    async def opened(self, look: Look | None = None) -> AsyncIterator[None]:
        """Opens the source for the duration of the block, and then checks the contact list.

        If the deadline passes meanwhile, the block is entered nevertheless, and the upload ends at once.

        Raises:
            ConfigurationError: when the source or the opt-outs cannot be used.
            OSError: when they cannot be read.
            CriteoError: when `look` raises it.
        """
        try:
            with anyio.CancelScope(deadline=self._ends_at) as scope:
                await self._lane.open()
                if look is not None:
                    began = anyio.current_time()
                    await look()
                    self._tally.time_left.answers_after = anyio.current_time() - began
            if scope.cancelled_caught:
                self._end(Ending.DEADLINE)
            count = self._lane.opt_outs
            if count is not None and count.fault is not None:
                _log.warning("%s: they suppress no row.", count.fault)
            yield
        finally:
            with anyio.CancelScope(shield=True):
                await self._lane.close()

    def expect_window(self, window: tuple[int, float] | None) -> None:
        """Sets the quota (calls, and the seconds of their window) for estimates before the first call."""
        self._tally.expect_window(window)

    def prepare(self, group: TaskGroup) -> None:
        """Creates the channel that `next_result` reads, before any task runs."""
        self._group = group
        self._give_result, self._results = anyio.create_memory_object_stream[BatchResult](0)

    def start(self) -> None:
        """Starts the reader, which starts the senders, and the tasks that show progress and watch the deadline."""
        group, give_result = self._group, self._give_result
        if self.recorder.path is not None:
            give_kept = give_result
            give_result, take_result = anyio.create_memory_object_stream[BatchResult](0)
            group.start_soon(self.recorder.keep_results, take_result, give_kept)
        group.start_soon(self._read, give_result)
        if self._options.on_progress is not None:
            group.start_soon(self._tally.keep_showing_progress)
        if self._ends_at < math.inf:
            group.start_soon(self._keep_deadline)

    async def next_result(self) -> BatchResult | None:
        """Returns the next result; `None` after the last one, if the upload failed, or if the caller left the block."""
        with suppress(anyio.EndOfStream, anyio.ClosedResourceError):
            return await self._results.receive()
        return None

    @property
    def is_failing(self) -> bool:
        """Whether one of its parts has failed while the block lasts."""
        return self._tally.elapsed is None and self._group.cancel_scope.cancel_called

    def report(self) -> UploadReport:
        """Returns what the upload has done so far."""
        cut = self._ending is Ending.DEADLINE and self.reading in {Reading.GOING_ON, Reading.CUT}
        return self._tally.report(
            deadline_passed=cut or self._sender.cut_by_deadline,
            invalid_rows=self._invalid_rows,
            window_warning=self._window_check.warning,
        )

    def wind_down(self) -> None:
        """Starts no more batches; those in flight get `drain_timeout` seconds."""
        if self._results.statistics().open_send_streams:  # otherwise all are back
            self._end(Ending.LEFT)
        self._sender.drain()

    def close(self) -> None:
        """Closes the channels and frees the upload's slots."""
        self._give_result.close()
        self._results.close()
        self._tally.close()

    def require_unchanged_source(self) -> None:
        """Raises the error of the reader if the source changed while it was read.

        Raises:
            SourceChangedError: when it changed.
        """
        if self._changed is not None:
            raise self._changed

    async def look_again(self) -> None:
        """Finds the rows of refused identifiers, unless the upload was left early or its deadline passes."""
        if self._ending in {Ending.NONE, Ending.HOPELESS} and not self._sender.cut_by_deadline:
            with anyio.CancelScope(deadline=self._ends_at):
                self._invalid_rows = await _rows_of(self._lane, self._tally.refused())

    async def _read(self, give_result: MemoryObjectSendStream[BatchResult]) -> None:
        async def hand_over(batch: Batch) -> None:
            if not self._window_check.made and self._lane.batches is not None:
                self._window_check.make(self._lane.batches - self.recorder.acknowledged)
            known = await self.recorder.write_begin(batch)
            with self._tally.handing_over():
                await self._slots.enter(batch.size)
            self._group.start_soon(self._send, batch, known, give_result.clone())

        reading = Reading.CUT
        self._tally.begin_reading()
        async with give_result:
            try:
                with self._reader_scope:
                    if self._ending is Ending.NONE:  # not ended by a deadline that has passed already
                        await self._lane.run(self._tally.plan if self._options.dry_run else hand_over)
                        reading = Reading.DONE
                        if self._options.dry_run:
                            self._window_check.make(self._tally.planned)
            except SourceChangedError as error:  # raised later: the batches in flight come back first
                self._changed, reading = error, Reading.CHANGED
            finally:  # the report counts all that was read, in any case
                if reading is not Reading.DONE:
                    self._lane.count_rest()
        self.reading = reading
        self._tally.end_reading()
        self._tally.show_progress()

    async def _send(self, batch: Batch, known: Entry | None, results: MemoryObjectSendStream[BatchResult]) -> None:
        """Sends a batch, unless an earlier run got it acknowledged, and passes its result on."""
        with results, self._slots.left_with(batch.size):
            result = await self._sender.send(batch) if known is None else self._sender.resume(batch, known)
            if result is None:
                return
            if isinstance(result.error, AuthenticationError):
                raise result.error
            if ends_upload(batch, result, self._options.max_invalid):
                self._end(Ending.HOPELESS)
            self._tally.show_progress()
            await results.send(result)

    async def _keep_deadline(self) -> None:
        """Ends the upload at its deadline: sends nothing more, and drains the batches in flight."""
        await anyio.sleep_until(self._ends_at)
        self._end(Ending.DEADLINE)
        self._sender.end_at_deadline()

    def _end(self, ending: Ending) -> None:
        """Stops reading and starts no more batches."""
        if self._ending is Ending.NONE or (self._ending, ending) == (Ending.HOPELESS, Ending.LEFT):
            self._ending = ending
        self._sender.stop()
        self._reader_scope.cancel()


async def _rows_of(lane: Lane, refused: Mapping[IdentifierType, set[str]]) -> tuple[SourceRow, ...]:
    """Returns the first row of each refused identifier in the source; none if the source cannot be read again.

    Args:
        lane: the lane that has read the source.
        refused: identifiers in the form in which they were sent, by kind.
    """
    if not refused:
        return ()
    try:
        return tuple(await lane.refused_rows(refused))
    except Exception as error:  # noqa: BLE001 - the upload is over: whatever happens here, it is no failure of it
        _log.warning(
            "The rows of refused identifiers are not known: reading the source again failed with %s.",
            type(error).__name__,
        )
        return ()
