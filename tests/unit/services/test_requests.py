"""What each coroutine puts on the wire, exactly as the OpenAPI documents spell it."""

import pytest

from criteo_audiences import ConfigurationError
from criteo_audiences import commerce_grid as cg
from criteo_audiences import marketing_solutions as ms
from criteo_audiences import retail_media as rm

SEGMENTS = "/marketing-solutions/audience-segments"
ACCOUNT = "/retail-media/accounts/77/audience-segments"
GRID = "/commerce-grid/audience-segments"
NOTHING = {"data": []}
CREATES = [
    ({"contact_list": ms.ContactListCreate()}, {"contactList": {}}),
    (
        {"in_market": ms.InMarketCreate(country="FR", gender="male", buying_power=["VeryHigh"], interest_ids=["1"])},
        {"inMarket": {"country": "FR", "gender": "Male", "buyingPower": ["VeryHigh"], "interestIds": ["1"]}},
    ),
    (
        {"location": ms.LocationCreate(points_of_interest=[ms.PointOfInterest(latitude=48.85, longitude=2.35)], radius_in_km=5)},
        {"location": {"pointsOfInterest": [{"latitude": 48.85, "longitude": 2.35}], "radiusInKm": 5}},
    ),
    ({"lookalike": ms.LookalikeCreate(seed_segment_id="9")}, {"lookalike": {"seedSegmentId": "9"}}),
    (
        {"prospecting": ms.ProspectingCreate(users_type="Prospects", days_since_last_visit_min=1)},
        {"prospecting": {"usersType": "Prospects", "daysSinceLastVisitMin": 1}},
    ),
    (
        {"retargeting": ms.RetargetingCreate(visitors_type="All", days_since_last_visit_min=0, days_since_last_visit_max=9)},
        {"retargeting": {"visitorsType": "All", "daysSinceLastVisitMin": 0, "daysSinceLastVisitMax": 9}},
    ),
]  # fmt: skip
UPDATES = [
    ({"name": "new"}, {"name": "new"}),
    ({"description": "text"}, {"description": {"value": "text"}}),
    ({"description": None}, {"description": {"value": None}}),
    ({"in_market": ms.InMarketUpdate(gender=None)}, {"inMarket": {"gender": {"value": None}}}),
    ({"in_market": ms.InMarketUpdate(gender="Female", brand_ids=[])}, {"inMarket": {"gender": {"value": "Female"}, "brandIds": []}}),
    ({"location": ms.LocationUpdate(radius_in_km=9)}, {"location": {"radiusInKm": 9}}),
    ({"lookalike": ms.LookalikeUpdate(target_size=100)}, {"lookalike": {"targetSize": 100}}),
    (
        {"prospecting": ms.ProspectingUpdate(days_since_last_visit_min=None, days_since_last_visit_max=4)},
        {"prospecting": {"daysSinceLastVisitMin": {"value": None}, "daysSinceLastVisitMax": {"value": 4}}},
    ),
    ({"retargeting": ms.RetargetingUpdate(visitors_type="Buyers")}, {"retargeting": {"visitorsType": "Buyers"}}),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "wire"), CREATES, ids=lambda value: next(iter(value)))
async def test_marketing_solutions_create(criteo, settings, wire) -> None:
    """Each kind of segment is created with its own settings object, and nothing that was left out is sent."""
    criteo.will_answer(NOTHING)
    await criteo.ms.create_audience_segments([ms.AudienceSegmentCreate(advertiser_id="1", name="n", **settings)])
    entity = {"type": "AudienceSegment", "attributes": {"advertiserId": "1", "name": "n", **wire}}
    assert criteo.last == ("POST", f"{SEGMENTS}/create", {"data": [entity]})


@pytest.mark.parametrize(("changes", "wire"), UPDATES)
async def test_marketing_solutions_update(criteo, changes, wire) -> None:
    """An update sends only what changes, and wraps what may be set to null as `{"value": …}`."""
    criteo.will_answer(NOTHING)
    await criteo.ms.update_audience_segments([ms.AudienceSegmentUpdate(id="5", **changes)])
    assert criteo.last == ("PATCH", SEGMENTS, {"data": [{"id": "5", "type": "AudienceSegment", "attributes": wire}]})


async def test_retail_media_create_and_update(criteo) -> None:
    """Retail Media has the account in the path, the retailer in the body, and fixes a list's kind of identifier."""
    criteo.will_answer(NOTHING)
    create = rm.AudienceSegmentCreate(
        retailer_id="3", name="n", contact_list=rm.ContactListCreate(identifier_type="customer_id")
    )
    await criteo.rm.create_audience_segments("77", [create])
    attributes = {"retailerId": "3", "name": "n", "contactList": {"identifierType": "CustomerId"}}
    assert criteo.last[:2] == ("POST", f"{ACCOUNT}/create")
    assert criteo.last[2]["data"][0]["attributes"] == attributes
    criteo.will_answer(NOTHING)
    changes = rm.EventsUpdate(lookback_days="Last7Days", max_price=None)
    await criteo.rm.update_audience_segments("77", [rm.AudienceSegmentUpdate(id="5", events=changes)])
    assert criteo.last[2]["data"][0]["attributes"] == {
        "events": {"lookbackDays": "Last7Days", "maxPrice": {"value": None}}
    }


async def test_retail_media_events(criteo) -> None:
    """An events segment is sent with Criteo's own words (30: OpenAPI allows it, the guides do not mention it)."""
    criteo.will_answer(NOTHING)
    events = rm.EventsCreate(shopper_activity="add-to-cart", lookback_days="Last30Days", brand_ids=["1"], min_price=2.5)
    await criteo.rm.create_audience_segments("77", [rm.AudienceSegmentCreate(retailer_id="3", name="n", events=events)])
    wire = {"shopperActivity": "AddToCart", "lookbackDays": "Last30Days", "brandIds": ["1"], "minPrice": 2.5}
    assert criteo.last[2]["data"][0]["attributes"]["events"] == wire


async def test_commerce_grid_create_and_update(criteo) -> None:
    """Commerce Grid has the data provider in the body and always makes a contact list."""
    criteo.will_answer(NOTHING)
    await criteo.cg.create_audience_segments([cg.AudienceSegmentCreate(data_provider_id="8", name="n")])
    wire = {"dataProviderId": "8", "name": "n", "contactList": {}}
    assert criteo.last == ("POST", f"{GRID}/create", {"data": [{"type": "AudienceSegment", "attributes": wire}]})
    criteo.will_answer(NOTHING)
    await criteo.cg.update_audience_segments([cg.AudienceSegmentUpdate(id="5", description=None)])
    assert criteo.last[2]["data"][0]["attributes"] == {"description": {"value": None}}


@pytest.mark.parametrize(
    ("service", "arguments", "path"),
    [("ms", (), SEGMENTS), ("rm", ("77",), ACCOUNT), ("cg", (), GRID)],
)
async def test_delete_names_the_segments(criteo, service, arguments, path) -> None:
    """A delete posts ids and returns those that are gone."""
    criteo.will_answer({"data": [{"id": 5, "type": "x"}]})
    result = await getattr(criteo, service).delete_audience_segments(*arguments, ["5", "6"])
    assert criteo.last[:2] == ("POST", f"{path}/delete")
    assert [entity["id"] for entity in criteo.last[2]["data"]] == ["5", "6"]
    assert result.items == ("5",)


@pytest.mark.parametrize(
    ("service", "arguments", "filters", "path", "maximum"),
    [
        ("ms", (), {"advertiser_ids": ["1"]}, SEGMENTS, 100),
        ("rm", ("77",), {"retailer_ids": ["1"]}, ACCOUNT, 500),
        ("cg", (), {"data_provider_ids": ["1"]}, GRID, 100),
    ],
)
async def test_search_turns_pages_of_the_services_maximum(criteo, service, arguments, filters, path, maximum) -> None:
    """A search asks for the largest page (26: RM's default differs between documents, so it is never left to it)."""
    full = [{"id": str(n), "attributes": {"name": "x"}} for n in range(maximum)]
    criteo.will_answer({"data": full, "meta": {"totalItems": maximum + 1}})
    criteo.will_answer({"data": [{"id": "last"}], "meta": {"totalItems": maximum + 1}})
    found = getattr(criteo, service).search_audience_segments(
        *arguments, audience_segment_types=["contactlist"], **filters
    )
    ids = [segment.id async for segment in found]
    assert len(ids) == maximum + 1
    assert criteo.last[:2] == ("POST", f"{path}/search?limit={maximum}&offset={maximum}")
    assert criteo.last[2]["data"]["attributes"]["audienceSegmentTypes"] == ["ContactList"]


async def test_search_stops_when_the_server_repeats_itself(criteo) -> None:
    """A server that ignores the offset does not make a search endless, and no segment comes twice."""
    page = {"data": [{"id": str(n)} for n in range(100)], "meta": {"totalItems": 100_000}}
    criteo.will_answer(page)
    criteo.will_answer(page)
    assert len([segment async for segment in criteo.ms.search_audience_segments()]) == 100


async def test_one_page_on_request(criteo) -> None:
    """`page` asks for one page and says how many there are."""
    criteo.will_answer({"data": [{"id": "1"}], "meta": {"totalItems": 41, "limit": 1, "offset": 40}})
    page = await criteo.ms.search_audience_segments().page(limit=1, offset=40)
    assert (page.items[0].id, page.total_items, page.limit, page.offset) == ("1", 41, 1, 40)


@pytest.mark.parametrize("limit", [0, 101])
async def test_a_page_beyond_the_maximum_is_refused_before_a_call(criteo, limit) -> None:
    """A page size that Criteo would refuse costs no call."""
    with pytest.raises(ConfigurationError, match="limit"):
        await criteo.ms.search_audience_segments().page(limit=limit)
    assert not criteo.asked


@pytest.mark.parametrize(
    ("service", "options", "method", "path", "wire"),
    [
        (
            "ms",
            {"identifier_type": "gum", "gum_caller_id": 329739},
            "PATCH",
            f"{SEGMENTS}/5/contact-list",
            ("ContactlistAmendment", {"operation": "remove", "identifierType": "gum", "gumCallerId": 329739}),
        ),
        (
            "ms",
            {"identifier_type": "phone_number"},
            "PATCH",
            f"{SEGMENTS}/5/contact-list",
            ("ContactlistAmendment", {"operation": "remove", "identifierType": "phoneNumber"}),
        ),
        (
            "rm",
            {"identifier_type": "email"},
            "POST",
            "/retail-media/audience-segments/5/contact-list/add-remove",
            ("AddRemoveContactlist", {"operation": "remove", "identifierType": "Email"}),
        ),
        (
            "cg",
            {"identifier_type": "MadId"},
            "POST",
            f"{GRID}/5/contact-list/add-remove",
            ("AddRemoveContactlist", {"operation": "Remove", "identifierType": "MadId"}),
        ),
    ],
)
async def test_amend(criteo, service, options, method, path, wire) -> None:
    """Operation and identifier words go out as each service spells them (5, 6, 8, 15, 40)."""
    criteo.will_answer({"data": {"attributes": {"operation": "remove"}}})
    await getattr(criteo, service).amend_contact_list("5", operation="remove", identifiers=["a", 'b"'], **options)
    entity_type, attributes = wire
    entity = {"type": entity_type, "attributes": {**attributes, "identifiers": ["a", 'b"']}}
    assert criteo.last == (method, path, {"data": entity})


@pytest.mark.parametrize(
    ("service", "arguments", "call", "method", "path"),
    [
        ("ms", ("5",), "clear_contact_list", "DELETE", f"{SEGMENTS}/5/contact-list"),
        ("rm", ("5",), "clear_contact_list", "POST", "/retail-media/audience-segments/5/contact-list/clear"),
        ("cg", ("5",), "clear_contact_list", "POST", f"{GRID}/5/contact-list/clear"),
        ("ms", ("5",), "get_contact_list_statistics", "GET", f"{SEGMENTS}/5/contact-list/statistics"),
        ("rm", ("77", "5"), "get_contact_list_statistics", "GET", f"{ACCOUNT}/5/contact-list"),
        ("cg", ("5",), "get_contact_list_statistics", "GET", f"{GRID}/5/contact-list/statistics"),
    ],
)
async def test_clear_and_statistics(criteo, service, arguments, call, method, path) -> None:
    """The same names reach three different verbs and paths."""
    criteo.will_answer({"data": {"attributes": {"numberOfIdentifiers": 3}}})
    await getattr(getattr(criteo, service), call)(*arguments)
    assert criteo.last[:2] == (method, path)


async def test_an_id_cannot_leave_its_place_in_the_path(criteo) -> None:
    """Whatever an id holds is quoted, so that it names nothing else."""
    criteo.will_answer({"data": {"attributes": {}}})
    await criteo.ms.get_contact_list_statistics("../../me?x=1")
    assert criteo.last[1] == f"{SEGMENTS}/..%2F..%2Fme%3Fx%3D1/contact-list/statistics"
