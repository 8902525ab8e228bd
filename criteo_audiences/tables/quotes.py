"""A quote that was never closed swallows the rows after it: found before anything is read."""

import codecs
import csv
import re
from collections.abc import Iterable, Iterator

from criteo_audiences.tables.delimiting import LONGEST_CELL, Lines, parsed

_LINE_END = re.compile(r"\r\n|\n|\r")


def require_closed_quotes(chunks: Iterable[bytes], delimiter: str, name: str) -> None:
    """Reads all of a text as rows; needed only where double quotes do not pair up.

    Raises:
        OSError: names the line in which a quote was opened and never closed.
    """
    lines = Lines(_lines(chunks))
    began = 1
    try:
        for row in parsed(lines, delimiter):
            if lines.ended:
                opened = lines.taken - max(1, _lines_in(row[-1])) + 1
                raise OSError(f"{name} ends inside a quoted cell: a quote in line {opened:,} was never closed.")
            began = lines.taken + 1
    except csv.Error:
        raise OSError(
            f"{name} has a cell longer than {LONGEST_CELL:,} characters in the row that begins in line {began:,}: "
            "a quote there was probably never closed."
        ) from None


def _lines_in(cell: str) -> int:
    ends = [match.end() for match in _LINE_END.finditer(cell)]
    return len(ends) + (not ends or ends[-1] < len(cell))


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Yields lines with their ends, whatever those are; a line too long for a cell comes in parts."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
    kept = ""
    for chunk in chunks:
        *lines, kept = _split(kept + decoder.decode(chunk))
        yield from lines
        if len(kept) > LONGEST_CELL:
            raise csv.Error
    yield from filter(None, _split(kept))


def _split(text: str) -> list[str]:
    """Splits after each line end; the last part is what no line end follows yet."""
    ends = [match.end() for match in _LINE_END.finditer(text)]
    if text.endswith("\r") and ends:
        ends.pop()  # a line feed may follow
    return [text[start:end] for start, end in zip([0, *ends], [*ends, len(text)], strict=True)]
