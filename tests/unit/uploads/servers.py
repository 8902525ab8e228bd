"""A server whose answers take as long as a formula says, behind a quota; in virtual time."""

import asyncio
from collections.abc import Callable

import attrs

from criteo_audiences import Quota
from criteo_audiences.loops import SystemClock
from criteo_audiences.meter import CallEnd
from criteo_audiences.models import ContactListOperation
from criteo_audiences.session.quota import LocalRateLimiter
from criteo_audiences.uploads import Amendment


class LoopClock(SystemClock):
    """The time of the running loop."""

    def now(self) -> float:
        """See `Clock.now`."""
        return asyncio.get_running_loop().time()


@attrs.define
class Server:
    """Amend calls under a quota, to a server whose answers take as long as a formula says.

    Attributes:
        seconds: of an answer, by the calls that are in flight when one arrives.
        quota: of the client.
        fails: whether a call fails for a passing reason, by its number; it is then made again after `retry_after`.
        retry_after: seconds.
    """

    seconds: Callable[[int], float]
    quota: Quota = attrs.field(factory=lambda: Quota(1_000_000))
    fails: Callable[[int], bool] = lambda _: False
    retry_after: float = 1.0
    calls: int = 0
    in_flight: int = 0
    most: int = 0
    _limiter: LocalRateLimiter = attrs.field(init=False)

    @_limiter.default
    def _limiter_of_the_loop(self) -> LocalRateLimiter:
        return LocalRateLimiter(self.quota, clock=LoopClock())

    async def __call__(self, amendment: Amendment) -> ContactListOperation:
        """Makes a call until it succeeds."""
        if await self._fails(amendment):
            await asyncio.sleep(self.retry_after)
            return await self(amendment)
        return ContactListOperation(valid=amendment.batch.count, invalid=0)

    async def _fails(self, amendment: Amendment) -> bool:
        meter = amendment.meter
        assert meter is not None
        with meter.waiting():
            await self._limiter.acquire(background=True)
        meter.note_window(self._limiter.window)
        meter.count_call()
        self.calls += 1
        failed = self.fails(self.calls)
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        sent_at = LoopClock().now()
        await asyncio.sleep(self.seconds(self.in_flight))
        self.in_flight -= 1
        meter.count_end(CallEnd.FAILED if failed else CallEnd.ANSWERED)
        self._limiter.settle(sent_at=sent_at)
        return failed
