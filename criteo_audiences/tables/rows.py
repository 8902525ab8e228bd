"""Lines and rows of delimited text, as Python's own reader finds them."""

import csv
import re
from collections.abc import Iterator
from typing import Final

from criteo_audiences.errors import ConfigurationError

LONGEST_CELL: Final = 1_000_000
"""Characters of a cell; a longer one means that a quote was never closed."""

TOO_LONG: Final = "is too long: a line end or a quote may be missing. Export it again."
"""The end of a message about a line that is longer than the engine takes."""

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+")


class Lines(Iterator[str]):
    """Lines, counted as they are taken.

    Args:
        lines: what to take from.
        taken: lines that stand before them.

    Attributes:
        taken: lines before the next one.
        ended: whether more were asked for than there are.
    """

    def __init__(self, lines: Iterator[str], taken: int = 0) -> None:
        self.taken = taken
        self.ended = False
        self._lines = lines

    def __next__(self) -> str:
        line = next(self._lines, None)
        if line is None:
            self.ended = True
            raise StopIteration
        self.taken += 1
        return line


def split(text: str) -> Iterator[str]:
    """Yields a text's lines with their ends: line feeds, carriage returns or both."""
    return (match[0] for match in _LINE.finditer(text))


def parsed(lines: Iterator[str], delimiter: str) -> Iterator[list[str]]:
    """Yields rows, an empty line as one without cells; the last one may have been cut by an unclosed quote.

    Spaces at a cell's beginning are left out, because the engine, too, takes a quote behind one for a quoted cell.

    Raises:
        csv.Error: when a cell is longer than `LONGEST_CELL`.
    """
    # The limit is global to the process; it is only ever raised here.
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST_CELL))
    return csv.reader(lines, delimiter=delimiter, skipinitialspace=True)


def unclosed(lines: Lines, row: list[str], name: str) -> OSError:
    """Returns the error for a text that ended within a row: its last cell holds everything since the quote.

    Args:
        lines: the text's lines, all taken.
        row: the cut row.
        name: the file's name.
    """
    opened = lines.taken - max(1, sum(1 for _ in split(row[-1]))) + 1
    return OSError(f"{name} ends inside a quoted cell: a quote in line {opened:,} was never closed.")


def too_long(name: str) -> ConfigurationError:
    """Returns the error for a first line that does not end within what is looked at."""
    return ConfigurationError(f"The first line of {name} is longer than 512 KiB; expected column names, or one object.")
