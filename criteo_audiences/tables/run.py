"""Reads a table in a thread of its own while the event loop goes on; one chunk ahead, so that neither waits long."""

import asyncio
import atexit
import time
from collections.abc import AsyncGenerator, Callable, Collection, Generator, Mapping
from contextlib import aclosing
from typing import Any, ClassVar, Final, ParamSpec, Protocol, TypeVar

import anyio

from criteo_audiences.identifiers import OptOutCount, RowCounts
from criteo_audiences.tables.engine import query
from criteo_audiences.tables.engine.connection import import_duckdb, leave_at_exit
from criteo_audiences.tables.files.source_files import SourceFiles
from criteo_audiences.tables.files.workspace import Worker
from criteo_audiences.tables.origins import SourceRow
from criteo_audiences.tables.reader import Reader
from criteo_audiences.tables.table import Chunk, Plan, Table

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

_NAME: Final = "criteo-audiences-table"
"""Names the threads that read tables."""

_INTERRUPT_EVERY: Final = 0.05
_PATIENCE: Final = 1.0
"""Seconds in which a reader ends that listens, however busy the machine is."""
_LAST_PATIENCE: Final = 0.5


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
        """How much has been read, 0 to 1; `None` as long as that is not known.

        A table that is read to its end before its first batch has been "read" as far as its batches have been cut.
        """
        if self._ended:
            return 1.0
        if self._remaining is not None:
            return self._cut / max(1, self._remaining)
        if self._is_staged or not (self._expected and self._is_countable):
            return None
        return min(1.0, self.read / self._expected)

    def to_send(self) -> int | None:
        """Identifiers to send, once that can be said before the first batch; `None` until then.

        It is exact for a table that is read first. Of another one whose rows were counted there are at most so many.
        """
        if self._remaining is not None or self._is_staged:
            return self._remaining
        return self._expected if self._is_countable else None

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


async def refused_rows(
    table: Table, plan: Plan, sought: Mapping[int, Collection[str]], files: SourceFiles
) -> list[SourceRow]:
    """Reads a table once more, for the first row of each identifier; see `Reader.refused_rows`."""
    reader = Reader(table, plan, files)
    async with aclosing(drawn(reader, reader.refused_rows(sought))) as rows:
        return [row async for row in rows]


class Interruptible(Protocol):
    """What reads in a thread of its own, and can be stopped from another."""

    def interrupt(self) -> None:
        """Stops the reading in progress."""

    def abandon(self) -> None:
        """Removes what a reader leaves that does not stop, and that is no longer waited for."""


async def drawn(reader: Interruptible, items: Generator[T, None, None]) -> AsyncGenerator[T, None]:
    """Yields what a reader does, in a thread of its own and one ahead; leaving it early interrupts the engine.

    It then waits until the engine has cleaned up, but not for a thread that the system holds, as a file on a network
    does that does not answer: such a thread ends, and closes what it has open, once it is let go, or with the process.
    What follows the first item is not begun before it is asked for.
    """
    thread = _Thread(reader, items)
    coming = thread.call(next, items, None)
    try:
        if (item := await coming) is not None:
            yield item
            coming = thread.call(next, items, None)
        while (item := await coming) is not None:
            coming = thread.call(next, items, None)
            yield item
    finally:
        if not coming.cancel() and not coming.cancelled():
            coming.exception()  # retrieved, in case the caller leaves before it arrives
        closed = thread.call(items.close)  # after what the thread is doing now
        thread.end()
        try:
            with anyio.CancelScope(shield=True):
                while not closed.done():  # the engine forgets an interrupt that comes between two statements
                    reader.interrupt()
                    await asyncio.wait([closed], timeout=_INTERRUPT_EVERY)
                    if thread.is_late():
                        closed.cancel()
                        reader.abandon()
        except asyncio.CancelledError:  # for the second time, which no shield keeps off
            thread.finish()
            raise
        if not closed.cancelled():
            closed.result()


class _Thread:
    """A thread that makes one call of a reader's after the other, and that no end of the interpreter waits for long.

    Args:
        reader: what it reads.
        items: what the reader yields.
    """

    running: ClassVar["set[_Thread]"] = set()

    def __init__(self, reader: Interruptible, items: Generator[Any, None, None]) -> None:
        self._reader = reader
        self._items = items
        self._ends_by: float | None = None
        self._worker = Worker(_NAME)
        self.running.add(self)
        self._worker.call(_finish_before_the_engine)

    def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> "asyncio.Future[R]":
        """Returns what a call will return."""
        return asyncio.wrap_future(self._worker.call(function, *args, **kwargs))

    def end(self) -> None:
        """Ends the thread after the calls made so far; it closes what the reader has open, unless that is closed."""
        self._ends_by = self._ends_by or time.monotonic() + _PATIENCE
        self._worker.call(self._items.close)
        self._worker.call(self.running.discard, self)
        self._worker.end()

    def is_late(self) -> bool:
        """Whether it still does what it was to end."""
        return self._ends_by is not None and time.monotonic() > self._ends_by and self._worker.is_alive

    def finish(self) -> None:
        """Waits until it has ended, unless it does not listen."""
        self.end()
        while self._worker.is_alive and not self.is_late():
            self._reader.interrupt()
            self._worker.join(_INTERRUPT_EVERY)
        if self._worker.is_alive:
            self._reader.abandon()


@atexit.register
def _finish_all() -> None:
    """Lets readers clean up that were left without a clean-up, or whose clean-up was cancelled.

    The system may hold a thread in a read that does not return. The engine must not wait for that one either.
    """
    ends_by = time.monotonic() + _PATIENCE
    running = tuple(_Thread.running)
    for thread in running:
        thread.end()
    for thread in running:
        thread.finish()
    if any(thread.is_late() for thread in running):
        leave_at_exit()
    Worker.stop_all(max(_LAST_PATIENCE, ends_by - time.monotonic()))


def _finish_before_the_engine() -> None:
    """Makes `_finish_all` come before the engine's own callback at the interpreter's end, which waits for its threads.

    The engine registers it when it is imported, and the last one registered is the first one called.
    """
    import_duckdb()
    atexit.unregister(_finish_all)
    atexit.register(_finish_all)
