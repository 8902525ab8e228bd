"""The workers in `examples/` with a real Redis: one that is told to end finishes, and one that is killed is replaced."""

import asyncio
import json
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
READ = "import asyncio, json, sys; from criteo_audiences import UploadJob; job = UploadJob.from_dict(json.loads(sys.argv[1]))"
SEND = {
    "celery": "from celery_worker import upload; upload.delay(job.to_dict())",
    "saq": "from saq_worker import send; asyncio.run(send(job))",
}
WORK = {
    "celery": ("celery", "--app=celery_worker", "worker", "--concurrency=1", "--loglevel=warning", "--without-mingle"),
    "saq": ("saq", "saq_worker.settings"),
}
FORGET = """
import asyncio, sys
from saq_worker import queue
async def forget():
    job = await queue.dequeue(5)
    job.touched = 1
    if sys.argv[1] == "aborting":
        await queue.abort(job, "swept up")
    else:
        await job.update(status="active")
        job.touched = 1
        await queue.redis.set(job.id, queue.serialize(job))
        await queue.redis.lrem(queue.namespace("active"), 0, job.id)
asyncio.run(forget())
"""

pytestmark = pytest.mark.timeout(240)


class Queue:
    """Starts workers of a kind and sends jobs to them."""

    def __init__(self, kind: str, environment: dict[str, str], stack: AsyncExitStack) -> None:
        self._kind = kind
        self._environment = environment
        self._stack = stack

    async def _run(self, *arguments: str) -> asyncio.subprocess.Process:
        started = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, cwd=EXAMPLES, env=os.environ | self._environment, start_new_session=True
        )
        self._stack.push_async_callback(self.kill, started)
        return started

    async def worker(self) -> asyncio.subprocess.Process:
        """Starts a worker."""
        return await self._run("-m", *WORK[self._kind])

    async def send(self, job: UploadJob) -> None:
        """Sends a job."""
        await self.run_python(f"{READ}; {SEND[self._kind]}", json.dumps(job.to_dict()))

    async def run_python(self, code: str, *arguments: str) -> None:
        """Runs code to its end."""
        assert await (await self._run("-c", code, *arguments)).wait() == 0

    @staticmethod
    async def kill(process: asyncio.subprocess.Process) -> None:
        """Kills a worker and its children."""
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A local Criteo that takes its time."""
    async with Sandbox(latency=0.4) as started:
        yield started


@pytest.fixture(params=["celery", "saq"])
async def queue(request: pytest.FixtureRequest, redis: RedisProcess, sandbox: Sandbox) -> AsyncIterator[Queue]:
    """Workers that know the broker and the login."""
    environment = {
        "CELERY_BROKER_URL": redis.url,
        "VISIBILITY_TIMEOUT": "8",
        "SAQ_URL": redis.url,
        "SAQ_HEARTBEAT": "8",
        "CRITEO_CLIENT_ID": sandbox.client_id,
        "CRITEO_CLIENT_SECRET": sandbox.client_secret,
        "CRITEO_BASE_URL": sandbox.url,
        "CRITEO_QUOTA_URL": redis.url,
    }
    async with AsyncExitStack() as stack:
        yield Queue(request.param, environment, stack)


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


async def test_killed_worker_is_replaced(queue: Queue, sandbox: Sandbox, job: UploadJob) -> None:
    """A job whose worker is killed half-way is finished by another one, and the list is exact."""
    held = sandbox.contact_list(job.segment_id)
    first = await queue.worker()
    await queue.send(job)
    await until(lambda: len(held.identifiers) >= 3 * BATCH)
    await queue.kill(first)
    assert len(held.identifiers) < ROWS
    await queue.worker()
    await until(lambda: len(held.identifiers) == ROWS)
    assert held.identifiers == {f"{number}@example.com" for number in range(ROWS)}


async def test_worker_that_is_told_to_end_finishes_its_job(queue: Queue, sandbox: Sandbox, job: UploadJob) -> None:
    """At SIGTERM a worker ends its upload, in which no batch is sent twice, and then itself."""
    held = sandbox.contact_list(job.segment_id)
    worker = await queue.worker()
    await queue.send(job)
    await until(lambda: len(held.identifiers) >= 3 * BATCH)
    worker.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(worker.wait(), 60) == 0
    assert len(held.identifiers) == ROWS
    assert len([each for each in sandbox.requests if each.path.endswith("contact-list")]) == ROWS // BATCH


@pytest.mark.parametrize("state", ["aborting", "active"])
@pytest.mark.parametrize("queue", ["saq"], indirect=True)
async def test_job_that_a_killed_sweeper_left_is_put_back(
    queue: Queue, sandbox: Sandbox, job: UploadJob, state: str
) -> None:
    """A job of SAQ that was taken from all of its lists long ago, "aborting" or still "active", is run."""
    await queue.send(job)
    await queue.run_python(FORGET, state)
    await queue.worker()
    await until(lambda: len(sandbox.contact_list(job.segment_id).identifiers) == ROWS)
