"""A process that has imported the package and forks for every script: as real as one that starts anew, and fast."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

_FORKING = """
import asyncio, gc, importlib, json, os, pkgutil, signal, sys, tempfile
import anyio._backends._asyncio, duckdb, numpy, pandas, pyarrow  # the engine loads pandas for Arrow
import criteo_audiences

for module in pkgutil.walk_packages(criteo_audiences.__path__, "criteo_audiences."):
    if not module.name.startswith(("criteo_audiences.__main__", "criteo_audiences.cli", "criteo_audiences.integrations")):
        importlib.import_module(module.name)
gc.collect()
gc.freeze()  # a collection in a child would copy every page that it looks at
for line in sys.stdin:
    script, arguments, directory, variables, streams = json.loads(line)
    if not (child := os.fork()):
        break
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
else:
    raise SystemExit
signal.alarm(30)
for number, stream in enumerate(streams):
    os.dup2(os.open(stream, os.O_RDWR), number)
os.environ.clear()
os.environ.update(variables)
os.chdir(directory)
tempfile.tempdir = None  # asks the environment anew
sys.argv = ["-c", *arguments]
exec(script)
"""
"""Forks for each script that comes on its standard input; the child then ends as any interpreter does."""


class Ended(NamedTuple):
    """What a script left behind."""

    stdout: str
    stderr: str
    returncode: int


class Forking:
    """Runs scripts, one after the other, each in a process that has what it imports already."""

    def __init__(self, streams: Path) -> None:
        self._streams = [streams / name for name in ("in", "out", "err")]
        self._process = subprocess.Popen(  # noqa: S603 - our own script
            [sys.executable, "-c", _FORKING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._running: int | None = None

    def start(
        self, script: str, *arguments: str, directory: Path, variables: Mapping[str, str], typed: str = ""
    ) -> int:
        """Starts a script, whose input is what is typed, and returns its process id; `ended` waits for its end."""
        if self._running is not None:  # a test has failed in between
            os.kill(self._running, signal.SIGKILL)
            self.ended()
        for stream, content in zip(self._streams, (typed, "", ""), strict=True):
            stream.write_text(content, encoding="utf-8")
        given = [script, arguments, str(directory), dict(variables), [str(stream) for stream in self._streams]]
        print(json.dumps(given), file=self._process.stdin, flush=True)
        self._running = int(self._line())
        return self._running

    def said(self) -> str:
        """Returns what the script has printed so far."""
        return self._streams[1].read_text(encoding="utf-8")

    def ended(self) -> Ended:
        """Waits for the end of the script."""
        code = int(self._line())
        self._running = None
        out, err = (stream.read_text(encoding="utf-8") for stream in self._streams[1:])
        return Ended(out, err, code)

    def run(self, script: str, *arguments: str, **others: Any) -> Ended:
        """Runs a script to its end."""
        self.start(script, *arguments, **others)
        return self.ended()

    def close(self) -> None:
        """Ends the process that forks."""
        self._process.communicate()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()
