"""`segments`: list, create, update, delete and size the segments of a service."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table as Grid

from criteo_audiences import BulkResult, ConfigurationError, CriteoClient
from criteo_audiences import commerce_grid as cg
from criteo_audiences import marketing_solutions as ms
from criteo_audiences import retail_media as rm
from criteo_audiences.cli.audiences import ChannelOption, print_sizes
from criteo_audiences.cli.options import (
    AccountOption,
    AdvertiserOption,
    DataProviderOption,
    DebugOption,
    JsonOption,
    Service,
    ServiceArgument,
    YesOption,
    confirm,
    in_account,
    owner_id,
    required_owner_id,
)
from criteo_audiences.cli.running import Run, run_connected, tell_problems, write_json

segments = typer.Typer(no_args_is_help=True, help="List, create, update, delete and size audience segments.")

IdArgument = Annotated[str, typer.Argument(help="Id of the segment.", show_default=False)]
NameArgument = Annotated[str, typer.Argument(help="Name, unique among the owner's segments.", show_default=False)]
DescriptionOption = Annotated[str | None, typer.Option(help="Free text.")]

_UPDATES: Mapping[Service, Callable[..., Any]] = {
    Service.MARKETING_SOLUTIONS: ms.AudienceSegmentUpdate,
    Service.RETAIL_MEDIA: rm.AudienceSegmentUpdate,
    Service.COMMERCE_GRID: cg.AudienceSegmentUpdate,
}


@segments.command("list")
def list_segments(
    service: ServiceArgument,
    advertiser_id: AdvertiserOption = None,
    account_id: AccountOption = None,
    data_provider_id: DataProviderOption = None,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """List the segments of an owner; Retail Media needs --account-id, the others list all without one."""
    owners = {"advertiser_id": advertiser_id, "account_id": account_id, "data_provider_id": data_provider_id}

    async def command(criteo: CriteoClient) -> None:
        found = [_shown(segment) async for segment in _search(criteo, service, owners)]
        if json:
            write_json({"ok": True, "segments": found})
            return
        grid = Grid("id", "name", "type", "updated", box=None)
        for row in found:
            grid.add_row(row["id"], row["name"], row["type"], (row["updated_at"] or "")[:16])
        Console(highlight=False, soft_wrap=True, markup=False).print(grid)

    run_connected(command, Run(json=json, debug=debug))


@segments.command()
def create(
    service: ServiceArgument,
    name: NameArgument,
    advertiser_id: AdvertiserOption = None,
    account_id: AccountOption = None,
    data_provider_id: DataProviderOption = None,
    retailer_id: Annotated[str | None, typer.Option(help="Retailer, for Retail Media.")] = None,
    identifier_type: Annotated[str | None, typer.Option(help="What the list takes, for Retail Media.")] = None,
    remote_id: Annotated[str | None, typer.Option(help="Own id of the list, for Commerce Grid.")] = None,
    description: DescriptionOption = None,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Make sure that a contact list of this name is there, and print its id; running it again changes nothing."""
    owners = {"advertiser_id": advertiser_id, "account_id": account_id, "data_provider_id": data_provider_id}
    extra = {"retailer_id": retailer_id, "identifier_type": identifier_type, "remote_id": remote_id}
    options = {key: value for key, value in {**extra, "description": description}.items() if value is not None}

    async def command(criteo: CriteoClient) -> None:
        segment = await _ensure(criteo, service, required_owner_id(service, owners), name, options)
        if json:
            write_json({"ok": True, "segment": _shown(segment)})
        else:
            typer.echo(segment.id)

    run_connected(command, Run(json=json, debug=debug))


@segments.command()
def update(
    service: ServiceArgument,
    segment_id: IdArgument,
    name: Annotated[str | None, typer.Option(help="New name.")] = None,
    description: DescriptionOption = None,
    no_description: Annotated[bool, typer.Option("--no-description", help="Take the description away.")] = False,
    account_id: AccountOption = None,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Change the name or the description of a segment."""
    changes: dict[str, Any] = {} if name is None else {"name": name}
    if description is not None or no_description:
        changes["description"] = None if no_description else description

    async def command(criteo: CriteoClient) -> None:
        if description is not None and no_description:
            raise ConfigurationError("Give --description or --no-description, not both.")
        change = _UPDATES[service](id=segment_id, **changes)
        result = await in_account(criteo, service, account_id, "update_audience_segments")([change])
        if json:
            write_json({"ok": True, "segment": _shown(result.one())})
        else:
            typer.echo(result.one().id)

    run_connected(command, Run(json=json, debug=debug))


@segments.command()
def delete(
    service: ServiceArgument,
    segment_ids: Annotated[list[str], typer.Argument(help="Ids of the segments.", show_default=False)],
    account_id: AccountOption = None,
    yes: YesOption = False,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Delete segments; one that an audience uses stays."""
    state = Run(json=json, debug=debug)

    async def command(criteo: CriteoClient) -> None:
        if not yes:
            confirm(f"Delete {len(segment_ids)} segment(s) of {service.value}?")
        result: BulkResult[str] = await in_account(criteo, service, account_id, "delete_audience_segments")(segment_ids)
        told = tell_problems(state, result, segment_ids)
        if json:
            write_json({"ok": not told, "deleted": list(result.items), "problems": told})
        else:
            typer.echo("\n".join(result.items))

    run_connected(command, state)


@segments.command()
def size(
    service: ServiceArgument,
    segment_ids: Annotated[list[str], typer.Argument(help="Ids of the segments.", show_default=False)],
    account_id: AccountOption = None,
    channel: ChannelOption = None,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Compute how many people segments hold; Retail Media needs --account-id and --channel, and is experimental."""
    state = Run(json=json, debug=debug)

    async def command(criteo: CriteoClient) -> None:
        if service is Service.COMMERCE_GRID:
            raise ConfigurationError("commerce-grid computes no sizes; see stats.")
        await print_sizes(criteo, state, service, account_id, "compute_audience_segment_sizes", segment_ids, channel)

    run_connected(command, state)


@segments.command()
def estimate(
    advertiser_id: Annotated[str, typer.Argument(help="Id of the advertiser.", show_default=False)],
    country: Annotated[str, typer.Option(help="ISO 3166-1 alpha-2 code, such as FR.")],
    interest: Annotated[list[str] | None, typer.Option(help="Id of an interest; may be repeated.")] = None,
    brand: Annotated[list[str] | None, typer.Option(help="Id of a brand; may be repeated.")] = None,
    gender: Annotated[str | None, typer.Option(help="Male or Female.")] = None,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Estimate how many people an in-market segment of Marketing Solutions would hold."""

    async def command(criteo: CriteoClient) -> None:
        settings = ms.InMarketCreate(country=country, interest_ids=interest, brand_ids=brand, gender=gender)
        definition = ms.AudienceSegmentEstimate(advertiser_id=advertiser_id, in_market=settings)
        found = await criteo.marketing_solutions.estimate_audience_segment_size(definition)
        if json:
            write_json({"ok": True, "size": found.size})
        else:
            typer.echo("not shown" if found.size is None else f"{found.size:,}")

    run_connected(command, Run(json=json, debug=debug))


def _search(criteo: CriteoClient, service: Service, owners: dict[str, str | None]) -> Any:
    if service is Service.RETAIL_MEDIA:
        return criteo.retail_media.search_audience_segments(required_owner_id(service, owners))
    owner = owner_id(service, owners)
    wanted = None if owner is None else [owner]
    if service is Service.MARKETING_SOLUTIONS:
        return criteo.marketing_solutions.search_audience_segments(advertiser_ids=wanted)
    return criteo.commerce_grid.search_audience_segments(data_provider_ids=wanted)


async def _ensure(
    criteo: CriteoClient, service: Service, owner: str, name: str, options: dict[str, str]
) -> ms.AudienceSegment | rm.AudienceSegment | cg.AudienceSegment:
    allowed = {
        Service.MARKETING_SOLUTIONS: {"description"},
        Service.RETAIL_MEDIA: {"description", "retailer_id", "identifier_type"},
        Service.COMMERCE_GRID: {"description", "remote_id"},
    }[service]
    for option in options.keys() - allowed:
        raise ConfigurationError(f"{service.value} has no --{option.replace('_', '-')}.")
    if service is Service.MARKETING_SOLUTIONS:
        return await criteo.marketing_solutions.ensure_contact_list(advertiser_id=owner, name=name, **options)
    if service is Service.COMMERCE_GRID:
        return await criteo.commerce_grid.ensure_contact_list(data_provider_id=owner, name=name, **options)
    if "retailer_id" not in options:
        raise ConfigurationError("retail-media needs --retailer-id here.")
    return await criteo.retail_media.ensure_contact_list(owner, name=name, **options)


def _shown(segment: Any) -> dict[str, Any]:
    return {
        "id": segment.id,
        "name": segment.name,
        "type": segment.type.value if segment.type is not None else None,
        "description": segment.description,
        "created_at": segment.created_at.isoformat() if segment.created_at else None,
        "updated_at": segment.updated_at.isoformat() if segment.updated_at else None,
    }
