"""Ctrl-C while a blocking client uploads, and a fork while one is open: processes of their own."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

from criteo_audiences.sandbox import Fault, Sandbox

PROGRAM = """
import contextlib, json, signal, sys, threading
from criteo_audiences import CriteoError
from criteo_audiences.blocking import CriteoClient

def ask(criteo):
    with contextlib.suppress(CriteoError):
        criteo.marketing_solutions.get_contact_list_statistics("1")

def heard(number, frame):
    print("heard", flush=True)
    raise KeyboardInterrupt

signal.signal(signal.SIGINT, heard)
way, segment_id = sys.argv[1:]
rows = (f"c{number}@example.com" for number in range(10_000_000))
options = dict(hash=None, batch_size=1_000, max_concurrency=2, drain_timeout=50.0)
said = {}
try:
    with CriteoClient.from_env() as criteo:
        if way == "stream beside another thread":
            threading.Thread(target=ask, args=(criteo,)).start()
        if way == "upload":
            criteo.marketing_solutions.upload_contact_list(segment_id, rows, **options)
        else:
            with criteo.marketing_solutions.stream_contact_list(segment_id, rows, **options) as results:
                for batch in results:
                    pass
except KeyboardInterrupt as error:
    said["notes"] = getattr(error, "__notes__", [])
    said["closed"] = next(rows, None)
    if way != "upload":
        report = results.report
        said.update(valid=report.valid, unknown=report.unknown, lost=report.read - report.sent - report.pending)
print(json.dumps(said), flush=True)
"""

FORKING = """
import os
from criteo_audiences.blocking import CriteoClient

criteo = CriteoClient.from_env()
criteo.authenticate()
if (child := os.fork()) == 0:
    try:
        criteo.authenticate()
    except Exception as error:
        print(error, flush=True)
        criteo.close()
        with CriteoClient.from_env() as another:
            another.authenticate()
            print("another works", flush=True)
    os._exit(0)
os.waitpid(child, 0)
criteo.authenticate()
print("the first works", flush=True)
"""


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A local Criteo without a quota."""
    async with Sandbox(rate_limit=None) as running:
        yield running


async def start(sandbox: Sandbox, program: str, *arguments: str) -> asyncio.subprocess.Process:
    """Starts a program with the login of the local Criteo in its environment."""
    login = {
        "CRITEO_BASE_URL": sandbox.url,
        "CRITEO_CLIENT_ID": sandbox.client_id,
        "CRITEO_CLIENT_SECRET": sandbox.client_secret,
    }
    return await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", "-c", program, *arguments,
        env=os.environ | login, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def in_flight(sandbox: Sandbox, segment_id: str) -> None:
    """Waits until batches have reached the server."""
    while not any(f"/{segment_id}/contact-list" in call.path for call in sandbox.requests):  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.01)


async def ended(process: asyncio.subprocess.Process) -> dict[str, Any]:
    """Returns what the program has said in the end, and on standard error nothing."""
    async with asyncio.timeout(20):
        out, err = await process.communicate()
    assert (process.returncode, err) == (0, b""), err.decode()
    said: dict[str, Any] = json.loads(out.splitlines()[-1])
    return said


@pytest.mark.parametrize("way", ["upload", "stream"])
async def test_ctrl_c_lets_batches_in_flight_finish(sandbox: Sandbox, way: str) -> None:
    """What is in flight arrives, the rest is not begun, and the source is left and closed in its thread."""
    segment_id = sandbox.add_contact_list()
    sandbox.fail_with(lambda call: Fault(delay=0.5) if "contact-list" in call.path else None)
    process = await start(sandbox, PROGRAM, way, segment_id)
    await in_flight(sandbox, segment_id)
    process.send_signal(signal.SIGINT)
    said = await ended(process)
    sent = [call for call in sandbox.requests if "contact-list" in call.path]
    assert all(call.acknowledged for call in sent)
    assert len(sandbox.contact_list(segment_id)) == 1_000 * len(sent) > 0
    assert said["closed"] is None
    if way == "stream":
        assert (said["valid"], said["unknown"], said["lost"]) == (1_000 * len(sent), 0, 0)
    else:
        assert "The upload stopped early" in said["notes"][0]


@pytest.mark.parametrize("way", ["upload", "stream", "stream beside another thread"])
async def test_second_ctrl_c_stops_at_once(sandbox: Sandbox, way: str) -> None:
    """Nothing waits for the batches in flight any longer, which would take longer than the test."""
    segment_id = sandbox.add_contact_list()
    sandbox.fail_with(lambda call: Fault(delay=40) if "contact-list" in call.path else None)
    process = await start(sandbox, PROGRAM, way, segment_id)
    await in_flight(sandbox, segment_id)
    assert process.stdout is not None
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        assert await process.stdout.readline() == b"heard\n"
    assert (await ended(process))["closed"] is None
    assert not any(call.acknowledged for call in sandbox.requests if "contact-list" in call.path)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
async def test_client_used_before_a_fork_says_so(sandbox: Sandbox) -> None:
    """A forked process has no thread of the client's: it is told to make a client of its own, and the first goes on."""
    process = await start(sandbox, FORKING)
    out, err = await process.communicate()
    assert err == b""
    assert out.decode().splitlines() == [
        "This client was used before the process was forked; make a client in each process.",
        "another works",
        "the first works",
    ]
