"""The vocabulary of Marketing Solutions (OpenAPI 2026-07), with converters from a caller's words to its members."""

from collections.abc import Iterable, Mapping
from typing import TypeVar

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.identifiers.countries import find_country
from criteo_audiences.models import Unset, Word
from criteo_audiences.validation import choose, require_list, require_text

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
    """The price level of the products that people often buy."""

    UNKNOWN = "Unknown"
    LOW = "Low"
    MEDIUM = "Medium"
    HIGH = "High"
    VERY_HIGH = "VeryHigh"


class PriceRange(Word):
    """The price level of the products that people look at."""

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
    """The kind of place a location segment is drawn around; Criteo's guide also writes `PointsOfInterest`."""

    UNKNOWN = "Unknown"
    POINT_OF_INTEREST = "PointOfInterest"

    @classmethod
    def synonyms(cls) -> Mapping[str, str]:
        """See `Word.synonyms`."""
        return {"PointsOfInterest": "PointOfInterest"}


class BehavioralCategory(Word):
    """The kinds of behavioral segment that Criteo makes."""

    UNKNOWN = "Unknown"
    LIFESTYLES = "Lifestyles"
    LIFE_EVENTS = "LifeEvents"
    SEASONAL = "Seasonal"
    BUYING_PATTERNS = "BuyingPatterns"


def to_country(value: str) -> str:
    """Returns a country as Criteo spells it: two capitals (ISO 3166-1 alpha-2).

    Raises:
        ConfigurationError: for anything else; suggests the code for a name or another kind of code.
    """
    text = require_text(value, "country")
    found = find_country(text)
    if found is None or found != text.upper():
        hint = f"; did you mean {found}?" if found else "."
        raise ConfigurationError(f"country must be an ISO 3166-1 alpha-2 code such as FR{hint}")
    return found


def to_country_or_unset(value: str | Unset) -> str | Unset:
    """Returns the code; an update may leave it out."""
    return value if isinstance(value, Unset) else to_country(value)


def to_registry_type_or_unset(value: RegistryType | str | Unset) -> RegistryType | Unset:
    """Returns the member; an update may leave it out."""
    return value if isinstance(value, Unset) else choose(RegistryType, value, "registry_type")


def to_gender(value: Gender | str | None) -> Gender | None:
    """Returns the member; `None` stays `None`."""
    return None if value is None else choose(Gender, value, "gender")


def to_gender_or_unset(value: Gender | str | Unset | None) -> Gender | Unset | None:
    """Returns the member; an update may leave it out, or remove it with `None`."""
    return value if isinstance(value, Unset) else to_gender(value)


def to_buying_power(values: Iterable[BuyingPower | str] | None) -> tuple[BuyingPower, ...] | None:
    """Returns the members, each once; `None` stays `None`."""
    return _members(BuyingPower, values, "buying_power")


def to_buying_power_or_unset(values: Iterable[BuyingPower | str] | Unset) -> tuple[BuyingPower, ...] | Unset:
    """Returns the members, each once; an update may leave them out."""
    return values if isinstance(values, Unset) else to_buying_power(values) or ()


def to_price_range(values: Iterable[PriceRange | str] | None) -> tuple[PriceRange, ...] | None:
    """Returns the members, each once; `None` stays `None`."""
    return _members(PriceRange, values, "price_range")


def to_price_range_or_unset(values: Iterable[PriceRange | str] | Unset) -> tuple[PriceRange, ...] | Unset:
    """Returns the members, each once; an update may leave them out."""
    return values if isinstance(values, Unset) else to_price_range(values) or ()


def to_users_type(value: UsersType | str) -> UsersType:
    """Returns the member."""
    return choose(UsersType, value, "users_type")


def to_users_type_or_unset(value: UsersType | str | Unset) -> UsersType | Unset:
    """Returns the member; an update may leave it out."""
    return value if isinstance(value, Unset) else to_users_type(value)


def to_visitors_type(value: VisitorsType | str) -> VisitorsType:
    """Returns the member."""
    return choose(VisitorsType, value, "visitors_type")


def to_visitors_type_or_unset(value: VisitorsType | str | Unset) -> VisitorsType | Unset:
    """Returns the member; an update may leave it out."""
    return value if isinstance(value, Unset) else to_visitors_type(value)


def _members(words: type[W], values: Iterable[W | str] | None, name: str) -> tuple[W, ...] | None:
    if values is None:
        return None
    return tuple(dict.fromkeys(choose(words, value, name) for value in require_list(values, name)))
