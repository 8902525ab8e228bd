from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from criteo_audiences import CriteoClient, RetryPolicy
from criteo_audiences.sandbox import Sandbox
from tests.integration.forking import Forking
from tests.kit import Stage


@pytest.fixture
def set_stage() -> Callable[..., Any]:
    """Sets up a sandbox and a client of it; keywords of `Sandbox` and, as `client=`, of `CriteoClient`."""

    @asynccontextmanager
    async def stage(client: dict[str, Any] | None = None, **options: Any) -> AsyncIterator[Stage]:
        chosen = {"retry": RetryPolicy(first_delay=0.001, max_delay=0.01), **(client or {})}
        async with Sandbox(**options) as sandbox:
            credentials = chosen.pop("credentials", sandbox.credentials)
            async with CriteoClient(credentials, base_url=sandbox.url, **chosen) as criteo:
                yield Stage(sandbox, criteo, sandbox.add_contact_list(name="crm"))

    return stage


@pytest.fixture
async def stage(set_stage: Callable[..., Any]) -> AsyncIterator[Stage]:
    """The usual sandbox and client."""
    async with set_stage() as ready:
        yield ready


@pytest.fixture(scope="session")
def forking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forking]:
    """Runs scripts in processes of their own that have what they import already: that takes longer than most scripts."""
    ready = Forking(tmp_path_factory.mktemp("streams"))
    yield ready
    ready.close()
