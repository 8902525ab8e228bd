"""Connects to the engine, without access to any files but the named ones, reads them, and translates its errors."""

import atexit
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from criteo_audiences.errors import NO_DESCRIPTORS, TOO_MANY_FILES, ConfigurationError, has_descriptors
from criteo_audiences.tables.engine import query
from criteo_audiences.tables.engine.query import OBJECT, SURPLUS, literal, name, text_of_json
from criteo_audiences.tables.files.dialect import TOO_LONG
from criteo_audiences.tables.files.layout import LONGEST_LINE
from criteo_audiences.tables.files.paths import LiteralPath, literal_path
from criteo_audiences.tables.header_words import shown
from criteo_audiences.validation import MEMORY_SIZE

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_TEXT_SCANS: Final = {"READ_CSV", "READ_JSON"}
_ENOUGH_TO_STREAM: Final = "128MB"


def limit_memory(engine: "DuckDBPyConnection", limit: str) -> None:
    """Limits the engine's memory so that it does not cache text files, from which it needs nothing twice."""
    if in_bytes(limit) > in_bytes(_ENOUGH_TO_STREAM):
        engine.execute(f"SET memory_limit = '{_ENOUGH_TO_STREAM}'")


def in_bytes(size: str) -> float:
    """Returns a memory limit as a number of bytes."""
    number, unit = MEMORY_SIZE.fullmatch(size).groups()  # type: ignore[union-attr]  # it was checked
    bytes_each: int = (1024 if "i" in unit.lower() else 1000) ** ("KMGT".index(unit[0].upper()) + 1)
    return float(number) * bytes_each


def connect(
    directory: Path, *, threads: int, memory_limit: str, files: Iterable[Path] | None, places: Iterable[Path] = ()
) -> "DuckDBPyConnection":
    """Opens an engine that downloads nothing and can open only the named files.

    Args:
        directory: where the engine may write and read.
        threads: worker threads.
        memory_limit: memory beyond which it writes to `directory`.
        files: files that it may read as well; `None` for any file, for a caller's query.
        places: further files, and directories in which it may also write.

    Raises:
        ConfigurationError: when DuckDB is not installed, or a file's name is no UTF-8.
    """
    duckdb = import_duckdb(calls_functions=files is not None)
    engine: DuckDBPyConnection = duckdb.connect(
        config={
            "threads": threads,
            "async_threads": 0,  # they read ahead, which is no faster for a file that was just read
            "memory_limit": memory_limit,
            "temp_directory": str(directory),
            "autoinstall_known_extensions": False,  # nothing is downloaded without the user's knowledge
            "autoload_known_extensions": False,
            "python_enable_replacements": False,  # a query sees files, never variables of ours
        }
    )
    engine.execute("CALL enable_profiling(format = 'no_output', coverage = 'ALL')")  # for scanned_rows, and no more
    engine.execute("SET tracked_metrics = ['operator.intermediate_rows', 'operator.extra_info']")
    _set(engine, "enable_progress_bar_print = false")  # it prints a bar in a prompt, a notebook and `python -c`
    if files is not None:
        _close(engine, directory, files, places)
    return engine


def _close(engine: "DuckDBPyConnection", directory: Path, files: Iterable[Path], places: Iterable[Path]) -> None:
    """Restricts an engine to these files and directories.

    The engine compares resolved paths: it opens another link to one of these files, and no link to any other file.
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
    """Returns how many rows the latest statement read from each text file, in the order in which it names them.

    Rows are counted before any condition. The engine does not read a file if the condition is always false.
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


def import_duckdb(*, calls_functions: bool = True) -> Any:
    """Returns the `duckdb` module.

    Args:
        calls_functions: whether DuckDB is to call functions of ours, which takes numpy; a caller's query calls none.

    Raises:
        ConfigurationError: when it is not installed.
    """
    try:
        import duckdb  # noqa: PLC0415 - an extra, imported where it is used

        if calls_functions:
            import numpy  # noqa: F401, ICN001, PLC0415 - DuckDB calls our functions through it
    except ImportError:
        raise ConfigurationError(
            "Tables are read with DuckDB and numpy, which are not installed: pip install 'criteo-audiences[files]'."
        ) from None
    return duckdb


def execute_followed(engine: "DuckDBPyConnection", statement: str) -> list[int]:
    """Executes a statement while another thread may call `progress_of`.

    Returns:
        Its `scanned_rows`.
    """
    _set(engine, "enable_progress_bar = true")
    engine.execute(statement)
    scanned = scanned_rows(engine)
    _set(engine, "enable_progress_bar = false")
    return scanned


def _set(engine: "DuckDBPyConnection", setting: str) -> None:
    """Changes a setting of the engine's progress; ignores that it refuses in a notebook without ipywidgets."""
    with suppress(import_duckdb(calls_functions=False).InvalidInputException):
        engine.execute(f"SET {setting}")


def progress_of(engine: "DuckDBPyConnection") -> float | None:
    """Returns the progress of the engine's statement, 0 to 1, or `None` if unknown; may be called from any thread."""
    percent = engine.query_progress()
    return None if percent < 0 else min(1.0, percent / 100)


def leave_at_exit() -> None:
    """Prevents the engine from waiting for its threads when the interpreter exits, because one of them is blocked."""
    atexit.unregister(_AtExit())


class _AtExit:
    """Equals the engine's own exit callback, so that `atexit.unregister`, which compares by `==`, finds it."""

    __hash__ = None  # type: ignore[assignment]

    def __call__(self) -> None:
        """Does nothing: it is never called."""

    def __eq__(self, callback: object) -> bool:
        native = type(import_duckdb().connect)
        return isinstance(callback, native) and not getattr(callback, "__name__", "")


_NOWHERE: Final = "second column of criteo_audiences"
"""A name that no column of a table has."""

_NOT_NULL: Final = "\x02"  # no cell contains this text, so that only missing cells become NULL
_READ_AT_ONCE: Final = 8_000_000
_LARGEST_OBJECT: Final = 16_777_216

# All options are set, so that the engine guesses nothing; docs/architecture.md explains each of them.
_OF_ANY_FILE: Final[Mapping[str, str]] = {
    "hive_partitioning": "false",
    "hive_types_autocast": "false",
    "filename": "false",
    "file_row_number": "false",
}


_AS_WRITTEN: Final[Mapping[str, str]] = {
    "auto_detect": "false",
    "header": "false",
    "quote": "'\"'",
    "escape": "'\"'",
    "null_padding": "true",
    "strict_mode": "false",
    "max_line_size": str(LONGEST_LINE),
    "buffer_size": str(_READ_AT_ONCE),
    "encoding": "'utf-8'",
    "allow_quoted_nulls": "true",
    "comment": "''",
    "thousands": "''",
    "normalize_names": "false",
    "ignore_errors": "false",
    "store_rejects": "false",
    "union_by_name": "false",
}
"""Options of every delimited text: its cells are read as they are written."""


def read_csv(
    path: LiteralPath,
    columns: Sequence[str],
    delimiter: str,
    *,
    skip: int,
    compression: str,
    parallel: bool,
    keeps_blanks: bool = False,
) -> str:
    """Returns the SQL that reads delimited text, so that the engine guesses nothing.

    A short row is padded with NULL. In a long row, cells beyond the header are ignored.

    Args:
        path: the file.
        columns: a name for each column.
        delimiter: the character between cells.
        skip: lines before the first row.
        compression: `none`, `gzip` or `zstd`.
        parallel: whether several threads read the file; impossible if a cell contains a line break. With one thread
            the engine keeps what it has read in memory, up to its limit.
        keeps_blanks: whether only missing cells are NULL, not blank ones; then the first cell beyond the header is
            read as `SURPLUS`.
    """
    # The engine skips empty lines only in files with several columns, so a single column gets a second one.
    further = [SURPLUS] if keeps_blanks else [_NOWHERE] * (len(columns) == 1)
    types = ", ".join(f"{literal(column)}: 'VARCHAR'" for column in (*columns, *further))
    options = {
        **_AS_WRITTEN,
        "skip": str(skip),
        "delim": literal(delimiter),
        "columns": "{" + types + "}",
        "compression": literal(compression),
        "parallel": str(parallel).lower(),
        "nullstr": literal(_NOT_NULL if keeps_blanks else ""),
    }
    return _read("read_csv", literal(path), options)


def read_parquet(paths: Sequence[LiteralPath], *, partitioned: bool = False) -> str:
    """Returns the SQL that reads Parquet files as one table, matching columns by name.

    Args:
        paths: the files.
        partitioned: whether directories named `column=value` are text columns, too.
    """
    options = {
        "union_by_name": "true",
        "hive_partitioning": str(partitioned).lower(),
        "binary_as_string": "false",
        "utf8_validation": "'replace'",
    }
    return _read("read_parquet", f"[{', '.join(map(literal, paths))}]", options)


def read_json(path: LiteralPath, columns: Sequence[str], compression: str, whole: Collection[str] = frozenset()) -> str:
    """Returns the SQL that reads JSON objects, one per line; values other than text are read as they are written.

    Args:
        path: the file.
        columns: the keys to read.
        compression: `none`, `gzip` or `zstd`.
        whole: keys whose numbers must be whole; any other number gets the prefix `FRACTION`.
    """
    read = _read_lines(path, {column: "JSON" if column in whole else "VARCHAR" for column in columns}, compression)
    if not whole:
        return read
    texts = ", ".join(f"{text_of_json(name(column))} AS {name(column)}" for column in columns if column in whole)
    return f"(SELECT * REPLACE ({texts}) FROM {read})"


def read_objects(path: LiteralPath, compression: str) -> str:
    """Returns the SQL that reads whole JSON objects, one per line, as the column `OBJECT`."""
    return _read_lines(path, {OBJECT: "JSON"}, compression, records=False)


def _read_lines(path: LiteralPath, columns: Mapping[str, str], compression: str, *, records: bool = True) -> str:
    types = ", ".join(f"{literal(column)}: '{kind}'" for column, kind in columns.items())
    options = {
        "format": "'newline_delimited'",
        "records": str(records).lower(),
        "auto_detect": "false",
        "columns": "{" + types + "}",
        "compression": literal(compression),
        "maximum_object_size": str(_LARGEST_OBJECT),
        "case_insensitive_keys": "false",
        "convert_strings_to_integers": "false",
        "ignore_errors": "false",
        "union_by_name": "false",
    }
    return _read("read_json", literal(path), options)


def _read(function: str, path: str, options: Mapping[str, str]) -> str:
    return f"{function}({path}, {', '.join(f'{key} = {value}' for key, value in {**_OF_ANY_FILE, **options}.items())})"


_DATUM = re.compile(r"""[^\s"']*@[^\s"']*|[0-9a-fA-F]{32,}|\+?\d[\d\s()./-]{5,}\d""")
_UNFIT = re.compile(f"{query.UNFIT}(fractions|lists or structures): (.+)")
_NOT_UNDERSTOOD: Final = {"Parser Error", "Binder Error", "Catalog Error", "Syntax Error"}
_UNCONVERTIBLE: Final = {"Conversion Error", "Out of Range Error", "Invalid Input Error"}
_MALFORMED: Final = r"Malformed JSON in file .*, at .* in line (\d+):"
# The engine's messages about a file, and our own, which show nothing of the content but a line number.
_OF_A_FILE: Final = (
    (r"CSV Error on Line: (\d+)\n(?s:.*)Maximum line size", "{name}: line {line} " + TOO_LONG),
    (r"CSV Error on Line: (\d+)", "{name} cannot be read as CSV from line {line} on; export it again."),
    (r"CSV (?:Error|Reader)", "{name}: a line " + TOO_LONG),
    (r"maximum_object_size", "{name}: an object, or a line, " + TOO_LONG),
    (
        _MALFORMED,
        "{name} holds something near line {line} that is no JSON object; expected one object a line. Correct the line.",
    ),
    (
        r"JSON transform error in file .*, in line (\d+): Object .* has duplicate key",
        "{name} has an object near line {line} with a key twice; expected each key once. Leave out one of them.",
    ),
    (
        r"JSON transform error in file .*, in line (\d+):",
        "{name} holds something near line {line} that is no JSON object; expected one object a line. Correct the line.",
    ),
    (re.escape(TOO_MANY_FILES), f"{{name}} cannot be read: {NO_DESCRIPTORS}."),
)
# The engine may open the table's files only. It reports a file that has disappeared as one without permission.
_UNREACHABLE = re.compile(r"^Permission Error: Cannot access file|^IO Error: (?:No files found|Cannot open file)")
# The engine would need to download an extension for files on the web or in an object store.
_ELSEWHERE = re.compile(r"^[^\n]*://[^\n]* requires the extension ")


@contextmanager
def translated(name: str, *, has_sql: bool) -> Iterator[None]:
    """Translates the engine's errors into ours, with a message of one sentence.

    Args:
        name: the table's name.
        has_sql: whether the caller wrote a query or a condition.

    Raises:
        ConfigurationError: for a query that does not parse, or that fails on a row.
        OSError: for a file that cannot be read or written.
    """
    duckdb = import_duckdb()
    try:
        yield
    except duckdb.Error as error:
        meant = failure(str(error), name, has_sql=has_sql)
        try:
            raise meant from None
        finally:
            meant.__context__ = None  # its message may show values


def failure(message: str, name: str, *, has_sql: bool) -> Exception:
    """Returns the exception to raise for an error of the engine.

    Args:
        message: the engine's message, which may contain values.
        name: the table's name.
        has_sql: whether the caller wrote a query or a condition.
    """
    kind = message.partition(":")[0]
    if unfit := _UNFIT.search(message):
        return ConfigurationError(
            f"Column {shown(unfit[2])} of {name} holds {unfit[1]} in some rows, not text"
            f"{' or whole numbers' if unfit[1] == 'fractions' else ''}; "
            "name the column that holds the identifiers with column=, or convert it."
        )
    for pattern, meant in _OF_A_FILE:
        if found := re.search(pattern, message):
            # The engine counts a malformed line before it reports it, so its number is one too high.
            line = f"{int(found[1]) - (pattern == _MALFORMED):,}" if found.re.groups else ""
            return OSError(meant.format(name=name, line=line))
    if kind in _NOT_UNDERSTOOD:
        return ConfigurationError(f"The query, or where, on {name} is not understood: {said(message)}")
    if has_sql and kind in _UNCONVERTIBLE:
        return ConfigurationError(
            f"where, or the query, fails on a row of {name}, because a value cannot be converted; "
            "columns of a text file are text: use TRY_CAST(column AS type), or TRY(...) around other functions."
        )
    return OSError(f"{name} {_unread(message, kind)}")


def _unread(message: str, kind: str) -> str:
    """Describes why rows cannot be read although nothing is wrong with the rows themselves."""
    if kind == "Out of Memory Error":
        return (
            "does not fit into memory_limit and the free space of the temporary directory; raise memory_limit, or let "
            "TMPDIR name a larger disk."
        )
    if _ELSEWHERE.search(message):
        return "names a file on the web or in an object store, but sees this machine's files only: fetch it first."
    if _UNREACHABLE.search(message):
        gone = "is not there any more, or a file that it reads."
        return gone if has_descriptors() else f"cannot be read: {NO_DESCRIPTORS}."
    return f"cannot be read further ({kind})."


def said(message: object) -> str:
    """Returns the first line of the engine's message about SQL that it does not understand; it shows no row.

    Masks what may be an identifier: a text in double quotes, which are for columns, appears in the message.
    """
    first = str(message).partition("\n")[0].partition(": ")[2]
    return _DATUM.sub("…", first.strip().rstrip(".!")) + "."
