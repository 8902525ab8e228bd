"""Data frames whose rows come as Arrow: their columns' names, and the same frame with the needed columns only.

A column that nobody asked for may be of a type that cannot be handed over, and is left out before it is asked to.
"""

import sys
from collections.abc import Collection, Iterator, Sequence, Sized
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.tables import query
from criteo_audiences.tables.arrow import field_names, interruptible
from criteo_audiences.tables.interruption import Interruption

if TYPE_CHECKING:
    import duckdb

_NUMBERS: Final = count(1)


def column_names(source: Any) -> tuple[str, ...] | None:
    """Returns a frame's column names as text, `None` of what is no frame known here."""
    if hasattr(source, "iloc") and hasattr(source, "columns"):  # pandas, and what takes after it
        return tuple(map(str, source.columns))
    if _is_polars(source):
        return tuple(source.columns)
    if _is_pyarrow(source):
        return tuple(source.schema.names)
    return None


def with_columns(source: Any, positions: Sequence[int]) -> Any:
    """Returns a frame with some of its columns, in that order; of pandas without its index, under unique names.

    Args:
        source: a frame whose `column_names` are known.
        positions: of the columns, from 0.
    """
    if hasattr(source, "iloc"):
        taken = source.iloc[:, list(positions)].reset_index(drop=True)
        return taken.set_axis([f"column_{position + 1}" for position in positions], axis=1)
    if _is_polars(source):
        polars = sys.modules["polars"]
        # A column without a type comes without the bitmap of missing values that the engine wants to see.
        return source.select([source.columns[position] for position in positions]).cast({polars.Null: polars.String})
    if hasattr(source, "select"):
        return source.select(list(positions))
    return _reader_with(source, positions)


def _is_polars(source: Any) -> bool:
    return type(source).__module__.partition(".")[0] == "polars" and hasattr(source, "columns")


def _is_pyarrow(source: Any) -> bool:
    return type(source).__module__.partition(".")[0] == "pyarrow" and hasattr(source, "schema")


def _reader_with(reader: Any, positions: Sequence[int]) -> Any:
    """Returns a reader of record batches that have some columns of another one's."""
    pyarrow = sys.modules["pyarrow"]
    schema = pyarrow.schema([reader.schema.field(position) for position in positions])

    def batches() -> Iterator[Any]:
        for batch in reader:
            yield batch.select(list(positions))

    return pyarrow.RecordBatchReader.from_batches(schema, batches())


def needed(names: Sequence[str], wanted: Collection[int], used: Collection[str] | None) -> list[int]:
    """Returns the positions of the columns to take.

    Args:
        names: the names that the engine knows all columns by.
        wanted: positions of those that hold values.
        used: names that a condition uses; `None` when that cannot be told.
    """
    known = {name.lower(): position for position, name in enumerate(names)}
    if used is None or not all(name.lower() in known for name in used):  # the condition's own error lists all columns
        return list(range(len(names)))
    return sorted({*wanted, *(known[name.lower()] for name in used)})


class Stream:
    """Shows the engine nothing of an object but its Arrow stream, so that it takes no other way to its rows.

    Args:
        source: the object.
        interruption: ends a wait for its rows.

    Attributes:
        name: what the engine knows it as; an upload may read two, its source and its opt-outs.
        names: its columns, as the object names them, once it has been looked at.
        failure: what kind of exception the object raised.
    """

    def __init__(self, source: Any, interruption: Interruption) -> None:
        self._source = source
        self._interruption = interruption
        self.name = f"streamed_table_{next(_NUMBERS)}"
        self.names: tuple[str, ...] = ()
        self.failure = ""

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        try:
            capsule = interruptible(lambda: self._source.__arrow_c_stream__(requested_schema), self._interruption)
        except Exception as error:
            self.failure = type(error).__name__
            raise
        self.names = self.names or field_names(capsule)
        return capsule


def register(engine: "duckdb.DuckDBPyConnection", stream: Stream, label: str) -> dict[str, str]:
    """Makes a stream known to the engine under its name, and returns its columns' types by their names there.

    Raises:
        ConfigurationError: when the object does not give its rows, or a type is none that the engine knows.
    """
    unknown = False
    try:
        engine.register(stream.name, stream)
        described = engine.execute(f"DESCRIBE SELECT * FROM {query.name(stream.name)}").fetchall()
    except Exception as error:
        unknown = type(error).__name__ == "NotImplementedException"
        if not stream.failure and not unknown:
            raise
        described = []
    if stream.failure in {"ImportError", "ModuleNotFoundError"}:
        raise ConfigurationError(f"{label} needs pyarrow to hand over its rows: pip install pyarrow.")
    if stream.failure:  # outside of the handler: what the object raised may show values
        raise ConfigurationError(
            f"{label} cannot be handed over as Arrow ({stream.failure}): a column may hold values of several types, or "
            "two columns may share a name; pass the columns that are needed only."
        )
    if unknown:
        raise ConfigurationError(
            f"{label} has a column of a type that DuckDB does not know; pass the columns that are needed only."
        )
    return {str(column[0]): str(column[1]) for column in described}


def is_empty(engine: "duckdb.DuckDBPyConnection", source: Any, column: str, sql: str) -> bool:
    """Tells whether a column of numbers or the like holds no value: programs give an empty column some type."""
    if not isinstance(source, Sized):  # it can be read only once
        return False
    value = f"TRY_CAST({query.name(column)} AS VARCHAR)"
    found = engine.execute(f"SELECT 1 FROM {sql} WHERE lower({value}) <> 'nan' LIMIT 1")
    return not found.fetchall()
