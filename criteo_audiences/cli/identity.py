"""`whoami` and `in-market`: what the credentials may work for, and what segments can be made of."""

from typing import Annotated, Any

import typer

from criteo_audiences import CriteoClient, CriteoError
from criteo_audiences.cli.exits import one_line
from criteo_audiences.cli.groups import grouped
from criteo_audiences.cli.options import Service, ServiceArgument, filled, service_of
from criteo_audiences.cli.running import Run, run_connected
from criteo_audiences.cli.streams import say, tell, tell_table, write_json

in_market = typer.Typer(no_args_is_help=True, help="List what in-market segments can be made of.")

AdvertiserArgument = Annotated[
    str, typer.Argument(parser=filled, metavar="ADVERTISER_ID", help="Id of the advertiser.")
]
CountryArgument = Annotated[
    str, typer.Argument(parser=filled, metavar="COUNTRY", help="ISO 3166-1 alpha-2 code, such as FR.")
]


def whoami(service: ServiceArgument, state: Run) -> None:
    """Show the application of the credentials, and the advertisers or accounts it may work for."""

    async def command(criteo: CriteoClient) -> None:
        application = await service_of(criteo, service).get_application()
        owners = await _owners(criteo, service)
        if state.json:
            found = {"id": application.application_id, "name": application.name}
            write_json({"ok": True, "application": found, "owners": owners})
            return
        tell(f"{application.name} (application {application.application_id})")
        for owner in owners:
            tell(f"  {owner['id']}  {owner['name']}")

    run_connected(command, state)


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
@grouped
def interests(advertiser_id: AdvertiserArgument, country: CountryArgument, state: Run) -> None:
    """List interests; each has an id of Google's product taxonomy and its parent's."""

    async def command(criteo: CriteoClient) -> None:
        found = await criteo.marketing_solutions.list_in_market_interests(advertiser_id, country)
        _print(state, [{"id": each.id, "parent_id": each.parent_id} for each in found])

    run_connected(command, state)


@in_market.command()
@grouped
def brands(advertiser_id: AdvertiserArgument, country: CountryArgument, state: Run) -> None:
    """List brands with the number of people interested in them."""

    async def command(criteo: CriteoClient) -> None:
        found = await criteo.marketing_solutions.list_in_market_brands(advertiser_id, country)
        _print(state, [{"id": each.id, "name": each.name, "size": each.size} for each in found])

    run_connected(command, state)


def _print(state: Run, rows: list[dict[str, Any]]) -> None:
    if state.json:
        write_json({"ok": True, "items": rows})
        return
    header = list(rows[0]) if rows else ["nothing found"]
    tell_table(header, *(["" if value is None else str(value) for value in row.values()] for row in rows))
