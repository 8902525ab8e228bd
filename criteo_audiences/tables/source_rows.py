"""Where in a source identifiers stand, found by a second look at it."""

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from attrs import frozen

from criteo_audiences.tables import query
from criteo_audiences.tables.opening import Opened
from criteo_audiences.tables.plan import Plan
from criteo_audiences.tables.preparing import prepared_rows

if TYPE_CHECKING:
    import duckdb


@frozen(kw_only=True)
class SourceRow:
    """A row of a source, named as in the file of rejects; its value is not here.

    Attributes:
        file: the name of the file; empty for what is no file.
        row: the row of data there, from 1; elsewhere the position in the source.
        column: the column's name; empty for what has none.
    """

    file: str = ""
    row: int
    column: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Returns JSON-safe values."""
        return {"file": self.file, "row": self.row, "column": self.column}


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
