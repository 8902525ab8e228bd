"""`audiences`: list, create, update, delete, size and estimate the audiences of an owner."""

from collections.abc import Coroutine, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import attrs
import typer

from criteo_audiences import BulkResult, ConfigurationError
from criteo_audiences.cli.bulk import (
    ChannelOption,
    EstimateScope,
    IdsArgument,
    delete_all,
    missing_ids,
    reading,
    send_all,
    send_one,
    show_estimate,
    size_all,
)
from criteo_audiences.cli.entities import Definitions, FileOption, read_algebra, shown
from criteo_audiences.cli.options import (
    AccountOption,
    Buyer,
    Changes,
    DescriptionOption,
    RetailerOption,
    Service,
    ServiceArgument,
    YesOption,
    examples,
    filled,
    grouped,
    in_account,
    models_of,
)
from criteo_audiences.cli.output import print_json, print_table
from criteo_audiences.cli.run import Run, run_connected

if TYPE_CHECKING:  # slow to import: `--help` need not wait for it
    from criteo_audiences import CriteoClient

audiences = typer.Typer(
    no_args_is_help=True,
    help="List, create, update, delete, size and estimate audiences; of Retail Media's only the list is not "
    "experimental.",
)

NameArgument = Annotated[
    str | None, typer.Argument(parser=filled, metavar="NAME", help="Name, unique among the owner's audiences.")
]
AudienceArgument = Annotated[
    str | None, typer.Argument(parser=filled, metavar="AUDIENCE_ID", help="Id of the audience; a file has its own.")
]
AlgebraOption = Annotated[
    str | None,
    typer.Option(
        parser=filled,
        metavar="JSON",
        help='Criteo\'s node, such as \'{"and": [{"audienceSegmentId": "1"}, ...]}\', as list --json prints it.',
    ),
]
IdOption = Annotated[
    list[str] | None, typer.Option(parser=filled, metavar="ID", help="Only this one. Repeat for several.")
]


@attrs.frozen(kw_only=True)
class Filters:
    """Which audiences to list; all filters must fit."""

    id: IdOption = None
    segment_id: Annotated[
        list[str] | None,
        typer.Option(parser=filled, metavar="ID", help="Only those made of this segment. Repeat for several."),
    ] = None
    ad_set_id: Annotated[
        list[str] | None,
        typer.Option(parser=filled, metavar="ID", help="Only those of this ad set, in Marketing Solutions."),
    ] = None
    retailer_id: Annotated[
        list[str] | None, typer.Option(parser=filled, metavar="ID", help="Only of this retailer, in Retail Media.")
    ] = None

    def search(self, criteo: "CriteoClient", service: Service, owner: Buyer) -> Any:
        """Returns the search.

        Raises:
            ConfigurationError: when a filter does not fit the service.
        """
        _require_audiences(service)
        for name, home in (("ad_set_id", Service.MARKETING_SOLUTIONS), ("retailer_id", Service.RETAIL_MEDIA)):
            if getattr(self, name) and service is not home:
                raise ConfigurationError(f"{service.value} has no --{name.replace('_', '-')}.")
        wanted = {"audience_ids": self.id or None, "audience_segment_ids": self.segment_id or None}
        if service is Service.RETAIL_MEDIA:
            retailers = self.retailer_id or None
            return criteo.retail_media.search_audiences(owner.required(service), retailer_ids=retailers, **wanted)
        whose = owner.of(service)
        owners, ad_sets = None if whose is None else [whose], self.ad_set_id or None
        return criteo.marketing_solutions.search_audiences(advertiser_ids=owners, ad_set_ids=ad_sets, **wanted)


@audiences.command(
    "list",
    epilog=examples("audiences list marketing-solutions --advertiser-id 123 --segment-id 812345"),
)
@grouped
def list_audiences(service: ServiceArgument, owner: Buyer, filters: Filters, state: Run) -> None:
    """List the audiences of an owner, each with the segments it combines."""

    def command(criteo: "CriteoClient") -> Coroutine[Any, Any, None]:
        return _list(filters.search(criteo, service, owner), filters, state)

    run_connected(command, state)


async def _list(search: Any, filters: Filters, state: Run) -> None:
    found = [audience async for audience in search]
    problems = missing_ids(state, "audience", filters.id, found)
    if state.json:
        print_json({"ok": not problems, "audiences": [shown(each) for each in found], "problems": problems})
        return
    rows = ((each.id, each.name, None if each.algebra is None else repr(each.algebra)) for each in found)
    print_table(("id", "name", "algebra"), *rows)


@audiences.command(
    epilog=examples(
        "audiences create marketing-solutions 'All but staff' --advertiser-id 123 --algebra "
        '\'{"not": {"audienceSegmentId": "812346"}}\'',
        "audiences create marketing-solutions --from-file audiences.json",
    )
)
@grouped
def create(
    service: ServiceArgument,
    *,
    name: NameArgument = None,
    algebra: AlgebraOption = None,
    owner: Buyer,
    retailer_id: RetailerOption = None,
    description: DescriptionOption = None,
    from_file: FileOption = None,
    state: Run,
) -> None:
    """Create an audience and print its id; a file may hold many."""

    def command(criteo: "CriteoClient") -> Coroutine[Any, Any, None]:
        _require_audiences(service)
        if retailer_id is not None and service is not Service.RETAIL_MEDIA:
            raise ConfigurationError(f"{service.value} has no --retailer-id.")
        whose = {service.owner: owner.of(service), "retailer_id": retailer_id}
        send = in_account(criteo, service, owner.account_id, "create_audiences")
        read = reading(criteo, service, owner.account_id, "audience")
        if from_file is not None:
            if (name, algebra, description) != (None, None, None):
                raise ConfigurationError("--from-file says what to create; of the options only owners go with it.")
            wanted = _definitions(service, "Create", whose).read(from_file)
            return send_all(send(wanted), state, "audience", [each.name for each in wanted], read)
        if name is None or algebra is None:
            raise ConfigurationError("Give NAME and --algebra, or --from-file with the audiences to create.")
        wanted = _new(service, owner, retailer_id, name, algebra, description)
        return send_one(_sent_one(send([wanted])), state, "audience", read)

    run_connected(command, state)


def _new(
    service: Service, owner: Buyer, retailer_id: str | None, name: str, algebra: str, description: str | None
) -> Any:
    whose = {"advertiser_id": owner.required(service)}
    if service is Service.RETAIL_MEDIA:
        if retailer_id is None:
            raise ConfigurationError("retail-media needs --retailer-id here.")
        whose = {"retailer_id": retailer_id}
    create_model = models_of(service).AudienceCreate
    return create_model(name=name, algebra=read_algebra(algebra), description=description, **whose)


async def _sent_one(call: Coroutine[Any, Any, BulkResult[Any]]) -> Any:
    return (await call).one()


def _definitions(service: Service, action: str, owner: Mapping[str, str | None]) -> Definitions:
    models = models_of(service)
    return Definitions(kind=getattr(models, f"Audience{action}"), answer=models.Audience, noun="audience", owner=owner)


@audiences.command(
    epilog=examples(
        "audiences update marketing-solutions 700001 --name 'Buyers 2026'",
        "audiences update marketing-solutions --from-file changes.json",
    )
)
@grouped
def update(
    service: ServiceArgument,
    *,
    audience_id: AudienceArgument = None,
    changes: Changes,
    algebra: AlgebraOption = None,
    account_id: AccountOption = None,
    from_file: FileOption = None,
    state: Run,
) -> None:
    """Change the name, the description or the algebra of an audience; what is left out stays as it is."""

    def command(criteo: "CriteoClient") -> Coroutine[Any, Any, None]:
        _require_audiences(service)
        send = in_account(criteo, service, account_id, "update_audiences")
        read = reading(criteo, service, account_id, "audience")
        if from_file is not None:
            if audience_id is not None or algebra is not None or changes.given:
                raise ConfigurationError(
                    "--from-file says what to change; no AUDIENCE_ID or other change goes with it."
                )
            wanted = _definitions(service, "Update", {"account_id": account_id}).read(from_file)
            return send_all(send(wanted), state, "audience", [each.id for each in wanted], read)
        if audience_id is None:
            raise ConfigurationError("Give AUDIENCE_ID, or --from-file with the changes.")
        new = changes.keywords() | ({} if algebra is None else {"algebra": read_algebra(algebra)})
        change = models_of(service).AudienceUpdate(id=audience_id, **new)
        return send_one(_sent_one(send([change])), state, "audience", read)

    run_connected(command, state)


@audiences.command(epilog=examples("audiences delete marketing-solutions 700001 700002 --yes"))
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


@audiences.command(epilog=examples("audiences size marketing-solutions 700001"))
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


@audiences.command(
    epilog=examples(
        "audiences estimate marketing-solutions --advertiser-id 123 --algebra "
        '\'{"not": {"audienceSegmentId": "812346"}}\''
    )
)
@grouped
def estimate(
    service: ServiceArgument,
    *,
    reach: EstimateScope,
    algebra: AlgebraOption = None,
    from_file: FileOption = None,
    state: Run,
) -> None:
    """Estimate how many people an audience would hold before it is made."""

    def command(criteo: "CriteoClient") -> Coroutine[Any, Any, None]:
        _require_audiences(service)
        given = reach.of_file(service)
        if (algebra is None) == (from_file is None):
            raise ConfigurationError("Give --algebra, or --from-file with an audience, and not both.")
        if from_file is not None:
            wanted = _definitions(service, "Estimate", given).read_one(from_file)
        else:
            whom = read_algebra(str(algebra))
            wanted = models_of(service).AudienceEstimate(algebra=whom, **reach.keywords(service))
        send = in_account(criteo, service, reach.account_id, "estimate_audience_size")
        return show_estimate(send(wanted), state)

    run_connected(command, state)


def _require_audiences(service: Service) -> None:
    if service is Service.COMMERCE_GRID:
        raise ConfigurationError("commerce-grid has no audiences, only segments.")
