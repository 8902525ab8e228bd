"""The README's code, run as a reader would: from a checkout, with a local Criteo behind the variables it names."""

import ast
import asyncio
import inspect
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from criteo_audiences.sandbox import Sandbox

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SCRIPT, *NOTEBOOK = re.findall(r"^```python\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)
A_SEGMENT = "812345"  # all that a reader must replace
KINDS = ("python", "text")


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


async def test_the_first_block_is_a_script(sandbox: Sandbox) -> None:
    """It uploads the example's export; only the segment's id is the reader's own."""
    segment = sandbox.add_contact_list()
    assert A_SEGMENT in SCRIPT
    await asyncio.to_thread(exec, SCRIPT.replace(A_SEGMENT, segment), {})
    assert len(sandbox.contact_list(segment)) > 100_000


async def test_the_other_blocks_are_a_notebook(sandbox: Sandbox) -> None:
    """They run one after the other in one namespace, and what they announce is there afterwards."""
    names: dict[str, Any] = {}
    for block in NOTEBOOK:
        code = compile(block, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        running = eval(code, names)  # noqa: S307 - the README is ours
        if inspect.isawaitable(running):
            await running
    assert names["segment"].name == "CRM buyers"
    assert not names["result"].errors
    assert len(sandbox.contact_list(names["segment"].id)) == 2
    assert names["results"].report.ok


def test_blocks_can_be_pasted_into_a_prompt() -> None:
    """An indented statement ends with a blank line, which is what ends it at the prompt of Python 3.11 and 3.12."""
    for block in NOTEBOOK:
        assert not re.search(r"^ .*\n(?=\S)", block, flags=re.MULTILINE)


def test_the_first_screen_is_one() -> None:
    """What it is, two commands, the code and the answers to what one worries about fit into forty lines."""
    assert README.split("## Install")[0].count("\n") <= 40


async def test_the_page_on_journals_begins_and_finishes_an_upload(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its script, run twice, prints what stands below it."""
    page = (ROOT / "docs" / "explanation" / "journal.md").read_text(encoding="utf-8")
    (script,), (printed,) = (re.findall(rf"^```{name}\n(.*?)^```", page, re.DOTALL | re.MULTILINE) for name in KINDS)
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"customer.{number}@example.com\n" for number in range(100_001))
    (tmp_path / "crm.csv").write_text("email\n" + rows, encoding="utf-8")
    segment = sandbox.add_contact_list()
    sandbox.fail_next(status=400, on="contact-list")
    for _ in range(2):
        await asyncio.to_thread(exec, script.replace(A_SEGMENT, segment), {})
    assert capfd.readouterr().out == printed
    assert len(sandbox.contact_list(segment)) == 100_001
