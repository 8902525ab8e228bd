"""The limiter against a server that counts calls in a window of its own."""

import asyncio
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from criteo_audiences.models import RateLimit
from criteo_audiences.session import LocalRateLimiter, Quota


class CountingServer:
    """Counts calls in a fixed or sliding window on the fake clock, and announces what is left."""

    def __init__(self, clock, calls: int, period: float, *, fixed: bool) -> None:
        self._clock = clock
        self._calls = calls
        self._period = period
        self._fixed = fixed
        self._counted: list[float] = []
        self.refused = 0

    def call(self) -> RateLimit:
        """Counts a call, or refuses it, and returns the headers of its answer."""
        now = self._clock.now()
        since = math.floor(now / self._period) * self._period if self._fixed else now - self._period
        self._counted = [moment for moment in self._counted if moment >= since and moment + self._period > now]
        if len(self._counted) >= self._calls:
            self.refused += 1
        else:
            self._counted.append(now)
        opens = since + self._period if self._fixed else self._counted[0] + self._period
        remaining = self._calls - len(self._counted)
        return RateLimit(limit=self._calls, remaining=remaining, reset_in=0.0 if remaining else opens - now)


async def spend(
    clock, limiter: LocalRateLimiter, server: CountingServer, calls: int, latency: float, *, concurrency: int = 1_000
) -> float:
    """Makes calls as fast as the limiter lets them; returns the seconds that took on the fake clock."""
    began = ended = clock.now()
    waiting = iter(range(calls))

    async def send() -> None:
        nonlocal ended
        for _ in waiting:
            await limiter.acquire(background=True)
            sent_at = clock.now()
            await clock.sleep(latency / 2)
            announced = server.call()
            await clock.sleep(latency / 2)
            limiter.settle(announced, sent_at=sent_at)
            ended = clock.now()

    senders = asyncio.gather(*(send() for _ in range(min(calls, concurrency))))
    while not senders.done():
        await clock.advance(1.0)
    await senders
    return ended - began


@pytest.mark.parametrize("fixed", [False, True])
async def test_twice_the_quota_sees_no_refusal_and_waits_one_window(clock, fixed: bool) -> None:  # noqa: FBT001
    """500 calls under 250 a minute, fixed or sliding, are never refused and take one window's wait, not two."""
    server = CountingServer(clock, 250, 60.0, fixed=fixed)
    seconds = await spend(clock, LocalRateLimiter(clock=clock), server, 500, latency=0.3)
    assert server.refused == 0
    assert seconds < 62.0


@pytest.mark.parametrize("fixed", [False, True])
async def test_a_window_shorter_than_the_clients_own_is_believed(clock, fixed: bool) -> None:  # noqa: FBT001
    """A server whose window reopens every second is used every second, though the client thought of a minute."""
    server = CountingServer(clock, 10, 1.0, fixed=fixed)
    limiter = LocalRateLimiter(Quota(10, period=60.0), clock=clock)
    seconds = await spend(clock, limiter, server, 100, latency=0.05)
    assert server.refused == 0
    assert seconds < 25.0


async def test_an_answer_that_comes_late_gives_no_place_back(clock) -> None:
    """What an early call's answer says about the window does not undo the calls that were answered meanwhile."""
    limiter = LocalRateLimiter(Quota(3, period=60.0), clock=clock)
    for _ in range(3):
        await limiter.acquire()
    sent_at = clock.now()
    await clock.advance(1.0)
    limiter.settle(RateLimit(limit=3, remaining=1), sent_at=sent_at)
    limiter.settle(RateLimit(limit=3, remaining=0, reset_in=59.0), sent_at=sent_at)
    limiter.settle(RateLimit(limit=3, remaining=2), sent_at=sent_at)
    assert limiter.expected_wait() == pytest.approx(60.0)


def one_window_more(calls: int, concurrency: int, latency: float) -> float:
    """Seconds that two windows' calls may take: both bursts, and the one wait between a call and its successor."""
    burst = math.ceil(calls / concurrency) * latency
    return max(60.0 + latency, burst) + burst


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("concurrency", [1, 4, 16])
@pytest.mark.parametrize("into", [0.0, 30.0, 59.0])
async def test_a_client_alone_waits_once_wherever_the_window_begins(
    clock: Any, concurrency: int, into: float, *, fixed: bool
) -> None:
    """Two windows' calls see no 429 and one wait, also when the burst straddles the boundary of a fixed window."""
    await clock.advance(60.0 - clock.now() % 60.0 + into)
    server = CountingServer(clock, 60, 60.0, fixed=fixed)
    limiter = LocalRateLimiter(Quota(60), clock=clock)
    seconds = await spend(clock, limiter, server, 120, latency=0.3, concurrency=concurrency)
    assert server.refused == 0
    assert seconds <= one_window_more(60, concurrency, 0.3) + 1e-6
    if not fixed:
        assert seconds >= 60.0  # no client can be faster without being refused


@given(
    fixed=st.booleans(),
    concurrency=st.integers(1, 16),
    into=st.floats(0.0, 60.0),
    latency=st.floats(0.001, 8.0),
    windows=st.integers(1, 4),
)
def test_a_client_alone_is_never_refused(
    clock: Any, concurrency: int, into: float, latency: float, windows: int, *, fixed: bool
) -> None:
    """Whatever the latency, the concurrency and the place of the boundary, so many windows take one wait fewer."""

    async def follow() -> None:
        time = type(clock)()
        await time.advance(into)
        server = CountingServer(time, 10, 60.0, fixed=fixed)
        limiter = LocalRateLimiter(Quota(10), clock=time)
        seconds = await spend(time, limiter, server, 10 * windows, latency, concurrency=concurrency)
        assert server.refused == 0
        burst = math.ceil(10 / concurrency) * latency
        assert seconds <= (windows - 1) * max(60.0 + latency, burst) + burst + 1e-6

    asyncio.run(follow())


@pytest.mark.parametrize("fixed", [False, True])
async def test_half_a_share_spends_125_calls_a_window(clock: Any, *, fixed: bool) -> None:
    """With `share=0.5` of 250, the 126th call waits for the next window, and other tools find the rest untouched."""
    server = CountingServer(clock, 250, 60.0, fixed=fixed)
    limiter = LocalRateLimiter(Quota(share=0.5), clock=clock)
    spending = asyncio.create_task(spend(clock, limiter, server, 126, latency=0.2))
    await clock.advance(30.0)
    assert server.call().remaining == 250 - 125 - 1
    assert limiter.window == (125, 60.0)
    assert 60.0 <= await spending <= 61.0


async def test_share_is_one_of_the_limit_that_the_server_announces(clock: Any) -> None:
    """With `share=0.5`, a server that announces 100 calls a window sees 50 of ours in it."""
    server = CountingServer(clock, 100, 60.0, fixed=False)
    limiter = LocalRateLimiter(Quota(share=0.5), clock=clock)
    await spend(clock, limiter, server, 1, latency=0.2)
    spending = asyncio.create_task(spend(clock, limiter, server, 99, latency=0.2))
    await clock.advance(30.0)
    assert server.call().remaining == 100 - 50 - 1
    assert limiter.window == (50, 60.0)
    assert 58.0 <= await spending <= 61.0
    assert server.refused == 0


async def test_a_single_call_waits_for_no_batch_that_has_not_started(clock: Any) -> None:
    """In the middle of forty batches, a single call gets the next place that comes free: none of the others goes first."""
    limiter = LocalRateLimiter(Quota(5), clock=clock)
    order: list[str] = []

    async def call(name: str, *, background: bool) -> None:
        await limiter.acquire(background=background)
        order.append(name)
        await clock.sleep(2.0)
        limiter.settle()

    batches = [asyncio.create_task(call(f"batch {number}", background=True)) for number in range(40)]
    await clock.advance(61.0)
    assert len(order) == 5
    single = asyncio.create_task(call("single", background=False))
    await clock.advance(1.0)
    assert order[5] == "single"
    await clock.advance(600.0)
    await asyncio.gather(single, *batches)
    assert len(order) == 41
