"""`ad-sets`, `line-items`, `in-market` and `retailers`: what reaches audiences, and what segments are made of."""

from collections import Counter
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Annotated, Any

import typer

from criteo_audiences.cli.entities import shown
from criteo_audiences.cli.options import Service, examples, filled, grouped, models_of
from criteo_audiences.cli.output import print_json, print_result, print_table
from criteo_audiences.cli.run import Run, run_connected

if TYPE_CHECKING:
    from criteo_audiences import CriteoClient


ad_sets = typer.Typer(
    no_args_is_help=True,
    short_help="Link audiences with ad sets of Marketing Solutions.",
    help="Link audiences with ad sets of Marketing Solutions; needs the Campaign permission. Criteo's audience "
    "endpoints know the ad sets that have an audience; ids of others come from its campaign endpoints or interface.",
)
line_items = typer.Typer(
    no_args_is_help=True,
    short_help="Show and change the audiences of preferred line items of Retail Media.",
    help="Show and change the audiences of preferred line items of Retail Media; needs the Campaign permission. "
    "Criteo's audience endpoints list no line items; ids come from its campaign endpoints or interface.",
)

AdSetArgument = Annotated[str, typer.Argument(parser=filled, metavar="AD_SET_ID", help="Id of the ad set.")]
AudienceArgument = Annotated[str, typer.Argument(parser=filled, metavar="AUDIENCE_ID", help="Id of the audience.")]
LineItemArgument = Annotated[str, typer.Argument(parser=filled, metavar="LINE_ITEM_ID", help="Id of the line item.")]
AudiencesArgument = Annotated[
    list[str], typer.Argument(parser=filled, metavar="AUDIENCE_ID...", help="Ids of audiences, separated by spaces.")
]
AdvertiserOption = Annotated[
    str | None, typer.Option(parser=filled, metavar="ID", help="Only of this advertiser's audiences.")
]


@ad_sets.command("list", epilog=examples("ad-sets list --advertiser-id 123"))
@grouped
def list_ad_sets(*, advertiser_id: AdvertiserOption = None, state: Run) -> None:
    """List the ad sets that have an audience, with that audience."""

    async def command(criteo: "CriteoClient") -> None:
        owners = None if advertiser_id is None else [advertiser_id]
        search = criteo.marketing_solutions.search_audiences(advertiser_ids=owners)
        found = [
            {"id": ad_set, "audience_id": audience.id, "audience_name": audience.name}
            async for audience in search
            for ad_set in audience.ad_set_ids or ()
        ]
        if state.json:
            print_json({"ok": True, "ad_sets": found})
        else:
            print_table(("id", "audience", "name"), *([*row.values()] for row in found))

    run_connected(command, state)


@ad_sets.command("set", epilog=examples("ad-sets set 55 700001"))
@grouped
def set_audience(ad_set_id: AdSetArgument, audience_id: AudienceArgument, state: Run) -> None:
    """Let an ad set reach an audience, in place of the one it has."""

    def command(criteo: "CriteoClient") -> Coroutine[Any, Any, None]:
        return _link(criteo, ad_set_id, audience_id, state)

    run_connected(command, state)


@ad_sets.command("unset", epilog=examples("ad-sets unset 55"))
@grouped
def unset_audience(ad_set_id: AdSetArgument, state: Run) -> None:
    """Take the audience of an ad set away."""

    def command(criteo: "CriteoClient") -> Coroutine[Any, Any, None]:
        return _link(criteo, ad_set_id, None, state)

    run_connected(command, state)


async def _link(criteo: "CriteoClient", ad_set_id: str, audience_id: str | None, state: Run) -> None:
    linked = await criteo.marketing_solutions.set_ad_set_audience(ad_set_id, audience_id)
    if state.json:
        print_json({"ok": True, "ad_set": shown(linked)})
    elif audience_id is None:
        print_result(f"Ad set {ad_set_id} has no audience.")
    else:
        print_result(f"Ad set {ad_set_id} has audience {audience_id}.")


@line_items.command(epilog=examples("line-items show 66"))
@grouped
def show(line_item_id: LineItemArgument, state: Run) -> None:
    """Show the audiences that a line item reaches, or leaves out."""

    def command(criteo: "CriteoClient") -> Coroutine[Any, Any, None]:
        return _show(criteo.retail_media.get_line_item_audiences(line_item_id), line_item_id, state)

    run_connected(command, state)


@line_items.command("set", epilog=examples("line-items set 66 700001 700002 --scope exclude"))
@grouped
def set_audiences(
    line_item_id: LineItemArgument,
    audience_ids: AudiencesArgument,
    *,
    scope: Annotated[
        str, typer.Option(metavar="WORD", help="include for people to reach, exclude for people to leave out.")
    ],
    state: Run,
) -> None:
    """Replace the audiences of a line item."""

    def command(criteo: "CriteoClient") -> Coroutine[Any, Any, None]:
        target = models_of(Service.RETAIL_MEDIA).AudienceTarget(scope=scope, audience_ids=audience_ids)
        return _show(criteo.retail_media.set_line_item_audiences(line_item_id, target), line_item_id, state)

    run_connected(command, state)


@line_items.command("append", epilog=examples("line-items append 66 700003"))
@grouped
def append_audiences(line_item_id: LineItemArgument, audience_ids: AudiencesArgument, state: Run) -> None:
    """Add audiences to those of a line item."""

    def command(criteo: "CriteoClient") -> Coroutine[Any, Any, None]:
        return _show(criteo.retail_media.append_line_item_audiences(line_item_id, audience_ids), line_item_id, state)

    run_connected(command, state)


@line_items.command("remove", epilog=examples("line-items remove 66 700003"))
@grouped
def remove_audiences(line_item_id: LineItemArgument, audience_ids: AudiencesArgument, state: Run) -> None:
    """Take audiences out of those of a line item."""

    def command(criteo: "CriteoClient") -> Coroutine[Any, Any, None]:
        return _show(criteo.retail_media.delete_line_item_audiences(line_item_id, audience_ids), line_item_id, state)

    run_connected(command, state)


async def _show(call: Coroutine[Any, Any, Any], line_item_id: str, state: Run) -> None:
    target = await call
    if state.json:
        print_json({"ok": True, "line_item": {"id": line_item_id, **shown(target)}})
        return
    print_result(f"{target.scope.value}:")
    for each in target.audience_ids:
        print_result(f"  {each}")


in_market = typer.Typer(no_args_is_help=True, help="List what in-market segments can be made of.")

AdvertiserArgument = Annotated[
    str, typer.Argument(parser=filled, metavar="ADVERTISER_ID", help="Id of the advertiser.")
]
CountryArgument = Annotated[
    str, typer.Argument(parser=filled, metavar="COUNTRY", help="ISO 3166-1 alpha-2 code, such as FR.")
]


@in_market.command(epilog=examples("in-market interests 123 FR"))
@grouped
def interests(advertiser_id: AdvertiserArgument, country: CountryArgument, state: Run) -> None:
    """List interests; each has an id of Google's product taxonomy and its parent's."""

    async def command(criteo: "CriteoClient") -> None:
        found = await criteo.marketing_solutions.list_in_market_interests(advertiser_id, country)
        _print(state, [{"id": each.id, "parent_id": each.parent_id} for each in found])

    run_connected(command, state)


@in_market.command(epilog=examples("in-market brands 123 FR --json"))
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


AccountArgument = Annotated[
    str, typer.Argument(parser=filled, metavar="ACCOUNT_ID", help="Id of the account, of `whoami retail-media`.")
]


def retailers(account_id: AccountArgument, state: Run) -> None:
    """List the retailers that an account has segments or audiences of; these ids go with --retailer-id.

    Criteo's audience endpoints know no others. Ids of those come from its campaign endpoints or its account team.
    """

    async def command(criteo: "CriteoClient") -> None:
        of_segments = Counter(
            [each.retailer_id async for each in criteo.retail_media.search_audience_segments(account_id)]
        )
        of_audiences = Counter([each.retailer_id async for each in criteo.retail_media.search_audiences(account_id)])
        found = [
            {"id": each, "segments": of_segments[each], "audiences": of_audiences[each]}
            for each in sorted({*of_segments, *of_audiences} - {None}, key=str)
        ]
        if state.json:
            print_json({"ok": True, "retailers": found})
        else:
            print_table(("id", "segments", "audiences"), *([str(cell) for cell in row.values()] for row in found))

    run_connected(command, state)
