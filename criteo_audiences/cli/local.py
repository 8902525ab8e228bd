"""`demo` and `sandbox`: a local Criteo, without an account."""

import asyncio
import contextlib
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from criteo_audiences import ConfigurationError, CriteoClient, Table
from criteo_audiences.cli.options import DebugOption, JsonOption, Service
from criteo_audiences.cli.printing import progress_shown
from criteo_audiences.cli.running import Run, run, write_json
from criteo_audiences.cli.uploads import upload_table
from criteo_audiences.sandbox import Sandbox

_EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "crm_export.csv.gz"


def demo(
    file: Annotated[Path | None, typer.Argument(help="A CSV export; left out: the example's.")] = None,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Upload a CRM export to a local Criteo: the whole journey, without credentials."""
    state = Run(json=json, debug=debug)

    async def command() -> None:
        await _demonstrate(file, state)

    run(command, state)


async def _demonstrate(file: Path | None, state: Run) -> None:
    """Uploads a file to a sandbox of this process and compares what the server holds with the report.

    Raises:
        ConfigurationError: when no file is given and the example is not there.
        RuntimeError: when the server holds another number than it accepted.
    """
    if file is None and not _EXAMPLE.exists():
        raise ConfigurationError("The example export is part of a checkout, not of the package: name a CSV file.")
    table = Table.from_file(file or _EXAMPLE)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    async with Sandbox() as server:
        segment_id = server.add_contact_list(name="demo")
        task = f"add column {table.chosen_column()!r} of {Path(table.path).name} as sha256"
        console.print(f"Local Criteo at {server.url}: {task}", markup=False)
        async with CriteoClient(server.credentials, base_url=server.url) as criteo:
            with progress_shown(console) as show:
                service = Service.MARKETING_SOLUTIONS
                await upload_table(criteo, state, service, segment_id, table, hash="sha256", on_progress=show)
        held = len(server.contact_list(segment_id))
    accepted = state.report.valid if state.report else 0
    if held != accepted:
        raise RuntimeError("the server holds another number of identifiers than it accepted")
    state.facts["held"] = held
    state.remarks.append(f"The local Criteo holds {held:,} identifiers, as many as it accepted.")


def sandbox(
    port: Annotated[int, typer.Option(help="Port on this machine; 0 takes any free one.")] = 8787,
    latency: Annotated[float, typer.Option(help="Seconds every call takes longer.")] = 0.0,
    calls: Annotated[int, typer.Option(help="Calls a window; 0 sets no limit.")] = 250,
    period: Annotated[float, typer.Option(help="Seconds of a window.")] = 60.0,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Run a local Criteo with an empty contact list until Ctrl-C."""

    async def command() -> None:
        limit = (calls, period) if calls else None
        async with Sandbox(port=port, latency=latency, rate_limit=limit) as server:
            segment_id = server.add_contact_list(name="crm")
            if json:
                secrets = {"client_id": server.client_id, "client_secret": server.client_secret}
                write_json({"url": server.url, **secrets, "segment_id": segment_id})
            else:
                typer.echo(f"export CRITEO_BASE_URL={server.url}")
                typer.echo(f"export CRITEO_CLIENT_ID={server.client_id}")
                typer.echo(f"export CRITEO_CLIENT_SECRET={server.client_secret}")
                typer.echo(f"# an empty contact list of marketing-solutions: {segment_id}")
            with contextlib.suppress(asyncio.CancelledError):  # how it is meant to end
                await asyncio.Event().wait()

    run(command, Run(debug=debug))
