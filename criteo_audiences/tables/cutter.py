"""Cuts the engine's output into batches.

The batches' bytes are already the inside of a JSON array, so that no identifier becomes a Python object.
"""

import itertools
import math
import mmap
import time
import weakref
from bisect import bisect_right
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

from criteo_audiences.batches import Batch
from criteo_audiences.models import HashAlgorithm, IdentifierType
from criteo_audiences.tables.engine.arrow import Texts
from criteo_audiences.tables.engine.query import FRAME, HASHED

if TYPE_CHECKING:
    import numpy as np

    _Bytes = np.ndarray[Any, np.dtype[np.uint8]]

_FRAME: Final = FRAME.encode()
_PIECE: Final = 262_144
_YIELD_EVERY: Final = 2
"""Pieces written before the thread releases the interpreter to the caller's event loop."""

_DIGESTS: Final = (32, 64)
"""Length of a digest in hexadecimal, MD5 and SHA-256; the file or the caller chose which."""


class Framing(Protocol):
    """Turns a column of texts into the inside of a JSON array."""

    added: int
    """Bytes that the framing adds to each text."""

    longest: float
    """Bytes that a text takes at most, including the added ones."""

    def write(self, target: "_Bytes", texts: Texts, row: int, stop: int, count: int) -> None:
        """Writes the strings of some rows, each followed by the frame that separates it from the next string.

        Args:
            target: where to write; exactly as long as the result.
            texts: the rows' texts; the text of a row that is not sent is empty.
            row: the first row.
            stop: the row after the last one.
            count: rows among them that are sent.
        """


def framing_of(algorithm: HashAlgorithm | None) -> Framing:
    """Returns the framing for a query's texts: clear text if `algorithm` is `None`, otherwise digests."""
    return FramedTexts() if algorithm is None else Digests()


class FramedTexts:
    """Texts of any length, which the query itself has framed already."""

    added = 0
    longest: float = math.inf

    def write(self, target: "_Bytes", texts: Texts, row: int, stop: int, count: int) -> None:
        """See `Framing.write`."""
        del stop, count  # the length of `target` is enough
        start = texts.ends[row]
        for number, at in enumerate(range(0, len(target), _PIECE), start=1):
            part = target[at : at + _PIECE]
            part[:] = texts.array(start + at, len(part), "u1")
            _give_way(number)


class Digests:
    """Digests as the engine returns them. They nearly always have one length, so that many are framed at once."""

    added = len(_FRAME)
    longest: float = _DIGESTS[-1] + added

    def write(self, target: "_Bytes", texts: Texts, row: int, stop: int, count: int) -> None:
        """See `Framing.write`."""
        import numpy as np  # noqa: PLC0415 - of the extra `files`, as the engine is

        start = texts.ends[row]
        length = (texts.ends[stop] - start) // count if count else 0
        if length not in _DIGESTS or start + length * count != texts.ends[stop]:
            _write_one_by_one(target, texts, row, stop)
            return
        framed = target.view([("digest", f"V{length}"), ("frame", f"V{len(_FRAME)}")])
        most = _PIECE // framed.itemsize
        for number, at in enumerate(range(0, count, most), start=1):
            part = framed[at : at + most]
            part["digest"] = texts.array(start + at * length, len(part), f"V{length}")
            part["frame"] = np.void(_FRAME)
            _give_way(number)


def _write_one_by_one(target: "_Bytes", texts: Texts, row: int, stop: int) -> None:
    written, most = target.data, _PIECE // _DIGESTS[-1]
    for number, at in enumerate(range(row, stop, most), start=1):
        ends = texts.ends[at : min(at + most, stop) + 1]
        each = (texts.between(start, end) for start, end in itertools.pairwise(ends) if start < end)
        framed = b"".join(digest + _FRAME for digest in each)
        written[: len(framed)] = framed
        written = written[len(framed) :]
        _give_way(number)


def _give_way(number: int) -> None:
    if not number % _YIELD_EVERY:
        time.sleep(0)  # lets the caller's event loop have the interpreter


class Shelf:
    """A pool of memory for batches. A block returns to the pool once nothing references the batch in it.

    The blocks are mapped from the operating system directly. The C library would return the memory of many batches in
    one step, which takes several milliseconds of the thread that frees the last one: the event loop's. It would then
    allocate it anew, page by page, for the next batches.

    Args:
        size: most bytes of a batch.
    """

    # Private pages, which take memory only once they are written to; Windows has no other kind.
    _PRIVATE: Final[dict[str, int]] = (
        {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}
    )

    def __init__(self, size: int) -> None:
        self._size = size
        self._free: list[mmap.mmap] = []
        self._is_closed = False

    def take(self, least: int) -> "_Bytes":
        """Returns memory for at least this many bytes; it returns to the pool once the array and its views are gone."""
        import numpy as np  # noqa: PLC0415 - of the extra `files`, as the engine is

        if least > self._size:
            return np.empty(least, np.uint8)
        memory = self._free.pop() if self._free else mmap.mmap(-1, self._size, **self._PRIVATE)
        lent = np.frombuffer(memory, np.uint8)
        weakref.finalize(lent, self._take_back, memory).atexit = False
        return lent

    def close(self) -> None:
        """Releases all memory; that of a batch still in use is released together with the batch."""
        self._is_closed = True
        self._free.clear()

    def _take_back(self, memory: mmap.mmap) -> None:
        if not self._is_closed:
            self._free.append(memory)


_GOES_OUT: Final = bytes(code <= HASHED for code in range(256))


class Cutter:
    """Collects prepared identifiers and cuts a batch whenever it is full, by count or by bytes.

    Args:
        kind: what the identifiers are.
        framing: how they become strings of a JSON array.
        size: identifiers per batch.
        max_bytes: bytes of identifiers per batch.
        number: returns the number of the next batch.
    """

    def __init__(
        self, kind: IdentifierType, framing: Framing, *, size: int, max_bytes: int, number: Callable[[], int]
    ) -> None:
        self._kind = kind
        self._framing = framing
        self._size = size
        self._max_bytes = max_bytes
        self._number = number
        self._shelf = Shelf(int(min(max_bytes, size * framing.longest)))
        self._memory: _Bytes | None = None
        self._count = 0
        self._bytes = 0

    def feed(self, codes: bytes, texts: Texts) -> Iterator[Batch]:
        """Takes in a chunk of rows and yields each batch that it fills.

        Args:
            codes: one code per row; rows with a code up to `HASHED` are sent.
            texts: the text that the framing expects for each row that is sent, an empty one for the others.
        """
        goes_out = codes.translate(_GOES_OUT)
        row = 0
        while row < len(codes):
            stop = self._stop(goes_out, texts, row)
            self._take(goes_out, texts, row, stop)
            row = stop
            if self._count and (row < len(codes) or self._count == self._size):
                yield self._cut(full=True)

    def flush(self) -> Iterator[Batch]:
        """Yields the remaining identifiers as an incomplete batch, if there are any."""
        if self._count:
            yield self._cut(full=False)

    def close(self) -> None:
        """Releases the memory that no batch uses."""
        self._memory = None
        self._shelf.close()

    def _stop(self, goes_out: bytes, texts: Texts, row: int) -> int:
        """Returns the row at which the next batch begins, or the end of the chunk.

        Rows that are not sent take no room in a batch. They are rare, so the search counts them in whole ranges.
        """
        stop, room = row, self._size - self._count
        while room and stop < len(goes_out):
            passed = min(room, len(goes_out) - stop)
            room += goes_out.count(0, stop, stop + passed) - passed
            stop += passed
        space = max(0, self._max_bytes - self._bytes)
        if self._framed(goes_out, texts, row, stop) <= space:
            return stop
        sizes = partial(self._framed, goes_out, texts, row)
        fitting = row + bisect_right(range(row, stop + 1), space, key=sizes) - 1
        return row + 1 if fitting == row and not self._count else fitting  # larger than a body: sent alone

    def _framed(self, goes_out: bytes, texts: Texts, row: int, stop: int) -> int:
        """Returns how many bytes some rows take, framed."""
        size: int = texts.ends[stop] - texts.ends[row]
        return size + self._framing.added * goes_out.count(1, row, stop)

    def _take(self, goes_out: bytes, texts: Texts, row: int, stop: int) -> None:
        size = self._framed(goes_out, texts, row, stop)
        if not size:
            return
        if self._memory is None:
            self._memory = self._shelf.take(size)
        target = self._memory[self._bytes : self._bytes + size]
        count = goes_out.count(1, row, stop)
        self._framing.write(target, texts, row, stop, count)
        self._count += count
        self._bytes += size

    def _cut(self, *, full: bool) -> Batch:
        assert self._memory is not None  # noqa: S101 - there is something to cut
        text: memoryview = self._memory.data
        written = text[: self._bytes - len(_FRAME) + 1]  # the last frame begins with a quote
        pieces = tuple(memoryview(written)[at : at + _PIECE] for at in range(0, len(written), _PIECE))
        batch = Batch(number=self._number(), count=self._count, full=full, kind=self._kind, pieces=(b'"', *pieces))
        self._memory, self._count, self._bytes = None, 0, 0
        return batch
