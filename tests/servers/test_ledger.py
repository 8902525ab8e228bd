"""`RedisLedger` against a real Redis: what it remembers, for how long, and what happens without it."""

import asyncio
import logging
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from criteo_audiences import ConfigurationError
from criteo_audiences.integrations.ledger import RedisLedger
from criteo_audiences.integrations.partitions import PartitionConfig, upload_partition
from criteo_audiences.journals.rows import Acknowledged
from criteo_audiences.sandbox import Sandbox
from tests.kit import AMENDING, emails
from tests.servers.redis_process import RedisProcess

BATCH = b"b" * 32
ANSWER = Acknowledged(valid=49_998, invalid=2, at=1_795_000_000.25)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.builds(
        Acknowledged,
        valid=st.integers(0, 50_000),
        invalid=st.integers(0, 50_000),
        at=st.floats(1.7e9, 2e9).map(lambda at: round(at, 3)),
    )
)
def test_what_is_noted_is_found(redis: RedisProcess, answer: Acknowledged) -> None:
    """By another worker, and by no other run or digest."""

    async def main() -> None:
        async with RedisLedger(redis.url, run="today") as one, RedisLedger(redis.url, run="today") as other:
            await one.note(BATCH, answer)
            assert await other.find(BATCH) == answer
            assert await other.find(b"c" * 32) is None
        async with RedisLedger(redis.url, run="tomorrow") as another:
            assert await another.find(BATCH) is None

    asyncio.run(main())


def test_one_event_loop_after_the_other_may_use_it(redis: RedisProcess) -> None:
    """As a client may: the connection of a loop that has ended is of no use in the next one."""
    ledger = RedisLedger(redis.url, run="today")
    asyncio.run(ledger.note(BATCH, ANSWER))
    assert asyncio.run(ledger.find(BATCH)) == ANSWER


async def test_run_is_forgotten(redis: RedisProcess) -> None:
    """Once `keep` seconds have passed since its last acknowledgement."""
    async with RedisLedger(redis.url, run="today", keep=1) as ledger:
        await ledger.note(BATCH, ANSWER)
        async with asyncio.timeout(30):
            while await ledger.find(BATCH) is not None:  # noqa: ASYNC110 - the server sets no event
                await asyncio.sleep(0.05)


async def test_redis_learns_no_name(redis: RedisProcess) -> None:
    """Neither keys nor values hold the run's name or the digest of a batch."""
    from redis.asyncio import Redis  # noqa: PLC0415 - as a user of Redis would look

    async with RedisLedger(redis.url, run="spring sale") as ledger, Redis.from_url(redis.url) as client:
        await ledger.note(BATCH, ANSWER)
        (key,) = await client.keys("*")
        held = key + b"".join(b"".join(pair) for pair in (await client.hgetall(key)).items())
    assert b"spring" not in held
    assert BATCH.hex().encode() not in held
    assert BATCH not in held


async def test_upload_goes_on_without_redis(redis: RedisProcess, caplog: pytest.LogCaptureFixture) -> None:
    """There is one warning, nothing is found, and it comes back by itself."""
    async with RedisLedger(redis.url, run="today") as ledger:
        await ledger.note(BATCH, ANSWER)
        redis.kill()
        with caplog.at_level(logging.WARNING, "criteo_audiences.uploads"):
            assert await ledger.find(BATCH) is None
            await ledger.note(BATCH, ANSWER)
        assert len(caplog.records) == 1
        redis.start()
        async with asyncio.timeout(30):
            while await ledger.find(BATCH) is None:
                await ledger.note(BATCH, ANSWER)
                await asyncio.sleep(0.1)


@pytest.mark.parametrize(
    ("changed", "message"),
    [({"run": ""}, "run must be"), ({"keep": 0}, "keep must be"), ({"url": "http://here"}, "url must be the URL")],
)
def test_mistakes_are_refused(changed: dict[str, object], message: str) -> None:
    """Before Redis is asked, and without the URL in the message."""
    options: dict[str, object] = {"url": "redis://:secret@localhost", "run": "today", **changed}
    with pytest.raises(ConfigurationError, match=message) as caught:
        RedisLedger(**options)  # type: ignore[arg-type]
    assert "secret" not in str(caught.value)


def test_repeated_partition_sends_only_the_rest(
    redis: RedisProcess, criteo_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An attempt that failed half-way has left its acknowledged batches behind; another run sends all of them."""
    monkeypatch.setenv("CRITEO_QUOTA_URL", redis.url)
    rows = list(emails(100))
    segment_id = criteo_sandbox.add_contact_list()
    config = PartitionConfig(segment_id=segment_id, column="email", hash=None, batch_size=10, max_concurrency=1)

    def breaking() -> object:
        yield rows[:45]
        raise LookupError("lost")

    with pytest.raises(LookupError):
        upload_partition(breaking(), config, job="one")
    sent = sum(AMENDING in each.path for each in criteo_sandbox.requests)
    assert 1 <= sent <= 4
    report = upload_partition([rows], config, attempt=1, job="one")
    assert report.resumed in {sent, sent - 1}  # the last call was in flight when the source broke
    assert (report.valid, report.batches, report.calls) == (100, 10, 10 - report.resumed)
    assert upload_partition([rows], config, job="two").calls == 10
    assert criteo_sandbox.contact_list(segment_id).identifiers == set(rows)


@pytest.mark.parametrize(
    "value",
    ["garbage", "5", "[1]", "{}", '{"valid":1}', '{"valid":"1","invalid":0,"at":2}', '{"valid":-1,"invalid":0,"at":2}'],
)
async def test_odd_entry_is_no_acknowledgement(redis: RedisProcess, value: str) -> None:
    """What no release has written lets the batch be sent again; what a newer one adds does no harm."""
    from redis.asyncio import Redis  # noqa: PLC0415 - as a user of Redis would write

    async with RedisLedger(redis.url, run="today") as ledger, Redis.from_url(redis.url) as client:
        await ledger.note(BATCH, ANSWER)
        (key,) = await client.keys("*")
        (name,) = await client.hkeys(key)
        await client.hset(key, name, value)
        assert await ledger.find(BATCH) is None
        await client.hset(key, name, '{"valid":1,"invalid":2,"at":3,"color":"red"}')
        assert await ledger.find(BATCH) == Acknowledged(valid=1, invalid=2, at=3)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
async def test_forked_worker_has_a_connection_of_its_own(redis: RedisProcess) -> None:
    """A worker that is forked while an event loop uses the ledger uses it in a loop of its own, and mixes up no answers."""
    async with RedisLedger(redis.url, run="today") as ledger:
        await ledger.note(BATCH, ANSWER)
        child = os.fork()
        if not child:
            try:
                asyncio.events._set_running_loop(None)  # what multiprocessing leaves to its own code
                found = [asyncio.run(ledger.find(BATCH)) == ANSWER for _ in range(20)]
                os._exit(0 if all(found) else 1)
            finally:
                os._exit(2)
        assert all([await ledger.find(BATCH) == ANSWER for _ in range(20)])
        assert os.waitstatus_to_exitcode((await asyncio.to_thread(os.waitpid, child, 0))[1]) == 0
