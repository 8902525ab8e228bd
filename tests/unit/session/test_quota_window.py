"""The limiter against a server that counts calls in a window of its own."""

import asyncio
import math

import pytest

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


async def spend(clock, limiter: LocalRateLimiter, server: CountingServer, calls: int, latency: float) -> float:
    """Makes calls as fast as the limiter lets them; returns the seconds that took on the fake clock."""
    began = clock.now()

    async def one() -> None:
        await limiter.acquire()
        sent_at = clock.now()
        announced = server.call()
        await clock.sleep(latency)
        limiter.settle(announced, sent_at=sent_at)

    everything = asyncio.gather(*(one() for _ in range(calls)))
    while not everything.done():
        await clock.advance(0.1)
    await everything
    return clock.now() - began


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
