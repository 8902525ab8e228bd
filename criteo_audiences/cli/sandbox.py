"""`demo` and `sandbox`: a local Criteo, without an account."""

import asyncio
import contextlib
import hashlib
import math
import os
import re
import shutil
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, Final

import attrs
import typer

from criteo_audiences import ConfigurationError
from criteo_audiences.cli.options import Service, filled
from criteo_audiences.cli.output import flush, print_json, print_note, print_result
from criteo_audiences.cli.run import Run, run
from criteo_audiences.cli.uploads import HashChoice, Sending, upload_table

if TYPE_CHECKING:
    from criteo_audiences import CriteoClient
    from criteo_audiences.sandbox import RecordedRequest, Sandbox


_PORT = 8787
_LOGINS = ("CRITEO_BASE_URL", "CRITEO_CLIENT_", "CRITEO_REFRESH_TOKEN", "CRITEO_PROFILE")
SANDBOX_EXAMPLES = (
    "sandbox --segment 812345 --verbose",
    "sandbox --segment 812345 -- criteo-audiences upload marketing-solutions 812345 crm.csv --hash sha256",
)

CommandArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="COMMAND", help="After --: a command with its arguments, to run against the server."),
]


@attrs.frozen(kw_only=True)
class Serving:
    """How the local Criteo behaves, and what it holds."""

    port: Annotated[
        int | None,
        typer.Option(metavar="PORT", help=f"Port on this machine; {_PORT} without it, or any free one for a COMMAND."),
    ] = None
    segment: Annotated[
        list[str] | None,
        typer.Option(
            parser=filled, metavar="ID", help="A contact list of this id in all three services. Repeat for several."
        ),
    ] = None
    dialect: Annotated[
        str,
        typer.Option(metavar="NAME", help="openapi, or guides for the shapes of Criteo's guides where they differ."),
    ] = "openapi"
    latency: Annotated[float, typer.Option(metavar="SECONDS", help="Seconds added to every call.")] = 0.0
    calls: Annotated[int, typer.Option(metavar="NUMBER", help="Calls per window; 0 sets no limit.")] = 250
    period: Annotated[
        float,
        typer.Option(metavar="SECONDS", help="Length of a window in seconds; clients reckon with Criteo's minute."),
    ] = 60.0

    def server(self, port: int, *, verbose: bool) -> "Sandbox":
        """Returns a server that is not running yet.

        Args:
            port: where it listens unless the option says otherwise.
            verbose: whether it prints a line per call.

        Raises:
            ConfigurationError: naming the option that is wrong.
        """
        from criteo_audiences.sandbox import Sandbox  # noqa: PLC0415 - slow to import, and most commands need no server

        chosen = port if self.port is None else self.port
        _require("--port", chosen, least=0, most=65_535)
        _require("--latency", self.latency, least=0, most=3_600)
        _require("--calls", self.calls, least=0)
        _require("--period", self.period, least=0.001)
        dialect: Any = self.dialect.lower()  # which words there are, the sandbox knows
        try:
            return Sandbox(
                port=chosen,
                latency=self.latency,
                rate_limit=(self.calls, self.period) if self.calls else None,
                dialect=dialect,
                on_call=_print_call if verbose else None,
            )
        except ValueError as error:
            raise ConfigurationError(f"--{error}.") from None

    def fill(self, server: "Sandbox") -> str:
        """Adds the contact lists, and returns a line that says which there are.

        Raises:
            ConfigurationError: when one cannot have its id.
        """
        if not self.segment:
            return f"an empty contact list of marketing-solutions: {server.add_contact_list(name='crm')}"
        for segment_id in self.segment:
            for service in Service:
                try:
                    server.add_contact_list(service=service.value, segment_id=segment_id)
                except ValueError as error:
                    raise ConfigurationError(f"--segment {segment_id}: {error}.") from None
        return f"empty contact lists of all three services, owner 1: {' '.join(self.segment)}"


def sandbox(
    serving: Serving,
    *,
    command: CommandArgument = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Print a line per call on standard error.")] = False,
    state: Run,
) -> None:
    """Run a local Criteo until Ctrl-C, or for as long as a COMMAND takes, whose exit code is returned.

    It has an empty contact list, or those of --segment. A COMMAND gets the variables that name the server and a login.
    """

    async def serve() -> None:
        if command and state.json:
            raise ConfigurationError("--json does not go with a COMMAND, which has standard output to itself.")
        async with AsyncExitStack() as stack:
            server = serving.server(0 if command else _PORT, verbose=verbose)
            try:
                await stack.enter_async_context(server)
            except OSError as error:
                reason = os.strerror(error.errno) if error.errno else "it cannot be opened"
                hint = "choose another with --port, or 0 for any free one"
                raise ConfigurationError(f"No server on port {serving.port or _PORT}: {reason}; {hint}.") from None
            lists = serving.fill(server)
            if command:
                state.code = await _run_with(command, _variables(server))
                return
            _announce(server, serving.segment, lists, state)
            with contextlib.suppress(asyncio.CancelledError):  # how it is meant to end
                await asyncio.Event().wait()

    run(serve, state)


async def _run_with(command: list[str], variables: dict[str, str]) -> int:
    """Runs a command with variables of its own in place of every other login; returns its exit code as a shell would.

    Raises:
        ConfigurationError: when it cannot be run.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_LOGINS)}
    signals = _Signals()
    signals.heed()
    try:
        process = await asyncio.create_subprocess_exec(*command, env={**inherited, **variables})
    except OSError as error:
        raise ConfigurationError(f"{command[0]!r} cannot be run: {os.strerror(error.errno or 0)}.") from None
    signals.pass_on_to(process)
    code = await process.wait()
    return code if code >= 0 else 128 - code


class _Signals:
    """Passes signals that end a command on to the COMMAND, also those that come before it has started."""

    def __init__(self) -> None:
        self._early: list[signal.Signals] = []
        self._process: asyncio.subprocess.Process | None = None

    def heed(self) -> None:
        """Takes the signals over."""
        if sys.platform != "win32":
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, self._pass_on, number)

    def pass_on_to(self, process: "asyncio.subprocess.Process") -> None:
        """Sends every signal to the process from now on, those that came before included."""
        self._process = process
        for number in self._early:
            self._pass_on(number)

    def _pass_on(self, number: signal.Signals) -> None:
        if self._process is None:
            self._early.append(number)
        elif self._process.returncode is None and not (number is signal.SIGINT and sys.stdin.isatty()):
            self._process.send_signal(number)  # a terminal has sent Ctrl-C to both


def _variables(server: "Sandbox") -> dict[str, str]:
    return {
        "CRITEO_BASE_URL": server.url,
        "CRITEO_CLIENT_ID": server.client_id,
        "CRITEO_CLIENT_SECRET": server.client_secret,
    }


def _require(option: str, value: float, *, least: float, most: float = math.inf) -> None:
    if not (math.isfinite(value) and least <= value <= most):
        bounds = f"at least {least:g}" if most == math.inf else f"between {least:g} and {most:g}"
        raise ConfigurationError(f"{option} must be {bounds}, not {value:g}.")


def _print_call(call: "RecordedRequest") -> None:
    print_note(str(call))


def _announce(server: "Sandbox", segments: list[str] | None, lists: str, state: Run) -> None:
    if state.json:
        first = segments[0] if segments else lists.rpartition(" ")[2]
        secrets = {"client_id": server.client_id, "client_secret": server.client_secret}
        print_json({"url": server.url, **secrets, "segment_id": first})
    else:
        for name, value in _variables(server).items():
            print_result(f"export {name}={value}")
        print_result(f"# {lists}")
    flush()


_EXAMPLES: Final = (
    Path(__file__).parents[2] / "examples" / "crm_export.csv.gz",  # of a checkout
    Path(__file__).with_name("demo_export.csv"),
)


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
