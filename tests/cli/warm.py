"""A process that has imported the command line and forks for every command: as real as one that starts anew, and fast."""

import atexit
import contextlib
import functools
import gc
import importlib
import io
import json
import os
import pkgutil
import signal
import socket
import sys
import tempfile
import threading
import traceback

import anyio._backends._asyncio
import duckdb
import numpy as np
import rich.markup
import typer.core
import typer.main
import typer.rich_utils

import criteo_audiences
from criteo_audiences.__main__ import main
from criteo_audiences.cli import app

_MOST = 1 << 20
LOADED = (anyio._backends._asyncio, duckdb, np, rich.markup, typer.rich_utils)


def rehearse() -> None:
    """Loads the package and runs two commands: what a command imports, compiles or builds is there before any fork."""
    atexit._clear()  # DuckDB frees its types at exit, which would copy all pages that they are in
    for module in pkgutil.walk_packages(criteo_audiences.__path__, "criteo_audiences."):
        if not module.name.startswith(("criteo_audiences.__main__", "criteo_audiences.integrations")):
            importlib.import_module(module.name)
    typer.main.get_command = functools.cache(typer.main.get_command)
    build_parameters(typer.main.get_command(app))
    with tempfile.NamedTemporaryFile("w", suffix=".csv") as export, contextlib.redirect_stderr(io.StringIO()):
        print("email\nanna@example.com\ntypo", file=export, flush=True)
        refused = ["upload", "marketing-solutions", "1", export.name, "--batch-size", "0"]
        for command in (["demo", export.name], refused):
            with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
                app(command)
    gc.collect()
    gc.freeze()  # a collection in a child would copy every page that it looks at


def build_parameters(command: typer.core.TyperGroup | typer.core.TyperCommand) -> None:
    """Lets typer build the pydantic types of all parameters, a millisecond each, which it does when one is first given."""
    for parameter in command.params:
        if hasattr(parameter, "get_runtime_param"):  # an older typer has none of these types
            parameter.get_runtime_param()
    for each in getattr(command, "commands", {}).values():
        build_parameters(each)


def serve(line: socket.socket) -> None:
    """Forks for each command that comes on the line, until the other end closes.

    Each comes with three streams and a line of its own, on which its process id is answered, and its code when it ends.
    """
    running: dict[int, socket.socket] = {}

    def reap(*_: object) -> None:
        for child in list(running):
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                with running.pop(child) as own, contextlib.suppress(BrokenPipeError):  # nobody may ask any more
                    own.send(os.waitstatus_to_exitcode(status).to_bytes(4, signed=True))

    signal.signal(signal.SIGCHLD, reap)
    while True:
        message, streams, *_ = socket.recv_fds(line, _MOST, 4)
        if not message:
            return
        own = socket.socket(fileno=streams.pop())
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})  # it may end before it is known
        child = os.fork()
        if not child:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
            line.close()
            own.close()
            become(streams, **json.loads(message))
            return
        running[child] = own
        own.send(child.to_bytes(4))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        for stream in streams:
            os.close(stream)


def become(streams: list[int], arguments: list[str], environment: dict[str, str]) -> None:
    """Runs one command with streams and variables of its own; ends the process with its code."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None  # asks the environment anew
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell makes what runs in the background ignore it
    sys.argv = ["criteo-audiences", *arguments]
    modes = {"stdin": "r", "stdout": "w", "stderr": "w"}
    for number, (name, mode) in enumerate(modes.items()):
        setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
    end(exit_code())


def exit_code() -> int:
    """Runs the command line and returns how an interpreter would end."""
    try:
        main()
    except SystemExit as ended:
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)  # noqa: T201 - as an interpreter does
            return 1
        return ended.code or 0
    except BaseException:  # noqa: BLE001 - as an interpreter does
        traceback.print_exc()
        return 1
    return 0


def end(code: int) -> None:
    """Does what an interpreter does at its end, except to free its memory: copying all pages for that takes longest."""
    threading._shutdown()
    atexit._run_exitfuncs()
    with contextlib.suppress(OSError):  # somebody closed the pipe
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    rehearse()
    serve(socket.socket(fileno=int(sys.argv[1])))
