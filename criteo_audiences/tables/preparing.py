"""Connects a table's raw values with the rules of their kinds: what SQL cannot judge, a function of ours does."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cache, partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from attrs import evolve

from criteo_audiences.errors import ConfigurationError, InvalidIdentifierError
from criteo_audiences.identifiers import BLANKS, MOST_PLACES, OptOutCount, RejectReason, Rule, find_region, rule_for
from criteo_audiences.tables import query
from criteo_audiences.tables.columns import opt_out_error
from criteo_audiences.tables.conditions import require_condition
from criteo_audiences.tables.engine import scanned_rows
from criteo_audiences.tables.interruption import Interruption
from criteo_audiences.tables.opening import Opened, open_table, require_all_rows
from criteo_audiences.tables.origins import SourceRow
from criteo_audiences.tables.plan import Plan, Selection
from criteo_audiences.tables.quotes import BROKEN
from criteo_audiences.tables.source_files import SourceFiles
from criteo_audiences.tables.table import Table

if TYPE_CHECKING:
    import duckdb

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
) -> OptOutCount:
    """Prepares the opt-outs by the rule of the first selection, into a table of the engine's own.

    Raises:
        ConfigurationError: when their table cannot be used, or, where the plan is strict, one of them cannot.
        OSError: when it cannot be read to its end.
    """
    first = plan.selections[0]
    opened = None
    rows = "SELECT *, 0::UTINYINT AS k, NULL::VARCHAR AS r, 0::UINTEGER AS relation, 0::USMALLINT AS field FROM listed"
    places: Sequence[str] = ("entry",)
    if isinstance(plan.suppress, Table):
        columns = (plan.suppress.column,) if plan.suppress.column else ()
        region_column = plan.suppress.region_column or first.region_column
        selection = evolve(first, columns=columns, region_column=region_column, is_opt_out=True)
        wanted = evolve(plan, selections=(selection,), where=plan.suppress.where)
        try:
            opened = open_table(plan.suppress, wanted, engine, directory, files, interruption)
        except ConfigurationError as error:
            raise opt_out_error(error) from None
        rows = _rows(engine, opened, plan.suppress.where, traced=True)
        places = [row_of(plan.suppress, relation.file) for relation in opened.relations]
    else:
        _list(engine, plan.suppress or ())
    coded = query.coded(query.prepared(rows, [first.kind]), [first.kind], traced=True)
    engine.execute(f"CREATE TEMP TABLE opted_out AS SELECT p, code, relation, number FROM ({coded})")
    files.require_unchanged()
    if opened is not None:
        require_all_rows(opened, scanned_rows(engine))
    count = _counted(engine, plan, places)
    if isinstance(plan.suppress, Table) and opened is not None:
        count.hiding, count.notes = hiding(plan.suppress, opened), opened.notes
    if plan.suppress_strict:
        count.require_usable()
    engine.execute(f"DELETE FROM opted_out WHERE code > {query.HASHED}")
    if first.rule.held is not None:
        held = query.literal(f"^{first.rule.held.pattern}$")
        found = f"SELECT regexp_extract(p, {held}, 1), code FROM opted_out WHERE regexp_matches(p, {held})"
        engine.execute(f"INSERT INTO opted_out (p, code) {found}")
    if first.rule.spellings is not None:
        engine.create_function(query.SPELLINGS, first.rule.spellings, ["VARCHAR"], "VARCHAR[]")
        spelled = f"SELECT unnest({query.SPELLINGS}(p)), code FROM opted_out WHERE code = {query.PREPARED}"
        engine.execute(f"INSERT INTO opted_out (p, code) {spelled}")
    return count


def hiding(table: Table, opened: Opened) -> tuple[str, ...]:
    """Returns where quoted cells stand in which rows may be hidden, as messages say it."""
    return tuple(f"{row_of(table, each.file)} {each.hiding:,}" for each in opened.relations if each.hiding)


def row_of(table: Table, file: str) -> str:
    """Returns what comes before a row's number in a message: the file as well where there are several."""
    return f"{file} row" if len(table.paths) > 1 else "row"


def _counted(engine: "duckdb.DuckDBPyConnection", plan: Plan, places: Sequence[str]) -> OptOutCount:
    """Counts the opt-outs that were read.

    Args:
        engine: holds them.
        plan: what is wanted.
        places: of each relation, what comes before the number of a row.
    """
    if isinstance(plan.suppress, Table):
        count = OptOutCount(label=plan.suppress.label)
    else:
        count = OptOutCount(may_be_empty=not plan.suppress)
    is_unusable = f"code > {query.HASHED} AND code <> {query.EMPTY}"
    counted = f"SELECT count(*) FILTER (code <= {query.HASHED}), count(*) FILTER ({is_unusable}) FROM opted_out"
    count.usable, count.unusable = engine.execute(counted).fetchone() or (0, 0)
    first = f"SELECT relation, number FROM opted_out WHERE {is_unusable} ORDER BY ALL LIMIT {MOST_PLACES}"
    count.places = [f"{places[relation]} {number:,}" for relation, number in engine.execute(first).fetchall()]
    return count


def _list(engine: "duckdb.DuckDBPyConnection", values: Sequence[str]) -> None:
    engine.execute("CREATE TEMP TABLE listed (v VARCHAR, number BIGINT)")
    for start in range(0, len(values), _AT_ONCE):
        part = list(values[start : start + _AT_ONCE])
        numbers = [start + 1, start + len(part) + 1]
        engine.execute("INSERT INTO listed SELECT unnest(?::VARCHAR[]), unnest(range(?, ?))", [part, *numbers])


def _judge(selection: Selection) -> Callable[[str | None, str | None], str]:
    """Makes the function that the engine asks about values of an unusual form."""
    asked = count(1)
    local = cache(partial(_local, selection))

    def prepare(value: str | None, country: str | None) -> str:
        if not next(asked) % _YIELD_EVERY:
            time.sleep(0)  # lets the caller's event loop have the interpreter
        if value is None:
            return query.MARK + RejectReason.EMPTY
        if value == BROKEN:
            return value
        try:
            cell = country.strip(BLANKS) if country else ""
            rule = local(find_region(cell)) if cell else selection.rule
            return rule.normalize(value)
        except InvalidIdentifierError as error:
            return query.MARK + error.reason

    return prepare


def _local(selection: Selection, region: str | None) -> Rule:
    """Returns the rule for a row with a country, which is not understood if it is no region: it is never guessed."""
    return rule_for(
        selection.kind,
        region=region,
        unlocated=RejectReason.UNKNOWN_COUNTRY,
        keep_trunk_zero=selection.rule.spellings is not None,
    )


def first_rows(
    engine: "duckdb.DuckDBPyConnection", opened: Opened, plan: Plan, sought: Mapping[int, Collection[str]]
) -> Iterator[SourceRow]:
    """Yields the first row of each identifier that a table holds, in the order of its rows; blocks.

    Args:
        engine: reads it.
        opened: the table.
        plan: how its values are prepared.
        sought: identifiers as they go out, by the selection they belong to.
    """
    pairs = [(at, identifier) for at, identifiers in sought.items() for identifier in identifiers]
    engine.execute("CREATE TEMP TABLE sought (k UTINYINT, w VARCHAR)")
    engine.executemany("INSERT INTO sought VALUES (?, ?)", pairs)
    kinds = [selection.kind for selection in plan.selections]
    algorithms = [selection.algorithm for selection in plan.selections]
    found = query.first_places(prepared_rows(engine, opened, plan, traced=True), kinds, algorithms)
    for relation, row, field in engine.execute(found).fetchall():
        origin = opened.relations[relation]
        yield SourceRow(file=origin.file, row=row, column=origin.columns[field])
