"""The lanes of a mirror: one reads a source of values for comparison, the other reads the changes to send."""

import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import aclosing, closing
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Final

import orjson
from anyio import to_thread
from attrs import frozen

from criteo_audiences.batches import Batch
from criteo_audiences.identifiers import OptOutCount, RowCounts, SourceRow
from criteo_audiences.models import HashAlgorithm, IdentifierType
from criteo_audiences.tables.cutter import Cutter, framing_of
from criteo_audiences.tables.engine import comparison, query
from criteo_audiences.tables.engine.arrow import read_stream
from criteo_audiences.tables.engine.connection import connect, failure, translated
from criteo_audiences.tables.files.paths import literal_path
from criteo_audiences.tables.files.workspace import workspace
from criteo_audiences.tables.reader import drawn
from criteo_audiences.tables.table import DEFAULT_MEMORY_LIMIT, Compare, Selection
from criteo_audiences.uploads.lane import Deliver, Lane, LaneProgress
from criteo_audiences.uploads.options import Options
from criteo_audiences.uploads.rejects import RejectsFile
from criteo_audiences.uploads.value_lane import ValueLane

_LABEL: Final = "the file of changes"


@frozen(kw_only=True)
class Changes:
    """The additions or the removals in a file of changes, and how they are sent.

    Attributes:
        path: the path of the file.
        removes: whether to read the removals; otherwise the additions.
        kind: the kind of the identifiers.
        algorithm: how they are hashed.
        batch_size: identifiers per batch.
        max_body_bytes: bytes of identifiers per batch.
        memory_limit: the engine's memory limit.
    """

    path: Path
    removes: bool
    kind: IdentifierType
    algorithm: HashAlgorithm | None
    batch_size: int
    max_body_bytes: int
    memory_limit: str


class ChangeReader:
    """One pass over the additions or the removals.

    Args:
        changes: what to read.
    """

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._engine: Any = None
        self._closing = threading.Lock()  # held while the engine is closed or interrupted

    def interrupt(self) -> None:
        """Stops the reading in progress; may be called from another thread."""
        with self._closing:
            if self._engine is not None:
                self._engine.interrupt()

    def abandon(self) -> None:
        """Does nothing: reading leaves no files."""

    def batches(self) -> Generator[tuple[Batch, ...], None, None]:
        """Yields the batches in the order of the changes, some at a time.

        Raises:
            OSError: when the file cannot be read to its end.
        """
        changes, algorithm = self._changes, self._changes.algorithm
        cutter = Cutter(
            changes.kind,
            framing_of(algorithm),
            size=changes.batch_size,
            max_bytes=changes.max_body_bytes,
            number=count(1).__next__,
        )
        with workspace() as directory, translated(_LABEL, has_sql=False):
            engine = connect(directory, threads=1, memory_limit=changes.memory_limit, files=[changes.path])
            with closing(engine), closing(cutter):
                self._engine = engine
                try:
                    path = literal_path(changes.path, directory)
                    rows = comparison.outgoing(path, removes=changes.removes, is_hashed=algorithm is not None)
                    stream = engine.sql(query.outgoing(rows, changes.kind, algorithm))
                    fail = partial(failure, name=_LABEL, has_sql=False)
                    for codes, texts in read_stream(stream.__arrow_c_stream__(), fail):
                        yield tuple(cutter.feed(codes, texts))
                    yield tuple(cutter.flush())
                finally:
                    with self._closing:
                        self._engine = None


_AT_ONCE: Final = 5_000
"""Values passed to the engine in one step; their conversion blocks the event loop (the GIL), even from a thread."""


class ComparedValues(Lane):
    """Reads values from an iterable, in clear, and compares them once the iterable has ended.

    Args:
        source: an iterable or async iterable.
        options: the caller's choices except `hash`, because the engine hashes.
        rejects: receives the rejected values.
        selection: how the identifiers are sent.
        compare: called with the engine that contains the values.
        places: files and directories that `compare` needs.
    """

    def __init__(
        self,
        source: object,
        options: Options,
        rejects: RejectsFile | None,
        *,
        selection: Selection,
        compare: Compare,
        places: tuple[Path, ...],
    ) -> None:
        self._values = ValueLane(source, options, rejects)
        self._memory_limit = options.memory_limit or DEFAULT_MEMORY_LIMIT
        self._selection = selection
        self._compare = compare
        self._places = places

    @property
    def rows(self) -> RowCounts:
        """See `Lane.rows`."""
        return self._values.rows

    @property
    def opt_outs(self) -> OptOutCount | None:
        """See `Lane.opt_outs`."""
        return self._values.opt_outs

    @property
    def notes(self) -> tuple[str, ...]:
        """See `Lane.notes`."""
        return self._values.notes

    def progress(self) -> LaneProgress:
        """See `Lane.progress`."""
        return self._values.progress()

    async def open(self) -> None:
        """See `Lane.open`."""
        await self._values.open()

    async def close(self) -> None:
        """See `Lane.close`."""
        await self._values.close()

    def count_rest(self) -> None:
        """See `Lane.count_rest`."""
        self._values.count_rest()

    async def refused_rows(self, refused: Mapping[IdentifierType, set[str]]) -> Sequence[SourceRow]:
        """See `Lane.refused_rows`."""
        return await self._values.refused_rows(refused)

    async def run(self, deliver: Deliver) -> None:
        """Reads the source to its end and compares it; delivers nothing."""
        del deliver
        selection = self._selection
        with workspace() as directory, translated("the values", has_sql=False):
            engine = connect(directory, threads=1, memory_limit=self._memory_limit, files=(), places=self._places)
            with closing(engine):

                async def stage(batch: Batch) -> None:
                    values = orjson.loads(b"[" + b"".join(batch.pieces) + b"]")
                    for start in range(0, len(values), _AT_ONCE):
                        part = values[start : start + _AT_ONCE]
                        await to_thread.run_sync(comparison.stage_values, engine, selection, part)

                comparison.stage_values(engine, selection, ())
                await self._values.run(stage)
                await to_thread.run_sync(self._finish, engine)

    def _finish(self, engine: Any) -> None:
        repeated = self._compare(engine, self._selection) + comparison.merged(engine)
        self.rows.duplicates = (self.rows.duplicates or 0) + repeated


class ChangeLane(Lane):
    """Reads additions or removals from a file of changes and delivers them as batches.

    Args:
        changes: the changes to send.
        count: their number.
    """

    def __init__(self, changes: Changes, count: int) -> None:
        self._changes = changes
        self._count = count
        self._rows = RowCounts()

    @property
    def rows(self) -> RowCounts:
        """See `Lane.rows`."""
        return self._rows

    def progress(self) -> LaneProgress:
        """See `Lane.progress`."""
        share = self._rows.read / self._count if self._count else 1.0
        return LaneProgress(seen=self._rows.read, share=share, length=self._count)

    async def open(self) -> None:
        """See `Lane.open`."""

    async def run(self, deliver: Deliver) -> None:
        """See `Lane.run`."""
        reader = ChangeReader(self._changes)
        async with aclosing(drawn(reader, reader.batches())) as chunks:
            async for batches in chunks:
                for batch in batches:
                    self._rows.read += batch.count
                    await deliver(batch)

    def count_rest(self) -> None:
        """Counts changes that were not read as well, because they were to be sent."""
        self._rows.read = self._count

    async def refused_rows(self, refused: Mapping[IdentifierType, set[str]]) -> Sequence[SourceRow]:
        """Returns no rows, because a change has no row in a source."""
        del refused
        return ()
