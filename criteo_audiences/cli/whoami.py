"""`whoami`: what the credentials may work for."""

from typing import TYPE_CHECKING, Any

from criteo_audiences import CriteoError
from criteo_audiences.cli.exit_codes import one_line
from criteo_audiences.cli.options import Service, ServiceArgument, service_of
from criteo_audiences.cli.run import Run, run_connected
from criteo_audiences.cli.streams import print_error, print_json, print_result

if TYPE_CHECKING:  # slow to import: `--help` need not wait for it
    from criteo_audiences import CriteoClient


def whoami(service: ServiceArgument, state: Run) -> None:
    """Show the application of the credentials, and the advertisers or accounts it may work for."""

    async def command(criteo: "CriteoClient") -> None:
        application = await service_of(criteo, service).get_application()
        owners = await _owners(criteo, service)
        if state.json:
            found = {"id": application.application_id, "name": application.name}
            print_json({"ok": True, "application": found, "owners": owners})
            return
        print_result(f"{application.name} (application {application.application_id})")
        for owner in owners:
            print_result(f"  {owner['id']}  {owner['name']}")

    run_connected(command, state)


async def _owners(criteo: "CriteoClient", service: Service) -> list[dict[str, Any]]:
    """Lists whom the application may work for; one that may not list them can still say who it is."""
    try:
        if service is Service.MARKETING_SOLUTIONS:
            advertisers = await criteo.marketing_solutions.list_advertisers()
            return [{"id": each.id, "name": each.advertiser_name} for each in advertisers]
        if service is Service.RETAIL_MEDIA:
            return [{"id": each.id, "name": each.name} async for each in criteo.retail_media.list_accounts()]
    except CriteoError as error:
        print_error(one_line(error))
    return []
