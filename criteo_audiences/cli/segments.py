"""`segments`: list, create, update, delete and size the segments of a service."""

from collections.abc import Coroutine, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import attrs
import typer

from criteo_audiences import ConfigurationError
from criteo_audiences.cli.bulk import ChannelOption, IdsArgument, delete_all, size_all
from criteo_audiences.cli.in_market import AdvertiserArgument
from criteo_audiences.cli.options import (
    AccountOption,
    DescriptionOption,
    Owner,
    RetailerOption,
    SegmentArgument,
    Service,
    ServiceArgument,
    YesOption,
    filled,
    grouped,
    in_account,
    models_of,
)
from criteo_audiences.cli.run import Run, run_connected
from criteo_audiences.cli.state_directory import note_operation
from criteo_audiences.cli.streams import print_json, print_result, print_table

if TYPE_CHECKING:  # slow to import: `--help` need not wait for it
    from criteo_audiences import CriteoClient

segments = typer.Typer(no_args_is_help=True, help="List, create, update, delete and size audience segments.")

NameArgument = Annotated[
    str, typer.Argument(parser=filled, metavar="NAME", help="Name, unique among the owner's segments.")
]
InterestOption = Annotated[list[str] | None, typer.Option(metavar="ID", help="Interest. Repeat for several.")]
BrandOption = Annotated[list[str] | None, typer.Option(metavar="ID", help="Brand. Repeat for several.")]

_LISTS: Mapping[Service, frozenset[str]] = {
    Service.MARKETING_SOLUTIONS: frozenset({"description"}),
    Service.RETAIL_MEDIA: frozenset({"description", "retailer_id", "identifier_type"}),
    Service.COMMERCE_GRID: frozenset({"description", "remote_id"}),
}


@attrs.frozen(kw_only=True)
class NewList:
    """What a contact list may be created with, in addition to its owner and its name."""

    retailer_id: RetailerOption = None
    identifier_type: Annotated[
        str | None,
        typer.Option(parser=filled, metavar="TYPE", help="Kind of identifier in the list, for Retail Media."),
    ] = None
    remote_id: Annotated[
        str | None, typer.Option(parser=filled, metavar="ID", help="Your own id of the list, for Commerce Grid.")
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


@segments.command("list")
@grouped
def list_segments(service: ServiceArgument, owner: Owner, state: Run) -> None:
    """List the segments of an owner; Retail Media needs --account-id, the others list all without one."""

    async def command(criteo: "CriteoClient") -> None:
        found = [_shown(segment) async for segment in _search(criteo, service, owner)]
        if state.json:
            print_json({"ok": True, "segments": found})
            return
        rows = ((row["id"], row["name"], row["type"], (row["updated_at"] or "")[:16]) for row in found)
        print_table(("id", "name", "type", "updated"), *rows)

    run_connected(command, state)


@segments.command()
@grouped
def create(service: ServiceArgument, name: NameArgument, owner: Owner, new: NewList, state: Run) -> None:
    """Make sure that a contact list of this name is there, and print its id; running it again changes nothing."""

    def command(criteo: "CriteoClient") -> Coroutine[Any, Any, None]:
        return _one(_ensure(criteo, service, owner.required(service), name, new.keywords(service)), state)

    run_connected(command, state)


@segments.command()
@grouped
def update(
    service: ServiceArgument,
    segment_id: SegmentArgument,
    *,
    name: Annotated[str | None, typer.Option(parser=filled, metavar="TEXT", help="New name.")] = None,
    description: DescriptionOption = None,
    no_description: Annotated[bool, typer.Option("--no-description", help="Remove the description.")] = False,
    account_id: AccountOption = None,
    state: Run,
) -> None:
    """Change the name or the description of a segment."""
    changes: dict[str, Any] = {} if name is None else {"name": name}
    if description is not None or no_description:
        changes["description"] = None if no_description else description

    def command(criteo: "CriteoClient") -> Coroutine[Any, Any, None]:
        if description is not None and no_description:
            raise ConfigurationError("Give --description or --no-description, not both.")
        change = models_of(service).AudienceSegmentUpdate(id=segment_id, **changes)
        send = in_account(criteo, service, account_id, "update_audience_segments")

        async def updated() -> Any:
            return (await send([change])).one()

        return _one(updated(), state)

    run_connected(command, state)


@segments.command()
@grouped
def delete(
    service: ServiceArgument, ids: IdsArgument, *, account_id: AccountOption = None, yes: YesOption = False, state: Run
) -> None:
    """Delete segments; one that an audience uses stays."""

    def command(criteo: "CriteoClient") -> Coroutine[Any, Any, None]:
        deleting = delete_all(criteo, state, service, account_id, "audience_segment", ids, yes=yes)
        for segment_id in ids:
            note_operation(criteo, service, segment_id)
        return deleting

    run_connected(command, state)


@segments.command()
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
        return size_all(criteo, state, service, account_id, "audience_segment", ids, channel)

    run_connected(command, state)


@segments.command()
@grouped
def estimate(
    advertiser_id: AdvertiserArgument,
    *,
    country: Annotated[str, typer.Option(parser=filled, metavar="CODE", help="ISO 3166-1 alpha-2, such as FR.")],
    interest: InterestOption = None,
    brand: BrandOption = None,
    gender: Annotated[str | None, typer.Option(metavar="TEXT", help="Male or Female.")] = None,
    state: Run,
) -> None:
    """Estimate how many people an in-market segment of Marketing Solutions would hold."""

    async def command(criteo: "CriteoClient") -> None:
        ms = models_of(Service.MARKETING_SOLUTIONS)
        settings = ms.InMarketCreate(country=country, interest_ids=interest, brand_ids=brand, gender=gender)
        definition = ms.AudienceSegmentEstimate(advertiser_id=advertiser_id, in_market=settings)
        found = await criteo.marketing_solutions.estimate_audience_segment_size(definition)
        if state.json:
            print_json({"ok": True, "size": found.size})
        else:
            print_result("not shown" if found.size is None else f"{found.size:,}")

    run_connected(command, state)


def _search(criteo: "CriteoClient", service: Service, owner: Owner) -> Any:
    if service is Service.RETAIL_MEDIA:
        return criteo.retail_media.search_audience_segments(owner.required(service))
    whose = owner.of(service)
    wanted = None if whose is None else [whose]
    if service is Service.MARKETING_SOLUTIONS:
        return criteo.marketing_solutions.search_audience_segments(advertiser_ids=wanted)
    return criteo.commerce_grid.search_audience_segments(data_provider_ids=wanted)


def _ensure(
    criteo: "CriteoClient", service: Service, owner: str, name: str, options: dict[str, str]
) -> Coroutine[Any, Any, Any]:
    if service is Service.MARKETING_SOLUTIONS:
        return criteo.marketing_solutions.ensure_contact_list(advertiser_id=owner, name=name, **options)
    if service is Service.COMMERCE_GRID:
        return criteo.commerce_grid.ensure_contact_list(data_provider_id=owner, name=name, **options)
    return criteo.retail_media.ensure_contact_list(owner, name=name, **options)


async def _one(call: Coroutine[Any, Any, Any], state: Run) -> None:
    segment = await call
    if state.json:
        print_json({"ok": True, "segment": _shown(segment)})
    else:
        print_result(segment.id)


def _shown(segment: Any) -> dict[str, Any]:
    return {
        "id": segment.id,
        "name": segment.name,
        "type": segment.type.value if segment.type is not None else None,
        "description": segment.description,
        "created_at": segment.created_at.isoformat() if segment.created_at else None,
        "updated_at": segment.updated_at.isoformat() if segment.updated_at else None,
    }
