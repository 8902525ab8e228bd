"""The dead-letter file: every rejected value, where it stands and why it is no identifier."""

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
from criteo_audiences.identifiers import RejectReason
from criteo_audiences.tables.origins import Reject

_COLUMNS: Final = ("file", "row", "column", "reason", "fingerprint")
_EXISTS: Final = "rejects must name a new file; one of that name exists."
_ENOUGH: Final = 64 * 1024
_LATIN_1: Final = 0xFF
_NEW: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL
_FLAGS: Final = _NEW | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


_RUNNABLE: Final = "=+@\uff1d\uff0b\uff0d\uff20-"
_AT_FIRST: Final = re.compile(rf"[\s'\"]*[{_RUNNABLE}]|'")
_UNSAFE: Final = re.compile(
    rf"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\\]|(?<=[,;|])(?=[\s'\"]*[{_RUNNABLE}])[\s'\"]*[{_RUNNABLE}]"
)
"""Control characters, halves of surrogate pairs, the backslash that spells them, and what a reader of other delimiters
would take for the beginning of a formula."""


def defused(text: str) -> str:
    r"""Returns a text as a cell that no spreadsheet program runs, from which the text can still be read off.

    A text that begins like a formula, or with an apostrophe, gets an apostrophe in front. Control characters, a
    backslash, and what would begin a formula after another delimiter are spelled `\xNN` or `\uNNNN`, as in Python.

    See OWASP's page on CSV injection.
    """
    safe = _UNSAFE.sub(lambda found: "".join(map(_spelled, found[0])), text) if _UNSAFE.search(text) else text
    return f"'{safe}" if _AT_FIRST.match(safe) else safe


def _spelled(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code <= _LATIN_1 else f"\\u{code:04x}"


class RejectsFile:
    """A CSV file that only its owner can read; it holds a fingerprint of each value, and the value if asked for.

    The fingerprint is keyed with a secret of this file that is kept nowhere: equal values have equal ones, and
    no value can be tried against it. Whole rows go out at once, so that the file is readable whenever writing stops.

    Args:
        path: where; nothing may be there yet.
        plain: whether the values stand in it.
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
        """Whether enough has been taken in to be worth writing."""
        return self._text.tell() > _ENOUGH

    def require_new(self) -> None:
        """Refuses, before anything is begun, most of what `open` would; blocks.

        Raises:
            ConfigurationError: when there is something at its path, or no directory.
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
            ConfigurationError: when there is something at its path, or nothing can be created there.
            OSError: when it cannot be written.
        """
        try:
            self._descriptor = os.open(self._path, _FLAGS, 0o600)
        except FileExistsError:
            raise ConfigurationError(_EXISTS) from None
        except OSError as error:
            raise _uncreatable(error) from None
        self._rows.writerow((*_COLUMNS, "value") if self._plain else _COLUMNS)
        self.flush()

    def note(self, row: int, reason: RejectReason, value: str) -> None:
        """Takes in a value of an iterable; it is written by `flush`."""
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
        """Writes what has been taken in; blocks.

        Raises:
            OSError: when it cannot be written; the file then ends with the last row that was.
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
        """Writes what is left and closes the file; blocks.

        Raises:
            OSError: when it cannot be written.
        """
        try:
            self.flush()
        finally:
            os.close(self._descriptor)

    def _clear(self) -> None:
        self._text = io.StringIO(newline="")
        self._rows = csv.writer(self._text)

    def _add(self, reject: Reject) -> None:
        fingerprint = self._keyed.copy()
        fingerprint.update(reject.value.encode("utf-8", "surrogatepass"))
        row = (defused(reject.file), reject.row, defused(reject.column), reject.reason.value, fingerprint.hexdigest())
        self._rows.writerow((*row, defused(reject.value)) if self._plain else row)


def _uncreatable(error: OSError) -> ConfigurationError:
    reason = error.strerror or type(error).__name__
    return ConfigurationError(f"rejects must name a file that can be created: {reason}.")


@asynccontextmanager
async def kept_open(rejects: RejectsFile | None) -> AsyncIterator[None]:
    """Opens a file of rejects and, whatever happens, writes and closes it to the end; does nothing without one.

    Raises:
        ConfigurationError: when it cannot be created.
        OSError: when it cannot be written.
    """
    if rejects is None:
        yield
        return
    await to_thread.run_sync(rejects.open)
    try:
        yield
    finally:
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(rejects.close)
