"""Marketing Solutions: audience segments (OpenAPI 2026-07)."""

from collections.abc import Iterable
from typing import Final

from criteo_audiences.marketing_solutions.audience_api import Audiences
from criteo_audiences.marketing_solutions.models import (
    AudienceSegment,
    AudienceSegmentCreate,
    AudienceSegmentUpdate,
    ContactListCreate,
)
from criteo_audiences.marketing_solutions.words import SegmentType
from criteo_audiences.results import BulkResult
from criteo_audiences.segment_match import Wanted, ensure_contact_list
from criteo_audiences.session.endpoints import (
    Search,
    entities,
    id_list,
    identities,
    search,
    send_bulk,
    send_deletion,
    words_of,
)
from criteo_audiences.session.protocol import Request, json_request
from criteo_audiences.validation import require_ids, require_models

_ENTITY: Final = "AudienceSegment"
_PAGE_MAXIMUM: Final = 100
_SEGMENTS: Final = "/marketing-solutions/audience-segments"


class Segments(Audiences):
    """The part of Marketing Solutions around segments."""

    async def create_audience_segments(self, segments: Iterable[AudienceSegmentCreate]) -> BulkResult[AudienceSegment]:
        """Creates audience segments; never repeated after a lost answer, because names are unique.

        Args:
            segments: what to create.

        Returns:
            The segments created, and in `.failures` each that was not, with its problems.

        Raises:
            ConfigurationError: when there is nothing to create.
            CriteoError: when the call as a whole failed.
        """
        wanted = require_models(segments, AudienceSegmentCreate, "segments")
        body = entities(wanted, _ENTITY, "segments")
        request = json_request("POST", f"{_SEGMENTS}/create", body, repeatable=False)
        return await send_bulk(self._session, request, AudienceSegment, wanted)

    async def update_audience_segments(self, segments: Iterable[AudienceSegmentUpdate]) -> BulkResult[AudienceSegment]:
        """Changes audience segments: fields that an update leaves out stay, fields that it sets to `None` are removed.

        Args:
            segments: the changes.

        Returns:
            The segments changed, and in `.failures` each that was not, with its problems.

        Raises:
            ConfigurationError: when there is nothing to change.
            CriteoError: when the call as a whole failed.
        """
        wanted = require_models(segments, AudienceSegmentUpdate, "segments")
        body = entities(wanted, _ENTITY, "segments")
        request = json_request("PATCH", _SEGMENTS, body)
        return await send_bulk(self._session, request, AudienceSegment, wanted)

    async def delete_audience_segments(self, ids: Iterable[str]) -> BulkResult[str]:
        """Deletes audience segments; a segment that an audience uses stays, and has a problem in the result.

        Args:
            ids: the segments.

        Returns:
            The ids deleted, and in `.failures` each that was not, with its problems.

        Raises:
            ConfigurationError: when there is none.
            CriteoError: when the call as a whole failed.
        """
        wanted = require_ids(ids, "ids")
        request = json_request("POST", f"{_SEGMENTS}/delete", identities(wanted, _ENTITY))
        return await send_deletion(self._session, request, wanted)

    def search_audience_segments(
        self,
        *,
        audience_segment_ids: Iterable[str] | None = None,
        advertiser_ids: Iterable[str] | None = None,
        audience_segment_types: Iterable[SegmentType | str] | None = None,
    ) -> Search[AudienceSegment]:
        """Searches audience segments that match all given filters.

        Args:
            audience_segment_ids: only these.
            advertiser_ids: only segments of these advertisers.
            audience_segment_types: only segments of these kinds.

        Returns:
            A search to iterate over with `async for`, or to take one `page` of; nothing is sent before.

        Raises:
            ConfigurationError: when a filter is not a list of its kind.
        """
        filters = {
            "audienceSegmentIds": id_list(audience_segment_ids, "audience_segment_ids"),
            "advertiserIds": id_list(advertiser_ids, "advertiser_ids"),
            "audienceSegmentTypes": words_of(SegmentType, audience_segment_types, "audience_segment_types"),
        }
        path = Request(method="POST", path=f"{_SEGMENTS}/search")
        return search(self._session, path, filters, AudienceSegment, page_maximum=_PAGE_MAXIMUM)

    async def ensure_contact_list(
        self, *, advertiser_id: str, name: str, description: str | None = None
    ) -> AudienceSegment:
        """Returns the contact list of that name, creating it when there is none; safe when two run at once.

        It creates first and searches only when the name is taken, since there is no search by name.

        Args:
            advertiser_id: its owner.
            name: unique among the advertiser's segments.
            description: for a list that is created; one that exists keeps its own.

        Raises:
            ConfigurationError: when an argument is missing or empty.
            SegmentMismatchError: when the name belongs to a segment unlike the requested one; names each difference.
            CriteoError: when a call failed.
        """
        create = AudienceSegmentCreate(
            advertiser_id=advertiser_id, name=name, description=description, contact_list=ContactListCreate()
        )
        found = self.search_audience_segments(advertiser_ids=[advertiser_id])
        wanted = Wanted(owner={"advertiser_id": advertiser_id})
        return await ensure_contact_list(lambda: self.create_audience_segments([create]), found, name, wanted)
