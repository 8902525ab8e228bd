"""Arguments and options that several commands share."""

import functools
from collections.abc import Callable, Coroutine
from enum import StrEnum
from typing import Annotated, Any

import typer

from criteo_audiences import ConfigurationError, CriteoClient


class Service(StrEnum):
    """The services."""

    MARKETING_SOLUTIONS = "marketing-solutions"
    RETAIL_MEDIA = "retail-media"
    COMMERCE_GRID = "commerce-grid"

    @property
    def owner(self) -> str:
        """The keyword that names the owner of a segment."""
        return _OWNERS[self]


_OWNERS = {
    Service.MARKETING_SOLUTIONS: "advertiser_id",
    Service.RETAIL_MEDIA: "account_id",
    Service.COMMERCE_GRID: "data_provider_id",
}

ServiceArgument = Annotated[Service, typer.Argument(help="The Criteo service.", show_default=False)]
SegmentArgument = Annotated[str, typer.Argument(help="Id of the contact list's segment.", show_default=False)]
AdvertiserOption = Annotated[str | None, typer.Option(help="Owner of the segment in Marketing Solutions.")]
AccountOption = Annotated[str | None, typer.Option(help="Owner of the segment in Retail Media.")]
DataProviderOption = Annotated[str | None, typer.Option(help="Owner of the segment in Commerce Grid.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show a traceback with an error.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def owner_id(service: Service, given: dict[str, str | None]) -> str | None:
    """Returns the owner that was given for a service.

    Args:
        service: the service.
        given: owners by keyword, as the options have them.

    Raises:
        ConfigurationError: when one was given that the service does not have.
    """
    for keyword, value in given.items():
        if value is not None and keyword != service.owner:
            wanted, found = (f"--{name.replace('_', '-')}" for name in (service.owner, keyword))
            raise ConfigurationError(f"{service.value} has no {found}; its segments belong to {wanted}.")
    return given[service.owner]


def required_owner_id(service: Service, given: dict[str, str | None]) -> str:
    """Returns the owner that was given for a service.

    Raises:
        ConfigurationError: when none was, or one that the service does not have.
    """
    owner = owner_id(service, given)
    if not owner:
        raise ConfigurationError(f"{service.value} needs --{service.owner.replace('_', '-')} here.")
    return owner


def confirm(question: str) -> None:
    """Asks before something is lost.

    Raises:
        ConfigurationError: when the answer is no, or nobody can be asked.
    """
    try:
        agreed = typer.confirm(question, err=True)
    except typer.Abort:
        raise ConfigurationError("Nothing was done: confirm with --yes where nobody can be asked.") from None
    if not agreed:
        raise ConfigurationError("Nothing was done.")


def in_account(
    criteo: CriteoClient, service: Service, account_id: str | None, method: str
) -> Callable[..., Coroutine[Any, Any, Any]]:
    """Returns a service's method, with the account that Retail Media wants first.

    Raises:
        ConfigurationError: when Retail Media's account is missing, or another service was given one.
    """
    bound: Callable[..., Coroutine[Any, Any, Any]] = getattr(getattr(criteo, service.name.lower()), method)
    if service is Service.RETAIL_MEDIA:
        return functools.partial(bound, required_owner_id(service, {"account_id": account_id}))
    if account_id is not None:
        raise ConfigurationError(f"{service.value} has no --account-id.")
    return bound
