"""Lays identifiers out as the strings of a JSON array; joined, they lack a quote in front and end with a `FRAME`."""

import itertools
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, Protocol

from criteo_audiences.models import HashAlgorithm
from criteo_audiences.tables.arrow import Texts
from criteo_audiences.tables.query import FRAME

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
