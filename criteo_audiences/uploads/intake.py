"""Reads a source, prepares its values and hands on batches, without keeping the event loop from others."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any, Final, Protocol

import anyio
from anyio import to_thread

from criteo_audiences.batches import Batch, Batcher
from criteo_audiences.identifiers import Fingerprints, Preparation, RejectReason
from criteo_audiences.uploads.first_error import first_error
from criteo_audiences.uploads.opt_outs import load_opt_outs
from criteo_audiences.uploads.options import Settings
from criteo_audiences.uploads.rejects import RejectsFile
from criteo_audiences.uploads.sources import open_source

_TURN: Final = 0.0003
"""Seconds of work after which the event loop gets its turn; a timer of the caller can come three turns late."""


_SLICE: Final = 256
"""Values read at once, at most, and prepared at once where the rule does not ask for fewer."""


_FEWEST: Final = 8
"""Values prepared at once however long they take."""


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

    async def run(self, deliver: Deliver) -> None:
        """Reads to the end of the source and delivers every batch, also an incomplete last one."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of a table that were chosen."""

    def share(self) -> float | None:
        """How much has been read, 0 to 1; `None` when the source cannot tell."""

    def staged(self) -> float | None:
        """How much has been read of a table that is read before its first batch, 0 to 1; `None` for other sources."""

    def seen(self) -> int:
        """Values read; about, while a table is read before its first batch."""

    def count_rest(self) -> None:
        """Counts what was read and not prepared yet, when the source is left before its end."""


class ValueIntake:
    """Takes values from an iterable, on the event loop, in slices of about half a millisecond.

    Args:
        source: an iterable or async iterable.
        settings: the caller's choices.
        rejects: is told of the rejected values, `None` when nobody asked for them.
    """

    def __init__(self, source: object, settings: Settings, rejects: RejectsFile | None = None) -> None:
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
        self._turn_began = 0.0
        self._step = min(_SLICE, self._preparation.rule.slice_size)

    @property
    def rows(self) -> Rows:
        """See `Intake.rows`."""
        return self._preparation

    @property
    def columns(self) -> tuple[str, ...]:
        """An iterable has none."""
        return ()

    def share(self) -> float | None:
        """An iterable cannot tell."""
        return None

    def staged(self) -> float | None:
        """An iterable's values go out as they are read."""
        return None

    def seen(self) -> int:
        """See `Intake.seen`."""
        return self._preparation.read

    async def run(self, deliver: Deliver) -> None:
        """See `Intake.run`."""
        self._deliver = deliver
        if self._settings.suppress is not None:
            self._preparation.opt_outs = await load_opt_outs(self._settings)
        with first_error():
            async with anyio.create_task_group() as group:
                if self._flush_after is not None:
                    group.start_soon(self._flush_late, self._flush_after)
                await self._read()
                async with self._delivering:
                    group.cancel_scope.cancel()
        for batch in self._batcher.flush():
            await self._deliver(batch)

    def count_rest(self) -> None:
        """See `Intake.count_rest`."""
        if self._buffer:
            self._preparation.prepare(self._buffer)
            self._buffer.clear()

    async def _read(self) -> None:
        self._turn_began = time.perf_counter()
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
            values = self._buffer[: min(self._step, left)]
            del self._buffer[: len(values)]
            left -= len(values)
            for batch in self._batcher.feed(self._prepared(values)):
                await self._deliver(batch)
                delivered += 1
            if self._rejects is not None and self._rejects.full:
                await to_thread.run_sync(self._rejects.flush)
            if time.perf_counter() - self._turn_began > _TURN:
                await asyncio.sleep(0)
                self._turn_began = time.perf_counter()
        return delivered

    def _prepared(self, values: list[Any]) -> list[str]:
        """Prepares some values and decides how many it may be the next time: odd ones take ten times as long."""
        began = time.perf_counter()
        prepared = self._preparation.prepare(values)
        took = time.perf_counter() - began
        if took > 2 * _TURN:
            self._step = max(_FEWEST, self._step // 2)
        elif took < _TURN:
            self._step = min(self._step * 2, _SLICE, self._preparation.rule.slice_size)
        return prepared

    def _room(self) -> int:
        """Values to take at once: no more than fill a batch, which would otherwise wait for those after it."""
        return min(_SLICE, self._batcher.room)

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
