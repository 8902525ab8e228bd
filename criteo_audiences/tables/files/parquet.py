"""Parquet files, one by one or many as one table."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.tables.engine import query, scans
from criteo_audiences.tables.engine.connection import connect, import_duckdb
from criteo_audiences.tables.files.layout import SAMPLED_ROWS, Layout
from criteo_audiences.tables.files.paths import LiteralPath, literal_path
from criteo_audiences.tables.header_words import listed, shown
from criteo_audiences.tables.plan import DEFAULT_MEMORY_LIMIT

_MAGIC: Final = b"PAR1"
_SHORTEST: Final = 12  # both marks and the footer's length


def begins(start: bytes) -> bool:
    """Tells by its first bytes whether a file is Parquet."""
    return start.startswith(_MAGIC)


def layout(files: Sequence[Path], name: str, workspace: Path, *, partitioned: bool = False) -> Layout:
    """Describes Parquet files that are one table.

    Args:
        files: the files.
        name: of the one file, or of their directory.
        workspace: a directory only its owner can read, for links.
        partitioned: whether directories named `column=value` are columns, too.

    Raises:
        OSError: when one is cut or cannot be read.
        ConfigurationError: when a directory names a column that is in the files, or not all name the same.
    """
    for file in files:
        _require_whole(file, file.name)
    partitions = _partitions(files, name) if partitioned else [None] * len(files)
    paths = [literal_path(file, workspace, columns) for file, columns in zip(files, partitions, strict=True)]
    duckdb = import_duckdb()
    with closing(connect(workspace, threads=1, memory_limit=DEFAULT_MEMORY_LIMIT, files=files)) as engine:
        try:
            _require_no_clash(engine, paths, partitions[0] or {}, name)
            return _read(engine, paths, name, partitioned=partitioned)
        except duckdb.Error:
            raise OSError(f"{name} is damaged or no Parquet that can be read.") from None


def _require_whole(path: Path, name: str) -> None:
    with path.open("rb") as file:
        begins_well = begins(file.read(len(_MAGIC)))
        size = file.seek(0, 2)
        file.seek(max(0, size - len(_MAGIC)))
        ends_well = file.read() == _MAGIC
    if size < _SHORTEST or not (begins_well and ends_well):
        raise OSError(f"{name} is cut or damaged: a Parquet file begins and ends with the mark PAR1.")


def _partitions(files: Sequence[Path], name: str) -> Sequence[Mapping[str, str]]:
    """Returns the columns that the directories of each file name.

    Raises:
        ConfigurationError: when they do not all name the same.
    """
    found = [_named(file.parent) for file in files]
    for each in found:
        if list(each) != list(found[0]):
            raise ConfigurationError(
                f"Directories of {name} name different columns: {listed(found[0]) or 'none'} and "
                f"{listed(each) or 'none'}; with hive_partitioning every file lies below the same ones."
            )
    return found


def _named(directory: Path) -> dict[str, str]:
    pairs = (part.partition("=") for part in directory.parts)
    return {column: value for column, sign, value in pairs if column and sign}


def _require_no_clash(engine: Any, paths: Sequence[LiteralPath], partitions: Mapping[str, str], name: str) -> None:
    columns = {column[0].lower() for column in engine.execute(_described(scans.read_parquet(paths))).fetchall()}
    if twice := [column for column in partitions if column.lower() in columns]:
        raise ConfigurationError(
            f"The column {shown(twice[0])} is in the files of {name} and in the names of its directories; what stands "
            "in the files counts: leave hive_partitioning out."
        )


def _described(source: str) -> str:
    return f"DESCRIBE SELECT * FROM {source}"


def _read(engine: Any, paths: Sequence[LiteralPath], name: str, *, partitioned: bool) -> Layout:
    source = scans.read_parquet(paths, partitioned=partitioned)
    files = f"[{', '.join(map(query.literal, paths))}]"
    columns = engine.execute(_described(source)).fetchall()
    given = {name for (name,) in engine.execute(f"SELECT DISTINCT name FROM parquet_schema({files})").fetchall()}
    as_text = f"SELECT COLUMNS(*)::VARCHAR FROM {source} LIMIT {SAMPLED_ROWS}"
    (rows,) = engine.execute(f"SELECT sum(num_rows) FROM parquet_file_metadata({files})").fetchone()
    return Layout(
        path=paths[0],
        name=name,
        format="parquet",
        names=tuple(_as_given(column[0], given) for column in columns),
        types=tuple(str(column[1]) for column in columns),
        files=tuple(paths),
        partitioned=partitioned,
        rows=int(rows),
        sample=tuple(engine.execute(as_text).fetchall()),
    )


def _as_given(name: str, given: set[str]) -> str:
    """Takes away the number that the engine, which knows no case, adds to the second of two names."""
    base, _, number = name.rpartition("_")
    return base if name not in given and base in given and number.isdigit() else name
