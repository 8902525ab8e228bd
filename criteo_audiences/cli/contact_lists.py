"""`clear` and `stats`: what a contact list holds."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from criteo_audiences import PermissionDeniedError
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


def clear(service: ServiceArgument, segment_id: SegmentArgument, *, yes: YesOption = False, state: Run) -> None:
    """Remove every identifier from a contact list; the segment stays."""

    def command(criteo: "CriteoClient") -> Coroutine[Any, Any, None]:
        if not yes:
            confirm(lambda: asyncio.run(_question(service, segment_id)))
        return _clear(criteo, service, segment_id, state)

    run_connected(command, state)


async def _question(service: Service, segment_id: str) -> str:
    """Returns the question with the list's name and size, where one call each shows them."""
    size, name = "every identifier", ""
    if service is not Service.RETAIL_MEDIA:  # there both want the account
        async with login.client() as criteo:
            lists = service_of(criteo, service)
            with suppress(PermissionDeniedError):
                found = await lists.get_contact_list_statistics(segment_id)
                if found.number_of_identifiers is not None:
                    size = f"all {found.number_of_identifiers:,} identifiers"
                page = await lists.search_audience_segments(audience_segment_ids=[segment_id]).page(1)
                name = "".join(f" {segment.name!r}" for segment in page.items if segment.name)
    return f"Remove {size} from {service.value} segment {segment_id}{name}?"


async def _clear(criteo: "CriteoClient", service: Service, segment_id: str, state: Run) -> None:
    await service_of(criteo, service).clear_contact_list(segment_id)
    if state.json:
        print_json({"ok": True, "segment_id": segment_id, "cleared": True})
    else:
        print_result(f"Cleared {service.value} segment {segment_id}.")


def stats(
    service: ServiceArgument, segment_id: SegmentArgument, *, account_id: AccountOption = None, state: Run
) -> None:
    """Show how many identifiers a contact list holds and how many Criteo matched; Retail Media needs --account-id."""

    async def command(criteo: "CriteoClient") -> None:
        found = await in_account(criteo, service, account_id, "get_contact_list_statistics")(segment_id)
        if state.json:
            counts = {"identifiers": found.number_of_identifiers, "matches": found.number_of_matches}
            print_json({"ok": True, "segment_id": segment_id, **counts, "match_rate": found.match_rate})
            return
        print_result(f"{service.value} segment {segment_id}")
        print_result(f"  identifiers  {_count(found.number_of_identifiers)}")
        print_result(f"  matched      {_count(found.number_of_matches)}")
        print_result(f"  match rate   {'not reported' if found.match_rate is None else f'{found.match_rate:.1%}'}")

    run_connected(command, state)


def _count(number: int | None) -> str:
    return "not reported" if number is None else f"{number:,}"
