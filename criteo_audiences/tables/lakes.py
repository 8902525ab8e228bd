"""Directories that are tables with a log of their own (Delta, Iceberg, Hudi), and parts of a path that hold no data."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.tables.names import shown

_LAKES: Final = (
    ("_delta_log", "a Delta table", "Table.from_arrow(deltalake.DeltaTable(path).to_pyarrow_table())"),
    (".hoodie", "a Hudi table", "Table.from_arrow(pyarrow.Table.from_batches(hudi_table.read_snapshot()))"),
)
_ICEBERG: Final = ("an Iceberg table", "Table.from_arrow(catalog.load_table(name).scan().to_arrow())")


def is_hidden(part: str) -> bool:
    """Tells whether a part of a path names no data: temporary, administrative or hidden, as all writers of lakes agree.

    A partition (`_day=1`) is data.
    """
    return part.startswith(".") or (part.startswith("_") and "=" not in part)


def require_no_lake(directory: Path) -> None:
    """Refuses a directory that belongs to a table with a log of its own.

    Raises:
        ConfigurationError: names the kind of table, and how to read it.
    """
    place = directory.resolve()
    for each in (place, *place.parents):
        for log, kind, reader in _LAKES:
            if (each / log).is_dir():
                raise _is_lake(each.name, kind, reader)
    for each in (place, *place.parents):
        if each.name == "data" and _has_iceberg_metadata(each.parent / "metadata"):
            raise _is_lake(each.parent.name, *_ICEBERG)


def require_no_log(directory: Path, below: Iterable[str]) -> None:
    """Refuses a directory that has the log of such a table.

    Args:
        directory: the directory.
        below: the names of the directories in it.

    Raises:
        ConfigurationError: names the kind of table, and how to read it.
    """
    for log, kind, reader in _LAKES:
        if log in below:
            raise _is_lake(directory.name, kind, reader)
    if "metadata" in below and _has_iceberg_metadata(directory / "metadata"):
        raise _is_lake(directory.name, *_ICEBERG)


def _has_iceberg_metadata(directory: Path) -> bool:
    return directory.is_dir() and any(".metadata.json" in file.name for file in directory.iterdir())


def _is_lake(name: str, kind: str, reader: str) -> ConfigurationError:
    return ConfigurationError(
        f"{shown(name)} is {kind}, whose log says which of its files count: rows that were deleted are still in the "
        f"others. Read it with its own reader, such as {reader}."
    )
