"""The sources that an upload can read from, and the interface of the lanes that read them."""

import asyncio
import itertools
import os
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing, nullcontext
from typing import IO, Any, Final, Protocol

import anyio
from anyio.abc import ByteReceiveStream
from attrs import frozen

from criteo_audiences.batches import Batch
from criteo_audiences.identifiers import OptOutCount, RowCounts, SourceRow
from criteo_audiences.models import IdentifierType
from criteo_audiences.tables import Table

Deliver = Callable[[Batch], Awaitable[None]]
"""Accepts a batch once a sender is free for it."""


@frozen(kw_only=True)
class LaneProgress:
    """The progress of a lane through its source.

    Attributes:
        seen: values read; an estimate while a table is read before its first batch.
        share: share of the source that has been read, 0 to 1; `None` if it is not known.
        staged: share that has been read of a table that is read before its first batch, 0 to 1; `None` for other
            sources.
        length: about how many values there are, if that is known before they are read.
        is_open_ended: whether the number of values is unknown, so that no end can be estimated.
    """

    seen: int
    share: float | None = None
    staged: float | None = None
    length: int | None = None
    is_open_ended: bool = False


class Lane(ABC):
    """Reads a source and turns it into batches."""

    @property
    @abstractmethod
    def rows(self) -> RowCounts:
        """The counts of the values read so far: read, rejected, duplicates and so on."""

    @property
    def opt_outs(self) -> OptOutCount | None:
        """How many opt-outs the values are compared with, once the lane is open; `None` without any."""
        return None

    @property
    def columns(self) -> tuple[str, ...]:
        """The chosen columns of a table, once the lane is open."""
        return ()

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks on the source for the caller, a sentence each."""
        return ()

    @property
    def batches(self) -> int | None:
        """The expected number of batches, once it is known before the first one; `None` until then.

        For a table that is read first, it is a minimum: several kinds, or long values, may need more. For other tables
        and for lists, it is about the maximum, because rows may be rejected.
        """
        return None

    @abstractmethod
    def progress(self) -> LaneProgress:
        """Returns how far the source has been read."""

    @abstractmethod
    async def open(self) -> None:
        """Checks that the source and the opt-outs can be used; reads no value of the source."""

    @abstractmethod
    async def run(self, deliver: Deliver) -> None:
        """Reads the source to its end and delivers every batch, including an incomplete last one."""

    async def close(self) -> None:
        """Releases what `open` acquired, whether or not `run` was called."""
        return

    def count_rest(self) -> None:
        """Counts the values that were read but not prepared yet, if reading stops before the source's end."""
        return

    @abstractmethod
    async def refused_rows(self, refused: Mapping[IdentifierType, set[str]]) -> Sequence[SourceRow]:
        """Reads the source again and returns the first row of each refused identifier, in the order of the rows.

        Args:
            refused: identifiers in the form in which they were sent, by kind.

        Returns:
            The rows; none if the source can be read only once.

        Raises:
            SourceChangedError: when the source has changed since it was read.
        """


class ArrowStream(Protocol):
    """A table that exports its rows as an Arrow stream, such as one of polars, pandas, pyarrow or DuckDB."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...


Source = Iterable[str | None] | AsyncIterable[str | None] | os.PathLike[str] | Table | ArrowStream
"""The source of an upload: any iterable or async iterable of text, a file, or a table."""


Lookalike = str | Mapping[Any, Any] | IO[Any]
"""Objects that can be iterated but are no sources; a text, for example, is a sequence of texts."""


class NotASource:
    """The result type of an upload of a `Lookalike`, so that type checkers refuse to await it; it has no values.

    To read a file, pass a `pathlib.Path` or `Table.from_file(path)`, or `Table.from_stream(file)` for an open file. For
    a mapping, pass its keys or values.
    """


class OpenSource(Protocol):
    """A source that is open for reading."""

    def slices(
        self, buffer: list[Any], arrived: Callable[[], None], room: Callable[[], int]
    ) -> AsyncGenerator[None, None]:
        """Appends values to `buffer` and yields when the caller should empty it.

        Args:
            buffer: receives the values.
            arrived: called when the first value arrives in an empty buffer that will not be emptied at once.
            room: returns how many values to put into the buffer before it is emptied.
        """


def open_source(source: object) -> OpenSource:
    """Opens an iterable or async iterable; reads nothing yet.

    Raises:
        TypeError: for an object that only looks like a source: text, bytes, a mapping, an open file.
    """
    refuse_lookalikes(source, "a source")
    if isinstance(source, AsyncIterable):
        return _AsyncReading(source)
    if isinstance(source, Iterable):
        return _IterableReading(source)
    way = "; call it" if callable(source) else "; await it" if asyncio.iscoroutine(source) else ""
    kind = type(source).__name__
    raise TypeError(f"a source must be an iterable or async iterable of str, or a file; not {kind}{way}")


def refuse_lookalikes(values: object, what: str) -> None:
    """Refuses an object that can be iterated but does not yield identifiers one by one.

    Args:
        values: what the caller gave.
        what: its role, such as "a source", for the message.

    Raises:
        TypeError: for such an object; says what to pass instead.
    """
    kind = type(values).__name__
    advice = "to read a file, pass Table.from_file(path, column=...) or a pathlib.Path"
    if isinstance(values, (str, bytes, bytearray, memoryview)):
        raise TypeError(f"{what} must not be a single {kind}: pass a list of identifiers; {advice}")
    if isinstance(values, Mapping):
        raise TypeError(f"{what} must not be a mapping ({kind}): pass its values or keys; {advice}")
    if hasattr(values, "read") or hasattr(values, "readline") or isinstance(values, ByteReceiveStream):
        raise TypeError(f"{what} must not be an open file ({kind}): pass Table.from_stream(file); {advice}")
    if way := _way_to_rows(values):
        raise TypeError(f"{what} must not be a {kind}: pass {way}")
    if hasattr(values, "__dataframe__") or (hasattr(values, "iloc") and hasattr(values, "columns")):
        raise TypeError(f"a {kind} of this release speaks no Arrow: pass one column as a list; {advice}")


# Objects that contain no rows yet, or none that are a stream: by library and the name of a method; and what to pass.
_WAYS: Final = (
    ("polars", "collect", "its .collect()"),
    ("polars", "agg", "a frame"),
    ("pandas", "agg", "a frame, or one column"),
    ("pyarrow", "scanner", "its .scanner(columns=[...]).to_reader()"),
    ("pyarrow", "to_reader", "its .to_reader()"),
    ("pyarrow", "to_pylist", "pyarrow.chunked_array([array]), or a pyarrow table"),
    ("_duckdb", "fetchall", "a relation, connection.sql(query), or what .to_arrow_table() returns"),
    ("duckdb", "fetchall", "a relation, connection.sql(query), or what .to_arrow_table() returns"),
)


def _way_to_rows(values: object) -> str | None:
    """Returns what to pass instead of an object of a table library that is no table itself, or `None`."""
    library = type(values).__module__.partition(".")[0]
    if library == "pandas" and hasattr(values, "__array__"):  # one column, which can be iterated
        return None
    return next((way for name, method, way in _WAYS if name == library and hasattr(values, method)), None)


class _IterableReading:
    def __init__(self, source: Iterable[object]) -> None:
        self._source = source

    async def slices(
        self,
        buffer: list[Any],
        arrived: Callable[[], None],  # noqa: ARG002 - never waits with a value in hand
        room: Callable[[], int],
    ) -> AsyncGenerator[None, None]:
        iterator = iter(self._source)
        # Only a generator is closed here; another iterator with a `close`, such as a cursor, belongs to the caller.
        with closing(iterator) if isinstance(iterator, Generator) else nullcontext():
            while True:
                buffer += itertools.islice(iterator, room())
                if not buffer:
                    return
                yield


class _AsyncReading:
    def __init__(self, source: AsyncIterable[object]) -> None:
        self._source = source

    async def slices(
        self, buffer: list[Any], arrived: Callable[[], None], room: Callable[[], int]
    ) -> AsyncGenerator[None, None]:
        iterator = aiter(self._source)
        enough = room()
        try:
            async for value in iterator:
                if not buffer:
                    arrived()
                buffer.append(value)
                if len(buffer) >= enough:
                    yield
                    enough = room()
        except asyncio.CancelledError as error:
            if _is_canceled():
                raise
            raise RuntimeError("The source was canceled from within, so its rows are not complete.") from error
        finally:
            if isinstance(iterator, AsyncGenerator):
                with anyio.CancelScope(shield=True):  # its clean-up may await something, even after a cancellation
                    await iterator.aclose()
        yield


def _is_canceled() -> bool:
    """Whether this task was canceled from outside; otherwise a `CancelledError` is an error like any other."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0
