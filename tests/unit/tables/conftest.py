from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from criteo_audiences.tables.files.inspection import Asked, inspect
from criteo_audiences.tables.files.layout import Layout


@frozen
class Desk:
    """A directory to write files into, and an empty workspace beside it."""

    files: Path
    workspace: Path

    def write(self, content: str | bytes, name: str = "crm.csv") -> Path:
        """Writes a file of bytes, or of text in UTF-8."""
        path = self.files / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def inspect(self, content: str | bytes, name: str = "crm.csv", **options: Any) -> Layout:
        """Writes a file and inspects it, with what the caller says of it."""
        return inspect(str(self.write(content, name)), self.workspace, asked=Asked(**options))

    def copies(self) -> list[Path]:
        """Returns what was left in the workspace."""
        return sorted(self.workspace.iterdir())


@pytest.fixture
def desks(tmp_path: Path) -> Callable[[], Desk]:
    """Makes desks, for tests that need several."""
    made: list[Desk] = []

    def desk() -> Desk:
        root = tmp_path / str(len(made))
        made.append(Desk(root / "files", root / "workspace"))
        for directory in (made[-1].files, made[-1].workspace):
            directory.mkdir(mode=0o700, parents=True)
        return made[-1]

    return desk


@pytest.fixture
def desk(desks: Callable[[], Desk]) -> Desk:
    """Makes one desk."""
    return desks()
