"""Reads what can be read only once (standard input, pipes, terminals, streams) as it arrives; a wait can be ended."""

import asyncio
import inspect
import io
import os
import select
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import anyio
from attrs import define

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.tables.files.paths import STDIN
from criteo_audiences.tables.files.workspace import LISTEN_EVERY, Interruption, result_of


def arriving(path: str, size: int, interruption: Interruption) -> Iterator[bytes]:
    """Yields what arrives from standard input, a pipe or a character device, until its end; blocks.

    For a named pipe, it waits for the first writer.

    Args:
        path: its path.
        size: most bytes at a time.
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
    # Without O_NONBLOCK, opening a pipe would wait for a writer, and a read could block for data that never come.
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
    """Waits until there is something to read or the input has ended; a pipe without a first writer has neither."""
    if sys.platform == "win32":  # Windows can wait for sockets only
        return
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    interruption.check()
    while not poll.poll(LISTEN_EVERY * 1_000):
        interruption.check()


@define(eq=False)
class OpenStream:
    """An open file or stream of the caller's, which can be read once.

    Attributes:
        is_text: whether it returns text, which is then encoded in UTF-8; known for certain after the first read.
    """

    _read: Callable[[int], Any]
    _loop: asyncio.AbstractEventLoop | None = None
    is_text: bool = False
    _is_used: bool = False

    @classmethod
    def of(cls, given: Any) -> "OpenStream":
        """Returns a stream for a file object, an `UploadFile`, a `StreamReader` or a byte stream of anyio.

        Raises:
            TypeError: when it cannot be read from; shows only its type.
            ConfigurationError: when it is asynchronous and no event loop runs.
        """
        read, receive = getattr(given, "read", None), getattr(given, "receive", None)
        if inspect.iscoroutinefunction(read) and hasattr(getattr(given, "file", None), "read"):
            given = given.file  # the file of an UploadFile, whose own methods only read it in a thread
            read = given.read
        if not inspect.iscoroutinefunction(read) and callable(read):
            return cls(getattr(given, "read1", read), None, isinstance(given, io.TextIOBase))
        if inspect.iscoroutinefunction(read):
            return cls(read, _running_loop())
        if inspect.iscoroutinefunction(receive):
            return cls(lambda size: _received_from(receive, size), _running_loop())
        raise TypeError(
            f"stream must be an open file, an UploadFile or a byte stream, not {type(given).__name__}; for a path, "
            "there is Table.from_file"
        )

    def arriving(self, size: int, interruption: Interruption) -> Iterator[bytes]:
        """Yields what arrives, until the end; blocks.

        Raises:
            ConfigurationError: when it has been read before.
            OSError: when it is closed, returns neither bytes nor text, or the wait was interrupted.
        """
        if self._is_used:
            raise ConfigurationError("The stream has been read already, and can be read once: open it again.")
        self._is_used = True
        while piece := self._bytes_of(self._next(size, interruption)):
            yield piece
            interruption.check()

    def _next(self, size: int, interruption: Interruption) -> object:
        if self._loop is not None:
            coming = asyncio.run_coroutine_threadsafe(self._read(size), self._loop)
            try:
                return result_of(coming, interruption)
            finally:
                coming.cancel()
        # A closed file raises ValueError, and so does text that cannot be decoded, with some text in its message.
        with suppress(ValueError):
            return self._read(size)
        raise OSError("The stream cannot be read: it is closed, or its text is in another encoding.")

    def _bytes_of(self, piece: object) -> bytes:
        if isinstance(piece, str):
            self.is_text = True
            try:
                return piece.encode()
            except UnicodeEncodeError:
                piece = None
            raise OSError("The stream's text holds halves of characters, which no encoding has.")
        if not isinstance(piece, bytes | bytearray | memoryview):
            raise OSError(f"The stream must give bytes or text; it gave {type(piece).__name__}.")
        return bytes(piece)


def _running_loop() -> asyncio.AbstractEventLoop:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise ConfigurationError(
            "An asynchronous stream is read in an event loop: call Table.from_stream in the one that it belongs to."
        ) from None


async def _received_from(receive: Callable[[int], Awaitable[bytes]], size: int) -> bytes:
    try:
        return await receive(size)
    except anyio.EndOfStream:
        return b""
