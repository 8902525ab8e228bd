"""Shows the progress of an upload as a line, in scripts, notebooks and on the command line.

from criteo_audiences.progress import bar

with bar() as show:
report = await ms.upload_contact_list(segment_id, source, hash="sha256", on_progress=show)
"""

import contextlib
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol, TextIO

from criteo_audiences.rendering import WIDTH
from criteo_audiences.uploads.summary import LIMITS, Progress

__all__ = ["Bar", "bar"]

_LINE_EVERY: Final = 10.0
_PAINT_EVERY: Final = 0.25
_MINUTE: Final = 60
_HOUR: Final = 3_600
_BAR: Final = 12
_SHORTEST: Final = 1.0
_AT_LEAST: Final = "\N{GREATER-THAN OR EQUAL TO}"
_CLEAR: Final = "\r\x1b[2K"


class Bar(Protocol):
    """Shows the progress of an upload; pass it as `on_progress`."""

    def __call__(self, progress: Progress) -> None:
        """Shows how far the upload is."""

    def note(self, line: str) -> None:
        """Prints a line that stays, above the bar."""


@contextlib.contextmanager
def bar(stream: TextIO | None = None) -> Iterator[Bar]:
    """Shows the progress of uploads while the block lasts.

    A terminal and a notebook get a bar with the phase, percent, a clock and the time left, which disappears at the end.
    Anything else, such as the log of a job, gets a line every ten seconds.

    Args:
        stream: the stream for the bar; the default is standard error.

    Yields:
        A function for the `on_progress` of an upload.
    """
    stream = stream or sys.stderr
    if handle := _notebook():
        try:
            yield _Notebook(handle)
        finally:
            handle.update({"text/plain": ""}, raw=True)
    elif not stream.isatty() or os.environ.get("TERM") in {"dumb", "unknown"}:
        yield _Lines(stream)
    else:
        painter = _Painter(stream)
        try:
            yield painter
        finally:
            painter.end()


class _Lines:
    """Prints a line every ten seconds of an upload."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._due = _LINE_EVERY

    def __call__(self, progress: Progress) -> None:
        if progress.elapsed >= self._due:
            self._due = progress.elapsed + _LINE_EVERY
            self.note(log_line(progress))

    def note(self, line: str) -> None:
        print(line, file=self._stream, flush=True)


class _Notebook:
    """Shows the bar in the cell of a notebook."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    def __call__(self, progress: Progress) -> None:
        self._handle.update({"text/plain": bar_line(progress, WIDTH)}, raw=True)

    def note(self, line: str) -> None:
        print(line)  # noqa: T201 - a cell shows what is printed


class _Painter:
    """Paints the bar on a terminal four times a second, so that its clock runs whatever the upload does."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._began = self._shown = time.monotonic()
        self._progress: Progress | None = None
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep_painting, name="criteo-audiences-bar", daemon=True)
        self._thread.start()

    def __call__(self, progress: Progress) -> None:
        with self._lock:
            if self._progress is not None and progress.elapsed < self._progress.elapsed:
                self._began = time.monotonic() - progress.elapsed  # another upload
            self._progress, self._shown = progress, time.monotonic()

    def note(self, line: str) -> None:
        with self._lock:
            self._write(f"{_CLEAR}{line}\n")
        self._paint()

    def end(self) -> None:
        """Removes the bar."""
        self._ended.set()
        self._thread.join()
        self._write(_CLEAR)

    def _keep_painting(self) -> None:
        while not self._ended.wait(_PAINT_EVERY):
            self._paint()

    def _paint(self) -> None:
        with self._lock:
            now, columns = time.monotonic(), self._columns() - 1
            elapsed, since = now - self._began, now - self._shown
            line = bar_line(self._progress, columns, elapsed=elapsed, since=since, plain=self._plain)
            self._write(_CLEAR + line)

    @property
    def _plain(self) -> bool:
        return not (self._stream.encoding or "").lower().startswith("utf")

    def _columns(self) -> int:
        with contextlib.suppress(OSError, ValueError):
            return os.get_terminal_size(self._stream.fileno()).columns or WIDTH
        return WIDTH

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # a closed terminal must not stop the upload
            self._stream.write(text)
            self._stream.flush()


def bar_line(
    progress: Progress | None, columns: int, *, elapsed: float | None = None, since: float = 0.0, plain: bool = False
) -> str:
    """Returns the line of a bar: phase, percent, bar, clock, time left, and more if there is room.

    Args:
        progress: the upload's progress; `None` before its first report.
        columns: the maximum length of the line.
        elapsed: seconds to show; the default is the upload's own.
        since: seconds since the upload reported the progress.
        plain: whether the bar is drawn in ASCII.
    """
    phase = "opening" if progress is None else progress.phase.value
    share = None if progress is None else progress.share
    clock = _clock(elapsed if elapsed is not None else progress.elapsed if progress else 0.0)
    left = _left(progress, since, plain=plain)
    is_known = share is not None or progress is None or not progress.read
    percent = f"{math.floor(100 * (share or 0.0)):3d} %" if is_known else "  ? %"
    parts = [f"{phase:<9} {percent}", _drawn(share, plain=plain), f"{clock:>5}", f"{left:<11}"]
    line = "  ".join(parts)
    for extra in () if progress is None else _extras(progress):
        if len(line) + 2 + len(extra) <= columns:
            line += f"  {extra}"
    return line.rstrip() if len(line.rstrip()) <= columns else "  ".join((parts[0], clock, left))[:columns]


def _extras(progress: Progress) -> Iterator[str]:
    if progress.is_waiting:
        yield "waiting for the quota"
    yield f"{progress.sent:,} sent" if progress.sent else f"{progress.read:,} read"
    if progress.in_flight:
        yield f"{progress.in_flight} in flight"
    if progress.waited >= 1 and not progress.is_waiting:
        yield f"waited {progress.waited:.0f} s for the quota"


def _left(progress: Progress | None, since: float, *, plain: bool) -> str:
    """Returns how long an upload still takes, in words: an estimate, a lower bound, or that the end is unknown."""
    if progress is not None and progress.remaining is not None:
        return f"{_span(max(0.0, progress.remaining - since))} left"
    least = 0.0 if progress is None else progress.at_least
    if least is None:
        return "end unknown"
    return f"{'>=' if plain else _AT_LEAST} {_span(max(_SHORTEST, least - since))} left"


def _drawn(share: float | None, *, plain: bool) -> str:
    full, empty = ("#", "-") if plain else ("\N{FULL BLOCK}", "\N{LIGHT SHADE}")
    done = math.floor(_BAR * (share or 0.0))
    return full * done + empty * (_BAR - done)


def log_line(progress: Progress) -> str:
    """Returns a line for a log, with all figures."""
    rate = progress.sent / progress.elapsed if progress.elapsed else 0.0
    share = "" if progress.share is None else f" {math.floor(100 * progress.share)} %"
    waited = f", waited {progress.waited:.0f} s for the quota" if progress.waited >= 1 else ""
    if progress.is_waiting:
        waited = ", waiting for the quota" + (f" ({progress.waited:.0f} s so far)" if progress.waited >= 1 else "")
    limit = f" (limit: {LIMITS[progress.limited_by]})" if progress.in_flight and not progress.is_waiting else ""
    words, seconds = "about", progress.remaining
    if seconds is None:
        words, seconds = "at least", progress.at_least
    left = "" if seconds is None else f", {words} {_span(seconds)} left"
    return (
        f"{progress.elapsed:,.0f} s: {progress.phase.value}{share}, {progress.read:,} read, {progress.sent:,} sent "
        f"({rate:,.0f}/s), {progress.in_flight} in flight{limit}{waited}{left}"
    )


def _clock(seconds: float) -> str:
    hours, rest = divmod(int(seconds), _HOUR)
    minutes, seconds = divmod(rest, _MINUTE)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


def _span(seconds: float) -> str:
    """Puts an estimated time into words, rounded to the precision of an estimate."""
    if seconds < _MINUTE:
        return f"{math.ceil(seconds)} s"
    minutes = math.ceil(seconds / _MINUTE)
    return f"{minutes} min" if minutes < _MINUTE else f"{minutes // _MINUTE} h {minutes % _MINUTE} min"


def _notebook() -> Any:
    """Returns a handle for a line in a notebook's cell that can be updated; `None` outside a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if type(shell).__name__ != "ZMQInteractiveShell":
        return None
    display: Callable[..., Any] = sys.modules["IPython"].display.display
    return display({"text/plain": "opening"}, raw=True, display_id=True)
