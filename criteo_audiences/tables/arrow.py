"""Reads an Arrow stream of texts and small numbers, without pyarrow: columns arrive as bytes, not as Python objects.

Source: the Arrow C data and C stream interfaces, and their PyCapsule protocol (Arrow documentation, "Format").
"""

import ctypes as c
from collections.abc import Callable, Iterator
from typing import Any, Final

from attrs import frozen

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
    ("get_last_error", c.CFUNCTYPE(c.c_char_p, c.POINTER(_Stream))),
    ("release", c.CFUNCTYPE(None, c.POINTER(_Stream))),
    ("private_data", c.c_void_p),
]

_capsule_pointer = c.pythonapi.PyCapsule_GetPointer
_capsule_pointer.restype = c.c_void_p
_capsule_pointer.argtypes = [c.py_object, c.c_char_p]


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

    def view(self, start: int, stop: int) -> Any:
        """Returns some of the bytes as they lie there, for as long as they do."""
        return (c.c_char * (stop - start)).from_address(self.address + start)


def read_stream(capsule: Any, failure: Callable[[str], Exception]) -> Iterator[tuple[bytes, Texts]]:
    """Yields the two columns of one record batch after the other; the texts are gone when the next one is asked for.

    The interpreter is free for other threads while the producer works.

    Args:
        capsule: what `__arrow_c_stream__` returned: a column of bytes, and one of texts.
        failure: returns what to raise when the producer fails, given its message, which may hold values.
    """
    stream = _Stream.from_address(_capsule_pointer(capsule, b"arrow_array_stream"))
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
    """Returns the names of a stream's columns, which stays as it is; none of a stream that is no table.

    Args:
        capsule: what `__arrow_c_stream__` returned.
    """
    stream = _Stream.from_address(_capsule_pointer(capsule, b"arrow_array_stream"))
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
        message = stream.get_last_error(c.byref(stream)) or b""
        raise failure(message.decode(errors="replace"))


def _bytes(array: Any) -> bytes:
    return c.string_at(array.buffers[1] + array.offset, array.length) if array.length else b""


def _texts(array: Any, number: Any) -> Texts:
    ends = (number * (array.length + 1)).from_address(array.buffers[1] + array.offset * c.sizeof(number))
    return Texts(array.buffers[2] or 0, ends)
