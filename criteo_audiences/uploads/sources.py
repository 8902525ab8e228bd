"""The one place that tells an iterable, an async iterable and a table apart."""

import asyncio
import itertools
import os
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Generator, Iterable, Mapping
from contextlib import aclosing, closing, nullcontext
from typing import Any, Final, Protocol

import anyio

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.models import IdentifierType
from criteo_audiences.tables import Table

Source = Iterable[str | None] | AsyncIterable[str | None] | os.PathLike[str] | Table
"""What an upload reads from: any iterable or async iterable of text, or a file."""

_SLICE: Final = 128


class Reading(Protocol):
    """A source being read.

    Attributes:
        dedupes: whether duplicates are looked for unless the caller says otherwise.
    """

    dedupes: bool

    def slices(
        self, buffer: list[Any], arrived: Callable[[], None], room: Callable[[], int]
    ) -> AsyncGenerator[None, None]:
        """Fills the buffer and yields whenever it should be emptied, which the receiver does.

        Args:
            buffer: where values go.
            arrived: is called when the first value comes into an empty buffer that will not be emptied at once.
            room: returns how many values the buffer should be given before it is emptied.
        """

    def share(self) -> float | None:
        """How much has been read, 0 to 1; `None` when the source cannot tell."""


def open_source(source: object, column: str | None, kind: IdentifierType = IdentifierType.EMAIL) -> Reading:
    """Tells what kind of source it is; nothing is read yet.

    Raises:
        TypeError: for what only looks like a source: text, bytes, a mapping, an open file, a data frame.
        ConfigurationError: when a column is named of something that has none, or must be named and is not.
    """
    if isinstance(source, os.PathLike):
        source = Table.from_file(source)
    if isinstance(source, Table):
        if column is not None and source.column not in {None, column}:
            raise ConfigurationError("column names another column than the table does; give it once.")
        table = Table(source.path, column or source.column)
        if table.column is None and kind is not IdentifierType.EMAIL:
            raise ConfigurationError(f"column must name the column that holds identifier_type='{kind.value}'.")
        return _TableReading(table)
    _refuse_lookalikes(source)
    if column is not None:
        raise ConfigurationError("column names a column of a file; an iterable has none.")
    if isinstance(source, AsyncIterable):
        return _AsyncReading(source)
    if isinstance(source, Iterable):
        return _IterableReading(source)
    raise TypeError(f"a source must be an iterable or async iterable of str, or a file; not {type(source).__name__}")


def _refuse_lookalikes(source: object) -> None:
    """Refuses what can be iterated but does not yield one identifier after the other."""
    kind = type(source).__name__
    advice = "to read a file, pass Table.from_file(path, column=...) or a pathlib.Path"
    if isinstance(source, (str, bytes, bytearray, memoryview)):
        raise TypeError(f"a source must not be a single {kind}: pass a list of identifiers; {advice}")
    if isinstance(source, Mapping):
        raise TypeError(f"a source must not be a mapping ({kind}): pass its values or keys; {advice}")
    if hasattr(source, "read") or hasattr(source, "readline"):
        raise TypeError(f"a source must not be an open file ({kind}); {advice}")
    if hasattr(source, "__arrow_c_stream__") or hasattr(source, "__dataframe__"):
        raise TypeError(f"a {kind} is not taken directly: pass one column as a list; {advice}")


class _IterableReading:
    dedupes = False

    def __init__(self, source: Iterable[object]) -> None:
        self._source = source

    def share(self) -> float | None:
        return None

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
    dedupes = False

    def __init__(self, source: AsyncIterable[object]) -> None:
        self._source = source

    def share(self) -> float | None:
        return None

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
    """Whether somebody canceled this task; otherwise a `CancelledError` is an error like any other."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


class _TableReading:
    dedupes = True

    def __init__(self, table: Table) -> None:
        self._table = table
        self._share: float | None = None

    def share(self) -> float | None:
        return self._share

    async def slices(
        self,
        buffer: list[Any],
        arrived: Callable[[], None],  # noqa: ARG002 - never waits with a value in hand
        room: Callable[[], int],  # noqa: ARG002 - its values come in thousands
    ) -> AsyncGenerator[None, None]:
        async with aclosing(self._table.slices()) as slices:
            async for cells, self._share in slices:
                for start in range(0, len(cells), _SLICE):
                    buffer += cells[start : start + _SLICE]
                    yield
