"""Takes ready batches from a table, which a thread of its own reads and prepares."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing

from attrs import evolve

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.identifiers import OptOutCount
from criteo_audiences.models import IdentifierType
from criteo_audiences.tables import Table
from criteo_audiences.tables.engine import default_threads
from criteo_audiences.tables.plan import Plan
from criteo_audiences.tables.reader import Chunk
from criteo_audiences.tables.run import TableRun, first_rows
from criteo_audiences.tables.source_rows import SourceRow
from criteo_audiences.uploads.intake import Deliver, Rows
from criteo_audiences.uploads.options import Settings
from criteo_audiences.uploads.policies import require_counted
from criteo_audiences.uploads.rejects import RejectsFile


class TableIntake:
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
    def rows(self) -> Rows:
        """See `Intake.rows`."""
        return self._run

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that were chosen, once the table is open."""
        return self._run.columns

    @property
    def notes(self) -> tuple[str, ...]:
        """See `Intake.notes`."""
        return self._run.notes + (() if self.opt_outs is None else self.opt_outs.notes)

    def share(self) -> float | None:
        """See `Intake.share`."""
        return self._run.share()

    def staged(self) -> float | None:
        """See `Intake.staged`."""
        return self._run.staged()

    def seen(self) -> int:
        """See `Intake.seen`."""
        return self._run.seen()

    @property
    def opt_outs(self) -> OptOutCount | None:
        """See `Intake.opt_outs`."""
        return self._run.opt_outs

    async def open(self) -> None:
        """See `Intake.open`."""
        await self._opened()

    async def close(self) -> None:
        """See `Intake.close`."""
        if self._chunks is not None:
            await self._chunks.aclose()

    async def run(self, deliver: Deliver) -> None:
        """See `Intake.run`."""
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

    def count_rest(self) -> None:
        """A table's rows are prepared as they are read."""

    async def first_rows(self, sought: Mapping[IdentifierType, set[str]]) -> Sequence[SourceRow]:
        """See `Intake.first_rows`.

        Raises:
            SourceChangedError: when a file is no longer what was read.
        """
        if not self._table.rereadable or self._run.files is None:
            return ()
        kinds = enumerate(selection.kind for selection in self._plan.selections)
        wanted = {at: sought[kind] for at, kind in kinds if kind in sought}
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
