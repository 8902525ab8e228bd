"""Delimited text: its header, its rows, and what a person should know about them."""

import re
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from criteo_audiences.tables.compression import Content, write_copy
from criteo_audiences.tables.delimiting import Beginning, read_beginning, read_sample
from criteo_audiences.tables.layout import LONGEST_LINE, Layout, Row
from criteo_audiences.tables.names import looks_like_data
from criteo_audiences.tables.quotes import BROKEN, Mender
from criteo_audiences.tables.rows import TOO_LONG
from criteo_audiences.tables.scan import Scan

_QUOTED: Final = re.compile('(?:[^"]|"")*+')  # what stands within the quotes of a cell


def layout(content: Content, scan: Scan, head: str, workspace: Path, skip_rows: int) -> Layout:
    """Settles how delimited text is read: as it is, or a copy with the same rows where its quotes are broken.

    Args:
        content: the text, clean UTF-8.
        scan: what its bytes show.
        head: its beginning.
        workspace: a directory only its owner can read, for the copy.
        skip_rows: lines before the header.

    Raises:
        ConfigurationError: when it has no header.
        OSError: when a line is too long, or the header has broken quotes.
    """
    beginning = read_beginning(head, content.name, whole=scan.whole, skip_rows=skip_rows)
    if scan.longest > LONGEST_LINE:
        raise OSError(f"{content.name}: a line {TOO_LONG}")
    if not scan.has_clean_quotes(beginning.delimiter):
        return _mended(content, beginning, workspace)
    before = Scan()
    before.read([beginning.text.encode()])
    hiding = _hiding(scan, beginning.delimiter, beginning.sample)
    hiding = None if hiding is None else hiding - before.rows
    return Layout(
        path=str(content.path),
        name=content.name,
        format="csv",
        names=beginning.names,
        delimiter=beginning.delimiter,
        skip=beginning.skip,
        likely_header=beginning.likely_header,
        compression=content.compression,
        quotes=scan.quotes > before.quotes,
        rows=scan.rows - before.rows,
        hiding=hiding,
        notes=_hidden_rows(hiding, content.name),
        sample=beginning.sample,
    )


def _mended(content: Content, beginning: Beginning, workspace: Path) -> Layout:
    """Writes the rows of a text with broken quotes anew.

    Raises:
        OSError: when the header itself has broken quotes.
    """
    delimiter, width = beginning.delimiter, len(beginning.names)
    _require_header(beginning, content.name)
    mender = Mender(delimiter, width)
    scan = Scan()
    skip = len(beginning.text.encode().splitlines())
    copy = write_copy(workspace / "mended", scan.seen(mender.mended(content.chunks(), skip)))
    found = read_sample(scan.head.decode(errors="ignore"), delimiter, width, whole=scan.whole)
    sample = tuple(row for row in found if BROKEN not in row)
    hiding = _hiding(scan, delimiter, sample)
    return Layout(
        path=str(copy),
        name=content.name,
        format="csv",
        names=beginning.names,
        delimiter=delimiter,
        likely_header=beginning.likely_header,
        quotes=scan.quotes > 0,
        rows=scan.rows,
        is_broken=mender.broken > 0,
        hiding=hiding,
        notes=_broken_rows(mender, content.name) + _hidden_rows(hiding, content.name),
        sample=sample,
    )


def _broken_rows(mender: Mender, name: str) -> tuple[str, ...]:
    if not mender.broken:
        return ()
    lines = ", ".join(f"{line:,}" for line in mender.broken_lines)
    more = " and others" if mender.broken > len(mender.broken_lines) else ""
    many = "1 row has" if mender.broken == 1 else f"{mender.broken:,} rows have"
    return (f"{name}: {many} broken quotes and cannot be read, in line {lines}{more}; double quotes within a cell.",)


def _hidden_rows(row: int | None, name: str) -> tuple[str, ...]:
    if row is None:
        return ()
    found = f"{name}: the quoted cell in row {row:,} has several lines"
    return (f"{found} that look like rows of their own; if a quote is missing there, nobody in them is read.",)


def _hiding(scan: Scan, delimiter: str, sample: Sequence[Row]) -> int | None:
    """Returns the first row in which two stray quotes may have made whole rows part of one cell.

    By RFC 4180 nothing is wrong with it. But if the quotes meant nothing, there would be data where data are in others.
    """
    with_data = {at for at, cells in enumerate(zip(*sample, strict=True)) if _mostly_data(cells)}
    last = opened_at = 0
    for row, before, line in scan.continued:
        found: list[tuple[int, str]] = []
        if row != last:
            last, opened_at, found = row, *_opened(before.decode(errors="replace"), delimiter)
        found += _continued(line.decode(errors="replace"), delimiter, opened_at, len(sample[0]) if sample else 0)
        if any(at in with_data and looks_like_data(cell.strip(' "')) for at, cell in found):
            return row
    return None


def _opened(line: str, delimiter: str) -> tuple[int, list[tuple[int, str]]]:
    """Returns which cell of a line goes on in the next one, and the cells in it, if quotes meant nothing."""
    opening = re.search(rf'(?:^|{re.escape(delimiter)})"({_QUOTED.pattern})$', line)
    if opening is None:
        return 0, []
    at = _without_delimiters(line[: opening.start(1) - 1], delimiter).count(delimiter)
    return at, list(enumerate(opening[1].split(delimiter), at))[1:]


def _continued(line: str, delimiter: str, opened_at: int, width: int) -> list[tuple[int, str]]:
    """Returns cells of a line that goes on with a quoted cell, if quotes meant nothing: in it, and beyond the header.

    A line that is all of it in the cell and has no delimiter is one of text, unless the row is too long.
    """
    inside = _QUOTED.match(line)[0]  # type: ignore[index]  # it matches anything
    found = inside.split(delimiter)
    after = _without_delimiters(line[len(inside) + 1 :], delimiter).split(delimiter)[1:]
    beyond = list(enumerate(after, len(found)))[max(0, width - opened_at - 1) :]
    if len(found) == 1 < width and not any(cell.strip(' "') for _, cell in beyond):
        return []
    return [*enumerate(found), *beyond]


def _without_delimiters(text: str, delimiter: str) -> str:
    """Returns a text without the delimiters in its quoted cells."""
    return re.sub(rf'"{_QUOTED.pattern}"', lambda cell: cell[0].replace(delimiter, " "), text)


def _mostly_data(cells: Sequence[str | None]) -> bool:
    return 2 * sum(looks_like_data(cell or "") for cell in cells) > len(cells)


def _require_header(beginning: Beginning, name: str) -> None:
    """Refuses a header that can be read neither by RFC 4180 nor as one line."""
    text = beginning.text.encode()
    for width in (1, len(beginning.names)):
        mender = Mender(beginning.delimiter, width)
        deque(mender.mended([text], 0), maxlen=0)
        if not mender.broken:
            return
    raise OSError(
        f"{name}, line {mender.broken_lines[0]:,}: a quote in the header, or above it, is never closed, or stands "
        "within a cell. Correct the header, or export the file again."
    )
