"""Reads delimited text with broken quotes: each row that a person sees in it is either read or marked as broken.

CSV readers disagree about a quote that neither closes its cell nor is doubled: some read on to the next quote, over any
number of rows. Here, no row with such a quote extends beyond its own line.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from criteo_audiences.identifiers import RejectReason
from criteo_audiences.tables.files.dialect import LONGEST_CELL
from criteo_audiences.tables.files.scan import Scan

BROKEN: Final = f"\x01{RejectReason.BROKEN_QUOTES}"
"""Replaces every cell of a row that cannot be read; no identifier can contain it."""

NO_CELL: Final = f"\x01{RejectReason.NO_CELL}"
"""Replaces the empty opt-out cells of a row that seems to contain an opt-out in another place."""

_SHOWN: Final = 5
_LARGEST_PIECE: Final = 64 * 1024
_SMALLEST_PIECE: Final = 1024
_LINE: Final = re.compile(rb"[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+")


class Mender:
    """Rewrites a text with broken quotes, so that every reader finds the same rows in it.

    A row is read by RFC 4180 if possible; blanks around quoted cells are allowed. Otherwise the row ends with its first
    line, and a quoted cell ends at the first quote before a delimiter or the line end. Such a row is accepted if every
    reader would divide it in this way, no quote is left over, and it has as many cells as the header. If not, it is
    marked as broken.

    Args:
        delimiter: the character between cells.
        width: number of cells in the header.
        all_fit: whether every quote is in a place that RFC 4180 allows, so that only line ends must be rewritten.

    Attributes:
        broken: number of rows that could not be read.
        broken_lines: line numbers of the first of them, from 1.
    """

    def __init__(self, delimiter: str, width: int, *, all_fit: bool = False) -> None:
        self.broken = 0
        self.broken_lines: list[int] = []
        self._delimiter = delimiter
        self._grammar = _Grammar(delimiter.encode())
        self._width = width
        self._all_fit = all_fit
        self._mark = self._grammar.written([BROKEN.encode()] * width)

    def mended(self, chunks: Iterable[bytes], skip: int) -> Iterator[bytes]:
        """Yields the rewritten text, without its first lines.

        Args:
            chunks: the text, in UTF-8.
            skip: how many lines to leave out.
        """
        text = _Text(chunks)
        while text.number < skip and text.take() is not None:
            pass
        piece = bytearray()
        while True:
            piece += text.take_clean(self._is_clean)
            line = text.take()
            if line is None:
                yield bytes(piece)
                return
            if row := line.rstrip(b"\r\n"):
                piece += (self._row(line, text) if b'"' in row else row) + b"\n"
            if len(piece) >= _LARGEST_PIECE:
                yield bytes(piece)
                piece.clear()

    def _is_clean(self, lines: bytes) -> bool:
        """Whether each line is a row that need not be rewritten."""
        scan = Scan()
        scan.read([lines])
        return scan.rows == scan.lines and scan.has_clean_quotes(self._delimiter)

    def _row(self, line: bytes, text: "_Text") -> bytes:
        number = text.number
        row = _Row(line, text.take)
        cells = self._grammar.cells(row, _quoted)
        if cells is None or (not self._all_fit and self._is_doubtful(cells, row)):
            text.give_back(row.lines[1:])
            cells = self._of_one_line(line)
        if cells is not None:
            return self._grammar.written(cells)
        self.broken += 1
        if len(self.broken_lines) < _SHOWN:
            self.broken_lines.append(number)
        return self._mark

    def _is_doubtful(self, cells: list[bytes], row: "_Row") -> bool:
        """Whether a row may be read wrongly: because of a stray quote, or of two quotes that join several rows."""
        if row.has_stray_quote and (len(row.lines) > 1 or not self._fits(cells)):
            return True
        if len(row.lines) > 1 and (self._width == 1 or any(map(bytes.strip, cells[self._width :]))):
            return True
        return any(
            self._grammar.width(line) == self._width and self._grammar.width(part) > 1
            for line, part in zip(row.lines, row.quoted_parts, strict=True)
        )

    def _of_one_line(self, line: bytes) -> list[bytes] | None:
        """Returns the cells of a row that ends with its line, or `None` if they are in doubt."""
        row = _Row(line, lambda: None)
        cells = self._grammar.cells(row, self._grammar.quoted_on_one_line)
        return cells if cells is not None and self._fits(cells) and not row.has_stray_quote else None

    def _fits(self, cells: list[bytes]) -> bool:
        return len(cells) >= self._width and not any(map(bytes.strip, cells[self._width :]))


class _Text:
    """A text that arrives in pieces and is read line by line; lines end with line feeds, carriage returns or both.

    Attributes:
        number: the number of the line read last, from 1.
    """

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self.number = 0
        self._chunks = iter(chunks)
        self._text = b""
        self._start = 0  # where the text begins that can still be given back
        self._at = 0
        self._by_line_until = 0
        self._piece = _LARGEST_PIECE
        self._ended = False

    def take(self) -> bytes | None:
        """Returns the next line with its end, `None` at the end."""
        line = _LINE.match(self._text, self._at)
        # The line may continue in the next piece, and a line feed may follow a carriage return.
        while not self._ended and not (line and (line.end() < len(self._text) or line[0].endswith(b"\n"))):
            self._extend()
            line = _LINE.match(self._text, self._at)
        if line is None:
            return None
        self._at = line.end()
        self.number += 1
        return line[0]

    def give_back(self, lines: list[bytes]) -> None:
        """Takes the last lines back, so that `take` returns them again."""
        self._at -= sum(map(len, lines))
        self.number -= len(lines)

    def take_clean(self, is_clean: Callable[[bytes], bool]) -> bytes:
        """Returns the next lines that are available and clean, many at once, with line feeds as line ends.

        Lines taken before can no longer be given back. The more lines were clean before, the more are checked at once.
        """
        self._start = self._at
        while len(self._text) - self._at < self._piece and not self._ended:
            self._extend()
        while self._at >= self._by_line_until:
            lines = self._whole_lines(self._piece)
            if is_clean(lines):
                self._at += len(lines)
                self._piece = min(self._piece * 4, _LARGEST_PIECE)
                self.number += lines.count(b"\n") + lines.count(b"\r") - lines.count(b"\r\n")
                return lines.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in lines else lines
            if self._piece <= _SMALLEST_PIECE:
                self._by_line_until = self._at + len(lines)
            self._piece = max(self._piece // 4, _SMALLEST_PIECE)
        return b""

    def _whole_lines(self, most: int) -> bytes:
        text = self._text[self._at : self._at + most]
        return text[: max(text.rfind(b"\n"), text.rfind(b"\r", 0, -1)) + 1]

    def _extend(self) -> None:
        chunk = next(self._chunks, None)
        self._ended = chunk is None
        self._text = self._text[self._start :] + (chunk or b"")
        self._at -= self._start
        self._by_line_until -= self._start
        self._start = 0


class _Row:
    """A row that is being read.

    Args:
        line: its first line.
        take: returns the next line.

    Attributes:
        lines: the row's lines so far.
        quoted_parts: the part of each line that continues a quoted cell.
        has_stray_quote: whether a cell that is not quoted contains a quote.
    """

    def __init__(self, line: bytes, take: Callable[[], bytes | None]) -> None:
        self.lines = [line]
        self.quoted_parts = [b""]
        self.has_stray_quote = False
        self._take = take
        self._size = len(line)

    def extend(self) -> bool:
        """Adds the next line; returns false at the end of the text, or if the row is longer than a cell may be."""
        line = self._take() if self._size <= LONGEST_CELL else None
        if line is None:
            return False
        self.lines.append(line)
        self.quoted_parts.append(b"")
        self._size += len(line)
        return True


_Quoted = Callable[[_Row, int], tuple[bytes, int] | None]
"""Reads a quoted cell from the position after its first quote.

Returns its content and the position after its last quote, or `None` if it has no proper end.
"""


def _quoted(row: _Row, start: int) -> tuple[bytes, int] | None:
    """Reads a quoted cell, which may continue on further lines; returns `None` if it is never closed."""
    parts: list[bytes] = []
    while (close := _single_quote(row.lines[-1], start)) < 0:
        parts.append(row.lines[-1][start:])
        start = 0
        if not row.extend():
            return None
        row.quoted_parts[-1] = row.lines[-1]
    parts.append(row.lines[-1][start:close])
    if not start:
        row.quoted_parts[-1] = parts[-1]
    return b"".join(parts).replace(b'""', b'"'), close + 1


def _single_quote(line: bytes, start: int) -> int:
    """Returns the position of the first quote that is not doubled, or -1 without one."""
    while (found := line.find(b'"', start)) >= 0 and line[found + 1 : found + 2] == b'"':
        start = found + 2
    return found


class _Grammar:
    """The grammar of a line: how it consists of cells.

    Args:
        delimiter: the character between cells.
    """

    def __init__(self, delimiter: bytes) -> None:
        self._delimiter = delimiter
        between = re.escape(delimiter)
        blanks = b" *" if delimiter == b"\t" else b"[ \t]*"
        end = b"(%s|\r\n|\n|\r|\\Z)" % between
        self._opening = re.compile(blanks + b'"')
        self._ending = re.compile(blanks + end)
        self._unquoted = re.compile(b"((?:(?!%s)[^\r\n])*)" % between)
        self._needs_quotes = re.compile(b'["\r\n]|^[ \t]|%s' % between)

    def width(self, line: bytes) -> int:
        """Returns how many cells a line has if quotes are ignored."""
        return line.count(self._delimiter) + 1

    def written(self, cells: list[bytes]) -> bytes:
        """Returns a row as text without a line end; it is never empty, because an empty line is no row."""
        return self._delimiter.join(map(self._written, cells)) or b'""'

    def _written(self, cell: bytes) -> bytes:
        return b'"' + cell.replace(b'"', b'""') + b'"' if self._needs_quotes.search(cell) else cell

    def cells(self, row: _Row, quoted: _Quoted) -> list[bytes] | None:
        """Reads the cells of a row; returns `None` if a quoted cell has no proper end."""
        cells: list[bytes] = []
        position = 0
        while True:
            if opened := self._opening.match(row.lines[-1], position):
                found = quoted(row, opened.end())
            else:
                found = self._plain(row, position)
            ended = found and self._ending.match(row.lines[-1], found[1])
            if not (found and ended):
                return None
            cells.append(found[0])
            if ended[1] != self._delimiter:
                return cells
            position = ended.end()

    def _plain(self, row: _Row, start: int) -> tuple[bytes, int] | None:
        found = self._unquoted.match(row.lines[-1], start)
        if found is None:
            return None
        row.has_stray_quote = row.has_stray_quote or b'"' in found[1]
        return found[1], found.end()

    def quoted_on_one_line(self, row: _Row, start: int) -> tuple[bytes, int] | None:
        """Reads a quoted cell up to the first quote, not doubled, before a delimiter or line end, or to a last one.

        After a quote within a cell, some readers end the cell at the next delimiter. There must be none up to its end.
        """
        line = row.lines[0]
        close = first = _single_quote(line, start)
        while close >= 0 and not self._ending.match(line, close + 1):
            close = _single_quote(line, close + 1)
        if close < 0:
            close = len(line.rstrip(b" \t\r\n")) - 1
            if close < start or line[close : close + 1] != b'"':
                return None
        if self._delimiter in line[max(first, start) : close]:
            return None
        return line[start:close].replace(b'""', b'"'), close + 1
