"""Reads delimited text, plain or gzip, as a stream; a damaged cell never stops the rows after it."""

import contextlib
import csv
import gzip
import io
import itertools
import re
import sys
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

from criteo_audiences.errors import ConfigurationError

T = TypeVar("T")

SLICE: Final = 2_000
"""Rows read at a time."""

STDIN: Final = "-"

_GZIP: Final = b"\x1f\x8b"
# What files that are no delimited text begin with, and what to call them.
_FOREIGN: Final = (
    (b"PK\x03\x04", "an Excel workbook or another zip archive"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook"),
    (b"PAR1", "a Parquet file"),
    (b"\x28\xb5\x2f\xfd", "zstd-compressed"),
    (b"BZh", "bzip2-compressed"),
    (b"\xfd7zXZ", "xz-compressed"),
    (b"SQLite format 3", "an SQLite database"),
    (b"%PDF", "a PDF"),
    (b"\xff\xfe", "UTF-16 text"),
    (b"\xfe\xff", "UTF-16 text"),
)
_DELIMITERS: Final = ",;\t|"
_SEPARATOR_HINT = re.compile(r"sep=(.)\s*", re.IGNORECASE)
_PEEK: Final = 64 * 1024
_LONGEST_CELL: Final = 1_000_000


class Cells(list[str | None]):
    """Cells of a column; shows none of them, because asyncio's debug log shows what a worker thread returns."""

    def __repr__(self) -> str:
        return f"<{len(self):,} cells>"


class DelimitedFile:
    """An open file: its header, then its rows.

    Args:
        path: the file, or `-` for standard input.

    Raises:
        OSError: when it cannot be opened or read.
        ConfigurationError: when it is empty or is no delimited text.
    """

    def __init__(self, path: str) -> None:
        self.name = "standard input" if path == STDIN else Path(path).name
        self._closing = contextlib.ExitStack()
        self._line = 0
        self._ended = False
        self._bytes = 0 if path == STDIN else Path(path).stat().st_size
        try:
            text = self._open_text(path)
            # The reader's limit on a cell is global to the process; a cell beyond it means a quote never closed.
            csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_CELL))
            self._rows, self.header = self._start(text)
        except BaseException:
            self._closing.close()
            raise

    def slices(self, position: int) -> Iterator[Cells]:
        """Yields the cells of one column, some thousand rows at a time; `None` where a row has no such cell.

        Raises:
            OSError: when the file ends too early or cannot be read further.
        """
        rows = filter(None, self._rows)
        while cells := Cells(row[position] if position < len(row) else None for row in itertools.islice(rows, SLICE)):
            yield cells

    def share(self) -> float | None:
        """How much of the file's bytes has been read, 0 to 1; `None` for standard input."""
        return min(1.0, self._raw.tell() / self._bytes) if self._bytes else None

    def close(self) -> None:
        """Closes the file; standard input stays open."""
        self._closing.close()

    def _open_text(self, path: str) -> io.TextIOWrapper:
        raw: Any = sys.stdin.buffer
        if path != STDIN:
            raw = self._closing.enter_context(Path(path).open("rb"))  # noqa: SIM115 - the stack closes it
        self._raw = raw
        start = raw.peek(_PEEK)
        if start.startswith(_GZIP):
            raw = self._closing.enter_context(gzip.GzipFile(fileobj=raw, mode="rb"))
            start = next(self._guarded(iter(lambda: raw.peek(_PEEK), None)))
        self._require_text(start)
        # Bytes that are no UTF-8 become surrogates: they spoil their own cell, which is then rejected, and no other.
        text = io.TextIOWrapper(raw, encoding="utf-8-sig", errors="surrogateescape", newline="")
        self._closing.callback(text.detach)  # otherwise it would close standard input with itself
        return text

    def _require_text(self, start: bytes) -> None:
        if not start:
            raise ConfigurationError(f"{self.name} is empty: it has not even a header row.")
        for magic, what in _FOREIGN:
            if start.startswith(magic):
                raise ConfigurationError(f"{self.name} is {what}; expected CSV or TSV in UTF-8, plain or gzip.")
        if b"\0" in start:
            raise ConfigurationError(f"{self.name} is binary; expected CSV or TSV in UTF-8, plain or gzip.")

    def _start(self, text: io.TextIOWrapper) -> tuple[Iterator[list[str]], list[str]]:
        """Reads up to the header row and finds the delimiter there, or in a spreadsheet's `sep=` line."""
        lines = self._lines(text)
        filled = filter(str.strip, lines)
        first = next(filled, "")
        hint = _SEPARATOR_HINT.fullmatch(first)
        if hint:
            first = next(filled, "")
        delimiter = hint[1] if hint else _delimiter(first)
        rows = self._complete(csv.reader(itertools.chain([first] if first else [], lines), delimiter=delimiter))
        header = next((row for row in rows if any(cell.strip() for cell in row)), None)
        if header is None:
            raise ConfigurationError(f"{self.name} is empty: it has not even a header row.")
        return rows, header

    def _lines(self, text: Iterable[str]) -> Iterator[str]:
        """Yields the lines, counting them, and remembers when there are no more."""
        for self._line, line in enumerate(self._guarded(text), start=1):  # noqa: B020 - counts where others can see it
            yield line
        self._ended = True

    def _complete(self, rows: Iterable[list[str]]) -> Iterator[list[str]]:
        """Yields rows; one that goes on to the end of the file has a quote that was never closed, and others in it."""
        began = self._line
        for row in self._guarded(rows):
            if self._ended:
                raise OSError(f"{self.name} ends inside a quoted cell: a quote in line {began:,} was never closed.")
            yield row
            began = self._line + 1

    def _guarded(self, entries: Iterable[T]) -> Iterator[T]:
        """Yields what there is to read; a damaged file ends in one clear sentence that shows nothing of it."""
        try:
            for entry in entries:  # noqa: UP028 - `yield from` would close what it reads from
                yield entry
        except (EOFError, zlib.error, gzip.BadGzipFile):
            raise OSError(f"{self.name} is damaged: its gzip data end too early or cannot be read.") from None
        except csv.Error:
            raise OSError(
                f"{self.name} cannot be read further: a cell is longer than {_LONGEST_CELL:,} characters, "
                "so a quote before it was probably never closed."
            ) from None


def _delimiter(line: str) -> str:
    """Returns the delimiter that a header uses most, outside quotes; a comma when it uses none."""
    unquoted = re.sub(r'"[^"]*"', "", line)
    return max(_DELIMITERS, key=unquoted.count)
