"""The kinds of segments, and an option for each of their settings."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final

import attrs
import typer

from criteo_audiences import ConfigurationError
from criteo_audiences.cli.options import Service, filled, models_of
from criteo_audiences.rendering import nearest

CONTACT_LIST: Final = "contact-list"

_SETTINGS: Final[Mapping[str, Mapping[str, str]]] = {
    CONTACT_LIST: {},
    "in-market": {
        "country": "country",
        "interest": "interest_ids",
        "brand": "brand_ids",
        "gender": "gender",
        "buying_power": "buying_power",
        "price_range": "price_range",
    },
    "location": {"point": "points_of_interest", "radius_in_km": "radius_in_km"},
    "lookalike": {"seed_segment_id": "seed_segment_id", "target_size": "target_size"},
    "prospecting": {
        "users_type": "users_type",
        "days_since_last_visit_min": "days_since_last_visit_min",
        "days_since_last_visit_max": "days_since_last_visit_max",
    },
    "retargeting": {
        "visitors_type": "visitors_type",
        "days_since_last_visit_min": "days_since_last_visit_min",
        "days_since_last_visit_max": "days_since_last_visit_max",
    },
    "events": {
        "shopper_activity": "shopper_activity",
        "lookback_days": "lookback_days",
        "category": "category_ids",
        "brand": "brand_ids",
        "min_price": "min_price",
        "max_price": "max_price",
    },
}
"""The options of each kind, and the keywords of its settings that they stand for."""

_CREATABLE: Final[Mapping[Service, tuple[str, ...]]] = {
    Service.MARKETING_SOLUTIONS: (CONTACT_LIST, "in-market", "location", "lookalike", "prospecting", "retargeting"),
    Service.RETAIL_MEDIA: (CONTACT_LIST, "events"),
    Service.COMMERCE_GRID: (CONTACT_LIST,),
}
_UPDATABLE: Final = {service: kinds[1:] for service, kinds in _CREATABLE.items()}
_ESTIMABLE: Final[Mapping[Service, tuple[str, ...]]] = {
    Service.MARKETING_SOLUTIONS: ("in-market", "location"),
    Service.RETAIL_MEDIA: ("events",),
    Service.COMMERCE_GRID: (),
}


def _option(panel: str, metavar: str, words: str, **more: Any) -> Any:
    return typer.Option(metavar=metavar, help=words, rich_help_panel=panel, **more)


Words = list[str] | None


@attrs.frozen(kw_only=True)
class SegmentSettings:
    """The kind of a segment, and its settings, as options."""

    kind: Annotated[
        str | None,
        typer.Option(
            "--type",
            parser=filled,
            metavar="TYPE",
            help="contact-list, in-market, location, lookalike, prospecting, retargeting; events in Retail Media.",
        ),
    ] = None
    country: Annotated[str | None, _option("In-market", "CODE", "ISO 3166-1 alpha-2, such as FR.", parser=filled)] = (
        None
    )
    interest: Annotated[
        Words, _option("In-market", "ID", "Interest, of `in-market interests`. Repeat for several.")
    ] = None
    gender: Annotated[str | None, _option("In-market", "WORD", "Male or Female.")] = None
    buying_power: Annotated[
        Words, _option("In-market", "WORD", "Low, Medium, High or VeryHigh. Repeat for several.")
    ] = None
    price_range: Annotated[Words, _option("In-market", "WORD", "Low, Medium or High. Repeat for several.")] = None
    brand: Annotated[
        Words,
        _option("In-market, events", "ID", "Brand; in-market: of `in-market brands`. Repeat for several."),
    ] = None
    point: Annotated[
        Words, _option("Location", "NAME,LAT,LON", "Place in degrees: 'Louvre,48.8606,2.3376'. Repeat for several.")
    ] = None
    radius_in_km: Annotated[int | None, _option("Location", "KM", "Radius around each place.")] = None
    seed_segment_id: Annotated[str | None, _option("Lookalike", "ID", "The segment to resemble.", parser=filled)] = None
    target_size: Annotated[int | None, _option("Lookalike", "PEOPLE", "How many people it should hold.")] = None
    users_type: Annotated[
        str | None, _option("Prospecting, retargeting", "WORD", "Prospecting: Prospects or ProspectsOrNonBuyers.")
    ] = None
    visitors_type: Annotated[
        str | None, _option("Prospecting, retargeting", "WORD", "Retargeting: All, Buyers or NonBuyers.")
    ] = None
    days_since_last_visit_min: Annotated[
        int | None, _option("Prospecting, retargeting", "DAYS", "The last visit is at least so long ago.")
    ] = None
    days_since_last_visit_max: Annotated[
        int | None, _option("Prospecting, retargeting", "DAYS", "The last visit is at most so long ago.")
    ] = None
    shopper_activity: Annotated[str | None, _option("Events", "WORD", "What shoppers did: View, Buy or AddToCart.")] = (
        None
    )
    lookback_days: Annotated[str | None, _option("Events", "WORD", "Last7Days to Last180Days.")] = None
    category: Annotated[Words, _option("Events", "ID", "Category of the retailer. Repeat for several.")] = None
    min_price: Annotated[float | None, _option("Events", "PRICE", "Lowest price of what they did it with.")] = None
    max_price: Annotated[float | None, _option("Events", "PRICE", "Highest price of what they did it with.")] = None

    def for_creation(self, service: Service) -> tuple[str, Any] | None:
        """Returns the keyword of a new segment's settings and the settings; `None` for those of a contact list.

        Raises:
            ConfigurationError: when an option is missing, does not fit, or is wrong.
        """
        kind = self._chosen(service, _CREATABLE[service], "makes no")
        return None if kind in {None, CONTACT_LIST} else self._settings(service, str(kind), "Create")

    def for_update(self, service: Service) -> dict[str, Any]:
        """Returns the changes to a segment's settings, as keywords of its update.

        Raises:
            ConfigurationError: when an option does not fit, or is wrong.
        """
        kind = self._chosen(service, _UPDATABLE[service], "changes no settings of")
        return {} if kind is None else dict([self._settings(service, kind, "Update")])

    def for_estimate(self, service: Service) -> tuple[str, Any]:
        """Returns the keyword of a possible segment's settings and the settings.

        Raises:
            ConfigurationError: as for `for_creation`.
        """
        kinds = _ESTIMABLE[service]
        kind = self._chosen(service, kinds, "estimates no")
        if kind is None:
            raise ConfigurationError(f"{service.value} needs --type here: {' or '.join(kinds)}.")
        return self._settings(service, kind, "Create")

    @property
    def given(self) -> bool:
        """Whether any of the options was given."""
        return self.kind is not None or bool(self._options())

    def _options(self) -> dict[str, Any]:
        options = attrs.asdict(self, filter=lambda field, value: field.name != "kind" and value is not None)
        return {name: value for name, value in options.items() if value != []}

    def _chosen(self, service: Service, kinds: tuple[str, ...], lacks: str) -> str | None:
        """Returns the kind that was asked for, once it is clear that the service has it and all options go with it."""
        given = self._options()
        if self.kind is None:
            for name in given:
                owners = [kind for kind in _SETTINGS if name in _SETTINGS[kind]]
                raise ConfigurationError(f"{_dashed(name)} goes with --type {' or '.join(owners)}.")
            return None
        kind = _meant(self.kind, kinds, f"{service.value} {lacks} segments of that --type.")
        for name in given.keys() - _SETTINGS[kind].keys():
            raise ConfigurationError(f"{_dashed(name)} does not go with --type {kind}.")
        return kind

    def _settings(self, service: Service, kind: str, action: str) -> tuple[str, Any]:
        """Returns the keyword of a kind and the model of its settings."""
        models = models_of(service)
        model = getattr(models, f"{kind.title().replace('-', '')}{action}")
        options = _SETTINGS[kind]
        given = {options[name]: value for name, value in self._options().items()}
        if "points_of_interest" in given:
            given["points_of_interest"] = [_point(models, text) for text in given["points_of_interest"]]
        fields = attrs.fields_dict(model)
        for option, keyword in options.items():
            if keyword in given and keyword not in fields:
                raise ConfigurationError(f"{_dashed(option)} cannot be changed.")
            if keyword in fields and fields[keyword].default is attrs.NOTHING and keyword not in given:
                raise ConfigurationError(f"--type {kind} needs {_dashed(option)}.")
        return kind.replace("-", "_"), model(**given)


def types(service: Service, words: list[str] | None) -> list[str] | None:
    """Returns the kinds of segment to search for, as Criteo spells them; `None` for all.

    Raises:
        ConfigurationError: when the service has no such kind.
    """
    known = [word.value for word in models_of(service).SegmentType if word.value != "Unknown"]
    return [_meant(word, known, f"{service.value} has no segments of that --type.") for word in words or ()] or None


def _meant(word: str, known: Iterable[str], refusal: str) -> str:
    """Returns the one of the words that is meant, in whatever spelling; refuses another with the nearest one."""
    folded = {_fold(each): each for each in known}
    if _fold(word) in folded:
        return folded[_fold(word)]
    near = nearest(word, folded.values(), spelled=_fold)
    hint = f"Did you mean {near!r}?" if near else f"Give one of: {', '.join(folded.values()) or 'none'}."
    raise ConfigurationError(f"{refusal} {hint}")


def _point(models: Any, text: str) -> Any:
    name, *degrees = text.rsplit(",", 2)
    try:
        latitude, longitude = map(float, degrees)
    except ValueError:
        raise ConfigurationError("--point must be NAME,LATITUDE,LONGITUDE, as in 'Louvre,48.8606,2.3376'.") from None
    return models.PointOfInterest(name=name, latitude=latitude, longitude=longitude)


def _fold(word: str) -> str:
    return word.replace("-", "").replace("_", "").lower()


def _dashed(name: str) -> str:
    return f"--{name.replace('_', '-')}"
