"""The page on the sandbox: its code runs from top to bottom, and it covers all that the sandbox can be told."""

import ast
import inspect
import re
from pathlib import Path
from typing import Any

from criteo_audiences.sandbox import Sandbox

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "sandbox.md").read_text(encoding="utf-8")


async def test_its_blocks_run_one_after_the_other() -> None:
    """As in a notebook; the first makes the sandbox that the others prepare and disturb."""
    names: dict[str, Any] = {}
    for block in re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE):
        running = eval(compile(block, "sandbox.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)  # noqa: S307
        if inspect.isawaitable(running):
            await running
    assert names["report"].ok
    assert names["done"]


def test_it_names_every_keyword_and_every_method() -> None:
    """What `Sandbox` takes and does, the page has a word on."""
    keywords = set(inspect.signature(Sandbox).parameters)
    offered = {name for name in dir(Sandbox) if not name.startswith("_")}
    assert {name for name in keywords | offered if not re.search(rf"\b{name}\b", PAGE)} == set()
