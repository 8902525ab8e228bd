"""What Marketing Solutions reads and writes about audience segments (OpenAPI 2026-07)."""

import datetime as dt
from collections.abc import Iterable
from typing import TypeVar

from attrs import field, frozen

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.models import UNSET, Unset, Word, int64, nullable
from criteo_audiences.validation import (
    choose,
    require_at_most_one_of,
    require_change,
    require_one_of,
    require_text,
    unique_ids,
    unique_ids_or_unset,
)

W = TypeVar("W", bound=Word)


class SegmentType(Word):
    """The kinds of audience segment."""

    UNKNOWN = "Unknown"
    IN_MARKET = "InMarket"
    PROSPECTING = "Prospecting"
    CONTACT_LIST = "ContactList"
    LOCATION = "Location"
    BEHAVIORAL = "Behavioral"
    RETARGETING = "Retargeting"
    LOOKALIKE = "Lookalike"


class Gender(Word):
    """Whom the products are made for."""

    UNKNOWN = "Unknown"
    MALE = "Male"
    FEMALE = "Female"


class BuyingPower(Word):
    """How expensive the products are that people often buy."""

    UNKNOWN = "Unknown"
    LOW = "Low"
    MEDIUM = "Medium"
    HIGH = "High"
    VERY_HIGH = "VeryHigh"


class PriceRange(Word):
    """How expensive the products are that people look at."""

    UNKNOWN = "Unknown"
    LOW = "Low"
    MEDIUM = "Medium"
    HIGH = "High"


class UsersType(Word):
    """Whom a prospecting segment reaches."""

    UNKNOWN = "Unknown"
    PROSPECTS = "Prospects"
    PROSPECTS_OR_NON_BUYERS = "ProspectsOrNonBuyers"


class VisitorsType(Word):
    """Whom a retargeting segment reaches."""

    UNKNOWN = "Unknown"
    ALL = "All"
    BUYERS = "Buyers"
    NON_BUYERS = "NonBuyers"


class RegistryType(Word):
    """The kind of place a location segment is drawn around."""

    UNKNOWN = "Unknown"
    POINT_OF_INTEREST = "PointOfInterest"


class BehavioralCategory(Word):
    """The kinds of behavioral segment that Criteo makes."""

    UNKNOWN = "Unknown"
    LIFESTYLES = "Lifestyles"
    LIFE_EVENTS = "LifeEvents"
    SEASONAL = "Seasonal"
    BUYING_PATTERNS = "BuyingPatterns"


def _words(words: type[W], values: Iterable[W | str] | None, name: str) -> tuple[W, ...] | None:
    if isinstance(values, str):
        raise ConfigurationError(f"{name} must be a list, not a single str.")
    return None if values is None else tuple(dict.fromkeys(choose(words, value, name) for value in values))


def _gender(value: Gender | str | None) -> Gender | None:
    return None if value is None else choose(Gender, value, "gender")


def _buying_power(values: Iterable[BuyingPower | str] | None) -> tuple[BuyingPower, ...] | None:
    return _words(BuyingPower, values, "buying_power")


def _price_range(values: Iterable[PriceRange | str] | None) -> tuple[PriceRange, ...] | None:
    return _words(PriceRange, values, "price_range")


def _users_type(value: UsersType | str) -> UsersType:
    return choose(UsersType, value, "users_type")


def _visitors_type(value: VisitorsType | str) -> VisitorsType:
    return choose(VisitorsType, value, "visitors_type")


def _gender_or_unset(value: Gender | str | Unset | None) -> Gender | Unset | None:
    return value if isinstance(value, Unset) else _gender(value)


def _buying_power_or_unset(values: Iterable[BuyingPower | str] | Unset) -> tuple[BuyingPower, ...] | Unset:
    return values if isinstance(values, Unset) else _words(BuyingPower, values, "buying_power") or ()


def _price_range_or_unset(values: Iterable[PriceRange | str] | Unset) -> tuple[PriceRange, ...] | Unset:
    return values if isinstance(values, Unset) else _words(PriceRange, values, "price_range") or ()


def _users_type_or_unset(value: UsersType | str | Unset) -> UsersType | Unset:
    return value if isinstance(value, Unset) else _users_type(value)


def _visitors_type_or_unset(value: VisitorsType | str | Unset) -> VisitorsType | Unset:
    return value if isinstance(value, Unset) else _visitors_type(value)


@frozen(kw_only=True)
class ContactList:
    """Settings of a contact list. `is_read_only`: it was made outside the public API and cannot be amended."""

    is_read_only: bool | None = None


@frozen(kw_only=True)
class InMarket:
    """Settings of a segment of people in the market for something."""

    country: str | None = None
    interest_ids: tuple[str, ...] | None = None
    brand_ids: tuple[str, ...] | None = None
    gender: Gender | None = None
    buying_power: tuple[BuyingPower, ...] | None = None
    price_range: tuple[PriceRange, ...] | None = None


@frozen(kw_only=True)
class PointOfInterest:
    """A named place; Criteo rounds coordinates (ISO 6709, degrees) to 5 decimals."""

    name: str | None = None
    latitude: float | None = None
    longitude: float | None = None


def _points_or_unset(values: Iterable[PointOfInterest] | Unset) -> tuple[PointOfInterest, ...] | Unset:
    return values if isinstance(values, Unset) else tuple(values)


@frozen(kw_only=True)
class Location:
    """Settings of a segment of people seen around places."""

    points_of_interest: tuple[PointOfInterest, ...] | None = None
    radius_in_km: int | None = None
    registry_type: RegistryType | None = None


@frozen(kw_only=True)
class Lookalike:
    """Settings of a segment of people who behave like those of another segment."""

    seed_segment_id: str | None = None
    target_size: int | None = None


@frozen(kw_only=True)
class Prospecting:
    """Settings of a segment of people who are new to the advertiser."""

    users_type: UsersType | None = None
    days_since_last_visit_min: int | None = None
    days_since_last_visit_max: int | None = None


@frozen(kw_only=True)
class Retargeting:
    """Settings of a segment of people who visited the advertiser's site."""

    visitors_type: VisitorsType | None = None
    days_since_last_visit_min: int | None = None
    days_since_last_visit_max: int | None = None


@frozen(kw_only=True)
class Behavioral:
    """Settings of a segment that Criteo made; read-only."""

    category: BehavioralCategory | None = None
    country: str | None = None
    start_date: dt.datetime | None = None
    end_date: dt.datetime | None = None


@frozen(kw_only=True)
class AudienceSegment:
    """An audience segment as Criteo returns it.

    The settings object may be missing even for the segment's own `type`; timestamps are aware, UTC.
    """

    id: str | None = None
    advertiser_id: str | None = None
    name: str | None = None
    description: str | None = None
    type: SegmentType | None = None
    created_at: dt.datetime | None = None
    updated_at: dt.datetime | None = None
    contact_list: ContactList | None = None
    in_market: InMarket | None = None
    location: Location | None = None
    lookalike: Lookalike | None = None
    prospecting: Prospecting | None = None
    retargeting: Retargeting | None = None
    behavioral: Behavioral | None = None


@frozen(kw_only=True)
class ContactListCreate:
    """Makes the new segment a contact list; it has no settings."""


@frozen(kw_only=True)
class InMarketCreate:
    """Settings for an in-market segment. `country` is an ISO 3166-1 alpha-2 code."""

    country: str
    interest_ids: tuple[str, ...] | None = field(default=None, converter=unique_ids)
    brand_ids: tuple[str, ...] | None = field(default=None, converter=unique_ids)
    gender: Gender | None = field(default=None, converter=_gender)
    buying_power: tuple[BuyingPower, ...] | None = field(default=None, converter=_buying_power)
    price_range: tuple[PriceRange, ...] | None = field(default=None, converter=_price_range)


@frozen(kw_only=True)
class LocationCreate:
    """Settings for a location segment: places, and a radius in kilometers."""

    points_of_interest: tuple[PointOfInterest, ...] = field(converter=tuple)
    radius_in_km: int


@frozen(kw_only=True)
class LookalikeCreate:
    """Settings for a lookalike segment: the segment to resemble, and the wished number of people."""

    seed_segment_id: str
    target_size: int | None = field(default=None, metadata=int64())


@frozen(kw_only=True)
class ProspectingCreate:
    """Settings for a prospecting segment; days count back from today."""

    users_type: UsersType = field(converter=_users_type)
    days_since_last_visit_min: int | None = None
    days_since_last_visit_max: int | None = None


@frozen(kw_only=True)
class RetargetingCreate:
    """Settings for a retargeting segment; days count back from today."""

    visitors_type: VisitorsType = field(converter=_visitors_type)
    days_since_last_visit_min: int
    days_since_last_visit_max: int


@frozen(kw_only=True)
class AudienceSegmentCreate:
    """An audience segment to create.

    Attributes:
        advertiser_id: its owner.
        name: unique among the advertiser's segments.
        description: free text.
        contact_list, in_market, location, lookalike, prospecting, retargeting: its settings, exactly one of them.

    Raises:
        ConfigurationError: when the name or the advertiser is missing, or not exactly one settings object is given.
    """

    advertiser_id: str
    name: str
    description: str | None = None
    contact_list: ContactListCreate | None = None
    in_market: InMarketCreate | None = None
    location: LocationCreate | None = None
    lookalike: LookalikeCreate | None = None
    prospecting: ProspectingCreate | None = None
    retargeting: RetargetingCreate | None = None

    def __attrs_post_init__(self) -> None:
        require_text(self.advertiser_id, "advertiser_id")
        require_text(self.name, "name")
        require_one_of(self, _SETTINGS)


_SETTINGS = ("contact_list", "in_market", "location", "lookalike", "prospecting", "retargeting")


@frozen(kw_only=True)
class InMarketUpdate:
    """Changes to an in-market segment; `gender=None` takes the gender out, what is left out stays."""

    country: str | Unset = UNSET
    interest_ids: tuple[str, ...] | Unset = field(default=UNSET, converter=unique_ids_or_unset)
    brand_ids: tuple[str, ...] | Unset = field(default=UNSET, converter=unique_ids_or_unset)
    gender: Gender | Unset | None = field(default=UNSET, converter=_gender_or_unset, metadata=nullable())
    buying_power: tuple[BuyingPower, ...] | Unset = field(default=UNSET, converter=_buying_power_or_unset)
    price_range: tuple[PriceRange, ...] | Unset = field(default=UNSET, converter=_price_range_or_unset)


@frozen(kw_only=True)
class LocationUpdate:
    """Changes to a location segment; what is left out stays."""

    points_of_interest: tuple[PointOfInterest, ...] | Unset = field(default=UNSET, converter=_points_or_unset)
    radius_in_km: int | Unset = UNSET


@frozen(kw_only=True)
class LookalikeUpdate:
    """Changes to a lookalike segment; its seed cannot be changed."""

    target_size: int | Unset = field(default=UNSET, metadata=int64())


@frozen(kw_only=True)
class ProspectingUpdate:
    """Changes to a prospecting segment; a bound of `None` is taken away, what is left out stays."""

    users_type: UsersType | Unset = field(default=UNSET, converter=_users_type_or_unset)
    days_since_last_visit_min: int | Unset | None = field(default=UNSET, metadata=nullable())
    days_since_last_visit_max: int | Unset | None = field(default=UNSET, metadata=nullable())


@frozen(kw_only=True)
class RetargetingUpdate:
    """Changes to a retargeting segment; what is left out stays."""

    visitors_type: VisitorsType | Unset = field(default=UNSET, converter=_visitors_type_or_unset)
    days_since_last_visit_min: int | Unset = UNSET
    days_since_last_visit_max: int | Unset = UNSET


@frozen(kw_only=True)
class AudienceSegmentUpdate:
    """Changes to an audience segment: what is left out stays as it is, `None` takes it away where that is possible.

    Attributes:
        id: the segment.
        name: unique among the advertiser's segments.
        description: free text, `None` to take it away.
        in_market, location, lookalike, prospecting, retargeting: changes to its settings, at most one of them.

    Raises:
        ConfigurationError: when nothing is to be changed, or several settings are given; naming the fields.
    """

    id: str
    name: str | Unset = UNSET
    description: str | Unset | None = field(default=UNSET, metadata=nullable())
    in_market: InMarketUpdate | Unset = UNSET
    location: LocationUpdate | Unset = UNSET
    lookalike: LookalikeUpdate | Unset = UNSET
    prospecting: ProspectingUpdate | Unset = UNSET
    retargeting: RetargetingUpdate | Unset = UNSET

    def __attrs_post_init__(self) -> None:
        require_text(self.id, "id")
        require_change(self)
        require_at_most_one_of(self, _SETTINGS[1:])
