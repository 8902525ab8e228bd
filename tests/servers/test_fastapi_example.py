"""`examples/fastapi_app.py` under uvicorn: reports, progress by server-sent events, and SIGTERM in the middle."""

import asyncio
import importlib.util
import io
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from criteo_audiences.sandbox import Sandbox

EXAMPLES = Path(__file__).parents[2] / "examples"
ROWS = b"email\n" + b"".join(b"customer.%d@example.com\n" % number for number in range(120_000))


@asynccontextmanager
async def served(
    sandbox: Sandbox, spool: Path, **variables: str
) -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    """Runs the example; yields its URL and its process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    spool.mkdir(exist_ok=True)
    environment = {
        **os.environ,
        "CRITEO_BASE_URL": sandbox.url,
        "CRITEO_CLIENT_ID": sandbox.client_id,
        "CRITEO_CLIENT_SECRET": sandbox.client_secret,
        "SPOOL": str(spool),
        **variables,
    }
    words = ["-m", "uvicorn", "fastapi_app:app", "--port", str(port), "--timeout-graceful-shutdown", "30"]
    process = await asyncio.create_subprocess_exec(sys.executable, *words, cwd=EXAMPLES, env=environment)
    url = f"http://127.0.0.1:{port}"
    try:
        async with asyncio.timeout(60), aiohttp.ClientSession() as http:
            while True:
                try:
                    async with http.get(f"{url}/ready") as answer:
                        assert (answer.status, await answer.json()) == (200, {"ready": True})
                    break
                except aiohttp.ClientConnectionError:
                    assert process.returncode is None
                    await asyncio.sleep(0.1)
        yield url, process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def events(http: aiohttp.ClientSession, url: str) -> AsyncIterator[tuple[str, dict[str, object]]]:
    """Yields server-sent events."""
    name = ""
    async with http.get(url) as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        async for line in answer.content:
            word, _, value = line.decode().strip().partition(": ")
            if word == "event":
                name = value
            elif word == "data":
                yield name, json.loads(value)


def form(content: bytes) -> aiohttp.FormData:
    """Returns a file as a browser sends it."""
    data = aiohttp.FormData()
    data.add_field("file", io.BytesIO(content), filename="crm.csv")
    return data


@pytest.mark.timeout(120)
async def test_files_are_uploaded_at_once_and_in_the_background(tmp_path: Path) -> None:
    """The report is the answer, or the last event; what cannot be used is told in a line, without an address."""
    async with Sandbox() as sandbox, served(sandbox, tmp_path / "spool") as (url, _), aiohttp.ClientSession() as http:
        segment_id = sandbox.add_contact_list()
        async with http.post(f"{url}/lists/{segment_id}", data=form(b"email\nanna@example.com\nnobody\n")) as answer:
            report = await answer.json()
            assert (answer.status, report["valid"], report["rejected"]) == (200, 1, {"no_at_sign": 1})
        async with http.post(f"{url}/lists/{segment_id}", data=form(b"PK\x03\x04 planted@example.com")) as answer:
            assert answer.status == 422
            assert "planted" not in await answer.text()
        async with http.post(f"{url}/lists/{segment_id}/uploads", data=form(ROWS)) as answer:
            assert answer.status == 202
            where = (await answer.json())["progress"]
        told = [event async for event in events(http, url + where)]
        assert told[0][0] == "progress"
        assert (told[-1][0], told[-1][1]["valid"]) == ("report", 120_000)
        assert len(sandbox.contact_list(segment_id)) == 120_001
        assert list((tmp_path / "spool").iterdir()) == []


@pytest.mark.timeout(120)
async def test_an_upload_finishes_when_the_service_is_told_to_end(tmp_path: Path) -> None:
    """SIGTERM comes while batches are in flight; they and the rest arrive, and then the service ends."""
    async with (
        Sandbox(latency=0.5) as sandbox,
        served(sandbox, tmp_path / "spool") as (url, process),
        aiohttp.ClientSession() as http,
    ):
        segment_id = sandbox.add_contact_list()
        async with http.post(f"{url}/lists/{segment_id}/uploads", data=form(ROWS)) as answer:
            assert answer.status == 202
        async with asyncio.timeout(60):
            while not any("contact-list" in call.path for call in sandbox.requests):  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0.01)
            process.send_signal(signal.SIGTERM)
            await process.wait()
        assert len(sandbox.contact_list(segment_id)) == 120_000


@pytest.mark.timeout(120)
async def test_a_late_upload_is_cut_short(tmp_path: Path) -> None:
    """Its calls in flight end, nothing more is begun, and the file that was kept for it is gone."""
    async with (
        Sandbox(latency=2) as sandbox,
        served(sandbox, tmp_path / "spool", DRAIN_SECONDS="0.1") as (url, process),
        aiohttp.ClientSession() as http,
    ):
        segment_id = sandbox.add_contact_list()
        async with http.post(f"{url}/lists/{segment_id}/uploads", data=form(ROWS)) as answer:
            assert answer.status == 202
        async with asyncio.timeout(60):
            while not any("contact-list" in call.path for call in sandbox.requests):  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0.01)
            process.send_signal(signal.SIGTERM)
            await process.wait()
        assert len(sandbox.contact_list(segment_id)) in {20_000, 50_000, 70_000, 100_000, 120_000}
        assert list((tmp_path / "spool").iterdir()) == []


async def test_an_upload_that_never_began_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that is canceled before its first step runs none of its code; who follows it is told."""
    monkeypatch.setenv("SPOOL", str(tmp_path))
    spec = importlib.util.spec_from_file_location("fastapi_app", EXAMPLES / "fastapi_app.py")
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    (tmp_path / "copy").write_bytes(ROWS)
    upload = example.Upload("1", tmp_path / "copy")
    upload.task.cancel()
    async with asyncio.timeout(20):
        told = [event async for event in upload.told()]
    assert told[-1] == 'event: failed\ndata: {"error": "Cut short."}\n\n'
    assert list(tmp_path.iterdir()) == []
