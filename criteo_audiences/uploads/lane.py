"""What an upload can read from, and what it asks of the lane that reads it."""

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
"""Takes a batch, waiting until a sender is free."""


@frozen(kw_only=True)
class LaneProgress:
    """The progress of a lane through its source.

    Attributes:
        seen: values read; an estimate while a table is read before its first batch.
        share: how much has been read, 0 to 1; `None` when the source cannot say.
        staged: how much has been read of a table that is read before its first batch, 0 to 1; `None` for other sources.
        length: about how many values there are, where that is known before they are read.
        is_open_ended: whether nobody knows how many there are, so that no end can be foreseen.
    """

    seen: int
    share: float | None = None
    staged: float | None = None
    length: int | None = None
    is_open_ended: bool = False


class Lane(ABC):
    """From a source to batches."""

    @property
    @abstractmethod
    def rows(self) -> RowCounts:
        """What has become of the values read so far."""

    @property
    def opt_outs(self) -> OptOutCount | None:
        """How many opt-outs the values are compared with, once the lane is open; `None` without any."""
        return None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of a table that were chosen, once the lane is open."""
        return ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What a caller should know of the source, a sentence each."""
        return ()

    @property
    def batches(self) -> int | None:
        """How many batches there are to be, once that can be said before the first one; `None` until then.

        A table that is read first has at least so many: several kinds, or long values, may need more. Other tables and
        lists have about so many at most, because rows may be rejected.
        """
        return None

    @abstractmethod
    def progress(self) -> LaneProgress:
        """Returns how far the source has been read."""

    @abstractmethod
    async def open(self) -> None:
        """Finds out whether the source and the opt-outs can be used; reads no value of the source."""

    @abstractmethod
    async def run(self, deliver: Deliver) -> None:
        """Reads to the end of the source and delivers every batch, also an incomplete last one."""

    async def close(self) -> None:
        """Gives back what `open` took, whether or not `run` was called."""
        return

    def count_rest(self) -> None:
        """Counts what was read and not prepared yet, when the source is left before its end."""
        return

    @abstractmethod
    async def refused_rows(self, refused: Mapping[IdentifierType, set[str]]) -> Sequence[SourceRow]:
        """Reads the source once more, for the first row of each refused identifier, in the order of its rows.

        Args:
            refused: identifiers as they went out, by kind.

        Returns:
            Nothing where the source can be read only once.

        Raises:
            SourceChangedError: when the source is no longer what was read.
        """


class ArrowStream(Protocol):
    """A table that exports its rows as Arrow: of polars, pandas, pyarrow, DuckDB."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...


Source = Iterable[str | None] | AsyncIterable[str | None] | os.PathLike[str] | Table | ArrowStream
"""What an upload reads from: any iterable or async iterable of text, a file, or a table."""


Lookalike = str | Mapping[Any, Any] | IO[Any]
"""What can be iterated like a source and is none; text is a sequence of texts, too."""


class NotASource:
    """The result type of an upload of a `Lookalike`, so that type checkers refuse to await it; it has no values.

    To read a file, pass a `pathlib.Path` or `Table.from_file(path)`, or `Table.from_stream(file)` for an open one; of a
    mapping, pass its keys or values.
    """


class OpenSource(Protocol):
    """A source that is open for reading."""

    def slices(
        self, buffer: list[Any], arrived: Callable[[], None], room: Callable[[], int]
    ) -> AsyncGenerator[None, None]:
        """Appends values to `buffer` and yields when the caller should empty it.

        Args:
            buffer: where values go.
            arrived: is called when the first value comes into an empty buffer that will not be emptied at once.
            room: returns how many values the buffer should be given before it is emptied.
        """


def open_source(source: object) -> OpenSource:
    """Opens an iterable or an async one; nothing is read yet.

    Raises:
        TypeError: for what only looks like a source: text, bytes, a mapping, an open file.
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
    """Refuses what can be iterated but does not yield one identifier after the other.

    Args:
        values: what the caller gave.
        what: what it is to be, for the message.

    Raises:
        TypeError: says what to pass instead.
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


# What leads to rows and holds none yet, or not in the form of a stream: by library and the name of a method.
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
    """Says what to pass instead of an object of a library for tables that is no table itself."""
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
        # A generator belongs to whoever iterates over it; a cursor that has a `close` belongs to the caller.
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
                with anyio.CancelScope(shield=True):  # its own clean-up may have to wait, also when we are canceled
                    await iterator.aclose()
        yield


def _is_canceled() -> bool:
    """Whether this task was canceled from outside; otherwise a `CancelledError` is an error like any other."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0
