"""`in-market`: what in-market segments can be made of."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from criteo_audiences.cli.options import filled, grouped
from criteo_audiences.cli.run import Run, run_connected
from criteo_audiences.cli.streams import print_json, print_table

if TYPE_CHECKING:  # slow to import: `--help` need not wait for it
    from criteo_audiences import CriteoClient

in_market = typer.Typer(no_args_is_help=True, help="List what in-market segments can be made of.")

AdvertiserArgument = Annotated[
    str, typer.Argument(parser=filled, metavar="ADVERTISER_ID", help="Id of the advertiser.")
]
CountryArgument = Annotated[
    str, typer.Argument(parser=filled, metavar="COUNTRY", help="ISO 3166-1 alpha-2 code, such as FR.")
]


@in_market.command()
@grouped
def interests(advertiser_id: AdvertiserArgument, country: CountryArgument, state: Run) -> None:
    """List interests; each has an id of Google's product taxonomy and its parent's."""

    async def command(criteo: "CriteoClient") -> None:
        found = await criteo.marketing_solutions.list_in_market_interests(advertiser_id, country)
        _print(state, [{"id": each.id, "parent_id": each.parent_id} for each in found])

    run_connected(command, state)


@in_market.command()
@grouped
def brands(advertiser_id: AdvertiserArgument, country: CountryArgument, state: Run) -> None:
    """List brands with the number of people interested in them."""

    async def command(criteo: "CriteoClient") -> None:
        found = await criteo.marketing_solutions.list_in_market_brands(advertiser_id, country)
        _print(state, [{"id": each.id, "name": each.name, "size": each.size} for each in found])

    run_connected(command, state)


def _print(state: Run, rows: list[dict[str, Any]]) -> None:
    if state.json:
        print_json({"ok": True, "items": rows})
        return
    header = list(rows[0]) if rows else ["nothing found"]
    print_table(header, *(["" if value is None else str(value) for value in row.values()] for row in rows))
