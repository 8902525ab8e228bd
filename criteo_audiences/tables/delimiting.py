"""Where the header of delimited text ends, which delimiter it uses, and the first rows."""

import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Final

from attrs import field, frozen

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.identifiers.blanks import BLANKS
from criteo_audiences.tables.layout import SAMPLED_ROWS, Row
from criteo_audiences.tables.names import looks_like_data
from criteo_audiences.tables.rows import Lines, parsed, split, too_long, unclosed

_COMMON: Final = ",;\t|"
_RARE: Final = "^~\x01"
_COMPARED_LINES: Final = 200
_HINT = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
_QUOTED = re.compile(r'"[^"]*"')


@frozen
class Beginning:
    """What the first lines of delimited text say.

    Attributes:
        names: the header's cells, trimmed.
        delimiter: between cells.
        skip: rows up to and with the header, empty lines and a `sep=` line among them.
        text: those rows as they are written.
        sample: the first rows.
    """

    names: tuple[str, ...]
    delimiter: str
    skip: int
    text: str = field(repr=False)
    sample: tuple[Row, ...] = field(repr=False)


def read_beginning(head: str, name: str, *, whole: bool) -> Beginning:
    """Finds the delimiter, the header and the first rows.

    Args:
        head: the beginning of the text.
        name: the file's name, for messages.
        whole: whether that is all of it; otherwise its last row may be cut and is left out.

    Raises:
        ConfigurationError: when there is no header row; data in its place are never shown.
        OSError: when a quote in the header is never closed.
    """
    text = head if whole else head[: max(head.rfind("\n"), head.rfind("\r")) + 1]
    before, delimiter = _start(text)
    lines = Lines(itertools.islice(split(text), before, None), before)
    rows = parsed(lines, delimiter)
    filled = ((number, row) for number, row in enumerate(rows, before + 1) if _holds_something(row))
    skip, header = next(filled, (0, None))
    if lines.ended and not whole:
        raise too_long(name)
    if header is None:
        raise ConfigurationError(f"{name} is empty: it has not even a header row.")
    if lines.ended:
        raise unclosed(lines, header, name)
    read = "".join(itertools.islice(split(text), lines.taken))
    sample = _sample(rows, lines, len(header), whole=whole)
    return Beginning(_names(header, name), delimiter, skip, read, sample)


def read_sample(head: str, delimiter: str, width: int, *, whole: bool) -> tuple[Row, ...]:
    """Reads the first rows of a text without a header.

    Args:
        head: the beginning of the text.
        delimiter: between cells.
        width: cells of a row.
        whole: whether that is all of it; otherwise its last row may be cut and is left out.
    """
    lines = Lines(split(head))
    return _sample(parsed(lines, delimiter), lines, width, whole=whole)


def _sample(rows: Iterator[list[str]], lines: Lines, width: int, *, whole: bool) -> tuple[Row, ...]:
    complete = _complete(rows, lines, whole=whole)
    return tuple(_fitted(row, width) for row in itertools.islice(complete, SAMPLED_ROWS))


def _holds_something(row: Sequence[str]) -> bool:
    return any(cell.strip(BLANKS) for cell in row)


def _start(text: str) -> tuple[int, str]:
    """Returns how many lines stand before the header, and the delimiter, which a spreadsheet's `sep=` line names."""
    lines = Lines(split(text))
    hint = _HINT.fullmatch(next(filter(str.strip, lines), ""))
    before = lines.taken if hint else max(0, lines.taken - 1)
    return before, hint[1] if hint else _delimiter(text, before)


def _complete(rows: Iterator[list[str]], lines: Lines, *, whole: bool) -> Iterator[list[str]]:
    """Yields rows that are not empty, up to one that is cut where the head ends."""
    for row in filter(None, rows):
        if lines.ended and not whole:
            return
        yield row


def _names(header: Sequence[str], name: str) -> tuple[str, ...]:
    names = tuple(cell.strip(BLANKS) for cell in header)
    if any(map(looks_like_data, names)):
        raise ConfigurationError(f"{name} has no header row: its first line already holds data. Add a line of names.")
    return names


def _fitted(row: Sequence[str], width: int) -> Row:
    """Returns a row as wide as the header: what it lacks is `None`, what is beyond the header has no column."""
    return (*row[:width], *itertools.repeat(None, width - len(row)))


def _delimiter(text: str, before: int) -> str:
    """Returns the delimiter the header uses outside quotes whose rows fit the header best; a comma without any."""
    lines = list(itertools.islice(split(text), before, before + _COMPARED_LINES))
    header = _QUOTED.sub("", _header(lines))
    found = [each for each in _COMMON if each in header] or [each for each in _RARE if each in header]
    if len(found) <= 1:
        return found[0] if found else ","
    return max(found, key=lambda each: (_consistency(lines, each), header.count(each)))


def _header(lines: Sequence[str]) -> str:
    """Returns the first lines until quotes pair up; only the first if they never do."""
    counts = itertools.accumulate(line.count('"') for line in lines)
    end = next((number for number, quotes in enumerate(counts, start=1) if not quotes % 2), 1)
    return "".join(lines[:end])


def _consistency(lines: Sequence[str], delimiter: str) -> float:
    """Returns the share of the first rows that have as many cells as the header."""
    taken = Lines(iter(lines))
    widths = [len(row) for row in _complete(parsed(taken, delimiter), taken, whole=False)]
    return widths[1:].count(widths[0]) / max(1, len(widths) - 1) if widths else 0.0
