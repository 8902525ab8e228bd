"""A quote that was never closed swallows the rows after it: found before anything is read."""

import codecs
import csv
from collections.abc import Iterable, Iterator

from criteo_audiences.tables.rows import LONGEST_CELL, Lines, parsed, split, unclosed


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
                raise unclosed(lines, row, name)
            began = lines.taken + 1
    except csv.Error:
        raise OSError(
            f"{name} has a cell longer than {LONGEST_CELL:,} characters in the row that begins in line {began:,}: "
            "a quote there was probably never closed."
        ) from None


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Yields the lines of a text that comes in pieces."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
    kept = ""
    for chunk in chunks:
        lines = list(split(kept + decoder.decode(chunk)))
        # The last line may go on in the next piece, and a line feed may follow a carriage return.
        kept = lines.pop() if lines and not lines[-1].endswith("\n") else ""
        yield from lines
        if len(kept) > LONGEST_CELL:
            raise csv.Error
    yield from filter(None, [kept])
