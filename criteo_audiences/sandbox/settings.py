"""What a segment of each kind says about itself, by the ``…CreateV1`` and ``…UpdateV1`` schemas of OpenAPI.

Codes are those of Criteo's guide ("Error codes") where it has one; ``required-field`` and ``invalid`` elsewhere.
"""

from collections.abc import Hashable, Mapping
from typing import Any, Final

from criteo_audiences.sandbox import sizes
from criteo_audiences.sandbox.checks import (
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
from criteo_audiences.sandbox.kinds import Field, Kind
from criteo_audiences.sandbox.problems import Violation

_RETARGETING_DAYS = range(401)


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
        Field("country", is_country, "country-code-must-be-valid", missing="country-code-is-required"),
        Field("interestIds", is_set_of(is_text), "interests-list-must-be-valid"),
        Field("brandIds", is_set_of(is_text), "brand-list-must-be-valid"),
        Field("gender", is_one_of("Male", "Female"), "gender-must-be-valid", is_nillable=True),
        Field("buyingPower", is_set_of(is_one_of("Low", "Medium", "High", "VeryHigh")), "buying-power-must-be-valid"),
        Field("priceRange", is_set_of(is_one_of("Low", "Medium", "High")), "price-range-must-be-valid"),
    ),
    size=sizes.in_market,
)
_LOCATION = Kind(
    "Location",
    (
        Field(
            "pointsOfInterest",
            is_list_of(is_point_of_interest),
            "poi-coordinates-must-be-valid",
            missing="poi-list-must-be-not-empty",
        ),
        Field("radiusInKm", is_positive, "radius-must-be-in-range", missing="poi-radius-must-be-not-null"),
        Field("registryType", is_one_of("PointOfInterest"), "registry-type-must-be-valid", in_creation=False),
    ),
    across=_points_differ,
    completed=_rounded,
    defaults={"registryType": "PointOfInterest"},
    size=sizes.location,
)
_LOOKALIKE = Kind(
    "Lookalike",
    (
        Field(
            "seedSegmentId",
            is_text,
            "segment-must-have-valid-segment-id",
            missing="required-field",
            in_update=False,
            names_segment=True,
        ),
        Field("targetSize", is_int64),
    ),
    size=sizes.lookalike,
)
_PROSPECTING = Kind(
    "Prospecting",
    (
        Field("usersType", is_one_of("Prospects", "ProspectsOrNonBuyers"), missing="required-field"),
        Field("daysSinceLastVisitMin", is_int32, "days-must-be-in-range", is_nillable=True),
        Field("daysSinceLastVisitMax", is_int32, "days-must-be-in-range", is_nillable=True),
    ),
)
_RETARGETING = Kind(
    "Retargeting",
    (
        Field("visitorsType", is_one_of("All", "Buyers", "NonBuyers"), missing="required-field"),
        Field("daysSinceLastVisitMin", is_int32, missing="required-field"),
        Field("daysSinceLastVisitMax", is_int32, missing="required-field"),
    ),
    across=_days_make_a_range,
)
_LOOKBACK_DAYS = 7, 14, 30, 45, 60, 90, 120, 150, 180
_EVENTS = Kind(
    "Events",
    (
        Field("shopperActivity", is_one_of("View", "Buy", "AddToCart"), missing="required-field"),
        Field("lookbackDays", is_one_of(*(f"Last{days}Days" for days in _LOOKBACK_DAYS)), missing="required-field"),
        # OpenAPI demands unique items of a creation only.
        *(Field(name, is_set_of(is_text), in_update=False) for name in ("categoryIds", "brandIds")),
        *(Field(name, is_list_of(is_text), in_creation=False) for name in ("categoryIds", "brandIds")),
        Field("minPrice", is_number, is_nillable=True),
        Field("maxPrice", is_number, is_nillable=True),
    ),
    size=sizes.events,
)
_RETAIL_MEDIA_LIST_TYPES = "Email", "UserIdentifier", "IdentityLink", "CustomerId", "PhoneNumber"

# By the name of the settings object in the attributes of a segment. What is created through the API can be changed
# through it, so that no new contact list is read-only.
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
        (Field("identifierType", is_one_of(*_RETAIL_MEDIA_LIST_TYPES), in_update=False),),
        defaults={"identifierType": None, "isReadOnly": False, "sharingStatus": "NotShared"},
    ),
    "events": _EVENTS,
}
COMMERCE_GRID: Final[Mapping[str, Kind]] = {
    "contactList": Kind("ContactList", (Field("remoteId", is_text, in_update=False, in_answer=False),)),
}
