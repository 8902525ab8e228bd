"""Reads opt-outs before anything is sent to those they name."""

import logging
from contextlib import aclosing

import orjson
from attrs import evolve

from criteo_audiences.identifiers import OptOuts
from criteo_audiences.tables.engine import default_threads
from criteo_audiences.tables.plan import Plan
from criteo_audiences.tables.run import TableRun
from criteo_audiences.tables.table import Table
from criteo_audiences.uploads.options import Settings

_log = logging.getLogger("criteo_audiences.uploads")


async def load_opt_outs(settings: Settings) -> OptOuts:
    """Returns the opt-outs of an upload from an iterable, ready to be compared.

    Raises:
        ConfigurationError: when their file cannot be used.
        OSError: when it cannot be read to its end.
    """
    selection = settings.selections[0]
    opt_outs = OptOuts(selection.rule)
    unusable = 0
    if isinstance(settings.suppress, Table):
        columns = (settings.suppress.column,) if settings.suppress.column else ()
        plan = Plan(
            selections=(evolve(selection, algorithm=None, columns=columns),),
            where=settings.suppress.where,
            dedupe=False,
            threads=settings.threads or default_threads(),
            memory_limit=settings.memory_limit,
        )
        run = TableRun(settings.suppress, plan)
        async with aclosing(run.chunks()) as chunks:
            async for chunk in chunks:
                for batch in chunk.batches:
                    opt_outs.add(orjson.loads(b"[" + b"".join(batch.pieces) + b"]"))
        unusable = run.rejected.total()
    else:
        opt_outs.add(settings.suppress or ())
    if unusable := unusable + opt_outs.unusable:
        _log.warning("%s opt-outs are no valid identifiers and match nothing", f"{unusable:,}")
    return opt_outs
