"""`whoami` and `in-market`: what the credentials may work for, and what segments can be made of."""

from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table as Grid

from criteo_audiences import CriteoClient, CriteoError
from criteo_audiences.cli.exits import one_line
from criteo_audiences.cli.options import DebugOption, JsonOption, Service, ServiceArgument
from criteo_audiences.cli.running import Run, run_connected, say, write_json

in_market = typer.Typer(no_args_is_help=True, help="List what in-market segments can be made of.")

AdvertiserArgument = Annotated[str, typer.Argument(help="Id of the advertiser.", show_default=False)]
CountryArgument = Annotated[str, typer.Argument(help="ISO 3166-1 alpha-2 code, such as FR.", show_default=False)]


def whoami(service: ServiceArgument, json: JsonOption = False, debug: DebugOption = False) -> None:
    """Show the application of the credentials, and the advertisers or accounts it may work for."""

    async def command(criteo: CriteoClient) -> None:
        application = await getattr(criteo, service.name.lower()).get_application()
        owners = await _owners(criteo, service)
        if json:
            found = {"id": application.application_id, "name": application.name}
            write_json({"ok": True, "application": found, "owners": owners})
            return
        typer.echo(f"{application.name} (application {application.application_id})")
        for owner in owners:
            typer.echo(f"  {owner['id']}  {owner['name']}")

    run_connected(command, Run(json=json, debug=debug))


async def _owners(criteo: CriteoClient, service: Service) -> list[dict[str, Any]]:
    """Lists whom the application may work for; one that may not list them can still say who it is."""
    try:
        if service is Service.MARKETING_SOLUTIONS:
            advertisers = await criteo.marketing_solutions.list_advertisers()
            return [{"id": each.id, "name": each.advertiser_name} for each in advertisers]
        if service is Service.RETAIL_MEDIA:
            return [{"id": each.id, "name": each.name} async for each in criteo.retail_media.list_accounts()]
    except CriteoError as error:
        say(one_line(error))
    return []


@in_market.command()
def interests(
    advertiser_id: AdvertiserArgument, country: CountryArgument, json: JsonOption = False, debug: DebugOption = False
) -> None:
    """List interests; each has an id of Google's product taxonomy and its parent's."""

    async def command(criteo: CriteoClient) -> None:
        found = await criteo.marketing_solutions.list_in_market_interests(advertiser_id, country)
        _print([{"id": each.id, "parent_id": each.parent_id} for each in found], json=json)

    run_connected(command, Run(json=json, debug=debug))


@in_market.command()
def brands(
    advertiser_id: AdvertiserArgument, country: CountryArgument, json: JsonOption = False, debug: DebugOption = False
) -> None:
    """List brands with the number of people interested in them."""

    async def command(criteo: CriteoClient) -> None:
        found = await criteo.marketing_solutions.list_in_market_brands(advertiser_id, country)
        _print([{"id": each.id, "name": each.name, "size": each.size} for each in found], json=json)

    run_connected(command, Run(json=json, debug=debug))


def _print(rows: list[dict[str, Any]], *, json: bool) -> None:
    if json:
        write_json({"ok": True, "items": rows})
        return
    grid = Grid(*(rows[0] if rows else ["nothing found"]), box=None)
    for row in rows:
        grid.add_row(*("" if value is None else str(value) for value in row.values()))
    Console(highlight=False, soft_wrap=True, markup=False).print(grid)
