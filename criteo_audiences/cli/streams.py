"""Standard input, output and error: made safe to use, and how a command speaks on them."""

import io
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, BinaryIO, Final, TextIO, cast

import orjson
from rich.cells import cell_len

from criteo_audiences.rendering import printable

_RED: Final = "\x1b[1;31m"
_GREEN: Final = "\x1b[1;32m"
_PLAIN: Final = "\x1b[0m"
_LISTEN_EVERY: Final = 0.05
_JSON: Final = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE


class _Outlet(io.FileIO):
    """A standard stream whose reader may leave early, as `head` does: what is written after that goes nowhere."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            return memoryview(data).nbytes


def open_streams() -> None:
    """Lets the standard streams tolerate what a shell may do with them.

    One that is closed becomes the null device, so that no file or connection takes its place; a reader that leaves
    early ends no upload; a character that the terminal's encoding lacks is written as an escape.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r+", encoding="utf-8"))  # noqa: SIM115, PTH123 - stays open to the end
        elif number and sys.platform != "win32":
            setattr(sys, name, _bearing(getattr(sys, name), number))


def _bearing(stream: io.TextIOWrapper, number: int) -> io.TextIOWrapper:
    stream.flush()
    buffer = io.BufferedWriter(_Outlet(number, "w", closefd=False))
    return io.TextIOWrapper(
        buffer, encoding=stream.encoding, errors="backslashreplace", line_buffering=stream.line_buffering
    )


def print_error(line: str) -> None:
    """Prints an error's line on standard error."""
    print(f"criteo-audiences: {line}", file=sys.stderr, flush=True)  # noqa: T201 - this is where a command speaks


def print_note(text: str) -> None:
    """Prints a line of what is going on, on standard error."""
    shown = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
    print(shown, file=sys.stderr, flush=True)  # noqa: T201 - this is where a command speaks


def print_result(text: str) -> None:
    """Prints a line of the result; a control character, which could fool a terminal, shows as a replacement."""
    print(printable(text).rstrip())  # noqa: T201 - this is where a command shows its result


def print_verdict(line: str, *, failed: bool = False) -> None:
    """Prints the last line of a report, in color where a terminal shows it; a failure goes to standard error."""
    sys.stdout.flush()  # the verdict comes last, also where both streams are one file
    stream = sys.stderr if failed else sys.stdout
    word, colon, rest = printable(line).partition(":")
    start, end = (_RED if failed else _GREEN, _PLAIN) if shows_color(stream) else ("", "")
    print(f"{start}{word}{end}{colon}{rest}", file=stream, flush=failed)


def print_marked(ok: bool | None, text: str) -> None:
    """Prints a line of a check: `ok`, `FAIL`, or `note` for what works and could be better."""
    word, color = {True: ("ok", _GREEN), False: ("FAIL", _RED), None: ("note", "")}[ok]
    mark = f"{color}{word:<4}{_PLAIN}" if color and shows_color(sys.stdout) else f"{word:<4}"
    print(f"{mark}  {printable(text)}")  # noqa: T201 - see above


def shows_color(stream: TextIO) -> bool:
    """Whether a stream is a terminal that shows color, and its user wants it (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") not in {"dumb", "unknown"}


def print_table(*rows: Sequence[str | None]) -> None:
    """Prints rows in columns as wide as their widest cell, never wrapped, so that `grep` and `cut` can read them."""
    cells = [[cell or "" for cell in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        print_result("  ".join(cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)))


def print_json(document: dict[str, Any]) -> None:
    """Prints the one document of `--json`, which is UTF-8 whatever the terminal's encoding.

    A name that is no UTF-8 shows escapes in place of its bytes.
    """
    try:
        written = orjson.dumps(document, option=_JSON)
    except orjson.JSONEncodeError:
        written = orjson.dumps(_encodable(document), option=_JSON)
    sys.stdout.flush()
    sys.stdout.buffer.write(written)


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, Mapping):
        return {_encodable(key): _encodable(each) for key, each in value.items()}
    return [_encodable(each) for each in value] if isinstance(value, list | tuple) else value


def flush() -> OSError | None:
    """Hands over what was printed; returns the error when it cannot be written, and drops it then."""
    try:
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return error
    return None


def read_content(path: str, most: int) -> bytes:
    """Returns what a file, a pipe or standard input (`-`) holds, or its beginning, one byte longer than allowed.

    A thread reads it. A Ctrl-C that comes right before a read that waits would otherwise be seen after it only.

    Args:
        path: names it.
        most: bytes that are allowed.

    Raises:
        OSError, ValueError: when it cannot be read.
    """
    done: SimpleQueue[bytes | Exception] = SimpleQueue()

    def read() -> None:
        try:
            with _opened(path) as opened:
                done.put(_beginning(opened, most + 1))
        except (OSError, ValueError) as error:
            done.put(error)

    Thread(target=read, daemon=True).start()
    while True:
        with suppress(Empty):
            content = done.get(timeout=_LISTEN_EVERY)
            if isinstance(content, Exception):
                raise content
            return content


def _opened(path: str) -> BinaryIO:
    """Opens it without a buffer, whose lock the interpreter would want at its end while a read waits."""
    if path != "-":
        return cast("BinaryIO", Path(path).open("rb", buffering=0))
    try:
        return cast("BinaryIO", io.FileIO(sys.stdin.fileno(), closefd=False))
    except io.UnsupportedOperation:  # a program has put a stream of its own there
        return io.BytesIO(sys.stdin.buffer.read())


def _beginning(opened: BinaryIO, size: int) -> bytes:
    content = bytearray()
    while len(content) < size and (piece := opened.read(size - len(content))):
        content += piece
    return bytes(content)
