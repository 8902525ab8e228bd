from criteo_audiences import CriteoClient
from criteo_audiences import commerce_grid as ours
from criteo_audiences.sandbox import Sandbox

from .sdk import Sdk

PROVIDER = "31"


def create(cg: Sdk, name: str, **attributes: object):  # noqa: ANN201 - a model of the SDK
    """Creates a contact list with the SDK."""
    m = cg.models
    definition = m.CgAudienceSegmentCreateEntityV1(PROVIDER, name, **attributes)
    resource = m.CgAudienceSegmentCreateEntityV1Resource(attributes=definition, type="AudienceSegment")
    (created,) = cg.bulk_create_audience_segments(m.CgAudienceSegmentBulkCreateInputV1(data=[resource])).data
    return created


def search(cg: Sdk, **filters: object):  # noqa: ANN201 - as above
    """Searches with the SDK."""
    m = cg.models
    attributes = m.CgAudienceSegmentSearchEntityV1(**filters)
    resource = m.CgAudienceSegmentSearchEntityV1Resource(attributes=attributes, type="AudienceSegment")
    return cg.search_audience_segments(m.CgAudienceSegmentSearchInputV1(data=resource), limit=10, offset=0)


def amend(cg: Sdk, segment_id: str, operation: str, identifiers: list[str]):  # noqa: ANN201 - as above
    """Amends a contact list with the SDK."""
    m = cg.models
    attributes = m.CommerceGridContactlistAmendmentAttributes(identifiers, operation, identifier_type="Email")
    amendment = m.CommerceGridContactlistAmendment(attributes, type="ContactlistAmendment")
    request = m.CommerceGridContactlistAmendmentRequest(amendment)
    return cg.add_remove_contact_list_by_audience_segment(segment_id, request).data.attributes


def statistics(cg: Sdk, segment_id: str):  # noqa: ANN201 - as above
    """Reads statistics with the SDK."""
    return cg.get_audience_segment_contact_list_statistics(segment_id).data.attributes


async def test_our_client_reads_what_the_sdk_creates_and_changes(cg: Sdk, criteo: CriteoClient) -> None:
    """A segment that the SDK creates and renames has the same fields for our client."""
    m = cg.models
    contact_list = m.CgContactListCreateV1(remote_id="r-1")
    created = create(cg, "crm", description="d", contact_list=contact_list)
    assert (created.attributes.name, created.attributes.type) == ("crm", "ContactList")
    (found,) = [each async for each in criteo.commerce_grid.search_audience_segments(remote_ids=["r-1"])]
    assert (found.id, found.name, found.description, found.remote_id) == (created.id, "crm", "d", "r-1")
    assert found.data_provider_id == created.attributes.data_provider_id == PROVIDER
    assert found.created_at == created.attributes.created_at
    change = m.CgAudienceSegmentUpdateEntityV1(name="renamed", description=m.NillableString(value=None))
    resource = m.CgAudienceSegmentUpdateEntityV1Resource(id=created.id, type="AudienceSegment", attributes=change)
    (updated,) = cg.bulk_update_audience_segments(m.CgAudienceSegmentBulkUpdateInputV1(data=[resource])).data
    assert (updated.id, updated.attributes.name, updated.attributes.description) == (created.id, "renamed", None)
    (found,) = [each async for each in criteo.commerce_grid.search_audience_segments(data_provider_ids=[PROVIDER])]
    assert (found.name, found.description, found.updated_at) == ("renamed", None, updated.attributes.updated_at)


async def test_the_sdk_reads_what_our_client_creates(cg: Sdk, criteo: CriteoClient) -> None:
    """A segment that our client creates has the same fields for the SDK."""
    definition = ours.AudienceSegmentCreate(
        data_provider_id=PROVIDER, name="crm", description="d", contact_list=ours.ContactListCreate(remote_id="r-1")
    )
    created = (await criteo.commerce_grid.create_audience_segments([definition])).one()
    create(cg, "another")
    page = search(cg, audience_segment_ids=[created.id], audience_segment_types=["ContactList"], remote_ids=["r-1"])
    (found,) = page.data
    assert (found.id, found.attributes.name, found.attributes.description) == (created.id, "crm", "d")
    assert (found.attributes.data_provider_id, found.attributes.remote_id) == (PROVIDER, "r-1")
    assert found.attributes.created_at == created.created_at
    assert (page.meta.total_items, page.meta.limit, page.meta.offset) == (1, 10, 0)
    assert search(cg, data_provider_ids=[PROVIDER]).meta.total_items == 2


async def test_both_fill_and_empty_one_list(cg: Sdk, criteo: CriteoClient, sandbox: Sandbox) -> None:
    """The SDK counts what our client uploads, our client what the SDK adds, removes and clears."""
    segment = await criteo.commerce_grid.ensure_contact_list(name="crm", data_provider_id=PROVIDER)
    identifiers = [f"user{number}@example.com" for number in range(10)]
    report = await criteo.commerce_grid.upload_contact_list(segment.id, identifiers, hash="sha256")
    read = statistics(cg, segment.id)
    assert (report.valid, read.number_of_identifiers, read.number_of_matches, read.match_rate) == (10, 10, 6, 0.6)
    added = amend(cg, segment.id, "Add", ["new@example.com", "nonsense"])
    assert (added.operation, added.contact_list_id, added.identifier_type) == ("Add", int(segment.id), "Email")
    assert (added.nb_valid_identifiers, added.nb_invalid_identifiers) == (1, 1)
    assert added.sample_invalid_identifiers == ["nonsense"]
    assert (await criteo.commerce_grid.get_contact_list_statistics(segment.id)).number_of_identifiers == 11
    assert amend(cg, segment.id, "Remove", ["new@example.com"]).nb_valid_identifiers == 1
    assert len(sandbox.contact_list(segment.id)) == 10
    assert cg.clear_contact_list_by_audience_segment(segment.id) is None
    assert (await criteo.commerce_grid.get_contact_list_statistics(segment.id)).number_of_identifiers == 0


async def test_a_segment_that_the_sdk_deletes_is_gone(cg: Sdk, criteo: CriteoClient) -> None:
    """Our client no longer finds a segment that the SDK has deleted."""
    m, segment_id = cg.models, create(cg, "crm").id
    resource = m.CgAudienceSegmentDeleteEntityV1Resource(id=segment_id, type="AudienceSegment")
    deleted = cg.bulk_delete_audience_segments(m.CgAudienceSegmentBulkDeleteInputV1(data=[resource])).data
    assert [each.id for each in deleted] == [segment_id]
    assert [each async for each in criteo.commerce_grid.search_audience_segments()] == []


async def test_both_are_the_same_application(cg: Sdk, criteo: CriteoClient) -> None:
    """The SDK and our client are told the same about who is calling."""
    read, known = cg.get_current_application().data.attributes, await criteo.commerce_grid.get_application()
    assert (read.application_id, read.organization_id) == (int(known.application_id), int(known.organization_id))
    assert (read.name, read.description) == (known.name, known.description)
