"""The models of Marketing Solutions for audience segments (OpenAPI 2026-07)."""

import datetime as dt
from collections.abc import Iterable
from typing import Final, cast

from attrs import field, frozen

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.marketing_solutions.words import (
    BehavioralCategory,
    BuyingPower,
    Gender,
    PriceRange,
    RegistryType,
    SegmentType,
    UsersType,
    VisitorsType,
    to_buying_power,
    to_buying_power_or_unset,
    to_country,
    to_country_or_unset,
    to_gender,
    to_gender_or_unset,
    to_price_range,
    to_price_range_or_unset,
    to_registry_type_or_unset,
    to_users_type,
    to_users_type_or_unset,
    to_visitors_type,
    to_visitors_type_or_unset,
)
from criteo_audiences.models import UNSET, Unset, int64, nullable
from criteo_audiences.rendering import ShownInNotebooks
from criteo_audiences.results import require_changes_to_one, require_naming, require_one_of
from criteo_audiences.validation import (
    id_field,
    require_change,
    require_models,
    require_number,
    require_order,
    require_text,
    require_whole,
    text_field,
    unique_ids,
    unique_ids_or_unset,
    whole_field,
)

# Criteo's error list: 400 >= to > from >= 0, in days.
_OLDEST_VISIT: Final = 400
# Criteo publishes no limit of the radius. No two places are farther apart than half of the equator (WGS 84: 40,075 km).
_FARTHEST: Final = 20_037
_DECIMALS: Final = 5


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
    """A named place; Criteo rounds coordinates to 5 decimals.

    Attributes:
        name: what it is called.
        latitude: degrees, from -90 to 90 (ISO 6709).
        longitude: degrees, from -180 to 180 (ISO 6709).
    """

    name: str | None = None
    latitude: float | None = None
    longitude: float | None = None


def _points(values: Iterable[PointOfInterest]) -> tuple[PointOfInterest, ...]:
    points = require_models(values, PointOfInterest, "points_of_interest")
    if not points:
        raise ConfigurationError("points_of_interest must hold at least one; found none.")
    places: dict[tuple[float, float], int] = {}
    for number, point in enumerate(points):
        place = _place(point, f"points_of_interest[{number}]")
        if place is None:
            continue
        if place in places:  # Criteo's error list: poi-coordinates-must-be-unique
            raise ConfigurationError(f"points_of_interest[{number}] stands where [{places[place]}] does.")
        places[place] = number
    return tuple(points)


def _place(point: PointOfInterest, where: str) -> tuple[float, float] | None:
    """Returns a point's coordinates as Criteo rounds them, `None` for a point that only has a name.

    Raises:
        ConfigurationError: when it is empty, or a coordinate is missing or out of its range; naming the field.
    """
    if point.name is not None and not isinstance(point.name, str):
        raise ConfigurationError(f"{where}.name must be a str, not {type(point.name).__name__}.")
    if point.latitude is None and point.longitude is None:
        if not (point.name or "").strip():
            raise ConfigurationError(f"{where} is empty: give its latitude and longitude.")
        return None
    require_number(point.latitude, f"{where}.latitude", least=-90, most=90)
    require_number(point.longitude, f"{where}.longitude", least=-180, most=180)
    return round(cast("float", point.latitude), _DECIMALS), round(cast("float", point.longitude), _DECIMALS)


def _points_or_unset(values: Iterable[PointOfInterest] | Unset) -> tuple[PointOfInterest, ...] | Unset:
    return values if isinstance(values, Unset) else _points(values)


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
class AudienceSegment(ShownInNotebooks):
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


_days: Final = whole_field(least=0)
_radius: Final = whole_field(least=1, most=_FARTHEST)
_people: Final = whole_field(least=1, most=2**63 - 1)


@frozen(kw_only=True)
class ContactListCreate:
    """Makes the new segment a contact list; it has no settings."""


@frozen(kw_only=True)
class InMarketCreate:
    """Settings for an in-market segment. `country` is an ISO 3166-1 alpha-2 code."""

    country: str = field(converter=to_country)
    interest_ids: tuple[str, ...] | None = field(default=None, converter=unique_ids, validator=id_field)
    brand_ids: tuple[str, ...] | None = field(default=None, converter=unique_ids, validator=id_field)
    gender: Gender | None = field(default=None, converter=to_gender)
    buying_power: tuple[BuyingPower, ...] | None = field(default=None, converter=to_buying_power)
    price_range: tuple[PriceRange, ...] | None = field(default=None, converter=to_price_range)


@frozen(kw_only=True)
class LocationCreate:
    """Settings for a location segment.

    Attributes:
        points_of_interest: places, at least one.
        radius_in_km: the greatest distance of a user from one of them, from 1 to 20,037 (half of the equator).
    """

    points_of_interest: tuple[PointOfInterest, ...] = field(converter=_points)
    radius_in_km: int = field(validator=_radius)


@frozen(kw_only=True)
class LookalikeCreate:
    """Settings for a lookalike segment: the segment to resemble, and the desired number of people."""

    seed_segment_id: str = field(validator=text_field)
    target_size: int | None = field(default=None, validator=_people, metadata=int64())


@frozen(kw_only=True)
class ProspectingCreate:
    """Settings for a prospecting segment; days count back from today."""

    users_type: UsersType = field(converter=to_users_type)
    days_since_last_visit_min: int | None = field(default=None, validator=_days)
    days_since_last_visit_max: int | None = field(default=None, validator=_days)

    def __attrs_post_init__(self) -> None:
        require_order(self, "days_since_last_visit_min", "days_since_last_visit_max")


def _require_visit_range(settings: "RetargetingCreate | RetargetingUpdate") -> None:
    """Refuses days that no retargeting segment can have; only the server knows days that an update leaves out."""
    first, last = settings.days_since_last_visit_min, settings.days_since_last_visit_max
    for days, name in ((first, "days_since_last_visit_min"), (last, "days_since_last_visit_max")):
        if isinstance(days, int):
            require_whole(days, name, least=0, most=_OLDEST_VISIT)
    require_order(settings, "days_since_last_visit_min", "days_since_last_visit_max", apart=True)


@frozen(kw_only=True)
class RetargetingCreate:
    """Settings for a retargeting segment; days count back from today, from 0 to 400, the minimum below the maximum."""

    visitors_type: VisitorsType = field(converter=to_visitors_type)
    days_since_last_visit_min: int = field(validator=_days)
    days_since_last_visit_max: int = field(validator=_days)

    def __attrs_post_init__(self) -> None:
        _require_visit_range(self)


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
        require_naming(self.name, self.description)
        require_one_of(self, _SETTINGS)


_SETTINGS: Final = {
    "contact_list": ContactListCreate,
    "in_market": InMarketCreate,
    "location": LocationCreate,
    "lookalike": LookalikeCreate,
    "prospecting": ProspectingCreate,
    "retargeting": RetargetingCreate,
}


@frozen(kw_only=True)
class InMarketUpdate:
    """Changes to an in-market segment; `gender=None` removes the gender, fields left out stay unchanged."""

    country: str | Unset = field(default=UNSET, converter=to_country_or_unset)
    interest_ids: tuple[str, ...] | Unset = field(default=UNSET, converter=unique_ids_or_unset, validator=id_field)
    brand_ids: tuple[str, ...] | Unset = field(default=UNSET, converter=unique_ids_or_unset, validator=id_field)
    gender: Gender | Unset | None = field(default=UNSET, converter=to_gender_or_unset, metadata=nullable())
    buying_power: tuple[BuyingPower, ...] | Unset = field(default=UNSET, converter=to_buying_power_or_unset)
    price_range: tuple[PriceRange, ...] | Unset = field(default=UNSET, converter=to_price_range_or_unset)


@frozen(kw_only=True)
class LocationUpdate:
    """Changes to a location segment; fields left out stay unchanged."""

    points_of_interest: tuple[PointOfInterest, ...] | Unset = field(default=UNSET, converter=_points_or_unset)
    radius_in_km: int | Unset = field(default=UNSET, validator=_radius)
    registry_type: RegistryType | Unset = field(default=UNSET, converter=to_registry_type_or_unset)


@frozen(kw_only=True)
class LookalikeUpdate:
    """Changes to a lookalike segment; its seed cannot be changed."""

    target_size: int | Unset = field(default=UNSET, validator=_people, metadata=int64())


@frozen(kw_only=True)
class ProspectingUpdate:
    """Changes to a prospecting segment; `None` removes a bound, fields left out stay unchanged."""

    users_type: UsersType | Unset = field(default=UNSET, converter=to_users_type_or_unset)
    days_since_last_visit_min: int | Unset | None = field(default=UNSET, validator=_days, metadata=nullable())
    days_since_last_visit_max: int | Unset | None = field(default=UNSET, validator=_days, metadata=nullable())

    def __attrs_post_init__(self) -> None:
        require_order(self, "days_since_last_visit_min", "days_since_last_visit_max")


@frozen(kw_only=True)
class RetargetingUpdate:
    """Changes to a retargeting segment; fields left out stay unchanged."""

    visitors_type: VisitorsType | Unset = field(default=UNSET, converter=to_visitors_type_or_unset)
    days_since_last_visit_min: int | Unset = field(default=UNSET, validator=_days)
    days_since_last_visit_max: int | Unset = field(default=UNSET, validator=_days)

    def __attrs_post_init__(self) -> None:
        _require_visit_range(self)


@frozen(kw_only=True)
class AudienceSegmentUpdate:
    """Changes to an audience segment: fields left out stay unchanged, `None` removes a value where that is possible.

    Attributes:
        id: the segment.
        name: unique among the advertiser's segments.
        description: free text, `None` to remove it.
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
        require_naming(self.name, self.description)
        require_changes_to_one(self, _CHANGES)


_CHANGES: Final = {
    "in_market": InMarketUpdate,
    "location": LocationUpdate,
    "lookalike": LookalikeUpdate,
    "prospecting": ProspectingUpdate,
    "retargeting": RetargetingUpdate,
}
