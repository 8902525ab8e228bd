"""The documents that judge, or the reason why there are none."""

import os
from pathlib import Path

import pytest

from .judge import Document, documents_in


@pytest.fixture(scope="session")
def folder() -> Path:
    """Where Criteo's documents are."""
    named = os.environ.get("CRITEO_OPENAPI_DIR")
    if not named:
        pytest.skip("CRITEO_OPENAPI_DIR names no folder of Criteo's OpenAPI documents")
    return Path(named)


@pytest.fixture(scope="session")
def documents(folder: Path) -> dict[tuple[str, str], Document]:
    """The documents by service and version, such as `("retail-media", "experimental")`."""
    return documents_in(folder)
