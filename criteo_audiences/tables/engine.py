"""The columnar engine: one DuckDB of our own a run, that downloads nothing and writes only into its own directory."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from criteo_audiences.errors import ConfigurationError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

DEFAULT_MEMORY_LIMIT: Final = "512MB"
_DATUM = re.compile(r"""[^\s"']*@[^\s"']*|[0-9a-fA-F]{32,}|\+?\d[\d\s()./-]{5,}\d""")
_NOT_UNDERSTOOD: Final = {"Parser Error", "Binder Error", "Catalog Error", "Syntax Error"}
_UNCONVERTIBLE: Final = {"Conversion Error", "Out of Range Error"}
_INVALID: Final = "Invalid Input Error"
_OF_A_FILE: Final = ("CSV Error", "JSON in file", "Parquet", "parquet")
_ENOUGH_TO_STREAM: Final = "128MB"
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([KMGT]i?B)", re.IGNORECASE)


def default_threads() -> int:
    """All cores but one, which the caller's event loop keeps."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores - 1)


def limit_memory(engine: "DuckDBPyConnection", limit: str) -> None:
    """Lets the engine keep little of what it has read: nothing of a text file is needed twice, but it would be kept."""
    if _in_bytes(limit) > _in_bytes(_ENOUGH_TO_STREAM):
        engine.execute(f"SET memory_limit = '{_ENOUGH_TO_STREAM}'")


def _in_bytes(size: str) -> float:
    number, unit = _SIZE.fullmatch(size).groups()  # type: ignore[union-attr]  # it was checked
    bytes_each: int = (1024 if "i" in unit.lower() else 1000) ** ("KMGT".index(unit[0].upper()) + 1)
    return float(number) * bytes_each


def check_memory_limit(limit: str) -> str:
    """Returns a memory limit that the engine understands.

    Raises:
        ConfigurationError: when it is no number with a unit.
    """
    if not isinstance(limit, str) or not _SIZE.fullmatch(limit.strip()):
        raise ConfigurationError("memory_limit must be a size such as '512MB' or '2GB'.")
    return limit.strip()


@contextmanager
def workspace() -> Iterator[Path]:
    """Makes a directory that only its owner can enter, and removes it with all it holds."""
    directory = Path(tempfile.mkdtemp(prefix="criteo-audiences-"))  # mode 0700
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def connect(directory: Path, *, threads: int, memory_limit: str) -> "DuckDBPyConnection":
    """Opens an engine.

    Args:
        directory: where it may write.
        threads: worker threads.
        memory_limit: beyond it, it writes to `directory`.

    Raises:
        ConfigurationError: when DuckDB is not installed.
    """
    duckdb = import_duckdb()
    engine: DuckDBPyConnection = duckdb.connect(
        config={
            "threads": threads,
            "memory_limit": memory_limit,
            "temp_directory": str(directory),
            "autoinstall_known_extensions": False,  # nothing is downloaded behind the user's back
            "autoload_known_extensions": False,
            "python_enable_replacements": False,  # a query sees files, never variables of ours
        }
    )
    return engine


def import_duckdb() -> Any:
    """Returns the `duckdb` module.

    Raises:
        ConfigurationError: when it is not installed.
    """
    try:
        import duckdb  # noqa: PLC0415 - an extra, imported where it is used
        import numpy  # noqa: F401, ICN001, PLC0415 - DuckDB calls our functions through it
    except ImportError:
        raise ConfigurationError(
            "Tables are read with DuckDB and numpy, which are not installed: pip install 'criteo-audiences[files]'."
        ) from None
    return duckdb


def execute_followed(engine: "DuckDBPyConnection", statement: str) -> None:
    """Executes a statement of which another thread asks `progress_of`; nothing is printed."""
    engine.execute("SET enable_progress_bar_print = false")
    engine.execute("SET enable_progress_bar = true")
    engine.execute(statement)
    engine.execute("SET enable_progress_bar = false")


def progress_of(engine: "DuckDBPyConnection") -> float | None:
    """Returns how far the engine is with its statement, 0 to 1, `None` when it cannot tell; asked by another thread."""
    percent = engine.query_progress()
    return None if percent < 0 else min(1.0, percent / 100)


@contextmanager
def translated(name: str) -> Iterator[None]:
    """Says in one sentence what the engine could not do with a table; its own messages may show values.

    Raises:
        ConfigurationError: for a query that does not parse, and for what fails on a row.
        OSError: for what cannot be read or written.
    """
    duckdb = import_duckdb()
    try:
        yield
    except duckdb.Error as error:
        meant = failure(name, str(error))
        try:
            raise meant from None
        finally:
            meant.__context__ = None  # it may show values to whoever looks for it


def failure(name: str, message: str) -> Exception:
    """Returns what to raise when the engine fails.

    Args:
        name: the table's.
        message: what the engine says, which may hold values.
    """
    kind = message.partition(":")[0]
    if kind in _NOT_UNDERSTOOD:
        return ConfigurationError(f"The query, or where, on {name} is not understood: {said(message)}")
    if kind in _UNCONVERTIBLE or (kind == _INVALID and not any(words in message for words in _OF_A_FILE)):
        return ConfigurationError(
            f"where, or the query, fails on a row of {name}, because a value cannot be converted; "
            "columns of a text file are text: use TRY_CAST(column AS type), or TRY(...) around other functions."
        )
    if kind == "Out of Memory Error":
        return OSError(
            f"{name} does not fit into memory_limit and the free space of the temporary directory; "
            "raise memory_limit, or let TMPDIR name a larger disk."
        )
    return OSError(f"{name} cannot be read further ({kind}).")


def said(message: object) -> str:
    """Returns what the engine says of SQL it does not understand: its first line, which shows no row.

    Its words may be an identifier, as when a text stands in double quotes, which are for columns.
    """
    first = str(message).partition("\n")[0].partition(": ")[2]
    return _DATUM.sub("…", first.strip().rstrip(".!")) + "."
