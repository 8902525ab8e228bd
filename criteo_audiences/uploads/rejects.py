"""Writes the file of rejects (a dead-letter file): the place of each rejected value, and why it is no identifier."""

import csv
import io
import os
import re
import secrets
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Final

import anyio
from anyio import to_thread

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.identifiers import Reject, RejectReason
from criteo_audiences.journals.directory import Witness

COLUMNS: Final = ("file", "row", "column", "reason", "fingerprint")
VALUE_COLUMN: Final = "value"
"""A further column with the rejected values themselves, if the caller asks for them."""
_EXISTS: Final = "rejects must name a new file; one of that name exists."
_ENOUGH: Final = 64 * 1024
_NEW: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL
_FLAGS: Final = _NEW | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)

_SIGNS: Final = r"[=+\-@\uff1d\uff0b\uff0d\uff20]"
_BEFORE: Final = r"[\s\"'\u2018-\u201f\ufeff\u200b-\u200f\u202a-\u202e\u2060-\u2069\uff02\uff07]*"
"""Blanks, quotes and invisible characters, which programs may drop at the beginning of a cell."""
_GUARDED: Final = re.compile(rf"'|{_BEFORE}{_SIGNS}|\s*[\t\r\n]")
_ESCAPE: Final = re.compile(r"\\(\\|x[0-9a-f]{2}|u[0-9a-f]{4})")
_ESCAPED: Final = re.compile(rf"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\\]|(?<=[;,|]){_BEFORE}{_SIGNS}")


def defused(value: str) -> str:
    """Returns the cell for a value, in a form that no spreadsheet program runs.

    Control characters, halves of surrogate pairs and backslashes are escaped, and so is a character that begins a
    formula after a separator of another dialect. A cell that could still begin a formula, or that begins with an
    apostrophe, gets an apostrophe in front. docs/reference/rejects.md says how to undo it.

    Source: OWASP, "CSV Injection".
    """
    guard = "'" if _GUARDED.match(value) else ""
    return guard + _ESCAPED.sub(_escape, value)


def undone(cell: str) -> str:
    """Returns the original value of a cell that `defused` returned."""
    return _ESCAPE.sub(lambda found: "\\" if found[1] == "\\" else chr(int(found[1][1:], 16)), cell.removeprefix("'"))


def _escape(found: re.Match[str]) -> str:
    before, last = found[0][:-1], found[0][-1]
    sign = "\\\\" if last == "\\" else f"\\x{ord(last):02x}" if ord(last) < 256 else f"\\u{ord(last):04x}"  # noqa: PLR2004
    return "".join(_ESCAPED.sub(_escape, letter) for letter in before) + sign


class RejectsFile:
    """A CSV file that only its owner can read, with a fingerprint of each rejected value, and optionally the value.

    The fingerprint's key is made for this file and stored nowhere. Equal values have equal fingerprints, but without
    the key a value cannot be tested against them. Only whole rows are written, so that the file is readable even if
    writing stops.

    Args:
        path: the path of the file, which must not exist.
        plain: whether it contains the values.
    """

    def __init__(self, path: Path, *, plain: bool) -> None:
        self._path = path
        self._plain = plain
        self._keyed = blake2b(digest_size=8, key=secrets.token_bytes(32))
        self._descriptor = -1
        self._size = 0
        self._clear()

    @property
    def full(self) -> bool:
        """Whether enough text is buffered to be worth writing."""
        return self._text.tell() > _ENOUGH

    def require_new(self) -> None:
        """Checks, before the upload begins, most of what `open` would refuse; blocks.

        Raises:
            ConfigurationError: when the path exists, or its directory does not.
        """
        if os.path.lexists(self._path):
            raise ConfigurationError(_EXISTS)
        try:
            self._path.parent.stat()
        except OSError as error:
            raise _uncreatable(error) from None

    def open(self) -> None:
        """Creates the file, with its header.

        Raises:
            ConfigurationError: when the path exists, or the file cannot be created.
            OSError: when it cannot be written.
        """
        try:
            self._descriptor = os.open(self._path, _FLAGS, 0o600)
        except FileExistsError:
            raise ConfigurationError(_EXISTS) from None
        except OSError as error:
            raise _uncreatable(error) from None
        if self._plain:
            Witness().note_rejects(self._path)  # before it contains a value
        self._rows.writerow((*COLUMNS, VALUE_COLUMN) if self._plain else COLUMNS)
        self.flush()

    def note(self, row: int, reason: RejectReason, value: str) -> None:
        """Buffers a rejected value of an iterable; `flush` writes it."""
        self._add(Reject("", row, "", reason, value))

    def write(self, rejects: Iterable[Reject]) -> None:
        """Writes rejected values, a bounded piece at a time; blocks.

        Raises:
            OSError: when they cannot be written.
        """
        for reject in rejects:
            self._add(reject)
            if self.full:
                self.flush()

    def flush(self) -> None:
        """Writes the buffered rows; blocks.

        Raises:
            OSError: when they cannot be written; the file then ends after the last row of the write before.
        """
        text = self._text.getvalue()
        self._clear()
        rest = memoryview(text.encode())
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
            self._size = os.fstat(self._descriptor).st_size
        except OSError as error:
            os.ftruncate(self._descriptor, self._size)
            reason = error.strerror or type(error).__name__
            raise OSError(error.errno, f"The file of rejects cannot be written: {reason}") from None

    def close(self) -> None:
        """Writes the rest of the buffered rows and closes the file; blocks.

        Raises:
            OSError: when it cannot be written.
        """
        try:
            self.flush()
        finally:
            os.close(self._descriptor)

    @asynccontextmanager
    async def kept_open(self) -> AsyncIterator[None]:
        """Opens the file for the duration of the block; writes the rest and closes it even after an error.

        Raises:
            ConfigurationError: when it cannot be created.
            OSError: when it cannot be written.
        """
        await to_thread.run_sync(self.open)
        try:
            yield
        finally:
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(self.close)

    def _clear(self) -> None:
        self._text = io.StringIO(newline="")
        self._rows = csv.writer(self._text)

    def _add(self, reject: Reject) -> None:
        fingerprint = self._keyed.copy()
        fingerprint.update(reject.value.encode("utf-8", "surrogatepass"))
        place = (defused(reject.file), reject.row, defused(reject.column))
        row = (*place, reject.reason.value, fingerprint.hexdigest())
        self._rows.writerow((*row, defused(reject.value)) if self._plain else row)


def _uncreatable(error: OSError) -> ConfigurationError:
    reason = error.strerror or type(error).__name__
    return ConfigurationError(f"rejects must name a file that can be created: {reason}.")
