"""Cuts what the engine prepared into batches: its bytes are the inside of a JSON array already."""

from collections.abc import Callable, Iterator
from typing import Final

from criteo_audiences.batches import Batch
from criteo_audiences.models import IdentifierType
from criteo_audiences.tables.arrow import Texts

SENT: Final = 2
"""Codes below it go out: 0 an identifier, 1 one that came as a digest."""

_PIECE: Final = 32_768
_GOES_OUT: Final = bytes(code < SENT for code in range(256))


class Cutter:
    """Collects prepared identifiers and cuts a batch whenever one is full, by count or by bytes.

    Args:
        kind: what the identifiers are.
        size: identifiers a batch.
        max_bytes: bytes of identifiers a batch.
        number: returns the number of the next batch.
    """

    def __init__(self, kind: IdentifierType, *, size: int, max_bytes: int, number: Callable[[], int]) -> None:
        self._kind = kind
        self._size = size
        self._max_bytes = max_bytes
        self._number = number
        self._pieces: list[bytes] = []
        self._count = 0
        self._bytes = 0

    def feed(self, codes: bytes, texts: Texts) -> Iterator[Batch]:
        """Takes a chunk of rows in and yields each batch it fills.

        Args:
            codes: one a row; those below `SENT` have a text.
            texts: a comma and a JSON string for each row that goes out, nothing for the others.
        """
        goes_out = codes.translate(_GOES_OUT)
        row = 0
        while row < len(codes):
            stop = self._stop(goes_out, texts, row)
            self._take(goes_out.count(1, row, stop), texts, row, stop)
            row = stop
            if row < len(codes) or self._count == self._size:
                yield self._cut(full=True)

    def flush(self) -> Iterator[Batch]:
        """Yields what is left, an incomplete batch, if there is anything."""
        if self._count:
            yield self._cut(full=False)

    def _stop(self, goes_out: bytes, texts: Texts, row: int) -> int:
        """Returns the row before which the batch is full, by binary search, or the end of the chunk."""
        room, space = self._size - self._count, self._max_bytes - self._bytes
        least, most = row, len(goes_out)
        while least < most:
            middle = (least + most + 1) // 2
            fits = goes_out.count(1, row, middle) <= room and texts.ends[middle] - texts.ends[row] <= space
            least, most = (middle, most) if fits else (least, middle - 1)
        if least == row and not self._count:
            return row + 1  # a single identifier larger than a body goes out alone
        return least

    def _take(self, count: int, texts: Texts, row: int, stop: int) -> None:
        start, end = texts.ends[row], texts.ends[stop]
        if count and not self._count:
            start += 1  # no comma before the first
        self._pieces += [texts.between(at, min(at + _PIECE, end)) for at in range(start, end, _PIECE)]
        self._count += count
        self._bytes += end - start

    def _cut(self, *, full: bool) -> Batch:
        number, pieces = self._number(), tuple(self._pieces)
        batch = Batch(number=number, count=self._count, full=full, kind=self._kind, pieces=pieces)
        self._pieces, self._count, self._bytes = [], 0, 0
        return batch
