"""Opens what a table describes: looks at it, chooses the columns, and says how the engine reads it."""

import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.models import IdentifierType
from criteo_audiences.tables import query
from criteo_audiences.tables.columns import choose_column
from criteo_audiences.tables.inspection import inspect
from criteo_audiences.tables.interruption import Interruption
from criteo_audiences.tables.layout import Layout
from criteo_audiences.tables.plan import Plan, Selection

if TYPE_CHECKING:
    import duckdb

    from criteo_audiences.tables.table import Table

_STREAM: Final = "streamed_table"
_TEXT: Final = ("VARCHAR", "ENUM", "UUID")
_SAMPLE: Final = 1_000


@frozen(kw_only=True)
class Relation:
    """Something the engine reads rows from.

    Attributes:
        sql: how.
        fields: the values wanted of each row.
        columns: the names of their columns, as the table has them.
        file: the file's own name; empty for what is no file.
    """

    sql: str
    fields: tuple[query.Field, ...]
    columns: tuple[str, ...]
    file: str = ""


@frozen(kw_only=True)
class Opened:
    """A table that is ready to be read.

    Attributes:
        relations: what to read, one after the other.
        columns: the columns chosen, as the table names them.
        rows: how many rows there are, where that can be estimated.
    """

    relations: tuple[Relation, ...]
    columns: tuple[str, ...]
    rows: int | None


def open_table(
    table: "Table",
    plan: Plan,
    engine: "duckdb.DuckDBPyConnection",
    directory: Path,
    interruption: Interruption | None = None,
) -> Opened:
    """Looks at a table and chooses its columns; blocks.

    Args:
        table: the table.
        plan: what is wanted of it.
        engine: what will read it.
        directory: where copies may be written.
        interruption: ends it half-way.

    Raises:
        ConfigurationError: when it is nothing that can be read, or a column cannot be chosen.
        OSError: when a file cannot be read, or is damaged.
    """
    if table.stream is not None:
        engine.register(_STREAM, _Stream(table.stream))
        return _opened([_described(engine, query.name(_STREAM), table.label, sample=False)], plan)
    if table.query is not None:
        return _opened([_described(engine, f"({table.query}\n)", table.label, sample=True)], plan)
    layouts = [inspect(path, _own_place(directory), interruption) for path in table.paths]
    return _opened([(layout, _read(layout, plan)) for layout in layouts], plan)


def _own_place(directory: Path) -> Path:
    """Makes a directory for what belongs to one file; only its owner can enter it, as the one around it."""
    return Path(tempfile.mkdtemp(dir=directory))


class _Stream:
    """Shows the engine nothing of an object but its Arrow stream, so that it takes no other way to its rows."""

    def __init__(self, source: Any) -> None:
        self._source = source

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self._source.__arrow_c_stream__(requested_schema)


def _opened(layouts: Sequence[tuple[Layout, str]], plan: Plan) -> Opened:
    relations: list[Relation] = []
    chosen: tuple[str, ...] = ()
    for layout, sql in layouts:
        names = engine_names(layout.names)
        fields: list[query.Field] = []
        columns: list[str] = []
        for at, selection in enumerate(plan.selections):
            for position in _positions(layout, selection):
                fields.append(query.Field(at, names[position], _is_text(layout, position, selection.kind)))
                columns.append(layout.names[position])
        file = layout.name if layout.path else ""
        relations.append(Relation(sql=sql, fields=tuple(fields), columns=tuple(columns), file=file))
        chosen = chosen or tuple(columns)
    counts = [layout.rows for layout, _ in layouts]
    rows = None if None in counts else sum(count or 0 for count in counts)
    return Opened(relations=tuple(relations), columns=chosen, rows=rows)


def _positions(layout: Layout, selection: Selection) -> list[int]:
    asked: Sequence[str | None] = selection.columns or (None,)
    return [choose_column(layout, name, selection.kind).position for name in asked]


def _is_text(layout: Layout, position: int, kind: IdentifierType) -> bool:
    """Whether a column holds text already.

    Raises:
        ConfigurationError: when it holds something that is no identifier of its kind.
    """
    if not layout.types:
        return True
    found = layout.types[position]
    if found.startswith(_TEXT):
        return found == "VARCHAR"
    numbers_allowed = kind is not IdentifierType.EMAIL and not found.startswith(("BLOB", "STRUCT", "MAP", "BOOL"))
    if not numbers_allowed or found.endswith("]"):
        raise ConfigurationError(
            f"Column {layout.names[position]!r} of {layout.name} holds {found.split('(')[0]}, not text; "
            "name the column that holds the identifiers with column=."
        )
    return False


def engine_names(names: Sequence[str]) -> list[str]:
    """Gives every column a name of its own for the engine, which knows no case: its own where nobody else has it."""
    folded = Counter(name.lower() for name in names)
    return [
        name if name and folded[name.lower()] == 1 else f"column_{position}"
        for position, name in enumerate(names, start=1)
    ]


def _read(layout: Layout, plan: Plan) -> str:
    if layout.format == "parquet":
        return query.read_parquet(layout.path)
    if layout.format == "json":
        return query.read_json(layout.path, layout.names, layout.compression)
    return query.read_csv(
        layout.path,
        engine_names(layout.names),
        layout.delimiter,
        skip=layout.skip,
        compression=layout.compression,
        parallel=plan.threads > 1 and not layout.quotes,
    )


def _described(engine: "duckdb.DuckDBPyConnection", sql: str, label: str, *, sample: bool) -> tuple[Layout, str]:
    described = engine.execute(f"DESCRIBE SELECT * FROM {sql}").fetchall()
    names = tuple(str(column[0]) for column in described)
    rows: list[Any] = []
    if sample:
        texts = ", ".join(f"CAST({query.name(name)} AS VARCHAR)" for name in names)
        rows = engine.execute(f"SELECT {texts} FROM {sql} LIMIT {_SAMPLE}").fetchall()
    types = tuple(str(column[1]) for column in described)
    return Layout(path="", name=label, format="query", names=names, types=types, sample=tuple(map(tuple, rows))), sql
