"""A table as a source of identifiers: files, a query, or anything that speaks Arrow."""

import glob
import os
from collections.abc import Sequence, Sized
from pathlib import Path
from typing import Any, Final

from attrs import field, frozen

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.tables.delimiting import skip_rows_of
from criteo_audiences.tables.encoding import encoding_of

STDIN: Final = "-"

FilePath = str | os.PathLike[str]


@frozen(kw_only=True)
class Table:
    """Rows to read identifiers from; opened when an upload reads it, never held in memory.

    Attributes:
        paths: files, one after the other; `-` is standard input.
        query: a query that the engine runs.
        stream: an object with `__arrow_c_stream__`.
        column: the column asked for, `None` for the one whose header and values tell.
        where: a condition on the other columns, in SQL.
        skip_rows: lines before the header of delimited text.
        encoding: the codec of text files, `None` for what their bytes say.
    """

    paths: tuple[str, ...] = ()
    query: str | None = field(default=None, repr=False)
    stream: Any = field(default=None, repr=False)
    column: str | None = None
    where: str | None = field(default=None, repr=False)
    skip_rows: int | None = field(default=None, converter=skip_rows_of)
    encoding: str | None = field(default=None, converter=encoding_of)

    @classmethod
    def from_file(
        cls,
        path: FilePath | Sequence[FilePath],
        *,
        column: str | None = None,
        where: str | None = None,
        skip_rows: int | None = None,
        encoding: str | None = None,
    ) -> "Table":
        """Describes files: CSV, TSV or other delimited text, JSON lines (plain, gzip or zstd), or Parquet.

        Args:
            path: a file, a list of files, a pattern such as `exports/*.csv.gz`, a directory of Parquet files, or `"-"`
                for standard input.
            column: the header of the column; may be left out when one is unmistakable by its header and its values.
            where: a condition in DuckDB's SQL on the columns, such as `"consent = 'yes' AND country <> 'DE'"`; rows it
                does not hold for are not read. Columns of text files are text.
            skip_rows: lines of a text file to leave out before its header, such as a report's title; blank ones count.
            encoding: the codec of a text file, such as `"cp1251"`, where its bytes do not tell.

        Raises:
            ConfigurationError: when a pattern matches nothing, the list is empty, or an option is not what it must be.
        """
        paths = [path] if isinstance(path, str | os.PathLike) else list(path)
        found = tuple(name for given in paths for name in _matching(os.fspath(given)))
        if not found:
            raise ConfigurationError("path must name at least one file; the list is empty.")
        return cls(paths=found, column=column, where=where, skip_rows=skip_rows, encoding=encoding)

    @classmethod
    def from_query(cls, query: str, *, column: str | None = None) -> "Table":
        """Describes the rows of a query in DuckDB's SQL, such as `SELECT email FROM 'crm/*.parquet' WHERE consent`.

        Args:
            query: one SELECT statement; it sees files, not the caller's variables.
            column: the column of its result.
        """
        if not isinstance(query, str) or not query.strip():
            raise ConfigurationError("query must be a SELECT statement.")
        return cls(query=query.strip().rstrip(";"), column=column)

    @classmethod
    def from_arrow(cls, stream: Any, *, column: str | None = None, where: str | None = None) -> "Table":
        """Describes an object that exports an Arrow stream: a polars, pandas, pyarrow or DuckDB table.

        Args:
            stream: an object with `__arrow_c_stream__`.
            column: the name of its column.
            where: see `from_file`.

        Raises:
            TypeError: when the object exports none.
        """
        if not hasattr(stream, "__arrow_c_stream__"):
            raise TypeError(f"expected an object with __arrow_c_stream__, not {type(stream).__name__}")
        return cls(stream=stream, column=column, where=where)

    @property
    def rereadable(self) -> bool:
        """Whether it can be read a second time: standard input cannot, nor an object that knows no length."""
        return STDIN not in self.paths if self.stream is None else isinstance(self.stream, Sized)

    @property
    def has_sql(self) -> bool:
        """Whether the caller's own SQL is part of it."""
        return self.query is not None or self.where is not None

    @property
    def label(self) -> str:
        """What messages call it: the file's name, never its path."""
        if self.query is not None:
            return "the query"
        if self.stream is not None:
            return f"the {type(self.stream).__name__}"
        first = "standard input" if self.paths[0] == STDIN else Path(self.paths[0]).name
        return first if len(self.paths) == 1 else f"{first} and {len(self.paths) - 1} more"


def _matching(path: str) -> list[str]:
    """Returns the files a pattern matches, in alphabetical order; a path without one as it is.

    Raises:
        ConfigurationError: when nothing matches.
    """
    if path == STDIN or Path(path).exists() or not glob.has_magic(path):
        return [path]
    found = sorted(glob.glob(path, recursive=True))  # noqa: PTH207 - the pattern may be absolute
    if not found:
        raise ConfigurationError("No file matches the pattern; check it, and quote it for your shell.")
    return found
