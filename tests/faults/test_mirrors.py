"""Mirrors in processes of their own that are killed on purpose; MIRROR_SEQUENCES says how many sequences (`make soak`: 20)."""

import importlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="module", autouse=True)
def mirroring() -> Iterator[Any]:
    """The story of a mirrored list, as a module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(HERE))
        yield importlib.import_module("mirroring")


@pytest.mark.timeout(240)
@pytest.mark.parametrize("seed", range(int(os.environ.get("MIRROR_SEQUENCES", "1"))))
async def test_a_mirror_that_is_killed_ends_with_exactly_the_source(mirroring: Any, tmp_path: Path, seed: int) -> None:
    """After each completed mirror the list equals its source, with no more calls than changes and kills account for."""
    context = importlib.import_module("soak").context()
    sequence = mirroring.Sequence(seed, tmp_path, context, kills=5)
    await sequence.tell(versions=5)
    assert sequence.completed == 5
    assert sequence.kills > 0
    print(f"seed {seed}: {sequence.kills} kills")
