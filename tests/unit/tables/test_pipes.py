"""Pipes and devices as sources: read once, into a copy, by a reader that listens."""

import gzip
import os
import socket
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from criteo_audiences import ConfigurationError
from criteo_audiences.tables.files.inspection import inspect
from criteo_audiences.tables.files.workspace import Interruption

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PLANTED = b"email,name\nplanted@example.com,Ann\n"


@pytest.mark.parametrize("compress", [bytes, gzip.compress, zstd.compress])
def test_a_pipe_is_read_as_a_file_is(compress: Callable[[bytes], bytes], desk: Any, tmp_path: Path) -> None:
    """However late somebody writes, and in how many pieces; it is kept in a file of the owner's alone."""
    os.mkfifo(pipe := tmp_path / "rows")
    content = compress(PLANTED)
    with ThreadPoolExecutor() as pool:
        layout = pool.submit(inspect, str(pipe), desk.workspace)
        with pipe.open("wb", buffering=0) as writer:  # waits for the reader
            for byte in content:
                writer.write(bytes([byte]))
    assert (layout.result().name, layout.result().names, layout.result().rows) == ("rows", ("email", "name"), 1)
    assert [(path.read_bytes(), path.stat().st_mode & 0o777) for path in desk.copies()] == [(content, 0o600)]


@pytest.mark.parametrize("written", [None, b"", b"email\n"])
def test_the_wait_for_a_pipe_can_be_ended(desk: Any, tmp_path: Path, written: bytes | None) -> None:
    """Whether nobody has opened it yet, or whoever did writes nothing, or no more."""
    os.mkfifo(pipe := tmp_path / "rows")
    interruption = Interruption()
    with ThreadPoolExecutor() as pool, ExitStack() as stack:
        layout = pool.submit(inspect, str(pipe), desk.workspace, interruption)
        if written is not None:
            stack.enter_context(pipe.open("wb", buffering=0)).write(written)
        interruption.ask()
        with pytest.raises(OSError, match="interrupted"):
            layout.result(timeout=10)


def test_a_pipe_that_nobody_writes_into_is_empty(desks: Any, tmp_path: Path) -> None:
    """As `<(true)` is, and the null device."""
    os.mkfifo(pipe := tmp_path / "rows")
    with ThreadPoolExecutor() as pool:
        layout = pool.submit(inspect, str(pipe), desks().workspace)
        pipe.open("wb").close()
        with pytest.raises(ConfigurationError, match=r"^rows is empty"):
            layout.result()
    with pytest.raises(ConfigurationError, match=r"^null is empty"):
        inspect(os.devnull, desks().workspace)


def test_a_pipe_without_a_name_is_named_by_its_descriptor(desk: Any) -> None:
    """As a shell passes `<(zcat export.csv.gz)`; its end is noticed also where the writer ended first."""
    reader, writer = os.pipe()
    os.write(writer, b"phone\n123\n")
    os.close(writer)
    layout = inspect(f"/dev/fd/{reader}", desk.workspace)
    os.close(reader)
    assert (layout.name, layout.rows) == (f"/dev/fd/{reader}", 1)


def test_a_device_without_an_end_is_refused_at_once(desk: Any) -> None:
    """Its copy would fill the disk."""
    with pytest.raises(ConfigurationError, match=r"^(?:/dev/)?zero is binary; expected CSV"):
        inspect("/dev/zero", desk.workspace)


def test_what_holds_no_bytes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket in the file system."""
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("rows")
        with pytest.raises(ConfigurationError, match=r"^rows is a directory, a disk or a socket; expected a file or"):
            inspect("rows", tmp_path)
