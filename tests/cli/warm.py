"""A process that has imported the command line and forks for every command: as real as one that starts anew, and fast."""

import contextlib
import gc
import io
import json
import os
import socket
import sys

import duckdb
import numpy as np
import rich.markup
import typer.main
import typer.rich_utils

import criteo_audiences.cli
import criteo_audiences.commerce_grid
import criteo_audiences.marketing_solutions
import criteo_audiences.retail_media
import criteo_audiences.settings
import criteo_audiences.uploads
from criteo_audiences.__main__ import main
from criteo_audiences.cli import app

_MOST = 1 << 20
LOADED = (duckdb, np, rich.markup, typer.rich_utils, criteo_audiences.uploads, criteo_audiences.marketing_solutions)


def rehearse() -> None:
    """Runs a command that is refused, so that what is imported while options are read is loaded before any fork."""
    with contextlib.redirect_stderr(io.StringIO()), contextlib.suppress(SystemExit):
        app(["upload", "marketing-solutions", "1", os.devnull, "--batch-size", "0"])
    gc.collect()
    gc.freeze()  # a collection in a child would copy every page that it looks at


def serve(line: socket.socket) -> None:
    """Forks for each command that comes on the line, and answers with its exit code, until the other end closes."""
    while True:
        message, streams, *_ = socket.recv_fds(line, _MOST, 3)
        if not message:
            return
        child = os.fork()
        if not child:
            line.close()
            become(streams, **json.loads(message))
            return
        for stream in streams:
            os.close(stream)
        line.send(bytes([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) % 256]))


def become(streams: list[int], arguments: list[str], environment: dict[str, str]) -> None:
    """Runs one command with streams and variables of its own; ends the process as the command does."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["criteo-audiences", *arguments]
    modes = {"stdin": "r", "stdout": "w", "stderr": "w"}
    for number, (name, mode) in enumerate(modes.items()):
        setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
    main()


if __name__ == "__main__":
    rehearse()
    serve(socket.socket(fileno=int(sys.argv[1])))
