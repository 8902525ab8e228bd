"""`clear` and `stats`: what a contact list holds."""

from typing import Any

import typer

from criteo_audiences import CriteoClient
from criteo_audiences.cli.options import (
    AccountOption,
    DebugOption,
    JsonOption,
    SegmentArgument,
    Service,
    ServiceArgument,
    YesOption,
    confirm,
    required_owner_id,
)
from criteo_audiences.cli.running import Run, run, write_json


def clear(
    service: ServiceArgument,
    segment_id: SegmentArgument,
    yes: YesOption = False,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Remove every identifier from a contact list; the segment stays."""

    async def command() -> None:
        if not yes:
            confirm(f"Remove every identifier from {service.value} segment {segment_id}?")
        async with CriteoClient.from_env() as criteo:
            await getattr(criteo, service.name.lower()).clear_contact_list(segment_id)
        if json:
            write_json({"ok": True, "segment_id": segment_id, "cleared": True})
        else:
            typer.echo(f"Cleared {service.value} segment {segment_id}.")

    run(command, Run(json=json, debug=debug))


def stats(
    service: ServiceArgument,
    segment_id: SegmentArgument,
    account_id: AccountOption = None,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Show how many identifiers a contact list holds and how many Criteo matched; Retail Media needs --account-id."""

    async def command() -> None:
        async with CriteoClient.from_env() as criteo:
            found = await _statistics(criteo, service, segment_id, account_id)
        if json:
            counts = {"identifiers": found.number_of_identifiers, "matches": found.number_of_matches}
            write_json({"ok": True, "segment_id": segment_id, **counts, "match_rate": found.match_rate})
            return
        typer.echo(f"{service.value} segment {segment_id}")
        typer.echo(f"  identifiers  {_count(found.number_of_identifiers)}")
        typer.echo(f"  matched      {_count(found.number_of_matches)}")
        typer.echo(f"  match rate   {'not reported' if found.match_rate is None else f'{found.match_rate:.1%}'}")

    run(command, Run(json=json, debug=debug))


async def _statistics(criteo: CriteoClient, service: Service, segment_id: str, account_id: str | None) -> Any:
    if service is Service.RETAIL_MEDIA:
        account = required_owner_id(service, {"account_id": account_id})
        return await criteo.retail_media.get_contact_list_statistics(account, segment_id)
    lists = criteo.marketing_solutions if service is Service.MARKETING_SOLUTIONS else criteo.commerce_grid
    return await lists.get_contact_list_statistics(segment_id)


def _count(number: int | None) -> str:
    return "not reported" if number is None else f"{number:,}"
