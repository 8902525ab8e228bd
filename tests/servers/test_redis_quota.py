"""`RedisQuota` against a real Redis server."""

import asyncio
import logging
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import trustme

from criteo_audiences import ConfigurationError, ConnectError, CriteoClient, QuotaWaitError, RateLimit
from criteo_audiences.integrations.redis import RedisQuota
from criteo_audiences.sandbox import Sandbox
from tests.servers.redis_process import RedisProcess, free_port

Make = Callable[..., RedisQuota]


@pytest.fixture
async def make(redis: RedisProcess) -> AsyncIterator[Make]:
    """Makes workers of one quota, each with a connection of its own as in another process."""
    async with AsyncExitStack() as stack:
        made: list[RedisQuota] = []

        def worker(**options: Any) -> RedisQuota:
            made.append(RedisQuota(redis.url, **{"key": "test", "calls": 4, "period": 1.0, "slack": 0.0, **options}))
            stack.push_async_callback(made[-1].aclose)
            return made[-1]

        yield worker


async def spend(quota: RedisQuota, calls: int, **told: Any) -> None:
    """Makes calls that take no time."""
    for _ in range(calls):
        await quota.acquire()
        quota.settle(**told)


async def test_idle_quota_admits_200_calls_at_once(make: Make) -> None:
    """A full window may be spent immediately."""
    quota = make(calls=250, period=60.0)
    began = time.perf_counter()
    await asyncio.gather(*(quota.acquire(background=True) for _ in range(200)))
    assert time.perf_counter() - began <= 0.5


async def test_workers_spend_one_window(make: Make) -> None:
    """What one worker has spent the other waits for, until one period after the answer."""
    first, second = make(), make()
    await spend(first, 4)
    assert await second.acquire() == pytest.approx(1.0, abs=0.2)


async def test_call_in_flight_holds_its_place(make: Make) -> None:
    """A call holds its place for as long as it takes, and one period from its answer on."""
    first, second = make(calls=1), make(calls=1)
    await first.acquire()
    waiting = asyncio.ensure_future(second.acquire())
    await asyncio.wait([waiting], timeout=1.5)
    assert not waiting.done()
    first.settle()
    answered_at = time.perf_counter()
    await waiting
    assert time.perf_counter() - answered_at >= 1.0


async def test_single_calls_go_before_batches_of_another_worker(make: Make) -> None:
    """A batch that has waited longer goes after a single call of another process."""
    first, second = make(calls=1), make(calls=1)
    await spend(first, 1)
    order: list[str] = []

    async def call(quota: RedisQuota, name: str, *, background: bool) -> None:
        await quota.acquire(background=background)
        order.append(name)
        quota.settle()

    batch = asyncio.ensure_future(call(first, "batch", background=True))
    await asyncio.sleep(0.2)
    await asyncio.gather(batch, call(second, "single", background=False))
    assert order == ["single", "batch"]


async def test_job_with_few_senders_gets_its_part(make: Make) -> None:
    """A worker with ten waiting batches gets as many calls as one with forty, where the window has room for twenty."""
    large, small = make(calls=20), make(calls=20)
    counts = {"large": 0, "small": 0}
    ends_at = time.perf_counter() + 4.5

    async def send(quota: RedisQuota, name: str) -> None:
        while time.perf_counter() < ends_at:
            await quota.acquire(background=True)
            counts[name] += time.perf_counter() < ends_at
            quota.settle()

    await asyncio.gather(*(send(large, "large") for _ in range(40)), *(send(small, "small") for _ in range(10)))
    assert counts["small"] >= 0.6 * counts["large"], counts


async def test_refusal_of_one_holds_for_all(make: Make) -> None:
    """A 429 that one worker gets pauses the others."""
    first, second = make(), make()
    await spend(second, 1)
    await first.acquire()
    first.settle(pause=0.8, sent_at=first._clock.now())
    await asyncio.sleep(0.1)
    assert await second.acquire() >= 0.5


async def test_announced_limit_holds_for_all(make: Make) -> None:
    """A limit that the server announces to one worker is the window of the others, too."""
    first, second = make(), make()
    await first.acquire()
    first.settle(RateLimit(limit=2, remaining=0, reset_in=1.0), sent_at=first._clock.now())
    await asyncio.sleep(0.1)
    assert await second.acquire() >= 0.5
    assert second.window == (2, 1.0)


async def test_calls_of_other_tools_are_counted(make: Make) -> None:
    """What `remaining` shows beyond the workers' own calls leaves less room for all, until it resets."""
    first, second = make(), make()
    await first.acquire()
    first.settle(RateLimit(limit=4, remaining=1, reset_in=0.6), sent_at=first._clock.now())
    await asyncio.sleep(0.1)
    assert await second.acquire() < 0.1
    assert await second.acquire() >= 0.3


async def test_share_leaves_the_rest(make: Make) -> None:
    """All workers of a key keep to its share together."""
    first, second = make(calls=10, share=0.3), make(calls=10, share=0.3)
    assert first.window == (3, 1.0)
    assert first.share is None
    await spend(first, 3)
    assert await second.acquire() >= 0.5


async def test_wait_that_is_too_long_is_refused_before_it(make: Make) -> None:
    """`longest` refuses at once when the wait is known, and at the latest when it is over."""
    first, second = make(calls=1), make(calls=1)
    await spend(first, 1)
    began = time.perf_counter()
    with pytest.raises(QuotaWaitError):
        await second.acquire(longest=0.4)
    assert time.perf_counter() - began < 0.3
    assert await second.acquire(longest=5.0) >= 0.3


async def test_cancelled_waiter_takes_no_place(make: Make) -> None:
    """A call that was cancelled while it waited, or just admitted, leaves its place to others."""
    first, second = make(calls=1), make(calls=1)
    admitted = asyncio.ensure_future(first.acquire())
    while not first._calls.flying:  # noqa: ASYNC110 - at this very moment
        await asyncio.sleep(0)
    admitted.cancel()
    await asyncio.wait([admitted])
    assert await second.acquire() < 0.5
    waiting = asyncio.ensure_future(first.acquire())
    await asyncio.sleep(0.1)
    waiting.cancel()
    await asyncio.wait([waiting])
    second.settle()
    assert await second.acquire() == pytest.approx(1.0, abs=0.2)


async def test_worker_that_leaves_leaves_its_calls_counted(make: Make) -> None:
    """The calls of a worker that was closed still hold their places."""
    first, second = make(), make()
    await spend(first, 2)
    await first.acquire()
    await first.acquire()
    await first.aclose()
    assert await second.acquire() >= 0.7


async def test_emptied_redis_closes_the_window(make: Make, redis: RedisProcess) -> None:
    """A Redis that was restarted knows of no call: workers write theirs back, and others wait for one period."""
    first, second = make(), make()
    await spend(second, 1)
    await spend(first, 3)
    redis.kill()
    redis.start()
    began = time.perf_counter()
    await second.acquire()
    second.settle()
    third = make()
    await third.acquire()
    assert time.perf_counter() - began >= 0.8


def test_quota_serves_event_loops_in_turn(redis: RedisProcess) -> None:
    """One quota works in two runs of an event loop, one after the other, and counts both."""
    quota = RedisQuota(redis.url, key="loops", calls=2, period=1.0, slack=0.0)

    async def twice() -> float:
        waited = await quota.acquire() + await quota.acquire()
        quota.settle()
        return waited

    assert asyncio.run(twice()) < 0.5
    assert asyncio.run(twice()) >= 0.5


def test_quota_survives_a_fork(redis: RedisProcess) -> None:
    """A forked process is a worker of its own, on a connection of its own."""
    quota = RedisQuota(redis.url, key="fork", calls=3, period=60.0)

    async def once() -> None:
        async with asyncio.timeout(10):
            await quota.acquire()
            quota.settle()

    asyncio.run(once())
    child = os.fork()
    if not child:
        try:
            asyncio.run(once())
        except BaseException:  # noqa: BLE001
            os._exit(1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    asyncio.run(once())

    async def full() -> None:
        with pytest.raises(QuotaWaitError):
            await quota.acquire(longest=1.0)

    asyncio.run(full())


async def test_required_redis_that_is_gone_raises(make: Make, redis: RedisProcess) -> None:
    """With `required=True` no call is made without Redis, and calls go on when it is back."""
    quota = make(required=True)
    await spend(quota, 1)
    redis.kill()
    with pytest.raises(ConnectError, match="no call is made without it"):
        await quota.acquire()
    redis.start()
    assert await quota.acquire() < 2.0


async def test_redis_that_was_never_there_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    """Without Redis from the start one worker goes on by itself, after one warning that does not show the URL."""
    url = f"redis://:hunter2@127.0.0.1:{free_port()}"
    with caplog.at_level(logging.WARNING):
        async with RedisQuota(url, key="test", calls=3, period=1.0, slack=0.0) as quota:
            await spend(quota, 3)
            assert await quota.acquire() >= 0.5
    assert len(caplog.records) == 1
    assert "hunter2" not in caplog.text


async def test_wrong_password_is_refused(tmp_path: Path) -> None:
    """A login that Redis refuses is a mistake, told before any call; the right one passes through."""
    with RedisProcess(tmp_path, "--requirepass", "hunter2") as redis:
        for wrong in ("", ":wrong@"):
            async with RedisQuota(redis.url.replace("//", f"//{wrong}"), key="test") as quota:
                with pytest.raises(ConfigurationError, match="Redis refuses the login of url") as raised:
                    await quota.acquire()
                assert "wrong@" not in str(raised.value)
        async with RedisQuota(redis.url.replace("//", "//:hunter2@"), key="test") as quota:
            assert await quota.acquire() < 1.0


async def test_tls_passes_through(tmp_path: Path) -> None:
    """A `rediss://` URL with an authority of one's own reaches a server that speaks TLS only."""
    authority, port = trustme.CA(), free_port()
    issued = authority.issue_cert("localhost", "127.0.0.1")
    files = {name: tmp_path / name for name in ("ca.pem", "key.pem", "cert.pem")}
    authority.cert_pem.write_to_path(files["ca.pem"])
    issued.private_key_pem.write_to_path(files["key.pem"])
    issued.cert_chain_pems[0].write_to_path(files["cert.pem"])
    options = ["--tls-port", str(port), "--tls-auth-clients", "no"]
    options += ["--tls-ca-cert-file", str(files["ca.pem"]), "--tls-key-file", str(files["key.pem"])]
    options += ["--tls-cert-file", str(files["cert.pem"])]
    with RedisProcess(tmp_path, *options):
        url = f"rediss://127.0.0.1:{port}?ssl_ca_certs={files['ca.pem']}"
        async with RedisQuota(url, key="test", required=True) as quota:
            assert await quota.acquire() < 1.0


async def test_sentinel_finds_the_server(tmp_path: Path, redis: RedisProcess) -> None:
    """A `redis+sentinel://` URL names a service, whose master a sentinel knows."""
    configuration = tmp_path / "sentinel.conf"
    configuration.write_text(f"sentinel monitor crm 127.0.0.1 {redis.port} 1\n")
    with RedisProcess(tmp_path, configuration=configuration) as sentinel:
        url = f"redis+sentinel://127.0.0.1:{sentinel.port}/crm/0"
        async with RedisQuota(url, key="test", required=True) as quota:
            assert await quota.acquire() < 1.0


async def test_old_server_is_refused() -> None:
    """A server whose version is too old is named, before any call."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        info = b"redis_version:4.0.9\r\nrun_id:abc\r\n"
        while command := await reader.readline():
            if command.strip().upper() == b"INFO":
                writer.write(b"$%d\r\n%s\r\n" % (len(info), info))
            elif command.strip().upper() == b"HELLO":
                writer.write(b"-ERR unknown command 'HELLO'\r\n")
            elif command.strip().upper() in {b"CLIENT", b"SELECT"}:
                writer.write(b"+OK\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with RedisQuota(f"redis://127.0.0.1:{port}?protocol=2", key="test") as quota:
            with pytest.raises(ConfigurationError, match=r"has version 4\.0\.9; use 5\.0 or newer"):
                await quota.acquire()


async def test_environment_shares_the_quota(redis: RedisProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `CRITEO_QUOTA_URL` clients of one application share its window, whatever process they are in."""
    async with Sandbox() as sandbox:
        monkeypatch.setenv("CRITEO_CLIENT_ID", sandbox.client_id)
        monkeypatch.setenv("CRITEO_CLIENT_SECRET", sandbox.client_secret)
        monkeypatch.setenv("CRITEO_BASE_URL", sandbox.url)
        monkeypatch.setenv("CRITEO_QUOTA_URL", redis.url)
        async with CriteoClient.from_env() as first, CriteoClient.from_env(max_quota_wait=1.0) as second:
            assert first.quota is not None
            assert first.quota.calls == 250
            limiter = first._session.limiter
            for _ in range(250):
                await limiter.acquire()
            with pytest.raises(QuotaWaitError):
                await second.marketing_solutions.get_contact_list_statistics("1")


async def test_command_shares_the_quota(redis: RedisProcess) -> None:
    """A command takes its place in the window that `CRITEO_QUOTA_URL` names."""
    async with Sandbox() as sandbox:
        environment = {
            "CRITEO_CLIENT_ID": sandbox.client_id,
            "CRITEO_CLIENT_SECRET": sandbox.client_secret,
            "CRITEO_BASE_URL": sandbox.url,
            "CRITEO_QUOTA_URL": redis.url,
            "CRITEO_QUOTA_KEY": "command",
        }
        command = (sys.executable, "-m", "criteo_audiences", "stats", "marketing-solutions", sandbox.add_contact_list())
        process = await asyncio.create_subprocess_exec(*command, env=os.environ | environment)
        assert await process.wait() == 0
        async with RedisQuota(redis.url, key="command") as quota:
            await asyncio.gather(*(quota.acquire() for _ in range(249)))
            with pytest.raises(QuotaWaitError):
                await quota.acquire(longest=1.0)


async def test_redis_that_hangs_is_like_one_that_is_gone(make: Make, redis: RedisProcess) -> None:
    """A server that accepts connections and never answers holds a call up for no longer than its time-outs."""
    quota = make()
    await spend(quota, 1)
    redis.suspend()
    began = time.perf_counter()
    await quota.acquire()
    assert time.perf_counter() - began < 5.0
    quota.settle()
    redis.resume()
    assert await quota.acquire() < 2.5
