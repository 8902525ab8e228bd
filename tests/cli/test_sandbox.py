"""`sandbox`: a local Criteo with lists of a chosen id, a line per call, and a command that runs against it."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest

MS, RM, CG = "marketing-solutions", "retail-media", "commerce-grid"
PROGRAM = (sys.executable, "-m", "criteo_audiences")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The variables of a user who has a login of another Criteo, which no command here may use."""
    mine = {key: value for key, value in os.environ.items() if not key.startswith("CRITEO_")}
    return mine | {
        "CRITEO_CLIENT_ID_FILE": str(tmp_path / "none"),
        "CRITEO_PROFILE": "agency",
        "COLUMNS": "120",
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }


PUSHING = """
import asyncio, sys
from criteo_audiences import CriteoClient

async def main():
    async with CriteoClient.from_env() as criteo:
        await criteo.marketing_solutions.upload_contact_list("812345", ["anna@example.com", "li@b.co"], hash="sha256")
        print((await criteo.retail_media.get_contact_list_statistics("1", "812345")).number_of_identifiers)

asyncio.run(main())
sys.exit(9)
"""


async def test_a_command_runs_with_the_variables_set_and_its_code_is_returned(cli) -> None:
    """The list of the chosen id is there in every service, and a line per call goes to standard error."""
    done = await cli("sandbox", "--segment", "812345", "--verbose", "--", sys.executable, "-c", PUSHING)
    assert done.code == 9, done.err
    assert done.out == "0\n"
    lines = [line for line in done.err.splitlines() if line.startswith(("POST", "PATCH", "GET"))]
    assert lines[0] == "POST /oauth2/token 200 (0 identifiers)"
    assert f"PATCH /2026-07/{MS}/audience-segments/812345/contact-list 200 (2 identifiers)" in lines
    assert lines[-1].startswith("GET /2026-07/retail-media/accounts/1/audience-segments/812345/contact-list 200")


async def test_the_guides_dialect_is_spoken(cli) -> None:
    """Answers have the shapes of Criteo's guides, which the client reads alike."""
    command = ("segments", "list", RM, "--account-id", "1", "--json")
    done = await cli("sandbox", "--dialect", "guides", "--segment", "7", "--segment", "8", "--", *PROGRAM, *command)
    assert [each["id"] for each in json.loads(done.out)["segments"]] == ["7", "8"], done.err


async def test_a_signal_is_the_commands_business(start) -> None:
    """SIGTERM reaches the command, and the code says that it was ended by it."""
    process = await start("sandbox", "--", "sh", "-c", "echo ready; exec sleep 60")
    assert await process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 30) == 128 + signal.SIGTERM


@pytest.mark.parametrize("options", [(), ("--json",)])
async def test_a_server_announces_its_lists(start, options: tuple[str, ...]) -> None:
    """What it prints can be pasted into a shell, or read by a program; Ctrl-C ends it with 0."""
    process = await start("sandbox", "--port", "0", "--segment", "812345", *options)
    announced = await process.stdout.readuntil(b"}\n" if options else b"812345\n")
    process.send_signal(signal.SIGINT)
    rest, _ = await asyncio.wait_for(process.communicate(), 30)
    assert (process.returncode, rest) == (0, b"")
    if options:
        assert json.loads(announced)["segment_id"] == "812345"
    else:
        assert announced.splitlines()[-1] == b"# empty contact lists of all three services, owner 1: 812345"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--dialect", "french"), "--dialect must be one of openapi, guides"),
        (("--segment", "crm"), "--segment crm: an id of a segment is a number"),
        (("--segment", "1", "--segment", "1"), "--segment 1: the service has a segment of that id already"),
        (("--json", "--", "true"), "--json does not go with a COMMAND"),
        (("--", "/nonexistent/command"), "'/nonexistent/command' cannot be run: No such file or directory"),
    ],
)
def test_mistakes_are_one_line(misuse, arguments: tuple[str, ...], words: str) -> None:
    """What is wrong is named, and no server stays behind."""
    done = misuse("sandbox", "--port", "0", *arguments)
    assert done.code == 2, done.err
    assert words in done.err
    assert done.err.count("\n") == 1, done.err
