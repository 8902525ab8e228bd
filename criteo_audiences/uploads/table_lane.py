"""The lane for tables: takes finished batches from the engine, which reads and prepares rows in a separate thread."""

import math
from collections.abc import AsyncGenerator, Collection, Iterable, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path

import orjson
from attrs import evolve

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.identifiers import OptOutCount, OptOuts, Reject, RejectReason, RowCounts, SourceRow
from criteo_audiences.models import IdentifierType
from criteo_audiences.tables import Table
from criteo_audiences.tables.columns import opt_out_error
from criteo_audiences.tables.engine import query
from criteo_audiences.tables.engine.rules import row_of
from criteo_audiences.tables.files.source_files import SourceFiles
from criteo_audiences.tables.reader import Reader, drawn
from criteo_audiences.tables.table import DEFAULT_MEMORY_LIMIT, Chunk, Compare, Plan, Selection, default_threads
from criteo_audiences.uploads.lane import Deliver, Lane, LaneProgress
from criteo_audiences.uploads.options import Options, require_region_column_fits
from criteo_audiences.uploads.policies import refuse_duplicates
from criteo_audiences.uploads.rejects import RejectsFile
from criteo_audiences.windows import NEXT_WINDOW


class TableRun(RowCounts):
    """One pass over a table, with its counts so far.

    Attributes:
        columns: the chosen columns; set once the pass has begun.
        notes: remarks on the table's files for the caller; set once the pass has begun.
        opt_outs: how many opt-outs the rows are compared with; set once the pass has begun, `None` without any.
    """

    def __init__(self, table: Table, plan: Plan) -> None:
        super().__init__(duplicates=0 if plan.dedupe else None)
        self._reader = Reader(table, plan)
        self.columns: tuple[str, ...] = ()
        self.notes: tuple[str, ...] = ()
        self.opt_outs: OptOutCount | None = None
        # It is unknown how many rows a condition leaves, and a row with several columns may contain several values.
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
        """The files that are read; set once the pass has begun."""
        return self._reader.files

    @property
    def length(self) -> int | None:
        """About how many values the table has, once the pass has begun; `None` if that is unknown before its end."""
        return self._expected if self._is_countable else None

    def share(self) -> float | None:
        """Returns the share of the table that has been read, 0 to 1; `None` while it is unknown.

        For a table that is read to its end before its first batch, this is the share that has been cut into batches.
        """
        if self._ended:
            return 1.0
        if self._remaining is not None:
            return self._cut / max(1, self._remaining)
        if self._is_staged or not self.length:
            return None
        return min(1.0, self.read / self.length)

    def to_send(self) -> int | None:
        """Returns the number of identifiers to send, once it is known before the first batch; `None` until then.

        It is exact for a table that is read first. For other tables with counted rows it is the maximum.
        """
        if self._remaining is not None or self._is_staged:
            return self._remaining
        return self.length

    def staged(self) -> float | None:
        """Returns the share that has been read of a table that is read first, 0 to 1; `None` for any other table."""
        share = self._reader.staged()
        if share is not None:
            self._staged = max(share, self._staged or 0.0)
        return self._staged

    def seen(self) -> int:
        """Returns how many values have been read; an estimate while a table is read before its first batch."""
        exact = self._reader.staged_values or self.read
        return exact or round((self.length or 0) * (self.staged() or 0.0))

    async def chunks(self) -> AsyncGenerator[Chunk, None]:
        """Yields what was read; if the caller leaves early, it interrupts the engine and waits for its clean-up."""
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
    """Reads a table again and returns the first row of each identifier; see `Reader.refused_rows`."""
    reader = Reader(table, plan, files)
    async with aclosing(drawn(reader, reader.refused_rows(sought))) as rows:
        return [row async for row in rows]


class TableLane(Lane):
    """Reads a table and turns it into batches.

    Args:
        table: the table.
        options: the caller's choices.
        rejects: receives the rejected values; `None` only counts them.
        compare: called with the prepared rows; no batches are cut then. `None` delivers batches.
        places: files and directories that `compare` needs.
    """

    def __init__(
        self,
        table: Table,
        options: Options,
        rejects: RejectsFile | None = None,
        *,
        compare: Compare | None = None,
        places: tuple[Path, ...] = (),
    ) -> None:
        self._table = described(table, options)
        self._plan = evolve(table_plan(options, self._table, rejects), compare=compare, places=places)
        self._run = TableRun(self._table, self._plan)
        self._chunks: AsyncGenerator[Chunk, None] | None = None

    @property
    def rows(self) -> RowCounts:
        """See `Lane.rows`."""
        return self._run

    @property
    def columns(self) -> tuple[str, ...]:
        """See `Lane.columns`."""
        return self._run.columns

    @property
    def notes(self) -> tuple[str, ...]:
        """See `Lane.notes`."""
        return self._run.notes

    @property
    def batches(self) -> int | None:
        """See `Lane.batches`."""
        identifiers = self._run.to_send()
        return None if identifiers is None else math.ceil(identifiers / self._plan.batch_size)

    def progress(self) -> LaneProgress:
        """See `Lane.progress`."""
        length, is_staged = self._run.length, self._plan.staged
        return LaneProgress(
            seen=self._run.seen(),
            share=self._run.share(),
            staged=self._run.staged(),
            length=length,
            is_open_ended=length is None and not (self._table.rereadable and (is_staged or not self._run.columns)),
        )

    @property
    def opt_outs(self) -> OptOutCount | None:
        """See `Lane.opt_outs`."""
        return self._run.opt_outs

    async def open(self) -> None:
        """See `Lane.open`."""
        await self._opened()

    async def close(self) -> None:
        """See `Lane.close`."""
        if self._chunks is not None:
            await self._chunks.aclose()

    async def run(self, deliver: Deliver) -> None:
        """See `Lane.run`."""
        async with aclosing(await self._opened()) as chunks:
            async for chunk in chunks:
                for batch in chunk.batches:
                    await deliver(batch)

    async def _opened(self) -> AsyncGenerator[Chunk, None]:
        """Opens the table, unless it is open, and returns its chunks after the first one, which contains no batch."""
        if self._chunks is None:
            chunks = self._run.chunks()
            await anext(chunks)
            self._chunks = chunks
        return self._chunks

    async def refused_rows(self, refused: Mapping[IdentifierType, set[str]]) -> Sequence[SourceRow]:
        """See `Lane.refused_rows`."""
        if not self._table.rereadable or self._run.files is None:
            return ()
        kinds = enumerate(selection.kind for selection in self._plan.selections)
        wanted = {at: refused[kind] for at, kind in kinds if kind in refused}
        return await refused_rows(self._table, self._plan, wanted, self._run.files)


def described(table: Table, options: Options) -> Table:
    """Returns a table with those of the upload's options that concern it.

    Raises:
        ConfigurationError: when the table and the options both set an option, or an option does not fit the table.
    """
    for option in ("where", "region_column", "threads", "memory_limit", "skip_rows", "encoding"):
        given = getattr(options, option)
        if given is None:
            continue
        if getattr(table, option) is not None:
            raise ConfigurationError(
                f"{option} is given twice, by the table and as an option of the upload; give it once."
            )
        if option in {"skip_rows", "encoding"} and not table.paths:
            raise ConfigurationError(f"{option} goes with text files, not with {table.label}; leave it out.")
        table = evolve(table, **{option: given})
    return table


def table_plan(options: Options, table: Table, rejects: RejectsFile | None = None) -> Plan:
    """Returns the plan of an upload for a table that `described` has returned.

    Raises:
        ConfigurationError: when the table and the options contradict each other.
    """
    dedupe = True if options.dedupe is None else options.dedupe
    if not dedupe:
        refuse_duplicates(options.fail_on)
    return Plan(
        selections=_located(options.selections, table),
        where=table.where,
        suppress=options.suppress,
        suppress_strict=options.suppress_strict,
        dedupe=dedupe,
        counted=options.dry_run or options.deadline == NEXT_WINDOW,
        on_rejects=None if rejects is None else rejects.write,
        batch_size=options.batch_size,
        max_body_bytes=options.max_body_bytes,
        threads=table.threads or default_threads(),
        memory_limit=table.memory_limit or DEFAULT_MEMORY_LIMIT,
    )


def _located(selections: tuple[Selection, ...], table: Table) -> tuple[Selection, ...]:
    """Returns the selections with the columns that the table names.

    Raises:
        ConfigurationError: when the table names columns for kinds that the upload does not read.
    """
    if table.column is not None:
        if len(selections) > 1:
            raise ConfigurationError("column of the table and columns exclude each other; leave out the table's.")
        selections = (evolve(selections[0], columns=(table.column,)),)
    if table.region_column is None:
        return selections
    require_region_column_fits(each.kind for each in selections)
    return tuple(
        evolve(each, region_column=table.region_column) if each.kind is IdentifierType.PHONE_NUMBER else each
        for each in selections
    )


async def read_opt_outs(table: Table, options: Options, opt_outs: OptOuts) -> None:
    """Reads the opt-outs in a table and adds them to `opt_outs`, for an upload from an iterable.

    Raises:
        ConfigurationError: when the table cannot be used.
        OSError: when it cannot be read to its end.
    """
    selection = evolve(
        options.selections[0],
        algorithm=None,
        columns=(table.column,) if table.column else (),
        region_column=table.region_column,
        is_opt_out=True,
    )
    plan = Plan(
        selections=(selection,),
        where=table.where,
        suppress_strict=options.suppress_strict,
        dedupe=False,
        on_rejects=lambda rejects: _note(rejects, table, opt_outs.count),
        threads=table.threads or options.threads or default_threads(),
        memory_limit=table.memory_limit or options.memory_limit or DEFAULT_MEMORY_LIMIT,
    )
    run = TableRun(table, plan)
    try:
        async with aclosing(run.chunks()) as chunks:
            async for chunk in chunks:
                opt_outs.count.hiding += chunk.hiding
                opt_outs.count.file_notes += chunk.notes
                for batch in chunk.batches:
                    opt_outs.add(orjson.loads(b"[" + b"".join(batch.pieces) + b"]"))
    except ConfigurationError as error:
        raise opt_out_error(error) from None


def _note(rejects: Iterable[Reject], table: Table, count: OptOutCount) -> None:
    """Counts opt-outs that are no valid identifiers; called in the reading thread, before the first batch."""
    for reject in rejects:
        if reject.reason is RejectReason.EMPTY:
            count.blank += 1
        else:
            count.note_unusable(f"{row_of(table, reject.file)} {reject.row:,}", reject.reason)
