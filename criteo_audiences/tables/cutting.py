"""Cuts what the engine prepared into batches: its bytes are the inside of a JSON array already."""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from criteo_audiences.batches import Batch
from criteo_audiences.models import IdentifierType
from criteo_audiences.tables.arrow import Texts
from criteo_audiences.tables.framing import Framing
from criteo_audiences.tables.query import FRAME, HASHED

_FRAME: Final = FRAME.encode()
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
