"""A table as a source of identifiers (files, a query, or an Arrow stream), and what an upload takes from it."""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence, Sized
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

from attrs import evolve, field, frozen

from criteo_audiences.batches import DEFAULT_MAX_BODY_BYTES, MAX_BATCH_SIZE, Batch
from criteo_audiences.errors import ConfigurationError
from criteo_audiences.identifiers import OptOutCount, Reject, Rule
from criteo_audiences.models import HashAlgorithm, IdentifierType
from criteo_audiences.tables.files.paths import STREAM, given_paths, is_read_once, name_of, shown_paths
from criteo_audiences.validation import encoding_of, hinted, memory_limit_of, skip_rows_of, threads_of

if TYPE_CHECKING:
    from criteo_audiences.tables.files.pipes import OpenStream

P = ParamSpec("P")
T = TypeVar("T")

FilePath = str | os.PathLike[str]

_UNENCODABLE = re.compile("[\ud800-\udfff]")


@frozen(kw_only=True)
class Table:
    """Rows to read identifiers from; opened when an upload reads it, never held in memory.

    Attributes:
        paths: files or pipes, one after the other; `-` is standard input.
        opened: an open file or stream of bytes or text.
        query: a query that the engine runs.
        stream: an object with `__arrow_c_stream__`.
        column: the column asked for, `None` to detect it by header and values.
        where: a condition on the other columns, in SQL.
        hive_partitioning: whether directories named `column=value` are columns of Parquet files.
        skip_rows: lines before the header of delimited text.
        encoding: the codec of text files, `None` to detect it.
        region_column: for phone numbers, the column with the country in which a row's number is dialed.
        threads: threads that read and prepare the rows; `None` leaves one core to the event loop.
        memory_limit: memory for preparing the rows; `None` for the default, `"512MB"`.
    """

    paths: tuple[str, ...] = field(default=(), repr=shown_paths)
    opened: "OpenStream | None" = field(default=None, repr=False)
    query: str | None = field(default=None, repr=False)
    stream: Any = field(default=None, repr=False)
    column: str | None = None
    where: str | None = field(default=None, repr=False)
    hive_partitioning: bool = False
    skip_rows: int | None = field(default=None, converter=skip_rows_of)
    encoding: str | None = field(default=None, converter=encoding_of)
    region_column: str | None = None
    threads: int | None = field(default=None, converter=threads_of)
    memory_limit: str | None = field(default=None, converter=memory_limit_of)

    @classmethod
    @hinted
    def from_file(
        cls,
        path: FilePath | Iterable[FilePath],
        *,
        column: str | None = None,
        where: str | None = None,
        hive_partitioning: bool = False,
        skip_rows: int | None = None,
        encoding: str | None = None,
        region_column: str | None = None,
        threads: int | None = None,
        memory_limit: str | None = None,
    ) -> "Table":
        """Describes files: CSV, TSV or other delimited text, JSON lines (plain, gzip or zstd), or Parquet.

        Args:
            path: a file or a pipe, a list of them, a pattern such as `exports/*.csv.gz`, a directory, or `"-"` for
                standard input. The name of an existing file is never taken for a pattern.
            column: the header of the column; may be left out if one column is clear by its header and its values.
            where: a condition in DuckDB's SQL on the columns, such as `"consent = 'yes' AND country <> 'DE'"`; rows
                that do not meet it are left out. Columns of text files are text.
            skip_rows: lines of a text file to leave out before its header, such as a report's title; blank lines count.
            encoding: the codec of a text file, such as `"cp1251"` (default: detected).
            hive_partitioning: read directories named `column=value` as text columns of the Parquet files below them
                (default: ignore such names).
            region_column: the header of the column with the country of each row's phone number, as a code or a name.
            threads: threads that read and prepare the files (default: all cores but one).
            memory_limit: memory for preparing, such as `"2GB"` (default: 512 MB); beyond it, the disk is used.

        Raises:
            TypeError: for an open file, a frame or anything else that is no path.
            FileNotFoundError: when a pattern matches nothing, or a path does not exist and might be an identifier. Any
                other missing file raises when it is read.
            ConfigurationError: when the list or a path is empty, or a path is an address.
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
            region_column=region_column,
            threads=threads,
            memory_limit=memory_limit,
        )

    @classmethod
    @hinted
    def from_stream(
        cls,
        stream: Any,
        *,
        column: str | None = None,
        where: str | None = None,
        skip_rows: int | None = None,
        encoding: str | None = None,
        region_column: str | None = None,
        threads: int | None = None,
        memory_limit: str | None = None,
    ) -> "Table":
        """Describes the content of an open file or stream, in any format of `from_file`; it is read once, to its end.

        The upload first copies it into its temporary directory, using at most nine tenths of the free space there.
        The caller must close it.

        Args:
            stream: a file object of bytes or text, an `UploadFile` of Starlette and FastAPI, an `asyncio.StreamReader`,
                or a byte stream of anyio. The latter two are read in the event loop in which the table is described.
            column: see `from_file`.
            where: see `from_file`.
            skip_rows: see `from_file`.
            encoding: see `from_file`; not for a stream of text, which has been decoded already.
            region_column: see `from_file`.
            threads: see `from_file`.
            memory_limit: see `from_file`.

        Raises:
            TypeError: for an object that cannot be read from, such as a path.
            ConfigurationError: when the stream is asynchronous and no event loop runs, or an option cannot be used.
        """
        from criteo_audiences.tables.files.pipes import OpenStream  # noqa: PLC0415 - a list needs none of it

        return cls(
            paths=(STREAM,),
            opened=OpenStream.of(stream),
            column=column,
            where=where,
            skip_rows=skip_rows,
            encoding=encoding,
            region_column=region_column,
            threads=threads,
            memory_limit=memory_limit,
        )

    @classmethod
    @hinted
    def from_query(
        cls,
        query: str,
        *,
        column: str | None = None,
        region_column: str | None = None,
        threads: int | None = None,
        memory_limit: str | None = None,
    ) -> "Table":
        """Describes the rows of a query in DuckDB's SQL, such as `SELECT email FROM 'crm/*.parquet' WHERE consent`.

        A separate process runs the query; it ends with the upload.

        Args:
            query: one SELECT statement; it can read files, but not the caller's variables.
            column: the column of its result with the identifiers.
            region_column: see `from_file`.
            threads: see `from_file`.
            memory_limit: see `from_file`.

        Raises:
            ConfigurationError: when the query is empty, or an option cannot be used.
        """
        if not isinstance(query, str) or not query.strip():
            raise ConfigurationError("query must be a SELECT statement.")
        if "\0" in query or (not query.isascii() and _UNENCODABLE.search(query)):
            raise ConfigurationError("query holds a NUL character or a name that is no UTF-8, which SQL cannot hold.")
        return cls(
            query=query.strip().rstrip(";"),
            column=column,
            region_column=region_column,
            threads=threads,
            memory_limit=memory_limit,
        )

    @classmethod
    @hinted
    def from_arrow(
        cls,
        stream: Any,
        *,
        column: str | None = None,
        where: str | None = None,
        region_column: str | None = None,
        threads: int | None = None,
        memory_limit: str | None = None,
    ) -> "Table":
        """Describes an object that exports an Arrow stream: a polars, pandas, pyarrow or DuckDB table.

        Args:
            stream: an object with `__arrow_c_stream__`.
            column: the name of the column with the identifiers.
            where: see `from_file`.
            region_column: see `from_file`.
            threads: see `from_file`.
            memory_limit: see `from_file`.

        Raises:
            TypeError: when the object exports no Arrow stream.
            ConfigurationError: when an option cannot be used.
        """
        if not hasattr(stream, "__arrow_c_stream__"):
            raise TypeError(f"expected an object with __arrow_c_stream__, not {type(stream).__name__}")
        return cls(
            stream=stream,
            column=column,
            where=where,
            region_column=region_column,
            threads=threads,
            memory_limit=memory_limit,
        )

    @property
    def rereadable(self) -> bool:
        """Whether the table can be read twice: standard input, pipes, streams and objects without a length cannot."""
        return not any(map(is_read_once, self.paths)) if self.stream is None else isinstance(self.stream, Sized)

    @property
    def has_sql(self) -> bool:
        """Whether the table contains SQL that the caller wrote."""
        return self.query is not None or self.where is not None

    @property
    def label(self) -> str:
        """The name that messages use for the table: a file's name, never its path."""
        if self.query is not None:
            return "the query"
        if self.stream is not None:
            return f"the {type(self.stream).__name__}"
        path = self.paths[0]
        first = name_of(path) or Path(path).resolve().name or path
        return first if len(self.paths) == 1 else f"{first} and {len(self.paths) - 1} more"


def is_table(source: object) -> bool:
    """Whether a source has rows and columns: a path, a table, or an object that exports an Arrow stream."""
    return isinstance(source, (os.PathLike, Table)) or hasattr(source, "__arrow_c_stream__")


def as_table(source: object, columns: tuple[str, ...] = (), *, hive_partitioning: bool = False) -> Table | None:
    """Returns a source of rows and columns as a `Table`, or `None` for any other source.

    Args:
        source: what the caller gave.
        columns: the columns that the upload's options name; they must not contradict the table's own.
        hive_partitioning: see `Table.from_file`; the upload's options and the table may both set it.
    """
    if not is_table(source):
        return None
    if isinstance(source, os.PathLike):
        return Table.from_file(source, hive_partitioning=hive_partitioning)
    if not isinstance(source, Table):
        return Table.from_arrow(source)
    if source.column is not None and columns not in {(), (source.column,)}:
        raise ConfigurationError("column names another column than the table does; give it once.")
    return evolve(source, hive_partitioning=True) if hive_partitioning and source.paths else source


DEFAULT_MEMORY_LIMIT: Final = "512MB"


def default_threads() -> int:
    """Returns the number of cores but one, which is left to the caller's event loop."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores - 1)


@frozen(kw_only=True)
class Selection:
    """A kind of identifier, and the columns that contain it.

    Attributes:
        kind: the kind.
        rule: how its values are prepared.
        algorithm: how they are hashed; `None` sends them in clear.
        columns: their columns; empty to detect them by the header and the values.
        is_opt_out: whether the values are opt-outs; opt-outs that are no identifiers are counted, never ignored.
        region_column: for phone numbers, the column with the country in which a row's number is dialed.
    """

    kind: IdentifierType
    rule: Rule
    algorithm: HashAlgorithm | None = None
    columns: tuple[str, ...] = ()
    region_column: str | None = None
    is_opt_out: bool = False


Compare = Callable[[Any, Selection], int]
"""Compares the prepared rows in the engine's table `staged` (`p`, and their `code`) with something else.

It gets the engine and how the rows are sent. It returns how many rows repeat the identifier of another row.
"""


@frozen(kw_only=True)
class Plan:
    """What an upload takes from a table.

    Attributes:
        selections: the kinds of identifier.
        where: a condition on the other columns, in SQL.
        suppress: opt-outs of the first kind, which must not be sent: a table, or raw values.
        suppress_strict: whether an opt-out that cannot be used raises an error.
        dedupe: whether each identifier is sent only once.
        counted: whether the total must be known before the first batch.
        batch_size: identifiers per batch.
        max_body_bytes: bytes of identifiers per batch.
        on_rejects: called in the reading thread with the rejected values, before the first batch; `None` only counts
            them.
        compare: called in the reading thread with the prepared rows; no batches are cut then.
        places: files and directories that `compare` needs.
        threads: the engine's threads.
        memory_limit: memory beyond which the engine writes to disk.
    """

    selections: tuple[Selection, ...]
    where: str | None = None
    suppress: Table | Sequence[str] | None = field(default=None, repr=False)
    suppress_strict: bool = False
    dedupe: bool = True
    counted: bool = False
    batch_size: int = MAX_BATCH_SIZE
    max_body_bytes: int = DEFAULT_MAX_BODY_BYTES
    on_rejects: Callable[[Iterable[Reject]], object] | None = field(default=None, repr=False)
    compare: Compare | None = field(default=None, repr=False)
    places: tuple[Path, ...] = ()
    threads: int = field(factory=default_threads)
    memory_limit: str = DEFAULT_MEMORY_LIMIT

    @property
    def staged(self) -> bool:
        """Whether all rows are read before the first batch is cut."""
        one_pass = self.suppress is None and self.on_rejects is None and len(self.selections) == 1
        return self.dedupe or self.counted or self.compare is not None or not one_pass


@frozen(kw_only=True)
class Chunk:
    """Some rows of a table, read and prepared.

    Attributes:
        codes: the number of rows by code.
        already_hashed: rows among them that the source contains as digests.
        batches: the batches that they filled.
        columns: the columns that were chosen; in the first chunk only.
        notes: remarks on the files for the report; in the first chunk only.
        hiding: places of quoted cells that may hide rows; in the first chunk only.
        expected: the number of rows, if it is known or can be estimated; in the first chunk only.
        exact: whether all rows have been counted with this chunk, although batches are still to come.
        opt_outs: how many opt-outs the rows are compared with, `None` without any; in the first chunk only.
    """

    codes: Counter[int]
    already_hashed: int = 0
    batches: tuple[Batch, ...] = ()
    columns: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    hiding: tuple[str, ...] = ()
    expected: int | None = None
    exact: bool = False
    opt_outs: OptOutCount | None = None
