"""`UploadJob`: a description that travels through a queue, and what runs it."""

import asyncio
import json
import pickle
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

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
        ({"options": {"client_secret": "s3cret"}}, "CRITEO_CLIENT_SECRET_FILE, the path of a file"),
        (
            {"options": {"quotaUrl": "redis://:s3cret@h"}},
            "CRITEO_QUOTA_URL where there is a Redis, in the environment of the workers",
        ),
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
        (
            {**JOB, "version": 1, "client_secret": "s3cret"},
            "'client_secret' is no option of a job: a login does not travel",
        ),
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
    jobs = [job_of(criteo, crm) for _ in range(2)]
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


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"source": "https://example.com/crm.csv"}, "cannot be a URI with https://"),
        ({"source": "file://elsewhere/crm.csv"}, "names a file of the worker"),
        ({"source": "s3://key:s3cret@bucket/crm.csv"}, "must hold no login"),
        ({"source": "s3://bucket/crm.csv?access_key=s3cret"}, "must hold no login"),
        ({"source": "abfs://container:s3cret@account.dfs.core.windows.net/crm.csv"}, "must hold no login"),
        ({"source": ["s3://bucket/1.csv", "s3://bucket/2.csv"]}, "make a job of each"),
        ({"row_groups": [3, 2]}, "row_groups of a job must be two whole numbers"),
        ({"row_groups": [-1, 2]}, "two whole numbers"),
        ({"row_groups": [0, True]}, "two whole numbers"),
        ({"row_groups": "0-9"}, "two whole numbers"),
        ({"row_groups": [0, 1], "source": ["1.parquet", "2.parquet"]}, "goes with one Parquet file"),
    ],
)
def test_wrong_place_is_refused(changed: dict[str, Any], message: str) -> None:
    """A place that no worker can read, or that holds a login, is named when the job is made."""
    with pytest.raises(ConfigurationError) as raised:
        UploadJob(**{**JOB, **changed})
    assert message in str(raised.value)
    assert "s3cret" not in str(raised.value)


def test_container_is_no_login() -> None:
    """What stands before the @ in a URI of Azure names a container."""
    source = "abfss://container@account.dfs.core.windows.net/crm.csv"
    assert UploadJob(**{**JOB, "source": source}).source == (source,)


@pytest.fixture
def groups(tmp_path: Path) -> Path:
    """A Parquet file of ten row groups with a hundred addresses each."""
    path = tmp_path / "c r m.parquet"
    table = pa.table({"email": [f"{number}@example.com" for number in range(1000)], "id": list(range(1000))})
    parquet.write_table(table, path, row_group_size=100)
    return path


@pytest.mark.parametrize("as_uri", [False, True])
def test_jobs_share_a_file_by_its_row_groups(criteo: Sandbox, groups: Path, as_uri: bool) -> None:  # noqa: FBT001
    """Each job reads its own row groups, by a path or a URI, and has a key of its own."""
    source = groups.as_uri() if as_uri else str(groups)
    first = job_of(criteo, groups, source=source, row_groups=(0, 3))
    second = evolve(first, row_groups=[4, 9])
    assert UploadJob.from_dict(json.loads(json.dumps(second.to_dict()))) == second
    assert len({first.key, second.key, evolve(first, row_groups=None).key}) == 3
    assert run_upload_job_blocking(first).read == 400
    assert criteo.contact_list(first.segment_id).identifiers == {f"{number}@example.com" for number in range(400)}
    assert run_upload_job_blocking(second).ok
    assert criteo.contact_list(first.segment_id).identifiers == {f"{number}@example.com" for number in range(1000)}


@pytest.mark.parametrize(
    ("name", "row_groups", "message"),
    [
        ("c r m.parquet", (0, 10), "has 10 row groups, and row_groups asks for 0 to 10"),
        ("crm.csv", (0, 1), "goes with Parquet files only"),
        ("nothing.parquet", (0, 1), "There is no "),
    ],
)
def test_row_groups_that_are_not_there_are_told(
    criteo: Sandbox, groups: Path, crm: Path, name: str, row_groups: tuple[int, int], message: str
) -> None:
    """Before any call, and without what the file holds."""
    job = job_of(criteo, crm, source=str(groups.with_name(name)), row_groups=row_groups)
    with pytest.raises(ConfigurationError, match=message) as raised:
        run_upload_job_blocking(job)
    assert "@" not in str(raised.value)
    assert not criteo.requests


def test_pyarrow_is_asked_for(criteo: Sandbox, crm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker without it says how to install it; a file:// URI needs none."""
    monkeypatch.setitem(sys.modules, "pyarrow.fs", None)
    with pytest.raises(ConfigurationError, match="pip install pyarrow"):
        run_upload_job_blocking(job_of(criteo, crm, source="s3://bucket/crm.csv"))
    assert not criteo.requests
    assert run_upload_job_blocking(job_of(criteo, crm, source=crm.as_uri())).ok


OBJECTS = {"/exports/crm.csv": "crm.csv", "/exports/c%20r%20m.parquet": "c r m.parquet"}


class Bucket(BaseHTTPRequestHandler):
    """A store of objects that speaks as much of S3 as a reader needs."""

    def do_HEAD(self) -> None:
        """Says how long an object is."""
        self.do_GET()

    def do_GET(self) -> None:
        """Answers with an object, or the part of it that is asked for."""
        name = OBJECTS.get(urlsplit(self.path).path)
        held: bytes = (self.server.folder / name).read_bytes() if name else b""  # type: ignore[attr-defined]
        part, status = slice(0, len(held)), 200 if name else 404
        if name and (asked := self.headers.get("Range")):
            begin, _, end = asked.removeprefix("bytes=").partition("-")
            part, status = slice(int(begin), min(len(held), int(end or len(held)) + 1)), 206
        self.send_response(status)
        self.send_header("Content-Length", str(part.stop - part.start))
        self.send_header("Content-Range", f"bytes {part.start}-{part.stop - 1}/{len(held)}")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(held[part])

    def log_message(self, *_: object) -> None:
        """Logs nothing."""


@pytest.fixture
def bucket(groups: Path, crm: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A store with both exports, and its options in a URI; the worker has its login in the environment."""
    assert groups.parent == crm.parent
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Bucket)
    server.folder = crm.parent  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"?scheme=http&region=eu-west-1&endpoint_override=127.0.0.1%3A{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_objects_of_s3_are_read(criteo: Sandbox, crm: Path, bucket: str) -> None:
    """In every format, or only some row groups of one; an object that is not there is told before any call."""
    job = job_of(criteo, crm, source=f"s3://exports/crm.csv{bucket}")
    assert run_upload_job_blocking(job).valid == 1000
    part = evolve(job, source=f"s3://exports/c r m.parquet{bucket}".replace(" ", "%20"), row_groups=(2, 3))
    assert run_upload_job_blocking(part).valid == 200
    before = len(criteo.requests)
    with pytest.raises(ConfigurationError, match=r"There is no s3://exports/nothing\.csv, or"):
        run_upload_job_blocking(evolve(job, source=f"s3://exports/nothing.csv{bucket}"))
    assert len(criteo.requests) == before
