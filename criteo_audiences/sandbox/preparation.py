"""Contact lists that are there before any call."""

from collections.abc import Mapping
from typing import Any

from criteo_audiences.sandbox.calls import Item, scope_of
from criteo_audiences.sandbox.contact_list import ContactList
from criteo_audiences.sandbox.creation import create
from criteo_audiences.sandbox.entities import SegmentEntity
from criteo_audiences.sandbox.services import Service
from criteo_audiences.sandbox.state import ServerState

_SOME_ID = "1"
_OWNERS = {"advertiser_id": "advertiserId", "account_id": "accountId", "data_provider_id": "dataProviderId"}


def add_contact_list(
    state: ServerState,
    service_name: str,
    *,
    name: str | None,
    owners: Mapping[str, str | None],
    retailer_id: str | None,
    identifier_type: str | None,
    read_only: bool,
) -> SegmentEntity:
    """Keep an empty contact list.

    Raises:
        ValueError: The service has no such thing, or the name is taken.
    """
    service = _service(state, service_name)
    _check_settings(service, retailer_id=retailer_id, identifierType=identifier_type)
    owner_id = _owner_id(service, owners)
    attributes: dict[str, Any] = {
        service.owner: owner_id,
        "retailerId": _SOME_ID if retailer_id is None else retailer_id,
        "contactList": {} if identifier_type is None else {"identifierType": identifier_type},
        **({} if name is None else {"name": name}),
    }
    segment = create(Item(None, attributes), scope_of(state, service, owner_id))
    segment.contact_list = ContactList(read_only=read_only)
    # The contact list of Commerce Grid does not show it.
    if "isReadOnly" in segment.settings:
        segment.settings = {**segment.settings, "isReadOnly": read_only}
    return segment


def _service(state: ServerState, name: str) -> Service:
    for service in state.services:
        if service.name == name:
            return service
    raise ValueError(f"service must be one of {', '.join(service.name for service in state.services)}")


def _owner_id(service: Service, owners: Mapping[str, str | None]) -> str:
    given = {keyword: owner_id for keyword, owner_id in owners.items() if owner_id is not None}
    unfit = [keyword for keyword in given if _OWNERS.get(keyword, service.owner) != service.owner]
    if unfit:
        raise ValueError(f"{unfit[0]} is not what owns a segment of {service.name}")
    if len(given) > 1:
        raise ValueError(f"{' and '.join(given)} mean the same: give one of them")
    return next(iter(given.values()), _SOME_ID)


def _check_settings(service: Service, *, retailer_id: str | None, **settings: str | None) -> None:
    if retailer_id is not None and "retailerId" not in service.required:
        raise ValueError(f"{service.name} has no retailers")
    kind = service.kinds["contactList"]
    given = {name: value for name, value in settings.items() if value is not None}
    if not given.keys() <= kind.defaults.keys():
        raise ValueError(f"a contact list of {service.name} is of no identifier type")
    for violation in kind.violations(given):
        raise ValueError(violation.detail)
