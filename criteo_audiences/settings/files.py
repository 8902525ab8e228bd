"""Secrets in files: read whole, and replaced so that no moment has half of one."""

import contextlib
import os
import stat
import sys
import tempfile
from pathlib import Path
from typing import Final

from criteo_audiences.errors import ConfigurationError

_LARGEST: Final = 64 * 1024


def read_secret(path: Path, *, source: str) -> str:
    """Returns a file's text, trimmed.

    Args:
        path: the file.
        source: the variable or the key that names it, for the message.

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
    raise unreadable  # out of reach of the decoder's exception, which carries the file


def write_secret(path: Path, value: str, *, source: str) -> None:
    """Replaces a file's text at one stroke, and returns once the disk has it.

    The file keeps its owner, group and mode. Where the system does not let this process hand a file to that owner or
    group, nobody gets rights that they did not have before; a file that is new is its owner's only.

    Args:
        path: the file; a symbolic link stays one, and the file that it leads to is replaced.
        value: the text.
        source: the variable or the key that names it, for the message.

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
    """Gives a new file the owner, group and mode of the one that it replaces; never wider rights than that one gave."""
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
    if now.st_gid != was.st_gid:  # the rights of a group would be another group's, and its members' those of others
        mode &= ~stat.S_IRWXG
    if now.st_uid != was.st_uid:  # it stays readable for whoever replaces it
        mode = mode & ~stat.S_IRWXU | stat.S_IRUSR | stat.S_IWUSR
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
