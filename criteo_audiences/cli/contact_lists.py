"""`clear` and `stats`: what a contact list holds."""

import asyncio
import datetime as dt
from collections.abc import Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from criteo_audiences import PermissionDeniedError, live_from
from criteo_audiences.cli import login
from criteo_audiences.cli.options import (
    AccountOption,
    SegmentArgument,
    Service,
    ServiceArgument,
    YesOption,
    confirm,
    in_account,
    service_of,
)
from criteo_audiences.cli.run import Run, run_connected
from criteo_audiences.cli.streams import print_json, print_result

if TYPE_CHECKING:  # slow to import: `--help` need not wait for it
    from criteo_audiences import CriteoClient


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
            confirm(lambda: asyncio.run(_question(service, segment_id, account_id)))
        return _clear(criteo, service, segment_id, state)

    run_connected(command, state)


async def _question(service: Service, segment_id: str, account_id: str | None) -> str:
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
