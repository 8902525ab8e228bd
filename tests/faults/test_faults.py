"""Uploads in processes of their own, killed and disturbed on purpose; `make soak` does the same for longer."""

import asyncio
import hashlib
import importlib
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from criteo_audiences import ConnectError, CriteoClient, RetryPolicy
from criteo_audiences.sandbox import Sandbox

HERE = Path(__file__).parent


@pytest.fixture(scope="module", autouse=True)
def soak() -> Iterator[Any]:
    """The soak test's script, as a module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(HERE))
        yield importlib.import_module("soak")


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_an_upload_that_is_killed_and_disturbed_arrives_whole(soak: Any, tmp_path: Path, seed: int) -> None:
    """Nothing is lost, no acknowledged batch is sent again, and every report tells the truth."""
    figures = importlib.import_module("figures").Figures()
    plan = importlib.import_module("story").Plan(seed=seed, kills=4, faults=16, state=tmp_path / "state")
    await importlib.import_module("story").Story(plan, tmp_path, figures, soak.context()).tell()
    assert figures.clean, str(figures)
    assert figures.kills > 0
    assert figures.faults > 0
    assert figures.stories == 1


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A local Criteo."""
    async with Sandbox(rate_limit=None) as running:
        yield running


def task(sandbox: Sandbox, directory: Path, **changes: Any) -> Any:
    """Describes an upload of a small file."""
    path = directory / "crm.csv"
    path.write_text("email\n" + "".join(f"c{number}@example.com\n" for number in range(200)), encoding="utf-8")
    return importlib.import_module("uploading").Task(
        **{
            "url": sandbox.url,
            "client_id": sandbox.client_id,
            "client_secret": sandbox.client_secret,
            "segment_id": sandbox.add_contact_list(),
            "path": path,
            "lane": "list",
            "journal": directory / "state" / "upload.journal",
            "report": directory / "report.json",
            "state": directory / "of-the-user",
            "options": {"hash": "sha256", "batch_size": 10},
            **changes,
        }
    )


async def run(soak: Any, target: Any, *arguments: Any) -> None:
    """Runs something in a process of its own."""
    process = soak.context().Process(target=target, args=arguments)
    process.start()
    await asyncio.to_thread(process.join)


def run_on_a_full_disk(task: Any, most: int) -> None:
    """Runs an upload of which no file may grow beyond so many bytes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    importlib.import_module("uploading").run(task)


@pytest.mark.parametrize(
    ("most", "error"), [(20_000, "JournalError"), (200_000, "JournalError"), (400_000, "JournalError"), (540_000, None)]
)
async def test_a_disk_that_is_full_under_the_journal_loses_nothing(
    soak: Any, sandbox: Sandbox, tmp_path: Path, most: int, error: str | None
) -> None:
    """The upload ends with one error or goes on; with room again it is finished, and nothing is sent twice."""
    described = task(sandbox, tmp_path)
    await run(soak, run_on_a_full_disk, described, most)
    ended = json.loads(described.report.read_text(encoding="utf-8"))
    assert ended["error"] == error
    if error is None:
        assert ended["report"]["ok"]
        return
    await run(soak, importlib.import_module("uploading").run, described)
    assert json.loads(described.report.read_text(encoding="utf-8"))["report"]["ok"]
    held = sandbox.contact_list(described.segment_id).identifiers
    assert held == {hashlib.sha256(f"c{number}@example.com".encode()).hexdigest() for number in range(200)}
    digests = [call.digest for call in sandbox.requests if call.digest is not None]
    assert len(digests) == len(set(digests)) == 20


@pytest.mark.parametrize("rows", [12_345])
async def test_a_source_that_fails_in_the_middle_is_continued(sandbox: Sandbox, tmp_path: Path, rows: int) -> None:
    """Its error comes out as it is, what arrived is in the report, and the next run sends the others only."""
    uploading = importlib.import_module("uploading")
    emails = [f"c{number}@example.com" for number in range(rows + 5_000)]
    options: dict[str, Any] = {"hash": None, "batch_size": 1_000, "journal": tmp_path / "journal", "drain_timeout": 5.0}
    async with CriteoClient(sandbox.credentials, base_url=sandbox.url) as criteo:
        segment_id = sandbox.add_contact_list()
        stream = criteo.marketing_solutions.stream_contact_list
        with pytest.raises(LookupError):  # noqa: PT012 - the results are read in it
            async with stream(segment_id, uploading.failing(iter(emails), rows), **options) as results:
                async for _ in results:
                    pass
        broken = results.report
        assert broken.read == rows
        assert broken.read == broken.sent + broken.pending
        assert broken.valid == len(sandbox.contact_list(segment_id))
        assert results.resumable
        report = await criteo.marketing_solutions.upload_contact_list(segment_id, emails, **options)
    assert report.ok
    assert report.resumed * 1_000 == broken.valid
    assert len(sandbox.contact_list(segment_id)) == len(emails)


async def test_a_name_that_cannot_be_resolved_sends_nothing_and_loses_nothing(tmp_path: Path) -> None:
    """Every batch stays pending, in the report and in the journal; the next run sends all of them."""
    retry = RetryPolicy(attempts=2, first_delay=0.001)
    sandbox = Sandbox(rate_limit=None)
    credentials = sandbox.credentials
    async with CriteoClient(credentials, base_url="https://api.criteo.invalid", retry=retry) as criteo:
        report = await criteo.marketing_solutions.upload_contact_list(
            "1", [f"c{number}@example.com" for number in range(30)], hash=None, batch_size=10, journal=tmp_path / "j"
        )
    assert not report.ok
    assert (report.sent, report.pending, report.unknown) == (0, 30, 0)
    assert all(isinstance(failure.error, ConnectError) for failure in report.failures)


async def test_an_upload_under_a_storm_of_429_waits_and_arrives(soak: Any, sandbox: Sandbox, tmp_path: Path) -> None:
    """With headers and without: no batch fails as long as the attempts last, and none is sent twice."""
    described = task(sandbox, tmp_path)
    # Where they meet one call after the other, the wait doubles with each: six take 16 s at most.
    for number in range(6):
        announced = {"headers": {"Retry-After": "0"}} if number % 2 else {"rate_limit_headers": False}
        sandbox.fail_next(status=429, on="contact-list", **announced)
    for _ in range(10):
        await run(soak, importlib.import_module("uploading").run, described)
        if json.loads(described.report.read_text(encoding="utf-8"))["report"]["ok"]:
            break
    assert len(sandbox.contact_list(described.segment_id)) == 200
    handled = [call.digest for call in sandbox.requests if call.handled and call.digest is not None]
    assert len(handled) == len(set(handled)) == 20


@pytest.mark.timeout(120)
def test_the_soak_script_runs_as_the_makefile_starts_it() -> None:
    """Few kills and faults, as a process: it prints the figures and ends with 0."""
    command = [sys.executable, str(HERE / "soak.py"), "--kills", "1", "--faults", "2", "--row", "120000"]
    with tempfile.TemporaryDirectory() as place:  # a short path, as the sockets of `multiprocessing` need it
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": place}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=100)  # noqa: S603
    assert done.returncode == 0, done.stdout + done.stderr
    assert "identifiers lost                         0" in done.stdout
    assert "wrong reports                            0" in done.stdout
    assert "never happened: nothing" in done.stdout
