"""Secrets in files: read whole, replaced atomically, and rotated by one process at a time."""

import asyncio
import contextlib
import os
import stat
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.loops import LoopLock
from criteo_audiences.session import AccessToken, Quota
from criteo_audiences.session.auth import Grant
from criteo_audiences.session.consent import RefreshToken

_LARGEST: Final = 64 * 1024


def read_secret(path: Path, *, source: str) -> str:
    """Returns a file's text, trimmed.

    Args:
        path: the file.
        source: the variable or the key that names the file, for the message.

    Raises:
        ConfigurationError: naming the source; never the text.
    """
    _require_name(path, source)
    try:
        with path.open("rb") as opened:
            value = opened.read(_LARGEST).decode().strip()
    except (OSError, ValueError) as error:
        unreadable = ConfigurationError(
            f"The file that {source} names cannot be read ({type(error).__name__}); check its path and mode."
        )
    else:
        if value:
            return value
        unreadable = ConfigurationError(f"The file that {source} names is empty.")
    raise unreadable  # outside the `except` block: the decoder's exception contains the file


def write_secret(path: Path, value: str, *, source: str) -> None:
    """Replaces a file's text atomically, and returns after the fsync.

    The file keeps its owner, group and mode. If this process may not assign that owner or group, no user gains rights.
    Only its owner can read a file that is new.

    Args:
        path: the file; a symbolic link stays a link, and its target is replaced.
        value: the text.
        source: the variable or the key that names the file, for the message.

    Raises:
        ConfigurationError: naming the source; the old text is then still there.
    """
    _require_name(path, source)
    try:
        _replace(path.resolve(), value.encode() + b"\n")
    except OSError as error:
        raise ConfigurationError(
            f"The new refresh token cannot be written to the file that {source} names ({type(error).__name__}); its "
            "folder must be writable. The token is kept in memory, unused, until the next renewal tries again."
        ) from None


def _require_name(path: Path, source: str) -> None:
    if "\0" in str(path):
        raise ConfigurationError(f"{source} holds a NUL character, which no file's name can hold.")


def _replace(path: Path, content: bytes) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as opened:
            _keep_rights(opened.fileno(), path)
            opened.write(content)
            opened.flush()
            os.fsync(opened.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _keep_rights(descriptor: int, old: Path) -> None:
    """Gives a new file the owner, group and mode of the file that it replaces, but no user more rights."""
    if sys.platform == "win32":
        return
    try:
        was = old.stat()
    except FileNotFoundError:
        return
    mode = stat.S_IMODE(was.st_mode) & (stat.S_IRWXU | stat.S_IRWXG | stat.S_IRWXO)
    for owner, group in ((was.st_uid, was.st_gid), (-1, was.st_gid)):
        with contextlib.suppress(OSError):
            os.fchown(descriptor, owner, group)
            break
    now = os.fstat(descriptor)
    if now.st_gid != was.st_gid:  # the rights would go to another group, and the old group would count as others
        mode &= ~stat.S_IRWXG
    if now.st_uid != was.st_uid:  # the new owner keeps access
        mode = mode & ~stat.S_IRWXU | stat.S_IRUSR | stat.S_IWUSR
    os.fchmod(descriptor, mode)


def _sync_folder(folder: Path) -> None:
    """Makes a rename durable with an fsync of the folder; Windows has no such call and needs none."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


if sys.platform != "win32":
    import fcntl

_PAUSE: Final = 0.02


@asynccontextmanager
async def turn(folder: Path) -> AsyncIterator[None]:
    """Holds a lock on a folder inside the block, against other processes and tasks; a process that dies releases it.

    The lock is on the folder itself, so no lock file is written. On systems without such locks (Windows, some network
    file systems), no process waits for another.
    """
    descriptor = _opened(folder)
    try:
        while descriptor is not None and not _is_ours(descriptor):  # noqa: ASYNC110 - other processes set no event
            await asyncio.sleep(_PAUSE)
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _opened(folder: Path) -> int | None:
    try:
        return None if sys.platform == "win32" else os.open(folder, os.O_RDONLY)
    except OSError:  # reading the file in it will show what is wrong
        return None


def _is_ours(descriptor: int) -> bool:
    """Takes the lock if it is free, without waiting: a thread that waits could not be canceled."""
    if sys.platform != "win32":
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # this file system has no locks
            return True
    return True


class StoredRefreshToken:
    """A `RefreshToken` in a file, read before each renewal and written after each rotation; a `TokenSource`.

    Another process may have stored a new token in the file, which has replaced ours; so each renewal reads the file
    again. Processes on one machine renew one after the other.

    Args:
        login: the login with the token from the file.
        path: the file.
        source: the variable or the key that names the file, for messages.
    """

    def __init__(self, login: RefreshToken, path: Path, *, source: str) -> None:
        self._login = login
        self._path = path
        self._source = source
        self._is_stored = True
        self._lock = LoopLock()
        login.on_rotate = self._store

    @property
    def quota(self) -> Quota:
        """The quota that the grant allows."""
        return self._login.quota

    async def token(self, grant: Grant) -> AccessToken:
        """See `TokenSource.token`."""
        async with self._lock.held(), turn(self._folder()):  # or it might read a token that another is about to replace
            if self._is_stored:
                # Not in a thread: asyncio's debug log could show the token in the future that returns it.
                self._login.refresh_token = read_secret(self._path, source=self._source)
            return await self._login.token(grant)

    def _folder(self) -> Path:
        return self._path.resolve().parent

    async def _store(self, token: str) -> None:
        self._is_stored = False
        await asyncio.to_thread(write_secret, self._path, token, source=self._source)
        self._is_stored = True
