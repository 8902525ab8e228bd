import pytest

from criteo_audiences import CriteoClient, Segment
from criteo_audiences import marketing_solutions as ours
from criteo_audiences.sandbox import Sandbox

from .sdk import Sdk

ADVERTISER = "21"


def create_segment(ms: Sdk, name: str, **attributes: object):  # noqa: ANN201 - a model of the SDK
    """Creates a segment with the SDK."""
    m = ms.models
    definition = m.AudienceSegmentCreateEntityV1(ADVERTISER, name, **attributes)
    resource = m.AudienceSegmentCreateEntityV1Resource(attributes=definition, type="AudienceSegment")
    (created,) = ms.create_audience_segments(m.AudienceSegmentBulkCreateInputV1(data=[resource])).data
    return created


def create_list(ms: Sdk, name: str) -> str:
    """Creates a contact list with the SDK."""
    return create_segment(ms, name, contact_list={}).id


def update_segment(ms: Sdk, segment_id: str, **changes: object):  # noqa: ANN201 - as above
    """Changes a segment with the SDK."""
    m = ms.models
    change = m.AudienceSegmentUpdateEntityV1(**changes)
    resource = m.AudienceSegmentUpdateEntityV1Resource(id=segment_id, type="AudienceSegment", attributes=change)
    (updated,) = ms.update_audience_segments(m.AudienceSegmentBulkUpdateInputV1(data=[resource])).data
    assert updated.id == segment_id
    return updated.attributes


def search_segments(ms: Sdk, **filters: object):  # noqa: ANN201 - as above
    """Searches segments with the SDK."""
    m = ms.models
    attributes = m.AudienceSegmentSearchEntityV1(**filters)
    resource = m.AudienceSegmentSearchEntityV1Resource(attributes=attributes, type="AudienceSegment")
    return ms.search_audience_segments(m.AudienceSegmentSearchInputV1(data=resource), limit=10, offset=0)


async def find_segment(criteo: CriteoClient, segment_id: str) -> ours.AudienceSegment:
    """Finds a segment with our client."""
    found = criteo.marketing_solutions.search_audience_segments(audience_segment_ids=[segment_id])
    (segment,) = [each async for each in found]
    return segment


def amend(ms: Sdk, segment_id: str, operation: str, identifiers: list[str]):  # noqa: ANN201 - as above
    """Amends a contact list with the SDK."""
    m = ms.models
    attributes = m.ContactlistAmendmentAttributes(identifiers, operation, identifier_type="email")
    request = m.ContactlistAmendmentRequest(m.ContactlistAmendment(attributes, "ContactlistAmendment"))
    return ms.update_contact_list_by_audience_segment(segment_id, request).data.attributes


def algebra(ms: Sdk, first: str, second: str):  # noqa: ANN201 - as above
    """Builds "the first and not the second" of the SDK's models."""
    node = ms.models.AlgebraNodeV1
    return node(_and=[node(audience_segment_id=first), node(_not=node(audience_segment_id=second))])


def create_audience(ms: Sdk, name: str, definition: object):  # noqa: ANN201 - as above
    """Creates an audience with the SDK."""
    m = ms.models
    attributes = m.AudienceCreateEntityV1(ADVERTISER, definition, name, description="d")
    resource = m.AudienceCreateEntityV1Resource(attributes=attributes, type="Audience")
    (created,) = ms.create_audiences(m.AudienceBulkCreateInputV1(data=[resource])).data
    return created


def search_audiences(ms: Sdk, **filters: object):  # noqa: ANN201 - as above
    """Searches audiences with the SDK."""
    m = ms.models
    resource = m.AudienceSearchEntityV1Resource(attributes=m.AudienceSearchEntityV1(**filters), type="Audience")
    return ms.search_audiences(m.AudienceSearchInputV1(data=resource), limit=10, offset=0)


async def test_our_client_reads_the_segment_that_the_sdk_creates_and_changes(ms: Sdk, criteo: CriteoClient) -> None:
    """A contact list that the SDK creates and renames has the same fields for our client."""
    created = create_segment(ms, "crm", description="d", contact_list={})
    assert (created.attributes.name, created.attributes.type) == ("crm", "ContactList")
    assert created.attributes.contact_list.is_read_only is False
    found = await find_segment(criteo, created.id)
    assert (found.name, found.description, found.advertiser_id, found.type) == ("crm", "d", ADVERTISER, "ContactList")
    assert found.created_at == created.attributes.created_at
    updated = update_segment(ms, created.id, name="renamed", description=ms.models.NillableString(value=None))
    assert (updated.name, updated.description) == ("renamed", None)
    found = await find_segment(criteo, created.id)
    assert (found.name, found.description, found.updated_at) == ("renamed", None, updated.updated_at)


async def test_in_market_settings_are_the_same_to_both(ms: Sdk, criteo: CriteoClient) -> None:
    """Our client reads the in-market settings that the SDK creates and changes."""
    m = ms.models
    settings = m.InMarketCreateV1(
        "FR",
        interest_ids=["166"],
        brand_ids=["101"],
        gender="Female",
        buying_power=["High", "VeryHigh"],
        price_range=["Low"],
    )
    created = create_segment(ms, "shoes", in_market=settings)
    assert created.attributes.in_market.gender == "Female"
    expected = ours.InMarket(
        country="FR",
        interest_ids=("166",),
        brand_ids=("101",),
        gender=ours.Gender.FEMALE,
        buying_power=(ours.BuyingPower.HIGH, ours.BuyingPower.VERY_HIGH),
        price_range=(ours.PriceRange.LOW,),
    )
    assert (await find_segment(criteo, created.id)).in_market == expected
    change = m.InMarketUpdateV1(country="DE", gender=m.NillableGenderV1(value=None))
    assert update_segment(ms, created.id, in_market=change).in_market.country == "DE"
    found = (await find_segment(criteo, created.id)).in_market
    assert (found.country, found.gender, found.brand_ids) == ("DE", None, ("101",))


async def test_location_settings_are_the_same_to_both(ms: Sdk, criteo: CriteoClient) -> None:
    """Our client reads the places that the SDK creates and changes."""
    m = ms.models
    place = m.PointOfInterestV1(name="Paris", latitude=48.8566, longitude=2.3522)
    created = create_segment(ms, "paris", location=m.LocationCreateV1([place], 5))
    assert created.attributes.location.points_of_interest[0].name == "Paris"
    expected = ours.Location(
        points_of_interest=(ours.PointOfInterest(name="Paris", latitude=48.8566, longitude=2.3522),),
        radius_in_km=5,
        registry_type=ours.RegistryType.POINT_OF_INTEREST,
    )
    assert (await find_segment(criteo, created.id)).location == expected
    assert update_segment(ms, created.id, location=m.LocationUpdateV1(radius_in_km=7)).location.radius_in_km == 7
    assert (await find_segment(criteo, created.id)).location.radius_in_km == 7


async def test_lookalike_settings_are_the_same_to_both(ms: Sdk, criteo: CriteoClient) -> None:
    """Our client reads the seed and the target size that the SDK creates and changes."""
    m, seed = ms.models, create_list(ms, "seed")
    created = create_segment(ms, "like them", lookalike=m.LookalikeCreateV1(seed, target_size=1_000_000))
    assert created.attributes.lookalike.seed_segment_id == seed
    expected = ours.Lookalike(seed_segment_id=seed, target_size=1_000_000)
    assert (await find_segment(criteo, created.id)).lookalike == expected
    change = m.LookalikeUpdateV1(target_size=2_000_000)
    assert update_segment(ms, created.id, lookalike=change).lookalike.target_size == 2_000_000
    assert (await find_segment(criteo, created.id)).lookalike.target_size == 2_000_000


async def test_prospecting_settings_are_the_same_to_both(ms: Sdk, criteo: CriteoClient) -> None:
    """Our client reads the prospecting settings that the SDK creates and changes."""
    m = ms.models
    settings = m.ProspectingCreateV1("Prospects", days_since_last_visit_min=10, days_since_last_visit_max=90)
    created = create_segment(ms, "new ones", prospecting=settings)
    assert created.attributes.prospecting.users_type == "Prospects"
    expected = ours.Prospecting(
        users_type=ours.UsersType.PROSPECTS, days_since_last_visit_min=10, days_since_last_visit_max=90
    )
    assert (await find_segment(criteo, created.id)).prospecting == expected
    change = m.ProspectingUpdateV1(days_since_last_visit_min=m.NillableInt32(value=None))
    assert update_segment(ms, created.id, prospecting=change).prospecting.days_since_last_visit_min is None
    found = (await find_segment(criteo, created.id)).prospecting
    assert (found.days_since_last_visit_min, found.days_since_last_visit_max) == (None, 90)


async def test_retargeting_settings_are_the_same_to_both(ms: Sdk, criteo: CriteoClient) -> None:
    """Our client reads the retargeting settings that the SDK creates and changes."""
    m = ms.models
    settings = m.RetargetingCreateV1(days_since_last_visit_max=30, days_since_last_visit_min=1, visitors_type="Buyers")
    created = create_segment(ms, "come back", retargeting=settings)
    assert created.attributes.retargeting.visitors_type == "Buyers"
    expected = ours.Retargeting(
        visitors_type=ours.VisitorsType.BUYERS, days_since_last_visit_min=1, days_since_last_visit_max=30
    )
    assert (await find_segment(criteo, created.id)).retargeting == expected
    change = m.RetargetingUpdateV1(visitors_type="NonBuyers")
    assert update_segment(ms, created.id, retargeting=change).retargeting.visitors_type == "NonBuyers"
    found = (await find_segment(criteo, created.id)).retargeting
    assert (found.visitors_type, found.days_since_last_visit_max) == (ours.VisitorsType.NON_BUYERS, 30)


@pytest.mark.parametrize(
    ("settings", "type_"),
    [
        ({"contact_list": ours.ContactListCreate()}, "ContactList"),
        ({"in_market": ours.InMarketCreate(country="FR", gender="Male", price_range=["High"])}, "InMarket"),
        (
            {
                "location": ours.LocationCreate(
                    points_of_interest=[ours.PointOfInterest(name="Paris", latitude=48.8, longitude=2.3)],
                    radius_in_km=3,
                )
            },
            "Location",
        ),
        ({"prospecting": ours.ProspectingCreate(users_type="ProspectsOrNonBuyers")}, "Prospecting"),
        (
            {
                "retargeting": ours.RetargetingCreate(
                    visitors_type="All", days_since_last_visit_min=0, days_since_last_visit_max=400
                )
            },
            "Retargeting",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_the_sdk_reads_the_segment_that_our_client_creates(
    ms: Sdk, criteo: CriteoClient, settings: dict[str, object], type_: str
) -> None:
    """A segment of any kind that our client creates has the same fields for the SDK."""
    definition = ours.AudienceSegmentCreate(advertiser_id=ADVERTISER, name="ours", description="d", **settings)
    created = (await criteo.marketing_solutions.create_audience_segments([definition])).one()
    create_list(ms, "another")
    page = search_segments(ms, audience_segment_ids=[created.id], audience_segment_types=[type_])
    (found,) = page.data
    assert (found.id, found.attributes.name, found.attributes.description) == (created.id, "ours", "d")
    assert (found.attributes.type, found.attributes.advertiser_id) == (type_, ADVERTISER)
    assert found.attributes.created_at == created.created_at
    (name,) = settings
    assert found.attributes[name] is not None
    assert (page.meta.total_items, page.meta.limit, page.meta.offset) == (1, 10, 0)
    assert search_segments(ms, advertiser_ids=[ADVERTISER]).meta.total_items == 2


async def test_both_fill_and_empty_one_list(ms: Sdk, criteo: CriteoClient, sandbox: Sandbox) -> None:
    """The SDK counts what our client uploads, our client what the SDK adds, removes and clears."""
    api = criteo.marketing_solutions
    segment = await api.ensure_contact_list(name="crm", advertiser_id=ADVERTISER)
    identifiers = [f"user{number}@example.com" for number in range(10)]
    report = await api.upload_contact_list(segment.id, identifiers, hash="sha256", advertiser_id=ADVERTISER)
    read = ms.get_audience_segment_contact_list_statistics(segment.id).data
    assert (report.valid, read.id, read.attributes.number_of_identifiers) == (10, segment.id, 10)
    assert (read.attributes.number_of_matches, read.attributes.match_rate) == (6, 0.6)
    added = amend(ms, segment.id, "add", ["new@example.com", "nonsense"])
    assert (added.operation, added.contact_list_id, added.identifier_type) == ("add", int(segment.id), "email")
    assert (added.nb_valid_identifiers, added.nb_invalid_identifiers) == (1, 1)
    assert added.sample_invalid_identifiers == ["nonsense"]
    assert (await api.get_contact_list_statistics(segment.id)).number_of_identifiers == 11
    assert amend(ms, segment.id, "remove", ["new@example.com"]).nb_valid_identifiers == 1
    assert len(sandbox.contact_list(segment.id)) == 10
    cleared = ms.delete_contact_list_by_audience_segment(segment.id).data
    assert cleared.id == segment.id
    assert (await api.get_contact_list_statistics(segment.id)).number_of_identifiers == 0


async def test_a_segment_that_the_sdk_deletes_is_gone(ms: Sdk, criteo: CriteoClient) -> None:
    """Our client no longer finds a segment that the SDK has deleted."""
    m, segment_id = ms.models, create_list(ms, "crm")
    resource = m.AudienceSegmentDeleteEntityV1Resource(id=segment_id, type="AudienceSegment")
    deleted = ms.delete_audience_segments(m.AudienceSegmentBulkDeleteInputV1(data=[resource])).data
    assert [each.id for each in deleted] == [segment_id]
    assert [each async for each in criteo.marketing_solutions.search_audience_segments()] == []


async def test_both_compute_the_same_segment_sizes(ms: Sdk, criteo: CriteoClient, sandbox: Sandbox) -> None:
    """The SDK and our client are told the same sizes of segments."""
    m = ms.models
    segment_ids = [create_list(ms, "crm"), create_segment(ms, "market", in_market=m.InMarketCreateV1("FR")).id]
    amend(ms, segment_ids[0], "add", [f"user{number}@example.com" for number in range(10)])
    data = [m.AudienceSegmentComputeSizeEntityV1Resource(id=each, type="AudienceSegment") for each in segment_ids]
    sizes = ms.compute_audience_segments_sizes(m.AudienceSegmentComputeSizesInputV1(data=data)).data
    assert sizes[0].attributes.size == len(sandbox.contact_list(segment_ids[0])) * 6 // 10
    known = await criteo.marketing_solutions.compute_audience_segment_sizes(segment_ids)
    assert [(each.id, each.attributes.size) for each in sizes] == [(each.id, each.size) for each in known.items]
    assert [each.id for each in sizes] == segment_ids


async def test_both_estimate_the_same_segment_sizes(ms: Sdk, criteo: CriteoClient) -> None:
    """The SDK and our client are told the same estimates for segments that do not exist."""
    m = ms.models

    def estimate(**settings: object) -> int:
        attributes = m.AudienceSegmentSizeEstimationEntityV1(ADVERTISER, **settings)
        resource = m.AudienceSegmentSizeEstimationEntityV1Resource(attributes=attributes, type="AudienceSegment")
        body = m.AudienceSegmentEstimateSizeInputV1(data=resource)
        return ms.estimate_audience_segments_sizes(body).data.attributes.size

    async def known(**settings: object) -> int | None:
        definition = ours.AudienceSegmentEstimate(advertiser_id=ADVERTISER, **settings)
        return (await criteo.marketing_solutions.estimate_audience_segment_size(definition)).size

    market = estimate(in_market=m.InMarketSizeEstimationV1("FR", interest_ids=["166"], gender="Male"))
    same = ours.InMarketCreate(country="FR", interest_ids=["166"], gender="Male")
    assert market == await known(in_market=same) > 0
    place = m.PointOfInterestV1(name="Paris", latitude=48.8, longitude=2.3)
    area = estimate(location=m.LocationSizeEstimationV1([place], 5))
    point = ours.PointOfInterest(name="Paris", latitude=48.8, longitude=2.3)
    assert area == await known(location=ours.LocationCreate(points_of_interest=[point], radius_in_km=5)) > 0


async def test_both_read_the_same_catalog(ms: Sdk, criteo: CriteoClient) -> None:
    """The SDK and our client read the same interests and brands, and a segment can be made of them."""
    interests = ms.get_audience_segments_in_market_interests(ADVERTISER, "FR").data
    known = await criteo.marketing_solutions.list_in_market_interests(ADVERTISER, "FR")
    assert [(each.id, each.attributes.parent_id) for each in interests] == [(each.id, each.parent_id) for each in known]
    assert {each.attributes.parent_id for each in interests} - {None} <= {each.id for each in interests}
    brands = ms.get_audience_segments_in_market_brands(ADVERTISER, "FR").data
    names = await criteo.marketing_solutions.list_in_market_brands(ADVERTISER, "FR")
    read = [(each.id, each.attributes.name, each.attributes.size) for each in brands]
    assert read == [(each.id, each.name, each.size) for each in names] != []
    settings = ms.models.InMarketCreateV1("FR", interest_ids=[interests[0].id], brand_ids=[brands[0].id])
    assert create_segment(ms, "market", in_market=settings).attributes.in_market.brand_ids == [brands[0].id]


async def test_our_client_reads_the_audience_that_the_sdk_creates_and_changes(ms: Sdk, criteo: CriteoClient) -> None:
    """An audience that the SDK creates and changes has the same fields and the same algebra for our client."""
    m = ms.models
    first, second = create_list(ms, "1"), create_list(ms, "2")
    created = create_audience(ms, "both", algebra(ms, first, second))
    assert (created.attributes.name, created.attributes.advertiser_id) == ("both", ADVERTISER)
    found = [each async for each in criteo.marketing_solutions.search_audiences(audience_segment_ids=[second])]
    (audience,) = found
    assert (audience.id, audience.name, audience.description) == (created.id, "both", "d")
    assert (audience.algebra, audience.advertiser_id) == (Segment(first) & ~Segment(second), ADVERTISER)
    assert audience.created_at == created.attributes.created_at
    node = m.AlgebraNodeV1
    either = node(_or=[node(audience_segment_id=first), node(audience_segment_id=second)])
    change = m.AudienceUpdateEntityV1(name="either", algebra=either, description=m.NillableString(value=None))
    resource = m.AudienceUpdateEntityV1Resource(id=created.id, type="Audience", attributes=change)
    (updated,) = ms.update_audiences(m.AudienceBulkUpdateInputV1(data=[resource])).data
    assert (updated.attributes.name, updated.attributes.description) == ("either", None)
    (audience,) = [each async for each in criteo.marketing_solutions.search_audiences(audience_ids=[created.id])]
    assert (audience.name, audience.description) == ("either", None)
    assert audience.algebra == Segment(first) | Segment(second)


async def test_the_sdk_reads_the_audience_that_our_client_creates(ms: Sdk, criteo: CriteoClient) -> None:
    """An audience that our client creates has the same fields and the same algebra for the SDK."""
    first, second, third = (create_list(ms, name) for name in "123")
    expression = Segment(first) & (Segment(second) | ~Segment(third))
    definition = ours.AudienceCreate(advertiser_id=ADVERTISER, name="ours", description="d", algebra=expression)
    created = (await criteo.marketing_solutions.create_audiences([definition])).one()
    create_audience(ms, "another", ms.models.AlgebraNodeV1(audience_segment_id=first))
    page = search_audiences(ms, audience_ids=[created.id])
    (found,) = page.data
    assert (found.id, found.attributes.name, found.attributes.description) == (created.id, "ours", "d")
    assert found.attributes.created_at == created.created_at
    assert ms.wire(found.attributes.algebra) == expression.to_wire()
    assert (page.meta.total_items, page.meta.limit, page.meta.offset) == (1, 10, 0)
    everything = search_audiences(ms, advertiser_ids=[ADVERTISER], audience_segment_ids=[first])
    assert everything.meta.total_items == 2


async def test_an_audience_that_the_sdk_deletes_is_gone(ms: Sdk, criteo: CriteoClient) -> None:
    """Our client no longer finds an audience that the SDK has deleted."""
    m = ms.models
    audience_id = create_audience(ms, "a", m.AlgebraNodeV1(audience_segment_id=create_list(ms, "1"))).id
    resource = m.AudienceDeleteEntityV1Resource(id=audience_id, type="Audience")
    deleted = ms.delete_audiences(m.AudienceBulkDeleteInputV1(data=[resource])).data
    assert [each.id for each in deleted] == [audience_id]
    assert [each async for each in criteo.marketing_solutions.search_audiences()] == []


async def test_both_are_told_the_same_audience_sizes(ms: Sdk, criteo: CriteoClient) -> None:
    """The SDK and our client are told the same size of an audience, computed as well as estimated."""
    m = ms.models
    first, second = (create_segment(ms, country, in_market=m.InMarketCreateV1(country)).id for country in ("FR", "DE"))
    definition = algebra(ms, first, second)
    audience_id = create_audience(ms, "both", definition).id
    resource = m.AudienceComputeSizeEntityV1Resource(id=audience_id, type="Audience")
    (computed,) = ms.compute_audiences_sizes(m.AudienceComputeSizesInputV1(data=[resource])).data
    known = (await criteo.marketing_solutions.compute_audience_sizes([audience_id])).one()
    assert (computed.id, computed.attributes.size) == (audience_id, known.size)
    attributes = m.AudienceEstimateSizeEntityV1(ADVERTISER, definition)
    resource = m.AudienceEstimateSizeEntityV1Resource(attributes=attributes, type="Audience")
    estimated = ms.estimate_audiences_sizes(m.AudienceEstimateSizeInputV1(data=resource)).data.attributes.size
    expression = Segment(first) & ~Segment(second)
    same = ours.AudienceEstimate(advertiser_id=ADVERTISER, algebra=expression)
    assert estimated == (await criteo.marketing_solutions.estimate_audience_size(same)).size == computed.attributes.size
    assert estimated > 0


async def test_both_link_an_audience_with_an_ad_set(ms: Sdk, criteo: CriteoClient) -> None:
    """Our client sees the ad set that the SDK links an audience with, and the SDK that our client took it away."""
    m = ms.models
    audience_id = create_audience(ms, "a", m.AlgebraNodeV1(audience_segment_id=create_list(ms, "1"))).id
    attributes = m.AdSetAudienceLinkEntityV1(audience_id=audience_id)
    resource = m.AdSetAudienceLinkEntityV1Resource(id="900", type="AdSetAudience", attributes=attributes)
    linked = ms.update_ad_set_audience("900", m.AdSetAudienceLinkInputEntityV1(data=resource)).data
    assert (linked.id, linked.attributes.audience_id) == ("900", audience_id)
    (found,) = [each async for each in criteo.marketing_solutions.search_audiences(ad_set_ids=["900"])]
    assert (found.id, found.ad_set_ids) == (audience_id, ("900",))
    assert search_audiences(ms, ad_set_ids=["900"]).data[0].attributes.ad_set_ids == ["900"]
    await criteo.marketing_solutions.set_ad_set_audience("900", None)
    assert search_audiences(ms, ad_set_ids=["900"]).data == []


async def test_both_know_who_is_calling(ms: Sdk, criteo: CriteoClient) -> None:
    """The SDK and our client are told the same application and the same advertisers."""
    create_list(ms, "crm")
    read, known = ms.get_current_application().data.attributes, await criteo.marketing_solutions.get_application()
    assert (read.application_id, read.organization_id) == (int(known.application_id), int(known.organization_id))
    assert (read.name, read.criteo_service) == (known.name, known.criteo_service)
    advertisers = [(each.id, each.attributes.advertiser_name) for each in ms.list_advertisers().data]
    same = await criteo.marketing_solutions.list_advertisers()
    assert advertisers == [(each.id, each.advertiser_name) for each in same]
    assert ADVERTISER in dict(advertisers)
