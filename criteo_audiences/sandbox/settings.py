"""What a segment of each kind must say about itself when it is created, by the ``…CreateV1`` schemas of OpenAPI.

Codes are those of Criteo's guide ("Error codes") where it has one; ``required-field`` and ``invalid`` elsewhere.
"""

import re
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any

import attrs

from criteo_audiences.sandbox.problems import Violation

_INT32 = range(-(2**31), 2**31)
_INT64 = range(-(2**63), 2**63)
_RETARGETING_DAYS = range(401)

Check = Callable[[object], bool]


def is_text(value: object) -> bool:
    """Returns whether the value is a string."""
    return isinstance(value, str)


def _is_one_of(*words: str) -> Check:
    return lambda value: isinstance(value, str) and value in words


def _is_set_of(check: Check) -> Check:
    def is_set(value: object) -> bool:
        return isinstance(value, list) and all(map(check, value)) and len(set(value)) == len(value)

    return is_set


def _is_integer(within: range) -> Check:
    # "true" is an integer to Python, not to JSON.
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and value in within


def _is_country(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch("[A-Z]{2}", value) is not None


def _is_coordinate(value: object, limit: float) -> bool:
    return value is None or (
        isinstance(value, int | float) and not isinstance(value, bool) and -limit <= value <= limit
    )


def _is_point_of_interest(value: object) -> bool:
    return (
        isinstance(value, dict)
        and (value.get("name") is None or is_text(value["name"]))
        and _is_coordinate(value.get("latitude"), 90)
        and _is_coordinate(value.get("longitude"), 180)
    )


def _are_points_of_interest(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_point_of_interest, value))


@attrs.frozen
class Field:
    """A field of a settings object."""

    name: str
    check: Check
    code: str = "invalid"
    """The problem when the check fails."""
    missing: str | None = None
    """The problem when it is left out; ``None`` for an optional field."""

    def violation(self, settings: Mapping[str, Any]) -> Violation | None:
        """Returns what is wrong with the field, if anything."""
        if self.name not in settings:
            return Violation(self.missing, f"{self.name} is missing.") if self.missing else None
        return None if self.check(settings[self.name]) else Violation(self.code, f"{self.name} is not valid.")


def _nothing(_: Mapping[str, Any]) -> Violation | None:
    return None


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
    return {**settings, "pointsOfInterest": points, "registryType": "PointOfInterest"}


def _writable(_: Mapping[str, Any]) -> dict[str, Any]:
    # What is created through the API can be changed through it.
    return {"isReadOnly": False}


@attrs.frozen
class Kind:
    """A kind of segment: its name, its fields, a rule across them, and what the server makes of them."""

    type: str
    fields: tuple[Field, ...] = ()
    across: Callable[[Mapping[str, Any]], Violation | None] = _nothing
    completed: Callable[[Mapping[str, Any]], dict[str, Any]] = dict

    def violations(self, settings: Mapping[str, Any]) -> Iterator[Violation]:
        """Returns everything that is wrong with the settings."""
        wrong = [violation for field in self.fields if (violation := field.violation(settings))]
        yield from wrong
        if not wrong and (violation := self.across(settings)):
            yield violation

    def kept(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the settings as the server gives them back: without fields it does not know."""
        return self.completed({field.name: settings[field.name] for field in self.fields if field.name in settings})


KINDS: Mapping[str, Kind] = {
    "contactList": Kind("ContactList", completed=_writable),
    "inMarket": Kind(
        "InMarket",
        (
            Field("country", _is_country, "country-code-must-be-valid", missing="country-code-is-required"),
            Field("interestIds", _is_set_of(is_text), "interests-list-must-be-valid"),
            Field("brandIds", _is_set_of(is_text), "brand-list-must-be-valid"),
            Field("gender", _is_one_of("Male", "Female"), "gender-must-be-valid"),
            Field(
                "buyingPower",
                _is_set_of(_is_one_of("Low", "Medium", "High", "VeryHigh")),
                "buying-power-must-be-valid",
            ),
            Field("priceRange", _is_set_of(_is_one_of("Low", "Medium", "High")), "price-range-must-be-valid"),
        ),
    ),
    "location": Kind(
        "Location",
        (
            Field(
                "pointsOfInterest",
                _are_points_of_interest,
                "poi-coordinates-must-be-valid",
                missing="poi-list-must-be-not-empty",
            ),
            Field(
                "radiusInKm",
                _is_integer(range(1, _INT32.stop)),
                "radius-must-be-in-range",
                missing="poi-radius-must-be-not-null",
            ),
        ),
        across=_points_differ,
        completed=_rounded,
    ),
    "lookalike": Kind(
        "Lookalike",
        (
            Field("seedSegmentId", is_text, "segment-must-have-valid-segment-id", missing="required-field"),
            Field("targetSize", _is_integer(_INT64)),
        ),
    ),
    "prospecting": Kind(
        "Prospecting",
        (
            Field("usersType", _is_one_of("Prospects", "ProspectsOrNonBuyers"), missing="required-field"),
            Field("daysSinceLastVisitMin", _is_integer(_INT32), "days-must-be-in-range"),
            Field("daysSinceLastVisitMax", _is_integer(_INT32), "days-must-be-in-range"),
        ),
    ),
    "retargeting": Kind(
        "Retargeting",
        (
            Field("visitorsType", _is_one_of("All", "Buyers", "NonBuyers"), missing="required-field"),
            Field("daysSinceLastVisitMin", _is_integer(_INT32), missing="required-field"),
            Field("daysSinceLastVisitMax", _is_integer(_INT32), missing="required-field"),
        ),
        across=_days_make_a_range,
    ),
}
"""By the name of the settings object in the attributes of a segment."""
