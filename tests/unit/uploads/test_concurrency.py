"""The rule for how much is in flight: its bounds, and what it makes of servers whose service time is a formula."""

import heapq
import itertools
import math
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from criteo_audiences import Quota, ServerError, UploadReport
from criteo_audiences.meter import CallEnd
from criteo_audiences.models import ContactListOperation
from criteo_audiences.uploads import Amendment
from criteo_audiences.uploads.slots import (
    MOST,
    START,
    Level,
    LimitedBy,
    SentRequest,
    Slots,
    limit_in_silence,
    quota_bound,
)
from tests.kit import LIST, assert_adds_up, emails, options_of, run_in_virtual_time, upload
from tests.unit.uploads.servers import LoopClock, Server

SECONDS = st.floats(0.001, 60.0)


def uploaded(server: Server, batches: int, **options: Any) -> tuple[float, UploadReport]:
    """Uploads so many batches in virtual time; returns the seconds that took, and the report."""

    async def main() -> tuple[float, UploadReport]:
        clock = LoopClock()
        began = clock.now()
        settings = options_of(**{"batch_size": 1, **options})
        report = await upload(server, LIST, emails(batches), settings, slots=Slots(clock.now))
        return clock.now() - began, report

    seconds, report = run_in_virtual_time(main())
    assert_adds_up(report)
    assert report.ok
    return seconds, report


def seconds_at(in_flight: int, server: Server, batches: int) -> float:
    """Returns the seconds that so many batches take if a fixed number is always in flight."""
    now, under_way = 0.0, list[float]()
    for _ in range(batches):
        if len(under_way) == in_flight:
            now = heapq.heappop(under_way)
        heapq.heappush(under_way, now + server.seconds(len(under_way) + 1))
    return max(under_way)


@pytest.mark.parametrize(
    ("quota", "windows", "latency"),
    [
        *((Quota(50, period=2.0), 5, latency) for latency in (0.02, 0.1, 0.17, 0.35, 0.5, 1.0, 2.0, 4.0)),
        *((Quota(250, period=60.0), 3, latency) for latency in (0.02, 1.0)),
        (Quota(250, period=60.0), 4, 15.0),
    ],
)
def test_the_floor_is_reached_at_any_latency(quota: Quota, windows: int, latency: float) -> None:
    """A call holds its place until a period after its answer: so many windows and no more than a tenth beyond that."""
    batches = windows * quota.calls + 4 * quota.calls // 5
    seconds, report = uploaded(Server(lambda _: latency, quota), batches)
    assert seconds <= 1.1 * windows * (quota.period + latency) + latency
    assert report.limited_by is LimitedBy.QUOTA
    assert report.hint is None


@pytest.mark.parametrize("latency", [0.02, 0.2, 1.0])
def test_no_more_is_in_flight_than_the_quota_can_use(latency: float) -> None:
    """Its rate times the round trip, with headroom: of a minute's 250 calls, all are not made at once."""
    server = Server(lambda _: latency, Quota(250, period=60.0))
    uploaded(server, 300)
    assert server.most <= quota_bound((250, 60.0), latency) + 1


@pytest.mark.parametrize(("best", "batches"), [(4, 300), (7, 300), (16, 300), (27, 500)])
@pytest.mark.parametrize("base", [0.01, 0.1])
def test_a_server_that_slows_down_is_not_pressed(best: int, batches: int, base: float) -> None:
    """With a service time that grows with the square of what is in flight, a fixed number does little better."""

    def seconds(in_flight: int) -> float:
        return base * (1 + (in_flight / best) ** 2)

    server = Server(seconds)
    took, report = uploaded(server, batches)
    assert server.most <= 2 * best
    assert took <= seconds_at(best, server, batches) / 0.9
    assert report.limited_by is LimitedBy.ROUND_TRIPS


def test_a_full_network_is_not_pressed() -> None:
    """Where answers take longer the more are under way, and nothing is gained, few are."""
    server = Server(lambda in_flight: max(0.1, 0.0125 * in_flight))
    took, _ = uploaded(server, 400)
    assert server.most <= 3 * 8
    assert took <= seconds_at(8, server, 400) / 0.9


def test_failures_cost_no_more_than_themselves() -> None:
    """Every tenth call fails for a passing reason: each is made again, and the others go on at the quota's pace."""
    quota = Quota(50, period=2.0)
    server = Server(lambda _: 0.17, quota, fails=lambda number: not number % 10)
    seconds, _ = uploaded(server, 290)
    assert server.calls <= 1.2 * 290
    assert seconds <= 1.2 * (math.ceil(server.calls / 50) - 1) * 2.17 + 0.17


def test_a_server_that_fails_altogether_is_asked_by_few() -> None:
    """Each round of failures halves what is under way."""
    broken = range(41, 400)
    server = Server(lambda _: 0.1, fails=lambda number: number in broken)
    uploaded(server, 100)
    level = Level(limit=64.0, is_starting=False, round_trip=0.1)
    for now in range(1_000):
        level = level.after(SentRequest(float(now), 1), now + 0.1, failed=True)
    assert level.limit == 1.0


def test_a_stall_is_over_two_windows_after_it() -> None:
    """What was under way comes back late, and the pace is the quota's again."""
    quota = Quota(50, period=2.0)
    for latency in (0.02, 0.17, 0.5):
        moment: list[float] = []

        def seconds(_: int, latency: float = latency, moment: list[float] = moment) -> float:
            now = LoopClock().now()
            moment.append(now)
            return latency + max(0.0, 7.0 - now) * (now >= 4.0)

        took, report = uploaded(Server(seconds, quota), 580)
        assert took <= (math.ceil(report.calls / 50) - 1) * (2.0 + latency) + latency + 3.0 + 2 * (2.0 + latency)
        late = [each for each in moment if each > 7.0 + 2 * (2.0 + latency)]
        assert (len(late) - 1) / (late[-1] - late[0]) >= 0.9 * 50 / (2.0 + latency)


def test_a_number_is_kept_to() -> None:
    """A caller's own is neither begun slowly nor lowered."""
    server = Server(lambda in_flight: 0.1 * in_flight)
    _, report = uploaded(server, 100, max_concurrency=20)
    assert (server.most, report.most_in_flight) == (20, 20)
    assert report.limited_by is LimitedBy.MAX_CONCURRENCY


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(SECONDS, st.integers(1, MOST), st.booleans()), max_size=300))
def test_the_level_stays_within_its_bounds(answers: list[tuple[float, int, bool]]) -> None:
    """Whatever comes back: at least one, at most `MOST`, and never more than twice what was there before."""
    level, now = Level(), 0.0
    for seconds, beside, failed in answers:
        now += 0.01
        before = level
        level = level.after(SentRequest(now, beside), now + seconds, failed=failed)
        assert 1.0 <= level.limit <= MOST
        if before.round_trip is not None:
            assert level.limit <= 2 * before.limit
        assert level.round_trip is not None
        assert level.round_trip <= max(each for each, _, _ in answers) + 1e-6


@given(SECONDS, SECONDS)
def test_silence_raises_the_limit_step_by_step(one: float, other: float) -> None:
    """Before the first answer it doubles each fifth of a second; a longer silence never lowers it."""
    assert START <= limit_in_silence(min(one, other)) <= limit_in_silence(max(one, other)) <= MOST
    assert limit_in_silence(one + 0.2) <= 2 * limit_in_silence(one) + 1e-6


@given(st.integers(1, 1_000_000), SECONDS, SECONDS)
def test_the_quotas_bound_is_littles_law_with_headroom(calls: int, period: float, round_trip: float) -> None:
    """It grows with the rate and with the round trip, and never falls below the start."""
    bound = quota_bound((calls, period), round_trip)
    assert bound >= START + calls / period * round_trip
    assert quota_bound((2 * calls, period), round_trip) - START == pytest.approx(2 * (bound - START))
    assert quota_bound(None, round_trip) == MOST


@given(SECONDS, st.floats(1.0, 3.0))
def test_a_round_that_gains_is_followed_by_a_larger_one(seconds: float, growth: float) -> None:
    """Starting, a round doubles the limit unless its calls took about as much longer as they were more."""
    level = Level(round_trip=seconds)
    for _ in range(START):
        level = level.after(SentRequest(0.0, START // 2), seconds)
    assert level.limit == START
    for _ in range(START):
        level = level.after(SentRequest(0.0, START), seconds * growth)
    if growth != pytest.approx(2**0.4):
        assert level.limit == (2 * START if growth < 2**0.4 else START / math.sqrt(2))


def test_the_level_says_nothing_of_calls_sent_before_its_round() -> None:
    """They were under way at another limit."""
    level = Level(round_trip=1.0, began=10.0)
    assert level.after(SentRequest(9.9, START), 10.9) == attrs.evolve(level, round_trip=pytest.approx(1.0))


async def test_a_refusal_for_the_quota_does_not_cut_the_limit() -> None:
    """At 429 the limiter holds everybody back already; nor does a call that was given up say anything."""

    async def reply(amendment: Amendment) -> ContactListOperation:
        meter = amendment.meter
        assert meter is not None
        for end in itertools.repeat(CallEnd.SILENT, 5):
            meter.count_call()
            meter.count_end(end)
        return ContactListOperation(valid=1, invalid=0)

    slots = Slots()
    await upload(reply, LIST, emails(100), options_of(batch_size=1), slots=slots)
    assert slots.limit(None) == (START, LimitedBy.ROUND_TRIPS)


async def test_what_fails_otherwise_is_an_answer(fake_amend: Any) -> None:
    """The report says what became of it; the limit is not touched by errors that are not passing."""
    report = await upload(fake_amend(reply=lambda _: ServerError(501)), LIST, emails(8), options_of(batch_size=1))
    assert report.failed + report.unknown == 8
