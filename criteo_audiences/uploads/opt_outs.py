"""Reads opt-outs before anything is sent to those they name."""

from collections.abc import Iterable
from contextlib import aclosing

import orjson
from attrs import evolve

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.identifiers import OptOutCount, OptOuts, RejectReason
from criteo_audiences.tables.columns import opt_out_error
from criteo_audiences.tables.engine import default_threads
from criteo_audiences.tables.plan import Plan
from criteo_audiences.tables.preparing import row_of
from criteo_audiences.tables.rejects import Reject
from criteo_audiences.tables.run import TableRun
from criteo_audiences.tables.table import Table
from criteo_audiences.uploads.options import Settings


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
        suppress_strict=settings.suppress_strict,
        dedupe=False,
        on_rejects=lambda rejects: _note(rejects, table, opt_outs.count),
        threads=settings.threads or default_threads(),
        memory_limit=settings.memory_limit,
    )
    run = TableRun(table, plan)
    try:
        async with aclosing(run.chunks()) as chunks:
            async for chunk in chunks:
                for batch in chunk.batches:
                    opt_outs.add(orjson.loads(b"[" + b"".join(batch.pieces) + b"]"))
    except ConfigurationError as error:
        raise opt_out_error(error) from None
    opt_outs.count.file_notes = run.notes


def _note(rejects: Iterable[Reject], table: Table, count: OptOutCount) -> None:
    """Counts what is no valid identifier; is called in the reading thread, before the first batch."""
    for reject in rejects:
        if reject.reason is RejectReason.EMPTY:
            count.blank += 1
        else:
            count.note_unusable(f"{row_of(table, reject.file)} {reject.row:,}", reject.reason)
