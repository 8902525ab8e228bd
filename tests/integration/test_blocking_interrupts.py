"""Ctrl-C while a blocking client uploads, and a fork while one is open: processes of their own."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from criteo_audiences.sandbox import Fault, Sandbox
from tests.integration.forking import Forking

PROGRAM = """
import contextlib, json, signal, sys, threading, time, warnings
from criteo_audiences import CriteoError
from criteo_audiences.blocking import CriteoClient

def ask(criteo):
    with contextlib.suppress(CriteoError):
        criteo.marketing_solutions.get_contact_list_statistics("1")

def heard(number, frame):
    interrupts.append(number)
    raise KeyboardInterrupt

def in_handler(frame):
    return frame is not None and (frame.f_code is heard.__code__ or in_handler(frame.f_back))

def watch(main):
    while not interrupts or in_handler(sys._current_frames()[main]):
        time.sleep(0.001)
    print("heard", flush=True)  # from here on, a second Ctrl-C is an exception of its own

interrupts = []
warnings.simplefilter("error")
signal.signal(signal.SIGINT, heard)
threading.Thread(target=watch, args=(threading.get_ident(),), daemon=True).start()
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

SWEEP = """
import asyncio, dis, functools, os, signal, sys
from threading import Thread
from criteo_audiences.blocking.portal import Portal
from criteo_audiences.loops import run_apart

CHECKED = {"CALL", "CALL_KW", "CALL_FUNCTION_EX", "RESUME", "JUMP_BACKWARD"}

@functools.cache
def followed(code):
    steps = list(dis.get_instructions(code))
    return {after.offset for before, after in zip(steps, steps[1:]) if before.opname in CHECKED}

def begins_thread(frame):
    return frame is not None and (frame.f_code is Thread.start.__code__ or begins_thread(frame.f_back))

class CtrlC:
    def __init__(self, *places):
        self.places, self.seen, self.pressed = places, 0, 0

    def __call__(self, frame, event, argument):
        if begins_thread(frame):
            return None  # there, Python does share a lock
        frame.f_trace_opcodes = True
        if event == "opcode" and frame.f_lasti in followed(frame.f_code):
            self.seen += 1
            if self.seen in self.places:
                self.pressed += 1
                raise KeyboardInterrupt
        return self

async def nothing():
    pass

def outcome(way, ctrl_c):
    signal.alarm(20)
    portal, outcome = Portal(nothing), "ended"
    portal.call(nothing)
    wait = functools.partial(asyncio.sleep, 0.02)
    sys._getframe().f_trace_opcodes = True  # Python 3.12 wants to know before
    try:
        sys.settrace(ctrl_c)
        portal.call(wait) if way == "portal" else run_apart(wait, "apart")
    except KeyboardInterrupt:
        outcome = "interrupted"
    finally:
        sys.settrace(None)
    portal.call(nothing)
    portal.close()
    return outcome if ctrl_c.pressed else "over"

for way in sys.argv[1:]:
    place, found = 0, {}
    while "over" not in found.values():
        place += 1
        for second in (0, 2):
            reader, writer = os.pipe()
            if os.fork() == 0:
                os.write(writer, outcome(way, CtrlC(place, place + second)).encode())
                os._exit(0)
            os.close(writer)
            os.wait()
            found[place, second] = os.read(reader, 20).decode() or "hung"
            os.close(reader)
    print(way, *sorted(set(found.values())), place, flush=True)
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


@pytest.fixture
def environment(sandbox: Sandbox) -> dict[str, str]:
    """The variables of a program, with the login of the local Criteo."""
    login = {
        "CRITEO_BASE_URL": sandbox.url,
        "CRITEO_CLIENT_ID": sandbox.client_id,
        "CRITEO_CLIENT_SECRET": sandbox.client_secret,
    }
    return os.environ | login


async def start(program: str, *arguments: str, environment: dict[str, str]) -> asyncio.subprocess.Process:
    """Starts a program in an interpreter of its own, which forks."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", "-c", program, *arguments,
        env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def in_flight(sandbox: Sandbox, segment_id: str) -> None:
    """Waits until batches have reached the server."""
    while not any(f"/{segment_id}/contact-list" in call.path for call in sandbox.requests):  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.01)


async def ended(forking: Forking) -> dict[str, Any]:
    """Returns what the program has said in the end, and on standard error nothing."""
    async with asyncio.timeout(20):
        out, err, code = await asyncio.to_thread(forking.ended)
    assert (code, err) == (0, "")
    said: dict[str, Any] = json.loads(out.splitlines()[-1])
    return said


@pytest.mark.parametrize("way", ["upload", "stream"])
async def test_ctrl_c_lets_batches_in_flight_finish(
    forking: Forking, environment: dict[str, str], sandbox: Sandbox, tmp_path: Path, way: str
) -> None:
    """What is in flight arrives, the rest is not begun, and the source is left and closed in its thread."""
    segment_id = sandbox.add_contact_list()
    sandbox.fail_with(lambda call: Fault(delay=0.5) if "contact-list" in call.path else None)
    process = forking.start(PROGRAM, way, segment_id, directory=tmp_path, variables=environment)
    await in_flight(sandbox, segment_id)
    os.kill(process, signal.SIGINT)
    said = await ended(forking)
    sent = [call for call in sandbox.requests if "contact-list" in call.path]
    assert all(call.acknowledged for call in sent)
    assert len(sandbox.contact_list(segment_id)) == 1_000 * len(sent) > 0
    assert said["closed"] is None
    if way == "stream":
        assert (said["valid"], said["unknown"], said["lost"]) == (1_000 * len(sent), 0, 0)
    else:
        assert "The upload stopped early" in said["notes"][0]


@pytest.mark.parametrize("way", ["upload", "stream", "stream beside another thread"])
async def test_second_ctrl_c_stops_at_once(
    forking: Forking, environment: dict[str, str], sandbox: Sandbox, tmp_path: Path, way: str
) -> None:
    """Nothing waits for the batches in flight any longer, which would take longer than the test."""
    segment_id = sandbox.add_contact_list()
    sandbox.fail_with(lambda call: Fault(delay=40) if "contact-list" in call.path else None)
    process = forking.start(PROGRAM, way, segment_id, directory=tmp_path, variables=environment)
    await in_flight(sandbox, segment_id)
    os.kill(process, signal.SIGINT)
    while forking.said() != "heard\n":  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.01)
    os.kill(process, signal.SIGINT)
    assert (await ended(forking))["closed"] is None
    assert not any(call.acknowledged for call in sandbox.requests if "contact-list" in call.path)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
async def test_ctrl_c_is_never_lost_and_hangs_nothing(environment: dict[str, str]) -> None:
    """Wherever Python looks for one in a call, once or twice, it is raised, and the client works afterwards."""
    process = await start(SWEEP, "portal", "apart", environment=environment)
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    for line in out.decode().splitlines():
        way, *outcomes, places = line.split()
        assert (outcomes, int(places) > 20) == (["interrupted", "over"], True), way
    assert len(out.splitlines()) == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
async def test_client_used_before_a_fork_says_so(environment: dict[str, str]) -> None:
    """A forked process has no thread of the client's: it is told to make a client of its own, and the first goes on."""
    process = await start(FORKING, environment=environment)
    out, err = await process.communicate()
    assert err == b""
    assert out.decode().splitlines() == [
        "This client was used before the process was forked; make a client in each process.",
        "another works",
        "the first works",
    ]
