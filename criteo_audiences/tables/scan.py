"""One look at all of a text's bytes: clean UTF-8 or not, how many lines, and whether quotes pair up."""

import codecs
from collections.abc import Iterable
from typing import Final

from attrs import define, field

HEAD: Final = 512 * 1024
"""Bytes kept from the beginning: the header and the first rows lie in them. Fewer than a cell may have."""

# Line ends are counted in the head and in every so-manieth piece after it: counting them takes far longer than all
# else, and how many rows there are is an estimate anyway, because cells may span lines.
_COUNTED_ONE_IN: Final = 16


@define
class Scan:
    """What the bytes of a text show; the text itself is not kept beyond its head.

    Attributes:
        head: the first bytes.
        size: bytes in all.
        has_nul: whether a zero byte occurs, which no text holds.
        is_utf8: whether all of it is UTF-8.
        quotes: double quotes.
        longest: bytes of the longest line, where that is longer than a piece; the last one without an end counts.
    """

    head: bytes = field(default=b"", repr=False)
    size: int = 0
    has_nul: bool = False
    is_utf8: bool = True
    quotes: int = 0
    longest: int = 0
    _since_line_end: int = 0
    _ends_line: bool = True
    _pieces: int = 0
    _counted: int = 0
    _feeds: int = 0
    _returns: int = 0
    _decoder: codecs.IncrementalDecoder = field(factory=codecs.getincrementaldecoder("utf-8"), repr=False)

    @property
    def whole(self) -> bool:
        """Whether the head is all there is."""
        return self.size == len(self.head)

    @property
    def lines(self) -> int:
        """About how many lines there are; exactly, when the head is all there is."""
        ends = self._feeds or self._returns  # carriage returns alone: old spreadsheets for the Mac
        return round(ends * self.size / max(1, self._counted)) + (not self._ends_line)

    def read(self, chunks: Iterable[bytes]) -> None:
        """Looks at the pieces; stops early where they prove to be no clean UTF-8."""
        for chunk in chunks:
            self.look(chunk)
            if self.has_nul or not self.is_utf8:
                return
        self.is_utf8 = not self._decoder.getstate()[0]

    def look(self, chunk: bytes) -> None:
        """Looks at the next piece."""
        self.has_nul = self.has_nul or b"\0" in chunk
        if b'"' in chunk:  # far faster to find than to count
            self.quotes += chunk.count(b'"')
        if self.whole or not self._pieces % _COUNTED_ONE_IN:
            self._count_lines(chunk)
        self._measure_lines(chunk)
        self._ends_line = chunk.endswith((b"\n", b"\r"))
        self._require_utf8(chunk)
        self.head += chunk[: HEAD - len(self.head)]
        self.size += len(chunk)
        self._pieces += 1

    def _count_lines(self, chunk: bytes) -> None:
        self._counted += len(chunk)
        self._feeds += chunk.count(b"\n")
        if not self._feeds:
            self._returns += chunk.count(b"\r")

    def _measure_lines(self, chunk: bytes) -> None:
        """Only lines that reach beyond a piece are measured: the engine bears all that are shorter."""
        end = b"\n" if b"\n" in chunk else b"\r"
        first = chunk.find(end)
        self._since_line_end += len(chunk) if first < 0 else first
        self.longest = max(self.longest, self._since_line_end)
        if first >= 0:
            self._since_line_end = len(chunk) - chunk.rfind(end) - 1

    def _require_utf8(self, chunk: bytes) -> None:
        if chunk.isascii() and not self._decoder.getstate()[0]:
            return
        try:
            self._decoder.decode(chunk)
        except UnicodeDecodeError:
            self.is_utf8 = False
