"""A table as a source of identifiers: files, a query, or anything that speaks Arrow."""

import os
from collections.abc import Iterable, Sized
from pathlib import Path
from typing import Any

from attrs import field, frozen

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.tables.delimiting import skip_rows_of
from criteo_audiences.tables.encoding import encoding_of
from criteo_audiences.tables.given_paths import given_paths, shown_paths
from criteo_audiences.tables.layout import STDIN

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
        hive_partitioning: whether directories named `column=value` are columns of Parquet files.
        skip_rows: lines before the header of delimited text.
        encoding: the codec of text files, `None` for what their bytes say.
    """

    paths: tuple[str, ...] = field(default=(), repr=shown_paths)
    query: str | None = field(default=None, repr=False)
    stream: Any = field(default=None, repr=False)
    column: str | None = None
    where: str | None = field(default=None, repr=False)
    hive_partitioning: bool = False
    skip_rows: int | None = field(default=None, converter=skip_rows_of)
    encoding: str | None = field(default=None, converter=encoding_of)

    @classmethod
    def from_file(
        cls,
        path: FilePath | Iterable[FilePath],
        *,
        column: str | None = None,
        where: str | None = None,
        hive_partitioning: bool = False,
        skip_rows: int | None = None,
        encoding: str | None = None,
    ) -> "Table":
        """Describes files: CSV, TSV or other delimited text, JSON lines (plain, gzip or zstd), or Parquet.

        Args:
            path: a file, a list of files, a pattern such as `exports/*.csv.gz`, a directory, or `"-"` for standard
                input. A file that exists under a name is that file, whatever signs the name holds.
            column: the header of the column; may be left out when one is unmistakable by its header and its values.
            where: a condition in DuckDB's SQL on the columns, such as `"consent = 'yes' AND country <> 'DE'"`; rows it
                does not hold for are not read. Columns of text files are text.
            skip_rows: lines of a text file to leave out before its header, such as a report's title; blank ones count.
            encoding: the codec of a text file, such as `"cp1251"`, where its bytes do not tell.
            hive_partitioning: read directories named `column=value` as columns of text of the Parquet files below
                them. Otherwise such a name is only a name.

        Raises:
            TypeError: for an open file, a frame or anything else that is no path.
            ConfigurationError: when a pattern matches nothing, the list or a path is empty, or a path is an address.
        """
        if not isinstance(hive_partitioning, bool):
            raise ConfigurationError(
                f"hive_partitioning must be True or False, not {type(hive_partitioning).__name__}."
            )
        return cls(
            paths=given_paths(path),
            column=column,
            where=where,
            hive_partitioning=hive_partitioning,
            skip_rows=skip_rows,
            encoding=encoding,
        )

    @classmethod
    def from_query(cls, query: str, *, column: str | None = None) -> "Table":
        """Describes the rows of a query in DuckDB's SQL, such as `SELECT email FROM 'crm/*.parquet' WHERE consent`.

        A process of its own runs it, which ends with the upload.

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
