"""What a file is: format, encoding, delimiter, header and the first rows."""

from collections.abc import Callable
from typing import Final, Literal

from attrs import field, frozen

from criteo_audiences.tables.files.paths import LiteralPath

Compression = Literal["none", "gzip", "zstd"]
Format = Literal["csv", "parquet", "json", "query", "stream"]
Row = tuple[str | None, ...]


LONGEST_LINE: Final = 2_000_000
"""Bytes of a row of delimited text; the engine refuses longer ones, and may lose the last one silently."""

SAMPLED_ROWS: Final = 1_000
"""Data rows that are looked at before a column is chosen."""


@frozen(kw_only=True)
class Layout:
    """How a file must be read: settled before the engine opens it, so that nothing is guessed twice.

    Attributes:
        path: what is read: the file itself, or a clean copy of it.
        name: the file's own name, for messages.
        format: `json` is one JSON object a line.
        names: the columns' names in order, trimmed; of JSON, the sampled objects' keys in order of first appearance.
        types: the engine's types of Parquet columns; empty for the other formats.
        files: Parquet files that are one table.
        partitioned: whether the directories of those files are columns, too.
        held: of JSON's columns, what in the sample is neither text nor a whole number: `lists`, `structures`,
            `fractions`, or empty.
        delimiter: the character between a CSV file's cells.
        skip: rows of a CSV file before its first row of data, an empty line counted as one; that is how DuckDB counts.
        compression: of what `path` holds.
        quotes: whether a quote occurs after a CSV file's header, so that rows may span lines.
        likely_header: the number of a later line of a CSV file that looks more like its header, `None` without one.
        guess: the encoding a text was read in, where it may be another one; empty where that is sure.
        rows: how many rows of data there are, empty lines left out; `None` when that is unknown.
        recount: counts them more carefully, where a line of blanks has been counted as one; `None` where none has.
        is_broken: whether rows with broken quotes are among them; the copy has `BROKEN` in all their cells.
        hiding: the first row of a CSV file with a quoted cell in which whole rows may be hidden, `None` without one.
        notes: what a person should know about the file, a sentence each.
        sample: the first rows, one entry a column, `None` where a row has no such cell.
    """

    path: str
    name: str
    format: Format
    names: tuple[str, ...]
    types: tuple[str, ...] = ()
    files: tuple[LiteralPath, ...] = ()
    partitioned: bool = False
    held: tuple[str, ...] = ()
    delimiter: str = ","
    skip: int = 0
    compression: Compression = "none"
    quotes: bool = False
    likely_header: int | None = None
    guess: str = ""
    rows: int | None = None
    recount: Callable[[], int] | None = field(default=None, repr=False)
    is_broken: bool = False
    hiding: int | None = None
    notes: tuple[str, ...] = ()
    sample: tuple[Row, ...] = field(default=(), repr=False)
