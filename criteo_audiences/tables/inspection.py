"""Settles what a file is before it is read: one look at all of it, and a clean copy where the engine needs one."""

import codecs
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from attrs import evolve, frozen

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.tables import delimited, json_lines, parquet
from criteo_audiences.tables.compression import CHUNK, Content, write_copy
from criteo_audiences.tables.encoding import Guess, narrow_encoding, transcoded, wide_encoding
from criteo_audiences.tables.foreign import binary, controls_in, is_stray, require_rows, stray_nul
from criteo_audiences.tables.given_paths import no_file
from criteo_audiences.tables.interruption import Interruption, read_standard_input
from criteo_audiences.tables.lakes import require_no_lake
from criteo_audiences.tables.layout import STDIN, Layout
from criteo_audiences.tables.scan import HEAD, Scan

_PEEK: Final = 4096


@frozen
class Asked:
    """What the caller says of a file.

    Attributes:
        skip_rows: lines to leave out before the header.
        encoding: the name of its codec.
        partitioned: whether directories named `column=value` are columns of a Parquet file, too.
    """

    skip_rows: int | None = None
    encoding: str | None = None
    partitioned: bool = False

    def refuse(self, name: str, what: str) -> None:
        """Refuses what is said of a file that is no text, or text without a header.

        Raises:
            ConfigurationError: names the option.
        """
        for option, wanted in (("skip_rows", "delimited text"), ("encoding", "text")):
            if getattr(self, option) and not (option == "encoding" and what == "JSON lines"):
                raise ConfigurationError(f"{option} goes with {wanted}, but {name} is {what}; leave it out.")


def inspect(path: str, workspace: Path, interruption: Interruption | None = None, asked: Asked | None = None) -> Layout:
    """Looks at a whole file: its format, compression, encoding, header and first rows. Blocks; hashes nothing.

    Args:
        path: a file, or `-` for standard input.
        workspace: a directory only its owner can read, for a copy of what the engine cannot read as it is.
        interruption: ends it half-way.
        asked: what the caller says of it.

    Raises:
        FileNotFoundError: when it is not there.
        OSError: when it cannot be read, or is damaged or cut: in its compressed data or within a quoted cell.
        ConfigurationError: when it is no list of rows with a header.
    """
    name = "standard input" if path == STDIN else Path(path).name or "The path"
    try:
        return _inspected(path, name, workspace, interruption or Interruption(), asked or Asked())
    except OSError as error:
        if error.filename is None:
            raise
        # A path may say more than a name.
        is_copy = Path(error.filename).is_relative_to(workspace)
        renamed = OSError(error.errno, error.strerror, "a temporary copy" if is_copy else name)
        if isinstance(error, FileNotFoundError) and not is_copy:
            renamed = no_file(path)
    raise renamed  # outside of the handler, so that it does not keep the other one as its context


def _inspected(path: str, name: str, workspace: Path, interruption: Interruption, asked: Asked) -> Layout:
    file = write_copy(workspace / "input", _input(interruption)) if path == STDIN else Path(path)
    _require_regular(file, name)
    with file.open("rb") as opened:
        start = opened.read(_PEEK)
    if parquet.begins(start):
        asked.refuse(name, "Parquet")
        require_no_lake(file.absolute().parent)
        return parquet.layout([file], name, workspace, partitioned=asked.partitioned)
    if asked.partitioned:
        raise ConfigurationError(f"hive_partitioning is about Parquet files; {name} is none.")
    return _text(Content.of(file, name, start, interruption), workspace, asked)


def _require_regular(file: Path, name: str) -> None:
    # A pipe can be read only once, and a device may never end.
    if not stat.S_ISREG(file.stat().st_mode):
        raise ConfigurationError(f"{name} is no regular file; pipe it to standard input and name it '-'.")


def _input(interruption: Interruption) -> Iterator[bytes]:
    return iter(lambda: read_standard_input(CHUNK, interruption), b"")


def _text(content: Content, workspace: Path, asked: Asked) -> Layout:
    content, scan, guess = _clean(content, workspace, asked)
    head = codecs.getincrementaldecoder("utf-8-sig")().decode(scan.head, final=scan.whole)
    if json_lines.begins(head):
        asked.refuse(content.name, "JSON lines")  # in UTF-16, it shows only now
        return json_lines.layout(content, scan, head)
    return evolve(delimited.layout(content, scan, head, workspace, asked.skip_rows or 0), guess=guess)


def _clean(content: Content, workspace: Path, asked: Asked) -> tuple[Content, Scan, str]:
    """Returns the content itself when it is clean UTF-8 that the engine can read, otherwise a copy that is.

    The third is the encoding where it was guessed and may be another one.
    """
    start = next(content.chunks(), b"")
    encoding = asked.encoding or wide_encoding(start)
    skip_rows = asked.skip_rows or 0
    guess = ""
    if json_lines.begins(start.decode("utf-8-sig", "replace")):
        asked.refuse(content.name, "JSON lines")
    if encoding is None:
        require_rows(start[:_PEEK], content.name)
        scan = Scan()
        scan.read(content.chunks())
        if scan.has_nul:
            raise _not_text(content.chunks(), content.name)
        fit = content.portable and not _mark_misleads(scan.head) and not _quoted_above(scan.head, skip_rows)
        if scan.is_utf8 and fit:
            return content, scan, ""
        found = Guess("utf-8", sure=True) if scan.is_utf8 else narrow_encoding(content.chunks)
        encoding, guess = found.encoding, "" if found.sure else found.encoding
    scan = Scan()
    copy = write_copy(workspace / "copy", scan.seen(_plain_above(transcoded(content.chunks(), encoding), skip_rows)))
    if scan.has_nul:
        raise _not_text(transcoded(content.chunks(), encoding), content.name)
    return Content(copy, content.name, "none", content.interruption), scan, guess


def _quoted_above(head: bytes, skip_rows: int) -> bool:
    """Tells whether a line above the header holds a quote: the engine would take it for the beginning of a cell."""
    return any(b'"' in line for line in head.splitlines()[:skip_rows])


def _plain_above(chunks: Iterable[bytes], skip_rows: int) -> Iterator[bytes]:
    """Yields a text whose first lines hold no quotes, so that every line there counts as a row."""
    rest = iter(chunks)
    head = b""
    while skip_rows and len(head) < HEAD and (chunk := next(rest, b"")):
        head += chunk
    lines = head.splitlines(keepends=True)
    yield b"".join(line.replace(b'"', b" ") for line in lines[:skip_rows]) + b"".join(lines[skip_rows:])
    yield from rest


def _mark_misleads(head: bytes) -> bool:
    """Tells whether the engine stumbles over a byte order mark: before JSON, and before a quote that spans lines."""
    if not head.startswith(codecs.BOM_UTF8):
        return False
    first = head.removeprefix(codecs.BOM_UTF8).lstrip().partition(b"\n")[0]
    return bool(first.count(b'"') % 2) or first.startswith(b"{")


def _not_text(chunks: Iterable[bytes], name: str) -> ConfigurationError:
    """Returns the error for content with zero bytes: the line of the first, or that it is binary if there are many.

    Raises:
        OSError: when compressed data are damaged, which may be why.
    """
    size = controls = feeds = returns = 0
    found = False
    for chunk in chunks:
        if not found:
            before, zero, _ = chunk.partition(b"\0")
            feeds += before.count(b"\n")
            returns += before.count(b"\r")
            found = bool(zero)
        controls += controls_in(chunk)
        size += len(chunk)
    return stray_nul(name, 1 + (feeds or returns)) if is_stray(controls, size) else binary(name)
