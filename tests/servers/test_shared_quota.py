"""Workers in processes of their own share one quota, against a server that counts exactly."""

import asyncio
import json
import math
import statistics
import sys
import time
from collections import Counter

import pytest
from attrs import frozen

from criteo_audiences.sandbox import Sandbox
from tests.servers import upload_worker, worker
from tests.servers.redis_process import RedisProcess
from tests.servers.window_server import Window, WindowServer

PROCESSES, TASKS = 4, 4


@frozen
class Told:
    """What the workers of a run said: how long each call waited, and their logs."""

    waits: list[float]
    logs: list[str]

    def slowest(self) -> float:
        """Returns the wait that a hundredth of the calls reach."""
        return sorted(self.waits)[int(len(self.waits) * 0.99)]


async def work(redis: RedisProcess, server: WindowServer, *, seconds: float, slack: float) -> Told:
    """Runs the workers, whose clocks are 5 s apart."""
    options = {
        "redis": redis.url,
        "server": server.url,
        "calls": server.calls,
        "period": server.period,
        "slack": slack,
        "seconds": seconds,
        "tasks": TASKS,
    }
    arguments = [f"--{name}={value}" for name, value in options.items()]
    started = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, worker.__file__, *arguments, f"--name={number}", f"--ahead={5.0 * number}"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        for number in range(PROCESSES)
    ]
    said = [await process.communicate() for process in started]
    assert [process.returncode for process in started] == [0] * PROCESSES, said
    return Told([wait for out, _ in said for wait in json.loads(out)], [log.decode() for _, log in said])


@pytest.mark.parametrize("window", ["sliding", "fixed"])
async def test_quota_is_used_up_and_never_exceeded(redis: RedisProcess, window: Window) -> None:
    """Four processes with four tasks each meet no 429, use 95 % of the quota, wait no longer than needed, and evenly."""
    async with WindowServer(50, 2.0, window) as server:
        told = await work(redis, server, seconds=12.5, slack=0.05)
    assert not server.refused
    assert server.busiest() <= 50
    assert server.utilisation() >= 0.95
    assert told.slowest() <= 1.2 * server.period
    of_each = Counter(name for _, name in server.counted)
    assert min(of_each.values()) >= 0.8 * statistics.mean(of_each.values())


async def test_late_requests_meet_no_refusal(redis: RedisProcess) -> None:
    """Requests that reach the server's count up to `slack` late are never too many in a window."""
    async with WindowServer(50, 4.0, late=0.4) as server:
        await work(redis, server, seconds=13.0, slack=0.4)
    assert not server.refused
    assert server.utilisation() >= 0.85


async def test_redis_that_is_gone_for_a_while_leaves_no_worker_stuck(redis: RedisProcess) -> None:
    """Each worker warns once, goes on with its part, and shares the whole quota again when Redis has returned."""
    async with WindowServer(50, 2.0) as server:
        running = asyncio.ensure_future(work(redis, server, seconds=15.0, slack=0.05))
        while len(server.counted) < 120:  # noqa: ASYNC110 - the third window has begun
            await asyncio.sleep(0.01)
        redis.kill()
        gone_at = time.monotonic()
        await asyncio.sleep(3)
        redis.start()
        back_at = time.monotonic()
        told = await running
    times = [moment for moment, _ in server.counted]
    assert len(server.refused) <= 0.05 * len(times)
    assert any(gone_at + 2.0 < moment < back_at for moment in times), "each goes on with its part"
    # Each worker's own window may have opened, and been used up, in the moment in which Redis came back.
    assert any(back_at + 0.3 < moment < back_at + 2.0 + 1.0 for moment in times), "calls go on after a window"
    after = [moment for moment in times if back_at + 2.0 < moment < back_at + 6.0]
    assert len(after) >= 0.9 * 2 * 50, "the whole quota is used again"
    assert max(told.waits) <= 3 * server.period, "nobody is stuck"
    for log in told.logs:
        assert log.count("does not answer") == 1
        assert "makes 12 calls in 2 s" in log, log
        assert log.count("Redis is back") == 1


async def test_two_uploads_take_no_longer_than_both_must(redis: RedisProcess) -> None:
    """Two uploads in two processes with all defaults take at most 1.1 times what their calls need, and meet no 429."""
    calls, period, batches = 50, 6.0, 80
    async with Sandbox(rate_limit=(calls, period), latency=0.02) as sandbox:
        options = {
            "redis": redis.url,
            "server": sandbox.url,
            "client-id": sandbox.client_id,
            "client-secret": sandbox.client_secret,
            "calls": calls,
            "period": period,
            "batches": batches,
        }
        arguments = [f"--{name}={value}" for name, value in options.items()]
        started = [
            await asyncio.create_subprocess_exec(
                *(sys.executable, upload_worker.__file__, *arguments, f"--segment={sandbox.add_contact_list()}"),
                stdout=asyncio.subprocess.PIPE,
            )
            for _ in range(2)
        ]
        said = [json.loads((await process.communicate())[0]) for process in started]
    assert all(is_complete for _, _, is_complete in said)
    assert not [request for request in sandbox.requests if request.status == 429]
    took = max(ended for _, ended, _ in said) - min(began for began, _, _ in said)
    windows = math.ceil(2 * batches / calls) - 1
    assert took <= 1.1 * windows * period + 0.5 * windows, "a slack of half a second each window, as the default is"
