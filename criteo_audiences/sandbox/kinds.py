"""Describe the kinds of segments: their settings, by the ``…CreateV1`` and ``…UpdateV1`` schemas, and their sizes.

Codes come from Criteo's guide ("Error codes") if it has one for the case; otherwise they are ``required-field`` and
``invalid``. Criteo publishes neither its sizes nor how it computes them: the sizes here depend only on the server's
data, so they are the same every time.
"""

import math
import re
import zlib
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any, Final

import attrs

from criteo_audiences.sandbox.problems import (
    Check,
    Violation,
    is_country,
    is_int32,
    is_int64,
    is_list_of,
    is_number,
    is_one_of,
    is_point_of_interest,
    is_positive,
    is_set_of,
    is_text,
)

EVERYONE: Final = 10_000_000
"""The number of all users."""
_USERS_PER_SQUARE_KILOMETER = 300
_USERS_PER_DAY = 1_000
_RETARGETING_DAYS = range(401)
_LOOKBACK_DAYS = 7, 14, 30, 45, 60, 90, 120, 150, 180
_RETAIL_MEDIA_LIST_TYPES = "Email", "UserIdentifier", "IdentityLink", "CustomerId", "PhoneNumber"


def scattered(*words: str) -> int:
    """Returns a pseudo-random number below a million that depends only on the words."""
    return zlib.crc32("|".join(words).encode()) % 1_000_000


def matched(count: int, match_rate: float) -> int:
    """Returns how many of the identifiers match a user."""
    return math.floor(count * match_rate)


def in_market_size(settings: Mapping[str, Any]) -> int:
    """Returns the users of the country, halved by each setting that narrows them down."""
    narrowing = [name for name, value in settings.items() if name != "country" and value]
    return (1_000_000 + scattered(settings["country"])) >> len(narrowing)


def location_size(settings: Mapping[str, Any]) -> int:
    """Returns the users around all points."""
    area: int = len(settings["pointsOfInterest"]) * settings["radiusInKm"] ** 2
    return min(EVERYONE, area * _USERS_PER_SQUARE_KILOMETER)


def lookalike_size(settings: Mapping[str, Any]) -> int | None:
    """Returns the target size, `None` if the segment has none."""
    target: int | None = settings.get("targetSize")
    return None if target is None else max(0, min(EVERYONE, target))


def events_size(settings: Mapping[str, Any]) -> int:
    """Returns the users of the days that the segment looks back on."""
    (days,) = re.findall("[0-9]+", settings["lookbackDays"])
    return int(days) * _USERS_PER_DAY


@attrs.frozen
class SettingsField:
    """A field of a settings object."""

    name: str
    check: Check
    code: str = "invalid"
    """The code of the problem when the check fails."""
    missing: str | None = None
    """The code of the problem when a creation leaves the field out; ``None`` for an optional field."""
    is_nillable: bool = False
    """Whether an update wraps it as ``{"value": …}``, where a missing or null value sets it to null."""
    in_creation: bool = True
    """Whether the schema of a creation has the field; otherwise a creation ignores it, like any unknown field."""
    in_update: bool = True
    """The same for the schema of an update."""
    names_segment: bool = False
    """Whether it is the id of a segment, which must have the same owner."""
    in_answer: bool = True
    """Whether the answer shows it among the settings."""

    def violation(self, settings: Mapping[str, Any]) -> Violation | None:
        """Returns what is wrong with the field in a creation, if anything."""
        if self.name not in settings:
            return Violation(self.missing, f"{self.name} is missing.") if self.missing else None
        return self._violation(settings[self.name])

    def update_violation(self, value: object) -> Violation | None:
        """Returns what is wrong with its new value in an update."""
        return nillable_violation(self.name, value, self._violation) if self.is_nillable else self._violation(value)

    def updated(self, value: Any) -> Any:
        """Returns the new value without its wrapper."""
        return value.get("value") if self.is_nillable else value

    def _violation(self, value: object) -> Violation | None:
        return None if self.check(value) else Violation(self.code, f"{self.name} is not valid.")


def nillable_violation(name: str, wrapper: object, violation: Callable[[object], Violation | None]) -> Violation | None:
    """Returns what is wrong with a ``Nillable…`` object of OpenAPI, if anything.

    Args:
        name: The field that it stands for.
        wrapper: The object, which should be ``{"value": …}``.
        violation: Checks a value other than null.
    """
    if not isinstance(wrapper, dict):
        return Violation("invalid", f"{name} must be an object with a value.")
    value = wrapper.get("value")
    return None if value is None else violation(value)


def _nothing(_: Mapping[str, Any]) -> Violation | None:
    return None


@attrs.frozen
class Kind:
    """A kind of segment: its name, its fields, a rule across its fields, and how the server completes them."""

    type: str
    fields: tuple[SettingsField, ...] = ()
    across: Callable[[Mapping[str, Any]], Violation | None] = _nothing
    completed: Callable[[Mapping[str, Any]], dict[str, Any]] = dict
    defaults: Mapping[str, Any] = attrs.field(factory=dict)
    """What the server adds when a segment is created."""
    size: Callable[[Mapping[str, Any]], int | None] | None = None
    """Returns how many users have these settings, or ``None`` when that is unknown. The field is ``None`` for a kind
    without a supported size."""

    @property
    def is_updatable(self) -> bool:
        """Whether an update can change anything about the settings."""
        return any(field.in_update for field in self.fields)

    def violations(self, settings: Mapping[str, Any]) -> Iterator[Violation]:
        """Returns everything that keeps a segment with these settings from being created."""
        wrong = [each for field in self.fields if field.in_creation and (each := field.violation(settings))]
        yield from wrong
        if not wrong and (violation := self.across(settings)):
            yield violation

    def kept(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the settings as the server's answers show them: without unknown fields."""
        shown = [field.name for field in self.fields if field.in_creation and field.in_answer]
        return self.completed({**self.defaults, **{name: settings[name] for name in shown if name in settings}})

    def segment_ids(self, settings: Mapping[str, Any]) -> list[str]:
        """Returns the ids of the segments that settings name."""
        return [settings[field.name] for field in self.fields if field.names_segment]

    def update_violations(self, changes: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterator[Violation]:
        """Returns everything that keeps the settings of a segment from being changed."""
        wrong = [each for field in self._named(changes) if (each := field.update_violation(changes[field.name]))]
        yield from wrong
        if not wrong and (violation := self.across(self.updated(changes, settings))):
            yield violation

    def updated(self, changes: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the settings after an update without violations."""
        new = {field.name: field.updated(changes[field.name]) for field in self._named(changes)}
        return self.completed({**settings, **new})

    def _named(self, changes: Mapping[str, Any]) -> Iterator[SettingsField]:
        return (field for field in self.fields if field.in_update and field.name in changes)


def _points_differ(settings: Mapping[str, Any]) -> Violation | None:
    points: list[Mapping[str, Any]] = settings["pointsOfInterest"]
    if not points:
        return Violation("poi-list-must-be-not-empty", "There is no point of interest.")
    places: list[Hashable] = [(point.get("latitude"), point.get("longitude")) for point in points]
    if len(set(places)) < len(places):
        return Violation("poi-coordinates-must-be-unique", "Two points of interest lie at the same place.")
    return None


def _days_make_a_range(settings: Mapping[str, Any]) -> Violation | None:
    # Criteo's error list gives the range: 400 >= to > from >= 0.
    first, last = settings["daysSinceLastVisitMin"], settings["daysSinceLastVisitMax"]
    subject = "retargeting-segment-days-since-last-visit-are-not"
    if first not in _RETARGETING_DAYS or last not in _RETARGETING_DAYS:
        return Violation(f"{subject}-in-acceptable-range", "The days must lie between 0 and 400.")
    if last <= first:
        return Violation(f"{subject}-compatible", "The maximum must lie above the minimum.")
    return None


def _rounded(settings: Mapping[str, Any]) -> dict[str, Any]:
    points = [
        point | {axis: round(point[axis], 5) for axis in ("latitude", "longitude") if point.get(axis) is not None}
        for point in settings["pointsOfInterest"]
    ]
    return {**settings, "pointsOfInterest": points}


_IN_MARKET = Kind(
    "InMarket",
    (
        SettingsField("country", is_country, "country-code-must-be-valid", missing="country-code-is-required"),
        SettingsField("interestIds", is_set_of(is_text), "interests-list-must-be-valid"),
        SettingsField("brandIds", is_set_of(is_text), "brand-list-must-be-valid"),
        SettingsField("gender", is_one_of("Male", "Female"), "gender-must-be-valid", is_nillable=True),
        SettingsField(
            "buyingPower", is_set_of(is_one_of("Low", "Medium", "High", "VeryHigh")), "buying-power-must-be-valid"
        ),
        SettingsField("priceRange", is_set_of(is_one_of("Low", "Medium", "High")), "price-range-must-be-valid"),
    ),
    size=in_market_size,
)

_LOCATION = Kind(
    "Location",
    (
        SettingsField(
            "pointsOfInterest",
            is_list_of(is_point_of_interest),
            "poi-coordinates-must-be-valid",
            missing="poi-list-must-be-not-empty",
        ),
        SettingsField("radiusInKm", is_positive, "radius-must-be-in-range", missing="poi-radius-must-be-not-null"),
        SettingsField("registryType", is_one_of("PointOfInterest"), "registry-type-must-be-valid", in_creation=False),
    ),
    across=_points_differ,
    completed=_rounded,
    defaults={"registryType": "PointOfInterest"},
    size=location_size,
)

_LOOKALIKE = Kind(
    "Lookalike",
    (
        SettingsField(
            "seedSegmentId",
            is_text,
            "segment-must-have-valid-segment-id",
            missing="required-field",
            in_update=False,
            names_segment=True,
        ),
        SettingsField("targetSize", is_int64),
    ),
    size=lookalike_size,
)

_PROSPECTING = Kind(
    "Prospecting",
    (
        SettingsField("usersType", is_one_of("Prospects", "ProspectsOrNonBuyers"), missing="required-field"),
        SettingsField("daysSinceLastVisitMin", is_int32, "days-must-be-in-range", is_nillable=True),
        SettingsField("daysSinceLastVisitMax", is_int32, "days-must-be-in-range", is_nillable=True),
    ),
)

_RETARGETING = Kind(
    "Retargeting",
    (
        SettingsField("visitorsType", is_one_of("All", "Buyers", "NonBuyers"), missing="required-field"),
        SettingsField("daysSinceLastVisitMin", is_int32, missing="required-field"),
        SettingsField("daysSinceLastVisitMax", is_int32, missing="required-field"),
    ),
    across=_days_make_a_range,
)

_EVENTS = Kind(
    "Events",
    (
        SettingsField("shopperActivity", is_one_of("View", "Buy", "AddToCart"), missing="required-field"),
        SettingsField(
            "lookbackDays", is_one_of(*(f"Last{days}Days" for days in _LOOKBACK_DAYS)), missing="required-field"
        ),
        # OpenAPI demands unique items of a creation only.
        *(SettingsField(name, is_set_of(is_text), in_update=False) for name in ("categoryIds", "brandIds")),
        *(SettingsField(name, is_list_of(is_text), in_creation=False) for name in ("categoryIds", "brandIds")),
        SettingsField("minPrice", is_number, is_nillable=True),
        SettingsField("maxPrice", is_number, is_nillable=True),
    ),
    size=events_size,
)

# By the name of the settings object in the attributes of a segment. The API can change what it has created, so no new
# contact list is read-only.
MARKETING_SOLUTIONS: Final[Mapping[str, Kind]] = {
    "contactList": Kind("ContactList", defaults={"isReadOnly": False}),
    "inMarket": _IN_MARKET,
    "location": _LOCATION,
    "lookalike": _LOOKALIKE,
    "prospecting": _PROSPECTING,
    "retargeting": _RETARGETING,
}

RETAIL_MEDIA: Final[Mapping[str, Kind]] = {
    "contactList": Kind(
        "ContactList",
        (SettingsField("identifierType", is_one_of(*_RETAIL_MEDIA_LIST_TYPES), in_update=False),),
        defaults={"identifierType": None, "isReadOnly": False, "sharingStatus": "NotShared"},
    ),
    "events": _EVENTS,
}

COMMERCE_GRID: Final[Mapping[str, Kind]] = {
    "contactList": Kind("ContactList", (SettingsField("remoteId", is_text, in_update=False, in_answer=False),)),
}
