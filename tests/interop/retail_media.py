"""What the two SDKs of Retail Media are called with: they have the same models and mostly the same methods."""

from typing import Any, Final

from criteo_audiences import CriteoClient
from criteo_audiences import retail_media as ours
from criteo_audiences.sandbox import Sandbox

from .sdk import Sdk

ACCOUNT: Final = "77"
RETAILER: Final = "12"
_SEGMENT: Final = "RetailMediaAudienceSegment"
_AUDIENCE: Final = "Audience"


def create_segment(rm: Sdk, name: str, **attributes: object) -> Any:
    """Creates a segment with an SDK."""
    m = rm.models
    definition = m.RmAudienceSegmentCreateEntityV1(name, RETAILER, **attributes)
    resource = m.RmAudienceSegmentCreateEntityV1Resource(attributes=definition, type=_SEGMENT)
    body = m.RmAudienceSegmentBulkCreateInputV1(data=[resource])
    (created,) = rm.bulk_create_audience_segments(ACCOUNT, body).data
    return created


def update_segment(rm: Sdk, segment_id: str, **changes: object) -> Any:
    """Changes a segment with an SDK."""
    m = rm.models
    change = m.RmAudienceSegmentUpdateEntityV1(**changes)
    resource = m.RmAudienceSegmentUpdateEntityV1Resource(id=segment_id, type=_SEGMENT, attributes=change)
    body = m.RmAudienceSegmentBulkUpdateInputV1(data=[resource])
    (updated,) = rm.bulk_update_audience_segments(ACCOUNT, body).data
    assert updated.id == segment_id
    return updated.attributes


def delete_segment(rm: Sdk, segment_id: str) -> list[str]:
    """Deletes a segment with an SDK."""
    m = rm.models
    resource = m.RmAudienceSegmentDeleteEntityV1Resource(id=segment_id, type=_SEGMENT)
    body = m.RmAudienceSegmentBulkDeleteInputV1(data=[resource])
    return [each.id for each in rm.bulk_delete_audience_segments(ACCOUNT, body).data]


def search_segments(rm: Sdk, **filters: object) -> Any:
    """Searches segments with an SDK."""
    m = rm.models
    attributes = m.RmAudienceSegmentSearchEntityV1(**filters)
    resource = m.RmAudienceSegmentSearchEntityV1Resource(attributes=attributes, type=_SEGMENT)
    body = m.RmAudienceSegmentSearchInputV1(data=resource)
    return rm.search_audience_segments(ACCOUNT, body, limit=10, offset=0)


def search_audiences(rm: Sdk, **filters: object) -> Any:
    """Searches audiences with an SDK."""
    m = rm.models
    resource = m.RmAudienceSearchEntityV1Resource(attributes=m.RmAudienceSearchEntityV1(**filters), type=_AUDIENCE)
    return rm.search_audiences(ACCOUNT, m.RmAudienceSearchInputV1(data=resource), limit=10, offset=0)


async def find_segment(criteo: CriteoClient, segment_id: str) -> ours.AudienceSegment:
    """Finds a segment with our client."""
    found = criteo.retail_media.search_audience_segments(ACCOUNT, audience_segment_ids=[segment_id])
    (segment,) = [each async for each in found]
    return segment


async def fill_and_empty(rm: Sdk, criteo: CriteoClient, sandbox: Sandbox) -> None:
    """Fills and empties one list with an SDK and our client by turns."""
    api = criteo.retail_media
    segment = await api.ensure_contact_list(ACCOUNT, retailer_id=RETAILER, name="crm")
    identifiers = [f"user{number}@example.com" for number in range(10)]
    report = await api.upload_contact_list(segment.id, identifiers, hash="sha256", account_id=ACCOUNT)
    read = rm.get_audience_segment_contact_list_statistics(ACCOUNT, segment.id).data
    assert (report.valid, read.id, read.attributes.number_of_identifiers) == (10, segment.id, 10)
    assert (read.attributes.number_of_matches, read.attributes.match_rate) == (6, 0.6)
    added = _amend(rm, segment.id, "add", ["new@example.com", "nonsense"])
    assert (added.operation, added.contact_list_id) == ("add", int(segment.id))
    assert (added.nb_valid_identifiers, added.nb_invalid_identifiers) == (1, 1)
    assert added.sample_invalid_identifiers == ["nonsense"]
    assert (await api.get_contact_list_statistics(ACCOUNT, segment.id)).number_of_identifiers == 11
    assert _amend(rm, segment.id, "remove", ["new@example.com"]).nb_valid_identifiers == 1
    assert len(sandbox.contact_list(segment.id)) == 10
    assert rm.clear_contact_list_by_audience_segment(segment.id) is None
    assert (await api.get_contact_list_statistics(ACCOUNT, segment.id)).number_of_identifiers == 0


def _amend(rm: Sdk, segment_id: str, operation: str, identifiers: list[str]) -> Any:
    m = rm.models
    attributes = m.RetailMediaContactlistAmendmentAttributes(identifiers, operation)
    amendment = m.RetailMediaContactlistAmendment(attributes, type="ContactlistAmendment")
    request = m.RetailMediaContactlistAmendmentRequest(amendment)
    return rm.add_remove_contact_list_by_audience_segment(segment_id, request).data
