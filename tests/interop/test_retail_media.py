from criteo_audiences import CriteoClient, IdentifierType, Segment
from criteo_audiences import retail_media as ours
from criteo_audiences.sandbox import Sandbox

from . import retail_media as sdks
from .retail_media import ACCOUNT, RETAILER
from .sdk import Sdk


async def test_our_client_reads_the_list_that_the_sdk_creates_and_changes(rm: Sdk, criteo: CriteoClient) -> None:
    """A contact list that the SDK creates and renames has the same fields for our client."""
    m = rm.models
    settings = m.RmContactListCreateV1(identifier_type="Email")
    created = sdks.create_segment(rm, "crm", description="d", contact_list=settings)
    assert (created.attributes.name, created.attributes.type) == ("crm", "ContactList")
    assert (created.attributes.contact_list.identifier_type, created.attributes.account_id) == ("Email", ACCOUNT)
    found = await sdks.find_segment(criteo, created.id)
    assert (found.name, found.description, found.retailer_id, found.account_id) == ("crm", "d", RETAILER, ACCOUNT)
    assert found.contact_list.identifier_type is IdentifierType.EMAIL
    assert found.contact_list.sharing_status == created.attributes.contact_list.sharing_status
    assert [str(each) for each in found.channels] == created.attributes.channels
    assert found.created_at == created.attributes.created_at
    updated = sdks.update_segment(rm, created.id, name="renamed", description=m.NillableString(value=None))
    assert (updated.name, updated.description) == ("renamed", None)
    found = await sdks.find_segment(criteo, created.id)
    assert (found.name, found.description, found.updated_at) == ("renamed", None, updated.updated_at)


async def test_our_client_reads_the_events_that_the_sdk_creates_and_changes(rm: Sdk, criteo: CriteoClient) -> None:
    """Our client reads the events settings that the SDK creates and changes."""
    m = rm.models
    settings = m.RmEventsCreateV1(
        "Last30Days", "AddToCart", brand_ids=["5"], category_ids=["6", "7"], min_price=1.5, max_price=9.5
    )
    created = sdks.create_segment(rm, "shoppers", events=settings)
    assert (created.attributes.type, created.attributes.events.lookback_days) == ("Events", "Last30Days")
    expected = ours.Events(
        shopper_activity=ours.ShopperActivity.ADD_TO_CART,
        lookback_days=ours.LookbackDays("Last30Days"),
        category_ids=("6", "7"),
        brand_ids=("5",),
        min_price=1.5,
        max_price=9.5,
    )
    assert (await sdks.find_segment(criteo, created.id)).events == expected
    change = m.RmEventsUpdateV1(
        shopper_activity="Buy", min_price=m.NillableDecimal(value=None), max_price=m.NillableDecimal(value=20.5)
    )
    updated = sdks.update_segment(rm, created.id, events=change)
    assert (updated.events.shopper_activity, updated.events.min_price, updated.events.max_price) == ("Buy", None, 20.5)
    found = (await sdks.find_segment(criteo, created.id)).events
    assert (found.shopper_activity, found.min_price, found.max_price) == (ours.ShopperActivity.BUY, None, 20.5)


async def test_the_sdk_reads_the_segments_that_our_client_creates(rm: Sdk, criteo: CriteoClient) -> None:
    """Segments of both kinds that our client creates have the same fields for the SDK."""
    definitions = [
        ours.AudienceSegmentCreate(
            retailer_id=RETAILER,
            name="crm",
            description="d",
            contact_list=ours.ContactListCreate(identifier_type=IdentifierType.PHONE_NUMBER),
        ),
        ours.AudienceSegmentCreate(
            retailer_id=RETAILER,
            name="shoppers",
            events=ours.EventsCreate(shopper_activity="View", lookback_days="Last7Days", brand_ids=["5"]),
        ),
    ]
    crm, shoppers = (await criteo.retail_media.create_audience_segments(ACCOUNT, definitions)).items
    page = sdks.search_segments(rm, audience_segment_types=["ContactList"], retailer_ids=[RETAILER])
    (found,) = page.data
    assert (found.id, found.attributes.name, found.attributes.description) == (crm.id, "crm", "d")
    assert (found.attributes.contact_list.identifier_type, found.attributes.retailer_id) == ("PhoneNumber", RETAILER)
    assert found.attributes.created_at == crm.created_at
    assert (page.meta.total_items, page.meta.limit, page.meta.offset) == (1, 10, 0)
    (found,) = sdks.search_segments(rm, audience_segment_ids=[shoppers.id]).data
    assert (found.attributes.type, found.attributes.events.shopper_activity) == ("Events", "View")
    assert found.attributes.events.brand_ids == ["5"]


async def test_both_fill_and_empty_one_list(rm: Sdk, criteo: CriteoClient, sandbox: Sandbox) -> None:
    """The SDK counts what our client uploads, our client what the SDK adds, removes and clears."""
    await sdks.fill_and_empty(rm, criteo, sandbox)


async def test_a_segment_that_the_sdk_deletes_is_gone(rm: Sdk, criteo: CriteoClient) -> None:
    """Our client no longer finds a segment that the SDK has deleted."""
    segment_id = sdks.create_segment(rm, "crm", contact_list=rm.models.RmContactListCreateV1()).id
    assert sdks.delete_segment(rm, segment_id) == [segment_id]
    assert [each async for each in criteo.retail_media.search_audience_segments(ACCOUNT)] == []


async def test_the_sdk_reads_the_audience_that_our_client_creates(
    rm: Sdk, criteo: CriteoClient, experimental: CriteoClient
) -> None:
    """An audience that our client creates under "experimental" has the same fields for the SDK, in its own version."""
    audience_id, expression = await _create_audience(rm, experimental)
    page = sdks.search_audiences(rm, audience_ids=[audience_id], retailer_ids=[RETAILER])
    (found,) = page.data
    assert (found.id, found.attributes.name, found.attributes.account_id) == (audience_id, "ours", ACCOUNT)
    assert rm.wire(found.attributes.algebra) == expression.to_wire()
    assert (page.meta.total_items, page.meta.limit, page.meta.offset) == (1, 10, 0)
    (known,) = [each async for each in criteo.retail_media.search_audiences(ACCOUNT)]
    assert (known.id, known.algebra, known.created_at) == (audience_id, expression, found.attributes.created_at)
    assert [str(each) for each in known.channels] == found.attributes.channels


async def test_both_change_the_audiences_of_one_line_item(
    rm: Sdk, criteo: CriteoClient, experimental: CriteoClient
) -> None:
    """Our client reads the targeting that the SDK sets, extends and shortens, and the other way round."""
    m, line_item = rm.models, "8001"
    first, _ = await _create_audience(rm, experimental)
    second = (
        (
            await experimental.retail_media.create_audiences(
                ACCOUNT, [ours.AudienceCreate(retailer_id=RETAILER, name="2", algebra=Segment(await _list(rm, "2")))]
            )
        )
        .one()
        .id
    )
    target = m.ValueTypeResourceOfAudienceTarget202110(
        attributes=m.AudienceTarget202110([first], "exclude"), type="AudienceTarget"
    )
    put = rm.put_audience_targets_by_line_item_id(line_item, m.AudienceTarget202110Request(data=target)).data
    assert (put.attributes.audience_ids, put.attributes.scope) == ([first], "exclude")
    known = await criteo.retail_media.get_line_item_audiences(line_item)
    assert (known.scope, known.audience_ids) == (ours.Scope.EXCLUDE, (first,))
    change = m.ValueTypeResourceOfAudienceIdsUpdateModel202110(
        attributes=m.AudienceIdsUpdateModel202110([second]), type="AudienceIds"
    )
    request = m.AudienceIdsUpdateModel202110Request(data=change)
    both = rm.append_audience_targets_by_line_item_id(line_item, audience_ids_update_model202110_request=request)
    assert both.data.attributes.audience_ids == [first, second]
    assert (await criteo.retail_media.get_line_item_audiences(line_item)).audience_ids == (first, second)
    one = rm.delete_audience_targets_by_line_item_id(line_item, audience_ids_update_model202110_request=request)
    assert one.data.attributes.audience_ids == [first]
    await criteo.retail_media.set_line_item_audiences(
        line_item, ours.AudienceTarget(scope=ours.Scope.INCLUDE, audience_ids=[second])
    )
    read = rm.get_audience_targets_by_line_item_id(line_item).data.attributes
    assert (read.audience_ids, read.scope) == ([second], "include")


async def test_both_know_who_is_calling(rm: Sdk, criteo: CriteoClient) -> None:
    """The SDK and our client are told the same application and the same accounts."""
    await _list(rm, "crm")
    read, known = rm.get_current_application().data.attributes, await criteo.retail_media.get_application()
    assert (read.application_id, read.organization_id) == (int(known.application_id), int(known.organization_id))
    assert (read.name, read.criteo_service) == (known.name, known.criteo_service)
    (account,) = rm.get_accounts(limit_to_id=[ACCOUNT], page_index=0, page_size=5).data
    (same,) = [each async for each in criteo.retail_media.list_accounts() if each.id == ACCOUNT]
    assert (account.attributes.name, account.attributes.type) == (same.name, same.type)
    assert (account.attributes.countries, account.attributes.currency) == (list(same.countries), same.currency)
    page = rm.get_accounts(page_index=1, page_size=1)
    assert (page.metadata.total_items_across_all_pages, page.metadata.current_page_index) == (2, 1)
    assert [each.id for each in page.data] == [ACCOUNT]


async def _list(rm: Sdk, name: str) -> str:
    return sdks.create_segment(rm, name, contact_list=rm.models.RmContactListCreateV1()).id


async def _create_audience(rm: Sdk, experimental: CriteoClient):  # noqa: ANN202 - its id and its algebra
    expression = Segment(await _list(rm, "1")) & ~Segment(await _list(rm, "0"))
    definition = ours.AudienceCreate(retailer_id=RETAILER, name="ours", algebra=expression)
    created = (await experimental.retail_media.create_audiences(ACCOUNT, [definition])).one()
    return created.id, expression
