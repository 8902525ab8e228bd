"""Secrets in files: read whole, and replaced so that no moment has half of one."""

import contextlib
import os
import stat
import tempfile
from pathlib import Path
from typing import Final

from criteo_audiences.errors import ConfigurationError

_LARGEST: Final = 64 * 1024
_MOST_MODE: Final = 0o666
_GROUPS_MODE: Final = 0o660
_OWNERS_MODE: Final = 0o600


def read_secret(path: Path, *, source: str) -> str:
    """Returns a file's text, trimmed.

    Args:
        path: the file.
        source: the variable or the key that names it, for the message.

    Raises:
        ConfigurationError: naming the source; never the text.
    """
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
    raise unreadable  # out of reach of the decoder's exception, which carries the file


def write_secret(path: Path, value: str, *, source: str) -> None:
    """Replaces a file's text at one stroke, and returns once the disk has it.

    The file keeps its owner, group and mode; a new one is for its owner only. Where the system does not let this user
    give a file away, it becomes this user's, and no other user gets rights that they did not have.

    Args:
        path: the file; a symbolic link stays one.
        value: the text.
        source: the variable or the key that names it, for the message.

    Raises:
        ConfigurationError: naming the source; the old text is then still there.
    """
    try:
        _replace(path.resolve(), value.encode() + b"\n")
    except OSError as error:
        raise ConfigurationError(
            f"The new refresh token cannot be written to the file that {source} names ({type(error).__name__}); its "
            "folder must be writable. The token is kept in memory, unused, until the next renewal tries again."
        ) from None


def _replace(path: Path, content: bytes) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(content)
            opened.flush()
            _keep_owner(descriptor, path)
            os.fsync(opened.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _keep_owner(descriptor: int, path: Path) -> None:
    """Gives a file that is to replace another the owner, group and mode of that one."""
    if os.name == "nt":  # files have lists of rights there, which the folder's give
        return
    try:
        old = path.stat()
    except FileNotFoundError:
        return
    mode = stat.S_IMODE(old.st_mode) & _MOST_MODE
    new = os.fstat(descriptor)
    if (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid):
        try:
            os.fchown(descriptor, old.st_uid, old.st_gid)
        except PermissionError:
            mode &= _OWNERS_MODE
            with contextlib.suppress(PermissionError):
                os.fchown(descriptor, -1, old.st_gid)
                mode = stat.S_IMODE(old.st_mode) & _GROUPS_MODE
    os.fchmod(descriptor, mode)


def _sync_folder(folder: Path) -> None:
    """Makes the new name of a file last through a power cut; Windows has no such call, and needs none."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
