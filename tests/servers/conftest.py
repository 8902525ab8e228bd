"""What tests against real servers share."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from anyio.from_thread import start_blocking_portal

from criteo_audiences.sandbox import Sandbox
from tests.servers.redis_process import RedisProcess

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisProcess]:
    """A Redis server that is empty."""
    with RedisProcess(tmp_path) as started:
        yield started


@pytest.fixture(scope="module")
def criteo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A local Criteo and a Redis; what starts from here on knows both by its environment."""
    with (
        RedisProcess(tmp_path_factory.mktemp("redis")) as redis,
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(Sandbox(rate_limit=None, latency=0.2)) as sandbox,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("CRITEO_BASE_URL", sandbox.url)
        patch.setenv("CRITEO_CLIENT_ID", sandbox.client_id)
        patch.setenv("CRITEO_CLIENT_SECRET", sandbox.client_secret)
        patch.setenv("CRITEO_QUOTA_URL", redis.url)
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield sandbox


@pytest.fixture(scope="module")
def spark(criteo: Sandbox) -> "Iterator[SparkSession]":
    """A Spark whose workers know the local Criteo."""
    from tests.servers.spark_session import start, stop  # noqa: PLC0415 - most of these tests need no Spark

    assert criteo.url
    session = start()
    yield session
    stop(session)
