"""The demonstration: a CRM export, a local Criteo, and the proof that everything arrived."""

from collections.abc import Awaitable
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console

from criteo_audiences import ConfigurationError, CriteoClient, Table
from criteo_audiences.cli.printing import progress_shown
from criteo_audiences.cli.running import Run
from criteo_audiences.sandbox import Sandbox

_EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "crm_export.csv.gz"


class Upload(Protocol):
    """Uploads and leaves the report in the state."""

    def __call__(
        self, criteo: CriteoClient, state: Run, segment_id: str, source: Any, **options: Any
    ) -> Awaitable[None]:
        """See `criteo_audiences.cli.app`."""


async def demonstrate(file: Path | None, state: Run, upload: Upload) -> None:
    """Uploads a file to a sandbox of this process and compares what the server holds with the report.

    Raises:
        ConfigurationError: when no file is given and the example is not there.
        RuntimeError: when the server holds another number than it accepted.
    """
    if file is None and not _EXAMPLE.exists():
        raise ConfigurationError("The example export is part of a checkout, not of the package: name a CSV file.")
    table = Table.from_file(file or _EXAMPLE)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    async with Sandbox() as sandbox:
        segment_id = sandbox.add_contact_list(name="demo")
        line = (
            f"Local Criteo at {sandbox.url}: add column {table.chosen_column()!r} of {Path(table.path).name} as sha256"
        )
        console.print(line, markup=False)
        async with CriteoClient(sandbox.credentials, base_url=sandbox.url) as criteo:
            with progress_shown(console) as show:
                await upload(criteo, state, segment_id, table, hash="sha256", on_progress=show)
        held = len(sandbox.contact_list(segment_id))
    accepted = state.report.valid if state.report else 0
    if held != accepted:
        raise RuntimeError("the server holds another number of identifiers than it accepted")
    state.facts["held"] = held
    state.remarks.append(f"The local Criteo holds {held:,} identifiers, as many as it accepted.")
