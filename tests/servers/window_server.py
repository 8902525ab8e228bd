"""A server that counts calls in an exact window and refuses those above the limit."""

import asyncio
import math
import random
import time
from collections import deque
from typing import Literal, Self

from aiohttp import web
from attrs import define, field

Window = Literal["sliding", "fixed"]


@define
class WindowServer:
    """Answers `GET /` with 200 or 429, and keeps when it counted which worker's call.

    Attributes:
        calls: the limit.
        period: of the window, seconds.
        window: how it counts.
        latency: the longest that it takes to answer, seconds.
        late: the longest that a call takes to reach its count, seconds.
        counted: the moments of the calls, and whose they were.
        refused: the moments of the 429s.
    """

    calls: int
    period: float
    window: Window = "sliding"
    latency: float = 0.05
    late: float = 0.0
    counted: list[tuple[float, str]] = field(factory=list)
    refused: list[float] = field(factory=list)
    url: str = ""
    _recent: deque[float] = field(factory=deque)
    _random: random.Random = field(factory=lambda: random.Random(7))
    _runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/{worker}", self._answer)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        if self.late:
            await asyncio.sleep(self._random.uniform(0, self.late))
        accepted = self._take(time.monotonic(), request.match_info["worker"])
        await asyncio.sleep(self._random.uniform(0, self.latency))
        return web.Response(status=200 if accepted else 429)

    def _take(self, now: float, worker: str) -> bool:
        begins = math.floor(now / self.period) * self.period if self.window == "fixed" else now - self.period
        while self._recent and (self._recent[0] < begins if self.window == "fixed" else self._recent[0] <= begins):
            self._recent.popleft()
        if len(self._recent) >= self.calls:
            self.refused.append(now)
            return False
        self._recent.append(now)
        self.counted.append((now, worker))
        return True

    def utilisation(self) -> float:
        """Returns the share of the quota that was used after the first window, in whole windows."""
        times = [moment for moment, _ in self.counted]
        begins = times[0] + self.period
        windows = math.floor((times[-1] - begins) / self.period + 0.02)
        used = sum(begins <= moment < begins + windows * self.period for moment in times)
        return used / (windows * self.calls)

    def busiest(self) -> int:
        """Returns the most calls that were counted in any sliding window."""
        times, most, first = [moment for moment, _ in self.counted], 0, 0
        for last, moment in enumerate(times):
            while times[first] <= moment - self.period:
                first += 1
            most = max(most, last - first + 1)
        return most
