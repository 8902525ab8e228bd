"""What `--fail-on` makes of an upload's exit code."""

import json
from pathlib import Path

import pytest

from criteo_audiences.sandbox import Sandbox

SERVICE = "marketing-solutions"
USAGE, INCOMPLETE = 2, 7


async def upload(cli, sandbox: Sandbox, path: Path, *options: str):  # noqa: ANN201 - the fixture's own type
    """Uploads five rows, of which two are rejected and one is a duplicate."""
    return await cli("upload", SERVICE, sandbox.add_contact_list(), str(path), "--hash", "sha256", *options)


async def test_a_broken_policy_ends_as_incomplete(cli, export: Path, sandbox: Sandbox) -> None:
    """Everything was sent all the same, and the last line says what was too much."""
    done = await upload(cli, sandbox, export, "--fail-on", "rejected>39%", "--fail-on", "duplicates>20%,invalid>5%")
    assert done.code == INCOMPLETE
    assert done.err.splitlines()[-1] == "FAILED (7): The upload fails by rejected>39%: 2 of 5 rows (40%)."
    assert "    valid     2" in done.out


async def test_what_a_policy_bears_ends_well(cli, export: Path, sandbox: Sandbox) -> None:
    """The bound itself is fine, and the document says what each policy found."""
    done = await upload(cli, sandbox, export, "--fail-on", "rejected>40%,duplicates>1", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["policies"] == [
        {"policy": "rejected>40%", "ok": True, "count": 2, "of": 5, "allowed": 2},
        {"policy": "duplicates>1", "ok": True, "count": 1, "of": 5, "allowed": 1},
    ]


@pytest.mark.parametrize("command", ["upload", "remove"])
async def test_a_rehearsal_fails_as_well(cli, export: Path, command: str, sandbox: Sandbox) -> None:
    """A dry run judges the file, so that a job can stop before anything is sent."""
    done = await cli(
        command,
        *(SERVICE, sandbox.add_contact_list(), str(export)),
        *("--hash", "sha256", "--dry-run", "--fail-on", "any,duplicates", "--json"),
    )
    assert done.code == INCOMPLETE
    document = json.loads(done.out)
    assert document["ok"] is False
    assert [policy["ok"] for policy in document["policies"]] == [False, False]
    assert "any>0: 2 of 5 rows (40%); duplicates>0: 1 of 5 rows (20%)." in done.err
    assert not any(request.identifiers for request in sandbox.requests)


def test_a_typo_is_answered_with_the_nearest_word(misuse, export: Path) -> None:
    """Before a call is made, as with every other option."""
    done = misuse("upload", SERVICE, "1", str(export), "--hash", "sha256", "--fail-on", "rejceted>1%")
    assert done.code == USAGE
    assert done.err.splitlines()[-1].endswith("; did you mean 'rejected'?")


def test_duplicates_must_be_looked_for(misuse, export: Path) -> None:
    """A policy about what nobody counts is refused."""
    done = misuse("upload", SERVICE, "1", str(export), "--hash", "sha256", "--no-dedupe", "--fail-on", "duplicates")
    assert done.code == USAGE
    assert "--fail-on duplicates needs --dedupe" in done.err
