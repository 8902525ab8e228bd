"""Reads a table in a thread of its own while the event loop goes on; one chunk ahead, so that neither waits long."""

import asyncio
from collections.abc import AsyncGenerator, Collection, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from typing import Final, TypeVar

import anyio

from criteo_audiences.identifiers import OptOutCount, RowCounts
from criteo_audiences.tables import query
from criteo_audiences.tables.origins import SourceRow
from criteo_audiences.tables.plan import Plan
from criteo_audiences.tables.reader import Chunk, Reader
from criteo_audiences.tables.source_files import SourceFiles
from criteo_audiences.tables.table import Table

T = TypeVar("T")

_INTERRUPT_EVERY: Final = 0.05


class TableRun(RowCounts):
    """One pass over a table, and what it has counted so far.

    Attributes:
        columns: the columns that were chosen, once it has begun.
        notes: what a caller should know of the table's files, once it has begun.
        opt_outs: how many opt-outs the rows are compared with, once it has begun; `None` without any.
    """

    def __init__(self, table: Table, plan: Plan) -> None:
        super().__init__(duplicates=0 if plan.dedupe else None)
        self._reader = Reader(table, plan)
        self.columns: tuple[str, ...] = ()
        self.notes: tuple[str, ...] = ()
        self.opt_outs: OptOutCount | None = None
        # Nobody knows how many rows a condition leaves, and a row with several columns may hold several values.
        one_column = len(plan.selections) == 1 and len(plan.selections[0].columns) <= 1
        self._is_countable = plan.where is None and one_column
        self._is_staged = plan.staged
        self._staged: float | None = None
        self._expected: int | None = None
        self._remaining: int | None = None
        self._cut = 0
        self._ended = False

    @property
    def files(self) -> SourceFiles | None:
        """The files that are read, once it has begun."""
        return self._reader.files

    def share(self) -> float | None:
        """How much has been read, 0 to 1; `None` as long as that cannot be told.

        A table that is read to its end before its first batch has been "read" as far as its batches have been cut.
        """
        if self._ended:
            return 1.0
        if self._remaining is not None:
            return self._cut / max(1, self._remaining)
        if self._is_staged or not (self._expected and self._is_countable):
            return None
        return min(1.0, self.read / self._expected)

    def staged(self) -> float | None:
        """How much has been read of a table that is read before its first batch, 0 to 1; `None` for any other table."""
        share = self._reader.staged()
        if share is not None:
            self._staged = max(share, self._staged or 0.0)
        return self._staged

    def seen(self) -> int:
        """Values taken in; about, while a table is read before its first batch."""
        exact = self._reader.staged_values or self.read
        if exact or not (self._expected and self._is_countable):
            return exact
        return round(self._expected * (self.staged() or 0.0))

    async def chunks(self) -> AsyncGenerator[Chunk, None]:
        """Yields what was read; leaving it early interrupts the engine and waits until it has cleaned up."""
        async with aclosing(drawn(self._reader, self._reader.chunks())) as chunks:
            async for chunk in chunks:
                self._count(chunk)
                yield chunk
        self._ended = True

    def _count(self, chunk: Chunk) -> None:
        self.columns = self.columns or chunk.columns
        self.notes = self.notes or chunk.notes
        self.opt_outs = self.opt_outs or chunk.opt_outs
        self._expected = self._expected or chunk.expected
        self._cut += sum(batch.count for batch in chunk.batches)
        if chunk.exact:
            self._remaining = chunk.codes[query.PREPARED] + chunk.codes[query.HASHED]
        self.already_hashed += chunk.already_hashed
        for code, number in chunk.codes.items():
            self.read += number
            if code >= query.FIRST_REASON:
                self.rejected[query.REASONS[code - query.FIRST_REASON]] += number
            elif code == query.DUPLICATE:
                self.duplicates = (self.duplicates or 0) + number
            elif code == query.SUPPRESSED:
                self.suppressed += number


async def first_rows(
    table: Table, plan: Plan, sought: Mapping[int, Collection[str]], files: SourceFiles
) -> list[SourceRow]:
    """Reads a table once more, for the first row of each identifier; see `Reader.first_rows`."""
    reader = Reader(table, plan, files)
    async with aclosing(drawn(reader, reader.first_rows(sought))) as rows:
        return [row async for row in rows]


async def drawn(reader: Reader, items: Generator[T, None, None]) -> AsyncGenerator[T, None]:
    """Yields what a reader does, in a thread of its own and one ahead; leaving it early interrupts the engine.

    It then waits until the engine has cleaned up. What follows the first item is not begun before it is asked for.
    """
    loop = asyncio.get_running_loop()
    executor = ThreadPoolExecutor(1, thread_name_prefix="criteo-audiences-table")
    coming = loop.run_in_executor(executor, next, items, None)
    try:
        if (item := await coming) is not None:
            yield item
            coming = loop.run_in_executor(executor, next, items, None)
        while (item := await coming) is not None:
            coming = loop.run_in_executor(executor, next, items, None)
            yield item
    finally:
        if not coming.cancel() and not coming.cancelled():
            coming.exception()  # nobody else asks for it when the caller leaves before it arrives
        closed = loop.run_in_executor(executor, items.close)  # after what the thread is doing now
        executor.shutdown(wait=False)
        with anyio.CancelScope(shield=True):
            while not closed.done():  # the engine forgets an interrupt that comes between two statements
                reader.interrupt()
                await asyncio.wait([closed], timeout=_INTERRUPT_EVERY)
        closed.result()
