"""What tests against real servers share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.redis_process import RedisProcess


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisProcess]:
    """A Redis server that is empty."""
    with RedisProcess(tmp_path) as started:
        yield started
