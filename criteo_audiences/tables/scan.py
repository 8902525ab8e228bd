"""One look at all of a text's bytes: clean UTF-8 or not, how many lines, and whether quotes pair up."""

import codecs
from collections.abc import Iterable
from typing import Final

from attrs import define, field

HEAD: Final = 1024 * 1024
"""Bytes kept from the beginning: the header and the first rows lie in them."""


@define
class Scan:
    """What the bytes of a text show; the text itself is not kept beyond its head.

    Attributes:
        head: the first bytes.
        whole: whether the head is all there is.
        has_nul: whether a zero byte occurs, which no text holds.
        is_utf8: whether all of it is UTF-8.
        line_ends: line ends, those within quotes included.
        quotes: double quotes.
        ends_line: whether the last byte ends a line.
    """

    head: bytes = field(default=b"", repr=False)
    whole: bool = True
    has_nul: bool = False
    is_utf8: bool = True
    quotes: int = 0
    ends_line: bool = True
    _feeds: int = 0
    _returns: int = 0
    _decoder: codecs.IncrementalDecoder = field(factory=codecs.getincrementaldecoder("utf-8"), repr=False)

    @property
    def line_ends(self) -> int:
        """Line feeds, or carriage returns where there are none (old spreadsheets for the Mac)."""
        return self._feeds or self._returns

    def read(self, chunks: Iterable[bytes]) -> None:
        """Looks at the pieces; stops early where they prove to be no clean UTF-8."""
        for chunk in chunks:
            self.look(chunk)
            if self.has_nul or not self.is_utf8:
                return
        self.is_utf8 = not self._decoder.getstate()[0]

    def look(self, chunk: bytes) -> None:
        """Looks at the next piece, in about a fifth of a millisecond for 256 KiB of ASCII."""
        self._keep(chunk)
        self.has_nul = self.has_nul or b"\0" in chunk
        self.quotes += chunk.count(b'"')
        self._feeds += chunk.count(b"\n")
        if not self._feeds:
            self._returns += chunk.count(b"\r")
        self.ends_line = chunk.endswith((b"\n", b"\r"))
        self._require_utf8(chunk)

    def _keep(self, chunk: bytes) -> None:
        room = HEAD - len(self.head)
        self.head += chunk[:room]
        self.whole = self.whole and len(chunk) <= room

    def _require_utf8(self, chunk: bytes) -> None:
        if chunk.isascii() and not self._decoder.getstate()[0]:
            return
        try:
            self._decoder.decode(chunk)
        except UnicodeDecodeError:
            self.is_utf8 = False
