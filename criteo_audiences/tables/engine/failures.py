"""Translates the engine's failures into one sentence each; its own messages may show values."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from criteo_audiences.errors import NO_DESCRIPTORS, ConfigurationError, has_descriptors
from criteo_audiences.tables.engine import query
from criteo_audiences.tables.engine.connection import import_duckdb
from criteo_audiences.tables.files.dialect import TOO_LONG
from criteo_audiences.tables.header_words import shown

_DATUM = re.compile(r"""[^\s"']*@[^\s"']*|[0-9a-fA-F]{32,}|\+?\d[\d\s()./-]{5,}\d""")
_UNFIT = re.compile(f"{query.UNFIT}(fractions|lists or structures): (.+)")
_NOT_UNDERSTOOD: Final = {"Parser Error", "Binder Error", "Catalog Error", "Syntax Error"}
_UNCONVERTIBLE: Final = {"Conversion Error", "Out of Range Error", "Invalid Input Error"}
_MALFORMED: Final = r"Malformed JSON in file .*, at .* in line (\d+):"
# What the engine says of a file, and the same in a sentence that shows nothing of it but a line's number.
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
    (r"Too many open files", f"{{name}} cannot be read: {NO_DESCRIPTORS}."),
)
# The engine is closed to all files but those of the table, which it knows again only while it can open them.
_UNREACHABLE = re.compile(r"^Permission Error: Cannot access file|^IO Error: (?:No files found|Cannot open file)")


@contextmanager
def translated(name: str, *, has_sql: bool) -> Iterator[None]:
    """Raises the engine's failures as ours, in one sentence each.

    Args:
        name: the table's.
        has_sql: whether it has a query or a condition of the caller's.

    Raises:
        ConfigurationError: for a query that does not parse, and for what fails on a row.
        OSError: for what cannot be read or written.
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
    """Returns what to raise when the engine fails.

    Args:
        message: what the engine says, which may hold values.
        name: the table's.
        has_sql: whether it has a query or a condition of the caller's.
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
            # The engine has counted a line already that it then finds to be malformed.
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
    """Says why rows cannot be read that nothing is wrong with."""
    if kind == "Out of Memory Error":
        return (
            "does not fit into memory_limit and the free space of the temporary directory; raise memory_limit, or let "
            "TMPDIR name a larger disk."
        )
    if _UNREACHABLE.search(message):
        gone = "is not there any more, or a file that it reads."
        return gone if has_descriptors() else f"cannot be read: {NO_DESCRIPTORS}."
    return f"cannot be read further ({kind})."


def said(message: object) -> str:
    """Returns what the engine says of SQL it does not understand: its first line, which shows no row.

    Its words may be an identifier, as when a text stands in double quotes, which are for columns.
    """
    first = str(message).partition("\n")[0].partition(": ")[2]
    return _DATUM.sub("…", first.strip().rstrip(".!")) + "."
