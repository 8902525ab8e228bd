"""Detects the dialect of delimited text: its lines and rows, the delimiter, and where the header ends."""

import csv
import functools
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from attrs import field, frozen

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.identifiers.raw_values import BLANKS
from criteo_audiences.models import IdentifierType
from criteo_audiences.tables.files.layout import SAMPLED_ROWS, Row
from criteo_audiences.tables.header_words import Wording, looks_like_data, named_kinds, wording

LONGEST_CELL: Final = 1_000_000
"""Characters of a cell; a longer one means that a quote was never closed."""

TOO_LONG: Final = "is too long: a line end or a quote may be missing. Export it again."
"""The end of a message about a line that is too long for the engine."""

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+")


class Lines(Iterator[str]):
    """An iterator over lines that counts them.

    Args:
        lines: the lines.
        taken: the number of lines before the first of them.

    Attributes:
        taken: the number of lines before the next one.
        ended: whether the caller has asked for a line after the last one.
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
    """Yields rows, with a row without cells for an empty line; an unclosed quote may have cut the last row.

    Spaces at the beginning of a cell are removed, because for the engine, too, a quote after a space opens a cell.

    Raises:
        csv.Error: when a cell is longer than `LONGEST_CELL`.
    """
    # The limit is global to the process; it is only ever raised here.
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST_CELL))
    return csv.reader(lines, delimiter=delimiter, skipinitialspace=True)


def unclosed(lines: Lines, row: list[str], name: str) -> OSError:
    """Returns the error for a text that ends within a quoted cell: the last cell contains everything since the quote.

    Args:
        lines: the text's lines, all taken.
        row: the cut row.
        name: the file's name.
    """
    opened = lines.taken - max(1, sum(1 for _ in split(row[-1]))) + 1
    return OSError(f"{name} ends inside a quoted cell: a quote in line {opened:,} was never closed.")


def header_in_doubt(name: str, line: int) -> OSError:
    """Returns the error for a header that cannot be divided into cells for certain, because of its quotes.

    Args:
        name: the file's name.
        line: the number of the line.
    """
    return OSError(
        f"{name}, line {line:,}: a quote in the header, or above it, is never closed, or stands within a cell. Correct "
        "the header, or export the file again."
    )


def too_long(name: str) -> ConfigurationError:
    """Returns the error for a first line that does not end within the part of the file that is examined."""
    return ConfigurationError(f"The first line of {name} is longer than 512 KiB; expected column names, or one object.")


_COMMON: Final = ",;\t|"
_RARE: Final = "^~\x01"
_NEVER_KNOWN: Final = "!#$*/=`{}"  # refused as delimiters, because an address may contain them
_COMPARED_LINES: Final = 200
# A `sep=` line. Spreadsheets extend it to all their columns (`sep=;;;;`), and people put spaces around the sign.
_HINT = re.compile(r'"?sep *= *([^\w\s"]|\t)\1* *"?[,;\t|]*\s*', re.IGNORECASE)
_QUOTED = re.compile(r'"[^"]*"')
_OPENS = re.compile(r'(?:^|[,;\t|^~\x01]) *"')
_ADDRESS = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+")
_DELIMITED: Final = 0.5  # share of the rows with an address: single addresses contain `|` or `~`, not half of a list
_FEWEST_DIGITS: Final = 7
_MOST_ABOVE: Final = 30  # lines that a title and notes above a header may take


@frozen
class Beginning:
    """The findings from the first lines of delimited text.

    Attributes:
        names: the header's cells, trimmed.
        delimiter: the character between cells.
        skip: number of rows up to and including the header, with empty lines and a `sep=` line.
        text: those rows as they are written.
        likely_header: the number of a later line that looks more like the header; `None` if the header names an
            identifier, or no such line was found.
        sample: the first rows of data.
    """

    names: tuple[str, ...]
    delimiter: str
    skip: int
    text: str = field(repr=False)
    likely_header: int | None
    sample: tuple[Row, ...] = field(repr=False)


@frozen
class _Line:
    """A line that is not empty, and its number in the file."""

    number: int
    text: str


def read_beginning(head: str, name: str, *, whole: bool, skip_rows: int = 0) -> Beginning:
    """Finds the delimiter, the header and the first rows.

    Args:
        head: the beginning of the text.
        name: the file's name, for messages.
        whole: whether `head` is the whole text; otherwise its last row may be cut and is left out.
        skip_rows: lines to leave out before the header, set by the caller.

    Raises:
        ConfigurationError: when there is no header row, or the rows have a delimiter that the header lacks; the
            message shows no data.
        OSError: when a quote in the header is never closed.
    """
    text = head if whole else head[: max(head.rfind("\n"), head.rfind("\r")) + 1]
    before, delimiter = _start(text, skip_rows, name)
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
    following = _following(text, lines.taken)
    likely = functools.partial(_likely_header, header, following)  # called only for messages, because it is slow
    if any(looks_like_data(cell) and len(cell.splitlines()) > 1 for cell in header):
        raise header_in_doubt(name, skip)
    names = _names(header, name, likely)
    written = _Line(lines.taken, "".join(itertools.islice(split(text), before, lines.taken)))
    _require_bare_lines(header, following, name)
    _require_one_delimiter(written, delimiter, following, likely, name)
    sample = _sample(rows, lines, len(header), whole=whole)
    return Beginning(names, delimiter, skip, read, None if _names_identifiers(names) else likely(), sample)


def read_sample(head: str, delimiter: str, width: int, *, whole: bool) -> tuple[Row, ...]:
    """Reads the first rows of a text without a header.

    Args:
        head: the beginning of the text.
        delimiter: the character between cells.
        width: cells of a row.
        whole: whether `head` is the whole text; otherwise its last row may be cut and is left out.
    """
    lines = Lines(split(head))
    return _sample(parsed(lines, delimiter), lines, width, whole=whole)


def _sample(rows: Iterator[list[str]], lines: Lines, width: int, *, whole: bool) -> tuple[Row, ...]:
    complete = _complete(rows, lines, whole=whole)
    return tuple(_fitted(row, width) for row in itertools.islice(complete, SAMPLED_ROWS))


def header_hint(line: int | None) -> str:
    """Returns a sentence that names the line that looks like the header, or an empty text if `line` is `None`."""
    if line is None:
        return ""
    return f" There, line {line:,} looks like the header: give skip_rows={line - 1} (--skip-rows on the command line)."


def _holds_something(row: Sequence[str]) -> bool:
    return any(cell.strip(BLANKS) for cell in row)


def _start(text: str, skip_rows: int, name: str) -> tuple[int, str]:
    """Returns the number of lines before the header, and the delimiter: from a `sep=` line, or detected."""
    lines = Lines(itertools.islice(split(text), skip_rows, None), skip_rows)
    if skip_rows and not any(map(str.strip, itertools.islice(split(text), skip_rows, None))):
        raise ConfigurationError(f"skip_rows={skip_rows:,} leaves nothing of {name}; expected fewer lines than it has.")
    hint = _HINT.fullmatch(next(filter(str.strip, lines), ""))
    before = lines.taken if hint else max(0, lines.taken - 1)
    return before, hint[1] if hint else _delimiter(text, before)


def _complete(rows: Iterator[list[str]], lines: Lines, *, whole: bool) -> Iterator[list[str]]:
    """Yields the rows that are not empty, without a last row that may be cut."""
    for row in filter(None, rows):
        if lines.ended and not whole:
            return
        yield row


def _names(header: Sequence[str], name: str, likely: Callable[[], int | None]) -> tuple[str, ...]:
    names = tuple(cell.strip(BLANKS) for cell in header)
    if any(map(looks_like_data, names)):
        way = header_hint(likely()) or " Add a line of names."
        raise ConfigurationError(f"{name} has no header row: its first line already holds data.{way}")
    return names


def _following(text: str, taken: int) -> list[_Line]:
    """Returns the first lines after the header that are not empty."""
    lines = enumerate(itertools.islice(split(text), taken, taken + _COMPARED_LINES), start=taken + 1)
    return [_Line(number, line) for number, line in lines if line.strip()]


def _outside_cells(lines: Iterable[_Line]) -> Iterator[_Line]:
    """Yields the lines outside of quoted cells, because a line within a cell may contain anything."""
    is_open = False
    for line in lines:
        is_odd = line.text.count('"') % 2 == 1
        if is_odd and (is_open or _OPENS.search(line.text)):
            is_open = not is_open
        elif not is_open:
            yield line


def _likely_header(header: Sequence[str], following: Sequence[_Line]) -> int | None:
    """Returns the number of the first line that looks like a header of the line after it, or `None`."""
    filled = sum(1 for cell in header if cell.strip(BLANKS))
    for line, below in itertools.pairwise(following[:_MOST_ABOVE]):
        for delimiter in [each for each in _COMMON + _RARE if each in line.text] or [","]:
            cells, values = (_cells(each.text, delimiter) for each in (line, below))
            if len(cells) == len(values) and _heads(cells, values, more_than=filled):
                return line.number
    return None


def _cells(line: str, delimiter: str) -> list[str]:
    return [cell.strip(BLANKS) for cell in next(parsed(iter([line]), delimiter), [])]


def _names_identifiers(cells: Iterable[str]) -> bool:
    return any(wording(cell, kind) <= Wording.OWNED for cell in cells for kind in named_kinds(cell))


def _heads(cells: Sequence[str], values: Sequence[str], *, more_than: int) -> bool:
    """Whether a line names columns: it contains no data, and names an identifier or has more cells than a title."""
    if any(map(looks_like_data, cells)) or (len(set(cells)) < len(cells) and not any(map(named_kinds, cells))):
        return False
    if _names_identifiers(cells):
        return True
    return all(cells) and len(cells) > max(1, more_than) and any(map(looks_like_data, values))


def _require_one_delimiter(
    header: _Line, delimiter: str, following: Sequence[_Line], likely: Callable[[], int | None], name: str
) -> None:
    """Refuses rows with a delimiter that the header lacks, because their other cells would become part of an address.

    Raises:
        ConfigurationError: when there are such rows; names the first, and the line that looks like the header.
    """
    is_phone = wording(header.text, IdentifierType.PHONE_NUMBER) is not Wording.OTHER
    rows = list(_outside_cells(following))
    holding = sum(1 for line in rows if _ADDRESS.search(line.text) or (is_phone and _has_digits(line.text)))
    bare = _QUOTED.sub("", header.text)
    for other in _COMMON + _RARE + _NEVER_KNOWN:
        if other in bare:
            continue
        divides_phones = is_phone and other not in _NEVER_KNOWN  # `030/1234567` is one number
        hidden = [line for line in rows if _hides(line.text, other, delimiter, is_phone=divides_phones)]
        if hidden and len(hidden) >= max(len(hidden), holding) * _DELIMITED:
            way = header_hint(likely()) or (
                " Name every column in the header, or give values that hold the character themselves as a list."
            )
            raise ConfigurationError(
                f"Line {hidden[0].number:,} of {name} divides its cells by {_sign(other)}, which line "
                f"{header.number:,}, its header, does not.{way}"
            )


def _require_bare_lines(header: Sequence[str], following: Sequence[_Line], name: str) -> None:
    """Refuses a file in which each line is one quoted cell with the real cells inside.

    Raises:
        ConfigurationError: when it is such a file; names the first of these lines.
    """
    for delimiter in _COMMON + _RARE if len(header) == 1 else "":
        if delimiter not in header[0]:
            continue
        wrapped = [line for line in following if _wraps(line.text, delimiter)]
        if wrapped and len(wrapped) >= len(following) * _DELIMITED:
            raise ConfigurationError(
                f"Line {wrapped[0].number:,} of {name} is one quoted cell with others in it, divided by "
                f"{_sign(delimiter)}; export it again without quotes around whole lines."
            )


def _wraps(line: str, delimiter: str) -> bool:
    """Whether a line is one quoted cell that contains an address and something else."""
    text = line.strip()
    parts = [part.strip(' "') for part in text.split(delimiter)]
    return text.startswith('"') and text.endswith('"') and len(parts) > 1 and any(map(_ADDRESS.fullmatch, parts))


def _sign(delimiter: str) -> str:
    return {"\t": "a tab", "\x01": "the character U+0001"}.get(delimiter, f"'{delimiter}'")


def _hides(line: str, other: str, delimiter: str, *, is_phone: bool) -> bool:
    """Whether a line contains an identifier and something else, separated by another delimiter than the header's.

    If the header has no delimiter, the comma is used. The cell before a line's first comma is then read correctly.
    """
    if other not in line:
        return False
    bare = _QUOTED.sub("", line)
    if other not in bare or (delimiter != other and delimiter in bare):
        return False
    parts = [part.strip() for part in bare.split(other)]
    told = parts[1:] if other == delimiter else parts
    found = any(_ADDRESS.fullmatch(part) or (is_phone and _has_digits(part)) for part in told)
    return found and sum(map(bool, parts)) > 1


def _fitted(row: Sequence[str], width: int) -> Row:
    """Returns a row as wide as the header: missing cells are `None`, cells beyond the header are left out."""
    return (*row[:width], *itertools.repeat(None, width - len(row)))


def _delimiter(text: str, before: int) -> str:
    """Returns the delimiter in the header, outside quotes, by which the rows fit it best; a comma if it has none."""
    lines = list(itertools.islice(split(text), before, before + _COMPARED_LINES))
    header = _QUOTED.sub("", _header(lines))
    found = [each for each in _COMMON if each in header] or [each for each in _RARE if each in header]
    if len(found) <= 1:
        return found[0] if found else ","
    return max(found, key=lambda each: (_consistency(lines, each), header.count(each)))


def _header(lines: Sequence[str]) -> str:
    """Returns the first lines up to the one at which quotes are balanced; only the first if they never are."""
    counts = itertools.accumulate(line.count('"') for line in lines)
    end = next((number for number, quotes in enumerate(counts, start=1) if not quotes % 2), 1)
    return "".join(lines[:end])


def _consistency(lines: Sequence[str], delimiter: str) -> float:
    """Returns the share of the first rows that have as many cells as the header."""
    taken = Lines(iter(lines))
    widths = [len(row) for row in _complete(parsed(taken, delimiter), taken, whole=False)]
    return widths[1:].count(widths[0]) / max(1, len(widths) - 1) if widths else 0.0


def _has_digits(text: str) -> bool:
    """Whether a text contains as many digits as a phone number."""
    return sum(map(str.isdigit, text)) >= _FEWEST_DIGITS
