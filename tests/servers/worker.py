"""A worker process of the tests: some tasks that call a server for so many seconds, on a shared quota.

It prints one JSON object: the seconds that each call waited for the quota.
"""

import argparse
import asyncio
import json
import logging
import sys
import time

import aiohttp

from criteo_audiences.integrations.redis import RedisQuota
from criteo_audiences.session import SystemClock


class SkewedClock(SystemClock):
    """A clock that is so many seconds ahead of the others."""

    def __init__(self, ahead: float) -> None:
        self._ahead = ahead

    def now(self) -> float:
        """See `Clock.now`."""
        return super().now() + self._ahead

    def time(self) -> float:
        """See `Clock.time`."""
        return super().time() + self._ahead


async def work(chosen: argparse.Namespace) -> list[float]:
    """Calls for as long as it is told."""
    waits: list[float] = []
    clock = SkewedClock(chosen.ahead)
    quota = RedisQuota(
        chosen.redis, key="test", calls=chosen.calls, period=chosen.period, slack=chosen.slack, clock=clock
    )
    ends_at = time.monotonic() + chosen.seconds

    async def call(session: aiohttp.ClientSession) -> None:
        while time.monotonic() < ends_at:
            waits.append(await quota.acquire(background=True))
            sent_at, pause = clock.now(), 0.0
            try:
                async with session.get(f"{chosen.server}/{chosen.name}") as response:
                    pause = 0.25 if response.status == 429 else 0.0
            finally:
                quota.settle(pause=pause, sent_at=sent_at)

    async with quota, aiohttp.ClientSession() as session:
        await asyncio.gather(*[call(session) for _ in range(chosen.tasks)])
    return waits


def main() -> None:
    """Reads the arguments, works and prints."""
    parser = argparse.ArgumentParser()
    for name in ("redis", "server", "name"):
        parser.add_argument(f"--{name}", required=True)
    for name, kind in (("calls", int), ("tasks", int), ("period", float), ("slack", float), ("seconds", float)):
        parser.add_argument(f"--{name}", type=kind, required=True)
    parser.add_argument("--ahead", type=float, default=0.0)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO)
    print(json.dumps(asyncio.run(work(parser.parse_args()))))


if __name__ == "__main__":
    main()
