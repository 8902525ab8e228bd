"""The lane for values: reads them from an iterable on the event loop, in steps so short that other tasks can run."""

import asyncio
import math
import time
from collections.abc import Iterator, Mapping, Sequence, Sized
from contextlib import aclosing, suppress
from itertools import islice
from typing import Any, Final

import anyio
from anyio import to_thread
from attrs import field, frozen

from criteo_audiences.batches import Batcher
from criteo_audiences.errors import SourceChangedError
from criteo_audiences.identifiers import Fingerprints, OptOutCount, OptOuts, Preparation, RowCounts, SourceRow
from criteo_audiences.loops import first_error
from criteo_audiences.models import IdentifierType
from criteo_audiences.tables import Table
from criteo_audiences.tables.table import Selection
from criteo_audiences.uploads.lane import Deliver, Lane, LaneProgress, open_source
from criteo_audiences.uploads.options import Options
from criteo_audiences.uploads.policies import refuse_duplicates
from criteo_audiences.uploads.rejects import RejectsFile

SLICE: Final = 256
"""Most values read at once, and prepared at once if the rule does not demand fewer."""

_TURN: Final = 0.0003
"""Seconds of work before the event loop can run other tasks; a timer of the caller may be late by three times that."""

_FEWEST: Final = 8
"""Fewest values prepared at once, however long they take."""


class ValueLane(Lane):
    """Reads values from an iterable on the event loop, in slices of about half a millisecond.

    Args:
        source: an iterable or async iterable.
        options: the caller's choices.
        rejects: receives the rejected values; `None` only counts them.
    """

    def __init__(self, source: object, options: Options, rejects: RejectsFile | None = None) -> None:
        if not options.dedupe:
            refuse_duplicates(options.fail_on)
        self._reading = open_source(source)
        selection = options.selections[0]
        seen = Fingerprints() if options.dedupe else None
        self._rejects = rejects
        self._preparation = Preparation(
            algorithm=selection.algorithm,
            rule=selection.rule,
            seen=seen,
            on_reject=None if rejects is None else rejects.note,
        )
        self._batcher = Batcher(size=options.batch_size, max_bytes=options.max_body_bytes)
        self._flush_after = options.flush_after
        self._length = len(source) if isinstance(source, Sized) else None
        self._options = options
        self._deliver: Deliver
        self._buffer: list[Any] = []
        self._delivering = asyncio.Lock()  # reading and flushing share one batcher; costs less than anyio's lock
        self._waiting_since = math.inf
        self._slices = Slices(self._preparation)
        self._repeatable = Repeatable(source, len(source), selection) if isinstance(source, list | tuple) else None

    @property
    def rows(self) -> RowCounts:
        """See `Lane.rows`."""
        return self._preparation

    @property
    def batches(self) -> int | None:
        """See `Lane.batches`."""
        return None if self._length is None else math.ceil(self._length / self._options.batch_size)

    def progress(self) -> LaneProgress:
        """See `Lane.progress`; for an iterable without a length, the share that has been read is unknown."""
        read = self._preparation.read
        share = min(1.0, read / self._length) if self._length else None
        return LaneProgress(seen=read, share=share, length=self._length, is_open_ended=self._length is None)

    @property
    def notes(self) -> tuple[str, ...]:
        """See `Lane.notes`; these are the remarks on the opt-outs."""
        return () if self.opt_outs is None else self.opt_outs.notes

    @property
    def opt_outs(self) -> OptOutCount | None:
        """See `Lane.opt_outs`."""
        return None if self._preparation.opt_outs is None else self._preparation.opt_outs.count

    async def open(self) -> None:
        """See `Lane.open`."""
        if self._options.suppress is not None and self._preparation.opt_outs is None:
            self._preparation.opt_outs = await _opt_outs(self._options)

    async def run(self, deliver: Deliver) -> None:
        """See `Lane.run`."""
        self._deliver = deliver
        await self.open()
        with first_error():
            async with anyio.create_task_group() as group:
                if self._flush_after is not None:
                    group.start_soon(self._flush_late, self._flush_after)
                await self._read()
                async with self._delivering:
                    self._waiting_since = math.inf  # a flush that is due right now must not begin
                    group.cancel_scope.cancel()
        for batch in self._batcher.flush():
            await self._deliver(batch)

    def count_rest(self) -> None:
        """See `Lane.count_rest`."""
        if self._buffer:
            with suppress(TypeError):  # a row that is no text, after the row that ended the upload
                self._preparation.prepare(self._buffer)
            self._buffer.clear()

    async def refused_rows(self, refused: Mapping[IdentifierType, set[str]]) -> Sequence[SourceRow]:
        """See `Lane.refused_rows`."""
        if self._repeatable is None:
            return ()
        return await self._repeatable.refused_rows(refused[self._options.kind])

    async def _read(self) -> None:
        self._slices.begin_turn()
        async with aclosing(self._reading.slices(self._buffer, self._note_arrival, self._room)) as slices:
            async for _ in slices:
                async with self._delivering:
                    if await self._absorb():
                        self._waiting_since = math.inf
                if self._batcher.pending:
                    self._note_arrival()

    async def _absorb(self) -> int:
        """Moves the values in the buffer to the batcher, some at a time, and delivers the batches that this fills.

        Returns:
            The number of these batches.
        """
        delivered = 0
        left = len(self._buffer)  # values that arrive meanwhile are for the next call
        while left > 0:
            values = self._buffer[: min(self._slices.step, left)]
            del self._buffer[: len(values)]
            left -= len(values)
            for batch in self._batcher.feed(self._slices.prepare(values)):
                await self._deliver(batch)
                delivered += 1
            if self._rejects is not None and self._rejects.full:
                await to_thread.run_sync(self._rejects.flush)
            await self._slices.rest()
        return delivered

    def _room(self) -> int:
        """Returns how many values to read at once: at most as many as fill the batch, which then need not wait."""
        return min(SLICE, self._batcher.room)

    def _note_arrival(self) -> None:
        """Remembers since when values wait for their batch to fill, if `flush_after` is set."""
        if self._flush_after is not None:
            self._waiting_since = min(self._waiting_since, anyio.current_time())

    async def _flush_late(self, flush_after: float) -> None:
        """Delivers an incomplete batch whenever its values have waited for `flush_after` seconds."""
        while True:
            left = self._waiting_since + flush_after - anyio.current_time()
            await anyio.sleep(min(max(0.0, left), flush_after))
            async with self._delivering:
                if anyio.current_time() >= self._waiting_since + flush_after:
                    self._waiting_since = math.inf  # values that arrive from here on wait anew
                    await self._absorb()
                    for batch in self._batcher.flush():
                        await self._deliver(batch)


async def _opt_outs(options: Options) -> OptOuts:
    """Returns the opt-outs of an upload from an iterable, ready for comparison.

    Raises:
        ConfigurationError: when their table cannot be used, or, unless `suppress_strict` is off, one of them cannot.
        OSError: when their table cannot be read to its end.
    """
    rule = options.selections[0].rule
    if isinstance(options.suppress, Table):
        from criteo_audiences.uploads.table_lane import read_opt_outs  # noqa: PLC0415 - a list needs no engine

        opt_outs = OptOuts(rule, options.suppress.label)
        await read_opt_outs(options.suppress, options, opt_outs)
    else:
        opt_outs = OptOuts(rule)
        opt_outs.add(options.suppress or ())
        opt_outs.count.may_be_empty = not options.suppress
    if options.suppress_strict:
        opt_outs.count.require_usable()
    return opt_outs


class Slices:
    """Prepares values in slices of about half a millisecond.

    Args:
        preparation: prepares the values.

    Attributes:
        step: how many values to prepare at once.
    """

    def __init__(self, preparation: Preparation) -> None:
        self._preparation = preparation
        self._most = min(SLICE, preparation.rule.slice_size)
        self.step = self._most
        self.begin_turn()

    def begin_turn(self) -> None:
        """Starts to measure the time until the next rest."""
        self._turn_began = time.perf_counter()

    def prepare(self, values: list[Any]) -> list[str]:
        """Prepares some values, and adapts `step` to the time that took: unusual values take ten times as long."""
        began = time.perf_counter()
        prepared = self._preparation.prepare(values)
        took = time.perf_counter() - began
        if took > 2 * _TURN:
            self.step = max(_FEWEST, self.step // 2)
        elif took < _TURN:
            self.step = min(self.step * 2, self._most)
        return prepared

    async def rest(self) -> None:
        """Lets other tasks of the event loop run if the current turn has taken long enough."""
        if time.perf_counter() - self._turn_began > _TURN:
            await asyncio.sleep(0)
            self.begin_turn()


@frozen
class Repeatable:
    """A sequence of values, such as a list, that can be read again.

    Attributes:
        values: the sequence.
        length: its length before the first reading.
        selection: how its values are prepared.
    """

    values: Sequence[object] = field(repr=False)
    length: int
    selection: Selection

    async def refused_rows(self, sought: set[str]) -> list[SourceRow]:
        """Returns the first row of each identifier; runs on the event loop in slices of about half a millisecond.

        Raises:
            SourceChangedError: when there are more or fewer values than before.
        """
        if len(self.values) != self.length:
            raise SourceChangedError("The source has changed.")
        left = set(sought)
        rows: list[SourceRow] = []
        slices, iterator, read = Slices(self._preparation()), iter(self.values), 0
        while left and (values := list(islice(iterator, slices.step))):
            if not left.isdisjoint(slices.prepare(values)):
                rows += (SourceRow(row=read + position) for position in self._positions(values, left))
            read += len(values)
            await slices.rest()
        return rows

    def _preparation(self) -> Preparation:
        return Preparation(algorithm=self.selection.algorithm, rule=self.selection.rule)

    def _positions(self, values: Sequence[object], left: set[str]) -> Iterator[int]:
        """Yields the positions in a slice, from 1, that contain identifiers in `left`, and removes them from `left`."""
        preparation = self._preparation()
        for position, value in enumerate(values, start=1):
            found = left.intersection(preparation.prepare([value]))
            left -= found
            if found:
                yield position
