"""`segments`: list, create, update, delete, size and estimate the segments of a service."""

from collections.abc import Coroutine, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

import attrs
import typer

from criteo_audiences import ConfigurationError
from criteo_audiences.cli.bulk import (
    ChannelOption,
    EstimateScope,
    IdsArgument,
    delete_all,
    missing_ids,
    reading,
    send_all,
    send_one,
    show_estimate,
    size_all,
)
from criteo_audiences.cli.entities import Definitions, FileOption, shown
from criteo_audiences.cli.journals import note_operation
from criteo_audiences.cli.kinds import CONTACT_LIST, SegmentSettings, types
from criteo_audiences.cli.options import (
    AccountOption,
    Changes,
    DescriptionOption,
    Owner,
    RetailerOption,
    Service,
    ServiceArgument,
    YesOption,
    examples,
    filled,
    grouped,
    in_account,
    models_of,
)
from criteo_audiences.cli.output import print_json, print_table
from criteo_audiences.cli.run import Run, run_connected

if TYPE_CHECKING:  # slow to import: `--help` need not wait for it
    from criteo_audiences import CriteoClient

segments = typer.Typer(no_args_is_help=True, help="List, create, update, delete, size and estimate audience segments.")

NameArgument = Annotated[
    str | None, typer.Argument(parser=filled, metavar="NAME", help="Name, unique among the owner's segments.")
]
SegmentArgument = Annotated[
    str | None, typer.Argument(parser=filled, metavar="SEGMENT_ID", help="Id of the segment; a file has its own.")
]

_NOUN: Final = "audience_segment"

_LISTS: Mapping[Service, frozenset[str]] = {
    Service.MARKETING_SOLUTIONS: frozenset({"description"}),
    Service.RETAIL_MEDIA: frozenset({"description", "retailer_id", "identifier_type"}),
    Service.COMMERCE_GRID: frozenset({"description", "remote_id"}),
}


@attrs.frozen(kw_only=True)
class NewSegment:
    """What a segment of any kind may be created with, and a contact list, in addition to its owner and its name."""

    retailer_id: RetailerOption = None
    identifier_type: Annotated[
        str | None,
        typer.Option(parser=filled, metavar="TYPE", help="Kind of identifier in a contact list, for Retail Media."),
    ] = None
    remote_id: Annotated[
        str | None, typer.Option(parser=filled, metavar="ID", help="Your own id of a contact list, for Commerce Grid.")
    ] = None
    description: DescriptionOption = None

    def keywords(self, service: Service) -> dict[str, str]:
        """Returns what was given, as `ensure_contact_list` takes it.

        Raises:
            ConfigurationError: when something was that the service does not have.
        """
        given = {name: value for name, value in attrs.asdict(self).items() if value is not None}
        for name in given.keys() - _LISTS[service]:
            raise ConfigurationError(f"{service.value} has no --{name.replace('_', '-')}.")
        if service is Service.RETAIL_MEDIA and self.retailer_id is None:
            raise ConfigurationError("retail-media needs --retailer-id here.")
        return given


@attrs.frozen(kw_only=True)
class Filters:
    """Which segments to list; all filters must fit."""

    kind: Annotated[
        list[str] | None, typer.Option("--type", metavar="TYPE", help="Only of this kind. Repeat for several.")
    ] = None
    id: Annotated[
        list[str] | None, typer.Option(parser=filled, metavar="ID", help="Only this one. Repeat for several.")
    ] = None
    retailer_id: Annotated[
        list[str] | None,
        typer.Option(parser=filled, metavar="ID", help="Only of this retailer, in Retail Media. Repeat for several."),
    ] = None
    remote_id: Annotated[
        list[str] | None,
        typer.Option(parser=filled, metavar="ID", help="Only with this id of yours, in Commerce Grid."),
    ] = None
    name: Annotated[
        str | None, typer.Option(parser=filled, metavar="TEXT", help="Only with this in the name, in any case.")
    ] = None
    read_only: Annotated[
        bool | None,
        typer.Option("--read-only/--writable", help="Only what was made outside the API, or only the rest."),
    ] = None

    def search(self, criteo: "CriteoClient", service: Service, owner: Owner) -> Any:
        """Returns the search for what Criteo can filter.

        Raises:
            ConfigurationError: when a filter does not fit the service.
        """
        for name, home in (("retailer_id", Service.RETAIL_MEDIA), ("remote_id", Service.COMMERCE_GRID)):
            if getattr(self, name) and service is not home:
                raise ConfigurationError(f"{service.value} has no --{name.replace('_', '-')}.")
        if self.read_only is not None and service is Service.COMMERCE_GRID:
            raise ConfigurationError("commerce-grid does not say which segments are read-only.")
        wanted = {"audience_segment_ids": self.id or None, "audience_segment_types": types(service, self.kind)}
        if service is Service.RETAIL_MEDIA:
            retailers = self.retailer_id or None
            return criteo.retail_media.search_audience_segments(
                owner.required(service), retailer_ids=retailers, **wanted
            )
        whose = owner.of(service)
        owners = None if whose is None else [whose]
        if service is Service.MARKETING_SOLUTIONS:
            return criteo.marketing_solutions.search_audience_segments(advertiser_ids=owners, **wanted)
        remote = self.remote_id or None
        return criteo.commerce_grid.search_audience_segments(data_provider_ids=owners, remote_ids=remote, **wanted)

    def fit(self, segment: Any) -> bool:
        """Returns whether a segment passes what Criteo cannot filter."""
        named = self.name is None or self.name.casefold() in (segment.name or "").casefold()
        return named and self.read_only in {None, _is_read_only(segment)}


def _is_read_only(segment: Any) -> bool:
    made_by_criteo = segment.type is not None and segment.type.value == "Behavioral"
    return made_by_criteo or bool(getattr(segment.contact_list, "is_read_only", False))


@segments.command("list", epilog=examples("segments list retail-media --account-id 1 --type contact-list --writable"))
@grouped
def list_segments(service: ServiceArgument, owner: Owner, filters: Filters, state: Run) -> None:
    """List the segments of an owner; Retail Media needs --account-id, the others list all without one."""

    def command(criteo: "CriteoClient") -> Coroutine[Any, Any, None]:
        return _list(filters.search(criteo, service, owner), filters, state)

    run_connected(command, state)


async def _list(search: Any, filters: Filters, state: Run) -> None:
    known = [segment async for segment in search]
    problems = missing_ids(state, "segment", filters.id, known)
    found = [segment for segment in known if filters.fit(segment)]
    if state.json:
        print_json({"ok": not problems, "segments": [shown(each) for each in found], "problems": problems})
        return
    print_table(("id", "name", "type", "updated", "notes"), *map(_row, found))


def _row(segment: Any) -> tuple[str | None, ...]:
    kind = segment.type.value if segment.type is not None else None
    updated = segment.updated_at.isoformat()[:16] if segment.updated_at is not None else None
    return segment.id, segment.name, kind, updated, ", ".join(_notes(segment))


def _notes(segment: Any) -> list[str]:
    """Returns what one must know before an upload, and where there are several retailers."""
    retailer, kind = getattr(segment, "retailer_id", None), getattr(segment.contact_list, "identifier_type", None)
    return [
        *([f"retailer {retailer}"] if retailer else []),
        *([kind.value] if kind is not None else []),
        *(["read-only"] if _is_read_only(segment) else []),
    ]


@segments.command(
    epilog=examples(
        "segments create marketing-solutions 'CRM buyers' --advertiser-id 123",
        "segments create marketing-solutions 'Like my buyers' --advertiser-id 123 --type lookalike "
        "--seed-segment-id 812345 --target-size 100000",
        "segments create marketing-solutions --from-file segments.json",
    )
)
@grouped
def create(
    service: ServiceArgument,
    *,
    name: NameArgument = None,
    owner: Owner,
    new: NewSegment,
    from_file: FileOption = None,
    settings: SegmentSettings,
    state: Run,
) -> None:
    """Create a segment and print its id; a contact list that is there already is found, so that it can run again.

    Without --type it is a contact list. Other kinds have options, and a file may hold many segments of any kind.
    """

    def command(criteo: "CriteoClient") -> Coroutine[Any, Any, None]:
        if from_file is not None:
            if name is not None or settings.given or attrs.evolve(new, retailer_id=None) != NewSegment():
                raise ConfigurationError("--from-file says what to create; of the options only owners go with it.")
            return _create_all(criteo, service, owner, new.retailer_id, from_file, state)
        if name is None:
            raise ConfigurationError("Give NAME, or --from-file with the segments to create.")
        chosen, whose = settings.for_creation(service), owner.required(service)
        given, read = new.keywords(service), reading(criteo, service, owner.account_id, _NOUN)
        if chosen is None:
            return send_one(_ensure(criteo, service, whose, name, given), state, "segment", read)
        return send_one(_create(criteo, service, whose, name, given, chosen), state, "segment", read)

    run_connected(command, state)


def _ensure(
    criteo: "CriteoClient", service: Service, owner: str, name: str, options: dict[str, str]
) -> Coroutine[Any, Any, Any]:
    if service is Service.MARKETING_SOLUTIONS:
        return criteo.marketing_solutions.ensure_contact_list(advertiser_id=owner, name=name, **options)
    if service is Service.COMMERCE_GRID:
        return criteo.commerce_grid.ensure_contact_list(data_provider_id=owner, name=name, **options)
    return criteo.retail_media.ensure_contact_list(owner, name=name, **options)


def _create(
    criteo: "CriteoClient", service: Service, owner: str, name: str, options: dict[str, str], chosen: tuple[str, Any]
) -> Coroutine[Any, Any, Any]:
    """Creates a segment of another kind than a contact list."""
    for option in ("identifier_type", "remote_id"):
        if option in options:
            raise ConfigurationError(f"--{option.replace('_', '-')} goes with --type {CONTACT_LIST}.")
    keyword, settings = chosen
    account = owner if service is Service.RETAIL_MEDIA else None
    whose = {} if account else {service.owner: owner}
    segment = models_of(service).AudienceSegmentCreate(name=name, **whose, **options, **{keyword: settings})
    return _sent_one(in_account(criteo, service, account, "create_audience_segments")([segment]))


async def _sent_one(call: Coroutine[Any, Any, Any]) -> Any:
    return (await call).one()


def _create_all(
    criteo: "CriteoClient", service: Service, owner: Owner, retailer_id: str | None, path: str, state: Run
) -> Coroutine[Any, Any, None]:
    if retailer_id is not None and service is not Service.RETAIL_MEDIA:
        raise ConfigurationError(f"{service.value} has no --retailer-id.")
    whose = owner.of(service)
    send = in_account(criteo, service, owner.account_id, "create_audience_segments")
    definitions = _definitions(service, "Create", {service.owner: whose, "retailer_id": retailer_id})
    wanted = definitions.read(path)
    read = reading(criteo, service, owner.account_id, _NOUN)
    return send_all(send(wanted), state, "segment", [each.name for each in wanted], read)


def _definitions(service: Service, action: str, owner: Mapping[str, str | None]) -> Definitions:
    models = models_of(service)
    kind = getattr(models, f"AudienceSegment{action}")
    return Definitions(kind=kind, answer=models.AudienceSegment, noun="segment", owner=owner)


@segments.command(
    epilog=examples(
        "segments update marketing-solutions 812345 --name 'Buyers 2026'",
        "segments update marketing-solutions 812346 --type retargeting --days-since-last-visit-max 60",
        "segments update marketing-solutions --from-file changes.json",
    )
)
@grouped
def update(
    service: ServiceArgument,
    *,
    segment_id: SegmentArgument = None,
    changes: Changes,
    account_id: AccountOption = None,
    from_file: FileOption = None,
    settings: SegmentSettings,
    state: Run,
) -> None:
    """Change the name, the description or the settings of a segment; what is left out stays as it is.

    Settings take --type and the options of that kind. A file may hold many changes; null takes away what can be.
    """

    def command(criteo: "CriteoClient") -> Coroutine[Any, Any, None]:
        send = in_account(criteo, service, account_id, "update_audience_segments")
        read = reading(criteo, service, account_id, _NOUN)
        if from_file is not None:
            if segment_id is not None or settings.given or changes.given:
                raise ConfigurationError("--from-file says what to change; no SEGMENT_ID or other change goes with it.")
            wanted = _definitions(service, "Update", {"account_id": account_id}).read(from_file)
            return send_all(send(wanted), state, "segment", [each.id for each in wanted], read)
        if segment_id is None:
            raise ConfigurationError("Give SEGMENT_ID, or --from-file with the changes.")
        new = {**changes.keywords(), **settings.for_update(service)}
        change = models_of(service).AudienceSegmentUpdate(id=segment_id, **new)
        return send_one(_sent_one(send([change])), state, "segment", read)

    run_connected(command, state)


@segments.command(epilog=examples("segments delete marketing-solutions 812345 812346 --yes"))
@grouped
def delete(
    service: ServiceArgument, ids: IdsArgument, *, account_id: AccountOption = None, yes: YesOption = False, state: Run
) -> None:
    """Delete segments; one that an audience uses stays."""

    def command(criteo: "CriteoClient") -> Coroutine[Any, Any, None]:
        deleting = delete_all(criteo, state, service, account_id, _NOUN, ids, yes=yes)
        for segment_id in ids:
            note_operation(criteo, service, segment_id)
        return deleting

    run_connected(command, state)


@segments.command(epilog=examples("segments size marketing-solutions 812345 812346"))
@grouped
def size(
    service: ServiceArgument,
    ids: IdsArgument,
    *,
    account_id: AccountOption = None,
    channel: ChannelOption = None,
    state: Run,
) -> None:
    """Compute how many people segments hold; Retail Media needs --account-id and --channel, and is experimental."""

    def command(criteo: "CriteoClient") -> Coroutine[Any, Any, None]:
        if service is Service.COMMERCE_GRID:
            raise ConfigurationError("commerce-grid computes no sizes; see stats.")
        return size_all(criteo, state, service, account_id, _NOUN, ids, channel)

    run_connected(command, state)


@segments.command(
    epilog=examples(
        "segments estimate marketing-solutions --advertiser-id 123 --type in-market --country FR --interest 166",
        "segments estimate marketing-solutions --advertiser-id 123 --type location "
        "--point Louvre,48.8606,2.3376 --radius-in-km 5",
    )
)
@grouped
def estimate(
    service: ServiceArgument,
    *,
    reach: EstimateScope,
    from_file: FileOption = None,
    settings: SegmentSettings,
    state: Run,
) -> None:
    """Estimate how many people a segment would hold before it is made: in-market, location, and events.

    Retail Media (events) needs --account-id, --retailer-id and --channel, and is experimental.
    """

    def command(criteo: "CriteoClient") -> Coroutine[Any, Any, None]:
        given = reach.of_file(service)
        if from_file is not None:
            if settings.given:
                raise ConfigurationError("--from-file says what to estimate; no settings go with it.")
            wanted = _definitions(service, "Estimate", given).read_one(from_file)
        else:
            keyword, chosen = settings.for_estimate(service)
            wanted = models_of(service).AudienceSegmentEstimate(**reach.keywords(service), **{keyword: chosen})
        send = in_account(criteo, service, reach.account_id, "estimate_audience_segment_size")
        return show_estimate(send(wanted), state)

    run_connected(command, state)
