"""`retailers`: where the ids come from that segments of Retail Media need."""

from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from criteo_audiences.cli.options import filled
from criteo_audiences.cli.run import Run, run_connected
from criteo_audiences.cli.streams import print_json, print_table

if TYPE_CHECKING:  # slow to import: `--help` need not wait for it
    from criteo_audiences import CriteoClient

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
