"""Where the header of delimited text ends, which delimiter it uses, and the first rows."""

import csv
import io
import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Final

from attrs import field, frozen

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.identifiers.email import BLANKS
from criteo_audiences.tables.layout import SAMPLED_ROWS, Row
from criteo_audiences.tables.names import looks_like_data

LONGEST_CELL: Final = 1_000_000
"""Characters of a cell; a longer one means that a quote was never closed."""

_COMMON: Final = ",;\t|"
_RARE: Final = "^~\x01"
_COMPARED_ROWS: Final = 100
_HINT = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
_QUOTED = re.compile(r'"[^"]*"')


class Lines(Iterator[str]):
    """Lines of a text, counted; knows when there are no more.

    Attributes:
        taken: lines given out so far.
        ended: whether more were asked for than there are.
    """

    def __init__(self, lines: Iterator[str]) -> None:
        self.taken = 0
        self.ended = False
        self._lines = lines

    def __next__(self) -> str:
        line = next(self._lines, None)
        if line is None:
            self.ended = True
            raise StopIteration
        self.taken += 1
        return line


@frozen
class Beginning:
    """What the first lines of delimited text say.

    Attributes:
        names: the header's cells, trimmed.
        delimiter: between cells.
        skip: lines up to the header's end.
        quotes: double quotes in those lines.
        sample: the first rows.
    """

    names: tuple[str, ...]
    delimiter: str
    skip: int
    quotes: int
    sample: tuple[Row, ...] = field(repr=False)


def read_beginning(head: str, name: str, *, whole: bool) -> Beginning:
    """Finds the delimiter, the header and the first rows.

    Args:
        head: the beginning of the text.
        name: the file's name, for messages.
        whole: whether that is all of it; otherwise its last row may be cut and is left out.

    Raises:
        ConfigurationError: when there is no header row; data in its place are never shown.
    """
    text = head if whole else head[: max(head.rfind("\n"), head.rfind("\r")) + 1]
    lines = Lines(iter(io.StringIO(text, newline="")))
    first = next(filter(str.strip, lines), "")
    hint = _HINT.fullmatch(first)
    before = lines.taken if hint else lines.taken - 1
    rest = "".join(itertools.islice(io.StringIO(text, newline=""), before, None))
    delimiter = hint[1] if hint else _delimiter(rest)
    lines = Lines(iter(io.StringIO(rest, newline="")))
    rows = _rows(lines, delimiter, whole=whole)
    names = _header(rows, name)
    skip = before + lines.taken
    quotes = sum(line.count('"') for line in itertools.islice(io.StringIO(text, newline=""), skip))
    sample = tuple(_fitted(row, len(names)) for row in itertools.islice(rows, SAMPLED_ROWS))
    return Beginning(names, delimiter, skip, quotes, sample)


def parsed(lines: Lines, delimiter: str) -> Iterator[list[str]]:
    """Yields rows as Python's reader finds them, empty lines left out.

    Raises:
        csv.Error: when a cell is longer than `LONGEST_CELL`.
    """
    # The limit is global to the process; it is only ever raised here.
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST_CELL))
    return filter(None, csv.reader(lines, delimiter=delimiter))


def _rows(lines: Lines, delimiter: str, *, whole: bool) -> Iterator[list[str]]:
    """Yields complete rows; a quote never closed is looked for elsewhere."""
    try:
        for row in parsed(lines, delimiter):
            if lines.ended and not whole:
                return
            yield row
    except csv.Error:
        return


def _header(rows: Iterator[list[str]], name: str) -> tuple[str, ...]:
    header = next((row for row in rows if any(cell.strip(BLANKS) for cell in row)), None)
    if header is None:
        raise ConfigurationError(f"{name} is empty: it has not even a header row.")
    names = tuple(cell.strip(BLANKS) for cell in header)
    if any(map(looks_like_data, names)):
        raise ConfigurationError(f"{name} has no header row: its first line already holds data. Add a line of names.")
    return names


def _fitted(row: Sequence[str], width: int) -> Row:
    """Returns a row as wide as the header: what it lacks is `None`, what is beyond the header has no column."""
    return (*row[:width], *itertools.repeat(None, width - len(row)))


def _delimiter(text: str) -> str:
    """Returns the delimiter the header uses outside quotes whose rows fit the header best; a comma without any."""
    header = _QUOTED.sub("", _header_lines(text))
    found = [each for each in _COMMON if each in header] or [each for each in _RARE if each in header]
    if len(found) <= 1:
        return found[0] if found else ","
    return max(found, key=lambda each: (_consistency(text, each), header.count(each)))


def _header_lines(text: str) -> str:
    """Returns the first lines until quotes pair up; only the first if they never do."""
    lines = list(itertools.islice(io.StringIO(text, newline=""), _COMPARED_ROWS))
    counts = itertools.accumulate(line.count('"') for line in lines)
    end = next((number for number, quotes in enumerate(counts, start=1) if not quotes % 2), 1)
    return "".join(lines[:end])


def _consistency(text: str, delimiter: str) -> float:
    """Returns the share of the first rows that have as many cells as the header."""
    rows = _rows(Lines(iter(io.StringIO(text, newline=""))), delimiter, whole=True)
    widths = [len(row) for row in itertools.islice(rows, _COMPARED_ROWS + 1)]
    return widths[1:].count(widths[0]) / max(1, len(widths) - 1)
