"""Where an erasure looks for contact lists: in each service, of one owner or of all that the application may see."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any, Final, Protocol

from criteo_audiences.erasure.lists import CONTACT_LIST, Place
from criteo_audiences.errors import ConfigurationError
from criteo_audiences.models import IdentifierType
from criteo_audiences.validation import require_list, require_text

_OWNERS: Final = {
    "marketing-solutions": "advertiser_id",
    "retail-media": "account_id",
    "commerce-grid": "data_provider_id",
}
"""The services, each with the field of a segment that names its owner."""


class Client(Protocol):
    """The services of a client."""

    @property
    def marketing_solutions(self) -> Any:
        """Marketing Solutions."""

    @property
    def retail_media(self) -> Any:
        """Retail Media."""

    @property
    def commerce_grid(self) -> Any:
        """Commerce Grid."""


def places_of(
    client: Client, owners: Mapping[str, str | None], services: Iterable[str] | None, gum_caller_id: object
) -> list[Place]:
    """Returns where to look: in the services that are named or whose owner is, and otherwise in all three.

    Args:
        client: offers the services.
        owners: the owner of each kind, by the name of its field; `None` for all that the application may see.
        services: names of services.
        gum_caller_id: what Marketing Solutions wants with GUM ids.

    Raises:
        ConfigurationError: when a service is none, or an owner is no text.
    """
    for name, owner in owners.items():
        if owner is not None:
            require_text(owner, name)
    named = {service for service, name in _OWNERS.items() if owners.get(name) is not None}
    named |= set(map(_service, require_list(services, "services"))) if services is not None else set()
    extra = {} if gum_caller_id is None else {IdentifierType.GUM: {"gum_caller_id": gum_caller_id}}
    return [
        Place(
            service=service,
            owner_name=name,
            owner_id=owners.get(name),
            named=service in named,
            lists=getattr(client, service.replace("-", "_")),
            find=_search(client, service, owners.get(name)),
            extra=extra if service == "marketing-solutions" else {},
        )
        for service, name in _OWNERS.items()
        if service in (named or _OWNERS)
    ]


def _service(name: object) -> str:
    """Returns the name of a service, as the command line writes it.

    Raises:
        ConfigurationError: when it is none.
    """
    plain = require_text(name, "services").strip().lower().replace("_", "-")
    if plain not in _OWNERS:
        raise ConfigurationError(f"services holds a name that is none; expected some of: {', '.join(_OWNERS)}.")
    return plain


def _search(client: Client, service: str, owner: str | None) -> Callable[[], AsyncIterator[Any]]:
    """Returns what searches the contact lists of a service; nothing is sent before the first one is asked for."""
    if service == "retail-media":
        return lambda: _of_accounts(client.retail_media, owner)

    async def found() -> AsyncIterator[Any]:
        lists = getattr(client, service.replace("-", "_"))
        owners = {f"{_OWNERS[service]}s": None if owner is None else [owner]}
        async for segment in lists.search_audience_segments(audience_segment_types=[CONTACT_LIST], **owners):
            yield segment

    return found


async def _of_accounts(retail_media: Any, account_id: str | None) -> AsyncIterator[Any]:
    """Yields the contact lists of an account, or of each account that the application may work for."""
    if account_id is not None:
        accounts = [account_id]
    else:
        accounts = [account.id async for account in retail_media.list_accounts() if account.id is not None]
    for account in accounts:
        async for segment in retail_media.search_audience_segments(account, audience_segment_types=[CONTACT_LIST]):
            yield segment
