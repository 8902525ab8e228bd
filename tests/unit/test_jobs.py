"""`UploadJob`: a description that travels through a queue, and what runs it."""

import asyncio
import json
import pickle
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from criteo_audiences import ConfigurationError, UploadJob, run_upload_job, run_upload_job_blocking
from criteo_audiences.sandbox import Sandbox

JOB: dict[str, Any] = {
    "service": "marketing-solutions",
    "segment_id": "7",
    "source": "crm.csv",
    "options": {"hash": "sha256", "batch_size": 100, "column": ["Email", "Second"]},
}


@given(st.dictionaries(st.sampled_from(["column", "where", "region", "encoding"]), st.text(max_size=5)), st.booleans())
def test_job_survives_json_and_pickle(options: dict[str, str], removes: bool) -> None:  # noqa: FBT001
    """A job is the same after its way through a message, and so is its key."""
    job = UploadJob(**{**JOB, "options": options, "operation": "remove" if removes else "add"})
    for copy in (UploadJob.from_dict(json.loads(json.dumps(job.to_dict()))), pickle.loads(pickle.dumps(job))):  # noqa: S301
        assert copy == job
        assert copy.key == job.key
        assert hash(copy) == hash(job)


def test_key_is_stable() -> None:
    """A key is the same in every release, whatever the order of the options; another job has another key."""
    job = UploadJob(**JOB)
    turned = UploadJob(**{**JOB, "options": dict(reversed(JOB["options"].items()))})
    assert job.key == turned.key == "41146e5d4ea6efa133f86d8a7619b831"
    assert UploadJob(**{**JOB, "operation": "remove"}).key != job.key


def test_later_changes_do_not_reach_a_job() -> None:
    """A job keeps a copy of its options."""
    options = {"column": ["Email"]}
    job = UploadJob(**{**JOB, "options": options})
    options["column"].append("Other")
    assert job.options == {"column": ["Email"]}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"service": "crm"}, "service of a job must be one of"),
        ({"segment_id": 7}, "segment_id of a job must be a text"),
        ({"source": []}, "source of a job must be a path"),
        ({"source": 5}, "never identifiers"),
        ({"operation": "toggle"}, "'add' or 'remove'"),
        ({"options": {"hsah": None}}, "'hsah' is not an option that a job can have"),
        ({"options": {"client_secret": "s3cret"}}, "'client_secret' is not an option"),
        ({"options": {"on_progress": print}}, "'on_progress' is not an option"),
        ({"options": {"suppress": ["a@example.com"]}}, "identifiers do not travel"),
        ({"options": {"journal": Path("x")}}, "which JSON can hold"),
        ({"options": 5}, "must be a mapping"),
        ({"owner_id": ""}, "owner_id of a job must be a text"),
    ],
)
def test_wrong_job_is_refused(changed: dict[str, Any], message: str) -> None:
    """What cannot travel, or cannot be run, is named when the job is made; no value is shown."""
    with pytest.raises(ConfigurationError) as raised:
        UploadJob(**{**JOB, **changed})
    assert message in str(raised.value)
    assert "a@example.com" not in str(raised.value)
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({**JOB, "version": 2}, "The job has version 2, and this worker knows 1: update"),
        (JOB, "no description of a job"),
        ([], "no description of a job"),
        ({**JOB, "version": 1, "color": "red"}, "A job has no 'color'"),
        ({"version": 1, "service": "retail-media", "source": "x"}, "The job has no segment_id"),
    ],
)
def test_wrong_message_is_refused(document: Any, message: str) -> None:
    """A message of a newer release, or of something else, is refused before any call."""
    with pytest.raises(ConfigurationError, match=message):
        UploadJob.from_dict(document)


@pytest.fixture
def crm(tmp_path: Path) -> Path:
    """An export with a thousand addresses."""
    path = tmp_path / "crm.csv"
    path.write_text("email\n" + "".join(f"{number}@example.com\n" for number in range(1000)))
    return path


@pytest.fixture
def criteo(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A local Criteo in a thread of its own, which the environment names."""
    loop, sandbox = asyncio.new_event_loop(), Sandbox()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def in_thread(work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, loop).result()

    in_thread(sandbox.__aenter__())
    monkeypatch.setenv("CRITEO_CLIENT_ID", sandbox.client_id)
    monkeypatch.setenv("CRITEO_CLIENT_SECRET", sandbox.client_secret)
    monkeypatch.setenv("CRITEO_BASE_URL", sandbox.url)
    monkeypatch.delenv("CRITEO_QUOTA_URL", raising=False)
    yield sandbox
    in_thread(sandbox.__aexit__(None, None, None))
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def job_of(criteo: Sandbox, crm: Path, **changed: Any) -> UploadJob:
    """Returns a job that uploads the export in ten batches."""
    segment_id = criteo.add_contact_list()
    options = {"hash": None, "batch_size": 100, "max_concurrency": 1}
    return UploadJob(
        **{
            "service": "marketing-solutions",
            "segment_id": segment_id,
            "source": str(crm),
            "options": options,
            **changed,
        }
    )


def test_job_uploads_its_source(criteo: Sandbox, crm: Path) -> None:
    """A job is run by blocking code, and tells how far it is."""
    job, told = job_of(criteo, crm), []
    report = run_upload_job_blocking(job, on_progress=told.append)
    assert report.ok
    assert report.valid == 1000
    assert len(criteo.contact_list(job.segment_id).identifiers) == 1000
    assert told
    removal = UploadJob.from_dict({**job.to_dict(), "operation": "remove"})
    assert run_upload_job_blocking(removal).valid == 1000
    assert not criteo.contact_list(job.segment_id).identifiers


async def test_jobs_of_an_event_loop_share_a_client(criteo: Sandbox, crm: Path) -> None:
    """Jobs that run together get one token, and blocking code may be called inside of a running event loop, too."""
    jobs = [job_of(criteo, crm) for _ in range(3)]
    reports = await asyncio.gather(*map(run_upload_job, jobs))
    assert all(report.ok for report in reports)
    assert len([each for each in criteo.requests if "oauth2" in each.path]) == 1
    assert run_upload_job_blocking(jobs[0]).ok


async def test_cancelled_job_lets_batches_in_flight_end(criteo: Sandbox, crm: Path) -> None:
    """A cancellation starts no batch, waits for the one in flight, and then raises."""
    job, told = job_of(criteo, crm), asyncio.Event()
    running = asyncio.ensure_future(
        run_upload_job(job, on_progress=lambda progress: progress.batches > 1 and told.set())
    )
    await told.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    held = len(criteo.contact_list(job.segment_id).identifiers)
    assert 0 < held < 1000
    assert held % 100 == 0
    assert [each.status for each in criteo.requests if "contact-list" in each.path] == [200] * (held // 100)


def test_missing_file_is_told(criteo: Sandbox, tmp_path: Path) -> None:
    """A source that this worker cannot read is an error before any call."""
    job = job_of(criteo, tmp_path / "nothing.csv")
    with pytest.raises(OSError, match=r"nothing\.csv"):
        run_upload_job_blocking(job)
    assert not [each for each in criteo.requests if "contact-list" in each.path]
