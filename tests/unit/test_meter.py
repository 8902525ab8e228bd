"""What is counted of calls, and how fast their bodies leave over a line that is narrow."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from criteo_audiences.meter import CallEnd, CallMeter

TICK = 0.25


class NarrowLine:
    """Bodies that go out at the same time over one line; the system takes the beginning of each at once."""

    def __init__(self, bodies: int, size: int, held: int, pace: float) -> None:
        self.seconds, self.took = 0.0, bodies * size / pace
        self._bodies, self._size, self._held, self._pace = bodies, size, held, pace
        self.whole = CallMeter(now=lambda: self.seconds)
        self.calls = [CallMeter(parent=self.whole) for _ in range(bodies)]
        for call in self.calls:
            call.count_call(size)
        self._written = 0
        self._write()

    def until(self, share: float) -> float | None:
        """Goes on to a share of the time, looks as often as a bar does, and returns the seconds left."""
        left = self.whole.line.seconds(0)
        while self.seconds < share * self.took:
            self.seconds += TICK
            self._write()
            left = self.whole.line.seconds(0)
        return left

    def _write(self) -> None:
        delivered = self._pace * self.seconds
        due = math.floor(min(self._bodies * self._size, delivered + self._bodies * self._held))
        for at, call in enumerate(self.calls):
            call.count_written((due + at) // self._bodies - (self._written + at) // self._bodies)
        self._written = due


@given(
    bodies=st.integers(1, 40),
    size=st.integers(1_000_000, 4_000_000),
    held=st.integers(0, 400_000),
    seconds=st.floats(12.0, 300.0),
)
def test_a_narrow_line_shows_how_long_it_takes(bodies: int, size: int, held: int, seconds: float) -> None:
    """Although nothing comes back before the end, and all is written long before it has left."""
    line = NarrowLine(bodies, size, held, bodies * size / seconds)
    for share in (0.2, 0.5, 0.8):
        left = line.until(share)
        assert left is not None
        actual = line.took - line.seconds
        assert max(left / actual, actual / left) < 2.0


def test_bodies_to_come_take_as_long_as_those_under_way() -> None:
    """By their size, on average."""
    line = NarrowLine(4, 1_000_000, 0, 100_000.0)
    line.until(0.5)
    assert line.whole.line.seconds(2) == pytest.approx(20.0 + 20.0, rel=0.02)


def test_a_line_that_takes_all_at_once_says_nothing() -> None:
    """Neither while the answers are waited for, nor after a body that was given up half written."""
    line = NarrowLine(4, 1_000_000, 1_000_000, 100_000.0)
    assert line.until(0.9) is None
    line = NarrowLine(2, 1_000_000, 0, 100_000.0)
    assert line.until(0.5) is not None
    line.calls[0].count_call(1_000_000)  # again: what was left of the first body is not
    assert line.whole.line.unwritten == 1_500_000
    for call in line.calls:
        call.is_under_way = True
        call.count_end(CallEnd.FAILED)
    assert line.whole.line.unwritten == 0
    assert line.whole.line.seconds(3) is None


def test_calls_are_counted_for_the_whole_too() -> None:
    """A part's calls count for the part and for the whole."""
    whole = CallMeter()
    one, two = CallMeter(parent=whole), CallMeter(parent=whole)
    one.count_call()
    two.count_call()
    two.count_call()
    assert (one.calls, two.calls, whole.calls) == (1, 2, 3)


def test_waits_at_the_same_time_count_once() -> None:
    """Time in which several calls wait at once is counted once, and for the whole."""
    moment = [0.0]
    whole = CallMeter(now=lambda: moment[0])
    first, second = CallMeter(parent=whole).waiting(), CallMeter(parent=whole).waiting()
    first.__enter__()
    moment[0] = 10.0
    second.__enter__()
    moment[0] = 15.0
    first.__exit__(None, None, None)
    assert whole.waited() == 15.0
    moment[0] = 18.0
    second.__exit__(None, None, None)
    moment[0] = 100.0
    assert whole.waited() == 18.0


def test_what_the_quota_allows_is_known_to_the_whole() -> None:
    """What a call learns of the quota's window is known to its meter and to that of the whole."""
    whole = CallMeter()
    assert whole.window is None
    part = CallMeter(parent=whole)
    part.note_window((250, 60.0))
    assert (part.window, whole.window) == ((250, 60.0), (250, 60.0))
