"""How the engine reads files, as SQL: every option is settled, and nothing is left to guess."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from criteo_audiences.tables.engine.query import OBJECT, SURPLUS, literal, name, text_of_json
from criteo_audiences.tables.files.layout import LONGEST_LINE
from criteo_audiences.tables.files.paths import LiteralPath

_NOWHERE: Final = "second column of criteo_audiences"
"""A name that no column of a table has."""

_NOT_NULL: Final = "\x02"  # with a text that no cell holds for NULL, only a cell that is not there is NULL
_READ_AT_ONCE: Final = 8_000_000
_LARGEST_OBJECT: Final = 16_777_216

# The engine guesses nothing: docs/architecture.md says why each option is as it is.
_OF_ANY_FILE: Final[Mapping[str, str]] = {
    "hive_partitioning": "false",
    "hive_types_autocast": "false",
    "filename": "false",
    "file_row_number": "false",
}


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
    """Reads delimited text, with nothing left to guess; a short row lacks its last cells, a long one keeps the first.

    Args:
        path: the file.
        columns: a name for each column.
        delimiter: between cells.
        skip: lines before the first row.
        compression: `none`, `gzip` or `zstd`.
        parallel: in several threads, which a cell with a line break in it forbids; otherwise what was read stays in
            memory, up to its limit.
        keeps_blanks: only a cell that is not there is NULL, and the first one beyond the header is read as `SURPLUS`.
    """
    # Of rows with several cells the engine skips empty lines by itself; a last column that is nowhere makes them such.
    further = [SURPLUS] if keeps_blanks else [_NOWHERE] * (len(columns) == 1)
    types = ", ".join(f"{literal(column)}: 'VARCHAR'" for column in (*columns, *further))
    options: Mapping[str, str] = {
        "auto_detect": "false",
        "header": "false",
        "skip": str(skip),
        "delim": literal(delimiter),
        "quote": "'\"'",
        "escape": "'\"'",
        "columns": "{" + types + "}",
        "null_padding": "true",
        "strict_mode": "false",
        "compression": literal(compression),
        "parallel": str(parallel).lower(),
        "max_line_size": str(LONGEST_LINE),
        "buffer_size": str(_READ_AT_ONCE),
        "encoding": "'utf-8'",
        "nullstr": literal(_NOT_NULL if keeps_blanks else ""),
        "allow_quoted_nulls": "true",
        "comment": "''",
        "thousands": "''",
        "normalize_names": "false",
        "ignore_errors": "false",
        "store_rejects": "false",
        "union_by_name": "false",
    }
    return _read("read_csv", literal(path), options)


def read_parquet(paths: Sequence[LiteralPath], *, partitioned: bool = False) -> str:
    """Reads Parquet files as one table, by the names of their columns.

    Args:
        paths: the files.
        partitioned: whether directories named `column=value` are columns of text, too.
    """
    options = {
        "union_by_name": "true",
        "hive_partitioning": str(partitioned).lower(),
        "binary_as_string": "false",
        "utf8_validation": "'replace'",
    }
    return _read("read_parquet", f"[{', '.join(map(literal, paths))}]", options)


def read_json(path: LiteralPath, columns: Sequence[str], compression: str, whole: Collection[str] = frozenset()) -> str:
    """Reads JSON objects, one a line; a value that is no text is taken as it is written.

    Args:
        path: the file.
        columns: keys.
        compression: `none`, `gzip` or `zstd`.
        whole: keys of which a number that is not whole begins with `FRACTION`.
    """
    read = _read_lines(path, {column: "JSON" if column in whole else "VARCHAR" for column in columns}, compression)
    if not whole:
        return read
    texts = ", ".join(f"{text_of_json(name(column))} AS {name(column)}" for column in columns if column in whole)
    return f"(SELECT * REPLACE ({texts}) FROM {read})"


def read_objects(path: LiteralPath, compression: str) -> str:
    """Reads JSON objects as a whole, one a line, as `OBJECT`."""
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
