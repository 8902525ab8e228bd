"""`sandbox`: a local Criteo, without an account."""

import asyncio
import contextlib
import math
import os
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from criteo_audiences import ConfigurationError
from criteo_audiences.cli.run import Run, run
from criteo_audiences.cli.streams import flush, print_json, print_result

if TYPE_CHECKING:
    from criteo_audiences.sandbox import Sandbox


def sandbox(
    *,
    port: Annotated[int, typer.Option(help="Port on this machine; 0 takes any free one.")] = 8787,
    latency: Annotated[float, typer.Option(help="Seconds added to every call.")] = 0.0,
    calls: Annotated[int, typer.Option(help="Calls per window; 0 sets no limit.")] = 250,
    period: Annotated[float, typer.Option(help="Length of a window in seconds.")] = 60.0,
    state: Run,
) -> None:
    """Run a local Criteo with an empty contact list until Ctrl-C."""
    from criteo_audiences.sandbox import Sandbox  # noqa: PLC0415 - slow to import, and most commands need no server

    async def command() -> None:
        _require("--port", port, least=0, most=65_535)
        _require("--latency", latency, least=0, most=3_600)
        _require("--calls", calls, least=0)
        _require("--period", period, least=0.001)
        async with AsyncExitStack() as stack:
            server = Sandbox(port=port, latency=latency, rate_limit=(calls, period) if calls else None)
            try:
                await stack.enter_async_context(server)
            except OSError as error:
                reason = os.strerror(error.errno) if error.errno else "it cannot be opened"
                hint = "choose another with --port, or 0 for any free one"
                raise ConfigurationError(f"No server on port {port}: {reason}; {hint}.") from None
            _announce(server, state)
            with contextlib.suppress(asyncio.CancelledError):  # how it is meant to end
                await asyncio.Event().wait()

    run(command, state)


def _require(option: str, value: float, *, least: float, most: float = math.inf) -> None:
    if not (math.isfinite(value) and least <= value <= most):
        bounds = f"at least {least:g}" if most == math.inf else f"between {least:g} and {most:g}"
        raise ConfigurationError(f"{option} must be {bounds}, not {value:g}.")


def _announce(server: "Sandbox", state: Run) -> None:
    segment_id = server.add_contact_list(name="crm")
    if state.json:
        secrets = {"client_id": server.client_id, "client_secret": server.client_secret}
        print_json({"url": server.url, **secrets, "segment_id": segment_id})
    else:
        print_result(f"export CRITEO_BASE_URL={server.url}")
        print_result(f"export CRITEO_CLIENT_ID={server.client_id}")
        print_result(f"export CRITEO_CLIENT_SECRET={server.client_secret}")
        print_result(f"# an empty contact list of marketing-solutions: {segment_id}")
    flush()
