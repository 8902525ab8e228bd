"""Reads Arrow streams of texts and small numbers without pyarrow, and hands data frames to the engine as streams."""

import ctypes as c
import errno
import sys
from collections.abc import Callable, Collection, Iterator, Sequence, Sized
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.tables.engine import query
from criteo_audiences.tables.files.workspace import Interruption, Worker, result_of

if TYPE_CHECKING:
    import duckdb

_TEXT: Final = {b"u": c.c_int32, b"U": c.c_int64}


class _Schema(c.Structure):
    pass


class _Array(c.Structure):
    pass


class _Stream(c.Structure):
    pass


_Schema._fields_ = [
    ("format", c.c_char_p),
    ("name", c.c_char_p),
    ("metadata", c.c_char_p),
    ("flags", c.c_int64),
    ("n_children", c.c_int64),
    ("children", c.POINTER(c.POINTER(_Schema))),
    ("dictionary", c.POINTER(_Schema)),
    ("release", c.CFUNCTYPE(None, c.POINTER(_Schema))),
    ("private_data", c.c_void_p),
]
_Array._fields_ = [
    ("length", c.c_int64),
    ("null_count", c.c_int64),
    ("offset", c.c_int64),
    ("n_buffers", c.c_int64),
    ("n_children", c.c_int64),
    ("buffers", c.POINTER(c.c_void_p)),
    ("children", c.POINTER(c.POINTER(_Array))),
    ("dictionary", c.POINTER(_Array)),
    ("release", c.CFUNCTYPE(None, c.POINTER(_Array))),
    ("private_data", c.c_void_p),
]
_Stream._fields_ = [
    ("get_schema", c.CFUNCTYPE(c.c_int, c.POINTER(_Stream), c.POINTER(_Schema))),
    ("get_next", c.CFUNCTYPE(c.c_int, c.POINTER(_Stream), c.POINTER(_Array))),
    ("get_last_error", c.CFUNCTYPE(c.c_void_p, c.POINTER(_Stream))),
    ("release", c.CFUNCTYPE(None, c.POINTER(_Stream))),
    ("private_data", c.c_void_p),
]

_capsule_pointer = c.pythonapi.PyCapsule_GetPointer
_capsule_pointer.restype = c.c_void_p
_capsule_pointer.argtypes = [c.py_object, c.c_char_p]
_NAME: Final = b"arrow_array_stream"


@frozen
class Texts:
    """A column of texts in UTF-8: one buffer with all texts, and the offsets that divide it.

    Attributes:
        address: the address of the buffer's first byte.
        ends: the offset of each text in the buffer, and the end of the last one; a missing text is empty.
    """

    address: int
    ends: Any

    def between(self, start: int, stop: int) -> bytes:
        """Returns a copy of some of the bytes."""
        return c.string_at(self.address + start, stop - start) if stop > start else b""

    def array(self, start: int, count: int, kind: str) -> Any:
        """Returns some of the bytes as a numpy array of `count` items, without a copy: valid as long as the buffer."""
        import numpy as np  # noqa: PLC0415 - of the extra `files`, as the engine is

        taken: Any = (c.c_char * (np.dtype(kind).itemsize * count)).from_address(self.address + start)
        return np.frombuffer(taken, kind)


def read_stream(capsule: Any, failure: Callable[[str], Exception]) -> Iterator[tuple[bytes, Texts]]:
    """Yields the two columns of each record batch; the texts of a batch are freed when the caller asks for the next.

    Other threads can use the interpreter while the producer works.

    Args:
        capsule: what `__arrow_c_stream__` returned: a stream with a column of bytes and a column of texts.
        failure: returns the exception to raise when the producer fails; gets its message, which may contain values.
    """
    stream = _Stream.from_address(_capsule_pointer(capsule, _NAME))
    schema = _Schema()
    _check(stream, stream.get_schema(c.byref(stream), c.byref(schema)), failure)
    formats = [schema.children[position].contents.format for position in range(schema.n_children)]
    schema.release(c.byref(schema))
    while True:
        batch = _Array()
        _check(stream, stream.get_next(c.byref(stream), c.byref(batch)), failure)
        if not batch.release:
            return
        try:
            codes, texts = (batch.children[at].contents for at in range(2))
            yield _bytes(codes), _texts(texts, _TEXT[formats[1]])
        finally:
            batch.release(c.byref(batch))


def field_names(capsule: Any) -> tuple[str, ...]:
    """Returns the names of a stream's columns without consuming it; none if the stream is no table.

    Args:
        capsule: what `__arrow_c_stream__` returned.
    """
    stream = _Stream.from_address(_capsule_pointer(capsule, _NAME))
    schema = _Schema()
    if stream.get_schema(c.byref(stream), c.byref(schema)):
        return ()
    try:
        names = [schema.children[position].contents.name or b"" for position in range(schema.n_children)]
        return tuple(name.decode(errors="replace") for name in names) if schema.format == b"+s" else ()
    finally:
        schema.release(c.byref(schema))


def _check(stream: Any, failed: int, failure: Callable[[str], Exception]) -> None:
    if failed:
        raise failure(_last_error(stream).decode(errors="replace"))


def _last_error(stream: Any) -> bytes:
    address = stream.get_last_error(c.byref(stream))
    return c.string_at(address) if address else b""


def _bytes(array: Any) -> bytes:
    return c.string_at(array.buffers[1] + array.offset, array.length) if array.length else b""


def _texts(array: Any, number: Any) -> Texts:
    ends = (number * (array.length + 1)).from_address(array.buffers[1] + array.offset * c.sizeof(number))
    return Texts(array.buffers[2] or 0, ends)


_NUMBERS: Final = count(1)


def column_names(source: Any) -> tuple[str, ...] | None:
    """Returns a frame's column names as text, or `None` for anything but a frame of pandas, polars or pyarrow."""
    if hasattr(source, "iloc") and hasattr(source, "columns"):  # pandas, and libraries with its interface
        return tuple(map(str, source.columns))
    if _is_polars(source):
        return tuple(source.columns)
    if _is_pyarrow(source):
        return tuple(source.schema.names)
    return None


def row_count(source: Any) -> int | None:
    """Returns how many rows a frame, or a column of a frame, has; `None` if that is unknown before they are read."""
    is_known = hasattr(source, "iloc") or type(source).__module__.partition(".")[0] in {"polars", "pyarrow"}
    return len(source) if is_known and isinstance(source, Sized) else None


def with_columns(source: Any, positions: Sequence[int]) -> Any:
    """Returns a frame with some of its columns, in the given order.

    A frame of pandas loses its index, and its columns get unique names.

    Args:
        source: a frame for which `column_names` returns names.
        positions: the columns' positions, from 0.
    """
    if hasattr(source, "iloc"):
        taken = source.iloc[:, list(positions)].reset_index(drop=True)
        return taken.set_axis([f"column_{position + 1}" for position in positions], axis=1)
    if _is_polars(source):
        polars = sys.modules["polars"]
        # polars exports a column without a type without the bitmap of missing values that the engine requires.
        return source.select([source.columns[position] for position in positions]).cast({polars.Null: polars.String})
    if hasattr(source, "select"):
        return source.select(list(positions))
    return _reader_with(source, positions)


def _is_polars(source: Any) -> bool:
    return type(source).__module__.partition(".")[0] == "polars" and hasattr(source, "columns")


def _is_pyarrow(source: Any) -> bool:
    return type(source).__module__.partition(".")[0] == "pyarrow" and hasattr(source, "schema")


def _reader_with(reader: Any, positions: Sequence[int]) -> Any:
    """Returns a reader of the same record batches with some of their columns."""
    pyarrow = sys.modules["pyarrow"]
    schema = pyarrow.schema([reader.schema.field(position) for position in positions])

    def batches() -> Iterator[Any]:
        for batch in reader:
            yield batch.select(list(positions))

    return pyarrow.RecordBatchReader.from_batches(schema, batches())


def needed(names: Sequence[str], wanted: Collection[int], used: Collection[str] | None) -> list[int]:
    """Returns the positions of the columns to take.

    Args:
        names: the engine's names of all columns.
        wanted: positions of the columns with identifiers.
        used: names that a condition uses; `None` if they are not known.
    """
    known = {name.lower(): position for position, name in enumerate(names)}
    if used is None or not all(name.lower() in known for name in used):  # the condition's own error lists all columns
        return list(range(len(names)))
    return sorted({*wanted, *(known[name.lower()] for name in used)})


class Stream:
    """Wraps an object so that the engine sees only its Arrow stream and reads its rows in no other way.

    Args:
        source: the object.
        interruption: ends a wait for its rows.

    Attributes:
        name: the engine's name for it; unique, because an upload may read two streams, its source and its opt-outs.
        names: the object's own column names; set once the engine has asked for the stream.
        failure: the type of the exception that the object raised; empty without one.
    """

    def __init__(self, source: Any, interruption: Interruption) -> None:
        self._source = source
        self._interruption = interruption
        self.name = f"streamed_table_{next(_NUMBERS)}"
        self.names: tuple[str, ...] = ()
        self.failure = ""

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        try:
            capsule = interruptible(lambda: self._source.__arrow_c_stream__(requested_schema), self._interruption)
        except Exception as error:
            self.failure = type(error).__name__
            raise
        self.names = self.names or field_names(capsule)
        return capsule


def register(engine: "duckdb.DuckDBPyConnection", stream: Stream, label: str) -> dict[str, str]:
    """Registers a stream in the engine, and returns the types of its columns by the engine's names for them.

    Raises:
        ConfigurationError: when the object cannot export its rows, or a column has a type that the engine lacks.
    """
    unknown = False
    try:
        engine.register(stream.name, stream)
        described = engine.execute(f"DESCRIBE SELECT * FROM {query.name(stream.name)}").fetchall()
    except Exception as error:
        unknown = type(error).__name__ == "NotImplementedException"
        if not stream.failure and not unknown:
            raise
        described = []
    if stream.failure in {"ImportError", "ModuleNotFoundError"}:
        raise ConfigurationError(f"{label} needs pyarrow to hand over its rows: pip install pyarrow.")
    if stream.failure:  # outside of the handler: what the object raised may show values
        raise ConfigurationError(
            f"{label} cannot be handed over as Arrow ({stream.failure}): a column may hold values of several types, or "
            "two columns may share a name; pass the columns that are needed only."
        )
    if unknown:
        raise ConfigurationError(
            f"{label} has a column of a type that DuckDB does not know; pass the columns that are needed only."
        )
    return {str(column[0]): str(column[1]) for column in described}


def is_empty(engine: "duckdb.DuckDBPyConnection", source: Any, column: str, sql: str) -> bool:
    """Whether a column that is not text contains no value, because programs give an empty column an arbitrary type."""
    if not isinstance(source, Sized):  # it can be read only once
        return False
    value = f"TRY_CAST({query.name(column)} AS VARCHAR)"
    found = engine.execute(f"SELECT 1 FROM {sql} WHERE lower({value}) <> 'nan' LIMIT 1")
    return not found.fetchall()


def interruptible(export: Callable[[], Any], interruption: Interruption) -> Any:
    """Returns a stream with the rows of another stream; an interruption ends a read of it.

    A producer may block for ever. Therefore a separate thread calls it, one call at a time and none in advance: only
    that thread stays blocked.

    Args:
        export: returns the capsule of the other stream.
        interruption: ends the wait for the producer.
    """
    relay = _Relay(export, interruption)
    key = next(_KEYS)
    stream = _Stream(*_CALLBACKS, key)
    _OPEN[key] = relay
    _HELD[c.addressof(stream)] = stream
    return _new_capsule(c.addressof(stream), _NAME, _on_drop)


class _Relay:
    """Forwards calls to a producer. Only the worker thread calls it; `end` releases results that were not handed on."""

    def __init__(self, export: Callable[[], Any], interruption: Interruption) -> None:
        self.error = c.create_string_buffer(b"")
        self._interruption = interruption
        self._worker = Worker("criteo-audiences-table-rows")
        self._taken: list[Any] = []
        try:
            self._capsule = result_of(self._worker.call(export), interruption)
        except BaseException:
            self._worker.end()
            raise
        self._producer = _Stream.from_address(_capsule_pointer(self._capsule, _NAME))

    def hand_on(self, what: str, target: Any) -> int:
        """Calls the producer's function `what` and moves its result to the target; returns 0, or an error number."""
        given = type(target.contents)()
        try:
            failed = result_of(self._worker.call(self._take, what, given), self._interruption)
        except BaseException as error:  # noqa: BLE001 - the engine, which calls, knows error numbers only
            self.error = c.create_string_buffer(str(error).encode())
            return errno.EINTR
        if not failed:
            c.memmove(target, c.byref(given), c.sizeof(given))
            self._taken.clear()
        return failed

    def end(self) -> None:
        """Releases the producer."""
        closed = self._worker.call(self._close)
        self._worker.end()
        with suppress(Exception):  # such as an interruption
            result_of(closed, self._interruption)

    def _take(self, what: str, given: Any) -> int:
        failed: int = getattr(self._producer, what)(c.byref(self._producer), c.byref(given))
        if failed:
            self.error = c.create_string_buffer(_last_error(self._producer))
        else:
            self._taken.append(given)
        return failed

    def _close(self) -> None:
        for each in (*self._taken, self._producer):
            if each.release:
                each.release(c.byref(each))
        self._capsule = None


_KEYS: Final = count(1)
_OPEN: Final[dict[int, _Relay]] = {}
"""The relay of each open stream, by the stream's private data, because a reader may move the stream in memory."""
_HELD: Final[dict[int, _Stream]] = {}
"""The memory of each stream, by its address; kept until its capsule is destroyed."""


def _get_schema(stream: Any, target: Any) -> int:
    return _OPEN[stream.contents.private_data].hand_on("get_schema", target)


def _get_next(stream: Any, target: Any) -> int:
    return _OPEN[stream.contents.private_data].hand_on("get_next", target)


def _get_last_error(stream: Any) -> int:
    return c.addressof(_OPEN[stream.contents.private_data].error)


def _release(stream: Any) -> None:
    relay = _OPEN.pop(stream.contents.private_data)
    stream.contents.release = _TYPES["release"]()
    relay.end()


def _drop(capsule: int) -> None:
    stream = _HELD.pop(_address_of(capsule, _NAME))
    if stream.release:
        stream.release(c.byref(stream))


_TYPES: Final[dict[str, Any]] = {name: kind for name, kind, *_ in _Stream._fields_}
_CALLBACKS: Final = tuple(
    _TYPES[name](function)
    for name, function in (
        ("get_schema", _get_schema),
        ("get_next", _get_next),
        ("get_last_error", _get_last_error),
        ("release", _release),
    )
)
_DESTRUCTOR: Final = c.PYFUNCTYPE(None, c.c_void_p)
_on_drop: Final = _DESTRUCTOR(_drop)
_new_capsule = c.PYFUNCTYPE(c.py_object, c.c_void_p, c.c_char_p, _DESTRUCTOR)(("PyCapsule_New", c.pythonapi))
_address_of = c.PYFUNCTYPE(c.c_void_p, c.c_void_p, c.c_char_p)(("PyCapsule_GetPointer", c.pythonapi))
for _each in (*_CALLBACKS, _on_drop):  # the engine may call them after this module is gone
    c.pythonapi.Py_IncRef(c.py_object(_each))
