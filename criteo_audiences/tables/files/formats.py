"""Describes files of each format: delimited text, JSON lines, and Parquet (one file, or many as one table)."""

import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from functools import cache, partial
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

from criteo_audiences.errors import NO_DESCRIPTORS, TOO_MANY_FILES, ConfigurationError
from criteo_audiences.identifiers import BLANKS
from criteo_audiences.tables.engine import query
from criteo_audiences.tables.engine.connection import connect, import_duckdb, read_parquet
from criteo_audiences.tables.files.dialect import (
    TOO_LONG,
    Beginning,
    header_in_doubt,
    parsed,
    read_beginning,
    read_sample,
    split,
    too_long,
)
from criteo_audiences.tables.files.layout import LONGEST_LINE, SAMPLED_ROWS, Layout, Row
from criteo_audiences.tables.files.paths import LiteralPath, literal_path
from criteo_audiences.tables.files.quotes import BROKEN, Mender
from criteo_audiences.tables.files.scan import Scan
from criteo_audiences.tables.files.workspace import Content, write_copy
from criteo_audiences.tables.header_words import listed, looks_like_data, shown
from criteo_audiences.tables.table import DEFAULT_MEMORY_LIMIT

_QUOTED: Final = re.compile('(?:[^"]|"")*+')  # the content of a quoted cell


def delimited_layout(content: Content, scan: Scan, head: str, workspace: Path, skip_rows: int) -> Layout:
    """Describes how to read delimited text: the file itself, or a mended copy if its quotes are broken.

    Args:
        content: the text, clean UTF-8.
        scan: the findings from its bytes.
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
        return _mended(content, beginning, workspace, all_fit=scan.has_fitting_quotes(beginning.delimiter))
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


def _mended(content: Content, beginning: Beginning, workspace: Path, *, all_fit: bool) -> Layout:
    """Writes a copy of a text with broken quotes in which all readers find the same rows, and describes the copy.

    Raises:
        OSError: when the header itself has broken quotes.
    """
    delimiter, width = beginning.delimiter, len(beginning.names)
    names = _mended_names(beginning, content.name)
    mender = Mender(delimiter, width, all_fit=all_fit)
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
        names=names,
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
    return (f"{found} that look like rows of their own; if a quote is missing there, these rows are not read.",)


def _hiding(scan: Scan, delimiter: str, sample: Sequence[Row]) -> int | None:
    """Returns the first row in which two stray quotes may have turned whole rows into one cell, or `None`.

    Such a row is valid by RFC 4180. But if its quotes are ignored, data are in the same columns as in other rows.
    """
    if not scan.continued:
        return None
    columns = tuple(zip(*sample, strict=True))
    with_data = cache(lambda at: at < len(columns) and _mostly_data(columns[at]))  # few of them are needed
    for row, group in itertools.groupby(scan.continued, itemgetter(0)):
        _, before, lines = zip(*group, strict=True)
        first, *more = (line.decode(errors="replace") for line in (before[0], *lines))
        opened_at, found = _opened(first, delimiter, len(columns))
        found += (cell for line in more for cell in _continued(line, delimiter, opened_at, len(columns)))
        misplaced = _misplaced("\n".join([first, *more]), delimiter, len(columns))
        if any(looks_like_data(cell.strip(' "')) and with_data(at) for at, cell in found) or misplaced:
            return int(row)
    return None


def _opened(line: str, delimiter: str, width: int) -> tuple[int, list[tuple[int, str]]]:
    """Returns the position of the cell that continues on the next line, and the cells in it if its quote is ignored."""
    opening = re.search(rf'(?:^|{re.escape(delimiter)})"({_QUOTED.pattern})$', line)
    if opening is None:
        return 0, []
    at = _without_delimiters(line[: opening.start(1) - 1], delimiter).count(delimiter)
    _, *hidden = enumerate(opening[1].split(delimiter), at)
    return at, [*hidden, *_from_the_right(hidden, at + 1 + len(hidden), width)]


def _continued(line: str, delimiter: str, opened_at: int, width: int) -> list[tuple[int, str]]:
    """Returns cells of a line that continues a quoted cell, if quotes are ignored: in the cell, and beyond the header.

    A line without a delimiter in the quoted cell is plain text, unless it has as many cells as the header or its row is
    too long. In a row that is too long, the cells after the quoted one may be in other columns than in their own line.
    """
    inside = _QUOTED.match(line)[0]  # type: ignore[index]  # it matches anything
    found = inside.split(delimiter)
    after = list(enumerate(_without_delimiters(line[len(inside) + 1 :], delimiter).split(delimiter)[1:], len(found)))
    total = len(found) + len(after)
    beyond = after[max(0, width - opened_at - 1) :]
    if len(found) == 1 < width != total and not beyond:
        return []
    cells = list(enumerate(found))
    moved = after if beyond and len(found) != opened_at + 1 else beyond
    return [*cells, *moved, *_from_the_right(cells, total, width)]


def _misplaced(row: str, delimiter: str, width: int) -> bool:
    """Whether a row has another width than the header, and data in several of its lines."""
    # Of a long file not all lines are kept: an odd number of quotes shows that the width is not known.
    if row.count('"') % 2 or _without_delimiters(row, delimiter).count(delimiter) + 1 == width:
        return False
    cells = (line.split(delimiter) for line in row.split("\n"))
    return sum(any(looks_like_data(cell.strip(' "')) for cell in line) for line in cells) > 1


def _from_the_right(cells: list[tuple[int, str]], total: int, width: int) -> list[tuple[int, str]]:
    """Returns the cells of a line with more cells than the header, with positions counted from the line's end.

    One of its cells may contain the delimiter, such as `"15, 16" TV`.
    """
    return [(at - (total - width), cell) for at, cell in cells if at >= total - width > 0]


def _without_delimiters(text: str, delimiter: str) -> str:
    """Returns a text without the delimiters in its quoted cells."""
    return re.sub(rf'"{_QUOTED.pattern}"', lambda cell: cell[0].replace(delimiter, " "), text)


def _mostly_data(cells: Sequence[str | None]) -> bool:
    return 2 * sum(looks_like_data(cell or "") for cell in cells) > len(cells)


def _mended_names(beginning: Beginning, name: str) -> tuple[str, ...]:
    """Returns the names in a header, read like a row with broken quotes.

    Its width is not known in advance. Text between a closing quote and the next delimiter therefore belongs to the cell
    if the line's other quotes are balanced. Unless every quote is in its place, the header is in doubt if a backslash
    is before a quote that seems to close a cell, or if a name contains a delimiter.

    Raises:
        OSError: when the header is in doubt.
    """
    delimiter, width = beginning.delimiter, len(beginning.names)
    between = re.escape(delimiter)
    rest = rf'(?={between}|$)(?=(?:[^"\r\n]*"[^"\r\n]*")*[^"\r\n]*$)'
    after_quote = rf'(?m)(^|{between})"([^"\\{between}]*)"([^"{between}\r\n]*[^"\s{between}]){rest}'
    text = re.sub(after_quote, r'\1"\2""\3"', beginning.text).encode()
    scan = Scan()
    scan.read([text])
    is_clean = scan.has_clean_quotes(delimiter)
    is_doubtful = f'\\"{delimiter}'.encode() in text and not is_clean
    for least in (1, width):
        mender = Mender(delimiter, least)
        rows = b"".join(mender.mended([text], 0)).decode()
        names = tuple(cell.strip(BLANKS) for cell in list(parsed(split(rows), delimiter))[-1])
        may_be_several = not is_clean and any(delimiter in name for name in names)
        if not mender.broken and not is_doubtful and len(names) == width and not may_be_several:
            return names
    raise header_in_doubt(name, next(iter(mender.broken_lines), beginning.skip))


_BEGINS = re.compile(r'\s*(?:\{\s*["}]|\[\s*[\[{"\]])')
_EXPECTED: Final = "expected JSON lines: one object a line, without a list around them"


def is_json(head: str) -> bool:
    """Whether a text begins like a JSON object or list."""
    return _BEGINS.match(head) is not None


def json_layout(content: Content, scan: Scan, head: str) -> Layout:
    """Describes JSON lines by their first objects.

    Raises:
        ConfigurationError: when a line is no JSON object.
    """
    if not (text := head if scan.whole else head[: head.rfind("\n") + 1]):
        raise too_long(content.name)
    objects = list(itertools.islice(_objects(text, content.name), SAMPLED_ROWS))
    names = tuple(dict.fromkeys(key for each in objects for key in each))
    all_sampled = scan.whole and len(objects) < SAMPLED_ROWS
    return Layout(
        path=str(content.path),
        name=content.name,
        format="json",
        names=names,
        compression=content.compression,
        rows=len(objects) if all_sampled else scan.lines,
        recount=partial(_filled_lines, content),
        held=tuple(_held(each.get(name) for each in objects) for name in names),
        sample=tuple(tuple(_cell(each.get(name)) for name in names) for each in objects),
    )


def _filled_lines(content: Content) -> int:
    """Counts the lines that are not blank; reads all of the content."""
    filled = 0
    kept = b""
    for chunk in content.chunks():
        *lines, kept = (kept + chunk).split(b"\n")
        filled += sum(map(bool, map(bytes.strip, lines)))
    return filled + bool(kept.strip())


class _Fraction(str):
    """A number with a point or an exponent, as it is written."""

    __slots__ = ()


def _objects(text: str, name: str) -> Iterator[Mapping[str, Any]]:
    if text.lstrip().startswith("["):
        raise ConfigurationError(f"{name} is one JSON list; {_EXPECTED}. 'jq -c .[]' turns it into them.")
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            # Numbers are kept as text.
            parsed = json.loads(line, parse_int=str, parse_float=_Fraction, parse_constant=_Fraction)
        except (ValueError, RecursionError):
            parsed = None
        if not isinstance(parsed, dict):
            raise ConfigurationError(f"Line {number:,} of {name} is no JSON object; {_EXPECTED}.")
        yield parsed


def _held(values: Iterable[object]) -> str:
    """Returns the worst kind of value in a column other than text and whole numbers; empty without any."""
    kinds = {type(value) for value in values}
    return next((word for kind, word in _NO_IDENTIFIERS.items() if kind in kinds), "")


def _cell(value: object) -> str | None:
    """Returns a value as text, or `None` for a list or an object, which cannot be an identifier."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else None


_NO_IDENTIFIERS: Final = {list: "lists", dict: "structures", _Fraction: "fractions"}


_MAGIC: Final = b"PAR1"
_SHORTEST: Final = 12  # both marks and the footer's length


def is_parquet(start: bytes) -> bool:
    """Whether a file is Parquet, by its first bytes."""
    return start.startswith(_MAGIC)


def parquet_layout(
    files: Sequence[Path],
    name: str,
    workspace: Path,
    engine: Any = None,
    *,
    partitioned: bool = False,
) -> Layout:
    """Describes Parquet files that are one table.

    Args:
        files: the files.
        name: the name of the single file, or of their directory.
        workspace: a directory only its owner can read, for links.
        engine: an engine to read their metadata with; if `None`, a new one is opened, which takes longer than reading.
        partitioned: whether directories named `column=value` are columns, too.

    Raises:
        OSError: when a file is cut or cannot be read.
        ConfigurationError: when a directory names a column that is in the files, or not all files have the same ones.
    """
    for file in files:
        _require_whole(file, file.name)
    partitions = _partitions(files, name) if partitioned else [None] * len(files)
    paths = [literal_path(file, workspace, columns) for file, columns in zip(files, partitions, strict=True)]
    opened = partial(connect, workspace, threads=1, memory_limit=DEFAULT_MEMORY_LIMIT)
    with nullcontext(engine) if engine else closing(opened(files=files)) as looking:
        try:
            _require_no_clash(looking, paths, partitions[0] or {}, name)
            return _read_parquet(looking, paths, name, partitioned=partitioned)
        except import_duckdb().Error as error:
            lacking = f"cannot be read: {NO_DESCRIPTORS}" if TOO_MANY_FILES in str(error) else ""
            raise OSError(f"{name} {lacking or 'is damaged or no Parquet that can be read'}.") from None


def _require_whole(path: Path, name: str) -> None:
    with path.open("rb") as file:
        begins_well = is_parquet(file.read(len(_MAGIC)))
        size = file.seek(0, 2)
        file.seek(max(0, size - len(_MAGIC)))
        ends_well = file.read() == _MAGIC
    if size < _SHORTEST or not (begins_well and ends_well):
        raise OSError(f"{name} is cut or damaged: a Parquet file begins and ends with the mark PAR1.")


def _partitions(files: Sequence[Path], name: str) -> Sequence[Mapping[str, str]]:
    """Returns, for each file, the columns and values that its directories name.

    Raises:
        ConfigurationError: when they do not all name the same columns.
    """
    found = [_named(file.parent) for file in files]
    for each in found:
        if list(each) != list(found[0]):
            raise ConfigurationError(
                f"Directories of {name} name different columns: {listed(found[0]) or 'none'} and "
                f"{listed(each) or 'none'}; with hive_partitioning every file lies below the same ones."
            )
    return found


def _named(directory: Path) -> dict[str, str]:
    pairs = (part.partition("=") for part in directory.parts)
    return {column: value for column, sign, value in pairs if column and sign}


def _require_no_clash(engine: Any, paths: Sequence[LiteralPath], partitions: Mapping[str, str], name: str) -> None:
    columns = {column[0].lower() for column in engine.execute(_described(read_parquet(paths))).fetchall()}
    if twice := [column for column in partitions if column.lower() in columns]:
        raise ConfigurationError(
            f"The column {shown(twice[0])} is in the files of {name} and in the names of its directories; what stands "
            "in the files counts: leave hive_partitioning out."
        )


def _described(source: str) -> str:
    return f"DESCRIBE SELECT * FROM {source}"


def _read_parquet(engine: Any, paths: Sequence[LiteralPath], name: str, *, partitioned: bool) -> Layout:
    source = read_parquet(paths, partitioned=partitioned)
    files = f"[{', '.join(map(query.literal, paths))}]"
    columns = engine.execute(_described(source)).fetchall()
    given = {name for (name,) in engine.execute(f"SELECT DISTINCT name FROM parquet_schema({files})").fetchall()}
    as_text = f"SELECT COLUMNS(*)::VARCHAR FROM {source} LIMIT {SAMPLED_ROWS}"
    (rows,) = engine.execute(f"SELECT sum(num_rows) FROM parquet_file_metadata({files})").fetchone()
    return Layout(
        path=paths[0],
        name=name,
        format="parquet",
        names=tuple(_as_given(column[0], given) for column in columns),
        types=tuple(str(column[1]) for column in columns),
        files=tuple(paths),
        partitioned=partitioned,
        rows=int(rows),
        sample=tuple(engine.execute(as_text).fetchall()),
    )


def _as_given(name: str, given: set[str]) -> str:
    """Removes the number that the engine, which ignores case, adds to the second of two equal names."""
    base, _, number = name.rpartition("_")
    return base if name not in given and base in given and number.isdigit() else name
