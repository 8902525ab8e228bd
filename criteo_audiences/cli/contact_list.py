"""`stats`, `clear` and `erase`: what contact lists hold, and how people are removed from them and from stored files."""

import asyncio
import datetime as dt
import os
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, Final

import attrs
import orjson
import typer

from criteo_audiences import ConfigurationError, IdentifierType, PermissionDeniedError, live_from
from criteo_audiences.cli import login
from criteo_audiences.cli.options import (
    AccountOption,
    Owner,
    SegmentArgument,
    Service,
    ServiceArgument,
    YesOption,
    confirm,
    filled,
    in_account,
    one_of,
    require_terminal,
    service_of,
)
from criteo_audiences.cli.output import (
    Exit,
    exit_for,
    one_line,
    print_error,
    print_json,
    print_result,
    read_content,
)
from criteo_audiences.cli.run import Run, run_connected

if TYPE_CHECKING:
    from criteo_audiences import CriteoClient, ErasureReceipt


def clear(
    service: ServiceArgument,
    segment_id: SegmentArgument,
    *,
    account_id: AccountOption = None,
    yes: YesOption = False,
    state: Run,
) -> None:
    """Remove every identifier from a contact list; the segment stays.

    It asks first and says how many there are, for which Retail Media needs --account-id.
    """

    def command(criteo: "CriteoClient") -> Coroutine[Any, Any, None]:
        if account_id is not None:
            in_account(criteo, service, account_id, "clear_contact_list")  # refuses one where there is none
        if not yes:
            # In an event loop of its own: a question is asked outside of any, where Ctrl-C answers it.
            confirm(lambda: asyncio.run(_clear_question(service, segment_id, account_id)))
        return _clear(criteo, service, segment_id, state)

    run_connected(command, state)


async def _clear_question(service: Service, segment_id: str, account_id: str | None) -> str:
    """Returns the question with the list's name and size, as far as calls can show them."""
    held, name = "how many it holds is not known", ""
    if account_id is not None or service is not Service.RETAIL_MEDIA:
        async with login.client() as criteo:
            with suppress(PermissionDeniedError):
                found = await in_account(criteo, service, account_id, "get_contact_list_statistics")(segment_id)
                if found.number_of_identifiers is not None:
                    held = f"it holds {found.number_of_identifiers:,}"
                search: Any = in_account(criteo, service, account_id, "search_audience_segments")
                page = await search(audience_segment_ids=[segment_id]).page(1)
                name = "".join(f" {segment.name!r}" for segment in page.items if segment.name)
    return f"Remove every identifier from {service.value} segment {segment_id}{name} ({held})?"


async def _clear(criteo: "CriteoClient", service: Service, segment_id: str, state: Run) -> None:
    await service_of(criteo, service).clear_contact_list(segment_id)
    empty_from = live_from(dt.datetime.now(dt.UTC))
    if state.json:
        print_json({"ok": True, "segment_id": segment_id, "cleared": True, "live_from": empty_from.isoformat()})
    else:
        print_result(
            f"Cleared {service.value} segment {segment_id}. "
            f"For campaigns it is empty from about {empty_from:%Y-%m-%d %H:%M} UTC."
        )


def stats(
    service: ServiceArgument, segment_id: SegmentArgument, *, account_id: AccountOption = None, state: Run
) -> None:
    """Show how many identifiers a contact list holds and how many Criteo matched; Retail Media needs --account-id."""

    async def command(criteo: "CriteoClient") -> None:
        found = await in_account(criteo, service, account_id, "get_contact_list_statistics")(segment_id)
        rate = found.match_rate if found.number_of_identifiers != 0 else None  # nothing was there to be matched
        if state.json:
            counts = {"identifiers": found.number_of_identifiers, "matches": found.number_of_matches}
            print_json({"ok": True, "segment_id": segment_id, **counts, "match_rate": rate})
            return
        print_result(f"{service.value} segment {segment_id}")
        print_result(f"  identifiers  {_count(found.number_of_identifiers)}")
        print_result(f"  matched      {_count(found.number_of_matches)}")
        print_result(f"  match rate   {'none' if rate is None else f'{rate:.1%}'}")

    run_connected(command, state)


def _count(number: int | None) -> str:
    return "not reported" if number is None else f"{number:,}"


_MOST_BYTES: Final = 10_000_000
_MOST_SHOWN: Final = 20
_STANDARD_INPUT: Final = "-"
_NO_FILE: Final = (
    "FILE must name a file of identifiers, one a line, or - for standard input; {reason}. Identifiers themselves are "
    "never arguments, because others can see those."
)

FileArgument = Annotated[
    str, typer.Argument(parser=filled, metavar="FILE", help="File of identifiers, one a line; - is standard input.")
]


@attrs.frozen(kw_only=True)
class Erasing:
    """The options of `erase`."""

    service: Annotated[
        list[Service] | None,
        typer.Option(parser=one_of(Service), metavar="SERVICE", help="Only this service. Repeat for several."),
    ] = None
    identifier_type: Annotated[
        IdentifierType | None,
        typer.Option(
            parser=one_of(IdentifierType),
            metavar="TYPE",
            help="Kind of all identifiers (default: detected: e-mails, phone numbers, mobile ids, digests).",
        ),
    ] = None
    region: Annotated[
        str | None, typer.Option(metavar="XX", help="Country of phone numbers without a country code, such as IN.")
    ] = None
    gum_caller_id: Annotated[
        int | None, typer.Option(metavar="ID", help="The caller id that GUM ids of Marketing Solutions need.")
    ] = None
    rejects: Annotated[
        list[str] | None,
        typer.Option(
            parser=filled,
            metavar="PATH",
            help="File of rejects, or directory of them, besides your own. Repeat for several.",
        ),
    ] = None
    journals: Annotated[
        list[str] | None,
        typer.Option(parser=filled, metavar="PATH", help="Directory of journals besides your own. Repeat for several."),
    ] = None
    snapshots: Annotated[
        list[str] | None,
        typer.Option(
            parser=filled, metavar="PATH", help="Snapshot, or directory of them, besides your own. Repeat for several."
        ),
    ] = None
    receipt: Annotated[
        str | None, typer.Option(parser=filled, metavar="FILE", help="New file for the receipt, as JSON.")
    ] = None
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be asked of which list; remove nothing.")
    ] = False

    def keywords(self, owner: Owner) -> dict[str, Any]:
        """Returns what the library's `erase` takes."""
        services = None if self.service is None else [each.value for each in self.service]
        return {
            **attrs.asdict(owner),
            "services": services,
            "identifier_type": self.identifier_type,
            "region": self.region,
            "gum_caller_id": self.gum_caller_id,
            "rejects": self.rejects or (),
            "journals": self.journals or (),
            "snapshots": self.snapshots or (),
        }


def erase(file: FileArgument, *, erasing: Erasing, owner: Owner, yes: YesOption = False, state: Run) -> None:
    """Remove people from every contact list that could hold them, whatever form they were sent in.

    Without an owner or a service it asks all lists of all services that the credentials may see.
    """

    def command(criteo: "CriteoClient") -> Coroutine[Any, Any, None]:
        if not (yes or erasing.dry_run):
            if file == _STANDARD_INPUT:
                raise ConfigurationError("Nothing was done: confirm with --yes where standard input holds identifiers.")
            require_terminal()
        identifiers, keywords = _read(file), erasing.keywords(owner)
        if not (yes or erasing.dry_run):
            # In an event loop of its own: a question is asked outside of any, where Ctrl-C answers it.
            plan = asyncio.run(criteo.erase(identifiers, dry_run=True, **keywords))
            confirm(_question(plan))
        return _erase(criteo, identifiers, erasing, keywords, state)

    run_connected(command, state)


async def _erase(
    criteo: "CriteoClient", identifiers: list[str], erasing: Erasing, keywords: dict[str, Any], state: Run
) -> None:
    with _kept(erasing.receipt) as keep:
        receipt = await criteo.erase(identifiers, dry_run=erasing.dry_run, **keywords)
        document = receipt.to_dict()
        keep(orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    if state.json:
        print_json(document)
    else:
        _print(receipt)
    if not receipt.ok:
        print_error(receipt.explain())
        state.code = _exit_for(receipt)


def _exit_for(receipt: "ErasureReceipt") -> Exit:
    """Returns the exit code: of the first failure when nothing was removed, otherwise that of what is incomplete."""
    removed = any(each.answered_at for each in receipt.lists)
    return Exit.INCOMPLETE if removed or receipt.error is None else exit_for(receipt.error)


def _read(file: str) -> list[str]:
    """Reads the identifiers; a line that is blank stays, so that the others keep their numbers.

    Raises:
        ConfigurationError: when there is no such file, or it is no text of a sensible length; never showing its name,
            which may be an identifier.
    """
    try:
        content = read_content(file, _MOST_BYTES)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise ConfigurationError(_NO_FILE.format(reason=f"it cannot be read: {reason}")) from None
    if len(content) > _MOST_BYTES:
        raise ConfigurationError(_NO_FILE.format(reason=f"it has more than {_MOST_BYTES:,} bytes"))
    try:
        return content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        pass
    raise ConfigurationError(_NO_FILE.format(reason="it is no UTF-8 text"))


@contextmanager
def _kept(path: str | None) -> Iterator[Callable[[bytes], object]]:
    """Makes the receipt's file before anything is sent; yields what writes it. No receipt leaves no file."""
    if path is None:
        yield lambda _: None
        return
    try:
        with _new_file(path) as file:
            yield file.write
    finally:
        with suppress(OSError):
            if not Path(path).stat().st_size:
                Path(path).unlink()


def _new_file(path: str) -> BinaryIO:
    """Opens a file that is not there yet, for its owner only.

    Raises:
        ConfigurationError: when it cannot be made.
    """
    try:
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
    except FileExistsError:
        reason = "one of that name exists"
    except OSError as error:
        reason = error.strerror or type(error).__name__
    raise ConfigurationError(f"--receipt must name a new file; {reason}.")


def _question(plan: "ErasureReceipt") -> str:
    """Asks what is about to be done, with the lists and the number of identifiers.

    Raises:
        ConfigurationError: when it is known by now that no list can be asked.
    """
    if plan.error is not None and not plan.lists:
        raise plan.error
    lists = list(dict.fromkeys(f"{each.service} segment {each.segment_id}" for each in plan.lists))
    for each in lists[:_MOST_SHOWN]:
        print_error(each)
    if len(lists) > _MOST_SHOWN:
        print_error(f"… and {len(lists) - _MOST_SHOWN:,} more (--dry-run --json lists them all)")
    forms = sum(each.forms for each in plan.identifiers)
    return (
        f"Remove {_counted(len(plan.identifiers), 'identifier')}, in {_counted(forms, 'form')}, "
        f"from {_counted(plan.contact_lists, 'contact list')}?"
    )


def _print(receipt: "ErasureReceipt") -> None:
    would = "would be " if receipt.dry_run else ""
    forms = sum(each.forms for each in receipt.identifiers)
    print_result(f"identifiers    {len(receipt.identifiers):,}, in {_counted(forms, 'form')}")
    for service in receipt.services:
        whose = f" of {service.owner_id}" if service.owner_id else ""
        why = f" ({one_line(service.error)})" if service.error else ""
        print_result(f"{service.service}{whose}: {service.state.value}, {_counted(service.lists, 'contact list')}{why}")
    states = Counter(each.state for each in receipt.lists)
    for state, count in states.items():
        print_result(f"lists          {_counted(count, 'request')} {would if state == 'removed' else ''}{state.value}")
    for each in receipt.files:
        erased = f", {_counted(each.erased, 'value')}" if each.erased else ""
        print_result(
            f"{each.kind:<8}       {each.path}: {each.state.value}{erased}{f' ({each.remark})' if each.remark else ''}"
        )
    if receipt.live_from is not None:
        print_result(f"Campaigns follow from about {receipt.live_from:%Y-%m-%d %H:%M} UTC.")
    elif receipt.dry_run:
        print_result("Dry run: nothing was removed.")


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
