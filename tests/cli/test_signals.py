"""Ctrl-C and SIGTERM: the first lets what is in flight finish, the second stops at once."""

import asyncio
import json
import os
import pty
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from criteo_audiences.sandbox import Sandbox

SERVICE = "marketing-solutions"
BATCH = 2_000
CODES = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]


@pytest.fixture
async def process(start, tmp_path: Path, sandbox: Sandbox) -> AsyncIterator[Any]:
    """An upload of three batches; how long the first takes is the test's."""
    export = tmp_path / "crm.csv"
    export.write_text("email\n" + "".join(f"c{n}@example.com\n" for n in range(3 * BATCH)), encoding="utf-8")
    options = ("--hash", "sha256", "--batch-size", str(BATCH), "--max-concurrency", "1", "--drain-timeout", "50")
    segment = sandbox.add_contact_list(name="crm")
    running = await start("upload", SERVICE, segment, str(export), *options, "--json")
    yield running
    if running.returncode is None:
        running.kill()
        await running.wait()


async def in_flight(sandbox: Sandbox) -> None:
    """Waits until the first batch has reached the server."""
    while not any("contact-list" in str(request) for request in sandbox.requests):  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.01)


async def said(process, words: str) -> None:
    """Waits for a line on standard error."""
    while words not in (line := (await process.stderr.readline()).decode()):
        assert line, f"ended without saying {words!r}"


@pytest.mark.parametrize(("stop", "code"), CODES)
async def test_the_first_signal_lets_the_batch_in_flight_finish(
    process, sandbox: Sandbox, stop: signal.Signals, code: int
) -> None:
    """The batch in flight arrives, the report says what did not go, and the code which signal it was."""
    sandbox.fail_next(delay=0.5, on="contact-list")
    await in_flight(sandbox)
    process.send_signal(stop)
    out, err = await process.communicate()
    report = json.loads(out)
    assert process.returncode == code, err.decode()
    assert report["valid"] == BATCH
    assert report["read"] == report["sent"] + report["pending"]
    assert report["error"]["message"].startswith("Interrupted")
    assert b"up to 50 s" in err


@pytest.mark.parametrize(("stop", "code"), CODES)
async def test_the_second_signal_stops_at_once(process, sandbox: Sandbox, stop: signal.Signals, code: int) -> None:
    """Nothing waits for the batch in flight any longer, which counts as unknown in a report that still adds up."""
    sandbox.fail_next(delay=40, on="contact-list")
    await in_flight(sandbox)
    process.send_signal(stop)
    await said(process, "once more stops at once")
    process.send_signal(stop)
    out, err = await process.communicate()
    report = json.loads(out)
    assert process.returncode == code, err.decode()
    assert (report["unknown"], report["valid"]) == (BATCH, 0)
    assert report["read"] == report["sent"] + report["pending"]


async def test_a_silent_standard_input_can_be_interrupted(start_anew, sandbox: Sandbox) -> None:
    """Ctrl-C ends a command that waits for rows which never come."""
    process = await start_anew("upload", SERVICE, sandbox.add_contact_list(), "-", "--hash", "sha256")
    await said(process, "standard input")
    process.send_signal(signal.SIGINT)
    assert await process.wait() == 130
    process.stdin.close()


@pytest.mark.parametrize("waits", ["rows", "staging", "token", "answer"])
async def test_two_signals_end_whatever_waits(
    start, environment: dict[str, str], export: Path, sandbox: Sandbox, tmp_path: Path, waits: str
) -> None:
    """However close the second one comes, the code is that of Ctrl-C, and no temporary file stays."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    environment["TMPDIR"] = str(temporary)
    sandbox.fail_next(delay=3600, on="token" if waits == "token" else "contact-list")
    source = "-" if waits == "rows" else str(export)
    process = await start(
        "upload", SERVICE, sandbox.add_contact_list(), source, "--hash", "sha256", "--drain-timeout", "3600"
    )
    reached = {"token": "token", "answer": "contact-list"}.get(waits)
    while not (  # noqa: ASYNC110 - of another process
        any(temporary.iterdir()) if reached is None else any(reached in str(request) for request in sandbox.requests)
    ):
        await asyncio.sleep(0.01)
    process.send_signal(signal.SIGINT)
    if waits == "answer":
        await said(process, "once more stops at once")
    process.send_signal(signal.SIGINT)
    assert await process.wait() == 130
    assert list(temporary.iterdir()) == []
    process.stdin.close()


@pytest.mark.parametrize("role", ["source", "opt-outs", "erasure"])
async def test_a_pipe_that_nobody_writes_into_can_be_left(
    start, environment: dict[str, str], export: Path, sandbox: Sandbox, tmp_path: Path, role: str
) -> None:
    """One Ctrl-C ends the command, which has sent nothing and leaves no temporary file."""
    os.mkfifo(pipe := tmp_path / "rows")
    (temporary := tmp_path / "tmp").mkdir()
    environment["TMPDIR"] = str(temporary)
    upload = ("upload", SERVICE, sandbox.add_contact_list())
    process = await start(
        *{
            "source": (*upload, str(pipe), "--hash", "sha256"),
            "opt-outs": (*upload, str(export), "--hash", "sha256", "--suppress", str(pipe)),
            "erasure": ("erase", str(pipe), "--identifier-type", "email", "--yes"),
        }[role]
    )
    while (writer := opened(pipe)) is None:  # noqa: ASYNC110 - of another process
        await asyncio.sleep(0.01)
    process.send_signal(signal.SIGINT)
    await process.communicate()
    os.close(writer)
    assert process.returncode == 130
    assert not any("contact-list" in str(request) for request in sandbox.requests)
    assert list(temporary.iterdir()) == []


def opened(pipe: Path) -> int | None:
    """Opens a pipe to write into it, as soon as somebody reads it."""
    try:
        return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return None


@pytest.mark.parametrize(("answer", "code", "left"), [(b"y\n", 0, 0), (b"no\n", 2, 1), (signal.SIGINT, 130, 1)])
async def test_a_question_is_asked_on_standard_error(
    start, cli, sandbox: Sandbox, answer: bytes | signal.Signals, code: int, left: int
) -> None:
    """Standard output holds one JSON document whatever the answer is, Ctrl-C included."""
    segment = sandbox.add_contact_list()
    await cli("upload", SERVICE, segment, "-", "--hash", "none", stdin=b"email\na@example.com\n")
    terminal, stdin = pty.openpty()
    process = await start("clear", SERVICE, segment, "--json", stdin=stdin)
    question = await process.stderr.readuntil(b"[y/N]: ")
    assert b"Remove every identifier from marketing-solutions" in question
    assert b"(it holds 1)" in question
    if isinstance(answer, signal.Signals):
        process.send_signal(answer)
    else:
        os.write(terminal, answer)
    out, err = await process.communicate()
    os.close(terminal)
    os.close(stdin)
    assert process.returncode == code, err.decode()
    assert json.loads(out)["ok"] is (code == 0)
    assert len(sandbox.contact_list(segment)) == left


@pytest.mark.parametrize(("lost", "handled"), [(False, 3), (True, 4)], ids=["connection kept", "connection lost"])
async def test_a_process_that_is_stopped_and_continued_goes_on(
    process, sandbox: Sandbox, *, lost: bool, handled: int
) -> None:
    """A laptop that slept: its token ended meanwhile, and the batch whose connection was lost is sent again."""
    sandbox.fail_next(stall=0.3, at="handled", lose_reply=lost, on="contact-list")
    await in_flight(sandbox)
    batch = next(call for call in sandbox.requests if "contact-list" in call.path)
    while not batch.handled:  # noqa: ASYNC110 - another process has to send all of it
        await asyncio.sleep(0.01)
    process.send_signal(signal.SIGSTOP)
    while psutil.Process(process.pid).status() != psutil.STATUS_STOPPED:  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.01)
    while not (lost or batch.answered):  # noqa: ASYNC110 - its answer comes while the process sleeps
        await asyncio.sleep(0.01)
    sandbox.expire_tokens()
    asleep = len(sandbox.requests)
    process.send_signal(signal.SIGCONT)
    out, err = await process.communicate()
    report = json.loads(out)
    assert process.returncode == 0, err.decode()
    assert (report["valid"], report["unknown"], report["failed"]) == (3 * BATCH, 0, 0)
    assert report["waited"] <= report["elapsed"]
    assert len(sandbox.requests) > asleep
    assert len([call for call in sandbox.requests if call.handled and call.digest is not None]) == handled


async def test_a_replace_that_is_interrupted_says_what_may_have_happened(start, export: Path, sandbox: Sandbox) -> None:
    """In the middle of clearing, nobody knows whether the list is empty now; running it again mends that."""
    sandbox.fail_next(delay=3600, on="contact-list")
    command = ("replace", SERVICE, sandbox.add_contact_list(), str(export), "--hash", "sha256", "--yes", "--json")
    process = await start(*command, "--drain-timeout", "0")
    await in_flight(sandbox)
    process.send_signal(signal.SIGINT)
    out, _ = await process.communicate()
    message = json.loads(out)["error"]["message"]
    assert process.returncode == 130
    assert message.startswith("Interrupted.")
    assert "Whether the list was cleared is not known: it may be empty now" in message
