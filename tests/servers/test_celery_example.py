"""`examples/celery_worker.py` with a real broker: a worker that is told to end finishes, and one that is killed is replaced."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from criteo_audiences import UploadJob
from criteo_audiences.sandbox import Sandbox
from tests.servers.redis_process import RedisProcess

EXAMPLES = Path(__file__).parents[2] / "examples"
ROWS, BATCH = 1000, 100
SEND = "import sys, json; from celery_worker import upload; upload.delay(json.loads(sys.argv[1]))"

pytestmark = pytest.mark.timeout(240)


class Celery:
    """Starts workers and sends jobs to them."""

    def __init__(self, environment: dict[str, str], stack: AsyncExitStack) -> None:
        self._environment = environment
        self._stack = stack

    async def _run(self, *arguments: str) -> asyncio.subprocess.Process:
        started = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, cwd=EXAMPLES, env=os.environ | self._environment, start_new_session=True
        )
        self._stack.callback(self.kill, started)
        return started

    async def worker(self) -> asyncio.subprocess.Process:
        """Starts a worker with one child."""
        options = ("--concurrency=1", "--loglevel=warning", "--without-gossip", "--without-mingle")
        return await self._run("-m", "celery", "--app", "celery_worker", "worker", *options)

    async def send(self, job: UploadJob) -> None:
        """Sends a job."""
        import json  # noqa: PLC0415

        sender = await self._run("-c", SEND, json.dumps(job.to_dict()))
        assert await sender.wait() == 0

    @staticmethod
    def kill(process: asyncio.subprocess.Process) -> None:
        """Kills a worker and its child."""
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A local Criteo that takes its time."""
    async with Sandbox(latency=0.4) as started:
        yield started


@pytest.fixture
async def celery(redis: RedisProcess, sandbox: Sandbox) -> AsyncIterator[Celery]:
    """Workers that know the broker and the login."""
    environment = {
        "CELERY_BROKER_URL": redis.url,
        "VISIBILITY_TIMEOUT": "8",
        "CRITEO_CLIENT_ID": sandbox.client_id,
        "CRITEO_CLIENT_SECRET": sandbox.client_secret,
        "CRITEO_BASE_URL": sandbox.url,
        "CRITEO_QUOTA_URL": redis.url,
    }
    async with AsyncExitStack() as stack:
        yield Celery(environment, stack)


@pytest.fixture
def job(sandbox: Sandbox, tmp_path: Path) -> UploadJob:
    """A job of ten batches, one after the other."""
    crm = tmp_path / "crm.csv"
    crm.write_text("email\n" + "".join(f"{number}@example.com\n" for number in range(ROWS)))
    options = {"hash": None, "batch_size": BATCH, "max_concurrency": 1}
    segment_id = sandbox.add_contact_list()
    return UploadJob(service="marketing-solutions", segment_id=segment_id, source=str(crm), options=options)


async def until(holds: Callable[[], bool], seconds: float = 120.0) -> None:
    """Waits until something holds."""
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - another process sets no event
            await asyncio.sleep(0.05)


async def test_killed_worker_is_replaced(celery: Celery, sandbox: Sandbox, job: UploadJob) -> None:
    """A job whose worker is killed half-way is finished by another one, and the list is exact."""
    held = sandbox.contact_list(job.segment_id)
    first = await celery.worker()
    await celery.send(job)
    await until(lambda: len(held.identifiers) >= 3 * BATCH)
    celery.kill(first)
    await first.wait()
    assert len(held.identifiers) < ROWS
    await celery.worker()
    await until(lambda: len(held.identifiers) == ROWS)
    assert held.identifiers == {f"{number}@example.com" for number in range(ROWS)}


async def test_worker_that_is_told_to_end_finishes_its_job(celery: Celery, sandbox: Sandbox, job: UploadJob) -> None:
    """At SIGTERM a worker ends its upload, in which no batch is sent twice, and then itself."""
    held = sandbox.contact_list(job.segment_id)
    worker = await celery.worker()
    await celery.send(job)
    await until(lambda: len(held.identifiers) >= 3 * BATCH)
    worker.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(worker.wait(), 60) == 0
    assert len(held.identifiers) == ROWS
    assert len([each for each in sandbox.requests if each.path.endswith("contact-list")]) == ROWS // BATCH
