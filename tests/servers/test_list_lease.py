"""One operation at a time works on a contact list, whatever worker runs it."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from attrs import evolve
from redis.asyncio import Redis

from criteo_audiences import ConnectError, UploadJob, run_upload_job
from criteo_audiences.integrations import ledger
from criteo_audiences.integrations.ledger import ListLease
from criteo_audiences.integrations.partitions import PartitionConfig, upload_partition
from criteo_audiences.sandbox import Sandbox
from tests.kit import AMENDING
from tests.servers.redis_process import RedisProcess


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Lets leases end within seconds."""
    monkeypatch.setattr(ledger, "_LEASE", 2.0)
    monkeypatch.setattr(ledger, "_LANDING", 1.0)
    monkeypatch.setattr(ledger, "_MARGIN", 0.5)
    monkeypatch.setattr(ledger, "_LINGER", 0.7)
    yield  # noqa: PT022


def lease(redis: RedisProcess, operation: str, segment_id: str = "7", **more: bool) -> ListLease:
    """Returns a lease of a worker of its own."""
    where: dict[str, Any] = {"host": "api.criteo.com", "service": "retail-media", "segment_id": segment_id}
    return ListLease(redis.url, source="url", operation=operation, **where, **more)


async def waited_for(taking: ListLease) -> float:
    """Returns how long a lease had to wait, and gives it free."""
    began = time.perf_counter()
    await taking.take()
    await taking.leave(may_land=False)
    return time.perf_counter() - began


async def test_list_that_was_left_is_free_at_once(redis: RedisProcess) -> None:
    """A lease keeps others away until it is left, and other lists are not its business."""
    first = lease(redis, "add")
    await first.take()
    waiting = asyncio.ensure_future(waited_for(lease(redis, "add")))
    assert await waited_for(lease(redis, "remove", "8")) < 0.5
    await asyncio.wait([waiting], timeout=0.5)
    assert not waiting.done()
    await first.leave(may_land=False)
    assert await waiting < 1.9


async def test_inverse_operation_waits_for_calls_that_may_land(redis: RedisProcess) -> None:
    """After a worker that vanished, the same operation waits for the lease, and the inverse one for calls in flight, too."""
    vanished = lease(redis, "add")
    await vanished.take()
    await vanished._server.close()
    same, inverse = await asyncio.gather(waited_for(lease(redis, "add")), waited_for(lease(redis, "remove")))
    assert 1.9 <= same <= 3.2
    assert inverse >= 2.9


async def test_upload_stops_when_its_lease_cannot_be_kept(
    redis: RedisProcess, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A job whose lease ends, because Redis is gone, starts no further batch and says so."""
    crm = tmp_path / "crm.csv"
    crm.write_text("email\n" + "".join(f"{number}@example.com\n" for number in range(1000)))
    async with Sandbox(latency=0.3) as sandbox:
        for name, value in (("CLIENT_ID", sandbox.client_id), ("CLIENT_SECRET", sandbox.client_secret)):
            monkeypatch.setenv(f"CRITEO_{name}", value)
        monkeypatch.setenv("CRITEO_BASE_URL", sandbox.url)
        monkeypatch.setenv("CRITEO_QUOTA_URL", redis.url)
        options = {"hash": None, "batch_size": 10, "max_concurrency": 1}
        segment_id = sandbox.add_contact_list()
        job = UploadJob(service="marketing-solutions", segment_id=segment_id, source=str(crm), options=options)
        running = asyncio.ensure_future(run_upload_job(job))
        while not sandbox.contact_list(segment_id).identifiers:  # noqa: ASYNC110 - the server sets no event
            await asyncio.sleep(0.01)
        redis.kill()
        with pytest.raises(ConnectError, match="lease on the contact list was lost"):
            await running
        sent = len(sandbox.requests)
        await asyncio.sleep(0.5)
        assert len(sandbox.requests) == sent
        assert len(sandbox.contact_list(segment_id).identifiers) < 1000


async def test_a_lease_that_was_slept_through_is_not_renewed(
    redis: RedisProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waited for the list has it by then, also when the worker's own clock stood still meanwhile."""
    slept = 0.0
    monkeypatch.setattr(ledger, "steady", lambda: time.monotonic() + slept)
    kept = lease(redis, "add")
    await kept.take()
    keeping = asyncio.ensure_future(kept.keep())
    await asyncio.sleep(0)
    slept = 3_600.0
    async with asyncio.timeout(5):
        await keeping
    taken = await waited_for(lease(redis, "add"))
    assert taken < 1.9
    await kept.leave(may_land=True)


async def test_tasks_of_a_write_hold_a_list_together(redis: RedisProcess) -> None:
    """All others wait until the last task has left; the other operation also for what a vanished task may have sent."""
    first, second = lease(redis, "add", shared=True), lease(redis, "add", shared=True)
    await first.take()
    assert await waited_for(second) < 0.5
    others = [lease(redis, "remove", shared=True), lease(redis, "add"), lease(redis, "remove")]
    waiting = [asyncio.ensure_future(waited_for(each)) for each in others]
    await asyncio.wait(waiting, timeout=1.2)
    assert not any(each.done() for each in waiting)
    await first.leave(may_land=False)
    assert 1.8 <= min(await asyncio.gather(*waiting)) <= 4.5

    vanished, last = lease(redis, "add", "8", shared=True), lease(redis, "add", "8", shared=True)
    await vanished.take()
    await vanished._server.close()
    assert await waited_for(last) < 0.5
    assert await waited_for(lease(redis, "remove", "8")) >= 2.4


@pytest.fixture
def job(redis: RedisProcess, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, criteo_sandbox: Sandbox) -> UploadJob:
    """A job of a hundred batches, one after the other."""
    monkeypatch.setenv("CRITEO_QUOTA_URL", redis.url)
    crm = tmp_path / "crm.csv"
    crm.write_text("email\n" + "".join(f"{number}@example.com\n" for number in range(1000)))
    options = {"hash": None, "batch_size": 10, "max_concurrency": 1}
    segment_id = criteo_sandbox.add_contact_list()
    return UploadJob(service="marketing-solutions", segment_id=segment_id, source=str(crm), options=options)


async def test_no_call_is_made_once_another_has_the_list(
    redis: RedisProcess, job: UploadJob, criteo_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis is asked before each call: what the worker itself believes of its lease does not count."""
    checked, check = 0, ListLease.check
    monkeypatch.setattr(ledger, "_LEASE", 60.0)  # or a busy machine would let it end by itself

    async def robbed(self: ListLease) -> None:
        nonlocal checked
        checked += 1
        if checked == 4:
            async with Redis.from_url(redis.url) as client:
                await client.flushall()
            await thief.take()
        await check(self)

    monkeypatch.setattr(ListLease, "check", robbed)
    monkeypatch.setattr(ListLease, "keep", lambda _: asyncio.sleep(60))
    thief = ListLease(
        redis.url,
        source="url",
        host=urlsplit(criteo_sandbox.url).netloc,
        service=job.service,
        segment_id=job.segment_id,
        operation="remove",
    )
    with pytest.raises(ConnectError, match="lease on the contact list was lost"):
        await run_upload_job(job)
    await thief.leave(may_land=False)
    assert len(criteo_sandbox.contact_list(job.segment_id).identifiers) == 30


async def test_partitions_and_jobs_do_not_overlap(job: UploadJob, criteo_sandbox: Sandbox) -> None:
    """Partitions that add share the list; a job that removes begins when they have ended."""
    config = PartitionConfig(segment_id=job.segment_id, column="email", hash=None, batch_size=10, max_concurrency=1)
    held = criteo_sandbox.contact_list(job.segment_id)
    parts = [[f"{part}.{number}@example.com" for number in range(200)] for part in range(2)]
    adding = [asyncio.create_task(asyncio.to_thread(upload_partition, [each], config)) for each in parts]
    while not held.identifiers:  # noqa: ASYNC110 - the server sets no event
        await asyncio.sleep(0.01)
    removing = evolve(job, operation="remove", options={**job.options, "batch_size": 25})
    await asyncio.gather(*adding, run_upload_job(removing))
    sizes = [each.identifiers for each in criteo_sandbox.requests if AMENDING in each.path]
    assert sizes == [10] * 40 + [25] * 40
