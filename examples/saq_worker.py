"""A SAQ worker that runs uploads: `saq saq_worker.settings`; send a job with `await send(job)`.

A worker that is asked to stop finishes its uploads first. If a worker is killed, another worker runs its job when the
job's heartbeat has stopped. Export SAQ_URL, CRITEO_CLIENT_ID, CRITEO_CLIENT_SECRET and CRITEO_QUOTA_URL.
"""

import asyncio
import os
import time
from typing import Any

from saq import CronJob, Job, Queue, Status
from saq.types import Context, SettingsDict

from criteo_audiences import UploadJob, run_upload_job

HEARTBEAT = int(os.environ.get("SAQ_HEARTBEAT", "60"))
SWEEP = max(1, HEARTBEAT // 4)  # seconds between two sweeps for jobs without a heartbeat
queue = Queue.from_url(os.environ["SAQ_URL"])


async def beat(job: Job) -> None:
    """Shows that a job is alive, even while it waits for the quota or for its list."""
    while True:
        await asyncio.sleep(HEARTBEAT / 4)
        await job.update()


async def upload(context: Context, *, job: dict[str, Any]) -> int:
    """Runs a job and returns how many identifiers Criteo accepted."""
    beating = asyncio.create_task(beat(context["job"]))
    try:
        report = await run_upload_job(UploadJob.from_dict(job))
    finally:
        beating.cancel()
    report.raise_for_failures()
    return report.valid


async def rescue(_: Context) -> None:
    """Puts back a job that SAQ 0.26 loses, "aborting" or in no list, if the worker that swept it up was killed."""
    silent = 2 * HEARTBEAT + 10  # seconds after which no worker is about to put it back
    async for job in queue.iter_jobs([Status.ABORTING, Status.ACTIVE]):
        if time.time() - job.touched / 1000 > silent:
            await queue.retry(job, "its worker was killed")


async def sweep(_: Context) -> None:
    """Makes the first sweep before the worker takes a job, since SAQ 0.26 aborts a job taken during a sweep."""
    await queue.sweep(SWEEP)


async def send(job: UploadJob) -> None:
    """Sends a job once: a second job with the same key is refused until the first has ended."""
    await queue.enqueue("upload", job=job.to_dict(), key=job.key, timeout=0, heartbeat=HEARTBEAT, retries=5)


settings = SettingsDict(
    queue=queue,
    functions=[upload],
    concurrency=4,
    shutdown_grace_period_s=3600,  # seconds for the uploads of a worker that is asked to stop
    dequeue_timeout=2,  # otherwise an idle part of the worker would use up that time
    startup=[rescue, sweep],
    cron_jobs=[CronJob(rescue, cron="* * * * *")],
    timers={"sweep": SWEEP},
)
