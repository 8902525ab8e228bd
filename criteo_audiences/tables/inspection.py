"""Settles what a file is before it is read: one look at all of it, and a clean copy where the engine needs one."""

import codecs
import stat
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.tables import delimited, json_lines, parquet
from criteo_audiences.tables.compression import CHUNK, Content, write_copy
from criteo_audiences.tables.encoding import narrow_encoding, transcoded, wide_encoding
from criteo_audiences.tables.foreign import binary, require_rows
from criteo_audiences.tables.interruption import Interruption, read_standard_input
from criteo_audiences.tables.layout import STDIN, Layout
from criteo_audiences.tables.scan import Scan

_PEEK: Final = 4096


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
    file = write_copy(workspace / "input", _input(interruption)) if path == STDIN else Path(path)
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
    return delimited.layout(content, scan, head, workspace)


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
    copy = write_copy(workspace / "copy", scan.seen(transcoded(content.chunks(), encoding)))
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
