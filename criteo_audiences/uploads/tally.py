"""Counts an upload's batches as they are sent and come back, and measures how busy its parts are."""

import asyncio
import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import anyio

from criteo_audiences.batches import Batch
from criteo_audiences.errors import ConfigurationError
from criteo_audiences.identifiers import SourceRow
from criteo_audiences.meter import CallMeter, steady
from criteo_audiences.models import IdentifierType
from criteo_audiences.uploads.amendment import BatchResult, Outcome
from criteo_audiences.uploads.lane import Lane, LaneProgress
from criteo_audiences.uploads.options import Options
from criteo_audiences.uploads.report import MOST_SAMPLED, UploadReport
from criteo_audiences.uploads.slots import Slots
from criteo_audiences.uploads.summary import WORTH_A_HINT, Figures, Progress, hint
from criteo_audiences.windows import DISTINCT, Moment, TimeLeft, live_from

_PROGRESS_EVERY: Final = 0.25


class Tally:
    """The counts of an upload so far. Every batch is in flight, ended, abandoned in flight, or was never sent.

    Args:
        lane: counts the rows.
        options: the caller's choices.
        slots: the client's slots.
        now: returns the time, in seconds.

    Attributes:
        meter: counts the calls and the waits for the quota.
        slots: the slots of this upload for batches in flight.
        planned: batches that a dry run would send.
        batches: batches put into calls.
        ended: batches that came back, or that an earlier run had delivered.
        resumed: how many of them an earlier run had delivered.
        in_flight: batches in flight.
        outcomes: the outcome of all identifiers put into calls, by kind.
        failures: the batches that failed.
        warnings: the number of Criteo's warnings in its answers, by code.
        accepted_at: when Criteo accepted the first and the last batch; `None` while it has accepted none.
        busy: seconds that batches were in flight, summed over the batches.
        delivering: seconds during which the lane waited for a sender to take its batch.
        elapsed: seconds that the upload took; `None` until it is over.
        time_left: estimates how long the rest takes.
    """

    def __init__(self, lane: Lane, options: Options, slots: Slots, now: Callable[[], float] = steady) -> None:
        self._lane = lane
        self._options = options
        self._now = now
        self.meter = CallMeter(now=now)
        self.slots: Final = slots.opened(
            self.meter, ceiling=options.max_concurrency, most_bytes=options.most_bytes_in_flight
        )
        self.planned = 0
        self.batches = 0
        self.ended = 0
        self.resumed = 0
        self.in_flight = 0
        self.outcomes: dict[IdentifierType, Outcome] = {}
        self.failures: list[BatchResult] = []
        self.warnings: Counter[str] = Counter()
        self.accepted_at: tuple[dt.datetime, dt.datetime] | None = None
        self.busy = 0.0
        self.delivering = 0.0
        self.elapsed: float | None = None
        self.time_left = TimeLeft(self.slots.room)
        self._sample_invalid: list[tuple[IdentifierType, str]] = []
        self._handed_over = (0, 0)  # batches, including those in flight, and their identifiers
        self._began = self._since = now()
        self._read_at: float | None = None

    def expect_window(self, window: tuple[int, float] | None) -> None:
        """Sets the quota (calls, and the seconds of their window), and shows progress for the first time."""
        self.meter.note_window(window)
        self.show_progress()

    async def plan(self, _: Batch) -> None:
        """Counts a batch that a dry run would send."""
        self.planned += 1

    def start(self, identifiers: int) -> None:
        """Counts a batch of this many identifiers that is about to be sent."""
        self._hand_over(identifiers)
        self.time_left.begin(self._moment())
        self._change_in_flight(1)

    def finish(self, result: BatchResult) -> None:
        """Counts a batch that came back, whatever its result."""
        self._change_in_flight(-1)
        self.batches += result.sent > 0
        self.ended += 1
        self._add(result.kind, result.outcome)
        self.warnings.update(problem.printable_code for problem in (result.receipt.warnings if result.receipt else ()))
        if result.error is not None:
            self.failures.append(result)
            return
        self.time_left.note(self._moment())
        if result.ok:
            self._accept(dt.datetime.now(dt.UTC))
        sample = (result.receipt.sample_invalid or ()) if result.receipt else ()
        room = MOST_SAMPLED - len(self._sample_invalid)
        self._sample_invalid += [(result.kind, identifier) for identifier in sample[:room]]

    def resume(self, result: BatchResult, accepted_at: dt.datetime) -> None:
        """Counts a batch that need not be sent, because an earlier run had delivered it."""
        self.batches += 1
        self.ended += 1
        self.resumed += 1
        self._hand_over(result.sent)
        self._add(result.kind, result.outcome)
        self._accept(accepted_at)

    def abandon(self, kind: IdentifierType, outcome: Outcome) -> None:
        """Counts a batch given up before it ended; it does not count as sent if no request was made for it."""
        self._change_in_flight(-1)
        if outcome.sent:
            self.batches += 1
            self._add(kind, outcome)

    def begin_reading(self) -> None:
        """Records that the source is about to be read."""
        self.time_left.begin_reading(self._now())

    @contextmanager
    def handing_over(self) -> Iterator[None]:
        """Counts the time in the block as the lane's wait for a sender."""
        began = self._now()
        try:
            yield
        finally:
            self.delivering += self._now() - began

    def end_reading(self) -> None:
        """Records that reading the source has ended."""
        self._read_at = self._now()

    def close(self) -> None:
        """Records that the upload is over, and frees its slots."""
        if self.elapsed is None:
            self.elapsed = self.seconds()
            self.slots.close()

    @property
    def reading(self) -> float:
        """Seconds that reading and preparing took, without waits for a sender."""
        return (self._now() if self._read_at is None else self._read_at) - self._began - self.delivering

    @property
    def accepted(self) -> int:
        """Batches that Criteo accepted, in this run or an earlier one."""
        return self.ended - len(self.failures)

    def seconds(self) -> float:
        """Returns the seconds since the start, or the whole time once the upload is over."""
        return self._now() - self._began if self.elapsed is None else self.elapsed

    def refused(self) -> dict[IdentifierType, set[str]]:
        """Returns the identifiers that Criteo's answers list as refused (a sample), by kind."""
        refused: dict[IdentifierType, set[str]] = {}
        for kind, identifier in self._sample_invalid:
            refused.setdefault(kind, set()).add(identifier)
        return refused

    def progress(self) -> Progress:
        """Returns the progress of the upload."""
        read, rows, sent = self._lane.progress(), self._lane.rows, self._outcome.sent
        expected, before, prepared = self._expected(read), 0.0, None
        if read.staged and read.share is None:
            before, prepared = self.time_left.before_first_batch(read.staged, self._now())
        remaining = None if expected is None else self._remaining(before, expected - sent)
        return Progress(
            read=read.seen,
            rejected=rows.rejected.total(),
            duplicates=rows.duplicates or 0,
            sent=sent,
            valid=self._outcome.valid,
            in_flight=self.in_flight,
            limited_by=self.slots.limited_by,
            batches=self.ended,
            waited=self.meter.waited(),  # read before the whole, which is never less
            is_waiting=self.meter.is_waiting,
            elapsed=self.seconds(),
            share_read=read.share,
            share_staged=read.staged,
            share_prepared=prepared,
            share_sent=None if expected is None else min(1.0, sent / expected) if expected else 1.0,
            remaining=remaining,
            at_least=self._at_least(read) if remaining is None else remaining,
        )

    def _expected(self, read: LaneProgress) -> float | None:
        """Returns how many identifiers there are to send, known or estimated; `None` if it cannot be estimated."""
        rows = self._lane.rows
        kept = rows.read - rows.rejected.total() - (rows.duplicates or 0) - rows.suppressed
        if self._read_at is not None or (read.staged and read.share is not None):  # all of it is read
            return kept
        if read.staged is None:
            return kept / read.share if read.share else read.length
        return DISTINCT * read.seen / read.staged if read.staged else None

    def _remaining(self, before: float, left: float) -> float | None:
        """Estimates the seconds that the upload still takes; `None` if all batches that came back have failed.

        Args:
            before: seconds until the first batch.
            left: identifiers that have not come back.
        """
        if self.elapsed is not None:
            return 0.0
        if self.failures and len(self.failures) == self.ended - self.resumed:
            return None
        if self._options.dry_run:
            return before
        batches, identifiers = self._handed_over
        size = identifiers / batches if identifiers else self._options.batch_size
        to_hand_over = max(0.0, left - (identifiers - self._outcome.sent))
        return before + self.time_left.for_batches(self.in_flight + to_hand_over / size, self._moment())

    def _at_least(self, read: LaneProgress) -> float | None:
        """Returns the least seconds that the upload still takes, if reading takes no time; `None` if it may never end.

        Args:
            read: how far the source has been read.
        """
        if read.is_open_ended:
            return None
        batches = 0.0 if self._options.dry_run else max(1.0, DISTINCT * (read.length or 0) / self._options.batch_size)
        return self.time_left.for_batches(batches, self._moment())

    def _moment(self) -> Moment:
        meter = self.meter
        waited, waiting_for = meter.waited(), meter.waiting_for()
        return Moment(
            now=self._now(),
            waited=waited,
            waiting_for=waiting_for,
            window=meter.window,
            in_flight=self.in_flight,
            held_back=meter.waits,
            round_trip=self.slots.round_trip,
            is_full=self.slots.is_full,
            by_line=meter.line.seconds,
        )

    def show_progress(self) -> None:
        """Calls `on_progress`, if the caller set it.

        Raises:
            ConfigurationError: when it returns a coroutine, which for a lambda cannot be detected before the call.
        """
        if self._options.on_progress is None:
            return
        returned = self._options.on_progress(self.progress())
        if asyncio.iscoroutine(returned):
            returned.close()
            raise ConfigurationError(
                "on_progress returned a coroutine; it must be a plain function: it is not awaited."
            )

    async def keep_showing_progress(self) -> None:
        """Shows progress several times a second until the upload is over, even while nothing comes back."""
        while self.elapsed is None:
            self.show_progress()
            await anyio.sleep(_PROGRESS_EVERY)

    def report(
        self,
        *,
        deadline_passed: bool = False,
        invalid_rows: Sequence[SourceRow] = (),
        window_warning: str | None = None,
    ) -> UploadReport:
        """Returns the report so far; identifiers that were read but not put into a call are pending."""
        lane, rows, options = self._lane, self._lane.rows, self._options
        opt_outs = lane.opt_outs
        first, last = map(live_from, self.accepted_at) if self.accepted_at else (None, None)
        gone = rows.rejected.total() + (rows.duplicates or 0) + rows.suppressed + self._outcome.sent
        return UploadReport(
            read=rows.read,
            rejected={str(reason): count for reason, count in rows.rejected.items()},
            duplicates=rows.duplicates,
            suppressed=rows.suppressed,
            opt_outs=None if opt_outs is None else opt_outs.usable,
            unusable_opt_outs=0 if opt_outs is None else opt_outs.unusable,
            pending=rows.read - gone,
            already_hashed=rows.already_hashed,
            by_type=dict(self.outcomes),
            columns=lane.columns,
            notes=lane.notes,
            batches=self.planned if options.dry_run else self.batches,
            failures=tuple(self.failures),
            warnings=dict(self.warnings),
            resumed=self.resumed,
            calls=self.meter.calls,
            waited=self.meter.waited(),
            most_in_flight=self.slots.most_held,
            limited_by=self.slots.mostly_limited_by(),
            elapsed=self.seconds(),
            live_from=last,
            partly_live_from=None if first == last else first,
            window_warning=window_warning,
            hint=self._hint(),
            deadline_passed=deadline_passed,
            dry_run=options.dry_run,
            max_rejected=options.max_rejected,
            max_invalid=options.max_invalid,
            allow_empty=options.allow_empty,
            sample_invalid=tuple(identifier for _, identifier in self._sample_invalid),
            invalid_rows=tuple(invalid_rows),
        ).judged_by(options.fail_on)

    def _hint(self) -> str | None:
        """Returns what kept the upload from being faster, once it is over; `None` with `flush_after`.

        A source for which `flush_after` is set trickles, so that the upload's speed means nothing.
        """
        if self._options.flush_after is not None or self.elapsed is None or self.elapsed < WORTH_A_HINT:
            return None
        return hint(
            Figures(
                elapsed=self.elapsed,
                waited=self.meter.waited(),
                reading=self.reading,
                limited=self.slots.seconds(),
                busy=self.busy,
                batches=self.batches - self.resumed,
                failed=len(self.failures),
                max_concurrency=self._options.max_concurrency,
                most_in_flight=self.slots.most_held,
                most_bytes_in_flight=self._options.most_bytes_in_flight,
                window=self.meter.window,
            )
        )

    @property
    def _outcome(self) -> Outcome:
        return sum(self.outcomes.values(), Outcome())

    def _hand_over(self, identifiers: int) -> None:
        batches, before = self._handed_over
        self._handed_over = batches + 1, before + identifiers

    def _accept(self, moment: dt.datetime) -> None:
        first, last = self.accepted_at or (moment, moment)
        self.accepted_at = min(first, moment), max(last, moment)

    def _add(self, kind: IdentifierType, outcome: Outcome) -> None:
        self.outcomes[kind] = self.outcomes.get(kind, Outcome()) + outcome

    def _change_in_flight(self, by: int) -> None:
        now = self._now()
        self.busy += self.in_flight * (now - self._since)
        self.in_flight += by
        self._since = now
