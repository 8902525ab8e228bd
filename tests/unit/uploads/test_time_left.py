"""How long an upload still takes, as its progress says, against what it takes."""

import asyncio
import heapq
import math
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from attrs import frozen
from hypothesis import example, given
from hypothesis import strategies as st

from criteo_audiences import Progress, Quota, ServerError
from criteo_audiences.uploads.slots import Slots
from criteo_audiences.windows import Moment, TimeLeft
from tests.kit import emails
from tests.unit.uploads.servers import LoopClock, Server

MOST_OFF = 2.0


@frozen
class Upload:
    """An upload of equal batches whose every call takes as long.

    Attributes:
        batches: how many there are.
        seconds: that a call takes.
        senders: calls at the same time.
        calls: that a window of the quota holds.
        period: length of the window, seconds.
    """

    batches: int
    seconds: float
    senders: int
    calls: int
    period: float

    def run(self) -> list[tuple[float, float, float]]:
        """Returns of each batch when a sender took it, when the quota let it go, and when it came back."""
        free = [0.0] * self.senders
        run: list[tuple[float, float, float]] = []
        for number in range(self.batches):
            taken = heapq.heappop(free)
            opens = run[number - self.calls][2] + self.period if number >= self.calls else 0.0
            gone = max(taken, opens)
            run.append((taken, gone, gone + self.seconds))
            heapq.heappush(free, gone + self.seconds)
        return run


def waits(run: list[tuple[float, float, float]]) -> Callable[[float], float]:
    """Returns what says for how many seconds, until a moment, the quota held at least one batch back."""
    begins, spans, total, covered = list[float](), list[tuple[float, float]](), 0.0, 0.0
    for taken, gone, _ in sorted(run):
        begin = max(taken, covered)
        if gone > begin:
            begins.append(begin)
            spans.append((gone, total))
            total, covered = total + gone - begin, gone

    def until(moment: float) -> float:
        at = bisect_right(begins, moment) - 1
        return spans[at][1] + min(moment, spans[at][0]) - begins[at] if at >= 0 else 0.0

    return until


def estimate(upload: Upload, run: list[tuple[float, float, float]], now: float) -> float:
    """Returns what is said at a moment of an upload."""
    window = (upload.calls, upload.period)
    waited = waits(run)
    left = TimeLeft(lambda _: upload.senders, answers_after=upload.seconds)
    for taken in sorted(taken for taken, _, _ in run if taken <= now):
        left.begin(Moment(now=taken, waited=waited(taken), window=window))
    ended = sorted(end for _, _, end in run if end <= now)
    for end in ended:
        left.note(Moment(now=end, waited=waited(end), window=window))
    held = [now - taken for taken, gone, _ in run if taken <= now < gone]
    flying = sum(taken <= now < end for taken, _, end in run)
    moment = Moment(
        now=now,
        waited=waited(now),
        waiting_for=max(held, default=None),
        window=window,
        in_flight=flying,
        held_back=len(held),
        round_trip=upload.seconds if ended else None,
        is_full=True,
    )
    return left.for_batches(upload.batches - len(ended), moment)


@given(
    st.builds(
        Upload,
        st.integers(60, 300),
        st.floats(0.05, 5.0),
        st.integers(1, 8),
        st.sampled_from([10, 25, 250]),
        st.sampled_from([2.0, 10.0, 60.0]),
    ).filter(lambda upload: upload.seconds <= upload.period / 3)  # Criteo's is a minute
)
@example(Upload(60, 0.5, 4, 250, 60.0))
@example(Upload(300, 0.5, 4, 25, 10.0))
@example(Upload(300, 2.0, 4, 250, 60.0))
@example(Upload(61, 1.0, 6, 250, 10.0))
def test_it_is_at_most_twice_too_long_or_too_short(upload: Upload) -> None:
    """At 20, 50 and 80 % of an upload, whether the network or the quota is its limit."""
    run = upload.run()
    took = run[-1][2]
    for share in (0.2, 0.5, 0.8):
        actual = (1 - share) * took
        found = estimate(upload, run, share * took)
        assert actual / MOST_OFF <= found <= actual * MOST_OFF, (share, found, actual)


def left_after(begins: list[float], ends: list[float] = [], *, waited: float = 0.0) -> TimeLeft:  # noqa: B006 - is read
    """Returns what knows when batches went out and came back."""
    left = TimeLeft(lambda _: 4)
    for begin in begins:
        left.begin(Moment(now=begin, waited=waited))
    for end in ends:
        left.note(Moment(now=end, waited=waited))
    return left


def test_it_follows_the_pace_of_late() -> None:
    """A network that has become four times slower is believed, not the mean of all."""
    left = left_after([0.25 * number for number in range(41)] + [10.0 + number for number in range(1, 21)])
    moment = Moment(now=30.0, in_flight=1, round_trip=1.0, is_full=True)
    assert left.for_batches(40, moment) == pytest.approx(40.0)


def test_it_knows_that_more_are_in_flight_before_they_come_back() -> None:
    """Four went out at a time, now twenty do: ninety more take a fifth of the time."""
    left = left_after([0.0] * 4 + [1.0] * 20, ends=[1.0] * 4)
    moment = Moment(now=1.0, in_flight=20, round_trip=1.0, is_full=True)
    assert left.for_batches(100, moment) == pytest.approx(5.0)


def test_slots_that_a_source_is_still_filling_show_its_pace() -> None:
    """Four filled the slots until they came back; since then one went out every tenth of a second."""
    left = left_after([0.0] * 4 + [2.0 + 0.1 * number for number in range(11)], ends=[2.0] * 4)
    left.room = lambda _: 40
    moment = Moment(now=3.0, in_flight=11, round_trip=2.0)
    assert left.for_batches(111, moment) == pytest.approx(12.0)


def test_bursts_of_a_source_are_no_pace() -> None:
    """Twenty rows every two seconds are ten a second, also right after they came."""
    left = left_after([2.0 * burst for burst in range(1, 6) for _ in range(20)])
    moment = Moment(now=10.0, in_flight=20, round_trip=0.1)
    assert left.for_batches(120, moment) == pytest.approx(10.0, rel=0.3)


def test_a_pause_is_no_pace() -> None:
    """When nothing goes out for long, what is left grows."""
    left = left_after([float(begin) for begin in range(11)])
    assert left.for_batches(10, Moment(now=10.5, in_flight=1, round_trip=1.0)) == pytest.approx(9.5)
    assert left.for_batches(10, Moment(now=60.0, in_flight=1, round_trip=1.0)) > 50.0


@pytest.mark.parametrize(("waiting_for", "seconds"), [(None, 1.0), (0.0, 60.0), (45.0, 15.0), (70.0, 1.0)])
def test_it_holds_the_rest_of_a_wait(waiting_for: float | None, seconds: float) -> None:
    """Others may have used up the window, so a batch that waits can do so until it ends, whatever the pace."""
    left = left_after([float(begin) for begin in range(10)], [float(end) for end in range(1, 10)])
    moment = Moment(
        now=9.0,
        waiting_for=waiting_for,
        window=(250, 60.0),
        in_flight=1,
        held_back=waiting_for is not None,
        round_trip=1.0,
    )
    assert left.for_batches(1, moment) == pytest.approx(seconds)


def test_a_window_shared_with_others_counts_as_far_as_it_was_ours() -> None:
    """Fifty calls a minute came through of 250: a hundred more take two minutes."""
    left = TimeLeft(lambda _: 4)
    for end in (minute * 60.0 + 0.1 * number for minute in range(3) for number in range(1, 51)):
        left.begin(Moment(now=end - 0.1, waited=55.0 * (end // 60)))
        left.note(Moment(now=end))
    moment = Moment(
        now=130.0, waited=110.0, waiting_for=5.0, window=(250, 60.0), in_flight=4, held_back=4, round_trip=0.1
    )
    assert left.for_batches(100, moment) == pytest.approx(115.0, rel=0.1)


def test_before_the_first_batch_the_whole_is_foreseen() -> None:
    """A table half read in 4 s is read in another 4 s, then looked through for half as long again as it was read."""
    left = TimeLeft(lambda _: 4)
    left.begin_reading(10.0)
    assert left.before_first_batch(0.5, 14.0) == (16.0, 0.0)
    assert left.before_first_batch(1.0, 18.0) == (12.0, 0.0)
    assert left.before_first_batch(1.0, 24.0) == (6.0, 0.5)
    seconds, share = left.before_first_batch(1.0, 42.0)  # it takes longer than was thought
    assert (seconds, share) == (6.0, 0.8)


@pytest.mark.parametrize(("seconds", "latency", "sending"), [(8.0, 0.1, 20.0), (8.0, 300.0, 600.5), (0.0, 2.0, 4.5)])
def test_a_table_takes_as_long_to_send_as_it_took_before(seconds: float, latency: float, sending: float) -> None:
    """That is 8 s of reading and 12 s of preparing, unless the network takes longer."""
    left = TimeLeft(lambda _: 4, answers_after=latency)
    left.begin_reading(10.0)
    if seconds:
        left.before_first_batch(0.5, 10.0 + seconds / 2)
    assert left.for_batches(4, Moment(now=14.0)) == pytest.approx(sending)


@frozen
class Work:
    """A table that is read first, and whose every step this machine is the limit of.

    Attributes:
        reading: seconds.
        preparing: seconds, in terms of those.
        sending: seconds, in terms of all before.
        batches: how many there are.
        ahead: batches that go out before the first one is done.
    """

    reading: float
    preparing: float
    sending: float
    batches: int
    ahead: int

    def estimates(self) -> Iterator[tuple[float, float]]:
        """Yields the seconds that are left at 20, 50 and 80 % of the time, and those that it says."""
        before = self.reading * (1 + self.preparing)
        took = before * (1 + self.sending)
        for now in (0.2 * took, 0.5 * took, 0.8 * took):
            left = TimeLeft(lambda _: 50, answers_after=0.01)
            left.begin_reading(0.0)
            seconds = 0.0
            for moment in sorted({min(now, self.reading / 2), min(now, self.reading), min(now, before)}):
                seconds, _ = left.before_first_batch(min(1.0, moment / self.reading), moment)
                left.for_batches(self.batches, Moment(now=moment))
            yield took - now, (seconds if now < before else 0.0) + self._sending(left, now, before, took)

    def _sending(self, left: TimeLeft, now: float, before: float, took: float) -> float:
        each = (took - before) / self.batches
        ended = max(0, math.floor((now - before) / each))
        begun = 0 if now < before else min(self.batches, ended + self.ahead)
        for number in range(begun):
            left.begin(Moment(now=before + max(0, number - self.ahead) * each))
        for number in range(ended):
            left.note(Moment(now=before + (number + 1) * each))
        trip = (self.ahead * each) if ended else None
        return left.for_batches(self.batches - ended, Moment(now=now, in_flight=begun - ended, round_trip=trip))


@given(
    st.builds(
        Work,
        st.floats(2.0, 60.0),
        st.floats(1.0, 2.0),
        st.floats(0.8, 1.5),
        st.integers(40, 400),
        st.integers(2, 6),
    )
)
@example(Work(2.5, 1.7, 1.5, 60, 6))
def test_a_machine_that_is_the_limit_is_foreseen(work: Work) -> None:
    """Within the factor that preparing and sending differ by from machine to machine and from file to file."""
    for actual, found in work.estimates():
        assert actual / MOST_OFF <= found <= actual * MOST_OFF, (found, actual)


class Rows:
    """Rows of known number that come slowly."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __len__(self) -> int:
        return self._number

    async def __aiter__(self) -> AsyncIterator[str]:
        for row in emails(self._number):
            await asyncio.sleep(0.1)
            yield row


@pytest.mark.parametrize("seconds", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("batches", [60, 200, 600])
@pytest.mark.parametrize("service", ["at any load", "slower with each"])
def test_the_number_in_flight_may_find_itself(run_timed: Any, seconds: float, batches: int, service: str) -> None:
    """With Criteo's quota, whether it is reached or not, and servers at which more calls at once do or do not pay."""
    server = Server(lambda beside: seconds * (1.0 if service == "at any load" else max(1.0, beside / 20)), Quota(250))
    took, told = uploaded(run_timed, server, list(emails(batches)), slots=Slots(LoopClock().now), batch_size=1)
    assert max(offs(took, told)) <= MOST_OFF


def uploaded(run_timed: Any, amend: Any, source: object, **options: Any) -> tuple[float, list[Progress]]:
    """Returns the seconds that an upload took, and all of its progress."""
    told: list[Progress] = []
    report = run_timed(amend, source, on_progress=told.append, **options)
    return report.elapsed, told


def offs(took: float, told: list[Progress]) -> Iterator[float]:
    """Yields how far the estimates were off at 20, 50 and 80 % of the time."""
    for share in (0.2, 0.5, 0.8):
        progress = next(each for each in told if each.elapsed >= share * took)
        actual = took - progress.elapsed
        yield max((progress.remaining or 0.001) / actual, actual / (progress.remaining or 0.001))


@pytest.mark.parametrize("source", [list(emails(400)), Rows(400)], ids=["list", "slow rows"])
def test_an_upload_says_how_long_it_takes(run_timed: Any, fake_amend: Any, source: object) -> None:
    """Of a source that knows its length, from the first call on."""
    took, told = uploaded(run_timed, fake_amend(latency=1.0), source, max_concurrency=4)
    assert took > 9.9
    assert max(offs(took, told)) <= MOST_OFF
    assert all(each.remaining is not None for each in told if each.read)
    assert (told[-1].share_sent, told[-1].phase) == (1.0, "sending")
    shares = [round(each.share or 0.0, 9) for each in told]
    assert shares == sorted(shares)


def test_a_source_without_a_length_has_no_end(run_timed: Any, fake_amend: Any) -> None:
    """Nothing is said of what cannot be known, and nothing either when all that came back has failed."""
    _, told = uploaded(run_timed, fake_amend(latency=1.0), iter(emails(100)), max_concurrency=4)
    assert {(each.remaining, each.share) for each in told if each.elapsed < 2} == {(None, None)}
    _, told = uploaded(run_timed, fake_amend(latency=1.0, reply=lambda _: ServerError(503)), list(emails(400)))
    assert {each.remaining for each in told if each.batches} <= {None, 0.0}


def test_progress_is_safe_for_json(run_timed: Any, fake_amend: Any) -> None:
    """With its phase and how much of it is done; the names are those of the report."""
    _, told = uploaded(run_timed, fake_amend(latency=1.0), emails(40))
    document = told[-1].to_dict()
    assert (document["phase"], document["share"], document["valid"], document["read"]) == ("sending", 1.0, 40, 40)
