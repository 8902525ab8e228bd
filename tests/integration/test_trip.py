"""How many files of the package a reader opens who follows three rows of a CSV to Criteo."""

import math
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest

import criteo_audiences
from criteo_audiences import CriteoClient, Table
from criteo_audiences.sandbox import Sandbox

PACKAGE = Path(criteo_audiences.__file__).parent
MOST_FILES = 50


@contextmanager
def files_that_run() -> Iterator[set[str]]:
    """Collects the files of the package with a function that runs in the block, in any thread.

    What only runs because a module is imported does not count, and neither does the sandbox, which stands for Criteo.
    """
    found: set[str] = set()

    def note(frame: FrameType | None, event: str, _: object) -> None:
        if event != "call" or frame is None or not frame.f_code.co_filename.startswith(f"{PACKAGE}/"):
            return
        name = frame.f_code.co_filename.removeprefix(f"{PACKAGE}/")
        if name in found or name.startswith("sandbox/"):
            return
        caller: FrameType | None = frame
        while caller is not None:
            if caller.f_code.co_name == "<module>" and caller.f_code.co_filename.startswith(f"{PACKAGE}/"):
                return
            caller = caller.f_back
        found.add(name)

    before = sys.getprofile()
    threading.setprofile(note)
    sys.setprofile(note)
    try:
        yield found
    finally:
        sys.setprofile(before)
        threading.setprofile(None)


async def test_a_csv_passes_few_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Client, table and upload of three rows of a CSV, hashed, go through at most so many files of the package."""
    # On a machine that is busy the upload may take seconds, and then its report says what it waited for.
    monkeypatch.setattr("criteo_audiences.uploads.tally.WORTH_A_HINT", math.inf)
    path = tmp_path / "crm.csv"
    path.write_text("email,name\na@example.com,A\nb@example.com,B\nc@example.com,C\n")
    async with Sandbox() as sandbox:
        segment_id = sandbox.add_contact_list(name="crm")
        with files_that_run() as found:
            table = Table.from_file(path, column="email")
            async with CriteoClient(sandbox.credentials, base_url=sandbox.url) as criteo:
                report = await criteo.marketing_solutions.upload_contact_list(segment_id, table, hash="sha256")
        assert (report.sent, report.valid) == (3, 3)
    assert {"client.py", "uploads/pipeline.py", "tables/reader.py", "session/transport.py"} <= found
    assert len(found) <= MOST_FILES, sorted(found)
