"""The columnar engine: one DuckDB of our own a run, that downloads nothing and writes only into its own directory."""

import atexit
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.tables.files.paths import literal_path
from criteo_audiences.tables.table import MEMORY_SIZE

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_TEXT_SCANS: Final = {"READ_CSV", "READ_JSON"}
_ENOUGH_TO_STREAM: Final = "128MB"


def limit_memory(engine: "DuckDBPyConnection", limit: str) -> None:
    """Lets the engine keep little of what it has read: nothing of a text file is needed twice, but it would be kept."""
    if in_bytes(limit) > in_bytes(_ENOUGH_TO_STREAM):
        engine.execute(f"SET memory_limit = '{_ENOUGH_TO_STREAM}'")


def in_bytes(size: str) -> float:
    """Returns a memory limit as a number."""
    number, unit = MEMORY_SIZE.fullmatch(size).groups()  # type: ignore[union-attr]  # it was checked
    bytes_each: int = (1024 if "i" in unit.lower() else 1000) ** ("KMGT".index(unit[0].upper()) + 1)
    return float(number) * bytes_each


def connect(
    directory: Path, *, threads: int, memory_limit: str, files: Iterable[Path] | None, places: Iterable[Path] = ()
) -> "DuckDBPyConnection":
    """Opens an engine that downloads nothing and sees no files but those named.

    Args:
        directory: where it may write, and read what is there.
        threads: worker threads.
        memory_limit: beyond it, it writes to `directory`.
        files: what else it may read; `None` for any file, which a query of the caller's names.
        places: further files, and directories whose files it may write as well.

    Raises:
        ConfigurationError: when DuckDB is not installed, or a file's name is no UTF-8.
    """
    duckdb = import_duckdb()
    engine: DuckDBPyConnection = duckdb.connect(
        config={
            "threads": threads,
            "memory_limit": memory_limit,
            "temp_directory": str(directory),
            "autoinstall_known_extensions": False,  # nothing is downloaded without the user's knowledge
            "autoload_known_extensions": False,
            "python_enable_replacements": False,  # a query sees files, never variables of ours
        }
    )
    engine.execute("CALL enable_profiling(format = 'no_output', coverage = 'ALL')")  # for scanned_rows, and no more
    engine.execute("SET tracked_metrics = ['operator.intermediate_rows', 'operator.extra_info']")
    if files is not None:
        _close(engine, directory, files, places)
    return engine


def _close(engine: "DuckDBPyConnection", directory: Path, files: Iterable[Path], places: Iterable[Path]) -> None:
    """Keeps an engine from all files but these.

    It compares what paths lead to, so that another link to one of them is fine, and one to any other file is not.
    """
    further = list(places)
    named = [*files, *(each for each in further if each.is_file())]
    try:
        engine.execute("SET allowed_paths = ?", [[literal_path(file, directory) for file in named]])
    except UnicodeEncodeError:
        raise ConfigurationError("The path of a file is no UTF-8, which DuckDB cannot open; rename it.") from None
    engine.execute("SET allowed_directories = ?", [[str(each) for each in (directory, *further) if each.is_dir()]])
    engine.execute("SET enable_external_access = false")


def workspace_of(engine: "DuckDBPyConnection") -> Path:
    """Returns the directory that an engine works in."""
    row = engine.execute("SELECT current_setting('temp_directory')").fetchone()
    return Path(row[0] if row else "")


def scanned_rows(engine: "DuckDBPyConnection") -> list[int]:
    """Returns how many rows the latest statement read of each text file, in the order in which it names them.

    These are the rows before any condition. A file that a condition leaves out whatever its rows hold is not read.
    """
    return list(_scanned(json.loads(engine.get_profiling_information("json"))))


def _scanned(node: Any) -> Iterator[int]:
    if isinstance(node, list):
        for each in node:
            yield from _scanned(each)
    elif isinstance(node, dict):
        if node.get("extra_info", {}).get("Function") in _TEXT_SCANS:
            yield int(node["intermediate_rows"])
        for name in ("operator", "children"):
            yield from _scanned(node.get(name))


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


def execute_followed(engine: "DuckDBPyConnection", statement: str) -> list[int]:
    """Executes a statement while another thread may call `progress_of`; nothing is printed.

    Returns:
        Its `scanned_rows`.
    """
    engine.execute("SET enable_progress_bar_print = false")
    engine.execute("SET enable_progress_bar = true")
    engine.execute(statement)
    scanned = scanned_rows(engine)
    engine.execute("SET enable_progress_bar = false")
    return scanned


def progress_of(engine: "DuckDBPyConnection") -> float | None:
    """Returns the progress of the engine's statement, 0 to 1, or `None`; called from another thread."""
    percent = engine.query_progress()
    return None if percent < 0 else min(1.0, percent / 100)


def leave_at_exit() -> None:
    """Keeps the engine from waiting for its threads at the interpreter's end: one of them does not return."""
    atexit.unregister(_AtExit())


class _AtExit:
    """Equals the engine's own callback, which has no name; `atexit` compares what it unregisters."""

    __hash__ = None  # type: ignore[assignment]

    def __call__(self) -> None:
        """Is never called."""

    def __eq__(self, callback: object) -> bool:
        native = type(import_duckdb().connect)
        return isinstance(callback, native) and not getattr(callback, "__name__", "")
