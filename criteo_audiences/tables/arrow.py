"""Reads an Arrow stream of texts and small numbers, without pyarrow: columns arrive as bytes, not as Python objects.

Source: the Arrow C data and C stream interfaces, and their PyCapsule protocol (Arrow documentation, "Format").
"""

import ctypes as c
from collections.abc import Iterator
from typing import Any, Final

from attrs import frozen

_TEXT: Final = {b"u": c.c_int32, b"U": c.c_int64}
_NUMBERS: Final = {b"C": c.c_uint8, b"l": c.c_int64}


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
    ("get_last_error", c.CFUNCTYPE(c.c_char_p, c.POINTER(_Stream))),
    ("release", c.CFUNCTYPE(None, c.POINTER(_Stream))),
    ("private_data", c.c_void_p),
]

_capsule_pointer = c.pythonapi.PyCapsule_GetPointer
_capsule_pointer.restype = c.c_void_p
_capsule_pointer.argtypes = [c.py_object, c.c_char_p]


class StreamFailedError(OSError):
    """The producer of a stream gave up.

    Attributes:
        kind: what it calls the kind of failure; the rest of its message may hold values.
    """

    def __init__(self, kind: str) -> None:
        super().__init__("The table cannot be read further.")
        self.kind = kind


@frozen
class Numbers:
    """A column of small numbers.

    Attributes:
        values: one number a row, as the bytes hold them.
    """

    values: Any

    def tobytes(self) -> bytes:
        """Returns a copy of the bytes."""
        return bytes(self.values)


@frozen
class Texts:
    """A column of texts in UTF-8: all of them one behind the other, and where each ends.

    Attributes:
        address: of the first byte.
        ends: where each text begins in those bytes, and at last where the final one ends; a missing text is empty.
    """

    address: int
    ends: Any

    def between(self, start: int, stop: int) -> bytes:
        """Returns a copy of some of the bytes."""
        return c.string_at(self.address + start, stop - start) if stop > start else b""

    def text(self, row: int) -> str:
        """Returns one text."""
        return self.between(self.ends[row], self.ends[row + 1]).decode()


def read_stream(capsule: Any) -> Iterator[list[Numbers | Texts]]:
    """Yields the columns of one record batch after the other; they are gone when the next one is asked for.

    The interpreter is free for other threads while the producer works.

    Args:
        capsule: what `__arrow_c_stream__` returned.

    Raises:
        StreamFailedError: when the producer fails; its message is not shown, because it may hold values.
    """
    stream = _Stream.from_address(_capsule_pointer(capsule, b"arrow_array_stream"))
    schema = _Schema()
    _check(stream, stream.get_schema(c.byref(stream), c.byref(schema)))
    formats = [schema.children[position].contents.format for position in range(schema.n_children)]
    schema.release(c.byref(schema))
    while True:
        batch = _Array()
        _check(stream, stream.get_next(c.byref(stream), c.byref(batch)))
        if not batch.release:
            return
        try:
            yield [_column(kind, batch.children[at].contents) for at, kind in enumerate(formats)]
        finally:
            batch.release(c.byref(batch))


def _check(stream: Any, failed: int) -> None:
    if failed:
        message = stream.get_last_error(c.byref(stream)) or b""
        raise StreamFailedError(message.partition(b":")[0].decode("ascii", "replace"))


def _column(kind: bytes, array: Any) -> Numbers | Texts:
    if kind in _NUMBERS:
        number = _NUMBERS[kind]
        address = (array.buffers[1] or 0) + array.offset * c.sizeof(number)
        return Numbers((number * array.length).from_address(address) if array.length else b"")
    number = _TEXT[kind]
    ends = (number * (array.length + 1)).from_address(array.buffers[1] + array.offset * c.sizeof(number))
    return Texts(array.buffers[2] or 0, ends)
