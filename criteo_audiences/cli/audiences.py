"""`audiences`: list, create, delete and size the audiences of an owner."""

from collections.abc import Mapping
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table as Grid

from criteo_audiences import BulkResult, ConfigurationError, CriteoClient
from criteo_audiences import marketing_solutions as ms
from criteo_audiences import retail_media as rm
from criteo_audiences.audiences import Expression
from criteo_audiences.cli.options import (
    AccountOption,
    AdvertiserOption,
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

audiences = typer.Typer(no_args_is_help=True, help="List, create, delete and size audiences.")

IdsArgument = Annotated[list[str], typer.Argument(help="Ids of the audiences.", show_default=False)]
ChannelOption = Annotated[str | None, typer.Option(help="Onsite or Offsite, for Retail Media.")]


@audiences.command("list")
def list_audiences(
    service: ServiceArgument,
    advertiser_id: AdvertiserOption = None,
    account_id: AccountOption = None,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """List the audiences of an owner with whom they hold."""
    owners = {"advertiser_id": advertiser_id, "account_id": account_id}

    async def command(criteo: CriteoClient) -> None:
        found = [_shown(audience) async for audience in _search(criteo, service, owners)]
        if json:
            write_json({"ok": True, "audiences": found})
            return
        grid = Grid("id", "name", "algebra", box=None)
        for row in found:
            grid.add_row(row["id"], row["name"], row["algebra"])
        Console(highlight=False, soft_wrap=True, markup=False).print(grid)

    run_connected(command, Run(json=json, debug=debug))


@audiences.command()
def create(
    service: ServiceArgument,
    name: Annotated[str, typer.Argument(help="Name, unique among the owner's audiences.", show_default=False)],
    algebra: Annotated[
        str, typer.Option(help='Criteo\'s node as JSON, such as \'{"and": [{"audienceSegmentId": "1"}, …]}\'.')
    ],
    advertiser_id: AdvertiserOption = None,
    account_id: AccountOption = None,
    retailer_id: Annotated[str | None, typer.Option(help="Retailer, for Retail Media.")] = None,
    description: Annotated[str | None, typer.Option(help="Free text.")] = None,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Create an audience and print its id."""
    owners = {"advertiser_id": advertiser_id, "account_id": account_id}

    async def command(criteo: CriteoClient) -> None:
        _require_audiences(service)
        whom = _read_algebra(algebra)
        owner = required_owner_id(service, owners)
        result: BulkResult[Any]
        if service is Service.RETAIL_MEDIA:
            if retailer_id is None:
                raise ConfigurationError("retail-media needs --retailer-id here.")
            theirs = rm.AudienceCreate(retailer_id=retailer_id, name=name, algebra=whom, description=description)
            result = await criteo.retail_media.create_audiences(owner, [theirs])
        else:
            ours = ms.AudienceCreate(advertiser_id=owner, name=name, algebra=whom, description=description)
            result = await criteo.marketing_solutions.create_audiences([ours])
        if json:
            write_json({"ok": True, "audience": _shown(result.one())})
        else:
            typer.echo(result.one().id)

    run_connected(command, Run(json=json, debug=debug))


@audiences.command()
def delete(
    service: ServiceArgument,
    audience_ids: IdsArgument,
    account_id: AccountOption = None,
    yes: YesOption = False,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Delete audiences."""
    state = Run(json=json, debug=debug)

    async def command(criteo: CriteoClient) -> None:
        _require_audiences(service)
        if not yes:
            confirm(f"Delete {len(audience_ids)} audience(s) of {service.value}?")
        result = await in_account(criteo, service, account_id, "delete_audiences")(audience_ids)
        told = tell_problems(state, result, audience_ids)
        if json:
            write_json({"ok": not told, "deleted": list(result.items), "problems": told})
        else:
            typer.echo("\n".join(result.items))

    run_connected(command, state)


@audiences.command()
def size(
    service: ServiceArgument,
    audience_ids: IdsArgument,
    account_id: AccountOption = None,
    channel: ChannelOption = None,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Compute how many people audiences hold."""
    state = Run(json=json, debug=debug)

    async def command(criteo: CriteoClient) -> None:
        _require_audiences(service)
        await print_sizes(criteo, state, service, account_id, "compute_audience_sizes", audience_ids, channel)

    run_connected(command, state)


async def print_sizes(
    criteo: CriteoClient,
    state: Run,
    service: Service,
    account_id: str | None,
    method: str,
    ids: list[str],
    channel: str | None,
) -> None:
    """Computes sizes and prints them, with the problems of those that have none."""
    if (channel is not None) != (service is Service.RETAIL_MEDIA):
        raise ConfigurationError("--channel goes with retail-media, which needs it.")
    options: Mapping[str, Any] = {} if channel is None else {"channel": channel}
    result = await in_account(criteo, service, account_id, method)(ids, **options)
    told = tell_problems(state, result, ids)
    if state.json:
        write_json({"ok": not told, "sizes": {each.id: each.size for each in result.items}, "problems": told})
        return
    for each in result.items:
        typer.echo(f"{each.id}  {'not shown' if each.size is None else f'{each.size:,}'}")


def _search(criteo: CriteoClient, service: Service, owners: dict[str, str | None]) -> Any:
    _require_audiences(service)
    if service is Service.RETAIL_MEDIA:
        return criteo.retail_media.search_audiences(required_owner_id(service, owners))
    owner = owner_id(service, owners)
    return criteo.marketing_solutions.search_audiences(advertiser_ids=None if owner is None else [owner])


def _require_audiences(service: Service) -> None:
    if service is Service.COMMERCE_GRID:
        raise ConfigurationError("commerce-grid has no audiences, only segments.")


def _read_algebra(text: str) -> Expression:
    try:
        return Expression.from_wire(orjson.loads(text))
    except ValueError:
        raise ConfigurationError("--algebra must be a node of audienceSegmentId, and, or, not, as JSON.") from None


def _shown(audience: Any) -> dict[str, Any]:
    return {
        "id": audience.id,
        "name": audience.name,
        "description": audience.description,
        "algebra": repr(audience.algebra) if audience.algebra is not None else None,
    }
