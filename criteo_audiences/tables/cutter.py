"""Cuts what the engine prepared into batches: its bytes are the inside of a JSON array already."""

import itertools
import time
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

_FRAME: Final = FRAME.encode()
_PIECE: Final = 131_072
_YIELD_EVERY: Final = 4
"""Pieces after which the caller's event loop gets the interpreter."""

_DIGESTS: Final = (32, 64)
"""How long a digest in hexadecimal is: MD5 or SHA-256, whichever the file or the caller chose."""


class Framing(Protocol):
    """A way from a column of texts to the inside of a JSON array."""

    added: int
    """Bytes that each text gets."""

    def pieces(self, texts: Texts, row: int, stop: int, count: int) -> Iterator[bytes]:
        """Yields some rows' strings, in pieces none of which is empty.

        Args:
            texts: of the rows; one that does not go out has none.
            row: the first.
            stop: the row behind the last.
            count: rows among them that go out.
        """


def framing_of(algorithm: HashAlgorithm | None) -> Framing:
    """Returns the framing that goes with a query's texts."""
    return FramedTexts() if algorithm is None else Digests()


class FramedTexts:
    """Texts of any length, which the query has framed."""

    added = 0

    def pieces(self, texts: Texts, row: int, stop: int, count: int) -> Iterator[bytes]:
        """See `Framing.pieces`."""
        del count  # their bytes are enough
        start, end = texts.ends[row], texts.ends[stop]
        for number, at in enumerate(range(start, end, _PIECE), start=1):
            yield texts.between(at, min(at + _PIECE, end))
            _give_way(number)


class Digests:
    """Digests as the engine returns them: of one length nearly always, so that many are framed at once."""

    added = len(_FRAME)

    def __init__(self) -> None:
        self._blank = {length: _blank(length) for length in _DIGESTS}

    def pieces(self, texts: Texts, row: int, stop: int, count: int) -> Iterator[bytes]:
        """See `Framing.pieces`."""
        start = texts.ends[row]
        length = (texts.ends[stop] - start) // count if count else 0
        if length not in self._blank or start + length * count != texts.ends[stop]:
            yield from _one_by_one(texts, row, stop)
            return
        blank = self._blank[length]
        for number, at in enumerate(range(0, count, len(blank)), start=1):
            framed = blank[: count - at]
            framed["digest"] = _digests(texts, start + at * length, length, len(framed))
            yield framed.tobytes()
            _give_way(number)


def _blank(length: int) -> "np.ndarray[Any, Any]":
    import numpy as np  # noqa: PLC0415 - of the extra `files`, as the engine is

    blank = np.empty(_PIECE // (length + len(_FRAME)), [("digest", f"V{length}"), ("frame", f"V{len(_FRAME)}")])
    blank["frame"] = np.void(_FRAME)
    return blank


def _digests(texts: Texts, start: int, length: int, count: int) -> "np.ndarray[Any, Any]":
    import numpy as np  # noqa: PLC0415 - see above

    return np.frombuffer(texts.view(start, start + length * count), f"V{length}")


def _one_by_one(texts: Texts, row: int, stop: int) -> Iterator[bytes]:
    for number, at in enumerate(range(row, stop, _PIECE // _DIGESTS[-1]), start=1):
        ends = texts.ends[at : min(at + _PIECE // _DIGESTS[-1], stop) + 1]
        each = (texts.between(start, end) for start, end in itertools.pairwise(ends) if start < end)
        if framed := b"".join(digest + _FRAME for digest in each):
            yield framed
        _give_way(number)


def _give_way(number: int) -> None:
    if not number % _YIELD_EVERY:
        time.sleep(0)  # lets the caller's event loop have the interpreter


_GOES_OUT: Final = bytes(code <= HASHED for code in range(256))


class Cutter:
    """Collects prepared identifiers and cuts a batch whenever one is full, by count or by bytes.

    Args:
        kind: what the identifiers are.
        framing: how they become strings of a JSON array.
        size: identifiers a batch.
        max_bytes: bytes of identifiers a batch.
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
        self._pieces: list[bytes] = []
        self._count = 0
        self._bytes = 0

    def feed(self, codes: bytes, texts: Texts) -> Iterator[Batch]:
        """Takes a chunk of rows in and yields each batch it fills.

        Args:
            codes: one a row; those up to `HASHED` have a text.
            texts: what the framing takes for each row that goes out, nothing for the others.
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
        """Yields what is left, an incomplete batch, if there is anything."""
        if self._count:
            yield self._cut(full=False)

    def _stop(self, goes_out: bytes, texts: Texts, row: int) -> int:
        """Returns the row before which the batch is full, or the end of the chunk.

        What does not go out is counted, since it is rare: the search skips from one to the next.
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
        return row + 1 if fitting == row and not self._count else fitting  # one larger than a body goes out alone

    def _framed(self, goes_out: bytes, texts: Texts, row: int, stop: int) -> int:
        """Returns the bytes that some rows come to."""
        size: int = texts.ends[stop] - texts.ends[row]
        return size + self._framing.added * goes_out.count(1, row, stop)

    def _take(self, goes_out: bytes, texts: Texts, row: int, stop: int) -> None:
        count = goes_out.count(1, row, stop)
        self._pieces += self._framing.pieces(texts, row, stop, count)
        self._count += count
        self._bytes += self._framed(goes_out, texts, row, stop)

    def _cut(self, *, full: bool) -> Batch:
        tail = b"".join(self._pieces[-2:])  # a piece may end within the frame
        pieces = (b'"', *self._pieces[:-2], tail.removesuffix(_FRAME) + b'"')
        batch = Batch(number=self._number(), count=self._count, full=full, kind=self._kind, pieces=pieces)
        self._pieces, self._count, self._bytes = [], 0, 0
        return batch
