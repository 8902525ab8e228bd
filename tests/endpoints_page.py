"""Reads docs/reference/endpoints.md, for the tests that hold it against the code and against Criteo's documents."""

import re
from collections.abc import Iterator
from pathlib import Path

import attrs

import criteo_audiences

PAGE = (Path(criteo_audiences.__file__).parent.parent / "docs" / "reference" / "endpoints.md").read_text("utf-8")


@attrs.frozen
class Row:
    """An endpoint, as the page has it."""

    service: str
    method: str
    path: str
    coroutines: tuple[str, ...]
    """Its own first, then those that call it as well."""
    commands: tuple[str, ...]
    permission: str
    versions: tuple[str, ...]


def rows() -> Iterator[Row]:
    """Yields the rows of the tables."""
    for section in PAGE.split("\n## ")[1:]:
        service = re.search(r"`criteo\.\w+`, `([\w-]+)`", section.splitlines()[0])
        for cells in re.findall(r"^\| `(\S+) (\S+)` \| (.*?) \| (.*?) \| (.*?) \| (.*?) \|$", section, re.MULTILINE):
            method, path, *lists, permission, versions = cells
            coroutines, commands = (tuple(re.findall("`(.*?)`", cell)) for cell in lists)
            assert service is not None
            listed = tuple(versions.split(", "))
            yield Row(service[1], method, path, coroutines, commands, permission.strip("`"), listed)
