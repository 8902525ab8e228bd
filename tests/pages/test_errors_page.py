"""The page on errors names every exception, with the exit code that the command line ends with."""

import re
from pathlib import Path

import pytest

import criteo_audiences
from criteo_audiences import CriteoError
from criteo_audiences.cli.output import Exit, exit_for

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "errors.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| `(\w+)` \|.*\| (\d+)[^|]*\|$", PAGE, flags=re.MULTILINE))
PUBLIC = {name: getattr(criteo_audiences, name) for name in criteo_audiences.__all__}
ERRORS = {name: kind for name, kind in PUBLIC.items() if isinstance(kind, type) and issubclass(kind, CriteoError)}


def test_every_exception_has_a_row() -> None:
    """And no row is about one that does not exist."""
    assert set(ROWS) == set(ERRORS)


@pytest.mark.parametrize("name", sorted(ERRORS))
def test_the_exit_code_of_an_exception_is_right(name: str) -> None:
    """Of one that says nothing more than its class."""
    error = ERRORS[name].__new__(ERRORS[name])
    error.problems = ()
    assert exit_for(error) == int(ROWS[name])


def test_every_exit_code_is_explained() -> None:
    """In the table at the end of the page."""
    table = PAGE.partition("## Exit codes")[2]
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", table, flags=re.MULTILINE)} == set(Exit)
