"""Everything that a caller can hand to the client, as hypothesis strategies over its models."""

import itertools
from collections.abc import Callable
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeVar

from attrs import asdict, frozen, has
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from criteo_audiences import HashAlgorithm, IdentifierType, Operation
from criteo_audiences.algebra import Expression, Segment
from criteo_audiences.commerce_grid import segment_api as cg
from criteo_audiences.marketing_solutions import audience_api as ms_audiences
from criteo_audiences.marketing_solutions import models as ms
from criteo_audiences.models import UNSET, Word
from criteo_audiences.retail_media import audience_models as rm_audiences
from criteo_audiences.retail_media import models as rm

T = TypeVar("T")
Arguments = tuple[tuple[Any, ...], dict[str, Any]]


@frozen
class World:
    """What there is at the other end: ids that a call may name, whether they exist there or not."""

    segments: SearchStrategy[str]
    owners: SearchStrategy[str]
    audiences: SearchStrategy[str]
    ad_sets: SearchStrategy[str]
    line_items: SearchStrategy[str]


def arguments(*positional: SearchStrategy[Any], **keywords: SearchStrategy[Any]) -> SearchStrategy[Arguments]:
    """The arguments of a call."""
    return st.tuples(st.tuples(*positional), st.fixed_dictionaries(keywords))


def optional(strategy: SearchStrategy[T]) -> SearchStrategy[T | None]:
    """A value, or `None` for one that is left out."""
    return st.none() | strategy


def changed(strategy: SearchStrategy[T]) -> SearchStrategy[Any]:
    """A change of what cannot be removed."""
    return st.just(UNSET) | strategy


def removable(strategy: SearchStrategy[T]) -> SearchStrategy[Any]:
    """A change of what can be taken away."""
    return st.just(UNSET) | st.none() | strategy


def words(vocabulary: type[Word]) -> SearchStrategy[Any]:
    """A word that a caller may choose, as a member or as its text in any case."""
    members = st.sampled_from([word for word in vocabulary if word.is_known])
    return members | members.map(lambda word: word.value) | members.map(lambda word: word.value.upper())


def some(strategy: SearchStrategy[T], *, least: int = 0) -> SearchStrategy[list[T]]:
    """A short list, in which something may stand twice."""
    return st.lists(strategy, min_size=least, max_size=3)


# Names repeat, so that some are taken.
NAMES: Final = st.sampled_from(["crm", "Été", "loyal", "a/b?c=d"]) | st.text(min_size=1, max_size=12).filter(str.strip)
TEXTS: Final = st.text(max_size=12)
IDS: Final = st.integers(1, 2**63 - 1).map(str) | st.text("ab1/%?#&+ é.", min_size=1, max_size=6).filter(
    lambda text: text.strip() and text not in {".", ".."}
)
PEOPLE: Final = st.integers(1, 2**63 - 1)
DAYS: Final = st.integers(0, 400) | st.integers(0, 2**31 - 1)
# 400 >= to > from >= 0, by Criteo's error list.
VISITS: Final = st.tuples(st.integers(0, 400), st.integers(0, 400)).filter(lambda days: days[0] < days[1])
SPANS: Final = st.tuples(DAYS, DAYS).map(lambda days: tuple(sorted(days))) | st.tuples(st.none(), optional(DAYS))
PARTLY: Final = st.lists(removable(DAYS), min_size=1, max_size=1).flatmap(
    lambda one: st.sampled_from([[UNSET, *one], [*one, UNSET], [None, *one], [*one, None]])
)
PRICES: Final = st.integers(0, 10**6) | st.floats(0, 10**9)
RANGES: Final = st.tuples(PRICES, PRICES).map(lambda prices: tuple(sorted(prices)))
COUNTRIES: Final = st.sampled_from(["FR", "us", "GB", "in"])
RADII: Final = st.integers(1, 20_037)
IDENTIFIERS: Final = st.integers(0, 99).map("user{}@example.com".format) | st.text(min_size=1, max_size=20)
EMAILS: Final = st.integers(0, 99).map("user{}@example.com".format)

PLACES: Final = st.builds(
    ms.PointOfInterest,
    name=optional(TEXTS),
    latitude=st.floats(-90, 90) | st.integers(-90, 90),
    longitude=st.floats(-180, 180) | st.integers(-180, 180),
) | st.builds(ms.PointOfInterest, name=NAMES)
SOME_PLACES: Final = st.lists(
    PLACES,
    min_size=1,
    max_size=3,
    unique_by=lambda place: place.name if place.latitude is None else (round(place.latitude), round(place.longitude)),
)


def _visits(model: Callable[..., T], visitors: Any, days: tuple[Any, Any]) -> T:
    """Retargeting settings: both numbers of days are drawn at once, because they must make a range."""
    return model(visitors_type=visitors, days_since_last_visit_min=days[0], days_since_last_visit_max=days[1])


def _prospects(model: Callable[..., T], users: Any, days: tuple[Any, Any]) -> T:
    """Prospecting settings: both numbers of days are drawn at once, because they must make a range."""
    return model(users_type=users, days_since_last_visit_min=days[0], days_since_last_visit_max=days[1])


def _events(model: Callable[..., T], prices: tuple[Any, Any], **fields: Any) -> T:
    """Settings of an events segment: both prices are drawn at once, because they must make a range."""
    return model(min_price=prices[0], max_price=prices[1], **fields)


def _changes_something(settings: Any) -> bool:
    """Whether settings in an update say anything."""
    return not has(type(settings)) or any(value is not UNSET for value in asdict(settings, recurse=False).values())


MS_SETTINGS: Final[dict[str, SearchStrategy[Any]]] = {
    "contact_list": st.builds(ms.ContactListCreate),
    "in_market": st.builds(
        ms.InMarketCreate,
        country=COUNTRIES,
        interest_ids=optional(some(IDS)),
        brand_ids=optional(some(IDS)),
        gender=optional(words(ms.Gender)),
        buying_power=optional(some(words(ms.BuyingPower))),
        price_range=optional(some(words(ms.PriceRange))),
    ),
    "location": st.builds(ms.LocationCreate, points_of_interest=SOME_PLACES, radius_in_km=RADII),
    "lookalike": st.builds(ms.LookalikeCreate, seed_segment_id=IDS, target_size=optional(PEOPLE)),
    "prospecting": st.builds(_prospects, st.just(ms.ProspectingCreate), words(ms.UsersType), SPANS),
    "retargeting": st.builds(_visits, st.just(ms.RetargetingCreate), words(ms.VisitorsType), VISITS),
}
MS_SETTINGS_CHANGES: Final[dict[str, SearchStrategy[Any]]] = {
    "in_market": st.builds(
        ms.InMarketUpdate,
        country=changed(COUNTRIES),
        interest_ids=changed(some(IDS)),
        brand_ids=changed(some(IDS)),
        gender=removable(words(ms.Gender)),
        buying_power=changed(some(words(ms.BuyingPower))),
        price_range=changed(some(words(ms.PriceRange))),
    ),
    "location": st.builds(
        ms.LocationUpdate,
        points_of_interest=changed(SOME_PLACES),
        radius_in_km=changed(RADII),
        registry_type=changed(words(ms.RegistryType)),
    ),
    "lookalike": st.builds(ms.LookalikeUpdate, target_size=changed(PEOPLE)),
    "prospecting": st.builds(
        _prospects, st.just(ms.ProspectingUpdate), changed(words(ms.UsersType)), SPANS | PARTLY.map(tuple)
    ),
    "retargeting": st.builds(
        _visits,
        st.just(ms.RetargetingUpdate),
        changed(words(ms.VisitorsType)),
        VISITS | VISITS.map(lambda days: (UNSET, days[1])) | VISITS.map(lambda days: (days[0], UNSET)),
    ),
}
RM_SETTINGS: Final[dict[str, SearchStrategy[Any]]] = {
    "contact_list": st.builds(
        rm.ContactListCreate,
        identifier_type=st.sampled_from(sorted(rm.WIRE_TYPES.keys() - {IdentifierType.GUM})),
    ),
    "events": st.builds(
        _events,
        st.just(rm.EventsCreate),
        RANGES | st.tuples(st.none(), optional(PRICES)),
        shopper_activity=words(rm.ShopperActivity),
        lookback_days=words(rm.LookbackDays),
        category_ids=some(IDS, least=1),
        brand_ids=optional(some(IDS)),
    ),
}
RM_EVENTS_CHANGES: Final = st.builds(
    _events,
    st.just(rm.EventsUpdate),
    RANGES | st.tuples(st.sampled_from([UNSET, None]), removable(PRICES)),
    shopper_activity=changed(words(rm.ShopperActivity)),
    lookback_days=changed(words(rm.LookbackDays)),
    category_ids=changed(some(IDS)),
    brand_ids=changed(some(IDS, least=1)),
)

_Fields = dict[str, SearchStrategy[Any]]


def _one_kind(model: Callable[..., T], fields: _Fields, settings: dict[str, SearchStrategy[Any]]) -> SearchStrategy[T]:
    """A model with exactly one of its settings objects."""
    return st.one_of([st.builds(model, **fields, **{name: each}) for name, each in settings.items()])


def _change(model: Callable[..., T], fields: _Fields, settings: dict[str, SearchStrategy[Any]]) -> SearchStrategy[T]:
    """An update: of its name at least, or of its description at least, or of one of its settings at least."""
    either = [
        fields | {"name": NAMES},
        fields | {"description": optional(TEXTS)},
        *(fields | {name: each.filter(_changes_something)} for name, each in settings.items()),
    ]
    return st.one_of([st.builds(model, **each) for each in either])


def ms_creations(world: World) -> SearchStrategy[ms.AudienceSegmentCreate]:
    """A segment to create in Marketing Solutions."""
    fields = {"advertiser_id": world.owners, "name": NAMES, "description": optional(TEXTS)}
    lookalike = st.builds(ms.LookalikeCreate, seed_segment_id=world.segments, target_size=optional(PEOPLE))
    return _one_kind(ms.AudienceSegmentCreate, fields, MS_SETTINGS | {"lookalike": lookalike})


def ms_updates(world: World) -> SearchStrategy[ms.AudienceSegmentUpdate]:
    """A change of a segment in Marketing Solutions."""
    fields = {"id": world.segments, "name": changed(NAMES), "description": removable(TEXTS)}
    return _change(ms.AudienceSegmentUpdate, fields, MS_SETTINGS_CHANGES)


def rm_creations(world: World) -> SearchStrategy[rm.AudienceSegmentCreate]:
    """A segment to create in Retail Media."""
    fields = {"retailer_id": world.owners, "name": NAMES, "description": optional(TEXTS)}
    return _one_kind(rm.AudienceSegmentCreate, fields, RM_SETTINGS)


def rm_updates(world: World) -> SearchStrategy[rm.AudienceSegmentUpdate]:
    """A change of a segment in Retail Media."""
    fields = {"id": world.segments, "name": changed(NAMES), "description": removable(TEXTS)}
    return _change(rm.AudienceSegmentUpdate, fields, {"events": RM_EVENTS_CHANGES})


def cg_creations(world: World) -> SearchStrategy[cg.AudienceSegmentCreate]:
    """A segment to create in Commerce Grid."""
    return st.builds(
        cg.AudienceSegmentCreate,
        data_provider_id=world.owners,
        name=NAMES,
        description=optional(TEXTS),
        contact_list=st.builds(cg.ContactListCreate, remote_id=optional(NAMES)),
    )


def cg_updates(world: World) -> SearchStrategy[cg.AudienceSegmentUpdate]:
    """A change of a segment in Commerce Grid."""
    fields = {"id": world.segments, "name": changed(NAMES), "description": removable(TEXTS)}
    return _change(cg.AudienceSegmentUpdate, fields, {})


def algebras(world: World) -> SearchStrategy[Expression]:
    """A combination of segments."""
    return st.recursive(
        world.segments.map(Segment),
        lambda part: (
            part.map(lambda it: ~it)
            | st.tuples(part, part).map(lambda both: both[0] & both[1])
            | st.tuples(part, part).map(lambda both: both[0] | both[1])
        ),
        max_leaves=6,
    )


def ms_audience_creations(world: World) -> SearchStrategy[ms_audiences.AudienceCreate]:
    """An audience to create in Marketing Solutions."""
    return st.builds(
        ms_audiences.AudienceCreate,
        advertiser_id=world.owners,
        name=NAMES,
        algebra=algebras(world),
        description=optional(TEXTS),
    )


def ms_audience_updates(world: World) -> SearchStrategy[ms_audiences.AudienceUpdate]:
    """A change of an audience in Marketing Solutions."""
    fields = {"id": world.audiences, "name": changed(NAMES), "description": removable(TEXTS)}
    return _change(ms_audiences.AudienceUpdate, fields, {"algebra": algebras(world)})


def ms_segment_estimates(world: World) -> SearchStrategy[ms_audiences.AudienceSegmentEstimate]:
    """A segment of Marketing Solutions whose size to estimate."""
    settings = {name: MS_SETTINGS[name] for name in ("in_market", "location")}
    return _one_kind(ms_audiences.AudienceSegmentEstimate, {"advertiser_id": world.owners}, settings)


def ms_audience_estimates(world: World) -> SearchStrategy[ms_audiences.AudienceEstimate]:
    """An audience of Marketing Solutions whose size to estimate."""
    return st.builds(ms_audiences.AudienceEstimate, advertiser_id=world.owners, algebra=algebras(world))


def rm_audience_creations(world: World) -> SearchStrategy[rm_audiences.AudienceCreate]:
    """An audience to create in Retail Media."""
    return st.builds(
        rm_audiences.AudienceCreate,
        retailer_id=world.owners,
        name=NAMES,
        algebra=algebras(world),
        description=optional(TEXTS),
    )


def rm_audience_updates(world: World) -> SearchStrategy[rm_audiences.AudienceUpdate]:
    """A change of an audience in Retail Media."""
    fields = {"id": world.audiences, "name": changed(NAMES), "description": removable(TEXTS)}
    return _change(rm_audiences.AudienceUpdate, fields, {"algebra": algebras(world)})


def rm_segment_estimates(world: World) -> SearchStrategy[rm_audiences.AudienceSegmentEstimate]:
    """A segment of Retail Media whose size to estimate."""
    return st.builds(
        rm_audiences.AudienceSegmentEstimate,
        retailer_id=world.owners,
        channel=words(rm.Channel),
        events=RM_SETTINGS["events"],
    )


def rm_audience_estimates(world: World) -> SearchStrategy[rm_audiences.AudienceEstimate]:
    """An audience of Retail Media whose size to estimate."""
    return st.builds(
        rm_audiences.AudienceEstimate,
        retailer_id=world.owners,
        channel=words(rm.Channel),
        algebra=algebras(world),
    )


def targets(world: World) -> SearchStrategy[rm_audiences.AudienceTarget]:
    """What a line item is to reach or to leave out."""
    ids = some(world.audiences.filter(str.isdecimal))
    return st.builds(rm_audiences.AudienceTarget, scope=words(rm_audiences.Scope), audience_ids=ids)


def amendments(world: World, kinds: list[IdentifierType], **keywords: SearchStrategy[Any]) -> SearchStrategy[Arguments]:
    """The arguments of an amendment with one of some kinds of identifier."""
    return arguments(
        world.segments,
        operation=words(Operation),
        identifiers=some(IDENTIFIERS, least=1),
        identifier_type=st.sampled_from(kinds),
        **keywords,
    )


def uploads(world: World, owner: str) -> SearchStrategy[Arguments]:
    """The arguments of an upload, with and without a look at its owner first."""
    return arguments(
        world.segments,
        some(EMAILS, least=1),
        hash=optional(words(HashAlgorithm)),
        operation=words(Operation),
        **{owner: optional(world.owners)},
    )


def replacements(world: World, owner: str) -> SearchStrategy[Arguments]:
    """The arguments of an upload that begins with an empty list."""
    hashed = optional(words(HashAlgorithm))
    return arguments(world.segments, some(EMAILS, least=1), hash=hashed, **{owner: optional(world.owners)})


_NUMBERS: Final = itertools.count()
_SNAPSHOTS: Final = TemporaryDirectory(prefix="criteo-audiences-conformance-")


def mirrors(world: World, owner: str) -> SearchStrategy[Arguments]:
    """The arguments of a first mirror, each with a snapshot of its own."""
    return arguments(
        world.segments,
        some(EMAILS, least=1),
        hash=optional(words(HashAlgorithm)),
        snapshot=st.builds(lambda: f"{_SNAPSHOTS.name}/{next(_NUMBERS)}/crm.snapshot"),
        baseline=st.just("empty"),
        **{owner: optional(world.owners)},
    )
