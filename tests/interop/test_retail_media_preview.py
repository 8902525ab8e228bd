"""What only the preview SDK has; "preview" is the old name of "experimental"."""

from typing import Any

from criteo_audiences import CriteoClient, Segment
from criteo_audiences import retail_media as ours
from criteo_audiences.sandbox import Sandbox

from . import retail_media as sdks
from .retail_media import ACCOUNT, RETAILER
from .sdk import Sdk

AUDIENCE = "Audience"


def events(rm: Sdk, name: str) -> str:
    """Creates a segment of shoppers with the SDK."""
    settings = rm.models.RmEventsCreateV1("Last30Days", "Buy", brand_ids=[name])
    return sdks.create_segment(rm, name, events=settings).id


def algebra(rm: Sdk, first: str, second: str) -> Any:
    """Builds "the first and not the second" of the SDK's models."""
    node = rm.models.RmAlgebraNodeV1
    return node(_and=[node(audience_segment_id=first), node(_not=node(audience_segment_id=second))])


def create_audience(rm: Sdk, name: str, definition: object) -> Any:
    """Creates an audience with the SDK."""
    m = rm.models
    attributes = m.RmAudienceCreateEntityV1(definition, name, RETAILER, description="d")
    resource = m.RmAudienceCreateEntityV1Resource(attributes=attributes, type=AUDIENCE)
    (created,) = rm.bulk_create_audience(ACCOUNT, m.RmAudienceBulkCreateInputV1(data=[resource])).data
    return created


async def test_a_segments_life(rm_preview: Sdk, experimental: CriteoClient) -> None:
    """Our client reads what the SDK creates and renames, and no longer finds what it deletes."""
    rm, m = rm_preview, rm_preview.models
    settings = m.RmContactListCreateV1(identifier_type="CustomerId")
    created = sdks.create_segment(rm, "crm", description="d", contact_list=settings)
    assert created.attributes.contact_list.identifier_type == "CustomerId"
    found = await sdks.find_segment(experimental, created.id)
    assert (found.name, found.description, found.created_at) == ("crm", "d", created.attributes.created_at)
    assert sdks.update_segment(rm, created.id, name="renamed").description == "d"
    assert (await sdks.find_segment(experimental, created.id)).name == "renamed"
    page = sdks.search_segments(rm, audience_segment_ids=[created.id])
    assert ([each.attributes.name for each in page.data], page.meta.total_items) == (["renamed"], 1)
    assert sdks.delete_segment(rm, created.id) == [created.id]
    assert [each async for each in experimental.retail_media.search_audience_segments(ACCOUNT)] == []


async def test_both_fill_and_empty_one_list(rm_preview: Sdk, experimental: CriteoClient, sandbox: Sandbox) -> None:
    """The SDK counts what our client uploads, our client what the SDK adds, removes and clears."""
    await sdks.fill_and_empty(rm_preview, experimental, sandbox)


async def test_our_client_reads_the_audience_that_the_sdk_creates_and_changes(
    rm_preview: Sdk, experimental: CriteoClient
) -> None:
    """An audience that the SDK creates and changes has the same fields and the same algebra for our client."""
    rm, m = rm_preview, rm_preview.models
    first, second = events(rm, "1"), events(rm, "2")
    created = create_audience(rm, "both", algebra(rm, first, second))
    assert (created.attributes.name, created.attributes.account_id) == ("both", ACCOUNT)
    (found,) = [
        each async for each in experimental.retail_media.search_audiences(ACCOUNT, audience_segment_ids=[second])
    ]
    assert (found.id, found.name, found.description, found.retailer_id) == (created.id, "both", "d", RETAILER)
    assert (found.algebra, found.created_at) == (Segment(first) & ~Segment(second), created.attributes.created_at)
    change = m.RmAudienceUpdateEntityV1(
        name="one", algebra=m.RmAlgebraNodeV1(audience_segment_id=second), description=m.NillableString(value=None)
    )
    resource = m.RmAudienceUpdateEntityV1Resource(id=created.id, type=AUDIENCE, attributes=change)
    (updated,) = rm.bulk_update_audience(ACCOUNT, m.RmAudienceBulkUpdateInputV1(data=[resource])).data
    assert (updated.attributes.name, updated.attributes.description) == ("one", None)
    (found,) = [each async for each in experimental.retail_media.search_audiences(ACCOUNT, audience_ids=[created.id])]
    assert (found.name, found.description, found.algebra) == ("one", None, Segment(second))


async def test_the_sdk_reads_the_audience_that_our_client_creates(rm_preview: Sdk, experimental: CriteoClient) -> None:
    """An audience that our client creates has the same fields and the same algebra for the SDK."""
    rm = rm_preview
    expression = Segment(events(rm, "1")) & (Segment(events(rm, "2")) | ~Segment(events(rm, "3")))
    definition = ours.AudienceCreate(retailer_id=RETAILER, name="ours", description="d", algebra=expression)
    created = (await experimental.retail_media.create_audiences(ACCOUNT, [definition])).one()
    create_audience(rm, "another", algebra(rm, *expression.segment_ids[:2]))
    page = sdks.search_audiences(rm, audience_ids=[created.id])
    (found,) = page.data
    assert (found.id, found.attributes.name, found.attributes.description) == (created.id, "ours", "d")
    assert rm.wire(found.attributes.algebra) == expression.to_wire()
    assert (page.meta.total_items, page.meta.limit, page.meta.offset) == (1, 10, 0)


async def test_an_audience_that_the_sdk_deletes_is_gone(rm_preview: Sdk, experimental: CriteoClient) -> None:
    """Our client no longer finds an audience that the SDK has deleted."""
    rm, m = rm_preview, rm_preview.models
    audience_id = create_audience(rm, "a", m.RmAlgebraNodeV1(audience_segment_id=events(rm, "1"))).id
    resource = m.RmAudienceDeleteEntityV1Resource(id=audience_id, type=AUDIENCE)
    deleted = rm.bulk_delete_audiences(ACCOUNT, m.RmAudienceBulkDeleteInputV1(data=[resource])).data
    assert [each.id for each in deleted] == [audience_id]
    assert [each async for each in experimental.retail_media.search_audiences(ACCOUNT)] == []


async def test_both_are_told_the_same_segment_sizes(rm_preview: Sdk, experimental: CriteoClient) -> None:
    """The SDK and our client are told the same size of a segment, computed as well as estimated."""
    rm, m, segment_id = rm_preview, rm_preview.models, events(rm_preview, "5")
    attributes = m.RmAudienceSegmentComputeSizeEntityV1("Onsite", [segment_id])
    resource = m.RmAudienceSegmentComputeSizeEntityV1Resource(attributes=attributes, type="ComputeSizes")
    body = m.RmAudienceSegmentComputeSizesInputV1(data=resource)
    (computed,) = rm.compute_audience_segments_sizes(ACCOUNT, body).data
    known = (
        await experimental.retail_media.compute_audience_segment_sizes(ACCOUNT, [segment_id], channel="Onsite")
    ).one()
    assert (computed.id, computed.attributes.size) == (segment_id, known.size)
    assert computed.attributes.relative_size == known.relative_size
    settings = m.RmEventsEstimationV1("Last30Days", "Buy", brand_ids=["5"])
    attributes = m.RmAudienceSegmentEstimateSizeEntityV1("Onsite", settings, RETAILER)
    resource = m.RmAudienceSegmentEstimateSizeEntityV1Resource(attributes=attributes, type="x")
    body = m.RmAudienceSegmentEstimateSizeInputV1(data=resource)
    estimated = rm.estimate_audience_segment_size(ACCOUNT, body).data.attributes
    same = ours.AudienceSegmentEstimate(
        retailer_id=RETAILER,
        channel="Onsite",
        events=ours.EventsCreate(shopper_activity="Buy", lookback_days="Last30Days", brand_ids=["5"]),
    )
    known = await experimental.retail_media.estimate_audience_segment_size(ACCOUNT, same)
    assert (estimated.size, estimated.relative_size) == (known.size, known.relative_size)
    assert estimated.size == computed.attributes.size > 0


async def test_both_are_told_the_same_audience_sizes(rm_preview: Sdk, experimental: CriteoClient) -> None:
    """The SDK and our client are told the same size of an audience, computed as well as estimated."""
    rm, m = rm_preview, rm_preview.models
    first, second = events(rm, "1"), events(rm, "2")
    audience_id = create_audience(rm, "both", algebra(rm, first, second)).id
    attributes = m.RmAudienceComputeSizeEntityV1("Offsite", [audience_id])
    resource = m.RmAudienceComputeSizeEntityV1Resource(attributes=attributes, type="ComputeSizes")
    (computed,) = rm.compute_audiences_sizes(ACCOUNT, m.RmAudienceComputeSizesInputV1(data=resource)).data
    known = (await experimental.retail_media.compute_audience_sizes(ACCOUNT, [audience_id], channel="Offsite")).one()
    assert (computed.id, computed.attributes.size) == (audience_id, known.size)
    assert computed.attributes.relative_size == known.relative_size
    attributes = m.RmAudienceEstimateSizeEntityV1(algebra(rm, first, second), "Offsite", RETAILER)
    resource = m.RmAudienceEstimateSizeEntityV1Resource(attributes=attributes, type=AUDIENCE)
    body = m.RmAudienceEstimateSizeInputV1(data=resource)
    estimated = rm.estimate_audience_size(ACCOUNT, body).data.attributes
    expression = Segment(first) & ~Segment(second)
    same = ours.AudienceEstimate(retailer_id=RETAILER, channel="Offsite", algebra=expression)
    known = await experimental.retail_media.estimate_audience_size(ACCOUNT, same)
    assert (estimated.size, estimated.relative_size) == (known.size, known.relative_size)
    assert estimated.size == computed.attributes.size > 0


async def test_both_are_the_same_application(rm_preview: Sdk, experimental: CriteoClient) -> None:
    """The SDK and our client are told the same about who is calling."""
    read, known = (
        rm_preview.get_current_application().data.attributes,
        await experimental.retail_media.get_application(),
    )
    assert (read.application_id, read.name) == (int(known.application_id), known.name)
