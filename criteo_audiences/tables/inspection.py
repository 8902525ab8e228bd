"""Settles what a file is before it is read: one look at all of it, and a clean copy where the engine needs one."""

import codecs
import os
import stat
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.tables import json_lines, parquet
from criteo_audiences.tables.compression import CHUNK, Content
from criteo_audiences.tables.delimiting import Beginning, read_beginning, read_sample
from criteo_audiences.tables.encoding import narrow_encoding, transcoded, wide_encoding
from criteo_audiences.tables.foreign import binary, require_rows
from criteo_audiences.tables.interruption import Interruption, read_standard_input
from criteo_audiences.tables.layout import LONGEST_LINE, STDIN, Layout
from criteo_audiences.tables.names import looks_like_data
from criteo_audiences.tables.quotes import BROKEN, Mender
from criteo_audiences.tables.rows import TOO_LONG
from criteo_audiences.tables.scan import Scan

_PEEK: Final = 4096
_OWNER_ONLY: Final = 0o600


def inspect(
    path: str, workspace: Path, interruption: Interruption | None = None, *, partitioned: bool = False
) -> Layout:
    """Looks at a whole file: its format, compression, encoding, header and first rows. Blocks; hashes nothing.

    Args:
        path: a file, or `-` for standard input.
        workspace: a directory only its owner can read, for a copy of what the engine cannot read as it is.
        interruption: ends it half-way.
        partitioned: whether directories named `column=value` are columns of a Parquet file, too.

    Raises:
        OSError: when it cannot be read, or is damaged or cut: in its compressed data or within a quoted cell.
        ConfigurationError: when it is no list of rows with a header.
    """
    name = "standard input" if path == STDIN else Path(path).name or "The path"
    try:
        return _inspected(path, name, workspace, interruption or Interruption(), partitioned=partitioned)
    except OSError as error:
        if error.filename is None:
            raise
        # A path may say more than a name.
        shown = "a temporary copy" if Path(error.filename).is_relative_to(workspace) else name
        renamed = OSError(error.errno, error.strerror, shown)
    raise renamed  # outside of the handler, so that it does not keep the other one as its context


def _inspected(path: str, name: str, workspace: Path, interruption: Interruption, *, partitioned: bool) -> Layout:
    file = _written(workspace, "input", _input(interruption)) if path == STDIN else Path(path)
    _require_regular(file, name)
    with file.open("rb") as opened:
        start = opened.read(_PEEK)
    if parquet.begins(start):
        return parquet.layout([file], name, workspace, partitioned=partitioned)
    if partitioned:
        raise ConfigurationError(f"hive_partitioning is about Parquet files; {name} is none.")
    return _text(Content.of(file, name, start, interruption), workspace)


def _require_regular(file: Path, name: str) -> None:
    # A pipe can be read only once, and a device may never end.
    if not stat.S_ISREG(file.stat().st_mode):
        raise ConfigurationError(f"{name} is no regular file; pipe it to standard input and name it '-'.")


def _input(interruption: Interruption) -> Iterator[bytes]:
    return iter(lambda: read_standard_input(CHUNK, interruption), b"")


def _text(content: Content, workspace: Path) -> Layout:
    content, scan = _clean(content, workspace)
    head = codecs.getincrementaldecoder("utf-8-sig")().decode(scan.head, final=scan.whole)
    if json_lines.begins(head):
        return json_lines.layout(content, scan, head)
    return _delimited(content, scan, head, workspace)


def _delimited(content: Content, scan: Scan, head: str, workspace: Path) -> Layout:
    beginning = read_beginning(head, content.name, whole=scan.whole)
    if scan.longest > LONGEST_LINE:
        raise OSError(f"{content.name}: a line {TOO_LONG}")
    if not scan.has_clean_quotes(beginning.delimiter):
        return _mended(content, beginning, workspace)
    before = Scan()
    before.read([beginning.text.encode()])
    return Layout(
        path=str(content.path),
        name=content.name,
        format="csv",
        names=beginning.names,
        delimiter=beginning.delimiter,
        skip=beginning.skip,
        compression=content.compression,
        quotes=scan.quotes > before.quotes,
        rows=scan.rows - before.rows,
        notes=_hidden_rows(scan, before, beginning, content.name),
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
    copy = _written(workspace, "mended", _seen(mender.mended(content.chunks(), skip), scan))
    sample = read_sample(scan.head.decode(errors="ignore"), delimiter, width, whole=scan.whole)
    return Layout(
        path=str(copy),
        name=content.name,
        format="csv",
        names=beginning.names,
        delimiter=delimiter,
        quotes=scan.quotes > 0,
        rows=scan.rows,
        is_broken=mender.broken > 0,
        notes=_broken_rows(mender, content.name),
        sample=tuple(row for row in sample if BROKEN not in row),
    )


def _broken_rows(mender: Mender, name: str) -> tuple[str, ...]:
    if not mender.broken:
        return ()
    lines = ", ".join(f"{line:,}" for line in mender.broken_lines)
    more = " and others" if mender.broken > len(mender.broken_lines) else ""
    many = "1 row has" if mender.broken == 1 else f"{mender.broken:,} rows have"
    return (f"{name}: {many} broken quotes and cannot be read, in line {lines}{more}; double quotes within a cell.",)


def _hidden_rows(scan: Scan, before: Scan, beginning: Beginning, name: str) -> tuple[str, ...]:
    """Notes rows that two stray quotes may have made part of one cell: by RFC 4180 nothing is wrong with them."""
    width = len(beginning.names)
    with_data = [at for at, cells in enumerate(zip(*beginning.sample, strict=True)) if _mostly_data(cells)]
    hidden = []
    for row, line in scan.continued:
        text = line.decode(errors="replace")
        cells = [cell.strip(' "') for cell in text.split(beginning.delimiter)]
        spans_cells = beginning.delimiter in text.partition('"')[0]
        if spans_cells and len(cells) == width and any(looks_like_data(cells[at]) for at in with_data):
            hidden.append(row)
    if not hidden:
        return ()
    found = f"{name}: the quoted cell in row {hidden[0] - before.rows:,} has several lines"
    return (f"{found} that look like rows of their own; if a quote is missing there, nobody in them is read.",)


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


def _clean(content: Content, workspace: Path) -> tuple[Content, Scan]:
    """Returns the content itself when it is clean UTF-8 that the engine can read, otherwise a copy that is."""
    start = next(content.chunks(), b"")
    encoding = wide_encoding(start)
    if encoding is None:
        require_rows(start[:_PEEK], content.name)
        scan = Scan()
        scan.read(content.chunks())
        if scan.has_nul:
            _refuse_binary(content)
        if scan.is_utf8 and content.portable and not _mark_misleads(scan.head):
            return content, scan
        encoding = "utf-8" if scan.is_utf8 else narrow_encoding(content.chunks)
    scan = Scan()
    copy = _written(workspace, "copy", _seen(transcoded(content.chunks(), encoding), scan))
    if scan.has_nul:
        raise binary(content.name)
    return Content(copy, content.name, "none", content.interruption), scan


def _mark_misleads(head: bytes) -> bool:
    """Tells whether the engine stumbles over a byte order mark: before JSON, and before a quote that spans lines."""
    if not head.startswith(codecs.BOM_UTF8):
        return False
    first = head.removeprefix(codecs.BOM_UTF8).lstrip().partition(b"\n")[0]
    return bool(first.count(b'"') % 2) or first.startswith(b"{")


def _refuse_binary(content: Content) -> None:
    """Raises that the content is binary, unless it is so because its compressed data are damaged."""
    if content.compression != "none":
        deque(content.chunks(), maxlen=0)
    raise binary(content.name)


def _seen(chunks: Iterable[bytes], scan: Scan) -> Iterator[bytes]:
    for chunk in chunks:
        scan.look(chunk)
        yield chunk
    scan.end()


def _written(workspace: Path, name: str, chunks: Iterable[bytes]) -> Path:
    """Writes a file that only its owner can read."""
    path = workspace / name
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY), "wb", buffering=0) as file:
        for chunk in chunks:
            _write_all(file, chunk)
    return path


def _write_all(file: Any, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[file.write(view) :]
