"""The account of a whole run. It runs last; see conftest.py."""

import ast
from pathlib import Path

import pytest

from .sdk import RELEASES, Called, Release

_FOLDER = Path(__file__).parent


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.package)
def test_every_method_was_called(release: Release, called: Called, request: pytest.FixtureRequest) -> None:
    """No audience method of an SDK is left out."""
    methods = release.methods()
    if left_out := _defined() - {(item.path, getattr(item, "originalname", "")) for item in request.session.items}:
        pytest.skip(f"only a part of these tests was selected; {len(left_out)} were left out")
    assert methods
    assert called.get(release.package, set()) == methods.keys()


def _defined() -> set[tuple[Path, str]]:
    """Returns the tests of this folder, selected or not."""
    return {
        (path, node.name)
        for path in _FOLDER.glob("test_*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }
