"""Files are read and written in pieces: however long they are, memory stays within a few megabytes."""

import asyncio
import csv
import gzip
import sys
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from criteo_audiences.identifiers import Reject, RejectReason
from criteo_audiences.models import ContactListOperation
from criteo_audiences.tables.files.inspection import inspect
from criteo_audiences.uploads import Amendment
from criteo_audiences.uploads.rejects import RejectsFile
from tests.kit import LIST, options_of, upload

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


@contextmanager
def less_than(most: int) -> Iterator[None]:
    """Asserts that a block never holds so many bytes at once."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A directory for copies; what looking at a file imports has been imported."""
    directory = tmp_path / "workspace"
    directory.mkdir(mode=0o700)
    small = tmp_path / "small.csv"
    small.write_text("name,email\nJörg,a@b.co\n", encoding="utf-8")
    inspect(str(small), directory)
    return directory


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252"])
def test_memory_does_not_grow_with_the_file(encoding: str, tmp_path: Path, workspace: Path) -> None:
    """Eight megabytes take no more than a fixed few, in any encoding, and so does a file that unpacks to them."""
    row = "Jörg,person@example.com,some more text that a row has\n"
    path = tmp_path / "crm.csv"
    path.write_bytes(gzip.compress(("name,email,note\n" + row * 150_000).encode(encoding), 1))
    with less_than(7_000_000):
        inspect(str(path), workspace)


@pytest.mark.parametrize("compress", [gzip.compress, zstd.compress])
def test_a_small_file_that_unpacks_to_a_large_one_fits_into_memory(
    compress: Callable[[bytes], bytes], tmp_path: Path, workspace: Path
) -> None:
    """Thirty-two megabytes in a few kilobytes are looked at in pieces."""
    path = tmp_path / "crm.csv"
    path.write_bytes(compress(b"email\n" + b"a@b.co\n" * 4_800_000))
    assert path.stat().st_size < 100_000
    with less_than(6_000_000):
        inspect(str(path), workspace)


def rows_of(path: Path) -> list[list[str]]:
    """Returns the rows of a file of rejects, without its header."""
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert header[0] == "file"
    assert all(len(row) == len(header) for row in rows)
    return rows


def test_memory_does_not_grow_with_the_rejects(tmp_path: Path) -> None:
    """What has been written is not kept, not seven bytes a row: all of so many would be 4.5 MB; at once it takes 0.3."""

    def many() -> Iterable[Reject]:
        return (Reject("crm.csv", row, "email", RejectReason.NO_AT_SIGN, f"nobody {row:080}") for row in range(15_000))

    file = RejectsFile(tmp_path / "rejects.csv", plain=True)
    file.open()
    try:
        with less_than(400_000):
            file.write(many())
    finally:
        file.close()
    assert len(rows_of(tmp_path / "rejects.csv")) == 15_000


def test_an_iterable_of_rejects_alone_takes_no_more_memory(tmp_path: Path) -> None:
    """The lane on the event loop writes as it goes."""

    async def amend(_: Amendment) -> ContactListOperation:
        raise AssertionError("nothing can be sent")

    def run(rows: int, path: Path) -> None:
        options = options_of(rejects=path, rejects_plain=True, dry_run=True)
        asyncio.run(upload(amend, LIST, (f"nobody {number:080}" for number in range(rows)), options))

    run(1, tmp_path / "first.csv")  # imports what it needs
    with less_than(1_000_000):
        run(7_000, tmp_path / "rejects.csv")
    assert len(rows_of(tmp_path / "rejects.csv")) == 7_000
