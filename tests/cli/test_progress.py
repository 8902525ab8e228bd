"""What is shown of an upload under way: a line every ten seconds in a log, a bar on a terminal."""

import io
import itertools
import re
import threading

import attrs
import pytest

from criteo_audiences import LimitedBy, Progress
from criteo_audiences.progress import bar, bar_line


def at(elapsed: float, share: float | None = None, remaining: float | None = None) -> Progress:
    """Returns what an upload tells after some seconds, a thousand identifiers each."""
    return Progress(
        read=int(elapsed * 1_000),
        rejected=0,
        duplicates=0,
        sent=int(elapsed * 1_000),
        valid=0,
        in_flight=2,
        batches=0,
        elapsed=elapsed,
        waited=0.0,
        share_read=share,
        share_sent=share,
        remaining=remaining,
    )


def test_a_log_gets_a_line_every_ten_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    """Four reports a second for half a minute make three lines, the first after ten seconds."""
    with bar() as show:
        for quarter in range(4 * 30 + 1):
            show(at(quarter / 4))
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.split(":")[0] for line in err.splitlines()] == ["10 s", "20 s", "30 s"]
    assert err.startswith("10 s: sending, 10,000 read, 10,000 sent (1,000/s), 2 in flight (limit: the source)\n")


@pytest.mark.parametrize(
    ("remaining", "words"),
    [
        (0.2, "about 1 s left"),
        (59, "about 59 s left"),
        (60, "about 1 min left"),
        (61, "about 2 min left"),
        (7_260, "about 2 h 1 min left"),
    ],
)
def test_what_is_left_is_estimated(capsys: pytest.CaptureFixture[str], remaining: float, words: str) -> None:
    """The line ends with the estimate, no finer than it can be."""
    with bar() as show:
        show(at(10, 0.5, remaining))
    assert capsys.readouterr().err.endswith(f"2 in flight (limit: the source), {words}\n")


def test_a_wait_for_the_quota_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """While it lasts, also in the middle of a batch's first second."""
    with bar() as show:
        show(attrs.evolve(at(10), is_waiting=True))
        show(attrs.evolve(at(20), is_waiting=True, waited=7.0))
        show(attrs.evolve(at(30), waited=9.0))
    ends = [line.split("in flight")[1] for line in capsys.readouterr().err.splitlines()]
    assert ends == [
        ", waiting for the quota",
        ", waiting for the quota (7 s so far)",
        " (limit: the source), waited 9 s for the quota",
    ]


def test_every_limit_has_words(capsys: pytest.CaptureFixture[str]) -> None:
    """The line says what there would be more in flight without, in words that are the same for a program and a command."""
    with bar() as show:
        for number, limit in enumerate(LimitedBy, start=1):
            show(attrs.evolve(at(10 * number), limited_by=limit))
    ends = [line.split(" in flight ")[1] for line in capsys.readouterr().err.splitlines()]
    assert ends == [
        "(limit: the quota)",
        "(limit: the round trips)",
        "(limit: the bytes in flight)",
        "(limit: the source)",
        "(limit: the chosen number)",
    ]


def test_a_short_upload_shows_none(capsys: pytest.CaptureFixture[str]) -> None:
    """What ends within ten seconds says nothing on the way."""
    with bar() as show:
        show(at(9.9))
    assert capsys.readouterr() == ("", "")


def test_a_file_shows_how_much_was_read(capsys: pytest.CaptureFixture[str]) -> None:
    """The share goes before the counts, where the source knows it."""
    with bar() as show:
        show(at(60.2, 0.25))
    assert capsys.readouterr().err.startswith("60 s: sending 25 %, 60,200 read")


@pytest.mark.parametrize(
    ("shares", "words"), [((None, 0.374), "reading 37 %, 60,000 read"), ((0.25, 1.0), "sending 25 %, ")]
)
def test_a_file_read_before_the_first_batch_shows_life(
    capsys: pytest.CaptureFixture[str], shares: tuple[float | None, float], words: str
) -> None:
    """How much of it has been read is shown until there are batches."""
    with bar() as show:
        in_flight = 0 if shares[0] is None else 2
        show(attrs.evolve(at(60, shares[0]), share_staged=shares[1], in_flight=in_flight))
    assert capsys.readouterr().err.startswith(f"60 s: {words}")


PHASES = [
    None,
    attrs.evolve(at(0), in_flight=0),
    attrs.evolve(at(5), in_flight=0, share_staged=0.61, remaining=17.0),
    attrs.evolve(at(9), in_flight=0, share_staged=1.0, share_prepared=0.5, remaining=7.0),
    at(3_600, 0.12, 7_260.0),
    attrs.evolve(at(100_000, 0.999, 100.0), is_waiting=True, waited=40.0),
    attrs.evolve(at(100_000, 0.999, 100.0), waited=40.0),
    attrs.evolve(at(50), remaining=None),
    attrs.evolve(at(2), in_flight=0, at_least=40_000.0),
]


@pytest.mark.parametrize("columns", [20, 40, 79, 120])
@pytest.mark.parametrize("progress", PHASES, ids=lambda each: "opening" if each is None else each.phase)
def test_the_bar_fits(progress: Progress | None, columns: int) -> None:
    """At eighty columns it has the phase, percent, bar, clock and time left; a narrower terminal gets what fits."""
    line = bar_line(progress, columns)
    assert len(line) <= columns
    if columns >= 79:
        phase = "opening" if progress is None else progress.phase
        assert re.match(rf"{phase} +(\d+|\?) %  [\u2588\u2591]{{12}}  +[0-9:]+  (≥ )?(\d.* left|end unknown)", line), (
            line
        )


def test_the_bar_names_the_phase_and_the_wait() -> None:
    """The clock and what is left go on between two reports."""
    drawn = "\u2588" * 7 + "\u2591" * 5
    assert bar_line(PHASES[2], 79) == f"reading    61 %  {drawn}   0:05  17 s left    5,000 sent"
    assert bar_line(PHASES[2], 79, elapsed=9.0, since=4.0, plain=True) == (
        "reading    61 %  #######-----   0:09  13 s left    5,000 sent"
    )
    assert bar_line(PHASES[5], 79).endswith("27:46:40  2 min left   waiting for the quota")


@pytest.mark.parametrize(
    ("progress", "words", "plain"),
    [
        (None, "≥ 1 s left", ">= 1 s left"),
        (attrs.evolve(at(2), at_least=0.0), "≥ 1 s left", ">= 1 s left"),
        (attrs.evolve(at(2), at_least=64.0), "≥ 1 min left", ">= 1 min left"),
        (attrs.evolve(at(2, 0.1, 50.0), at_least=50.0), "46 s left", "46 s left"),
        (at(2), "end unknown", "end unknown"),
    ],
)
def test_the_bar_says_how_long_at_least_before_it_can_say_how_long(
    progress: Progress | None, words: str, plain: str
) -> None:
    """From its first second on; a source of unknown length has no end that could be foreseen."""
    assert f"  {words}" in bar_line(progress, 79, since=4.0)
    assert f"  {plain}" in bar_line(progress, 79, since=4.0, plain=True)


def test_the_bar_of_a_terminal_has_a_clock_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is painted while the upload says nothing, makes room for what is noted, and goes away in the end."""
    painted = threading.Event()

    class Terminal(io.StringIO):
        encoding = "utf-8"  # type: ignore[assignment]

        def isatty(self) -> bool:
            return True

        def write(self, text: str) -> int:
            if "0:01" in text:
                painted.set()
            return super().write(text)

    monkeypatch.setenv("TERM", "xterm")
    terminal, moments = Terminal(), itertools.count()
    monkeypatch.setattr("criteo_audiences.progress.time.monotonic", lambda: next(moments) / 2)
    with bar(terminal) as show:
        show.note("add the email column")
        assert painted.wait(10)
    shown = terminal.getvalue()
    assert "\r\x1b[2Kadd the email column\n" in shown
    assert shown.endswith("\r\x1b[2K")
    assert "opening     0 %" in shown


@pytest.mark.parametrize("terminal", ["dumb", "unknown"])
def test_a_dumb_terminal_gets_lines(monkeypatch: pytest.MonkeyPatch, terminal: str) -> None:
    """As a log does."""
    monkeypatch.setenv("TERM", terminal)
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: True)
    with bar(stream) as show:
        show(at(10))
    assert stream.getvalue().startswith("10 s: sending")
