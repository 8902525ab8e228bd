"""What standard error shows of an upload under way where it is no terminal."""

import attrs
import pytest

from criteo_audiences import LimitedBy, Progress
from criteo_audiences.cli.report import progress_shown


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
        remaining=remaining,
    )


def test_a_log_gets_a_line_every_ten_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    """Four reports a second for half a minute make three lines, the first after ten seconds."""
    with progress_shown() as show:
        for quarter in range(4 * 30 + 1):
            show(at(quarter / 4))
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.split(":")[0] for line in err.splitlines()] == ["10 s", "20 s", "30 s"]
    assert err.startswith("10 s: 10,000 read, 10,000 sent (1,000/s), 2 in flight (limit: the source)\n")


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
    with progress_shown() as show:
        show(at(10, 0.5, remaining))
    assert capsys.readouterr().err.endswith(f"2 in flight (limit: the source), {words}\n")


def test_a_wait_for_the_quota_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """While it lasts, also in the middle of a batch's first second."""
    with progress_shown() as show:
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
    """The line says what there would be more in flight without, by the option where there is one."""
    with progress_shown() as show:
        for number, limit in enumerate(LimitedBy, start=1):
            show(attrs.evolve(at(10 * number), limited_by=limit))
    ends = [line.split(" in flight ")[1] for line in capsys.readouterr().err.splitlines()]
    assert ends == [
        "(limit: the quota)",
        "(limit: the round trips)",
        "(limit: --max-in-flight-bytes)",
        "(limit: the source)",
        "(limit: --max-concurrency)",
    ]


def test_a_short_upload_shows_none(capsys: pytest.CaptureFixture[str]) -> None:
    """What ends within ten seconds says nothing on the way."""
    with progress_shown() as show:
        show(at(9.9))
    assert capsys.readouterr() == ("", "")


def test_a_file_shows_how_much_was_read(capsys: pytest.CaptureFixture[str]) -> None:
    """The share goes before the counts, where the source knows it."""
    with progress_shown() as show:
        show(at(60.2, 0.25))
    assert capsys.readouterr().err.startswith("60 s: of the file 25%, 60,200 read")


@pytest.mark.parametrize(
    ("shares", "words"), [((None, 0.374), "reading the file, 37%, 60,000 read"), ((0.25, 1.0), "of the file 25%, ")]
)
def test_a_file_read_before_the_first_batch_shows_life(
    capsys: pytest.CaptureFixture[str], shares: tuple[float | None, float], words: str
) -> None:
    """How much of it has been read is shown until there are batches."""
    with progress_shown() as show:
        show(attrs.evolve(at(60, shares[0]), share_staged=shares[1]))
    assert capsys.readouterr().err.startswith(f"60 s: {words}")
