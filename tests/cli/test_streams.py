"""Standard streams as shells leave them: closed, cut short, full, or in an encoding that lacks letters."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from criteo_audiences.sandbox import Sandbox

SERVICE = "marketing-solutions"


@pytest.fixture
def shell(
    environment: dict[str, str], export: Path, sandbox: Sandbox
) -> Callable[..., Awaitable[subprocess.CompletedProcess[str]]]:
    """Runs a line of shell in which `$cli` is the command line, `$dry` a dry run of the export."""
    cli = f"{sys.executable} -m criteo_audiences"
    dry = f"{cli} upload {SERVICE} {sandbox.add_contact_list()} {export} --hash sha256 --dry-run"

    async def run(line: str, **more: str | None) -> subprocess.CompletedProcess[str]:
        variables = {**environment, "cli": cli, "dry": dry, **more}
        given = {name: value for name, value in variables.items() if value is not None}
        return await asyncio.to_thread(
            subprocess.run,
            ["/bin/bash", "-c", f"set -o pipefail; {line}"],
            env=given,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.mark.parametrize(
    "line",
    ["$dry --json | true", "$dry 2>&1 | true", "$cli --help | true", "$dry >&-", "$dry 2>&-"],
)
async def test_a_reader_that_leaves_early_is_no_error(shell, line: str) -> None:
    """An output that nobody reads changes neither the code nor what is done, and leaves no traceback."""
    done = await shell(line)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "Broken" not in done.stderr


async def test_the_reader_of_an_upload_may_leave_before_its_end(shell, sandbox: Sandbox, export: Path) -> None:
    """`head` gets its line, and every address still arrives."""
    segment = sandbox.add_contact_list()
    done = await shell(f"$cli upload {SERVICE} {segment} {export} --hash sha256 2>&1 | head -1")
    assert (done.returncode, done.stdout.count("\n")) == (0, 1)
    assert len(sandbox.contact_list(segment)) == 2


@pytest.mark.parametrize("source", ["<(gzip -c {export})", "/dev/stdin <{export}", "/dev/stdin < <(cat {export})"])
async def test_what_a_shell_makes_of_a_command_is_a_source(shell, sandbox: Sandbox, export: Path, source: str) -> None:
    """Without a file in between; opt-outs come the same way."""
    segment = sandbox.add_contact_list()
    suppress = "<(printf 'email\\nli.wei@example.org\\n')"
    line = f"$cli upload {SERVICE} {segment} {source.format(export=export)} --hash none --suppress {suppress} --json"
    done = await shell(line)
    assert done.returncode == 0, done.stderr
    assert (json.loads(done.stdout)["valid"], json.loads(done.stdout)["suppressed"]) == (1, 1)
    assert sandbox.contact_list(segment).identifiers == {"anna@example.com"}


async def test_a_closed_standard_input_is_an_empty_one(shell) -> None:
    """`<&-` is answered like an empty file."""
    done = await shell(f"$cli upload {SERVICE} 1 - --hash sha256 --dry-run <&-")
    assert done.returncode == 2
    assert "empty" in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full device")
async def test_a_report_that_cannot_be_written_is_told(shell) -> None:
    """A full disk ends with a line and the code of files."""
    done = await shell("$dry --json >/dev/full")
    assert done.returncode == 3
    assert "could not be written" in done.stderr.splitlines()[-1]


async def test_letters_that_an_encoding_lacks_are_escaped(shell, sandbox: Sandbox) -> None:
    """An ASCII terminal gets escapes, and JSON stays UTF-8; no home directory and no color are needed."""
    sandbox.add_contact_list(name="Zürich \N{SNOWMAN}\x1b[31m", advertiser_id="9")
    bare = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "HOME": None, "NO_COLOR": "1", "COLUMNS": "20"}
    plain = await shell(f"$cli segments list {SERVICE} --advertiser-id 9", **bare)
    document = await shell(f"$cli segments list {SERVICE} --advertiser-id 9 --json", **bare)
    assert (plain.returncode, document.returncode) == (0, 0), plain.stderr + document.stderr
    assert r"Z\xfcrich \u2603\ufffd[31m  ContactList" in plain.stdout
    assert json.loads(document.stdout)["segments"][0]["name"].startswith("Zürich ☃")


async def test_a_report_is_as_wide_as_it_needs(shell) -> None:
    """It is made for 80 columns, whatever the terminal says of itself, and no line ends in blanks."""
    lines = (await shell("$dry", COLUMNS="20")).stdout.splitlines()
    assert lines[0] == "read          5  column 'Email'"
    assert lines[1] == "  rejected    2  empty 1, no_at_sign 1"
    assert all(line == line.rstrip() for line in lines)
