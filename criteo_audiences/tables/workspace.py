"""Directories for what does not fit into memory: one a run, for its owner only, and none left behind."""

import os
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

if sys.platform != "win32":
    import fcntl

_PREFIX: Final = "criteo-audiences-"
_LOCK: Final = "in-use"
_YOUNG: Final = 60.0
"""Seconds during which a directory may not be locked yet, so that nobody takes it for a leftover."""

_OWNER_ONLY: Final = 0o600


@contextmanager
def workspace() -> Iterator[Path]:
    """Makes a directory that only its owner can enter, and removes it with all it holds.

    It also removes those of the same user whose process was killed. A lock that the system gives up with the process
    tells them apart; Windows has no such lock, and leaves them.
    """
    _sweep(Path(tempfile.gettempdir()))
    directory = Path(tempfile.mkdtemp(prefix=_PREFIX))  # mode 0700
    descriptor = os.open(directory / _LOCK, os.O_CREAT | os.O_RDWR, _OWNER_ONLY)
    try:
        _take(descriptor)
        yield directory
    finally:
        os.close(descriptor)
        shutil.rmtree(directory, ignore_errors=True)


def _sweep(place: Path) -> None:
    with suppress(OSError):
        for directory in place.glob(f"{_PREFIX}*"):
            if _is_mine(directory) and _is_left(directory):
                shutil.rmtree(directory, ignore_errors=True)


def _is_mine(directory: Path) -> bool:
    """Tells whether this user made a directory, a while ago."""
    try:
        status = directory.lstat()
    except OSError:
        return False
    mine = sys.platform != "win32" and status.st_uid == os.geteuid()
    return mine and stat.S_ISDIR(status.st_mode) and time.time() - status.st_mtime > _YOUNG


def _is_left(directory: Path) -> bool:
    """Tells whether the process that made a directory is gone; not without its lock, as of another release."""
    try:
        descriptor = os.open(directory / _LOCK, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        return False
    try:
        return _take(descriptor)
    finally:
        os.close(descriptor)


def _take(descriptor: int) -> bool:
    """Locks a file, unless another process has; on a file system without locks nobody ever does."""
    if sys.platform == "win32":
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
