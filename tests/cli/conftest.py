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
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
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
Start = Callable[..., Awaitable[Any]]


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
def start_anew(environment: dict[str, str]) -> Start:
    """Starts a command in an interpreter of its own, for what a forked one cannot show; it takes half a second longer."""

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
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[socket.socket]:
    """A line to a process that forks for every command, since each would take a second to import what it needs."""
    mine, theirs = socket.socketpair()
    script, package = Path(__file__).with_name("warm.py"), Path(criteo_audiences.__file__).parents[1]
    with theirs:
        process = subprocess.Popen(  # noqa: S603 - our own script
            [sys.executable, script, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env={**os.environ, "PYTHONPATH": str(package), "XDG_STATE_HOME": str(tmp_path_factory.mktemp("state"))},
        )
    with process, mine:
        yield mine


def request(warm: socket.socket, arguments: Sequence[str], environment: dict[str, str], *streams: int) -> socket.socket:
    """Lets a command run with these streams; what is returned tells its process id and then its code, four bytes each."""
    mine, theirs = socket.socketpair()
    with theirs:
        message = json.dumps({"arguments": arguments, "environment": environment}).encode()
        socket.send_fds(warm, [message], [*streams, theirs.fileno()])
    return mine


class Running:
    """A command that runs; has what tests use of `asyncio.subprocess.Process`."""

    def __init__(
        self,
        pid: int,
        code: asyncio.StreamReader,
        stdin: asyncio.WriteTransport | None,
        stdout: asyncio.StreamReader,
        stderr: asyncio.StreamReader,
    ) -> None:
        self.pid, self.stdin, self.stdout, self.stderr = pid, stdin, stdout, stderr
        self.returncode: int | None = None
        self._code = code

    def send_signal(self, number: int) -> None:
        """Sends a signal."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """Kills it."""
        self.send_signal(signal.SIGKILL)

    async def wait(self) -> int:
        """Returns its code when it has ended."""
        if self.returncode is None:
            self.returncode = int.from_bytes(await self._code.readexactly(4), signed=True)
        return self.returncode

    async def communicate(self) -> tuple[bytes, bytes]:
        """Returns the rest of its outputs when it has ended."""
        if self.stdin:
            self.stdin.close()
        out, err = await asyncio.gather(self.stdout.read(), self.stderr.read())
        await self.wait()
        return out, err


@pytest.fixture
async def start(warm: socket.socket, environment: dict[str, str]) -> AsyncIterator[Start]:
    """Starts a command whose input and outputs are pipes unless the test has another input for it."""
    loop = asyncio.get_running_loop()
    open_ends: list[asyncio.BaseTransport | asyncio.StreamWriter] = []

    async def reading(pipe: int) -> asyncio.StreamReader:
        reader = asyncio.StreamReader()
        made = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(pipe, "rb", 0))
        open_ends.append(made[0])
        return reader

    async def started(*arguments: str, stdin: int | None = None) -> Running:
        (given, kept), out, err = os.pipe(), os.pipe(), os.pipe()
        line = request(warm, arguments, environment, given if stdin is None else stdin, out[1], err[1])
        for each in (given, out[1], err[1]):
            os.close(each)
        writer, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(kept, "wb", 0))
        open_ends.append(writer)
        if stdin is not None:
            writer.close()
        code, end = await asyncio.open_connection(sock=line)
        open_ends.append(end)
        pid = int.from_bytes(await code.readexactly(4))
        return Running(pid, code, writer if stdin is None else None, await reading(out[0]), await reading(err[0]))

    yield started
    for each in open_ends:
        each.close()
    await asyncio.sleep(0)  # what they close is closed in the next turn


@pytest.fixture
def cli(warm: socket.socket, environment: dict[str, str]) -> Cli:
    """Runs a command to its end; what it reads from standard input must fit into a pipe."""

    def run(arguments: tuple[str, ...], given: bytes) -> Finished:
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            stdin, pipe = os.pipe()
            os.write(pipe, given)
            os.close(pipe)
            with request(warm, arguments, environment, stdin, out.fileno(), err.fileno()) as line:
                os.close(stdin)
                told = b""
                while len(told) < 8:
                    told += line.recv(8)
            written = [(file.seek(0), file.read().decode())[1] for file in (out, err)]
        return Finished(int.from_bytes(told[4:], signed=True) % 256, *written)

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
