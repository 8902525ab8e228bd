"""Writes the table of an upload's keywords in docs/reference/uploads.md, out of the docstring of `UploadOptions`.

Run it after a change there: `python .ci/upload_options.py`. A test holds the page against it.
"""

import sys
from enum import StrEnum
from pathlib import Path

import attrs

from criteo_audiences.cli.options import keyword_meanings
from criteo_audiences.models import UNSET
from criteo_audiences.uploads.options import Options

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "uploads.md"
BEGIN, END = "<!-- written by .ci/upload_options.py -->\n", "<!-- end -->\n"


def table() -> str:
    """Returns the table in Markdown, a row for each keyword."""
    defaults = {field.name: field.default for field in attrs.fields(Options)}
    rows = [f"| `{name}` | {meaning} | {shown(defaults[name])} |" for name, meaning in keyword_meanings().items()]
    return "\n".join(["| keyword | meaning | default |", "|---|---|---|", *rows]) + "\n"


def shown(default: object) -> str:
    """Returns a default as one would write it; nothing where the meaning has it, or where a choice must be made."""
    if default is None or default is UNSET or default == ():
        return ""
    if isinstance(default, StrEnum):
        return f"`{default.value}`"
    return f"`{default:_}`" if isinstance(default, int) and not isinstance(default, bool) else f"`{default!r}`"


def page() -> str:
    """Returns the page with the table as it should be."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    return before + BEGIN + table() + END + rest.partition(END)[2]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{len(keyword_meanings())} keywords\n")
