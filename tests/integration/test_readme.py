"""The code of the README and of the page on the library, run the way the text says, with a local Criteo."""

import asyncio
import os
import re
import shlex
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from criteo_audiences.cli import app
from criteo_audiences.sandbox import Sandbox
from tests.integration.forking import Forking

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
LIBRARY = (ROOT / "docs" / "how-to" / "library.md").read_text(encoding="utf-8")
A_SEGMENT = "812345"  # all that a reader must replace
KINDS = ("python", "text")


def blocks(page: str, language: str) -> list[str]:
    """Returns the blocks of a page in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page, flags=re.DOTALL | re.MULTILINE)


SCRIPT, FRAME, SERVICE = blocks(README, "python")

reads_a_pipe = pytest.mark.skipif(
    sys.version_info[:3] == (3, 13, 0),
    reason="`python -m asyncio` of 3.13.0 takes each line of a pipe for a whole statement",
)


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A local Criteo."""
    async with Sandbox() as running:
        yield running


@pytest.fixture(autouse=True)
def checkout(monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox) -> None:
    """Stands in the checkout with the variables exported."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("CRITEO_BASE_URL", sandbox.url)
    monkeypatch.setenv("CRITEO_CLIENT_ID", sandbox.client_id)
    monkeypatch.setenv("CRITEO_CLIENT_SECRET", sandbox.client_secret)


Prompt = Callable[[str], Awaitable[str]]


@pytest.fixture
def prompt(forking: Forking) -> Prompt:
    """Types something into `python -m asyncio`, and returns what that prints."""
    module = "import runpy; runpy.run_module('asyncio', run_name='__main__')"

    async def printed(typed: str) -> str:
        done = await asyncio.to_thread(forking.run, module, typed=typed, directory=ROOT, variables=os.environ)
        assert "Error" not in done.stderr, done.stderr
        return done.stdout

    return printed


async def test_the_first_script_prints_a_report(sandbox: Sandbox, tmp_path: Path) -> None:
    """Run as a file; only the segment's id is the reader's own."""
    segment = sandbox.add_contact_list()
    assert A_SEGMENT in SCRIPT
    script = tmp_path / "first_upload.py"
    script.write_text(SCRIPT.replace(A_SEGMENT, segment), encoding="utf-8")
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, script], capture_output=True, text=True, check=False, timeout=50
    )
    assert "Error" not in done.stderr, done.stderr
    assert done.stdout.startswith("read          134,000  column 'Email'\n")
    assert done.stdout.splitlines()[-1].startswith("OK: 119,148 of 119,148 identifiers valid")
    assert len(sandbox.contact_list(segment)) > 100_000
    assert (ROOT / "examples" / "first_upload.py").read_text(encoding="utf-8").endswith(SCRIPT)


@reads_a_pipe
async def test_the_short_blocks_are_for_a_prompt(prompt: Prompt, sandbox: Sandbox) -> None:
    """Pasted into `python -m asyncio`, one after the other, they do what their comments say."""
    segment = sandbox.add_contact_list()
    asked = f'print(await sync("{segment}", ["li@example.org"]))\n'
    pasted = (FRAME + SERVICE + asked).replace(A_SEGMENT, segment).replace('"journals/"', "None")
    printed = await prompt(pasted)
    assert "UploadReport(read=3, rejected={'no_at_sign': 1}" in printed
    assert "'valid': 1" in printed
    assert len(sandbox.contact_list(segment)) == 3


@reads_a_pipe
async def test_the_page_on_the_library_is_for_a_prompt(prompt: Prompt, sandbox: Sandbox) -> None:
    """Its blocks run one after the other in `python -m asyncio`, and what they announce is there afterwards."""
    printed = await prompt("".join((*blocks(LIBRARY, "python"), 'print("id", segment.id)\n')))
    found = re.search(r"id (\d+)", printed)
    assert found
    assert len(sandbox.contact_list(found[1])) == 2
    assert "OK: 2 of 2 identifiers valid" in printed


def test_blocks_can_be_pasted_into_a_prompt() -> None:
    """An indented statement ends with a blank line, which is what ends it at the prompt of Python 3.11 and 3.12."""
    for block in (FRAME, SERVICE, *blocks(LIBRARY, "python")):
        assert not re.search(r"^ .*\n(?=\S)", block, flags=re.MULTILINE)


def test_the_readme_is_for_a_person() -> None:
    """It is short, and links to every page there is."""
    assert README.count("\n") <= 130
    pages = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")}
    linked = set(re.findall(r"\]\(([^)#:]+)\)", README))
    site = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert pages <= linked
    assert pages <= {f"docs/{page}" for page in re.findall(r"- (\S+\.md)$", site, flags=re.MULTILINE)}
    assert all((ROOT / path).exists() for path in linked)


@pytest.mark.parametrize("page", sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")))
def test_links_of_pages_lead_somewhere(page: str) -> None:
    """Those to files of the project."""
    path = ROOT / page
    for link in re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8")):
        assert (path.parent / link).exists(), link


@pytest.mark.parametrize("line", [line for block in blocks(README, "console") for line in block.splitlines()])
def test_commands_of_the_readme_are_understood(
    line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each has the options it is shown with; what it does is tested elsewhere."""
    words = shlex.split(line, comments=True)
    if Path(words[0]).name != "criteo-audiences":
        assert words[0] in {"make", "pip", "export", "source", ".venv/bin/python"}
        return
    options = [word.partition("=")[0] for word in words[1:] if word.startswith("--")]
    path = words[1:3] if words[1] in {"segments", "journals"} else words[1:2]
    monkeypatch.setitem(os.environ, "COLUMNS", "80")
    with pytest.raises(SystemExit):
        app([*path, "--help"])
    shown = capsys.readouterr().out
    missing = [option for option in options if not re.search(rf"(?<![\w-]){option}(?![\w-])", shown)]
    assert not missing


def test_every_link_to_the_repository_names_the_same_one() -> None:
    """The address of the source stands in several files that cannot share it; moving it means all of them."""
    files = [ROOT / name for name in ("pyproject.toml", "mkdocs.yml", "README.md")]
    found = [
        set(re.findall(r"(?:github|raw.githubusercontent).com/([\w-]+/criteo-audiences)", each.read_text()))
        for each in files
    ]
    assert found[0] | found[1] | found[2] == {"criteo-audiences/criteo-audiences"}


async def test_the_page_on_journals_begins_and_finishes_an_upload(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its script, run twice, prints what stands below it."""
    page = (ROOT / "docs" / "explanation" / "journal.md").read_text(encoding="utf-8")
    (script,), (printed,) = (blocks(page, name) for name in KINDS)
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"customer.{number}@example.com\n" for number in range(100_001))
    (tmp_path / "crm.csv").write_text("email\n" + rows, encoding="utf-8")
    segment = sandbox.add_contact_list()
    sandbox.fail_next(status=400, on="contact-list")
    for _ in range(2):
        await asyncio.to_thread(exec, script.replace(A_SEGMENT, segment), {})
    assert capfd.readouterr().out == printed
    assert len(sandbox.contact_list(segment)) == 100_001
