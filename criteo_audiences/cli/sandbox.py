"""`demo` and `sandbox`: a local Criteo, without an account."""

import asyncio
import contextlib
import math
import os
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from criteo_audiences import ConfigurationError
from criteo_audiences.cli.options import Service, filled
from criteo_audiences.cli.run import Run, run
from criteo_audiences.cli.streams import flush, print_json, print_result
from criteo_audiences.cli.uploads import upload_table

if TYPE_CHECKING:
    from criteo_audiences.sandbox import Sandbox

_EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "crm_export.csv.gz"

ExportArgument = Annotated[
    str | None, typer.Argument(parser=filled, metavar="FILE", help="A CSV export (default: the one of the example).")
]


def demo(*, file: ExportArgument = None, state: Run) -> None:
    """Upload a CRM export to a local Criteo: the whole journey, without credentials."""

    async def command() -> None:
        await _demonstrate(file, state)

    run(command, state)


async def _demonstrate(file: str | None, state: Run) -> None:
    """Uploads a file to a sandbox of this process and compares what the server holds with the report.

    Raises:
        ConfigurationError: when no file is given and the example is not there.
        RuntimeError: when the server holds another number than it accepted.
    """
    if file is None and not _EXAMPLE.exists():
        raise ConfigurationError("The example export is part of a checkout, not of the package: name a CSV file.")
    from criteo_audiences import CriteoClient, Table  # noqa: PLC0415 - slow to import
    from criteo_audiences.sandbox import Sandbox  # noqa: PLC0415 - the same, and most commands need no server

    table = Table.from_file(file or _EXAMPLE)
    async with Sandbox() as server:
        segment_id = server.add_contact_list(name="demo")
        task = f"add the email column of {table.label} as sha256"
        async with CriteoClient(server.credentials, base_url=server.url) as criteo:
            service = Service.MARKETING_SOLUTIONS
            announcement = f"Local Criteo at {server.url}: {task}"
            await upload_table(criteo, state, service, segment_id, table, announcement, hash="sha256")
        held = len(server.contact_list(segment_id))
    accepted = state.report.valid if state.report else 0
    if held != accepted:
        raise RuntimeError("the server holds another number of identifiers than it accepted")
    state.facts["held"] = held
    state.remarks.append(f"The local Criteo holds {held:,} identifiers, as many as it accepted.")


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
