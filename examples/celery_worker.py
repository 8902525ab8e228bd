"""A Celery worker that runs uploads: `celery --app celery_worker worker`; send jobs with `upload.delay(job.to_dict())`.

A message is acknowledged when its upload has ended. If a worker is killed, another worker takes over its job. Sending
an identifier twice does no harm, because a list is a set. Export CRITEO_CLIENT_ID, CRITEO_CLIENT_SECRET and
CRITEO_QUOTA_URL.
"""

import os
from typing import Any

from celery import Celery

from criteo_audiences import ConnectError, ServerError, UploadJob, run_upload_job_blocking

app = Celery("criteo", broker=os.environ["CELERY_BROKER_URL"])
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
    broker_transport_options={  # seconds after which another worker gets a lost job: ten times an upload's duration
        "visibility_timeout": int(os.environ.get("VISIBILITY_TIMEOUT", "3600")),
        "unacked_restore_interval": 10,
        "unacked_restore_throttle": 1,
    },
)


@app.task(name="criteo.upload", autoretry_for=(ConnectError, ServerError), retry_backoff=True, max_retries=5)
def upload(job: dict[str, Any]) -> int:
    """Runs a job and returns how many identifiers Criteo accepted."""
    report = run_upload_job_blocking(UploadJob.from_dict(job))
    report.raise_for_failures()
    return report.valid
