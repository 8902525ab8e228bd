"""Normalizes rows in the engine by rules that SQL cannot express, and marks opt-outs and duplicates."""

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cache, partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from attrs import evolve

from criteo_audiences.errors import ConfigurationError, InvalidIdentifierError
from criteo_audiences.identifiers import (
    BLANKS,
    MOST_PLACES,
    OptOutCount,
    Reject,
    RejectReason,
    Rule,
    SourceRow,
    find_region,
    rule_for,
)
from criteo_audiences.identifiers.rules import may_be_several_cells
from criteo_audiences.models import IdentifierType
from criteo_audiences.tables.columns import opt_out_error
from criteo_audiences.tables.engine import query
from criteo_audiences.tables.engine.conditions import require_condition
from criteo_audiences.tables.engine.connection import execute_followed, scanned_rows
from criteo_audiences.tables.engine.opening import Opened, open_table, require_all_rows
from criteo_audiences.tables.files.quotes import BROKEN, NO_CELL
from criteo_audiences.tables.files.source_files import SourceFiles
from criteo_audiences.tables.files.workspace import Interruption
from criteo_audiences.tables.table import Plan, Selection, Table

if TYPE_CHECKING:
    import duckdb

_YIELD_EVERY: Final = 64
_AT_ONCE: Final = 10_000


def coded_rows(engine: "duckdb.DuckDBPyConnection", opened: Opened, plan: Plan) -> str:
    """Returns the query for a table's values, prepared and coded, and registers the functions that it calls."""
    traced = plan.on_rejects is not None
    kinds = [selection.kind for selection in plan.selections]
    return query.coded(prepared_rows(engine, opened, plan, traced=traced), kinds, traced=traced)


def prepared_rows(engine: "duckdb.DuckDBPyConnection", opened: Opened, plan: Plan, *, traced: bool) -> str:
    """Returns the query for a table's values, prepared, and registers the functions that it calls.

    Args:
        engine: the engine that will run it.
        opened: the table.
        plan: what the upload takes from it.
        traced: whether to include the origin of each value.
    """
    is_divided = any(relation.is_divided for relation in opened.relations)
    for at, selection in enumerate(plan.selections):
        _register(engine, query.function(at), selection, is_divided=is_divided and not selection.is_opt_out)
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
    """Prepares the opt-outs by the rule of the first selection and stores them in the engine's table `opted_out`.

    Raises:
        ConfigurationError: when their table cannot be used, or, if the plan is strict, one of the opt-outs cannot.
        OSError: when their table cannot be read to its end.
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
    _register(engine, query.function_of_opt_outs(0), first, is_divided=False)
    coded = query.coded(query.prepared(rows, [first.kind], query.function_of_opt_outs), [first.kind], traced=True)
    engine.execute(f"CREATE TEMP TABLE opted_out AS SELECT p, code, relation, number FROM ({coded})")
    if opened is not None:
        require_all_rows(opened, files, scanned_rows(engine))
    count = _counted(engine, plan, places)
    if isinstance(plan.suppress, Table) and opened is not None:
        count.hiding, count.file_notes = hiding(plan.suppress, opened), opened.notes
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
    """Returns the places of quoted cells that may hide rows, for messages."""
    return tuple(f"{row_of(table, each.file)} {each.hiding:,}" for each in opened.relations if each.hiding)


def row_of(table: Table, file: str) -> str:
    """Returns the text before a row's number in a message; it contains the file's name if there are several files."""
    return f"{file} row" if len(table.paths) > 1 else "row"


def _counted(engine: "duckdb.DuckDBPyConnection", plan: Plan, places: Sequence[str]) -> OptOutCount:
    """Counts the opt-outs that were read.

    Args:
        engine: contains them.
        plan: what the upload takes from the table.
        places: for each relation, the text before the number of a row in a message.
    """
    if isinstance(plan.suppress, Table):
        count = OptOutCount(label=plan.suppress.label)
    else:
        count = OptOutCount(may_be_empty=not plan.suppress)
    for code, number in engine.execute("SELECT code, count(*) FROM opted_out GROUP BY code").fetchall():
        if code <= query.HASHED:
            count.usable += number
        elif code == query.EMPTY:
            count.blank += number
        else:
            count.causes[query.REASONS[code - query.FIRST_REASON]] += number
    is_unusable = f"code > {query.HASHED} AND code <> {query.EMPTY}"
    first = f"SELECT relation, number FROM opted_out WHERE {is_unusable} ORDER BY ALL LIMIT {MOST_PLACES}"
    count.places = [f"{places[relation]} {number:,}" for relation, number in engine.execute(first).fetchall()]
    return count


def _list(engine: "duckdb.DuckDBPyConnection", values: Sequence[str]) -> None:
    engine.execute("CREATE TEMP TABLE listed (v VARCHAR, number BIGINT)")
    for start in range(0, len(values), _AT_ONCE):
        part = list(values[start : start + _AT_ONCE])
        numbers = [start + 1, start + len(part) + 1]
        engine.execute("INSERT INTO listed SELECT unnest(?::VARCHAR[]), unnest(range(?, ?))", [part, *numbers])


def _register(engine: "duckdb.DuckDBPyConnection", name: str, selection: Selection, *, is_divided: bool) -> None:
    special: Any = "special"  # the engine then calls it for missing values, too
    judge = _judge(selection, is_divided=is_divided)
    engine.create_function(name, judge, ["VARCHAR", "VARCHAR"], "VARCHAR", null_handling=special)


def _judge(selection: Selection, *, is_divided: bool) -> Callable[[str | None, str | None], str]:
    """Makes the function that the engine calls for values of an unusual form.

    Args:
        selection: the selection of the values.
        is_divided: whether the values may contain a delimiter other than the file's.
    """
    may_be_several = is_divided and selection.kind is IdentifierType.EMAIL
    asked = count(1)
    local = cache(partial(_local, selection))

    def prepare(value: str | None, country: str | None) -> str:
        if not next(asked) % _YIELD_EVERY:
            time.sleep(0)  # lets the caller's event loop have the interpreter
        if value is None:
            return query.MARK + RejectReason.EMPTY
        if value in {BROKEN, NO_CELL}:
            return value
        try:
            cell = country.strip(BLANKS) if country else ""
            rule = local(find_region(cell)) if cell else selection.rule
            normalized = rule.normalize(value)
        except InvalidIdentifierError as error:
            return query.MARK + error.reason
        if may_be_several and may_be_several_cells(normalized):
            return query.MARK + RejectReason.SEVERAL_CELLS
        return normalized

    return prepare


def _local(selection: Selection, region: str | None) -> Rule:
    """Returns the rule for a row with a country; it rejects numbers if the country is unknown, and never guesses."""
    return rule_for(
        selection.kind,
        region=region,
        unlocated=RejectReason.UNKNOWN_COUNTRY,
        keep_trunk_zero=selection.rule.spellings is not None,
    )


def refused_rows(
    engine: "duckdb.DuckDBPyConnection", opened: Opened, plan: Plan, sought: Mapping[int, Collection[str]]
) -> Iterator[SourceRow]:
    """Yields the first row that contains each of some identifiers, in the order of the table's rows; blocks.

    Args:
        engine: reads the table.
        opened: the table.
        plan: how its values are prepared.
        sought: identifiers in the form in which they are sent, by the number of their selection.
    """
    pairs = [(at, identifier) for at, identifiers in sought.items() for identifier in identifiers]
    engine.execute("CREATE TEMP TABLE sought (k UTINYINT, w VARCHAR)")
    engine.executemany("INSERT INTO sought VALUES (?, ?)", pairs)
    kinds = [selection.kind for selection in plan.selections]
    algorithms = [selection.algorithm for selection in plan.selections]
    found = query.refused_places(prepared_rows(engine, opened, plan, traced=True), kinds, algorithms)
    for relation, row, field in engine.execute(found).fetchall():
        origin = opened.relations[relation]
        yield SourceRow(file=origin.file, row=row, column=origin.columns[field])


_REJECTS_AT_ONCE: Final = 1_000
"""Rows turned into Python objects in one step; the caller's event loop is blocked meanwhile."""


def stage(engine: "duckdb.DuckDBPyConnection", coded: str) -> list[int]:
    """Reads and prepares all rows into the table `staged`, on which `Staging` works; returns their `scanned_rows`."""
    return execute_followed(engine, f"CREATE TEMP TABLE staged AS {coded}")


class Staging:
    """The prepared rows of a table, in the engine's table `staged`, which the function `stage` has filled.

    Attributes:
        codes: the number of rows by code.
        already_hashed: rows that the source contains as digests, including those that are left out later.
    """

    def __init__(self, engine: "duckdb.DuckDBPyConnection", plan: Plan) -> None:
        self._engine = engine
        self._plan = plan
        hashed = engine.execute(f"SELECT DISTINCT k FROM staged WHERE code = {query.HASHED}").fetchall()
        self._hashed = {selection for (selection,) in hashed}
        self.codes: Counter[int] = Counter()
        self._recount()
        self.already_hashed = self.codes[query.HASHED]

    def suppress(self) -> None:
        """Marks the rows of the first selection with an identifier that has opted out, in any form of either."""
        selection = self._plan.selections[0]
        digests = [query.digest(selection.kind, algorithm) for algorithm in sorted(selection.rule.algorithms)]
        if digests and 0 in self._hashed:  # a digest in the table may be of an address that opted out in clear
            self._engine.execute(
                f"INSERT INTO opted_out (p, code) SELECT unnest([{', '.join(digests)}]), {query.HASHED} FROM opted_out "
                f"WHERE code = {query.PREPARED}"
            )
        spelled = ["p"]
        if selection.rule.spellings is not None:
            spelled += [f"{query.SPELLINGS}(p)[{at}]" for at in (1, 2)]
        forms = [*spelled]
        if digests and self._count(f"SELECT count(*) FROM opted_out WHERE code = {query.HASHED}"):
            forms += [
                f"CASE WHEN code = {query.PREPARED} THEN {query.digest(selection.kind, algorithm, spelling)} END"
                for algorithm in sorted(selection.rule.algorithms)
                for spelling in spelled
            ]
        opted_out = " OR ".join(f"coalesce({form} IN (SELECT p FROM opted_out), false)" for form in forms)
        self._engine.execute(
            f"UPDATE staged SET code = {query.SUPPRESSED} WHERE k = 0 AND code <= {query.HASHED} AND ({opted_out})"
        )
        self._recount()

    def count_repeated(self, repeated: int) -> None:
        """Counts this many rows as duplicates, without marking them."""
        self._recount()
        self.codes.update({query.PREPARED: -repeated, query.DUPLICATE: repeated})

    def drop_duplicates(self) -> None:
        """Marks each row that repeats the identifier of an earlier row."""
        for at, selection in enumerate(self._plan.selections):
            # A digest and the address it was made of are the same identifier once the address is hashed.
            mixed = at in self._hashed and selection.algorithm is not None
            key = query.on_the_wire(selection.kind, selection.algorithm) if mixed else "p"
            self._drop_duplicates(at, key)
        self._recount()

    def _drop_duplicates(self, selection: int, key: str) -> None:
        """Marks all but the first row of each identifier; compares only identifiers with a hash that occurs twice."""
        mine = f"SELECT rowid AS r, {key} AS key FROM staged WHERE k = {selection} AND code <= {query.HASHED}"
        self._engine.execute(
            f"CREATE OR REPLACE TEMP TABLE again AS SELECT hash(key) AS h FROM ({mine}) GROUP BY h HAVING count(*) > 1"
        )
        if not self._count("SELECT count(*) FROM again"):
            return
        self._engine.execute(
            "CREATE OR REPLACE TEMP TABLE later AS SELECT r FROM ("
            f"SELECT r, min(r) OVER (PARTITION BY key) AS first FROM ({mine}) WHERE hash(key) IN (SELECT h FROM again)"
            ") WHERE r <> first"
        )
        self._engine.execute(f"UPDATE staged SET code = {query.DUPLICATE} WHERE rowid IN (SELECT r FROM later)")

    def _count(self, statement: str) -> int:
        row = self._engine.execute(statement).fetchone()
        return int(row[0]) if row else 0

    def _recount(self) -> None:
        counts = self._engine.execute("SELECT code, count(*) FROM staged GROUP BY code").fetchall()
        self.codes = Counter(dict(counts))


def staged_rejects(engine: "duckdb.DuckDBPyConnection", opened: Opened, interruption: Interruption) -> Iterator[Reject]:
    """Yields the rejected values of a table that has been staged with their origin, in the order of its rows.

    Raises:
        OSError: when it was interrupted.
    """
    found = engine.execute(
        f"SELECT {query.ORIGIN}, code, coalesce(v, '') FROM staged WHERE code >= {query.FIRST_REASON}"
    )
    while rows := found.fetchmany(_REJECTS_AT_ONCE):
        for relation, row, field, code, value in rows:
            origin = opened.relations[relation]
            reason = query.REASONS[code - query.FIRST_REASON]
            yield Reject(origin.file, row, origin.columns[field], reason, value)
        interruption.check()
        time.sleep(0)  # lets the caller's event loop have the interpreter
