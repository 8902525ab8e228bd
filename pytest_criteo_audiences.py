"""Fixtures for tests of code that uses `criteo_audiences`; pytest finds this module by its entry point.

It is a module outside the package, because pytest imports it at every start, also for those who never use it: the
package itself is imported when a test first asks for a fixture. See docs/how-to/test-your-code.md.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from criteo_audiences import CriteoClient, Event, blocking
    from criteo_audiences.sandbox import Sandbox

_DIALECTS: Final = ("openapi", "guides")
_LOGIN: Final = (
    "CRITEO_PROFILE",
    "CRITEO_API_VERSION",
    "CRITEO_ACCOUNTS",
    "CRITEO_CLIENT_ID_FILE",
    "CRITEO_CLIENT_SECRET_FILE",
    "CRITEO_REFRESH_TOKEN",
    "CRITEO_REFRESH_TOKEN_FILE",
)
"""What would lead `CriteoClient.from_env()` to another login than the sandbox's."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the options of the sandbox, each for the command line and for pytest's configuration file."""
    group = parser.getgroup("criteo_audiences", "local Criteo (criteo_audiences)")
    group.addoption(
        "--criteo-dialect",
        choices=_DIALECTS,
        help="Whether the local Criteo answers as its OpenAPI documents say (default) or as its guides do.",
    )
    group.addoption(
        "--criteo-latency", type=_seconds, metavar="SECONDS", help="Seconds the local Criteo adds to every call."
    )
    parser.addini("criteo_dialect", "The same as --criteo-dialect.", default=_DIALECTS[0])
    parser.addini("criteo_latency", "The same as --criteo-latency.", default="0")


@pytest.fixture
def criteo_sandbox_options() -> Mapping[str, Any]:
    """Keywords of `Sandbox` for `criteo_sandbox`: none; override it for a module, a class or by a parameter."""
    return {}


@pytest.fixture
def criteo_client_options() -> Mapping[str, Any]:
    """Keywords of `CriteoClient` for the clients of these fixtures: none; override it like the sandbox's."""
    return {}


@pytest.fixture
def criteo_sandbox(
    criteo_sandbox_options: Mapping[str, Any],
    pytestconfig: pytest.Config,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[Sandbox]:
    """A local Criteo of the test's own, in a thread of its own, so that tests of every kind can use it.

    During the test `CriteoClient.from_env()` reaches it, and nothing else; what the library keeps about uploads goes
    into the test's directory.
    """
    from anyio.from_thread import start_blocking_portal  # noqa: PLC0415 - see above

    # A client loads a service where one is first asked for: here, so that no test waits for it.
    import criteo_audiences.commerce_grid  # noqa: PLC0415
    import criteo_audiences.marketing_solutions  # noqa: PLC0415
    import criteo_audiences.retail_media  # noqa: F401, PLC0415
    from criteo_audiences.sandbox import Sandbox  # noqa: PLC0415

    options = {"dialect": _dialect(pytestconfig), "latency": _latency(pytestconfig), **criteo_sandbox_options}
    with (
        start_blocking_portal(name="criteo sandbox") as portal,
        portal.wrap_async_context_manager(Sandbox(**options)) as sandbox,
    ):
        for name in _LOGIN:
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("CRITEO_BASE_URL", sandbox.url)
        monkeypatch.setenv("CRITEO_CLIENT_ID", sandbox.client_id)
        monkeypatch.setenv("CRITEO_CLIENT_SECRET", sandbox.client_secret)
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "criteo-state"))
        yield sandbox


@pytest.fixture
def criteo_client(criteo_sandbox: Sandbox, criteo_client_options: Mapping[str, Any]) -> Iterator[CriteoClient]:
    """A client of `criteo_sandbox`, for the event loop in which the test uses it; it repeats failed calls at once."""
    import asyncio  # noqa: PLC0415 - see above

    from criteo_audiences import CriteoClient  # noqa: PLC0415 - the same

    loops: list[asyncio.AbstractEventLoop] = []
    options = _client_options(criteo_sandbox, criteo_client_options)
    observer = options.pop("on_event", None)

    def note_loop(event: Event) -> None:
        loops.append(asyncio.get_running_loop())
        if observer is not None:
            observer(event)

    client = CriteoClient(criteo_sandbox.credentials, on_event=note_loop, **options)
    yield client
    if loops and not loops[-1].is_closed():  # one that serves further tests: connections are closed where they belong
        loops[-1].run_until_complete(client.aclose())
    else:
        asyncio.run(client.aclose())


@pytest.fixture
def criteo_blocking_client(
    criteo_sandbox: Sandbox, criteo_client_options: Mapping[str, Any]
) -> Iterator[blocking.CriteoClient]:
    """A blocking client of `criteo_sandbox`; it repeats failed calls at once."""
    from criteo_audiences.blocking import CriteoClient  # noqa: PLC0415 - see above

    options = _client_options(criteo_sandbox, criteo_client_options)
    with CriteoClient(criteo_sandbox.credentials, **options) as client:
        yield client


def _client_options(sandbox: Sandbox, chosen: Mapping[str, Any]) -> dict[str, Any]:
    from criteo_audiences import RetryPolicy  # noqa: PLC0415 - see above

    return {"base_url": sandbox.url, "retry": RetryPolicy(first_delay=0.001, max_delay=0.01), **chosen}


def _dialect(config: pytest.Config) -> str:
    dialect: str = config.getoption("--criteo-dialect") or config.getini("criteo_dialect")
    if dialect not in _DIALECTS:
        raise pytest.UsageError(f"criteo_dialect must be {' or '.join(_DIALECTS)}, not {dialect!r}.")
    return dialect


def _latency(config: pytest.Config) -> float:
    latency: float | None = config.getoption("--criteo-latency")
    if latency is None:
        try:
            latency = _seconds(config.getini("criteo_latency"))
        except ValueError as error:
            raise pytest.UsageError(f"criteo_latency: {error}") from None
    return latency


def _seconds(text: str) -> float:
    """Returns a number of seconds that is zero or more.

    Raises:
        ValueError: when it is none.
    """
    seconds = float(text)
    if not (math.isfinite(seconds) and seconds >= 0):
        raise ValueError("seconds must be zero or more")
    return seconds
