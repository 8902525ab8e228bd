"""Directories of runs: gone with the run, or with the next one where the run was killed; and copies that fit in."""

import contextlib
import os
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from criteo_audiences.tables.files import workspace as workspaces
from criteo_audiences.tables.files.workspace import workspace

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary directory of this test's own."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def an_hour_ago(directory: Path) -> None:
    """Makes a directory old."""
    os.utime(directory, (time.time() - 3_600,) * 2)


def test_a_directory_is_its_owners_and_goes_with_the_run(place: Path) -> None:
    """Whatever ends the run."""
    with workspace() as directory:
        assert directory.parent == place
        assert directory.stat().st_mode & 0o777 == 0o700
    with contextlib.suppress(ValueError), workspace():
        raise ValueError("the end")
    assert list(place.iterdir()) == []


def test_two_runs_of_one_process_leave_each_other_alone(place: Path) -> None:
    """Each has its own directory and lock."""
    with workspace() as first:
        an_hour_ago(first)
        with workspace() as second:
            assert first.exists()
            assert first != second
    assert list(place.iterdir()) == []


def test_a_copy_that_does_not_fit_ends_before_the_disk_is_full(desks: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the directory; what was written by then goes with the run."""
    desk = desks()
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1_000_000))
    content = b"email\n" + "Jos\u00e9@b.co\n".encode("cp1252") * 500_000
    with pytest.raises(OSError, match=r"does not fit into the temporary directory /.*: let TMPDIR name "):
        desk.inspect(zstd.compress(content))
    (copy,) = desk.workspace.rglob("copy")
    assert copy.stat().st_size <= 900_000
    assert desks().inspect(content[:80_006]).rows == 8_000


@pytest.mark.parametrize("letter", [b"a", "\u00e9".encode("cp1252")])
def test_a_file_that_holds_implausibly_much_is_refused(
    desk: Any, monkeypatch: pytest.MonkeyPatch, letter: bytes
) -> None:
    """It is neither read to its end nor written; a file that is packed well is read."""
    monkeypatch.setattr(workspaces, "_SURELY", 1_000_000)
    bomb = zstd.compress(b"email\n" + letter * 100 + b"\n" * 30_000_000)
    with pytest.raises(OSError, match=r"crm\.csv holds more than 5,000 times its size, which no list does"):
        desk.inspect(bomb)
    assert sum(path.stat().st_size for path in desk.workspace.rglob("copy")) < 10_000_000
    monkeypatch.setattr(workspaces, "_SURELY", 100_000_000)
    assert desk.inspect(zstd.compress(b"email\n" + b"a@b.co\n" * 3_000_000), "well.csv").rows == 3_000_000
