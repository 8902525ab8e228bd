"""`audiences`: list, create, delete and size the audiences of an owner."""

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from criteo_audiences import BulkResult, ConfigurationError
from criteo_audiences.cli.bulk import ChannelOption, IdsArgument, delete_all, size_all
from criteo_audiences.cli.options import (
    AccountOption,
    Buyer,
    DescriptionOption,
    RetailerOption,
    Service,
    ServiceArgument,
    YesOption,
    filled,
    grouped,
    models_of,
)
from criteo_audiences.cli.run import Run, run_connected
from criteo_audiences.cli.streams import print_json, print_result, print_table

if TYPE_CHECKING:  # slow to import: `--help` need not wait for it
    from criteo_audiences import CriteoClient

audiences = typer.Typer(no_args_is_help=True, help="List, create, delete and size audiences.")

NameArgument = Annotated[
    str, typer.Argument(parser=filled, metavar="NAME", help="Name, unique among the owner's audiences.")
]
AlgebraOption = Annotated[
    str,
    typer.Option(metavar="JSON", help='Criteo\'s node, such as \'{"and": [{"audienceSegmentId": "1"}, ...]}\'.'),
]


@audiences.command("list")
@grouped
def list_audiences(service: ServiceArgument, owner: Buyer, state: Run) -> None:
    """List the audiences of an owner, each with the segments it combines."""

    async def command(criteo: "CriteoClient") -> None:
        found = [_shown(audience) async for audience in _search(criteo, service, owner)]
        if state.json:
            print_json({"ok": True, "audiences": found})
        else:
            header = ("id", "name", "algebra")
            print_table(header, *([row[column] for column in header] for row in found))

    run_connected(command, state)


@audiences.command()
@grouped
def create(
    service: ServiceArgument,
    name: NameArgument,
    *,
    algebra: AlgebraOption,
    owner: Buyer,
    retailer_id: RetailerOption = None,
    description: DescriptionOption = None,
    state: Run,
) -> None:
    """Create an audience and print its id."""

    def command(criteo: "CriteoClient") -> Coroutine[Any, Any, None]:
        _require_audiences(service)
        who: dict[str, Any] = {"name": name, "algebra": _read_algebra(algebra), "description": description}
        whose = owner.required(service)
        if service is Service.MARKETING_SOLUTIONS:
            wanted = models_of(service).AudienceCreate(advertiser_id=whose, **who)
            return _create(criteo.marketing_solutions.create_audiences([wanted]), state)
        if retailer_id is None:
            raise ConfigurationError("retail-media needs --retailer-id here.")
        theirs = models_of(service).AudienceCreate(retailer_id=retailer_id, **who)
        return _create(criteo.retail_media.create_audiences(whose, [theirs]), state)

    run_connected(command, state)


async def _create(call: Coroutine[Any, Any, BulkResult[Any]], state: Run) -> None:
    audience = (await call).one()
    if state.json:
        print_json({"ok": True, "audience": _shown(audience)})
    else:
        print_result(audience.id)


@audiences.command()
@grouped
def delete(
    service: ServiceArgument,
    ids: IdsArgument,
    *,
    account_id: AccountOption = None,
    yes: YesOption = False,
    state: Run,
) -> None:
    """Delete audiences."""

    def command(criteo: "CriteoClient") -> Coroutine[Any, Any, None]:
        _require_audiences(service)
        return delete_all(criteo, state, service, account_id, "audience", ids, yes=yes)

    run_connected(command, state)


@audiences.command()
@grouped
def size(
    service: ServiceArgument,
    ids: IdsArgument,
    *,
    account_id: AccountOption = None,
    channel: ChannelOption = None,
    state: Run,
) -> None:
    """Compute how many people audiences hold."""

    def command(criteo: "CriteoClient") -> Coroutine[Any, Any, None]:
        _require_audiences(service)
        return size_all(criteo, state, service, account_id, "audience", ids, channel)

    run_connected(command, state)


def _search(criteo: "CriteoClient", service: Service, owner: Buyer) -> Any:
    _require_audiences(service)
    if service is Service.RETAIL_MEDIA:
        return criteo.retail_media.search_audiences(owner.required(service))
    whose = owner.of(service)
    return criteo.marketing_solutions.search_audiences(advertiser_ids=None if whose is None else [whose])


def _require_audiences(service: Service) -> None:
    if service is Service.COMMERCE_GRID:
        raise ConfigurationError("commerce-grid has no audiences, only segments.")


def _read_algebra(text: str) -> Any:
    from criteo_audiences.algebra import Expression  # noqa: PLC0415 - no other command needs it

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
