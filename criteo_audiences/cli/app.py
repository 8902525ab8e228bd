"""The commands."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from criteo_audiences import (
    ClientCredentials,
    ConfigurationError,
    CriteoClient,
    HashAlgorithm,
    Operation,
    Table,
    __version__,
)
from criteo_audiences.cli.demo import demonstrate
from criteo_audiences.cli.printing import progress_shown
from criteo_audiences.cli.running import Run, run, write_json
from criteo_audiences.sandbox import Sandbox

app = typer.Typer(
    name="criteo-audiences",
    help="Push customer lists into Criteo audiences. Unofficial, not affiliated with Criteo.\n\n"
    "Credentials come from CRITEO_CLIENT_ID and CRITEO_CLIENT_SECRET, or from the files that CRITEO_CLIENT_ID_FILE "
    "and CRITEO_CLIENT_SECRET_FILE name.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # they would show local variables, and with them identifiers
)


class Service(StrEnum):
    """The services an upload can go to."""

    MARKETING_SOLUTIONS = "marketing-solutions"


class HashChoice(StrEnum):
    """How identifiers are sent."""

    SHA256 = "sha256"
    MD5 = "md5"
    SHA256_OF_MD5 = "sha256-of-md5"
    NONE = "none"


ServiceArgument = Annotated[Service, typer.Argument(help="The Criteo service.", show_default=False)]
SegmentArgument = Annotated[str, typer.Argument(help="Id of the contact list's segment.", show_default=False)]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show a traceback with an error.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the release and stop.")
    ] = False,
) -> None:
    """Takes the options that stand before a command."""


@app.command()
def upload(
    service: ServiceArgument,
    segment_id: SegmentArgument,
    file: Annotated[str, typer.Argument(help="CSV or TSV with a header, plain or gzip; - is standard input.")],
    column: Annotated[str | None, typer.Option(help="Header of the column; left out: the one e-mail column.")] = None,
    hash_: Annotated[
        HashChoice | None, typer.Option("--hash", help="How to send e-mails; none sends them in clear.")
    ] = None,
    operation: Annotated[Operation, typer.Option(help="Add to the list or remove from it.")] = Operation.ADD,
    identifier_type: Annotated[str, typer.Option(help="The kind of identifier.")] = "email",
    dedupe: Annotated[bool, typer.Option(help="Send each identifier once.")] = True,
    max_concurrency: Annotated[int, typer.Option(help="Batches in flight at the same time.")] = 4,
    batch_size: Annotated[int, typer.Option(help="Identifiers a batch, at most 50,000.")] = 50_000,
    max_body_bytes: Annotated[int | None, typer.Option(help="Bytes of identifiers a batch.")] = None,
    flush_after: Annotated[
        float | None, typer.Option(help="Seconds after which an incomplete batch goes out, for a trickling input.")
    ] = None,
    max_rejected: Annotated[float, typer.Option(help="Share of rows that may be rejected, 0 to 1.")] = 0.5,
    max_invalid: Annotated[float, typer.Option(help="Share of identifiers Criteo may refuse, 0 to 1.")] = 0.5,
    drain_timeout: Annotated[float, typer.Option(help="Seconds batches in flight get after Ctrl-C.")] = 10.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read, clean and count, but send nothing.")] = False,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Upload a column of a file to a contact list."""
    state = Run(json=json, debug=debug)
    options: dict[str, Any] = {
        "identifier_type": identifier_type,
        "operation": operation,
        "dedupe": dedupe,
        "max_concurrency": max_concurrency,
        "batch_size": batch_size,
        "flush_after": flush_after,
        "max_rejected": max_rejected,
        "max_invalid": max_invalid,
        "drain_timeout": drain_timeout,
        "dry_run": dry_run,
    }
    if max_body_bytes is not None:
        options["max_body_bytes"] = max_body_bytes

    async def command() -> None:
        options["hash"] = _algorithm(hash_)
        table = Table.from_file(file, column=column)
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        announced = await asyncio.to_thread(_announcement, table, service, segment_id, operation, hash_)
        console.print(announced, markup=False)
        async with _client(dry_run=dry_run) as criteo:
            with progress_shown(console) as show:
                await _upload(criteo, state, segment_id, table, on_progress=show, **options)

    run(command, state)


async def _upload(criteo: CriteoClient, state: Run, segment_id: str, source: Any, **options: Any) -> None:
    """Uploads, and leaves the report in the state also when it is stopped half-way."""
    results = None
    try:
        async with criteo.marketing_solutions.stream_contact_list(segment_id, source, **options) as results:
            async for _ in results:
                pass
    finally:
        state.report = results.report if results is not None else None


def _algorithm(chosen: HashChoice | None) -> HashAlgorithm | None:
    if chosen is None:
        raise ConfigurationError("Choose --hash: sha256, md5, sha256-of-md5, or none to send e-mails in clear.")
    return None if chosen is HashChoice.NONE else HashAlgorithm(chosen.value)


def _announcement(
    table: Table, service: Service, segment_id: str, operation: Operation, chosen: HashChoice | None
) -> str:
    """Names what is about to happen, before anything is sent; checks the file's header on the way."""
    name, column = "standard input", table.column
    if table.path != "-":
        name, column = Path(table.path).name, table.chosen_column()
    how = "in clear" if chosen is HashChoice.NONE or chosen is None else f"as {chosen.value}"
    which = f"column {column!r}" if column else "the e-mail column"
    preposition = "to" if operation is Operation.ADD else "from"
    return f"{operation.value} {which} of {name} {how} {preposition} {service.value} segment {segment_id}"


@contextlib.asynccontextmanager
async def _client(*, dry_run: bool = False) -> AsyncIterator[CriteoClient]:
    """Builds the client from the environment; a dry run needs none, since it sends nothing."""
    unused = ClientCredentials(client_id="dry-run", client_secret="dry-run")  # noqa: S106 - stands in for none
    async with CriteoClient(unused) if dry_run else CriteoClient.from_env() as criteo:
        yield criteo


@app.command()
def clear(
    service: ServiceArgument,
    segment_id: SegmentArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Remove every identifier from a contact list; the segment stays."""

    async def command() -> None:
        if not yes:
            _confirm(f"Remove every identifier from {service.value} segment {segment_id}?")
        async with _client() as criteo:
            await criteo.marketing_solutions.clear_contact_list(segment_id)
        if json:
            write_json({"ok": True, "segment_id": segment_id, "cleared": True})
        else:
            typer.echo(f"Cleared {service.value} segment {segment_id}.")

    run(command, Run(json=json, debug=debug))


def _confirm(question: str) -> None:
    try:
        agreed = typer.confirm(question, err=True)
    except typer.Abort:
        raise ConfigurationError("Nothing was done: confirm with --yes where nobody can be asked.") from None
    if not agreed:
        raise ConfigurationError("Nothing was done.")


@app.command()
def stats(
    service: ServiceArgument, segment_id: SegmentArgument, json: JsonOption = False, debug: DebugOption = False
) -> None:
    """Show how many identifiers a contact list holds and how many Criteo matched."""

    async def command() -> None:
        async with _client() as criteo:
            found = await criteo.marketing_solutions.get_contact_list_statistics(segment_id)
        if json:
            counts = {"identifiers": found.number_of_identifiers, "matches": found.number_of_matches}
            write_json({"ok": True, "segment_id": segment_id, **counts, "match_rate": found.match_rate})
            return
        typer.echo(f"{service.value} segment {segment_id}")
        typer.echo(f"  identifiers  {_count(found.number_of_identifiers)}")
        typer.echo(f"  matched      {_count(found.number_of_matches)}")
        typer.echo(f"  match rate   {'not reported' if found.match_rate is None else f'{found.match_rate:.1%}'}")

    run(command, Run(json=json, debug=debug))


def _count(number: int | None) -> str:
    return "not reported" if number is None else f"{number:,}"


@app.command()
def demo(
    file: Annotated[Path | None, typer.Argument(help="A CSV export; left out: the example's.")] = None,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Upload a CRM export to a local Criteo: the whole journey, without credentials."""
    state = Run(json=json, debug=debug)

    async def command() -> None:
        await demonstrate(file, state, _upload)

    run(command, state)


@app.command()
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

    run(command, Run(json=False, debug=debug))
