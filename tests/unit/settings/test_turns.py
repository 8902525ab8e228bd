import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from criteo_audiences.settings.secret_files import turn

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no turns on Windows")


async def test_one_has_its_turn_at_a_time(tmp_path: Path) -> None:
    """Of several that want a turn in a folder one has it, and a folder beside it is free."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    inside, most = 0, 0

    async def work() -> None:
        nonlocal inside, most
        async with turn(tmp_path / "a"):
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.001)
            inside -= 1

    async with turn(tmp_path / "b"):
        await asyncio.gather(*(work() for _ in range(4)))
    assert (most, inside) == (1, 0)
    assert list((tmp_path / "a").iterdir()) == []


@pytest.mark.parametrize("end", ["error", "cancellation"])
async def test_turn_is_given_up(tmp_path: Path, end: str) -> None:
    """An error gives a turn up; who waits can be cancelled, and holds nothing afterwards."""
    if end == "error":
        with pytest.raises(ValueError, match="x"):
            async with turn(tmp_path):
                raise ValueError("x")
    else:
        async with turn(tmp_path):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01), turn(tmp_path):
                    pytest.fail("two turns at once")
    async with asyncio.timeout(1), turn(tmp_path):
        pass


async def test_file_system_without_locks_gives_a_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system refuses to lock, a turn is had at once rather than never."""

    def refuse(*_: Any) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    async with turn(tmp_path), turn(tmp_path):
        pass


async def test_folder_that_is_not_there_gives_a_turn(tmp_path: Path) -> None:
    """What is wrong with a folder is told by whoever reads the file in it."""
    async with turn(tmp_path / "missing"):
        pass
