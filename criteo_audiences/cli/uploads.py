"""`upload` and `remove`: a column of a file to or from a contact list."""

import asyncio
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from criteo_audiences import ClientCredentials, ConfigurationError, CriteoClient, HashAlgorithm, Operation, Table
from criteo_audiences.cli.options import (
    AccountOption,
    AdvertiserOption,
    DataProviderOption,
    DebugOption,
    JsonOption,
    SegmentArgument,
    Service,
    ServiceArgument,
    owner_id,
)
from criteo_audiences.cli.printing import progress_shown
from criteo_audiences.cli.running import Run, run


class HashChoice(StrEnum):
    """How identifiers are sent."""

    SHA256 = "sha256"
    MD5 = "md5"
    SHA256_OF_MD5 = "sha256-of-md5"
    NONE = "none"


FileArgument = Annotated[str, typer.Argument(help="CSV or TSV with a header, plain or gzip; - is standard input.")]
ColumnOption = Annotated[str | None, typer.Option(help="Header of the column; left out: the one e-mail column.")]
HashOption = Annotated[HashChoice | None, typer.Option("--hash", help="How to send e-mails; none sends them in clear.")]
TypeOption = Annotated[str, typer.Option(help="The kind of identifier.")]
DedupeOption = Annotated[bool, typer.Option(help="Send each identifier once.")]
ConcurrencyOption = Annotated[int, typer.Option(help="Batches in flight at the same time.")]
SizeOption = Annotated[int, typer.Option(help="Identifiers a batch, at most 50,000.")]
BytesOption = Annotated[int | None, typer.Option(help="Bytes of identifiers a batch.")]
RejectedOption = Annotated[float, typer.Option(help="Share of rows that may be rejected, 0 to 1.")]
InvalidOption = Annotated[float, typer.Option(help="Share of identifiers Criteo may refuse, 0 to 1.")]
DrainOption = Annotated[float, typer.Option(help="Seconds batches in flight get after Ctrl-C.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Read, clean and count, but send nothing.")]


def upload(
    service: ServiceArgument,
    segment_id: SegmentArgument,
    file: FileArgument,
    column: ColumnOption = None,
    hash_: HashOption = None,
    operation: Annotated[Operation, typer.Option(help="Add to the list or remove from it.")] = Operation.ADD,
    identifier_type: TypeOption = "email",
    advertiser_id: AdvertiserOption = None,
    account_id: AccountOption = None,
    data_provider_id: DataProviderOption = None,
    dedupe: DedupeOption = True,
    max_concurrency: ConcurrencyOption = 4,
    batch_size: SizeOption = 50_000,
    max_body_bytes: BytesOption = None,
    max_rejected: RejectedOption = 0.5,
    max_invalid: InvalidOption = 0.5,
    drain_timeout: DrainOption = 10.0,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Upload a column of a file to a contact list.

    With an owner (--advertiser-id, --account-id or --data-provider-id) it first checks, with one search, that the list
    belongs to it, is a contact list and may be written.
    """
    options: dict[str, Any] = {
        "operation": operation,
        "identifier_type": identifier_type,
        "dedupe": dedupe,
        "max_concurrency": max_concurrency,
        "batch_size": batch_size,
        "max_rejected": max_rejected,
        "max_invalid": max_invalid,
        "drain_timeout": drain_timeout,
        "dry_run": dry_run,
    }
    if max_body_bytes is not None:
        options["max_body_bytes"] = max_body_bytes
    owners = {"advertiser_id": advertiser_id, "account_id": account_id, "data_provider_id": data_provider_id}
    state = Run(json=json, debug=debug, reads_standard_input=file == "-")

    async def command() -> None:
        options["hash"] = _algorithm(hash_)
        owner = owner_id(service, owners)
        if owner is not None:
            options[service.owner] = owner
        table = Table.from_file(file, column=column)
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        target = f"{service.value} segment {segment_id}" + (f" of {service.owner} {owner}" if owner else "")
        console.print(await asyncio.to_thread(_announcement, table, target, operation, hash_), markup=False)
        async with _client(dry_run=dry_run) as criteo:
            with progress_shown(console) as show:
                await upload_table(criteo, state, service, segment_id, table, on_progress=show, **options)

    run(command, state)


def remove(
    service: ServiceArgument,
    segment_id: SegmentArgument,
    file: FileArgument,
    column: ColumnOption = None,
    hash_: HashOption = None,
    identifier_type: TypeOption = "email",
    advertiser_id: AdvertiserOption = None,
    account_id: AccountOption = None,
    data_provider_id: DataProviderOption = None,
    dedupe: DedupeOption = True,
    max_concurrency: ConcurrencyOption = 4,
    batch_size: SizeOption = 50_000,
    max_body_bytes: BytesOption = None,
    max_rejected: RejectedOption = 0.5,
    max_invalid: InvalidOption = 0.5,
    drain_timeout: DrainOption = 10.0,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Remove what a column of a file holds from a contact list; the same as `upload --operation remove`."""
    upload(**locals(), operation=Operation.REMOVE)


async def upload_table(
    criteo: CriteoClient, state: Run, service: Service, segment_id: str, table: Table, **options: Any
) -> None:
    """Uploads, and leaves the report in the state also when it is stopped half-way."""
    lists = getattr(criteo, service.name.lower())
    results = None
    try:
        async with lists.stream_contact_list(segment_id, table, **options) as results:
            async for _ in results:
                pass
    finally:
        state.report = results.report if results is not None else None


def _algorithm(chosen: HashChoice | None) -> HashAlgorithm | None:
    if chosen is None:
        raise ConfigurationError("Choose --hash: sha256, md5, sha256-of-md5, or none to send e-mails in clear.")
    return None if chosen is HashChoice.NONE else HashAlgorithm(chosen.value)


def _announcement(table: Table, target: str, operation: Operation, chosen: HashChoice | None) -> str:
    """Names what is about to happen, before anything is sent; checks the file's header on the way."""
    name, column = "standard input", table.column
    if table.path != "-":
        name, column = Path(table.path).name, table.chosen_column()
    how = f"as {chosen.value}" if chosen and chosen is not HashChoice.NONE else "in clear"
    which = f"column {column!r}" if column else "the e-mail column"
    preposition = "to" if operation is Operation.ADD else "from"
    return f"{operation.value} {which} of {name} {how} {preposition} {target}"


def _client(*, dry_run: bool) -> CriteoClient:
    """Builds the client from the environment; a dry run needs none, since it sends nothing."""
    if dry_run:
        return CriteoClient(ClientCredentials(client_id="none", client_secret="none"))  # noqa: S106 - stands in for none
    return CriteoClient.from_env()
