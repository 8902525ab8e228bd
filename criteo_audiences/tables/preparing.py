"""Connects a table's raw values with the rules of their kinds: what SQL cannot judge, a function of ours does."""

import logging
import time
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from attrs import evolve

from criteo_audiences.errors import ConfigurationError, InvalidIdentifierError
from criteo_audiences.identifiers import RejectReason, Rule, require_region, rule_for
from criteo_audiences.tables import query
from criteo_audiences.tables.conditions import require_condition
from criteo_audiences.tables.engine import scanned_rows
from criteo_audiences.tables.interruption import Interruption
from criteo_audiences.tables.opening import Opened, open_table, require_all_rows
from criteo_audiences.tables.plan import Plan, Selection
from criteo_audiences.tables.quotes import BROKEN
from criteo_audiences.tables.source_files import SourceFiles
from criteo_audiences.tables.table import Table

if TYPE_CHECKING:
    import duckdb

_log = logging.getLogger("criteo_audiences.tables")

_YIELD_EVERY: Final = 64
_AT_ONCE: Final = 10_000


def coded_rows(engine: "duckdb.DuckDBPyConnection", opened: Opened, plan: Plan) -> str:
    """Returns the query whose rows are a table's values, prepared and coded, and registers the functions it calls."""
    traced = plan.on_rejects is not None
    kinds = [selection.kind for selection in plan.selections]
    return query.coded(prepared_rows(engine, opened, plan, traced=traced), kinds, traced=traced)


def prepared_rows(engine: "duckdb.DuckDBPyConnection", opened: Opened, plan: Plan, *, traced: bool) -> str:
    """Returns the query whose rows are a table's values, prepared, and registers the functions it calls.

    Args:
        engine: what will run it.
        opened: the table.
        plan: what is wanted of it.
        traced: with the origin of each value.
    """
    special: Any = "special"  # it is asked about missing values too
    for at, selection in enumerate(plan.selections):
        engine.create_function(
            query.function(at), _judge(selection), ["VARCHAR", "VARCHAR"], "VARCHAR", null_handling=special
        )
    rows = _rows(engine, opened, plan.where, traced=traced)
    return query.prepared(rows, [selection.kind for selection in plan.selections])


def _rows(engine: "duckdb.DuckDBPyConnection", opened: Opened, where: str | None, *, traced: bool = False) -> str:
    condition = where
    for relation in opened.relations if where else ():
        condition = require_condition(engine, where or "", relation.shape)
    return " UNION ALL ".join(
        query.rows(relation.sql, relation.fields, condition, at if traced else None, relation.broken)
        for at, relation in enumerate(opened.relations)
    )


def load_opt_outs(
    engine: "duckdb.DuckDBPyConnection", directory: Path, plan: Plan, files: SourceFiles, interruption: Interruption
) -> None:
    """Prepares the opt-outs by the rule of the first selection, into a table of the engine's own.

    Raises:
        ConfigurationError: when their table cannot be used.
        OSError: when it cannot be read to its end.
    """
    first = plan.selections[0]
    opened = None
    rows = "SELECT 0::UTINYINT AS k, v, NULL::VARCHAR AS r FROM listed"
    if isinstance(plan.suppress, Table):
        columns = (plan.suppress.column,) if plan.suppress.column else ()
        wanted = evolve(plan, selections=(evolve(first, columns=columns),), where=plan.suppress.where)
        opened = open_table(plan.suppress, wanted, engine, directory, files, interruption)
        rows = _rows(engine, opened, plan.suppress.where)
    else:
        _list(engine, plan.suppress or ())
    coded = query.coded(query.prepared(rows, [first.kind]), [first.kind])
    engine.execute(f"CREATE TEMP TABLE opted_out AS SELECT p, code FROM ({coded})")
    if opened is not None:
        require_all_rows(opened, scanned_rows(engine))
    unusable = engine.execute(f"SELECT count(*) FROM opted_out WHERE code > {query.HASHED}").fetchone()
    engine.execute(f"DELETE FROM opted_out WHERE code > {query.HASHED}")
    if unusable and unusable[0]:
        _log.warning("%s opt-outs are no valid identifiers and match nothing", f"{unusable[0]:,}")


def _list(engine: "duckdb.DuckDBPyConnection", values: Sequence[str]) -> None:
    engine.execute("CREATE TEMP TABLE listed (v VARCHAR)")
    for start in range(0, len(values), _AT_ONCE):
        engine.execute("INSERT INTO listed SELECT unnest(?::VARCHAR[])", [list(values[start : start + _AT_ONCE])])


def _judge(selection: Selection) -> Callable[[str | None, str | None], str]:
    """Makes the function that the engine asks about values of an unusual form."""
    asked = count(1)
    rules: dict[str | None, Rule] = {None: selection.rule}

    def prepare(value: str | None, region: str | None) -> str:
        if not next(asked) % _YIELD_EVERY:
            time.sleep(0)  # lets the caller's event loop have the interpreter
        if value is None:
            return query.MARK + RejectReason.EMPTY
        if value == BROKEN:
            return value
        try:
            return (rules.get(region) or rules.setdefault(region, _local(selection, region))).normalize(value)
        except InvalidIdentifierError as error:
            return query.MARK + error.reason

    return prepare


def _local(selection: Selection, region: str | None) -> Rule:
    """Returns the rule for a row's country; where that is no code of a country, the one for all rows."""
    try:
        return rule_for(selection.kind, region=require_region((region or "").strip()))
    except ConfigurationError:
        return selection.rule
