"""Reads a table from its first row to its last batch, in a thread of its own, one piece ahead of the event loop."""

import asyncio
import atexit
import itertools
import logging
import shutil
import threading
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Collection, Generator, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, ParamSpec, Protocol, TypeVar

import anyio

from criteo_audiences.identifiers import OptOutCount, SourceRow
from criteo_audiences.tables.cutter import Cutter, framing_of
from criteo_audiences.tables.engine import query
from criteo_audiences.tables.engine.arrow import read_stream
from criteo_audiences.tables.engine.connection import (
    connect,
    failure,
    import_duckdb,
    leave_at_exit,
    limit_memory,
    progress_of,
    scanned_rows,
    translated,
)
from criteo_audiences.tables.engine.opening import Opened, open_table, require_all_rows
from criteo_audiences.tables.engine.rules import (
    Staging,
    coded_rows,
    hiding,
    load_opt_outs,
    refused_rows,
    stage,
    staged_rejects,
)
from criteo_audiences.tables.files.source_files import SourceFiles
from criteo_audiences.tables.files.workspace import Interruption, Worker, workspace
from criteo_audiences.tables.table import Chunk, Plan, Table

if TYPE_CHECKING:
    import duckdb

_log = logging.getLogger("criteo_audiences.tables")


class Reader:
    """One pass over a table.

    Args:
        table: the table.
        plan: what the upload takes from it.
        files: the state of its files as an earlier pass found them, if the table is read again.

    Attributes:
        files: the state of the table's files before anything read them; set once the pass has begun.
        staged_values: how many values a table contains that is read to its end before the first batch; set after that.
    """

    def __init__(self, table: Table, plan: Plan, files: SourceFiles | None = None) -> None:
        self.files = files
        self._table = table
        self._plan = plan
        self._has_sql = table.has_sql or plan.where is not None
        self._engine: duckdb.DuckDBPyConnection | None = None
        self._directory: Path | None = None
        self._numbers = itertools.count(1)
        self._interruption = Interruption()
        self._closing = threading.Lock()  # held while the engine is closed, interrupted or asked for progress
        self._is_staging = False
        self.staged_values: int | None = None

    def interrupt(self) -> None:
        """Stops the reading in progress; may be called from another thread."""
        self._interruption.ask()
        with self._closing:
            if self._engine is not None:
                self._engine.interrupt()

    def abandon(self) -> None:
        """Removes the temporary files of a reader that does not stop, when the caller gives up waiting for it."""
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)

    def staged(self) -> float | None:
        """Returns how much of a table has been read that is read to its end before the first batch, 0 to 1.

        Returns `None` if that is not known.

        May be called from another thread.
        """
        if self.staged_values is not None:
            return 1.0
        with self._closing:
            return progress_of(self._engine) if self._is_staging and self._engine is not None else None

    def chunks(self) -> Generator[Chunk, None, None]:
        """Yields what was read and prepared, some hundred thousand rows at a time.

        The first chunk contains no rows. It shows that table, columns, condition and opt-outs can be used.

        Raises:
            ConfigurationError: when the table, a column, the condition or the opt-outs cannot be used.
            OSError: when the table cannot be read to its end.
            SourceChangedError: when a file changed meanwhile: raised before the first batch if all rows are read by
                then, otherwise after the last one.
        """
        plan = self._plan
        with self._opened() as (engine, directory, files, opened):
            coded = coded_rows(engine, opened, plan)
            opt_outs = self._opt_outs(engine, directory, files)
            notes = files.notes + opened.notes + (opt_outs.notes if opt_outs else ())
            yield Chunk(
                codes=Counter(),
                columns=opened.columns,
                notes=notes,
                hiding=hiding(self._table, opened),
                expected=opened.rows,
                opt_outs=opt_outs,
            )
            if not plan.staged:
                if opened.lean:
                    limit_memory(engine, plan.memory_limit)
                yield from self._cut(engine, f"SELECT code, p FROM ({coded})", 0, counted=False)
                require_all_rows(opened, files, scanned_rows(engine))
                return
            staging = self._stage(engine, files, opened, coded)
            if plan.on_rejects is not None:
                plan.on_rejects(staged_rejects(engine, opened, self._interruption))
            yield from self._staged(engine, files, staging)

    def _stage(self, engine: "duckdb.DuckDBPyConnection", files: SourceFiles, opened: Opened, coded: str) -> Staging:
        """Reads and prepares all rows; `staged` shows the progress."""
        self._is_staging = True
        scanned = stage(engine, coded)
        self._is_staging = False
        require_all_rows(opened, files, scanned)
        staging = Staging(engine, self._plan)
        self.staged_values = staging.codes.total()
        return staging

    def refused_rows(self, sought: Mapping[int, Collection[str]]) -> Generator[SourceRow, None, None]:
        """Yields the first row that contains each of some identifiers, in the order of the table's rows.

        Args:
            sought: identifiers in the form in which they are sent, by the number of their selection.

        Raises:
            ConfigurationError: when the table or a column cannot be used.
            OSError: when the table cannot be read to its end.
            SourceChangedError: when a file has changed since the first pass.
        """
        with self._opened() as (engine, _, files, opened):
            if opened.lean:
                limit_memory(engine, self._plan.memory_limit)
            yield from refused_rows(engine, opened, self._plan, sought)
            files.require_unchanged()

    @contextmanager
    def _opened(self) -> Iterator[tuple["duckdb.DuckDBPyConnection", Path, SourceFiles, Opened]]:
        """Opens an engine with a directory of its own, and the table in it."""
        plan = self._plan
        with ExitStack() as stack:
            directory = self._directory = stack.enter_context(workspace())
            stack.enter_context(translated(self._table.label, has_sql=self._has_sql))
            suppress = (plan.suppress,) if isinstance(plan.suppress, Table) else ()
            files = self.files = self.files or SourceFiles.of(self._table, *suppress)
            stack.enter_context(files.watched())
            engine = connect(
                directory,
                threads=plan.threads,
                memory_limit=plan.memory_limit,
                files=files.states,
                places=plan.places,
            )
            stack.enter_context(closing(engine))
            self._engine = engine
            stack.callback(self._forget)
            for note in files.notes:
                _log.warning("%s", note)
            opened = open_table(self._table, plan, engine, directory, files, self._interruption)
            yield engine, directory, files, opened

    def _forget(self) -> None:
        with self._closing:
            self._engine = None

    def _opt_outs(self, engine: "duckdb.DuckDBPyConnection", directory: Path, files: SourceFiles) -> OptOutCount | None:
        """Loads the opt-outs before any row is read, because nothing may be sent without them."""
        suppress = self._plan.suppress
        if suppress is None:
            return None
        theirs = translated(suppress.label, has_sql=suppress.has_sql) if isinstance(suppress, Table) else nullcontext()
        with theirs:
            return load_opt_outs(engine, directory, self._plan, files, self._interruption)

    def _staged(self, engine: "duckdb.DuckDBPyConnection", files: SourceFiles, staging: Staging) -> Iterator[Chunk]:
        """Removes opt-outs and duplicates from the staged rows and cuts batches of the rest."""
        if self._plan.suppress is not None:
            staging.suppress()
        if self._plan.compare is not None:
            staging.count_repeated(self._plan.compare(engine, self._plan.selections[0]))
        elif self._plan.dedupe:
            staging.drop_duplicates()
        yield Chunk(codes=staging.codes, already_hashed=staging.already_hashed, exact=True)
        files.require_unchanged()
        if self._plan.compare is not None:
            return
        for at in range(len(self._plan.selections)):
            remaining = f"SELECT code, p FROM staged WHERE k = {at} AND code <= {query.HASHED}"
            yield from self._cut(engine, remaining, at, counted=True)

    def _cut(self, engine: "duckdb.DuckDBPyConnection", source: str, at: int, *, counted: bool) -> Iterator[Chunk]:
        selection = self._plan.selections[at]
        cutter = Cutter(
            selection.kind,
            framing_of(selection.algorithm),
            size=self._plan.batch_size,
            max_bytes=self._plan.max_body_bytes,
            number=self._numbers.__next__,
        )
        stream = engine.sql(query.outgoing(source, selection.kind, selection.algorithm))
        fail = partial(failure, name=self._table.label, has_sql=self._has_sql)
        with closing(cutter):
            for codes, texts in read_stream(stream.__arrow_c_stream__(), fail):
                batches = tuple(cutter.feed(codes, texts))
                found = Counter[int]() if counted else _count(codes)
                yield Chunk(codes=found, already_hashed=found[query.HASHED], batches=batches)
            yield Chunk(codes=Counter(), batches=tuple(cutter.flush()))


def _count(codes: bytes) -> Counter[int]:
    """Counts how often each code occurs; takes out the most frequent code first, which is fastest."""
    others = codes.translate(None, bytes([query.PREPARED]))
    most = query.FIRST_REASON + len(query.REASONS)
    found = Counter({code: number for code in range(most) if (number := others.count(code))})
    found[query.PREPARED] = len(codes) - len(others)
    return found


P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

_NAME: Final = "criteo-audiences-table"
"""Names the threads that read tables."""

_INTERRUPT_EVERY: Final = 0.05
_PATIENCE: Final = 1.0
"""Seconds to wait for a reader to stop; one that reacts to interruptions stops sooner, however busy the machine is."""
_LAST_PATIENCE: Final = 0.5


class Interruptible(Protocol):
    """A reader that works in its own thread and can be stopped from another thread."""

    def interrupt(self) -> None:
        """Stops the reading in progress."""

    def abandon(self) -> None:
        """Removes the temporary files of a reader that does not stop, when the caller gives up waiting for it."""


async def drawn(reader: Interruptible, items: Generator[T, None, None]) -> AsyncGenerator[T, None]:
    """Yields a reader's items from a separate thread, which reads one item ahead.

    The thread begins with the second item only when the caller asks for it. If the caller leaves early, the engine is
    interrupted, and this waits until the engine has cleaned up. It does not wait for a thread that is blocked in a
    system call, as by a network file system that does not answer. Such a thread closes its files when the call
    returns, or ends with the process.
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
        except asyncio.CancelledError:  # asyncio cancels a second time, which no shield prevents
            thread.finish()
            raise
        if not closed.cancelled():
            closed.result()


class _Thread:
    """A thread that makes the calls of one reader in order. The interpreter does not wait long for it when it exits.

    Args:
        reader: the reader, which can be interrupted.
        items: the generator of what the reader yields.
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
        """Makes a call in the thread, after those before it, and returns a future of its result."""
        return asyncio.wrap_future(self._worker.call(function, *args, **kwargs))

    def end(self) -> None:
        """Lets the thread end after the calls made so far; it closes the generator first, if it is still open."""
        self._ends_by = self._ends_by or time.monotonic() + _PATIENCE
        self._worker.call(self._items.close)
        self._worker.call(self.running.discard, self)
        self._worker.end()

    def is_late(self) -> bool:
        """Whether the thread still runs although its time to end is over."""
        return self._ends_by is not None and time.monotonic() > self._ends_by and self._worker.is_alive

    def finish(self) -> None:
        """Ends the thread and waits for it; gives up after `_PATIENCE` seconds if it does not react."""
        self.end()
        while self._worker.is_alive and not self.is_late():
            self._reader.interrupt()
            self._worker.join(_INTERRUPT_EVERY)
        if self._worker.is_alive:
            self._reader.abandon()


@atexit.register
def _finish_all() -> None:
    """Cleans up, at exit, after readers that were never closed or whose clean-up was canceled.

    A thread may be blocked in a read that never returns. The engine must not wait for such a thread either.
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
    """Makes the interpreter call `_finish_all` at exit before the engine's own callback, which waits for its threads.

    The engine registers its callback when it is imported, and `atexit` calls the last one registered first.
    """
    import_duckdb()
    atexit.unregister(_finish_all)
    atexit.register(_finish_all)
