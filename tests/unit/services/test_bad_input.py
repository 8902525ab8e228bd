"""What cannot be right is refused here, with the field named, before a call is spent."""

from collections.abc import Callable

import pytest

from criteo_audiences import ConfigurationError
from criteo_audiences import commerce_grid as cg
from criteo_audiences import marketing_solutions as ms
from criteo_audiences import retail_media as rm

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
    (lambda: ms.AudienceSegmentUpdate(id="1", name=None), "name cannot be taken away"),
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
    (lambda: rm.AudienceSegmentUpdate(id="1", events=None), "events cannot be taken away"),
    (lambda: cg.AudienceSegmentCreate(data_provider_id="1", name=""), "name"),
    (lambda: cg.AudienceSegmentUpdate(id="", name="n"), "id"),
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


@pytest.mark.parametrize(("call", "words"), CALLS)
async def test_impossible_calls(criteo, call, words) -> None:
    """A call that Criteo would refuse is not made, and the message names the argument."""
    with pytest.raises(ConfigurationError, match=words):
        await call(criteo)
    assert not criteo.asked


@pytest.mark.parametrize(
    "filters",
    [{"advertiser_ids": "1"}, {"audience_segment_types": "ContactList"}, {"audience_segment_types": ["Unknowable"]}],
)
def test_impossible_filters(criteo, filters) -> None:
    """A filter that is no list of its kind is refused when it is given."""
    with pytest.raises(ConfigurationError, match=next(iter(filters))):
        criteo.ms.search_audience_segments(**filters)


NUMBERS = [
    (lambda: ms.RetargetingCreate(visitors_type="All", days_since_last_visit_min=0, days_since_last_visit_max=2**31), "retargeting"),
    (lambda: ms.LookalikeCreate(seed_segment_id="1", target_size=2**63), "lookalike"),
    (lambda: ms.LocationCreate(points_of_interest=[ms.PointOfInterest(latitude=float("nan"))], radius_in_km=1), "location"),
    (lambda: ms.LocationCreate(points_of_interest=[], radius_in_km=2**40), "location"),
]  # fmt: skip


@pytest.mark.parametrize(("build", "settings"), NUMBERS)
async def test_numbers_that_no_schema_holds(criteo, build, settings) -> None:
    """A number beyond the schema's bits, or none that JSON knows, is refused by its field before a call."""
    create = ms.AudienceSegmentCreate(advertiser_id="1", name="n", **{settings: build()})
    with pytest.raises(ConfigurationError, match=r"days_since_last_visit_max|target_size|latitude|radius_in_km"):
        await criteo.ms.create_audience_segments([create])
    assert not criteo.asked


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
