"""Audiences, sizes, in-market catalogs and identity: what goes out and what is read."""

import pytest

from criteo_audiences import ConfigurationError, PartialFailureError, Segment
from criteo_audiences import marketing_solutions as ms

AUDIENCES = "/marketing-solutions/audiences"
SEGMENTS = "/marketing-solutions/audience-segments"
NODE = {"and": [{"audienceSegmentId": "1"}, {"not": {"audienceSegmentId": "2"}}]}
ALGEBRA = Segment("1") & ~Segment("2")


async def test_create_audiences_sends_and_reads_the_algebra(criteo) -> None:
    """An audience's algebra goes out as the recursive node and comes back as Python."""
    entity = {"id": "7", "attributes": {"advertiserId": "1", "name": "n", "algebra": NODE, "adSetIds": [55]}}
    criteo.will_answer({"data": [entity]})
    create = ms.AudienceCreate(advertiser_id="1", name="n", algebra=ALGEBRA)
    audience = (await criteo.ms.create_audiences([create])).one()
    assert (audience.id, audience.algebra, audience.ad_set_ids) == ("7", ALGEBRA, ("55",))
    sent = {"type": "Audience", "attributes": {"advertiserId": "1", "name": "n", "algebra": NODE}}
    assert criteo.last == ("POST", f"{AUDIENCES}/create", {"data": [sent]})


async def test_update_audiences_sends_only_what_changes(criteo) -> None:
    """A description can be taken away, an algebra replaced, the rest stays."""
    criteo.will_answer({"data": [{"id": "7"}]})
    await criteo.ms.update_audiences([ms.AudienceUpdate(id="7", description=None, algebra=Segment("3"))])
    attributes = {"description": {"value": None}, "algebra": {"audienceSegmentId": "3"}}
    assert criteo.last == ("PATCH", AUDIENCES, {"data": [{"id": "7", "type": "Audience", "attributes": attributes}]})


@pytest.mark.parametrize(("status", "document"), [(200, {"data": [{"id": "7"}, {"id": "8"}]}), (204, None)])
async def test_delete_audiences_answers_200_or_204(criteo, status, document) -> None:
    """3: a delete answers the ids, or nothing, which means all of them."""
    criteo.will_answer(document, status=status)
    assert (await criteo.ms.delete_audiences(["7", "8"])).items == ("7", "8")
    assert criteo.last[:2] == ("POST", f"{AUDIENCES}/delete")


async def test_search_audiences_by_every_filter(criteo) -> None:
    """Filters go out under Criteo's names, and those left out stay out."""
    criteo.will_answer({"data": [{"id": "7", "attributes": {"algebra": NODE}}], "meta": {"totalItems": 1}})
    found = [audience async for audience in criteo.ms.search_audiences(ad_set_ids=["5"], audience_segment_ids=["1"])]
    assert found[0].algebra.segment_ids == ("1", "2")
    assert criteo.last[2] == {"data": {"attributes": {"adSetIds": ["5"], "audienceSegmentIds": ["1"]}}}


@pytest.mark.parametrize(
    ("call", "path", "entity"),
    [
        ("compute_audience_segment_sizes", f"{SEGMENTS}/compute-sizes", "AudienceSegment"),
        ("compute_audience_sizes", f"{AUDIENCES}/compute-sizes", "Audience"),
    ],
)
async def test_sizes_of_what_exists(criteo, call, path, entity) -> None:
    """20: sizes are asked for by a list of entities, and one that is not available is a problem of its item."""
    problem = {"code": "segment-size-not-available", "instance": "@data/1"}
    criteo.will_answer({"data": [{"id": "1", "attributes": {"size": 12_345_678_901}}], "errors": [problem]})
    result = await getattr(criteo.ms, call)(["1", "2"])
    assert result.items == (ms.Size(id="1", size=12_345_678_901),)
    assert result.errors[0].index == 1
    assert criteo.last == ("POST", path, {"data": [{"id": "1", "type": entity}, {"id": "2", "type": entity}]})


async def test_sizes_of_what_does_not_exist_yet(criteo) -> None:
    """A definition goes out as one entity, and its size comes back without an id."""
    criteo.will_answer({"data": {"attributes": {"size": 5}}})
    definition = ms.AudienceSegmentEstimate(advertiser_id="1", in_market=ms.InMarketCreate(country="FR"))
    assert await criteo.ms.estimate_audience_segment_size(definition) == ms.Size(size=5)
    attributes = {"advertiserId": "1", "inMarket": {"country": "FR"}}
    assert criteo.last[1:] == (
        f"{SEGMENTS}/estimate-size",
        {"data": {"type": "AudienceSegment", "attributes": attributes}},
    )
    criteo.will_answer({"data": {"attributes": {"size": None}}})
    assert (
        await criteo.ms.estimate_audience_size(ms.AudienceEstimate(advertiser_id="1", algebra=ALGEBRA))
    ).size is None
    assert criteo.last[2]["data"]["attributes"] == {"advertiserId": "1", "algebra": NODE}


async def test_in_market_catalogs(criteo) -> None:
    """Both catalogs need the advertiser and the country, as query parameters."""
    criteo.will_answer(
        {"data": [{"id": "1", "attributes": {"parentId": None}}, {"id": "2", "attributes": {"parentId": "1"}}]}
    )
    interests = await criteo.ms.list_in_market_interests("9", "FR")
    assert interests == (ms.InMarketInterest(id="1"), ms.InMarketInterest(id="2", parent_id="1"))
    assert criteo.last[:2] == ("GET", f"{SEGMENTS}/in-market-interests?advertiser-id=9&country=FR")
    criteo.will_answer({"data": [{"id": "1", "attributes": {"name": "Brand", "size": 3}}]})
    assert await criteo.ms.list_in_market_brands("9", "FR") == (ms.InMarketBrand(id="1", name="Brand", size=3),)


async def test_a_catalog_with_problems_raises(criteo) -> None:
    """A list that comes with errors is no list."""
    criteo.will_answer({"data": [], "errors": [{"code": "country-code-must-be-valid"}]})
    with pytest.raises(PartialFailureError, match="country-code-must-be-valid"):
        await criteo.ms.list_in_market_brands("9", "FR")


@pytest.mark.parametrize("audience_id", ["7", None])
async def test_set_ad_set_audience(criteo, audience_id) -> None:
    """An ad set gets an audience, or loses the one it has: then `null` goes out."""
    criteo.will_answer({"data": {"id": "5", "attributes": {"audienceId": audience_id}}})
    assert await criteo.ms.set_ad_set_audience("5", audience_id) == ms.AdSetAudience(id="5", audience_id=audience_id)
    method, path, document = criteo.last
    assert (method, path) == ("PUT", "/marketing-solutions/ad-sets/5/audience")
    assert document["data"]["attributes"] == {"audienceId": audience_id}


async def test_who_is_asking(criteo) -> None:
    """The application and its advertisers have typed answers, ids as text."""
    criteo.will_answer({"data": {"type": "Application", "attributes": {"applicationId": 12, "name": "app"}}})
    application = await criteo.ms.get_application()
    assert (application.application_id, application.name) == ("12", "app")
    criteo.will_answer({"data": [{"id": "1", "type": "advertiser", "attributes": {"advertiserName": "Shop"}}]})
    assert await criteo.ms.list_advertisers() == (ms.Advertiser(id="1", advertiser_name="Shop"),)
    assert criteo.last[:2] == ("GET", "/advertisers/me")


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: ms.AudienceCreate(advertiser_id="1", name="n", algebra={"audienceSegmentId": "1"}), "algebra"),
        (lambda: ms.AudienceCreate(advertiser_id="1", name="", algebra=ALGEBRA), "name"),
        (lambda: ms.AudienceUpdate(id="1"), "must change something"),
        (lambda: ms.AudienceUpdate(id="1", algebra=None), "algebra"),
        (lambda: ms.AudienceEstimate(advertiser_id="", algebra=ALGEBRA), "advertiser_id"),
        (lambda: ms.AudienceSegmentEstimate(advertiser_id="1"), "in_market, location"),
    ],
)
def test_impossible_models(build, words) -> None:
    """What Criteo would refuse cannot be built, and the message names the field."""
    with pytest.raises(ConfigurationError, match=words):
        build()
