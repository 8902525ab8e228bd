"""The models of Retail Media for audience segments (OpenAPI 2026-07)."""

import datetime as dt
from typing import Final

from attrs import field, frozen

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.models import UNSET, IdentifierType, Unset, Word, nullable
from criteo_audiences.rendering import ShownInNotebooks
from criteo_audiences.results import require_changes_to_one, require_naming, require_one_of
from criteo_audiences.validation import (
    choose,
    id_field,
    number_field,
    require_change,
    require_order,
    require_text,
    unique_ids,
    unique_ids_or_unset,
)


class SegmentType(Word):
    """The kinds of audience segment."""

    UNKNOWN = "Unknown"
    CONTACT_LIST = "ContactList"
    EVENTS = "Events"


class Channel(Word):
    """Where a segment can be used."""

    UNKNOWN = "Unknown"
    ONSITE = "Onsite"
    OFFSITE = "Offsite"


class SharingStatus(Word):
    """Whom a retailer shares a contact list with."""

    UNKNOWN = "Unknown"
    NOT_SHARED = "NotShared"
    SHARED_WITH_ALL = "SharedWithAll"
    SHARED_WITH_DEMAND_ACCOUNTS = "SharedWithDemandAccounts"


class ShopperActivity(Word):
    """What shoppers did."""

    UNKNOWN = "Unknown"
    VIEW = "View"
    BUY = "Buy"
    ADD_TO_CART = "AddToCart"


class LookbackDays(Word):
    """The period over which activities count."""

    UNKNOWN = "Unknown"
    LAST_7_DAYS = "Last7Days"
    LAST_14_DAYS = "Last14Days"
    LAST_30_DAYS = "Last30Days"
    LAST_45_DAYS = "Last45Days"
    LAST_60_DAYS = "Last60Days"
    LAST_90_DAYS = "Last90Days"
    LAST_120_DAYS = "Last120Days"
    LAST_150_DAYS = "Last150Days"
    LAST_180_DAYS = "Last180Days"


WIRE_TYPES: Final = {
    IdentifierType.EMAIL: "Email",
    IdentifierType.USER_IDENTIFIER: "UserIdentifier",
    IdentifierType.IDENTITY_LINK: "IdentityLink",
    IdentifierType.GUM: "Gum",
    IdentifierType.CUSTOMER_ID: "CustomerId",
    IdentifierType.PHONE_NUMBER: "PhoneNumber",
}
# A list of GUM ids can be amended but not created (OpenAPI `RmContactListCreateV1`).
_CREATABLE: Final = frozenset(WIRE_TYPES) - {IdentifierType.GUM}


def _identifier_type(value: IdentifierType | str) -> IdentifierType:
    kind = choose(IdentifierType, value, "identifier_type")
    if kind not in _CREATABLE:
        taken = ", ".join(sorted(word.value for word in _CREATABLE))
        raise ConfigurationError(
            f"identifier_type '{kind.value}' is none of Retail Media's lists; give one of: {taken}."
        )
    return kind


_price: Final = number_field(least=0)


def _activity(value: ShopperActivity | str) -> ShopperActivity:
    return choose(ShopperActivity, value, "shopper_activity")


def _lookback(value: LookbackDays | str) -> LookbackDays:
    return choose(LookbackDays, value, "lookback_days")


def _activity_or_unset(value: ShopperActivity | str | Unset) -> ShopperActivity | Unset:
    return value if isinstance(value, Unset) else _activity(value)


def _lookback_or_unset(value: LookbackDays | str | Unset) -> LookbackDays | Unset:
    return value if isinstance(value, Unset) else _lookback(value)


@frozen(kw_only=True)
class ContactList:
    """Settings of a contact list.

    Attributes:
        identifier_type: the one kind of identifier it takes, fixed when it was created.
        is_read_only: it was made outside the public API and cannot be amended.
        sharing_status: whom the retailer shares it with.
    """

    identifier_type: IdentifierType | None = None
    is_read_only: bool | None = None
    sharing_status: SharingStatus | None = None


@frozen(kw_only=True)
class Events:
    """Settings of a segment of shoppers who did something."""

    shopper_activity: ShopperActivity | None = None
    lookback_days: LookbackDays | None = None
    category_ids: tuple[str, ...] | None = None
    brand_ids: tuple[str, ...] | None = None
    min_price: float | None = None
    max_price: float | None = None


@frozen(kw_only=True)
class AudienceSegment(ShownInNotebooks):
    """An audience segment as Criteo returns it; timestamps are aware, UTC."""

    id: str | None = None
    account_id: str | None = None
    retailer_id: str | None = None
    name: str | None = None
    description: str | None = None
    type: SegmentType | None = None
    channels: tuple[Channel, ...] | None = None
    created_by_id: str | None = None
    created_at: dt.datetime | None = None
    updated_at: dt.datetime | None = None
    contact_list: ContactList | None = None
    events: Events | None = None


@frozen(kw_only=True)
class ContactListCreate:
    """Makes the new segment a contact list of one kind of identifier, which cannot be changed later."""

    identifier_type: IdentifierType = field(
        default=IdentifierType.EMAIL, converter=_identifier_type, metadata={"words": WIRE_TYPES}
    )


@frozen(kw_only=True)
class EventsCreate:
    """Settings for a segment of shoppers who did something with some categories or brands, at least one of them.

    Criteo's pages on Retail Media say that the stable versions create contact lists only, but their OpenAPI document
    accepts these settings. If Criteo refuses them, use `api_version="experimental"`.

    Attributes:
        shopper_activity: what the shoppers did.
        lookback_days: the period over which activities count.
        category_ids, brand_ids: the categories and brands, at least one id of either.
        min_price, max_price: bounds for the products' prices, from 0, the minimum not above the maximum.

    Raises:
        ConfigurationError: naming the wrong field.
    """

    shopper_activity: ShopperActivity = field(converter=_activity)
    lookback_days: LookbackDays = field(converter=_lookback)
    category_ids: tuple[str, ...] | None = field(default=None, converter=unique_ids, validator=id_field)
    brand_ids: tuple[str, ...] | None = field(default=None, converter=unique_ids, validator=id_field)
    min_price: float | None = field(default=None, validator=_price)
    max_price: float | None = field(default=None, validator=_price)

    def __attrs_post_init__(self) -> None:
        require_order(self, "min_price", "max_price")
        if not self.category_ids and not self.brand_ids:
            raise ConfigurationError("Events settings need category_ids or brand_ids, at least one id of either.")


@frozen(kw_only=True)
class AudienceSegmentCreate:
    """An audience segment to create.

    Attributes:
        retailer_id: the retailer whose shoppers it contains.
        name: unique among the account's segments.
        description: free text.
        contact_list, events: its settings, exactly one of them. Criteo's pages say that stable versions create contact
            lists only.

    Raises:
        ConfigurationError: when the name or the retailer is missing, or not exactly one settings object is given.
    """

    retailer_id: str
    name: str
    description: str | None = None
    contact_list: ContactListCreate | None = None
    events: EventsCreate | None = None

    def __attrs_post_init__(self) -> None:
        require_text(self.retailer_id, "retailer_id")
        require_naming(self.name, self.description)
        require_one_of(self, {"contact_list": ContactListCreate, "events": EventsCreate})


@frozen(kw_only=True)
class EventsUpdate:
    """Changes to an events segment; `None` removes a price, fields left out stay unchanged.

    According to Criteo's pages, such segments exist only under `api_version="experimental"`. The two lists of ids
    cannot both be emptied.
    """

    shopper_activity: ShopperActivity | Unset = field(default=UNSET, converter=_activity_or_unset)
    lookback_days: LookbackDays | Unset = field(default=UNSET, converter=_lookback_or_unset)
    category_ids: tuple[str, ...] | Unset = field(default=UNSET, converter=unique_ids_or_unset, validator=id_field)
    brand_ids: tuple[str, ...] | Unset = field(default=UNSET, converter=unique_ids_or_unset, validator=id_field)
    min_price: float | Unset | None = field(default=UNSET, validator=_price, metadata=nullable())
    max_price: float | Unset | None = field(default=UNSET, validator=_price, metadata=nullable())

    def __attrs_post_init__(self) -> None:
        require_order(self, "min_price", "max_price")
        if self.category_ids == () and self.brand_ids == ():
            raise ConfigurationError("category_ids and brand_ids cannot both be empty: an events segment needs one id.")


@frozen(kw_only=True)
class AudienceSegmentUpdate:
    """Changes to an audience segment: fields left out stay unchanged, `None` removes a value where that is possible.

    Attributes:
        id: the segment.
        name: unique among the account's segments.
        description: free text, `None` to remove it.
        events: changes to its settings; a contact list has none to change.

    Raises:
        ConfigurationError: when nothing is to be changed, or a field cannot be removed; naming the field.
    """

    id: str
    name: str | Unset = UNSET
    description: str | Unset | None = field(default=UNSET, metadata=nullable())
    events: EventsUpdate | Unset = UNSET

    def __attrs_post_init__(self) -> None:
        require_text(self.id, "id")
        require_change(self)
        require_naming(self.name, self.description)
        require_changes_to_one(self, {"events": EventsUpdate})
