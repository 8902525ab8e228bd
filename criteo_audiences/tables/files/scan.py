"""Scans all bytes of a text once: its encoding, its rows, and whether its quotes conform to RFC 4180."""

import codecs
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from attrs import define, field

if TYPE_CHECKING:
    import numpy as np

    _Letters = np.ndarray[Any, np.dtype[np.uint8]]
    _Flags = np.ndarray[Any, np.dtype[np.bool_]]
    _Places = np.ndarray[Any, np.dtype[np.intp]]

HEAD: Final = 512 * 1024
"""Bytes kept from the beginning, which contain the header and the first rows. A single cell may be longer."""

_FEED, _RETURN, _QUOTE, _AT_SIGN, _ZERO = b'\n\r"@0'
_EXPECTED: Final = b'\n\r",;\t|'  # around quotes; the delimiter is one of these nearly always
_PIECE: Final = 128 * 1024
_FIRST_KEPT: Final = 1_000
_MOST_KEPT: Final = 10_000
_MOST_BYTES_KEPT: Final = 32 * 1024 * 1024
_LINE: Final = re.compile(rb"[^\r\n]*")
_DIGITS: Final = 7  # of a phone number; digests and device ids have more


@define
class Scan:
    """The findings from the bytes of a text; only its beginning is kept.

    The scan follows rows and quotes by the grammar of RFC 4180 without knowing the delimiter. The byte before a quote
    that opens a cell and the byte after a quote that closes one must be a delimiter or a line end. Two quotes in a row
    close and reopen the same cell. The bytes in these places are collected. Once the delimiter is known, they show
    whether every quote is in its place.

    Attributes:
        head: the first bytes.
        size: bytes in all.
        has_nul: whether there is a zero byte, which no text contains.
        is_utf8: whether all of it is UTF-8.
        lines: lines that are not empty.
        rows: lines that are not empty and do not continue a quoted cell.
        quotes: double quotes.
        longest: bytes of the longest line, exact only if it is longer than a piece; a last line without an end counts.
        continued: lines that continue a quoted cell, each with the number of its row, from 1, and the line before it:
            the first thousand, and some thousands of later ones that may contain an identifier. At most some 32 MiB
            are kept, so fewer of long lines.
    """

    head: bytes = field(default=b"", repr=False)
    size: int = 0
    has_nul: bool = False
    is_utf8: bool = True
    lines: int = 0
    rows: int = 0
    quotes: int = 0
    longest: int = 0
    continued: list[tuple[int, bytes, bytes]] = field(factory=list, repr=False)
    _has_feeds: bool = False
    _has_returns: bool = False  # returns without a line feed after them
    _since_line_end: int = 0
    _around: bytes = b""  # the last two bytes so far; the second is not examined yet, since its successor is unknown
    _recent: bytes = field(default=b"", repr=False)  # the latest bytes, at least a piece if there are as many
    _bytes_kept: int = 0
    _is_cut: bool = False  # whether the line kept last continues in the next piece
    _in_quotes: int = 0
    _may_quote_all: bool = True  # whether every cell may be quoted, so that a faster method is worth trying
    _neighbors: set[int] = field(factory=set)  # bytes before quotes that open and after quotes that close
    _room: "_Flags | None" = field(default=None, repr=False)
    _decoder: codecs.IncrementalDecoder = field(factory=codecs.getincrementaldecoder("utf-8"), repr=False)

    @property
    def whole(self) -> bool:
        """Whether `head` is the whole text."""
        return self.size == len(self.head)

    def has_clean_quotes(self, delimiter: str) -> bool:
        """Whether every quote opens or closes a quoted cell or is doubled in one, so that all readers agree.

        Readers also disagree about text with both carriage returns and line feeds as line ends; it is not clean.

        Args:
            delimiter: the character between cells.
        """
        return self.has_fitting_quotes(delimiter) and not (self._has_returns and self._has_feeds)

    def has_fitting_quotes(self, delimiter: str) -> bool:
        """Whether every quote is in a place that RFC 4180 allows; line ends do not matter."""
        return not self._in_quotes and self._neighbors <= {*delimiter.encode(), _FEED, _RETURN, _QUOTE}

    def read(self, chunks: Iterable[bytes]) -> None:
        """Scans the pieces up to the end; stops early once it is clear that they are not clean UTF-8."""
        for chunk in chunks:
            self.look(chunk)
            if self.has_nul or not self.is_utf8:
                return
        self.end()

    def seen(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Scans pieces and passes them on, up to the end."""
        for chunk in chunks:
            self.look(chunk)
            yield chunk
        self.end()

    def look(self, chunk: bytes) -> None:
        """Scans the next piece."""
        self._has_feeds = self._has_feeds or b"\n" in chunk
        self._measure_lines(chunk)
        self._require_text(chunk)
        text = chunk
        if not self.size:
            text = chunk.removeprefix(codecs.BOM_UTF8)
            self._around = b"\n"  # a text begins as after a line end
            self.rows = self.lines = int(text[:1] not in {b"", b"\n", b"\r"})
        if not self._count(text):
            for start in range(0, len(text), _PIECE):
                self._follow(text[start : start + _PIECE])
        self.head += chunk[: HEAD - len(self.head)]
        self.size += len(chunk)

    def end(self) -> None:
        """Finishes the scan after the last piece."""
        if self._around:
            self._follow(b"\n")
        self.is_utf8 = self.is_utf8 and not self._decoder.getstate()[0]

    def _count(self, text: bytes) -> bool:
        """Counts the rows that begin in a piece by a fast method; returns false if the method is not applicable.

        It is for pieces without quotes in which all lines end with a line feed, or all with a carriage return and a
        line feed. The memory for it is reused.
        """
        import numpy as np  # noqa: PLC0415 - of the extra `files`, as the engine is

        if len(text) < len(b"\n\n") or self._in_quotes or self._is_cut or self._around[1:] in {b'"', b"\r"}:
            return False
        if b'"' in text:
            return False
        letters, found = np.frombuffer(text, np.uint8), self._room_for(len(text)).view(np.uint8)
        ends, starts, begins = found[0], found[0], found[2][:-1]  # a line end may begin with a carriage return
        np.equal(letters, _FEED, out=ends.view(np.bool_))
        if b"\r" in text:
            starts = found[1]
            np.equal(letters, _RETURN, out=starts.view(np.bool_))
            differ = np.not_equal(starts[:-1], ends[1:], out=begins.view(np.bool_))
            if ends[0] or starts[-1] or differ.any():
                return False
        np.greater(ends[:-1], starts[1:], out=begins.view(np.bool_))
        begun = int(np.count_nonzero(begins)) + (self._around[1:] == b"\n" and not starts[0])
        self._around = text[-2:]
        self._recent = text if len(text) >= _PIECE else (self._recent + text)[-_PIECE:]
        self.lines += begun
        self.rows += begun
        return True

    def _room_for(self, size: int) -> "_Flags":
        """Returns memory for three flags per byte; it is reused, because new memory is mapped slowly, page by page."""
        import numpy as np  # noqa: PLC0415 - see above

        if self._room is None or len(self._room[0]) < size:
            self._room = np.empty((3, size + len(b"\n\n")), np.bool_)
        return self._room[:, :size]

    def _follow(self, chunk: bytes) -> None:
        """Counts the rows that begin in a piece, and collects the neighbors of quotes."""
        import numpy as np  # noqa: PLC0415 - of the extra `files`, as the engine is

        window = self._around + chunk
        already = len(self._around)
        self._around = window[-2:]
        if self._is_cut:
            self._complete(chunk)
        letters = np.frombuffer(window, np.uint8)
        room = self._room_for(len(window))
        ends = feeds = np.equal(letters, _FEED, out=room[0])
        if b"\r" in window:
            returns = letters == _RETURN
            self._has_returns = self._has_returns or bool(np.count_nonzero(returns[1:-1] > feeds[2:]))
            ends = feeds | returns
        flags = ends.view(np.uint8)  # numpy compares them faster than truth values
        # Places where a line ends and a line follows that is not empty.
        begins = np.greater(flags[1:-1], flags[2:], out=room[1][1:-1])
        begun = int(np.count_nonzero(begins))
        inside = parts = quotes = np.empty(0, np.intp)
        if window.find(b'"', 1, -1) < 0:
            if self._in_quotes:
                inside = np.flatnonzero(begins)
                parts = np.zeros_like(inside)
        elif not self._quotes_all_cells(window, letters, feeds, begun):
            inside, parts, quotes = self._follow_quotes(letters, begins)
        kept = self._worth_keeping(letters[1:-1], parts, quotes) if len(inside) else ()
        last_line = _last_line(self._recent) if kept else b""
        text = last_line + chunk
        for before in kept:
            end = int(inside[before])
            row = self.rows + int(np.count_nonzero(begins[:end])) - before
            self._keep(row, text, end + 2 - already + len(last_line))
        self._recent = chunk if len(chunk) >= _PIECE else (self._recent + chunk)[-_PIECE:]
        self.lines += begun
        self.rows += begun - len(inside)

    def _quotes_all_cells(self, window: bytes, letters: "_Letters", feeds: "_Flags", begun: int) -> bool:
        """Follows the quotes in a piece by a fast method; returns false if the method is not applicable.

        It is for pieces in which every cell is quoted and no cell contains a quote or a line end. Between two cells are
        then three bytes: a quote that closes a cell, another byte, and a quote that opens the next cell. Every quote is
        in its place if these triples do not overlap and contain all quotes, except perhaps a first one that opens a
        cell and a last one that closes a cell.
        """
        import numpy as np  # noqa: PLC0415 - see above

        between = self._neighbors - {_FEED, _RETURN, _QUOTE}
        if not self._may_quote_all or len(between) != 1 or _FEED in {*window[:2], *window[-2:]}:
            return False
        self._may_quote_all = False  # until this piece has proved it; otherwise the next try would fail, too
        inner, ends = letters[1:-1], feeds[2:-2]
        is_quote = inner == _QUOTE
        threes = is_quote[:-2] & is_quote[2:] & ((inner[1:-1] == between.pop()) | ends)
        quotes, pairs = int(np.count_nonzero(is_quote)), int(np.count_nonzero(threes))
        first, last = window.find(b'"', 1), window.rfind(b'"', 0, -1)
        opens_first = not self._in_quotes
        closes_last = (quotes - opens_first) % 2 == 1
        if quotes != 2 * pairs + opens_first + closes_last or (threes[:-2] & threes[2:]).any():
            return False
        if opens_first and threes[first - 1 : first].any():
            return False
        if closes_last and threes[max(0, last - 3) : max(0, last - 2)].any():
            return False
        if begun != int(np.count_nonzero(threes & ends)) + (closes_last and window[last + 1] == _FEED):
            return False
        self._may_quote_all = True
        self._neighbors.update(window[first - 1 : first] if opens_first else b"")
        self._neighbors.update(window[last + 1 : last + 2] if closes_last else b"")
        self.quotes += quotes
        self._in_quotes = (self._in_quotes + quotes) % 2
        return True

    def _follow_quotes(self, letters: "_Letters", begins: "_Flags") -> tuple["_Places", "_Places", "_Places"]:
        """Collects the neighbors of quotes.

        Returns:
            The places of lines that begin within a quoted cell, the number of quotes before each, and the places of
            all quotes.
        """
        import numpy as np  # noqa: PLC0415 - see above

        # Quotes and line ends in one list: a line that begins within a cell follows an odd number of quotes in it.
        inner = letters[1:-1]
        marks = np.equal(inner, _QUOTE, out=self._room_for(len(letters))[2][1:-1])
        events = np.flatnonzero(np.logical_or(marks, begins, out=marks))
        is_quote = inner[events] == _QUOTE
        quotes = events[is_quote]
        opened_after = letters[:-2][quotes[self._in_quotes :: 2]].tobytes()
        closed_before = letters[2:][quotes[1 - self._in_quotes :: 2]].tobytes()
        for found in (opened_after, closed_before):
            self._neighbors.update(byte for byte in _EXPECTED if byte in found)
            self._neighbors.update(found.translate(None, _EXPECTED))
        is_open = np.bitwise_xor.accumulate(is_quote) ^ bool(self._in_quotes)  # after each event
        inside = events[is_open & ~is_quote]
        self.quotes += len(quotes)
        self._in_quotes = (self._in_quotes + len(quotes)) % 2
        return inside, np.searchsorted(quotes, inside), quotes

    def _worth_keeping(self, inner: "_Letters", parts: "_Places", quotes: "_Places") -> Sequence[int]:
        """Returns which lines that continue a quoted cell to keep, as their indices.

        If there are many, it keeps a line only if an at sign, or the digits of a phone number, are between the quotes
        around the line's beginning, or if one of these quotes is in another piece.

        Args:
            inner: the piece.
            parts: the number of quotes before each of the lines.
            quotes: the places of the quotes.
        """
        import numpy as np  # noqa: PLC0415 - see above

        if self._bytes_kept > _MOST_BYTES_KEPT:
            return ()
        if len(self.continued) + len(parts) <= _FIRST_KEPT:
            return range(len(parts))
        bounds = np.concatenate(([0], quotes, [len(inner)]))
        examined, part_of = np.unique(parts, return_inverse=True)  # one part may contain the beginnings of many lines
        places = np.stack((bounds[examined], bounds[examined + 1]), axis=1).ravel()
        inner = np.append(inner, np.uint8(0))  # so that the last part has an end
        is_digit, is_sign = inner - np.uint8(_ZERO) < 10, inner == _AT_SIGN  # noqa: PLR2004
        marks = is_digit.view(np.uint8) + is_sign.view(np.uint8) * np.uint8(_DIGITS)
        told = (np.add.reduceat(marks, places, dtype=np.uint32)[::2] >= _DIGITS)[part_of]
        found = np.flatnonzero(told | (parts == 0) | (parts == len(quotes)))
        return [int(at) for at in found[: _MOST_KEPT - len(self.continued)]]

    def _keep(self, row: int, text: bytes, start: int) -> None:
        """Keeps a line that continues a quoted cell and the line before it."""
        before = _last_line(text[:start]).rstrip(b"\r\n")
        line = _LINE.match(text, start)[0]  # type: ignore[index]  # it matches anything
        self._is_cut = start + len(line) == len(text)
        self.continued.append((row, before, line))
        self._bytes_kept += len(before) + len(line)

    def _complete(self, chunk: bytes) -> None:
        """Appends the rest of the line kept last; of a line longer than a piece, only the beginning is kept."""
        row, before, line = self.continued[-1]
        rest = _LINE.match(chunk)[0]  # type: ignore[index]  # see above
        self.continued[-1] = (row, before, line + rest)
        self._bytes_kept += len(rest)
        self._is_cut = len(rest) == len(chunk) and len(line) < _PIECE

    def _measure_lines(self, chunk: bytes) -> None:
        """Measures only lines that extend beyond a piece, because the engine reads all shorter ones."""
        end = b"\n" if b"\n" in chunk else b"\r"
        first = chunk.find(end)
        self._since_line_end += len(chunk) if first < 0 else first
        self.longest = max(self.longest, self._since_line_end)
        if first >= 0:
            self._since_line_end = len(chunk) - chunk.rfind(end) - 1

    def _require_text(self, chunk: bytes) -> None:
        import numpy as np  # noqa: PLC0415 - see above

        # The lowest of all bytes, read as signed ones, shows both at once: zeros, and what is not ASCII.
        lowest = int(np.frombuffer(chunk, np.int8).min(initial=1))
        self.has_nul = self.has_nul or (lowest <= 0 and b"\0" in chunk)
        if lowest >= 0 and not self._decoder.getstate()[0]:
            return
        try:
            self._decoder.decode(chunk)
        except UnicodeDecodeError:
            self.is_utf8 = False


def _last_line(text: bytes) -> bytes:
    """Returns a text's last line that is not empty, with all line ends after it."""
    filled = text.rstrip(b"\r\n")
    return text[max(filled.rfind(b"\n"), filled.rfind(b"\r")) + 1 :]
