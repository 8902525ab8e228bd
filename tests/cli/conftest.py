"""Runs the command line as people do: a process of its own, against a server on this machine."""

import asyncio
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer.main

import criteo_audiences
from criteo_audiences.cli import app
from criteo_audiences.sandbox import Sandbox

# The tree of all commands is built once for all tests that run a command in this process; it takes 30 ms.
typer.main.get_command = functools.cache(typer.main.get_command)


class Finished(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str


Cli = Callable[..., Awaitable[Finished]]
Start = Callable[..., Awaitable[asyncio.subprocess.Process]]


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A local Criteo without a quota."""
    async with Sandbox(rate_limit=None) as running:
        yield running


@pytest.fixture
def environment(sandbox: Sandbox, tmp_path: Path) -> dict[str, str]:
    """The variables a user would export."""
    mine = {key: value for key, value in os.environ.items() if not key.startswith("CRITEO_")}
    return mine | {
        "CRITEO_BASE_URL": sandbox.url,
        "CRITEO_CLIENT_ID": sandbox.client_id,
        "CRITEO_CLIENT_SECRET": sandbox.client_secret,
        "COLUMNS": "120",
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }


def _heed_interrupts() -> None:
    """Undoes what a test run in the background hands down: a shell makes those ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def start(environment: dict[str, str]) -> Start:
    """Starts a command whose input and outputs are pipes unless the test has others for it."""

    async def started(*arguments: str, **streams: Any) -> asyncio.subprocess.Process:
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), asyncio.subprocess.PIPE)
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "criteo_audiences",
            *arguments,
            env=environment,
            preexec_fn=_heed_interrupts,
            **{**pipes, **streams},
        )

    return started


@pytest.fixture(scope="session")
def warm() -> Iterator[socket.socket]:
    """A line to a process that forks for every command, since each would take a second to import what it needs."""
    mine, theirs = socket.socketpair()
    script, package = Path(__file__).with_name("warm.py"), Path(criteo_audiences.__file__).parents[1]
    with theirs:
        process = subprocess.Popen(  # noqa: S603 - our own script
            [sys.executable, script, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env={**os.environ, "PYTHONPATH": str(package)},
        )
    with process, mine:
        yield mine


@pytest.fixture
def cli(warm: socket.socket, environment: dict[str, str]) -> Cli:
    """Runs a command to its end; what it reads from standard input must fit into a pipe."""

    def run(arguments: tuple[str, ...], given: bytes) -> Finished:
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            stdin, pipe = os.pipe()
            os.write(pipe, given)
            os.close(pipe)
            request = json.dumps({"arguments": arguments, "environment": environment}).encode()
            socket.send_fds(warm, [request], [stdin, out.fileno(), err.fileno()])
            os.close(stdin)
            code = warm.recv(1)[0]
            written = [(file.seek(0), file.read().decode())[1] for file in (out, err)]
        return Finished(code, *written)

    async def ran(*arguments: str, stdin: bytes = b"") -> Finished:
        return await asyncio.to_thread(run, arguments, stdin)

    return ran


@pytest.fixture
def misuse(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Finished]:
    """Runs a command that is refused before a call is made: in this process, so that a test may try many."""
    settings = {"BASE_URL": "http://127.0.0.1:9", "CLIENT_ID": "id", "CLIENT_SECRET": "secret"}
    for name, value in settings.items():  # a command that made a call would end with another code: nobody is there
        monkeypatch.setenv(f"CRITEO_{name}", value)

    def run(*arguments: str) -> Finished:
        with pytest.raises(SystemExit) as ended:
            app(arguments)
        return Finished(int(ended.value.code or 0), *capsys.readouterr())

    return run


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """A small export with everything in it."""
    path = tmp_path / "crm.csv"
    path.write_text(
        'Name,Email,Note\n"Kowalska, Anna", Anna@Example.com ,"two\nlines"\nLi Wei,li.wei@example.org,\n'
        "Nobody,,\nTwin,ANNA@example.com,\nTypo,typo.example.com,\n",
        encoding="utf-8",
    )
    return path
