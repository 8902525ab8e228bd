"""An Airflow DAG that uploads the night's export: temporary failures are retried, permanent ones end the run."""

import os
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import dag, task
from airflow.sdk.exceptions import AirflowFailException

from criteo_audiences import (
    AuthenticationError,
    ConfigurationError,
    NotFoundError,
    PermissionDeniedError,
    SegmentMismatchError,
    UploadJob,
    run_upload_job_blocking,
)

PERMANENT = (ConfigurationError, AuthenticationError, PermissionDeniedError, NotFoundError, SegmentMismatchError)


@dag(schedule="0 20 * * *", start_date=datetime(2026, 1, 1, tzinfo=UTC), catchup=False, max_active_runs=1)
def upload_customers() -> None:
    """Adds the customers of a day's export to a contact list."""

    # A run that is marked failed, or takes too long, stops sending; batches in flight get some time to finish.
    @task(retries=3, retry_delay=timedelta(minutes=5), execution_timeout=timedelta(hours=2))
    def upload(ds: str | None = None) -> dict[str, Any]:
        """Returns the report, which is an XCom for the tasks that follow. A retry sends only what is missing."""
        job = UploadJob(
            service="marketing-solutions",
            segment_id=os.environ["CRM_LIST"],
            source=os.environ["CRM_EXPORTS"].format(day=ds),
            options={"hash": "sha256", "journal": os.environ["CRM_JOURNALS"], "fail_on": "rejected>50%"},
        )
        try:
            report = run_upload_job_blocking(job)
        except PERMANENT as error:
            raise AirflowFailException(str(error)) from error  # a retry would fail in the same way
        report.raise_for_failures()
        return report.to_dict()

    upload()


uploads = upload_customers()
