"""What cannot be right is refused here, with the field named, before a call is spent."""

from collections.abc import Callable
from typing import Any
from unittest.mock import MagicMock

import pytest

from criteo_audiences import ConfigurationError, CriteoClient, Segment, StaticToken
from criteo_audiences import commerce_grid as cg
from criteo_audiences import marketing_solutions as ms
from criteo_audiences import retail_media as rm
from criteo_audiences.algebra import Expression
from criteo_audiences.progress import bar
from criteo_audiences.validation import require_plain_function


def retargeting(first: float | None, last: int) -> ms.RetargetingCreate:
    """Builds settings of visits between two numbers of days ago."""
    return ms.RetargetingCreate(visitors_type="All", days_since_last_visit_min=first, days_since_last_visit_max=last)


MODELS: list[tuple[Callable[[], object], str]] = [
    (lambda: ms.AudienceSegmentCreate(advertiser_id="1", name="n"), "contact_list"),
    (
        lambda: ms.AudienceSegmentCreate(
            advertiser_id="1", name="n", contact_list=ms.ContactListCreate(), lookalike=ms.LookalikeCreate(seed_segment_id="2")
        ),
        "contact_list and lookalike",
    ),
    (lambda: ms.AudienceSegmentCreate(advertiser_id="", name="n", contact_list=ms.ContactListCreate()), "advertiser_id"),
    (lambda: ms.AudienceSegmentCreate(advertiser_id="1", name=" ", contact_list=ms.ContactListCreate()), "name"),
    (lambda: ms.AudienceSegmentUpdate(id="1"), "must change something"),
    (lambda: ms.AudienceSegmentUpdate(id="1", name=None), "name cannot be removed"),
    (
        lambda: ms.AudienceSegmentUpdate(id="1", lookalike=ms.LookalikeUpdate(), location=ms.LocationUpdate()),
        "location and lookalike",
    ),
    (lambda: ms.InMarketCreate(country="FR", gender="Robot"), "gender"),
    (lambda: ms.InMarketCreate(country="FR", buying_power="High"), "buying_power"),
    (lambda: ms.ProspectingCreate(users_type="Everybody"), "users_type"),
    (lambda: ms.RetargetingCreate(visitors_type="None", days_since_last_visit_min=1, days_since_last_visit_max=2), "visitors"),
    (lambda: rm.AudienceSegmentCreate(retailer_id="1", name="n"), "contact_list, events"),
    (lambda: rm.ContactListCreate(identifier_type="gum"), "gum"),
    (lambda: rm.ContactListCreate(identifier_type="madid"), "madid"),
    (lambda: rm.EventsCreate(shopper_activity="View", lookback_days="Last7Days"), "category_ids or brand_ids"),
    (lambda: rm.EventsCreate(shopper_activity="Look", lookback_days="Last7Days", brand_ids=["1"]), "shopper_activity"),
    (lambda: rm.EventsCreate(shopper_activity="View", lookback_days="Last8Days", brand_ids=["1"]), "lookback_days"),
    (lambda: rm.AudienceSegmentUpdate(id="1", events=None), "events cannot be removed"),
    (lambda: cg.AudienceSegmentCreate(data_provider_id="1", name=""), "name"),
    (lambda: cg.AudienceSegmentUpdate(id="", name="n"), "id"),
    # Names and descriptions.
    (lambda: ms.AudienceSegmentUpdate(id="1", name=""), "name must not be empty"),
    (lambda: ms.AudienceUpdate(id="1", name=" "), "name must not be empty"),
    (lambda: rm.AudienceSegmentUpdate(id="1", name=""), "name must not be empty"),
    (lambda: rm.AudienceUpdate(id="1", name=""), "name must not be empty"),
    (lambda: cg.AudienceSegmentUpdate(id="1", name=""), "name must not be empty"),
    (lambda: cg.AudienceSegmentCreate(data_provider_id="1", name="n", description=5), "description must be a str"),
    (lambda: ms.AudienceUpdate(id="1", description={"value": "d"}), "description must be a str"),
    # Ids of the wrong type.
    (lambda: ms.AudienceSegmentCreate(advertiser_id=1, name="n", contact_list=ms.ContactListCreate()), "advertiser_id must be a str"),
    (lambda: ms.AudienceSegmentUpdate(id=1, name="n"), "id must be a str"),
    (lambda: ms.LookalikeCreate(seed_segment_id=300001), "seed_segment_id must be a str"),
    (lambda: ms.InMarketCreate(country="FR", interest_ids=[166]), "interest_ids must hold ids"),
    (lambda: ms.InMarketCreate(country="FR", interest_ids="166"), "interest_ids must be a list"),
    (lambda: ms.InMarketCreate(country="FR", brand_ids=[["101"]]), "brand_ids must hold ids"),
    (lambda: ms.InMarketUpdate(brand_ids=101), "brand_ids must be a list"),
    (lambda: ms.InMarketUpdate(interest_ids=[""]), "interest_ids must hold ids"),
    (lambda: rm.EventsCreate(shopper_activity="View", lookback_days="Last7Days", brand_ids=[1]), "brand_ids must hold ids"),
    (lambda: rm.EventsUpdate(category_ids="12"), "category_ids must be a list"),
    (lambda: rm.AudienceTarget(scope="include", audience_ids=[1]), "audience_ids must hold ids"),
    (lambda: rm.AudienceTarget(scope="include", audience_ids="1"), "audience_ids must be a list"),
    # Settings.
    (lambda: ms.AudienceSegmentCreate(advertiser_id="1", name="n", in_market={"country": "FR"}), "in_market must be InMarketCreate, not dict"),
    (lambda: ms.AudienceSegmentUpdate(id="1", lookalike=ms.LookalikeCreate(seed_segment_id="2")), "lookalike must be LookalikeUpdate"),
    (lambda: ms.AudienceSegmentUpdate(id="1", in_market=ms.InMarketUpdate()), "in_market must change something: give one of country"),
    (lambda: rm.AudienceSegmentUpdate(id="1", events=rm.EventsUpdate()), "events must change something"),
    (lambda: rm.AudienceSegmentEstimate(retailer_id="1", channel="Onsite", events={}), "events must be EventsCreate"),
    (lambda: cg.AudienceSegmentCreate(data_provider_id="1", name="n", contact_list=None), "contact_list must be ContactListCreate"),
    (lambda: ms.InMarketCreate(country=""), "country must not be empty"),
    (lambda: ms.InMarketUpdate(country=None), "country must be a str"),
    (lambda: ms.InMarketCreate(country="FR", price_range=ms.PriceRange.LOW), "price_range must be a list"),
    # Days.
    (lambda: retargeting(30, 30), "days_since_last_visit_max must be greater than days_since_last_visit_min"),
    (lambda: retargeting(-1, 30), "days_since_last_visit_min must be between 0"),
    (lambda: retargeting(0, 401), "days_since_last_visit_max must be between 0 and 400"),
    (lambda: retargeting(0, 2**31), "days_since_last_visit_max must be between 0"),
    (lambda: retargeting(1.5, 3), "days_since_last_visit_min must be a whole number"),
    (lambda: retargeting(None, 3), "days_since_last_visit_min must be a whole number"),
    (lambda: ms.RetargetingUpdate(days_since_last_visit_min=401), "days_since_last_visit_min must be between 0 and 400"),
    (lambda: ms.RetargetingUpdate(days_since_last_visit_min=5, days_since_last_visit_max=4), "must be greater than"),
    (lambda: ms.ProspectingCreate(users_type="Prospects", days_since_last_visit_min=-1), "days_since_last_visit_min must be between 0"),
    (lambda: ms.ProspectingUpdate(days_since_last_visit_max=-1), "days_since_last_visit_max must be between 0"),
    # Places.
    (lambda: ms.LocationCreate(points_of_interest=[], radius_in_km=1), "points_of_interest must hold at least one"),
    (lambda: ms.LocationUpdate(points_of_interest=[]), "points_of_interest must hold at least one"),
    (lambda: ms.LocationCreate(points_of_interest=ms.PointOfInterest(), radius_in_km=1), "points_of_interest must be a list, not a single"),
    (lambda: ms.LocationCreate(points_of_interest=[(48.8, 2.3)], radius_in_km=1), "points_of_interest must be PointOfInterest, not tuple"),
]  # fmt: skip


@pytest.mark.parametrize(("build", "words"), MODELS)
def test_impossible_models(build, words) -> None:
    """A model that Criteo would refuse cannot be built, and the message names its field."""
    with pytest.raises(ConfigurationError, match=words):
        build()


CALLS = [
    (lambda c: c.ms.create_audience_segments([]), "segments"),
    (lambda c: c.ms.update_audience_segments([]), "segments"),
    (lambda c: c.ms.delete_audience_segments([]), "ids"),
    (lambda c: c.ms.delete_audience_segments("55"), "ids"),
    (lambda c: c.rm.delete_audience_segments("77", [5]), "ids"),
    (lambda c: c.rm.create_audience_segments("", [rm.AudienceSegmentCreate(retailer_id="1", name="n", contact_list=rm.ContactListCreate())]), "account_id"),
    (lambda c: c.ms.amend_contact_list("5", operation="add", identifiers=[]), "identifiers"),
    (lambda c: c.ms.amend_contact_list("5", operation="ad", identifiers=["a"]), "operation"),
    (lambda c: c.ms.amend_contact_list("5", operation="add", identifiers=["a"] * 50_001), "upload_contact_list"),
    (lambda c: c.ms.amend_contact_list("5", operation="add", identifiers=["a"], identifier_type="gum"), "gum_caller_id"),
    (lambda c: c.ms.amend_contact_list("5", operation="add", identifiers=["a"], gum_caller_id=1), "gum_caller_id"),
    (lambda c: c.ms.amend_contact_list("5", operation="add", identifiers=["a"], identifier_type="customer_id"), "customer_id"),
    (lambda c: c.rm.amend_contact_list("5", operation="add", identifiers=["a"], identifier_type="madid"), "madid"),
    (lambda c: c.cg.amend_contact_list("5", operation="add", identifiers=["a"], identifier_type="gum"), "gum"),
    (lambda c: c.ms.amend_contact_list("", operation="add", identifiers=["a"]), "segment_id"),
    (lambda c: c.ms.clear_contact_list(" "), "segment_id"),
    (lambda c: c.ms.upload_contact_list("5", ["a"], hash="sha256", identifier_type="madid"), "identifier_type"),
]  # fmt: skip


ONE_LIST = ms.AudienceSegmentCreate(advertiser_id="1", name="n", contact_list=ms.ContactListCreate())
CALLS += [
    # Nothing, in every bulk call.
    (lambda c: c.ms.create_audiences([]), "audiences must hold at least one"),
    (lambda c: c.ms.update_audiences([]), "audiences must hold at least one"),
    (lambda c: c.ms.delete_audiences([]), "ids must hold at least one"),
    (lambda c: c.ms.compute_audience_segment_sizes([]), "ids must hold at least one"),
    (lambda c: c.ms.compute_audience_sizes([]), "ids must hold at least one"),
    (lambda c: c.rm.create_audience_segments("7", []), "segments must hold at least one"),
    (lambda c: c.rm.update_audience_segments("7", []), "segments must hold at least one"),
    (lambda c: c.rm.delete_audience_segments("7", []), "ids must hold at least one"),
    (lambda c: c.rm.append_line_item_audiences("7", []), "audience_ids must hold at least one"),
    (lambda c: c.rm.delete_line_item_audiences("7", []), "audience_ids must hold at least one"),
    (lambda c: c.cg.create_audience_segments([]), "segments must hold at least one"),
    (lambda c: c.cg.update_audience_segments([]), "segments must hold at least one"),
    (lambda c: c.cg.delete_audience_segments([]), "ids must hold at least one"),
    # One, where a list of them belongs.
    (lambda c: c.ms.create_audience_segments(ONE_LIST), "segments must be a list, not a single AudienceSegmentCreate"),
    (lambda c: c.ms.update_audience_segments(ms.AudienceSegmentUpdate(id="1", name="n")), "segments must be a list, not a single"),
    (lambda c: c.ms.delete_audience_segments(5), "ids must be a list, not a single int"),
    (lambda c: c.ms.create_audiences(ONE_LIST), "audiences must be a list, not a single"),
    (lambda c: c.ms.update_audiences({"id": "1"}), "audiences must be a list, not a single dict"),
    (lambda c: c.ms.delete_audiences(5), "ids must be a list"),
    (lambda c: c.ms.compute_audience_segment_sizes("5"), "ids must be a list"),
    (lambda c: c.ms.compute_audience_sizes("5"), "ids must be a list"),
    (lambda c: c.rm.create_audience_segments("7", rm.AudienceSegmentCreate(retailer_id="1", name="n", contact_list=rm.ContactListCreate())), "segments must be a list"),
    (lambda c: c.rm.update_audience_segments("7", rm.AudienceSegmentUpdate(id="1", name="n")), "segments must be a list"),
    (lambda c: c.rm.append_line_item_audiences("7", "5"), "audience_ids must be a list"),
    (lambda c: c.rm.delete_line_item_audiences("7", 5), "audience_ids must be a list"),
    (lambda c: c.cg.create_audience_segments(cg.AudienceSegmentCreate(data_provider_id="1", name="n")), "segments must be a list"),
    (lambda c: c.cg.update_audience_segments(cg.AudienceSegmentUpdate(id="1", name="n")), "segments must be a list"),
    # Models of another call, of another service, or none.
    (lambda c: c.cg.create_audience_segments([ONE_LIST]), "each of segments must be AudienceSegmentCreate"),
    (lambda c: c.ms.update_audience_segments([ONE_LIST]), "each of segments must be AudienceSegmentUpdate, not AudienceSegmentCreate"),
    (lambda c: c.ms.create_audience_segments([{"name": "n"}]), "each of segments must be AudienceSegmentCreate, not dict"),
    (lambda c: c.ms.estimate_audience_segment_size({"inMarket": {}}), "definition must be AudienceSegmentEstimate"),
    (lambda c: c.ms.estimate_audience_size(None), "definition must be AudienceEstimate"),
    (lambda c: c.rm.set_line_item_audiences("7", ["1"]), "target must be AudienceTarget"),
    # Ids of the wrong type.
    (lambda c: c.ms.compute_audience_sizes([5]), "ids must hold ids"),
    (lambda c: c.ms.clear_contact_list(5), "segment_id must be a str"),
    (lambda c: c.ms.get_contact_list_statistics(5), "segment_id must be a str"),
    (lambda c: c.ms.set_ad_set_audience("5", 7), "audience_id must be a str"),
    (lambda c: c.ms.set_ad_set_audience(5, None), "ad_set_id must be a str"),
    (lambda c: c.ms.list_in_market_brands(5, "FR"), "advertiser_id must be a str"),
    (lambda c: c.ms.list_in_market_interests("5", ""), "country must not be empty"),
    (lambda c: c.ms.amend_contact_list("5", operation="add", identifiers=["a"], identifier_type="gum", gum_caller_id="x"), "gum_caller_id must be the whole number"),
    (lambda c: c.rm.delete_audience_segments(77, ["5"]), "account_id must be a str"),
    (lambda c: c.rm.get_line_item_audiences(5), "line_item_id must be a str"),
]  # fmt: skip
EXPERIMENTAL_CALLS = [
    (lambda c: c.rm.create_audiences("7", []), "audiences must hold at least one"),
    (lambda c: c.rm.update_audiences("7", []), "audiences must hold at least one"),
    (lambda c: c.rm.delete_audiences("7", []), "ids must hold at least one"),
    (lambda c: c.rm.delete_audiences("7", 5), "ids must be a list"),
    (lambda c: c.rm.compute_audience_sizes("7", [], channel="Onsite"), "ids must hold at least one"),
    (lambda c: c.rm.compute_audience_sizes("7", "5", channel="Onsite"), "ids must be a list"),
    (lambda c: c.rm.compute_audience_sizes("7", ["5"], channel="Everywhere"), "channel"),
    (lambda c: c.rm.compute_audience_segment_sizes("7", [], channel="Onsite"), "ids must hold at least one"),
    (lambda c: c.rm.estimate_audience_size("7", None), "definition must be AudienceEstimate"),
    (lambda c: c.rm.estimate_audience_segment_size("7", None), "definition must be AudienceSegmentEstimate"),
]


@pytest.mark.parametrize(("call", "words"), EXPERIMENTAL_CALLS)
async def test_impossible_experimental_calls(experimental, call, words) -> None:
    """The same for what only `experimental` has."""
    with pytest.raises(ConfigurationError, match=words):
        await call(experimental)
    assert not experimental.asked


@pytest.mark.parametrize(
    "audience",
    [
        lambda: ms.AudienceCreate(advertiser_id="1", name="anna \ud83d", algebra=Segment("1")),
        lambda: ms.AudienceCreate(advertiser_id="1", name="n", algebra=deep_algebra(400)),
    ],
)
async def test_what_no_json_can_hold(criteo, audience) -> None:
    """Half a surrogate pair, or a tree deeper than a parser goes, is refused in a sentence that shows none of it."""
    with pytest.raises(ConfigurationError, match="cannot be written as JSON") as refused:
        await criteo.ms.create_audiences([audience()])
    assert "anna" not in str(refused.value)
    assert not criteo.asked


def deep_algebra(levels: int) -> Expression:
    """Returns an expression in which `&` and `|` take turns."""
    whole: Expression = Segment("1")
    for level in range(levels):
        whole = whole & Segment("2") if level % 2 else whole | Segment("3")
    return whole


def test_a_lookalikes_seed_cannot_be_changed() -> None:
    """There is no field for it in an update, and Python names it."""
    with pytest.raises(TypeError, match="seed_segment_id"):
        ms.LookalikeUpdate(seed_segment_id="2")


def test_a_refusal_never_shows_what_was_given() -> None:
    """What stands where an id belongs may be a customer's address."""
    with pytest.raises(ConfigurationError) as refused:
        ms.InMarketCreate(country="FR", interest_ids=["anna@example.com", 5])
    assert "anna" not in str(refused.value)


@pytest.mark.parametrize(("first", "last"), [(0, 1), (399, 400), (0, 400)])
def test_the_widest_and_the_narrowest_visits(first, last) -> None:
    """The bounds 0 and 400 belong to the range, and one day of difference is enough."""
    assert retargeting(first, last).days_since_last_visit_max == last


@pytest.mark.parametrize(("call", "words"), CALLS)
async def test_impossible_calls(criteo, call, words) -> None:
    """A call that Criteo would refuse is not made, and the message names the argument."""
    with pytest.raises(ConfigurationError, match=words):
        await call(criteo)
    assert not criteo.asked


@pytest.mark.parametrize(
    "filters",
    [
        {"advertiser_ids": "1"},
        {"advertiser_ids": 5},
        {"audience_segment_ids": {"1": "2"}},
        {"audience_segment_types": "ContactList"},
        {"audience_segment_types": 5},
        {"audience_segment_types": ["Unknowable"]},
    ],
)
def test_impossible_filters(criteo, filters) -> None:
    """A filter that is no list of its kind is refused when it is given."""
    with pytest.raises(ConfigurationError, match=next(iter(filters))):
        criteo.ms.search_audience_segments(**filters)


def place(**point: object) -> ms.LocationCreate:
    """Builds settings around a good place and another one."""
    return ms.LocationCreate(points_of_interest=[EIFFEL, ms.PointOfInterest(**point)], radius_in_km=1)


def events(**prices: object) -> rm.EventsCreate:
    """Builds settings of an events segment."""
    return rm.EventsCreate(shopper_activity="Buy", lookback_days="Last7Days", brand_ids=["1"], **prices)


EIFFEL = ms.PointOfInterest(latitude=48.8584, longitude=2.2945)
SECOND = r"points_of_interest\[1\]"
VALUES: list[tuple[Callable[[], object], str]] = [
    *((lambda wrong=wrong: ms.LocationCreate(points_of_interest=[EIFFEL], radius_in_km=wrong), "radius_in_km")
      for wrong in (0, -5, 20_038, 2**40, 1.5, "5", True, None, float("nan"))),
    *((lambda wrong=wrong: ms.LocationUpdate(radius_in_km=wrong), "radius_in_km") for wrong in (0, "5", 20_038)),
    *((lambda wrong=wrong: place(latitude=wrong, longitude=0), SECOND + ".latitude must")
      for wrong in (90.1, -91, "48.8", True, None, float("nan"), float("inf"))),
    *((lambda wrong=wrong: place(latitude=0, longitude=wrong), SECOND + ".longitude must")
      for wrong in (180.1, -181, "2.29", False, None, float("-inf"))),
    (place, SECOND + " is empty"),
    (lambda: place(name=" "), SECOND + " is empty"),
    (lambda: place(name=5, latitude=1, longitude=1), SECOND + ".name must be a str"),
    (lambda: place(latitude=48.858401, longitude=2.294499), SECOND + r" stands where \[0\] does"),
    (lambda: ms.LocationUpdate(points_of_interest=[ms.PointOfInterest()]), r"points_of_interest\[0\] is empty"),
    (lambda: ms.LocationUpdate(registry_type="Castle"), "registry_type"),
    *((lambda wrong=wrong: ms.LookalikeCreate(seed_segment_id="1", target_size=wrong), "target_size")
      for wrong in (0, -1, 2**63, "1000", 10.5, True)),
    *((lambda wrong=wrong: ms.LookalikeUpdate(target_size=wrong), "target_size") for wrong in (0, "1000", 2**63)),
    *((lambda wrong=wrong: ms.InMarketCreate(country=wrong), "country")
      for wrong in ("France", "FRA", "UK", "XX", "F", "", "33", 33, None)),
    (lambda: ms.InMarketUpdate(country="Deutschland"), "country .* did you mean DE"),
    (lambda: ms.ProspectingCreate(users_type="Prospects", days_since_last_visit_min=9, days_since_last_visit_max=8),
     "days_since_last_visit_max must be at least days_since_last_visit_min"),
    (lambda: ms.ProspectingUpdate(days_since_last_visit_min=9, days_since_last_visit_max=8), "days_since_last_visit_max must"),
    (lambda: ms.ProspectingCreate(users_type="Prospects", days_since_last_visit_min="9"), "days_since_last_visit_min"),
    *((lambda wrong=wrong: events(min_price=wrong), "min_price") for wrong in (-0.01, "10", True, float("nan"), float("inf"))),
    *((lambda wrong=wrong: events(max_price=wrong), "max_price") for wrong in (-1, "10", [10])),
    (lambda: events(min_price=10, max_price=9.99), "max_price must be at least min_price"),
    (lambda: rm.EventsUpdate(min_price=10, max_price=9), "max_price must be at least min_price"),
    (lambda: rm.EventsUpdate(min_price="1"), "min_price"),
    (lambda: rm.EventsUpdate(category_ids=[], brand_ids=[]), "category_ids and brand_ids cannot both be empty"),
    (lambda: cg.ContactListCreate(remote_id=5), "remote_id must be a str"),
    (lambda: cg.ContactListCreate(remote_id=""), "remote_id must not be empty"),
]  # fmt: skip


@pytest.mark.parametrize(("build", "words"), VALUES)
def test_a_value_that_cannot_be_right_is_refused_with_its_field(build, words) -> None:
    """Numbers, coordinates, countries, prices and ranges: Criteo would refuse a whole bulk call for one of them."""
    with pytest.raises(ConfigurationError, match=words):
        build()


def test_values_at_their_bounds_are_taken() -> None:
    """What is merely unusual is Criteo's to judge."""
    assert place(latitude=-90, longitude=180).points_of_interest[1].latitude == -90
    assert place(latitude=48.85841, longitude=2.29452).radius_in_km == 1
    assert place(name="a shop whose place Criteo may know").points_of_interest[1].name
    assert ms.LocationCreate(points_of_interest=[EIFFEL], radius_in_km=20_037).radius_in_km == 20_037
    assert ms.InMarketCreate(country="fr").country == "FR"
    assert events(min_price=0, max_price=0).max_price == 0
    assert rm.EventsUpdate(category_ids=[]).category_ids == ()
    assert rm.EventsUpdate(min_price=None, max_price=3).min_price is None
    same = ms.ProspectingCreate(users_type="Prospects", days_since_last_visit_min=9, days_since_last_visit_max=9)
    assert same.days_since_last_visit_max == 9


async def test_a_lookalike_may_need_64_bits(criteo) -> None:
    """A target size beyond 32 bits goes out."""
    criteo.will_answer({"data": []})
    lookalike = ms.LookalikeCreate(seed_segment_id="1", target_size=2**40)
    await criteo.ms.create_audience_segments(
        [ms.AudienceSegmentCreate(advertiser_id="1", name="n", lookalike=lookalike)]
    )
    assert criteo.last[2]["data"][0]["attributes"]["lookalike"]["targetSize"] == 2**40


@pytest.mark.parametrize(
    "filters", [{"advertiser_ids": []}, {"audience_segment_ids": []}, {"audience_segment_types": []}]
)
def test_an_empty_filter_is_refused(criteo, filters) -> None:
    """A list of ids that came out empty does not find everybody's segments."""
    with pytest.raises(ConfigurationError, match=next(iter(filters))):
        criteo.ms.search_audience_segments(**filters)


CLIENT = CriteoClient(StaticToken("token"))


async def test_a_mistake_in_the_way_of_calling_says_which_is_right() -> None:
    """A client entered without `async`, a search iterated over without it or awaited."""
    with pytest.raises(TypeError, match="needs `async with`"), CLIENT:
        pass
    search: Any = CLIENT.marketing_solutions.search_audience_segments()
    with pytest.raises(TypeError, match="iterated over with `async for`"):
        iter(search)
    with pytest.raises(TypeError, match="iterated over with `async for`"):
        await search


@pytest.mark.parametrize("wrong", [bar, bar()], ids=["the function", "what it returns"])
async def test_a_bar_that_was_not_entered_is_refused(wrong: Any) -> None:
    """It would show nothing."""
    with pytest.raises(ConfigurationError, match="as show does of `with bar\\(\\) as show:`"):
        await CLIENT.marketing_solutions.upload_contact_list("1", ["a@example.com"], hash=None, on_progress=wrong)


async def test_a_path_as_text_is_named_before_what_a_mirror_misses() -> None:
    """Whatever else is left out."""
    with pytest.raises(TypeError, match="must not be a single str"):
        await CLIENT.marketing_solutions.mirror_contact_list("1", "crm.csv", hash=None, snapshot="new.snapshot")


async def test_a_journal_that_is_no_path_is_refused() -> None:
    """Quotes would not make a path of it."""
    with pytest.raises(ConfigurationError, match=r"journal must be a str, not bool\.$"):
        await CLIENT.marketing_solutions.upload_contact_list("1", ["a@example.com"], hash=None, journal=True)


def test_a_mock_may_hear_of_progress() -> None:
    """Although it could be entered, too."""
    require_plain_function(MagicMock(), "on_progress", "a Progress")
