"""The lane of tables: takes ready batches from the engine, which reads and prepares in a thread of its own."""

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing

import orjson
from attrs import evolve

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.identifiers import OptOutCount, OptOuts, RejectReason, RowCounts
from criteo_audiences.models import IdentifierType
from criteo_audiences.tables import Table
from criteo_audiences.tables.columns import opt_out_error
from criteo_audiences.tables.engine import default_threads
from criteo_audiences.tables.origins import Reject, SourceRow
from criteo_audiences.tables.plan import Plan
from criteo_audiences.tables.preparing import row_of
from criteo_audiences.tables.reader import Chunk
from criteo_audiences.tables.run import TableRun, first_rows
from criteo_audiences.uploads.lane import Deliver, Lane, LaneProgress
from criteo_audiences.uploads.options import Settings
from criteo_audiences.uploads.policies import require_counted
from criteo_audiences.uploads.rejects import RejectsFile


class TableLane(Lane):
    """From a table to batches.

    Args:
        table: the table.
        settings: the caller's choices.
        rejects: is given the rejected values, `None` when nobody asked for them.
    """

    def __init__(self, table: Table, settings: Settings, rejects: RejectsFile | None = None) -> None:
        self._table = described(table, settings)
        self._plan = table_plan(settings, table, rejects)
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
        return await first_rows(self._table, self._plan, wanted, self._run.files)


def described(table: Table, settings: Settings) -> Table:
    """Returns a table with what the upload's options say of its files.

    Raises:
        ConfigurationError: when an option is given twice, or the table is no file.
    """
    for option in ("skip_rows", "encoding"):
        given = getattr(settings, option)
        if given is None:
            continue
        if getattr(table, option) is not None:
            raise ConfigurationError(f"{option} is given by the table and beside it; give it once.")
        if not table.paths:
            raise ConfigurationError(f"{option} goes with text files, not with {table.label}; leave it out.")
        table = evolve(table, **{option: given})
    return table


def table_plan(settings: Settings, table: Table, rejects: RejectsFile | None = None) -> Plan:
    """Returns what an upload wants of a table.

    Raises:
        ConfigurationError: when the table and the options contradict each other.
    """
    if None not in (table.where, settings.where):
        raise ConfigurationError("where is given by the table and beside it; give it once.")
    dedupe = True if settings.dedupe is None else settings.dedupe
    require_counted(settings.fail_on, dedupe=dedupe)
    selections = settings.selections
    if table.column is not None:
        if len(selections) > 1:
            raise ConfigurationError("column of the table and columns exclude each other; leave out the table's.")
        selections = (evolve(selections[0], columns=(table.column,)),)
    return Plan(
        selections=selections,
        where=settings.where or table.where,
        suppress=settings.suppress,
        suppress_strict=settings.suppress_strict,
        dedupe=dedupe,
        counted=settings.dry_run,
        on_rejects=None if rejects is None else rejects.write,
        batch_size=settings.batch_size,
        max_body_bytes=settings.max_body_bytes,
        threads=settings.threads or default_threads(),
        memory_limit=settings.memory_limit,
    )


async def load_opt_outs(settings: Settings) -> OptOuts:
    """Returns the opt-outs of an upload from an iterable, ready to be compared.

    Raises:
        ConfigurationError: when their file cannot be used, or, unless `suppress_strict` is off, one of them cannot.
        OSError: when it cannot be read to its end.
    """
    rule = settings.selections[0].rule
    if isinstance(settings.suppress, Table):
        opt_outs = OptOuts(rule, settings.suppress.label)
        await _read(settings.suppress, settings, opt_outs)
    else:
        opt_outs = OptOuts(rule)
        opt_outs.add(settings.suppress or ())
        opt_outs.count.may_be_empty = not settings.suppress
    if settings.suppress_strict:
        opt_outs.count.require_usable()
    return opt_outs


async def _read(table: Table, settings: Settings, opt_outs: OptOuts) -> None:
    selection = settings.selections[0]
    plan = Plan(
        selections=(
            evolve(selection, algorithm=None, columns=(table.column,) if table.column else (), is_opt_out=True),
        ),
        where=table.where,
        dedupe=False,
        on_rejects=lambda rejects: _note(rejects, table, opt_outs.count),
        threads=settings.threads or default_threads(),
        memory_limit=settings.memory_limit,
    )
    run = TableRun(table, plan)
    try:
        async with aclosing(run.chunks()) as chunks:
            async for chunk in chunks:
                opt_outs.count.hiding += chunk.hiding
                opt_outs.count.notes += chunk.notes
                for batch in chunk.batches:
                    opt_outs.add(orjson.loads(b"[" + b"".join(batch.pieces) + b"]"))
    except ConfigurationError as error:
        raise opt_out_error(error) from None


def _note(rejects: Iterable[Reject], table: Table, count: OptOutCount) -> None:
    """Counts what is no valid identifier; is called in the reading thread, before the first batch."""
    for reject in rejects:
        if reject.reason is not RejectReason.EMPTY:
            count.note_unusable(f"{row_of(table, reject.file)} {reject.row:,}")
