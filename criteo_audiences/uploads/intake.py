"""Reads a source, prepares its values and hands on batches, without keeping the event loop from others."""

import math
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any, Final

import anyio
from anyio.lowlevel import checkpoint

from criteo_audiences.batches import Batch, Batcher
from criteo_audiences.identifiers import Preparation
from criteo_audiences.uploads.first_error import first_error
from criteo_audiences.uploads.sources import Reading

_TURN: Final = 0.0003
"""Seconds of work after which the event loop gets its turn; a timer of the caller can come three turns late."""


_SLICE: Final = 128
"""Values prepared at once."""


class Intake:
    """From a source to batches.

    Args:
        reading: the source.
        preparation: normalizes, hashes and counts.
        batcher: cuts batches.
        deliver: takes a batch, waiting until somebody is free to send it.
        flush_after: seconds an incomplete batch waits for more, `None` until the source ends.
    """

    def __init__(
        self,
        reading: Reading,
        preparation: Preparation,
        batcher: Batcher,
        deliver: Callable[[Batch], Awaitable[None]],
        *,
        flush_after: float | None,
    ) -> None:
        self._reading = reading
        self._preparation = preparation
        self._batcher = batcher
        self._deliver = deliver
        self._flush_after = flush_after
        self._buffer: list[Any] = []
        self._delivering = anyio.Lock(fast_acquire=True)  # one at a time: both feed the same batcher
        self._waiting_since = math.inf
        self._turn_began = 0.0

    async def run(self) -> None:
        """Reads to the end of the source and delivers every batch, also an incomplete last one."""
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
        """Prepares what was read and not prepared yet, so that it counts, when the source is left before its end."""
        for _ in self._absorb():
            pass

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
        values = self._buffer.copy()
        self._buffer.clear()
        step, delivered = self._preparation.rule.slice_size, 0
        for start in range(0, len(values), step):
            for batch in self._batcher.feed(self._preparation.prepare(values[start : start + step])):
                await self._deliver(batch)
                delivered += 1
            if time.perf_counter() - self._turn_began > _TURN:
                await checkpoint()
                self._turn_began = time.perf_counter()
        return delivered

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
