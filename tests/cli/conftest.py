"""Runs the command line as people do: a process of its own, against a server on this machine."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from criteo_audiences.sandbox import Sandbox


class Finished(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str


Cli = Callable[..., Awaitable[Finished]]


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A local Criteo without a quota."""
    async with Sandbox(rate_limit=None) as running:
        yield running


@pytest.fixture
def environment(sandbox: Sandbox) -> dict[str, str]:
    """The variables a user would export."""
    mine = {key: value for key, value in os.environ.items() if not key.startswith("CRITEO_")}
    return mine | {
        "CRITEO_BASE_URL": sandbox.url,
        "CRITEO_CLIENT_ID": sandbox.client_id,
        "CRITEO_CLIENT_SECRET": sandbox.client_secret,
        "COLUMNS": "120",
    }


@pytest.fixture
def cli(environment: dict[str, str]) -> Cli:
    """Runs a command to its end."""

    async def run(*arguments: str, stdin: bytes = b"") -> Finished:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "criteo_audiences",
            *arguments,
            env=environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate(stdin)
        return Finished(process.returncode or 0, out.decode(), err.decode())

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
