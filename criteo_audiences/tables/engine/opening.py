"""Opens a table: inspects its files or rows, chooses the columns, and builds the SQL by which the engine reads them."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from attrs import evolve, frozen

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.models import IdentifierType
from criteo_audiences.tables.columns import choose_column, choose_columns, doubts, has_column, no_identifiers
from criteo_audiences.tables.engine import query
from criteo_audiences.tables.engine.arrow import (
    Stream,
    column_names,
    is_empty,
    needed,
    register,
    row_count,
    with_columns,
)
from criteo_audiences.tables.engine.conditions import Shape, require_select, used_columns
from criteo_audiences.tables.engine.connection import read_csv, read_json, read_objects, read_parquet
from criteo_audiences.tables.engine.query_process import RESULT, run_query
from criteo_audiences.tables.files.inspection import Asked, inspect
from criteo_audiences.tables.files.layout import Layout
from criteo_audiences.tables.files.paths import literal_path
from criteo_audiences.tables.files.source_files import SourceFiles, layouts_of, own_place
from criteo_audiences.tables.files.workspace import Interruption
from criteo_audiences.tables.header_words import engine_names, listed
from criteo_audiences.tables.table import Plan, Selection

if TYPE_CHECKING:
    import duckdb

    from criteo_audiences.tables.table import Table

_TEXT: Final = re.compile(r"VARCHAR|ENUM\(.*\)|UUID|\"NULL\"")  # a column without a value may have the type "NULL"
# An id stored as a fraction has lost leading zeros or last digits. Phone numbers are judged one by one.
_WHOLE_NUMBER: Final = re.compile(r"U?(?:TINY|SMALL|BIG|HUGE)INT|U?INTEGER|BIGNUM|DECIMAL\(\d+,0\)")
_FRACTION: Final = ("FLOAT", "DOUBLE")
_FRACTIONAL: Final = {IdentifierType.EMAIL, IdentifierType.PHONE_NUMBER}  # their rules reject each fraction by itself
_SAMPLE: Final = 1_000


@frozen(kw_only=True)
class Relation:
    """A source of rows for the engine: a file, a set of files, a query result or a stream.

    Attributes:
        sql: the SQL that reads the rows.
        fields: the values to take from each row.
        columns: the names of their columns, as they are in the table.
        shape: the names that a condition on its rows may use.
        file: the file's own name; empty for a source that is no file.
        rows: how many rows a text file has, counted without the engine; `None` for any other source.
        broken: a column that marks the rows that cannot be read; `None` if all can be read.
        recount: counts the rows more carefully; `None` if `rows` is exact.
        hiding: the first row with a quoted cell that may hide whole rows; `None` without one.
        is_divided: whether it is delimited text; single rows of it may contain another delimiter than the header's.
    """

    sql: str
    fields: tuple[query.Field, ...]
    columns: tuple[str, ...]
    shape: Shape
    file: str = ""
    rows: int | None = None
    broken: str | None = None
    recount: Callable[[], int] | None = None
    hiding: int | None = None
    is_divided: bool = False


@frozen(kw_only=True)
class Opened:
    """A table that is ready to be read.

    Attributes:
        relations: what to read, one after the other.
        columns: the chosen columns, as the table names them.
        rows: how many rows there are; `None` if that is unknown.
        lean: whether reading it needs little memory.
        notes: remarks on the files for the report, a sentence each.
        conditional: whether a condition selects the rows to read.
    """

    relations: tuple[Relation, ...]
    columns: tuple[str, ...]
    rows: int | None
    lean: bool
    notes: tuple[str, ...] = ()
    conditional: bool = False


def open_table(
    table: "Table",
    plan: Plan,
    engine: "duckdb.DuckDBPyConnection",
    directory: Path,
    files: SourceFiles,
    interruption: Interruption | None = None,
) -> Opened:
    """Inspects a table and chooses its columns; blocks.

    Args:
        table: the table.
        plan: what the upload takes from it.
        engine: the engine that will read it.
        directory: where copies and links may be made.
        files: the files in the directories that the table names.
        interruption: stops the inspection early.

    Raises:
        ConfigurationError: when the table cannot be read, or a column cannot be chosen.
        OSError: when a file cannot be read, or is damaged.
    """
    interruption = interruption or Interruption()
    if table.stream is not None:
        return _opened([_registered(engine, table.stream, table.label, plan, interruption)], plan)
    if table.query is not None:
        require_select(engine, table.query)
        return _opened([_queried(engine, table, plan, own_place(directory), interruption)], plan)
    asked = Asked(table.skip_rows, table.encoding, table.hive_partitioning, table.opened, engine)
    layouts: list[Layout] = []
    for path in table.paths:
        if (listing := files.listings.get(path)) is not None:
            layouts += layouts_of(listing, directory, interruption, asked)
        else:
            layouts.append(inspect(path, own_place(directory), interruption, asked))
    layouts = [_with_late_keys(engine, layout, plan, table, directory) for layout in layouts]
    conditional = plan.where is not None or table.where is not None
    read = [(layout, _read(layout, directory, plan)) for layout in layouts]
    return evolve(_opened(read, plan), conditional=conditional)


def _registered(
    engine: "duckdb.DuckDBPyConnection", source: Any, label: str, plan: Plan, interruption: Interruption
) -> tuple[Layout, str]:
    """Registers an object's rows in the engine, under unique column names; of a frame, only the needed columns.

    Raises:
        ConfigurationError: when the object cannot export its rows.
    """
    names = column_names(source)
    positions: Sequence[int] = () if names is None else _needed(engine, names, label, plan)
    stream = Stream(source if names is None else with_columns(source, positions), interruption)
    types = register(engine, stream, label)
    if names is None:
        names = stream.names if len(stream.names) == len(types) else tuple(types)
        positions = range(len(names))
    known = engine_names(names)
    kinds = dict(zip(positions, types.values(), strict=True))
    sql = f"{stream.name} AS t({', '.join(query.name(known[position]) for position in positions)})"
    for position in _wanted(names, label, plan):
        if not _TEXT.fullmatch(kinds[position]) and is_empty(engine, source, known[position], sql):
            kinds[position] = "VARCHAR"
            sql = f"(SELECT * REPLACE (NULL::VARCHAR AS {query.name(known[position])}) FROM {sql})"
    every = tuple(kinds.get(position, "VARCHAR") for position in range(len(names)))
    return Layout(path="", name=label, format="stream", names=names, types=every, rows=row_count(source)), sql


def _needed(engine: "duckdb.DuckDBPyConnection", names: tuple[str, ...], label: str, plan: Plan) -> Sequence[int]:
    used = used_columns(engine, plan.where) if plan.where else ()
    return needed(engine_names(names), _wanted(names, label, plan), used)


def _wanted(names: tuple[str, ...], label: str, plan: Plan) -> Sequence[int]:
    """Returns the positions of the columns with values and countries, chosen by their headers alone."""
    layout = Layout(path="", name=label, format="stream", names=names)
    regions = [selection.region_column for selection in plan.selections if selection.region_column is not None]
    return [
        *(position for selection in plan.selections for position in _positions(layout, selection)),
        *(choose_column(layout, region, IdentifierType.CUSTOMER_ID).position for region in regions),
    ]


def _opened(layouts: Sequence[tuple[Layout, str]], plan: Plan) -> Opened:
    relations: list[Relation] = []
    chosen: tuple[str, ...] = ()
    for layout, sql in layouts:
        names = engine_names(layout.names)
        fields: list[query.Field] = []
        columns: list[str] = []
        for at, selection in enumerate(plan.selections):
            for position in _positions(layout, selection):
                is_text = _is_text(layout, position, selection.kind)
                region = _region(layout, names, selection)
                is_json = layout.format == "json"
                is_whole = is_json and selection.kind not in _FRACTIONAL
                fields.append(query.Field(at, names[position], is_text, region, is_json=is_json, is_whole=is_whole))
                columns.append(layout.names[position])
        file = layout.name if layout.path else ""
        broken = names[0] if layout.is_broken else None
        if layout.format in {"csv", "json"} and plan.selections[0].is_opt_out:
            broken = fields[0].column
            sql = _opt_outs(layout, sql, fields, plan.selections[0].kind)  # noqa: PLW2901 - read through it
        shape = Shape(layout.name, dict(zip(names, layout.types or repeat("VARCHAR"), strict=False)), doubts(layout))
        is_text = layout.format in {"csv", "json"}
        relations.append(
            Relation(
                sql=sql,
                fields=tuple(fields),
                columns=tuple(columns),
                shape=shape,
                file=file,
                rows=layout.rows if is_text else None,
                broken=broken,
                recount=layout.recount,
                hiding=layout.hiding,
                is_divided=layout.format == "csv",
            )
        )
        chosen = chosen or tuple(columns)
    counts = [layout.rows for layout, _ in layouts]
    rows = None if None in counts else sum(count or 0 for count in counts)
    lean = all(layout.format in {"csv", "json"} for layout, _ in layouts)
    notes = tuple(note for layout, _ in layouts for note in layout.notes)
    return Opened(relations=tuple(relations), columns=chosen, rows=rows, lean=lean, notes=notes)


def _opt_outs(layout: Layout, sql: str, fields: Sequence[query.Field], kind: IdentifierType) -> str:
    """Returns the SQL that reads opt-outs and marks rows in which the opt-out seems to be in another place.

    Without the mark, such a row would count as one without an opt-out.
    """
    wanted = [each.column for each in fields]
    if layout.format == "csv":
        return query.opt_out_rows(sql, engine_names(layout.names), wanted, layout.delimiter, kind)
    return query.opt_out_objects(sql, layout.names, wanted, kind, is_whole=kind not in _FRACTIONAL)


def require_all_rows(opened: Opened, files: SourceFiles, scanned: Sequence[int]) -> None:
    """Compares the number of rows that the engine read from text files with the number counted before without it.

    Args:
        opened: the table that was read.
        files: the state of its files before.
        scanned: rows read from each text file; files are missing if a condition is always false, since the engine
            then skips them.

    Raises:
        SourceChangedError: when a file changed meanwhile.
        OSError: when the numbers differ, because rows would be lost.
    """
    files.require_unchanged()
    texts = [relation for relation in opened.relations if relation.rows is not None]
    if not texts or (opened.conditional and len(scanned) < len(texts)):  # a query counts no rows of its own files
        return
    for relation, found in zip(texts, scanned, strict=True):
        expected = relation.rows
        if found != expected and relation.recount is not None:
            expected = relation.recount()
        if found != expected:
            raise OSError(
                f"{relation.file} holds {expected:,} rows, but {found:,} were read, so rows may be lost: "
                "convert it to Parquet, or give its rows as a list, and please report this."
            )


def _positions(layout: Layout, selection: Selection) -> list[int]:
    if layout.format == "stream" and len(layout.names) == 1 and not selection.columns:
        return [0]  # the only column is the caller's choice, and a series may have no name
    asked: Sequence[str | None] = selection.columns or (None,)
    chosen = [
        choice.position
        for name in asked
        for choice in choose_columns(layout, name, selection.kind, any_values=selection.is_opt_out)
    ]
    return list(dict.fromkeys(chosen))  # a name given twice still takes each of its columns once


def _region(layout: Layout, names: Sequence[str], selection: Selection) -> str | None:
    if selection.region_column is None:
        return None
    return names[choose_column(layout, selection.region_column, IdentifierType.CUSTOMER_ID).position]


def _is_text(layout: Layout, position: int, kind: IdentifierType) -> bool:
    """Whether a column contains text and needs no cast.

    Raises:
        ConfigurationError: when it contains values of a type that no identifier of its kind has.
    """
    if layout.held:
        _require_identifiers(layout, position, layout.held[position], kind)
    if not layout.types:
        return True
    found = layout.types[position]
    if _TEXT.fullmatch(found):
        return found == "VARCHAR"
    number = bool(_WHOLE_NUMBER.fullmatch(found)) or (found in _FRACTION and kind is IdentifierType.PHONE_NUMBER)
    if kind is IdentifierType.EMAIL or not number:
        held = "lists" if found.endswith("]") else found.partition("(")[0]
        raise no_identifiers(layout.names[position], layout.name, held, kind)
    return False


def _require_identifiers(layout: Layout, position: int, held: str, kind: IdentifierType) -> None:
    """Refuses a column of JSON if its sample contains values of a type that no identifier of its kind has.

    Raises:
        ConfigurationError: when it does; names the column and what it contains.
    """
    if held and not (held == "fractions" and kind is IdentifierType.PHONE_NUMBER):
        raise no_identifiers(layout.names[position], layout.name, held, kind)


def _with_late_keys(
    engine: "duckdb.DuckDBPyConnection", layout: Layout, plan: Plan, table: "Table", directory: Path
) -> Layout:
    """Adds the keys that the caller names and that only JSON rows after the sample have; takes one more pass."""
    if layout.format != "json" or len(layout.sample) == layout.rows:
        return layout
    wanted = [name for each in plan.selections for name in (*each.columns, each.region_column) if name]
    where = query.names_in(plan.where or table.where or "")
    keys = [name.strip() for name in wanted if not has_column(layout, name)]
    keys += [name for name in where if name.lower() not in map(str.lower, layout.names)]
    late = {key.lower(): key for key in keys}
    if not late:
        return layout
    counts = ", ".join(f"count({query.name(key)})" for key in late.values())
    source = read_json(literal_path(Path(layout.path), directory), tuple(late.values()), layout.compression)
    found = engine.execute(f"SELECT {counts} FROM {source}").fetchall()
    names = tuple(key for key, rows in zip(late.values(), *found, strict=True) if rows)
    nothing = (None,) * len(names)
    return evolve(
        layout,
        names=layout.names + names,
        held=(*layout.held, *("" for _ in names)),
        sample=tuple((*row, *nothing) for row in layout.sample),
    )


def _require_distinct(layout: Layout) -> None:
    folded = Counter(name.lower() for name in layout.names)
    alike = [name for name in layout.names if folded[name.lower()] > 1]
    if alike:
        raise ConfigurationError(
            f"{layout.name} has keys that differ in case only, which the engine cannot distinguish: {listed(alike)}. "
            "Rename all but one."
        )


def _read(layout: Layout, directory: Path, plan: Plan) -> str:
    columns = engine_names(layout.names)
    if layout.format == "parquet":
        read = read_parquet(layout.files, partitioned=layout.partitioned)
        return f"{read} AS t({', '.join(map(query.name, columns))})"
    path = literal_path(Path(layout.path), directory)
    if layout.format == "json":
        _require_distinct(layout)
        if plan.selections[0].is_opt_out:
            return read_objects(path, layout.compression)
        chosen = [_positions(layout, each) for each in plan.selections if each.kind not in _FRACTIONAL]
        whole = {layout.names[position] for positions in chosen for position in positions}
        return read_json(path, layout.names, layout.compression, whole)
    return read_csv(
        path,
        columns,
        layout.delimiter,
        skip=layout.skip,
        compression=layout.compression,
        parallel=not layout.quotes,
        keeps_blanks=plan.selections[0].is_opt_out,
    )


def _queried(
    engine: "duckdb.DuckDBPyConnection", table: "Table", plan: Plan, directory: Path, interruption: Interruption
) -> tuple[Layout, str]:
    """Runs a query, attaches its result to the engine, and returns the result's layout and the SQL that reads it."""
    database, types = run_query(
        table.query or "", directory, threads=plan.threads, memory_limit=plan.memory_limit, interruption=interruption
    )
    known_as = query.name(directory.name)
    engine.execute(f"ATTACH {query.literal(str(database))} AS {known_as} (READ_ONLY)")
    sql = f"{known_as}.{RESULT}"
    texts = ", ".join(f"CAST({query.name(name)} AS VARCHAR)" for name in types)
    rows: list[Any] = engine.execute(f"SELECT {texts} FROM {sql} LIMIT {_SAMPLE}").fetchall()
    sample = tuple(map(tuple, rows))
    held = tuple(types.values())
    return Layout(path="", name=table.label, format="query", names=tuple(types), types=held, sample=sample), sql
