"""Finds the contact lists in each service that could contain identifiers, and removes the identifiers from each list.

It searches the lists of one owner, or all lists that the application may see.
"""

import datetime as dt
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

import anyio
from attrs import evolve, frozen

from criteo_audiences.batches import MAX_BATCH_SIZE
from criteo_audiences.erasure import ErasureState, ListErasure, ServiceErasure
from criteo_audiences.erasure.request import ErasureRequest
from criteo_audiences.errors import AuthenticationError, ConfigurationError, CriteoError, PermissionDeniedError
from criteo_audiences.models import OWNER_FIELDS, ContactListOperation, IdentifierType, Operation
from criteo_audiences.validation import require_list, require_text

CONTACT_LIST: Final = "ContactList"
_AT_ONCE: Final = 4
"""Calls in flight; being single calls, they have priority over the batches of uploads."""


class Lists(Protocol):
    """The methods of a service that an erasure uses."""

    @property
    def identifier_types(self) -> frozenset[IdentifierType]:
        """The kinds of identifier that its contact lists accept."""

    async def amend_contact_list(
        self, segment_id: str, *, operation: Operation, identifiers: Sequence[str], identifier_type: IdentifierType
    ) -> ContactListOperation:
        """Changes a contact list."""


@frozen(kw_only=True)
class Place:
    """The contact lists of one service and owner.

    Attributes:
        service: the service's name, such as `retail-media`.
        owner_name: the field of a segment that contains the owner.
        owner_id: the owner of the lists; `None` for all lists that the application may see.
        named: whether the caller named the service or owner, so that a missing permission to search is a failure.
        lists: the service.
        find: searches for the contact lists.
        extra: additional arguments of a call, by kind of identifier.
    """

    service: str
    owner_name: str
    owner_id: str | None
    named: bool
    lists: Lists
    find: Callable[[], AsyncIterator[Any]]
    extra: dict[IdentifierType, dict[str, Any]]


@frozen(kw_only=True)
class Removal:
    """A call to make: identifiers of one kind, at most as many as a call may contain, for one list.

    Attributes:
        place: the service and owner of the list.
        identifiers: the identifiers to remove.
        planned: the outcome before the call is made.
    """

    place: Place
    identifiers: tuple[str, ...]
    planned: ListErasure


async def found_lists(place: Place, request: ErasureRequest) -> tuple[ServiceErasure, list[Removal]]:
    """Searches for the contact lists of a place, and plans the calls for each.

    Returns:
        The outcome of the search, and the calls to make; none if the search failed.

    Raises:
        AuthenticationError: when the credentials are refused.
    """
    outcome = ServiceErasure(service=place.service, owner_id=place.owner_id, state=ErasureState.SEARCHED)
    removals: list[Removal] = []
    count = 0
    try:
        async for segment in place.find():
            if segment.id is not None and segment.type in {None, CONTACT_LIST}:
                count += 1
                removals += _removals(place, segment, request)
    except AuthenticationError:
        raise
    except CriteoError as error:
        return evolve(outcome, state=_state_of_search(place, error), error=error), []
    return evolve(outcome, lists=count), removals


def _state_of_search(place: Place, error: CriteoError) -> ErasureState:
    if not place.named:
        if isinstance(error, PermissionDeniedError):
            return ErasureState.NOT_PERMITTED
        if isinstance(error, ConfigurationError):
            return ErasureState.NOT_OFFERED
    return ErasureState.FAILED


def _removals(place: Place, segment: Any, request: ErasureRequest) -> Iterator[Removal]:
    """Yields the calls for one list: for each kind that it could contain, as many as the forms need."""
    read_only = bool(getattr(segment.contact_list, "is_read_only", None))
    for kind in _kinds_held(place.lists.identifier_types, segment, request):
        forms = request.forms[kind]
        for start in range(0, len(forms), MAX_BATCH_SIZE):
            identifiers = forms[start : start + MAX_BATCH_SIZE]
            planned = ListErasure(
                service=place.service,
                owner_id=getattr(segment, place.owner_name, None) or place.owner_id,
                segment_id=segment.id,
                kind=kind,
                forms=len(identifiers),
                state=ErasureState.READ_ONLY if read_only else ErasureState.PLANNED,
            )
            yield Removal(place=place, identifiers=identifiers, planned=planned)


def _kinds_held(taken: Collection[IdentifierType], segment: Any, request: ErasureRequest) -> Iterator[IdentifierType]:
    """Yields the kinds that a list could contain: those that the service accepts, or the one of the list if known."""
    only = getattr(segment.contact_list, "identifier_type", None)
    for kind in request.forms:
        if kind in taken and (only is None or not only.is_known or only == kind):
            yield kind


async def removed(removals: Sequence[Removal]) -> list[ListErasure]:
    """Makes the calls, a few at a time, and returns their outcomes in the same order.

    After refused credentials it makes no further calls; their outcome is `NOT_ASKED`.
    """
    outcomes = [removal.planned for removal in removals]
    todo = iter([place for place, removal in enumerate(removals) if removal.planned.state is ErasureState.PLANNED])
    refused = False

    async def work() -> None:
        nonlocal refused
        for at in todo:
            if refused:
                outcomes[at] = evolve(outcomes[at], state=ErasureState.NOT_ASKED)
                continue
            outcomes[at] = await _asked(removals[at])
            refused = refused or isinstance(outcomes[at].error, AuthenticationError)

    async with anyio.create_task_group() as group:
        for _ in range(min(_AT_ONCE, len(removals))):
            group.start_soon(work)
    return outcomes


async def _asked(removal: Removal) -> ListErasure:
    """Makes one call and returns its outcome."""
    planned, place = removal.planned, removal.place
    try:
        receipt = await place.lists.amend_contact_list(
            planned.segment_id,
            operation=Operation.REMOVE,
            identifiers=removal.identifiers,
            identifier_type=planned.kind,
            **place.extra.get(planned.kind, {}),
        )
    except CriteoError as error:
        state = ErasureState.UNKNOWN if error.outcome_unknown else ErasureState.FAILED
        return evolve(planned, state=state, error=error)
    counts = receipt.valid, receipt.invalid
    adds_up = min(each or 0 for each in counts) >= 0 and sum(each or 0 for each in counts) == planned.forms
    return evolve(
        planned,
        state=ErasureState.REMOVED if adds_up else ErasureState.UNREPORTED,
        valid=receipt.valid,
        invalid=receipt.invalid,
        answered_at=dt.datetime.now(dt.UTC),
    )


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
    """Returns the places to search: services that are named, or for which an owner is named; otherwise all three.

    Args:
        client: offers the services.
        owners: the owner for each service, by the name of its field; `None` for all that the application may see.
        services: names of services.
        gum_caller_id: the caller id that Marketing Solutions needs for GUM ids.

    Raises:
        ConfigurationError: when the name of a service is unknown, or an owner is no text.
    """
    for name, owner in owners.items():
        if owner is not None:
            require_text(owner, name)
    named = {service for service, name in OWNER_FIELDS.items() if owners.get(name) is not None}
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
        for service, name in OWNER_FIELDS.items()
        if service in (named or OWNER_FIELDS)
    ]


def _service(name: object) -> str:
    """Returns the name of a service in the spelling of the command line.

    Raises:
        ConfigurationError: when the name is unknown.
    """
    plain = require_text(name, "services").strip().lower().replace("_", "-")
    if plain not in OWNER_FIELDS:
        raise ConfigurationError(f"services holds an unknown name; expected some of: {', '.join(OWNER_FIELDS)}.")
    return plain


def _search(client: Client, service: str, owner: str | None) -> Callable[[], AsyncIterator[Any]]:
    """Returns a function that searches the contact lists of a service; it sends nothing until the first one is read."""
    if service == "retail-media":
        return lambda: _of_accounts(client.retail_media, owner)

    async def found() -> AsyncIterator[Any]:
        lists = getattr(client, service.replace("-", "_"))
        owners = {f"{OWNER_FIELDS[service]}s": None if owner is None else [owner]}
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
