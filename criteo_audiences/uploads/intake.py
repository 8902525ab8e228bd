"""Reads a source, prepares its values and hands on batches, without keeping the event loop from others."""

import asyncio
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from typing import Any, Protocol

import anyio
from anyio import to_thread

from criteo_audiences.batches import Batch, Batcher
from criteo_audiences.identifiers import Fingerprints, OptOutCount, Preparation, RejectReason
from criteo_audiences.models import IdentifierType
from criteo_audiences.tables.source_rows import SourceRow
from criteo_audiences.uploads.first_error import first_error
from criteo_audiences.uploads.opt_outs import load_opt_outs
from criteo_audiences.uploads.options import Settings
from criteo_audiences.uploads.pacing import SLICE, Pace
from criteo_audiences.uploads.policies import require_counted
from criteo_audiences.uploads.rejects import RejectsFile
from criteo_audiences.uploads.repeatable import Repeatable
from criteo_audiences.uploads.sources import open_source

Deliver = Callable[[Batch], Awaitable[None]]
"""Takes a batch, waiting until somebody is free to send it."""


class Rows(Protocol):
    """What has become of the values read so far: each goes out, or is counted in one of these."""

    @property
    def read(self) -> int:
        """Values read."""

    @property
    def rejected(self) -> Counter[RejectReason]:
        """Values that are no identifiers, by reason."""

    @property
    def suppressed(self) -> int:
        """Values that have opted out."""

    @property
    def duplicates(self) -> int | None:
        """Values whose identifier went before them, `None` when nobody looks."""

    @property
    def already_hashed(self) -> int:
        """Values that came as digests."""


class Intake(Protocol):
    """From a source to batches."""

    @property
    def rows(self) -> Rows:
        """What has become of the values read so far."""

    @property
    def opt_outs(self) -> OptOutCount | None:
        """How many opt-outs the values are compared with, once it is open; `None` without any."""

    async def open(self) -> None:
        """Finds out whether the source and the opt-outs can be used; reads no value of the source."""

    async def run(self, deliver: Deliver) -> None:
        """Reads to the end of the source and delivers every batch, also an incomplete last one."""

    async def close(self) -> None:
        """Gives back what `open` took, whether or not `run` was called."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of a table that were chosen."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a caller should know of the source, a sentence each."""

    def share(self) -> float | None:
        """How much has been read, 0 to 1; `None` when the source cannot tell."""

    def staged(self) -> float | None:
        """How much has been read of a table that is read before its first batch, 0 to 1; `None` for other sources."""

    def seen(self) -> int:
        """Values read; about, while a table is read before its first batch."""

    def count_rest(self) -> None:
        """Counts what was read and not prepared yet, when the source is left before its end."""

    async def first_rows(self, sought: Mapping[IdentifierType, set[str]]) -> Sequence[SourceRow]:
        """Reads the source once more, for the first row of each identifier, in the order of its rows.

        Args:
            sought: identifiers as they went out, by kind.

        Returns:
            None where the source can be read only once.
        """


class ValueIntake:
    """Takes values from an iterable, on the event loop, in slices of about half a millisecond.

    Args:
        source: an iterable or async iterable.
        settings: the caller's choices.
        rejects: is told of the rejected values, `None` when nobody asked for them.
    """

    def __init__(self, source: object, settings: Settings, rejects: RejectsFile | None = None) -> None:
        require_counted(settings.fail_on, dedupe=bool(settings.dedupe))
        self._reading = open_source(source)
        selection = settings.selections[0]
        seen = Fingerprints() if settings.dedupe else None
        self._rejects = rejects
        self._preparation = Preparation(
            algorithm=selection.algorithm,
            rule=selection.rule,
            seen=seen,
            on_reject=None if rejects is None else rejects.note,
        )
        self._batcher = Batcher(size=settings.batch_size, max_bytes=settings.max_body_bytes)
        self._flush_after = settings.flush_after
        self._settings = settings
        self._deliver: Deliver
        self._buffer: list[Any] = []
        self._delivering = asyncio.Lock()  # one at a time: both feed the same batcher; costs less than anyio's
        self._waiting_since = math.inf
        self._pace = Pace(self._preparation)
        self._repeatable = Repeatable(source, len(source), selection) if isinstance(source, list | tuple) else None

    @property
    def rows(self) -> Rows:
        """See `Intake.rows`."""
        return self._preparation

    @property
    def columns(self) -> tuple[str, ...]:
        """An iterable has none."""
        return ()

    @property
    def notes(self) -> tuple[str, ...]:
        """There is nothing to say of an iterable, but of the file of its opt-outs."""
        return () if self.opt_outs is None else self.opt_outs.notes

    def share(self) -> float | None:
        """An iterable cannot tell."""
        return None

    def staged(self) -> float | None:
        """An iterable's values go out as they are read."""
        return None

    def seen(self) -> int:
        """See `Intake.seen`."""
        return self._preparation.read

    @property
    def opt_outs(self) -> OptOutCount | None:
        """See `Intake.opt_outs`."""
        return None if self._preparation.opt_outs is None else self._preparation.opt_outs.count

    async def open(self) -> None:
        """See `Intake.open`."""
        if self._settings.suppress is not None and self._preparation.opt_outs is None:
            self._preparation.opt_outs = await load_opt_outs(self._settings)

    async def close(self) -> None:
        """An iterable is left as it is."""

    async def run(self, deliver: Deliver) -> None:
        """See `Intake.run`."""
        self._deliver = deliver
        await self.open()
        with first_error():
            async with anyio.create_task_group() as group:
                if self._flush_after is not None:
                    group.start_soon(self._flush_late, self._flush_after)
                await self._read()
                async with self._delivering:
                    self._waiting_since = math.inf  # a flush that is due this very moment must not begin any more
                    group.cancel_scope.cancel()
        for batch in self._batcher.flush():
            await self._deliver(batch)

    def count_rest(self) -> None:
        """See `Intake.count_rest`."""
        if self._buffer:
            with suppress(TypeError):  # a row that is no text, behind one that has ended the upload
                self._preparation.prepare(self._buffer)
            self._buffer.clear()

    async def first_rows(self, sought: Mapping[IdentifierType, set[str]]) -> Sequence[SourceRow]:
        """See `Intake.first_rows`."""
        if self._repeatable is None:
            return ()
        return await self._repeatable.first_rows(sought[self._settings.kind])

    async def _read(self) -> None:
        self._pace.begin_turn()
        async with aclosing(self._reading.slices(self._buffer, self._note_arrival, self._room)) as slices:
            async for _ in slices:
                async with self._delivering:
                    if await self._absorb():
                        self._waiting_since = math.inf
                if self._batcher.pending:
                    self._note_arrival()

    async def _absorb(self) -> int:
        """Empties the buffer into the batcher, some values at a time, and delivers the batches that this fills.

        Returns:
            How many batches that were.
        """
        delivered = 0
        left = len(self._buffer)  # what arrives meanwhile is for the next time
        while left > 0:
            values = self._buffer[: min(self._pace.step, left)]
            del self._buffer[: len(values)]
            left -= len(values)
            for batch in self._batcher.feed(self._pace.prepared(values)):
                await self._deliver(batch)
                delivered += 1
            if self._rejects is not None and self._rejects.full:
                await to_thread.run_sync(self._rejects.flush)
            await self._pace.rest()
        return delivered

    def _room(self) -> int:
        """Values to take at once: no more than fill a batch, which would otherwise wait for those after it."""
        return min(SLICE, self._batcher.room)

    def _note_arrival(self) -> None:
        """Remembers since when something waits for its batch to fill up."""
        self._waiting_since = min(self._waiting_since, anyio.current_time())

    async def _flush_late(self, flush_after: float) -> None:
        """Delivers an incomplete batch that has waited long enough."""
        while True:
            left = self._waiting_since + flush_after - anyio.current_time()
            await anyio.sleep(min(max(0.0, left), flush_after))
            async with self._delivering:
                if anyio.current_time() >= self._waiting_since + flush_after:
                    self._waiting_since = math.inf  # what arrives from here on waits anew
                    await self._absorb()
                    for batch in self._batcher.flush():
                        await self._deliver(batch)
