"""Parquet files, and directories of them."""

from pathlib import Path
from typing import Any, Final

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.tables.layout import SAMPLED_ROWS, Layout

_MAGIC: Final = b"PAR1"
_SHORTEST: Final = 12  # both marks and the footer's length
_PATTERN: Final = "*.parquet"


def begins(start: bytes) -> bool:
    """Tells by its first bytes whether a file is Parquet."""
    return start.startswith(_MAGIC)


def directory(path: Path, name: str) -> Layout:
    """Describes all Parquet files in a directory and below.

    Raises:
        ConfigurationError: when there are none.
        OSError: when one is cut.
    """
    files = sorted(file for file in path.rglob(_PATTERN) if file.is_file())
    if not files:
        raise ConfigurationError(
            f"{name} is a directory without Parquet files; expected a file, or a directory of them."
        )
    for file in files:
        _require_whole(file, file.name)
    return _described(f"{_escaped(path)}/**/{_PATTERN}", name)


def layout(path: Path, name: str) -> Layout:
    """Describes a Parquet file.

    Raises:
        OSError: when it is cut or cannot be read.
    """
    _require_whole(path, name)
    return _described(_escaped(path), name)


def _escaped(path: Path) -> str:
    """Returns a path in which the engine sees no pattern."""
    return "".join(f"[{character}]" if character in "*?[" else character for character in str(path))


def _require_whole(path: Path, name: str) -> None:
    with path.open("rb") as file:
        begins_well = begins(file.read(len(_MAGIC)))
        size = file.seek(0, 2)
        file.seek(max(0, size - len(_MAGIC)))
        ends_well = file.read() == _MAGIC
    if size < _SHORTEST or not (begins_well and ends_well):
        raise OSError(f"{name} is cut or damaged: a Parquet file begins and ends with the mark PAR1.")


def _described(pattern: str, name: str) -> Layout:
    try:
        import duckdb  # noqa: PLC0415 - an extra
    except ImportError:
        raise ConfigurationError("Reading Parquet needs an extra: pip install 'criteo-audiences[files]'.") from None
    with duckdb.connect() as connection:
        try:
            return _read(connection, pattern, name)
        except duckdb.Error:
            raise OSError(f"{name} is damaged or no Parquet that can be read.") from None


def _read(connection: Any, pattern: str, name: str) -> Layout:
    source = "read_parquet(?, union_by_name = true)"
    columns = connection.execute(f"DESCRIBE SELECT * FROM {source}", [pattern]).fetchall()
    given = {
        name for (name,) in connection.execute("SELECT DISTINCT name FROM parquet_schema(?)", [pattern]).fetchall()
    }
    as_text = f"SELECT COLUMNS(*)::VARCHAR FROM {source} LIMIT {SAMPLED_ROWS}"
    (rows,) = connection.execute("SELECT sum(num_rows) FROM parquet_file_metadata(?)", [pattern]).fetchone()
    return Layout(
        path=pattern,
        name=name,
        format="parquet",
        names=tuple(_as_given(column[0], given) for column in columns),
        types=tuple(str(column[1]) for column in columns),
        rows=int(rows),
        sample=tuple(connection.execute(as_text, [pattern]).fetchall()),
    )


def _as_given(name: str, given: set[str]) -> str:
    """Takes away the number that the engine, which knows no case, adds to the second of two names."""
    base, _, number = name.rpartition("_")
    return base if name not in given and base in given and number.isdigit() else name
