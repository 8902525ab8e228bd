"""How a thread that reads is told to stop, and how it listens while it waits for standard input."""

import io
import os
import select
import sys
import threading
from typing import Any, Final

_LISTEN_EVERY: Final = 0.1


class Interruption:
    """Asked for by one thread, noticed by another between two pieces of its work."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def ask(self) -> None:
        """Asks the reading thread to stop."""
        self._event.set()

    def check(self) -> None:
        """Stops the reading thread if it has been asked to.

        Raises:
            OSError: when it has.
        """
        if self._event.is_set():
            raise OSError("Reading was interrupted.")


def read_standard_input(size: int, interruption: Interruption) -> bytes:
    """Returns what has arrived on standard input, at most so many bytes; nothing at its end.

    Raises:
        OSError: when it cannot be read, or the wait was interrupted.
    """
    reader: Any = sys.stdin.buffer
    try:
        descriptor = reader.fileno()
    except io.UnsupportedOperation:
        return bytes(reader.read1(size))
    if sys.platform != "win32":  # where select knows sockets only
        while not select.select([descriptor], [], [], _LISTEN_EVERY)[0]:
            interruption.check()
    return os.read(descriptor, size)
