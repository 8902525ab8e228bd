"""`mirror`, `replace` and `snapshots`, as people run them."""

import json
from pathlib import Path
from typing import Any

import pytest

from criteo_audiences.cli.mirrors import BaselineChoice
from criteo_audiences.mirrors import Baseline


@pytest.fixture
def export(tmp_path: Path) -> Any:
    """Writes an export of people by number."""

    def write(*numbers: int) -> str:
        path = tmp_path / "crm.csv"
        path.write_text("email\n" + "".join(f"{number}@example.com\n" for number in numbers), encoding="utf-8")
        return str(path)

    return write


def test_baselines_are_the_librarys() -> None:
    """The command line spells them alike."""
    assert [each.value for each in BaselineChoice] == [each.value for each in Baseline]


async def test_a_list_is_mirrored_from_day_to_day(cli: Any, sandbox: Any, export: Any) -> None:
    """The first run asks for a baseline, a dry run shows what a run does, and a run does no more than that."""
    segment_id = sandbox.add_contact_list()
    command = ("mirror", "marketing-solutions", segment_id)
    done = await cli(*command, export(*range(100)), "--hash", "sha256")
    assert (done.code, done.out) == (2, "")
    assert "say what the list holds, with --baseline empty, --baseline unknown (adds all" in done.err
    done = await cli(*command, export(*range(100)), "--hash", "sha256", "--baseline", "empty")
    assert (done.code, done.err) == (0, "")
    assert "added 100 removed 0" in " ".join(done.out.split())
    done = await cli(*command, export(*range(10, 105)), "--hash", "sha256", "--dry-run")
    assert "to remove 10" in " ".join(done.out.split())
    assert "would take 2 calls: no wait under a quota of 250 a minute" in done.out
    assert len(sandbox.contact_list(segment_id)) == 100
    done = await cli(*command, export(*range(10, 105)), "--hash", "sha256", "--json")
    document = json.loads(done.out)
    assert (document["added"], document["removed"], document["unchanged"], document["calls"]) == (5, 10, 90, 2)
    assert len(sandbox.contact_list(segment_id)) == 95


async def test_guard_ends_as_incomplete_and_a_bad_snapshot_as_a_file(
    cli: Any, sandbox: Any, export: Any, tmp_path: Path
) -> None:
    """A drop of half is exit code 7, a damaged snapshot 3, each with one line, and nothing is sent."""
    segment_id = sandbox.add_contact_list()
    snapshot = tmp_path / "crm.snapshot"
    command = ("mirror", "marketing-solutions", segment_id, "--hash", "sha256", "--snapshot", str(snapshot))
    assert (await cli(*command, export(*range(100)), "--baseline", "empty")).code == 0
    calls = len(sandbox.requests)
    done = await cli(*command, export(*range(50)))
    assert done.code == 7
    assert "--max-removals 0.2 allows 20" in done.err
    assert done.err.count("\n") == 1
    assert "would remove 50 of 100 identifiers (50.0%)" in done.err
    snapshot.write_bytes(snapshot.read_bytes()[:-100])
    done = await cli(*command, export(*range(100)))
    assert (done.code, done.err.count("\n")) == (3, 1)
    assert "is cut off" in done.err
    assert len(sandbox.requests) == calls


async def test_snapshots_are_listed_shown_and_removed(cli: Any, sandbox: Any, export: Any) -> None:
    """By name, without an identifier; removing asks."""
    segment_id = sandbox.add_contact_list()
    await cli("mirror", "marketing-solutions", segment_id, export(1, 2), "--hash", "none", "--baseline", "empty")
    name = f"marketing-solutions-{segment_id}.snapshot"
    listed = (await cli("snapshots", "list")).out
    assert listed.splitlines()[1].split()[:5] == [name, "complete", "marketing-solutions", segment_id, "2"]
    shown = await cli("snapshots", "show", name, "--json")
    document = json.loads(shown.out)
    assert (document["hash"], document["identifiers"], document["baseline"]) == (None, 2, "empty")
    assert "example.com" not in shown.out
    done = await cli("snapshots", "remove", name)
    assert (done.code, done.err) == (
        2,
        "criteo-audiences: Nothing was done: confirm with --yes where standard input is no terminal.\n",
    )
    assert (await cli("snapshots", "remove", name, "--yes")).out == f"removed {name}\n"
    assert (await cli("snapshots", "remove", name, "--yes")).code == 3
    assert json.loads((await cli("snapshots", "list", "--json")).out)["snapshots"] == []


async def test_replace_warns_and_asks(cli: Any, sandbox: Any, export: Any) -> None:
    """Without --yes nothing is done; with it the list is cleared and filled, and the gap is named."""
    segment_id = sandbox.add_contact_list()
    command = ("replace", "marketing-solutions", segment_id, "--hash", "none")
    await cli("upload", "marketing-solutions", segment_id, export(1, 2), "--hash", "none")
    done = await cli(*command, export(3))
    assert done.code == 2
    assert "The list is empty, and then incomplete, until the upload has ended." in done.err
    assert len(sandbox.contact_list(segment_id)) == 2
    done = await cli(*command, export(3), "--yes")
    assert (done.code, sandbox.contact_list(segment_id).identifiers) == (0, {"3@example.com"})
    assert "clear, then add" in done.err
    assert (await cli(*command, export(4), "--yes", "--quiet")).err == ""


async def test_replace_says_what_a_clear_without_an_answer_may_have_done(cli: Any, sandbox: Any, export: Any) -> None:
    """On a terminal, in JSON and by its exit code: it is incomplete, and no outage that changed nothing."""
    segment_id = sandbox.add_contact_list()
    command = ("replace", "marketing-solutions", segment_id, export(3), "--hash", "none", "--yes", "--quiet")
    sandbox.fail_next(status=501, on="contact-list", times=2)
    done = await cli(*command)
    assert done.code == 7
    assert done.err.startswith("FAILED (7): ")
    assert "it may be empty now, and nothing was added. Run it again." in done.err
    shown = json.loads((done := await cli(*command, "--json")).out)
    assert (done.code, shown["ok"], shown["cleared"], shown["pending"]) == (7, False, None, 1)
    assert "it may be empty now" in shown["explanation"]


async def test_a_share_of_removals_may_be_in_percent(cli: Any, sandbox: Any, export: Any) -> None:
    """As every share of the command line."""
    command = ("mirror", "marketing-solutions", sandbox.add_contact_list(), "--hash", "none", "--quiet")
    await cli(*command, export(1, 2), "--baseline", "empty")
    assert (await cli(*command, export(1), "--max-removals", "49%")).code == 7
    assert (await cli(*command, export(1), "--max-removals", "50%")).code == 0


async def test_demo_mirrors_a_second_export(cli: Any, tmp_path: Path) -> None:
    """The local Criteo holds exactly it afterwards."""
    path = tmp_path / "crm.csv"
    path.write_text("email\n" + "".join(f"{number}@example.com\n" for number in range(100)))
    done = await cli("demo", str(path), "--json")
    assert json.loads(done.out)["mirrored"] == {"added": 5, "removed": 5, "unchanged": 95}
