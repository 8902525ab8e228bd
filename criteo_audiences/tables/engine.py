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


@contextmanager
def translated(name: str) -> Iterator[None]:
    """Says in one sentence what the engine could not do with a table; its own messages may show values.

    Raises:
        ConfigurationError: for a condition or a query that does not parse, or does not fit the columns.
        OSError: for what cannot be read or written.
    """
    duckdb = import_duckdb()
    try:
        yield
    except duckdb.Error as error:
        meant = _meaning(duckdb, error, name)
        try:
            raise meant from None
        finally:
            meant.__context__ = None  # it may show values to whoever looks for it


def _meaning(duckdb: Any, error: Exception, name: str) -> Exception:
    not_understood = (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException, duckdb.SyntaxException)
    if isinstance(error, not_understood):
        return ConfigurationError(f"The condition or query on {name} is not understood: {_first_line(error)}")
    if isinstance(error, (duckdb.ConversionException, duckdb.OutOfRangeException)):
        return _unconvertible(name)
    if isinstance(error, duckdb.OutOfMemoryException):
        return _no_room(name)
    return OSError(f"{name} cannot be read further ({type(error).__name__}).")


def require_condition(condition: str) -> str:
    """Returns a condition without what may stand at its end; it must be one expression, and nothing behind it.

    Raises:
        duckdb.Error: when it is not.
    """
    condition = condition.strip().rstrip(";")
    import_duckdb().SQLExpression(condition)
    return condition


def stream_failure(name: str, kind: str) -> Exception:
    """Returns what to raise when the engine fails while rows are flowing.

    Args:
        name: the table's.
        kind: what the engine calls the kind of failure.
    """
    if kind in {"Conversion Error", "Out of Range Error"}:
        return _unconvertible(name)
    return _no_room(name) if kind == "Out of Memory Error" else OSError(f"{name} cannot be read further ({kind}).")


def _unconvertible(name: str) -> ConfigurationError:
    return ConfigurationError(
        f"The condition or query on {name} fails on a row, because a value cannot be converted; "
        "columns of a text file are text: use TRY_CAST(column AS type)."
    )


def _no_room(name: str) -> OSError:
    return OSError(
        f"{name} does not fit into memory_limit and the free space of the temporary directory; "
        "raise memory_limit, or let TMPDIR name a larger disk."
    )


def _first_line(error: BaseException) -> str:
    """Returns what DuckDB says of a condition: its kind and the words of the condition, never a row.

    Those words may be an identifier, as when a text stands in double quotes, which are for columns.
    """
    return _DATUM.sub("…", str(error).partition("\n")[0].strip().rstrip(".!")) + "."
