"""`upload` and `remove`: a column of a file to or from a contact list."""

import itertools
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import attrs
import typer

from criteo_audiences import ConfigurationError, HashAlgorithm, IdentifierType, Operation
from criteo_audiences.cli import login
from criteo_audiences.cli.journals import resume_command, usable_directory
from criteo_audiences.cli.options import (
    Owner,
    RetailerOption,
    SegmentArgument,
    Service,
    ServiceArgument,
    available_cores,
    duration,
    filled,
    one_of,
    service_of,
    share,
    words_of,
)
from criteo_audiences.cli.output import QuotaPlan, print_error
from criteo_audiences.cli.run import Run, run

if TYPE_CHECKING:  # slow to import, and most commands upload nothing
    from criteo_audiences import CriteoClient, Table, UploadReport

_NEXT_WINDOW: Final = "next-window"
_HASHED = frozenset({IdentifierType.EMAIL, IdentifierType.PHONE_NUMBER})


class HashChoice(StrEnum):
    """How identifiers are sent."""

    SHA256 = "sha256"
    MD5 = "md5"
    SHA256_OF_MD5 = "sha256-of-md5"
    NONE = "none"

    @classmethod
    def synonyms(cls) -> Mapping[str, str]:
        """Returns other words for members, as the library takes them."""
        return HashAlgorithm.synonyms()


FilesArgument = Annotated[
    list[str],
    typer.Argument(
        parser=filled,
        metavar="FILE...",
        help="CSV or other text with a header, JSON lines (plain, gzip, zstd) or Parquet; a pipe, or - for standard "
        "input.",
    ),
]


def deadline_of(text: str) -> float | str:
    """Reads a deadline: seconds, or the next computation."""
    if text.strip().lower().replace("_", "-") == _NEXT_WINDOW:
        return _NEXT_WINDOW
    try:
        return duration(text)
    except typer.BadParameter:
        raise typer.BadParameter(f"expected a time such as 90, 15m or 1h, or {_NEXT_WINDOW}.") from None


OperationOption = Annotated[
    Operation, typer.Option(parser=one_of(Operation), metavar="add|remove", help="Add to the list or remove from it.")
]


@attrs.frozen(kw_only=True)
class SourceOptions:
    """The options of a command that reads a file of identifiers: keywords of the library, which explains most of them.

    Those of uploads only are in `Sending`.
    """

    column: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Column with the identifiers (default: detected). Repeat for several."),
    ] = None
    hash: Annotated[
        HashChoice | None,
        typer.Option(
            parser=one_of(HashChoice),
            metavar="|".join(HashChoice),
            help="How to hash e-mails and phone numbers, which need it; none sends them in clear.",
            autocompletion=words_of(HashChoice),
        ),
    ] = None
    identifier_type: Annotated[
        IdentifierType | None,
        typer.Option(parser=one_of(IdentifierType), metavar="TYPE", autocompletion=words_of(IdentifierType)),
    ] = None
    region: Annotated[str | None, typer.Option(metavar="XX")] = None
    region_column: Annotated[str | None, typer.Option(metavar="NAME")] = None
    keep_trunk_zero: Annotated[bool, typer.Option("--keep-trunk-zero")] = False
    gum_caller_id: Annotated[int | None, typer.Option(metavar="ID")] = None
    where: Annotated[str | None, typer.Option(metavar="SQL")] = None
    hive_partitioning: Annotated[bool, typer.Option("--hive-partitioning")] = False
    skip_rows: Annotated[int | None, typer.Option(metavar="LINES")] = None
    encoding: Annotated[str | None, typer.Option(metavar="CODEC")] = None
    suppress: Annotated[
        str | None,
        typer.Option(parser=filled, metavar="FILE", help="File of opt-outs, in clear or hashed. They are never sent."),
    ] = None
    suppress_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="Column of the opt-outs (default: detected).")
    ] = None
    suppress_strict: Annotated[bool, typer.Option()] = True
    max_concurrency: Annotated[int | None, typer.Option(metavar="COUNT")] = None
    max_in_flight_bytes: Annotated[int | None, typer.Option(metavar="BYTES")] = None
    batch_size: Annotated[int, typer.Option(metavar="COUNT")] = 50_000
    max_body_bytes: Annotated[int | None, typer.Option(metavar="BYTES")] = None
    threads: Annotated[
        int | None, typer.Option(metavar="COUNT", help="Threads that read the file (default: one per core).")
    ] = None
    memory_limit: Annotated[str | None, typer.Option(metavar="SIZE")] = None
    deadline: Annotated[
        str | None,
        typer.Option(
            parser=deadline_of,
            metavar="TIME|next-window",
            help="Time after which nothing more is sent: 90, 15m or 1h; next-window: Criteo's next computation.",
        ),
    ] = None
    max_rejected: Annotated[
        float, typer.Option(parser=share, metavar="SHARE", help="Share of the rows that may be rejected, such as 5%.")
    ] = 0.5
    max_invalid: Annotated[
        float,
        typer.Option(parser=share, metavar="SHARE", help="Share of what is sent that may be invalid, such as 5%."),
    ] = 0.5
    fail_on: Annotated[
        list[str] | None,
        typer.Option(
            metavar="POLICY", help="Also fail on 'rejected>1%', 'sent<1000' or any. Quote it. Repeat for several."
        ),
    ] = None
    allow_empty: Annotated[bool, typer.Option("--allow-empty")] = False
    drain_timeout: Annotated[
        float,
        typer.Option(parser=duration, metavar="TIME", help="Time for what is in flight after Ctrl-C: 10, 2m."),
    ] = 10.0
    dry_run: Annotated[bool, typer.Option("--dry-run")] = False
    rejects: Annotated[str | None, typer.Option(metavar="FILE")] = None
    rejects_plain: Annotated[bool, typer.Option("--rejects-plain")] = False

    def keywords(self, default_hash: HashChoice | None = None) -> dict[str, Any]:
        """Returns what an upload takes.

        Args:
            default_hash: for kinds that are hashed when none was chosen; `None` demands a choice.

        Raises:
            ConfigurationError: when no hash was chosen.
        """
        given = {name: value for name, value in attrs.asdict(self).items() if value is not None}
        if "columns" in given:
            given["columns"] = _columns(given["columns"])
        kinds = given.get("columns") or [self.identifier_type or IdentifierType.EMAIL]
        chosen = self.hash
        if chosen is None and not _HASHED.isdisjoint(kinds):
            chosen = default_hash
        if chosen is None and not _HASHED.isdisjoint(kinds):
            raise ConfigurationError("Choose --hash: sha256, md5, sha256-of-md5, or none to send them in clear.")
        given.setdefault("threads", available_cores())
        given.pop("no_journal", None)
        if chosen is not None:
            given["hash"] = None if chosen is HashChoice.NONE else HashAlgorithm(chosen.value)
        column = given.pop("suppress_column", None)
        if self.suppress is not None:
            from criteo_audiences import Table  # noqa: PLC0415 - slow to import, and most commands upload nothing

            given["suppress"] = Table.from_file(self.suppress, column=column)
        elif column is not None:
            raise ConfigurationError("--suppress-column goes with --suppress, which names the file of opt-outs.")
        return given


@attrs.frozen(kw_only=True)
class Sending(SourceOptions):
    """The options of an upload."""

    columns: Annotated[
        list[str] | None,
        typer.Option(metavar="TYPE=NAME", help="Column of one of several kinds: email=Email. Repeat for each."),
    ] = None
    dedupe: Annotated[bool, typer.Option(help="Send each identifier once.")] = True
    journal: Annotated[
        str | None,
        typer.Option(
            parser=filled,
            metavar="PATH",
            help="Journal file, or directory of journals (default: in your state directory).",
        ),
    ] = None
    no_journal: Annotated[bool, typer.Option("--no-journal", help="Keep no journal: nothing can be resumed.")] = False
    resume: Annotated[bool | None, typer.Option("--resume/--no-resume")] = None


def _columns(given: Iterable[str]) -> dict[IdentifierType, list[str]]:
    """Returns the columns of each kind of identifier.

    Raises:
        ConfigurationError: when one is not written as a kind, `=` and a name.
    """
    read = one_of(IdentifierType)
    columns: dict[IdentifierType, list[str]] = {}
    for text in given:
        kind, sign, name = text.partition("=")
        if not (sign and name.strip()):
            raise ConfigurationError("--columns must be a kind of identifier, = and a column: email=Email.")
        try:
            columns.setdefault(read(kind.strip()), []).append(name)
        except typer.BadParameter as error:
            raise ConfigurationError(f"The kind in --columns: {error.message}") from None
    return columns


def upload(
    service: ServiceArgument,
    segment_id: SegmentArgument,
    files: FilesArgument,
    *,
    operation: OperationOption = Operation.ADD,
    sending: Sending,
    owner: Owner,
    retailer_id: RetailerOption = None,
    state: Run,
) -> None:
    """Upload a column of a file to a contact list.

    With the owner's id it first checks that the list is a contact list, is that owner's, and may be written. In Retail
    Media the retailer's id goes with it.
    """
    _send(service, segment_id, files, sending, owner, state, operation=operation, retailer_id=retailer_id)


def remove(
    service: ServiceArgument,
    segment_id: SegmentArgument,
    files: FilesArgument,
    *,
    sending: Sending,
    owner: Owner,
    retailer_id: RetailerOption = None,
    state: Run,
) -> None:
    """Remove what a column of a file holds from a contact list; the same as `upload --operation remove`."""
    _send(service, segment_id, files, sending, owner, state, operation=Operation.REMOVE, retailer_id=retailer_id)


def _send(
    service: Service,
    segment_id: str,
    files: list[str],
    sending: Sending,
    owner: Owner,
    state: Run,
    *,
    operation: Operation,
    retailer_id: str | None,
) -> None:
    state.reads_standard_input = "-" in files
    state.drains = 0.0 if sending.dry_run else sending.drain_timeout

    from criteo_audiences import Table  # noqa: PLC0415 - see above

    async def command() -> None:
        _require_order(segment_id, files)
        options = sending.keywords() | {"operation": operation} | journal_keywords(sending)
        target = f"{service.value} segment {segment_id}"
        if whose := owner.of(service):
            options[service.owner] = whose
            target += f" of {service.owner} {whose}"
        if retailer_id is not None:
            if service is not Service.RETAIL_MEDIA:
                raise ConfigurationError(f"{service.value} has no --retailer-id.")
            options["retailer_id"] = retailer_id
            target += f" and retailer_id {retailer_id}"
        table = Table.from_file(files)
        announcement = announcement_of(table, operation, options, target)
        assumed = sending.dry_run and not login.is_set()
        async with login.stand_in() if assumed else login.client() as criteo:
            with _columns_named(sending):
                await upload_table(criteo, state, service, segment_id, table, announcement, **options)
        if sending.dry_run and state.report is not None:
            state.plan = QuotaPlan.of(criteo, state.report.batches, assumed=assumed)

    run(command, state)


@contextmanager
def _columns_named(sending: Sending) -> Iterator[None]:
    """Lets an error about a column that is not there name the options that name columns."""
    try:
        yield
    except ConfigurationError as error:
        options = ("column", "columns", "region_column", "suppress_column")
        named = " or ".join(f"--{name.replace('_', '-')}" for name in options if getattr(sending, name))
        error.args = (str(error).replace("no column of that name", f"no column of the name in {named}"),)
        raise


def _require_order(segment_id: str, files: list[str]) -> None:
    """Refuses a file's name where the list's id belongs.

    Raises:
        ConfigurationError: when the two look swapped.
    """
    looks_like_a_file = not segment_id.isdigit() and (Path(segment_id).suffix or Path(segment_id).exists())
    if looks_like_a_file:
        swapped = " They are swapped here." if files[0].isdigit() else ""
        raise ConfigurationError(f"SEGMENT_ID comes before FILE, as in 812345 crm.csv.{swapped}")


async def upload_table(
    criteo: "CriteoClient",
    state: Run,
    service: Service,
    segment_id: str,
    table: "Table",
    announcement: str,
    **options: Any,
) -> None:
    """Uploads, and leaves the report in the state also when it is stopped half-way.

    Args:
        criteo: the client.
        state: of the command.
        service: the service.
        segment_id: the contact list.
        table: the file.
        announcement: what is about to happen: printed before anything is sent, and once options, file and contact list
            have been checked, which for standard input waits for its first row.
        **options: the upload's keywords.
    """
    lists = service_of(criteo, service)
    results = None
    announced = [announcement]
    try:
        with state.progress() as show:
            if state.reads_standard_input:  # its first row may be long in coming
                show.note(announced.pop())
            async with lists.stream_contact_list(segment_id, table, on_progress=show, **options) as results:
                state.rejects = options.get("rejects")
                notes = _about_the_journal(results.set_aside, resumes=results.resumes)
                for line in (*announced, *notes, *_about_the_opt_outs(results.report)):
                    show.note(line)
                async for _ in results:
                    if results.report.window_warning:
                        show.note(results.report.window_warning)
                    break
                async for _ in results:
                    pass
    finally:
        if results is not None:
            state.report = results.report
            for note in (*results.report.notes, *(_about_the_opt_outs(results.report) if state.quiet else ())):
                print_error(note)
            state.resume = resume_command(sys.argv) if results.resumable else None


def _about_the_journal(set_aside: str | None, *, resumes: bool) -> Iterator[str]:
    """Says what an unfinished upload means for this one."""
    if set_aside is not None:
        yield set_aside
    if resumes:
        yield "resuming an upload that was cut short: batches that Criteo acknowledged are not sent again"


def _about_the_opt_outs(report: "UploadReport") -> Iterator[str]:
    """Says whom an upload that goes on all the same does not leave out."""
    if report.unusable_opt_outs:
        total = report.unusable_opt_outs + (report.opt_outs or 0)
        yield f"{report.unusable_opt_outs:,} of {total:,} opt-outs cannot be used: those people are not left out"
    elif report.opt_outs == 0:
        yield "there is no opt-out in the file of --suppress: no row is left out"


def journal_keywords(sending: Sending) -> dict[str, Any]:
    """Returns which journal an upload keeps.

    Raises:
        ConfigurationError: when the options contradict each other.
    """
    if sending.no_journal:
        if sending.journal is not None or sending.resume is not None:
            raise ConfigurationError("--no-journal excludes --journal and --resume.")
        return {}
    if sending.journal is not None:
        return {"journal": sending.journal}
    directory = None if sending.dry_run else usable_directory()
    if directory is None and sending.resume is not None:
        raise ConfigurationError("There is no journal to resume from; name one with --journal, without --dry-run.")
    return {} if directory is None else {"journal": directory}


def announcement_of(table: "Table", operation: Operation, options: Mapping[str, Any], target: str) -> str:
    """Says what an upload is about to do."""
    plain = " in clear" if "hash" in options else " as they are"
    how = f" as {options['hash'].value.replace('_', '-')}" if options.get("hash") else plain
    named = [*options.get("column", ()), *itertools.chain(*options.get("columns", {}).values())]
    kind = options.get("identifier_type", IdentifierType.EMAIL)
    columns = "column" if len(named) == 1 else "columns"
    which = f"{columns} {' and '.join(map(repr, named))}" if named else f"the {kind.value} column"
    preposition = "to" if operation is Operation.ADD else "from"
    return f"{operation.value} {which} of {table.label}{how} {preposition} {target}"
