"""A sandbox in a thread of its own, Criteo's SDKs connected with it, and the account of what they called."""

from collections.abc import AsyncIterator, Iterator

import pytest
from anyio.from_thread import start_blocking_portal

from criteo_audiences import CriteoClient, Quota
from criteo_audiences.sandbox import Sandbox

from . import sdk
from .sdk import Called, Release, Sdk

_CALLED = pytest.StashKey[Called]()
_HALF = Quota(share=0.5)  # a test may use both clients


def pytest_configure(config: pytest.Config) -> None:
    """Opens the account."""
    sdk.find_preview()
    config.stash[_CALLED] = {}


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Lets the test that closes the account run last."""
    items.sort(key=lambda item: item.path.name == "test_surface.py")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Prints which methods of each SDK were called."""
    called = config.stash.get(_CALLED, {})
    if not any(called.values()):
        return
    terminalreporter.section("methods of Criteo's SDKs that were called")
    for release in sdk.RELEASES:
        names = sorted(called.get(release.package, ()))
        if names:
            terminalreporter.write_line(
                f"{release.title} ({len(names)} of {len(release.methods())}): {', '.join(names)}"
            )


@pytest.fixture
def called(pytestconfig: pytest.Config) -> Called:
    """The methods called so far in this run, by package."""
    return pytestconfig.stash[_CALLED]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A local Criteo in a thread with an event loop of its own, because the SDKs block theirs."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(Sandbox(rate_limit=None)) as running:
        yield running


@pytest.fixture
async def criteo(sandbox: Sandbox) -> AsyncIterator[CriteoClient]:
    """Our client of the sandbox."""
    async with CriteoClient(sandbox.credentials, base_url=sandbox.url, quota=_HALF) as connected:
        yield connected


@pytest.fixture
async def experimental(sandbox: Sandbox) -> AsyncIterator[CriteoClient]:
    """Our client of the experimental version."""
    async with CriteoClient(
        sandbox.credentials, base_url=sandbox.url, quota=_HALF, api_version="experimental"
    ) as connected:
        yield connected


@pytest.fixture
def ms(sandbox: Sandbox, called: Called) -> Iterator[Sdk]:
    """The SDK of Marketing Solutions."""
    yield from _connected(sdk.MARKETING_SOLUTIONS, sandbox, called)


@pytest.fixture
def rm(sandbox: Sandbox, called: Called) -> Iterator[Sdk]:
    """The SDK of Retail Media."""
    yield from _connected(sdk.RETAIL_MEDIA, sandbox, called)


@pytest.fixture
def rm_preview(sandbox: Sandbox, called: Called) -> Iterator[Sdk]:
    """The SDK of Retail Media that has what is experimental."""
    yield from _connected(sdk.RETAIL_MEDIA_PREVIEW, sandbox, called)


@pytest.fixture
def cg(sandbox: Sandbox, called: Called) -> Iterator[Sdk]:
    """The SDK of Commerce Grid."""
    yield from _connected(sdk.COMMERCE_GRID, sandbox, called)


def _connected(release: Release, sandbox: Sandbox, called: Called) -> Iterator[Sdk]:
    with sdk.connected(release, sandbox, called.setdefault(release.package, set())) as ready:
        yield ready
