"""Processes of one machine take turns at what lies in a folder."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

if sys.platform != "win32":
    import fcntl

_PAUSE: Final = 0.02


@asynccontextmanager
async def turn(folder: Path) -> AsyncIterator[None]:
    """Waits until no other process, or task, has its turn in a folder; a process that dies gives its turn up.

    The folder itself is locked, so nothing is written and no file stays there. Where there are no such locks (on
    Windows, on some network file systems) everybody has a turn at once.
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
    except OSError:  # what is wrong with it shows when the file in it is read
        return None


def _is_ours(descriptor: int) -> bool:
    """Takes the lock if it is free, without waiting: a thread that waits could not be cancelled."""
    if sys.platform != "win32":
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # no locks here
            return True
    return True
