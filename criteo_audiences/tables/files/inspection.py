"""Inspects a file before the engine reads it: reads all of it once, and makes a clean copy if the engine needs one."""

import codecs
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from attrs import evolve, frozen

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.tables.files.formats import delimited_layout, is_json, is_parquet, json_layout, parquet_layout
from criteo_audiences.tables.files.layout import Guess, Layout, narrow_encoding, transcoded
from criteo_audiences.tables.files.paths import is_read_once, name_of, no_file, require_no_lake
from criteo_audiences.tables.files.pipes import OpenStream, arriving
from criteo_audiences.tables.files.scan import HEAD, Scan
from criteo_audiences.tables.files.workspace import CHUNK, Content, Interruption, write_copy

EXPECTED: Final = "CSV, TSV or JSON lines (plain, gzip or zstd), or Parquet"

# A longer beginning comes before a shorter one that is a prefix of it.
_FOREIGN: Final = (
    (b"PK\x03\x04", "an Excel workbook or another zip archive (save its sheet as CSV)"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel workbook (save its sheet as CSV)"),
    (b"BZh", "bzip2-compressed"),
    (b"\xfd7zXZ\x00", "xz-compressed"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\x04\x22\x4d\x18", "lz4-compressed"),
    (b"\xff\x06\x00\x00sNaPpY", "snappy-compressed"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (b"%PDF-", "a PDF"),
    (b"{\\rtf", "a rich-text document"),
    (b"PARE", "an encrypted Parquet file"),
    (b"PAR1", "a Parquet file inside a compressed one"),
    (b"ORC", "an ORC file"),
    (b"Obj\x01", "an Avro file"),
    (b"ARROW1", "an Arrow file"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"\x1f\x8b", "gzip inside a compressed file"),
    (b"\x28\xb5\x2f\xfd", "zstd inside a compressed file"),
)
_MARKUP: Final = ((b"<?xml", "XML"), (b"<!doctype html", "a web page"), (b"<html", "a web page"))
# Control characters that are neither text nor used as delimiters; \x01 is Hive's delimiter.
_CONTROLS: Final = bytes(set(range(0x20)) - set(b"\x01\t\n\v\f\r\x1a\x1b")) + b"\x7f"
_MOST_CONTROLS: Final = 0.01
_STRAY: Final = 2  # control characters that a short text may hold by accident


def require_rows(start: bytes, name: str) -> None:
    """Refuses a file that cannot be a list of rows by its first bytes.

    Args:
        start: the first bytes, decompressed; neither UTF-16 nor Parquet, which are recognized earlier.
        name: the file's name, for the message.

    Raises:
        ConfigurationError: when it cannot; says what the file is and what is expected.
    """
    for magic, what in _FOREIGN:
        if start.startswith(magic) and not (magic.isalnum() and _reads_on(start[len(magic) :])):
            raise ConfigurationError(f"{name} is {what}; expected {EXPECTED}.")
    begun = start.removeprefix(b"\xef\xbb\xbf").lstrip()[:64].lower()
    for tag, what in _MARKUP:
        if begun.startswith(tag):
            raise ConfigurationError(f"{name} is {what}; expected {EXPECTED}.")
    if not is_stray(controls_in(start), len(start)):
        raise binary(name)


def controls_in(content: bytes) -> int:
    """Counts control characters that do not occur in text."""
    return len(content) - len(content.translate(None, _CONTROLS))


def is_stray(controls: int, size: int) -> bool:
    """Whether there are so few control characters that the bytes are a text with accidental ones."""
    return controls <= max(_STRAY, size * _MOST_CONTROLS)


def stray_nul(name: str, line: int) -> ConfigurationError:
    """Returns the error for a text with a zero byte in it."""
    return ConfigurationError(
        f"Line {line:,} of {name} holds a NUL (a zero byte), which no text holds; "
        "export the file again, or take it out with tr -d '\\000'."
    )


def binary(name: str) -> ConfigurationError:
    """Returns the error for a binary file."""
    return ConfigurationError(f"{name} is binary; expected {EXPECTED}.")


def _reads_on(rest: bytes) -> bool:
    """Whether letters that match a format's signature are only the beginning of a header, as in `ORCID`."""
    begun = rest[:32]
    return begun.isascii() and begun.translate(None, _CONTROLS) == begun


_PEEK: Final = 4096
# A longer byte order mark comes before a shorter one that is a prefix of it.
_MARKS: Final = (
    (b"\xff\xfe\x00\x00", "utf-32-le"),
    (b"\x00\x00\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)


@frozen
class Asked:
    """The caller's options for a file, and the engine that inspects it.

    Attributes:
        skip_rows: lines to leave out before the header.
        encoding: the name of its codec.
        partitioned: whether directories named `column=value` are columns of a Parquet file, too.
        opened: a stream to read in place of a file.
        engine: the engine that will read it, and with which Parquet is inspected; `None` to open another one for that.
    """

    skip_rows: int | None = None
    encoding: str | None = None
    partitioned: bool = False
    opened: OpenStream | None = None
    engine: Any = None

    def refuse(self, name: str, what: str) -> None:
        """Refuses options that a file of this format does not have.

        Args:
            name: the file's name.
            what: its format: Parquet or JSON lines.

        Raises:
            ConfigurationError: when such an option is set; names the option.
        """
        for option, wanted in (("skip_rows", "delimited text"), ("encoding", "text")):
            if getattr(self, option) and not (option == "encoding" and what == "JSON lines"):
                raise ConfigurationError(f"{option} goes with {wanted}, but {name} is {what}; leave it out.")


def inspect(path: str, workspace: Path, interruption: Interruption | None = None, asked: Asked | None = None) -> Layout:
    """Inspects a whole file: its format, compression, encoding, header and first rows. Blocks; hashes nothing.

    Args:
        path: a file, a pipe, or `-` for standard input.
        workspace: a directory only its owner can read, for a copy of a file that the engine cannot read as it is.
        interruption: stops the inspection early.
        asked: the caller's options for the file.

    Raises:
        FileNotFoundError: when it does not exist.
        OSError: when it cannot be read, is damaged, or ends within its compressed data or a quoted cell.
        ConfigurationError: when it is no list of rows with a header.
    """
    name = name_of(path) or "The path"
    try:
        return _inspected(path, name, workspace, interruption or Interruption(), asked or Asked())
    except OSError as error:
        if error.filename is None:
            raise
        # The message shows only the name, because a path may reveal more.
        is_copy = Path(error.filename).is_relative_to(workspace)
        renamed = OSError(error.errno, error.strerror, "a temporary copy" if is_copy else name)
        if isinstance(error, FileNotFoundError) and not is_copy:
            renamed = no_file(path)
    raise renamed  # outside of the handler, so that it does not keep the other one as its context


def _inspected(path: str, name: str, workspace: Path, interruption: Interruption, asked: Asked) -> Layout:
    file = Path(path)
    if asked.opened is not None:
        if asked.encoding is not None and asked.opened.is_text:
            raise ConfigurationError(
                "encoding does not go with a stream of text, which has been decoded; leave it out."
            )
        file = write_copy(workspace / "input", asked.opened.arriving(CHUNK, interruption))
    elif is_read_once(path):
        chunks = arriving(path, CHUNK, interruption)
        file = write_copy(workspace / "input", chunks if asked.encoding else _begun_as_rows(chunks, name))
    _require_regular(file, name)
    with file.open("rb") as opened:
        start = opened.read(_PEEK)
    if is_parquet(start):
        asked.refuse(name, "Parquet")
        require_no_lake(file.absolute().parent)
        return parquet_layout([file], name, workspace, asked.engine, partitioned=asked.partitioned)
    if asked.partitioned:
        raise ConfigurationError(f"hive_partitioning is about Parquet files; {name} is none.")
    return _text(Content.of(file, name, start, interruption), workspace, asked)


def _begun_as_rows(chunks: Iterator[bytes], name: str) -> Iterator[bytes]:
    """Yields what arrives if it begins like a list of rows; otherwise an endless device could fill the disk.

    Raises:
        ConfigurationError: when the beginning is no list of rows; says what it is.
    """
    start = next(chunks, b"")
    is_packed = Content.of(Path(), name, start, Interruption()).compression != "none"
    if not (is_packed or is_parquet(start) or _wide_encoding(start)):
        require_rows(start[:_PEEK], name)
    yield start
    yield from chunks


def _require_regular(file: Path, name: str) -> None:
    if not stat.S_ISREG(file.stat().st_mode):
        raise ConfigurationError(f"{name} is a directory, a disk or a socket; expected a file or a pipe.")


def _text(content: Content, workspace: Path, asked: Asked) -> Layout:
    content, scan, guess = _clean(content, workspace, asked)
    head = codecs.getincrementaldecoder("utf-8-sig")().decode(scan.head, final=scan.whole)
    if is_json(head):
        asked.refuse(content.name, "JSON lines")  # in UTF-16, JSON is recognized only now
        return json_layout(content, scan, head)
    return evolve(delimited_layout(content, scan, head, workspace, asked.skip_rows or 0), guess=guess)


def _clean(content: Content, workspace: Path, asked: Asked) -> tuple[Content, Scan, str]:
    """Returns the content itself if it is clean UTF-8 that the engine can read, otherwise a clean copy.

    The second value is the scan of it. The third is the encoding if it is only a guess, otherwise an empty text.
    """
    start = next(content.chunks(), b"")
    encoding = asked.encoding or _wide_encoding(start)
    skip_rows = asked.skip_rows or 0
    guess = ""
    if is_json(start.decode("utf-8-sig", "replace")):
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


def _wide_encoding(start: bytes) -> str | None:
    """Returns the codec if a file begins with a mark of UTF-16 or UTF-32, or like UTF-16 without one; else `None`."""
    for mark, encoding in _MARKS:
        if start.startswith(mark):
            return encoding
    even, odd = start[:_PEEK:2], start[1:_PEEK:2]
    # Half of the bytes of Western text in UTF-16 are zero, all on the same side.
    for zeros, letters, encoding in ((odd, even, "utf-16-le"), (even, odd, "utf-16-be")):
        if zeros.count(0) > len(zeros) // 2 and not letters.count(0):
            return encoding
    return None


def _quoted_above(head: bytes, skip_rows: int) -> bool:
    """Whether a line above the header contains a quote, which the engine would take for the beginning of a cell."""
    return any(b'"' in line for line in head.splitlines()[:skip_rows])


def _plain_above(chunks: Iterable[bytes], skip_rows: int) -> Iterator[bytes]:
    """Yields the text with spaces for the quotes in its first lines, so that each of these lines counts as a row."""
    rest = iter(chunks)
    head = b""
    while skip_rows and len(head) < HEAD and (chunk := next(rest, b"")):
        head += chunk
    lines = head.splitlines(keepends=True)
    yield b"".join(line.replace(b'"', b" ") for line in lines[:skip_rows]) + b"".join(lines[skip_rows:])
    yield from rest


def _mark_misleads(head: bytes) -> bool:
    """Whether the engine fails at a byte order mark: before JSON, and before a quoted cell with a line break."""
    if not head.startswith(codecs.BOM_UTF8):
        return False
    first = head.removeprefix(codecs.BOM_UTF8).lstrip().partition(b"\n")[0]
    return bool(first.count(b'"') % 2) or first.startswith(b"{")


def _not_text(chunks: Iterable[bytes], name: str) -> ConfigurationError:
    """Returns the error for content with zero bytes: it names the line of the first, or says that the file is binary.

    Raises:
        OSError: when compressed data are damaged, which may be the cause.
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
