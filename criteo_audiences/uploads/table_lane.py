"""The lane of tables: takes ready batches from the engine, which reads and prepares in a thread of its own."""

import math
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path

import orjson
from attrs import evolve

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.identifiers import OptOutCount, OptOuts, RejectReason, RowCounts
from criteo_audiences.models import IdentifierType
from criteo_audiences.tables import Table
from criteo_audiences.tables.columns import opt_out_error
from criteo_audiences.tables.engine.rules import row_of
from criteo_audiences.tables.origins import Reject, SourceRow
from criteo_audiences.tables.run import TableRun, refused_rows
from criteo_audiences.tables.table import DEFAULT_MEMORY_LIMIT, Chunk, Compare, Plan, Selection, default_threads
from criteo_audiences.uploads.lane import Deliver, Lane, LaneProgress
from criteo_audiences.uploads.options import Options, require_region_column_fits
from criteo_audiences.uploads.policies import require_counted
from criteo_audiences.uploads.rejects import RejectsFile
from criteo_audiences.windows import NEXT_WINDOW


class TableLane(Lane):
    """From a table to batches.

    Args:
        table: the table.
        options: the caller's choices.
        rejects: receives the rejected values; `None` if the caller wants none.
        compare: takes the prepared rows instead of the batches; `None` delivers batches.
        places: files and directories that it needs for that.
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
        return LaneProgress(seen=self._run.seen(), share=self._run.share(), staged=self._run.staged())

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
        """Returns the chunks after the first one, which holds no batch; opens the table once."""
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
    """Returns a table with what the upload's options say of it.

    Raises:
        ConfigurationError: when the table and the options say the same, or do not go together.
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
    """Returns what an upload wants of a table that is `described`.

    Raises:
        ConfigurationError: when the table and the options contradict each other.
    """
    dedupe = True if options.dedupe is None else options.dedupe
    require_counted(options.fail_on, dedupe=dedupe)
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
    """Returns the kinds of identifier with the columns that the table names.

    Raises:
        ConfigurationError: when it names columns for kinds that the upload does not read.
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
    """Adds the opt-outs that a table holds, for an upload from an iterable.

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
    """Counts what is no valid identifier; is called in the reading thread, before the first batch."""
    for reject in rejects:
        if reject.reason is RejectReason.EMPTY:
            count.blank += 1
        else:
            count.note_unusable(f"{row_of(table, reject.file)} {reject.row:,}", reject.reason)
