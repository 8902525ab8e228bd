"""`demo`: the whole journey against a local Criteo, without an account."""

import hashlib
import os
import re
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from criteo_audiences.cli.options import Service, filled
from criteo_audiences.cli.run import Run, run
from criteo_audiences.cli.uploads import HashChoice, Sending, upload_table

_EXAMPLES: Final = (
    Path(__file__).parents[2] / "examples" / "crm_export.csv.gz",  # of a checkout
    Path(__file__).with_name("demo_export.csv"),
)

if TYPE_CHECKING:  # slow to import: `--help` need not wait for it
    from criteo_audiences import CriteoClient
    from criteo_audiences.sandbox import Sandbox

_DIGEST: Final = re.compile("[0-9a-f]{64}|[0-9a-f]{32}")
_GONE: Final = 20
"""Of so many people one leaves the second export, for whom another one comes."""

ExportArgument = Annotated[
    list[str] | None,
    typer.Argument(parser=filled, metavar="FILE...", help="Exports, as upload takes them (default: an example's)."),
]


def demo(files: ExportArgument = None, *, sending: Sending, state: Run) -> None:
    """Upload a CRM export to a local Criteo, and mirror a second one: the whole journey, without credentials."""

    async def command() -> None:
        await _demonstrate(files, sending, state)

    run(command, state)


async def _demonstrate(files: list[str] | None, sending: Sending, state: Run) -> None:
    """Uploads files to a sandbox of this process and compares what the server holds with the report.

    Raises:
        ConfigurationError: when an option cannot be used.
        RuntimeError: when the server holds another number than it accepted.
    """
    from criteo_audiences import CriteoClient, Table  # noqa: PLC0415 - slow to import
    from criteo_audiences.sandbox import Sandbox  # noqa: PLC0415 - the same, and most commands need no server

    options = sending.keywords(default_hash=HashChoice.SHA256)
    if sending.journal is not None:
        options |= {"journal": sending.journal}
    table = Table.from_file(files or next(path for path in _EXAMPLES if path.exists()))
    async with Sandbox() as server:
        segment_id = server.add_contact_list(name="demo")
        service = Service.MARKETING_SOLUTIONS
        announcement = f"Local Criteo at {server.url}: {_task(options, table.label)}"
        async with CriteoClient(server.credentials, base_url=server.url) as criteo:
            await upload_table(criteo, state, service, segment_id, table, announcement, **options)
            if sending.dry_run:
                return
            held = len(server.contact_list(segment_id))
            valid = state.report.valid if state.report else 0
            if held != valid:
                raise RuntimeError("the server holds another number of identifiers than it accepted")
            state.facts["held"] = held
            state.remarks.append(f"The local Criteo holds {held:,} identifiers, as many as are valid.")
            if held and all(map(_DIGEST.fullmatch, server.contact_list(segment_id).identifiers)):
                await _mirror(criteo, server, segment_id, state)
    state.afterwards += _next_commands()


async def _mirror(criteo: "CriteoClient", server: "Sandbox", segment_id: str, state: Run) -> None:
    """Mirrors an export of a day later, and compares what the server holds with it.

    Raises:
        RuntimeError: when the server holds anything else.
    """
    before = sorted(server.contact_list(segment_id).identifiers)
    gone = len(before) // _GONE
    later = before[gone:] + [hashlib.sha256(f"new{number}@example.com".encode()).hexdigest() for number in range(gone)]
    with TemporaryDirectory(prefix="criteo-audiences-demo-") as directory:
        options: dict[str, Any] = {"hash": "sha256", "snapshot": Path(directory, "demo.snapshot")}
        mirrored = criteo.marketing_solutions.mirror_contact_list
        await mirrored(segment_id, before, baseline="assume-current", **options)
        report = await mirrored(segment_id, later, **options)
    if server.contact_list(segment_id).identifiers != set(later):
        raise RuntimeError("the server holds something else than the second export")
    state.facts["mirrored"] = {"added": report.added, "removed": report.removed, "unchanged": report.unchanged}
    state.remarks.append(
        f"A second export was mirrored: {report.added:,} added, {report.removed:,} removed, {report.unchanged:,} left, "
        f"in {report.calls} calls; the local Criteo holds exactly that."
    )


def _task(options: dict[str, Any], label: str) -> str:
    """Says what the demo is about to do."""
    form = f" as {options['hash'].value.replace('_', '-')}" if options.get("hash") else ""
    return f"add the identifiers of {label}{form}"


def _next_commands() -> list[str]:
    """Returns what to try next, with the program as it was called."""
    called = Path(sys.argv[0])
    on_path = shutil.which("criteo-audiences")
    if called.name == "__main__.py":
        program = "python -m criteo_audiences"
    elif on_path and Path(on_path).resolve() == called.resolve():
        program = "criteo-audiences"
    else:
        program = os.path.relpath(called)
    return [
        "Next:",
        f"  {program} sandbox --segment 812345  # a local Criteo to try all of it with",
        f"  {program} doctor                    # whether your own login works",
        f"  {program} upload marketing-solutions 812345 crm.csv --hash sha256 --dry-run",
    ]
