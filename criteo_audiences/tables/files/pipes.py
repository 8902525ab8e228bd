"""What can be read only once: standard input, pipes and terminals; read as it arrives, so that a wait can be ended."""

import io
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from criteo_audiences.tables.files.paths import STDIN
from criteo_audiences.tables.files.workspace import Interruption

_LISTEN_EVERY: Final = 0.1


def arriving(path: str, size: int, interruption: Interruption) -> Iterator[bytes]:
    """Yields what arrives from standard input, a pipe or a character device, until its end; blocks.

    A named pipe is waited for until somebody writes into it.

    Args:
        path: names it.
        size: bytes at a time, at most.
        interruption: ends the wait.

    Raises:
        OSError: when it cannot be read, or the wait was interrupted.
    """
    if path == STDIN:
        yield from iter(lambda: _from_standard_input(size, interruption), b"")
        return
    with _opened(path) as descriptor:
        yield from iter(lambda: _received(descriptor, size, interruption), b"")


@contextmanager
def _opened(path: str) -> Iterator[int]:
    # Opened otherwise, a pipe would first wait for a writer, and its end could be taken for data that nobody sends.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0))
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _received(descriptor: int, size: int, interruption: Interruption) -> bytes:
    while True:
        _wait(descriptor, interruption)
        try:
            return os.read(descriptor, size)
        except BlockingIOError:  # another reader of the pipe was faster
            continue


def _from_standard_input(size: int, interruption: Interruption) -> bytes:
    reader: Any = sys.stdin.buffer
    try:
        descriptor = reader.fileno()
    except io.UnsupportedOperation:
        return bytes(reader.read1(size))
    _wait(descriptor, interruption)
    return os.read(descriptor, size)


def _wait(descriptor: int, interruption: Interruption) -> None:
    """Waits until there is something to read, or the end; a pipe that nobody has written to yet has neither."""
    if sys.platform == "win32":  # where nothing but sockets can be waited for
        return
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    interruption.check()
    while not poll.poll(_LISTEN_EVERY * 1_000):
        interruption.check()
