"""Retail Media: audience segments (OpenAPI 2026-07)."""

from collections.abc import Iterable
from typing import Final

from criteo_audiences.models import IdentifierType
from criteo_audiences.results import BulkResult
from criteo_audiences.retail_media.audience_api import Audiences
from criteo_audiences.retail_media.models import (
    AudienceSegment,
    AudienceSegmentCreate,
    AudienceSegmentUpdate,
    ContactListCreate,
    SegmentType,
)
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
from criteo_audiences.validation import require_ids, require_models, require_text

_ENTITY: Final = "AudienceSegment"
_PAGE_MAXIMUM: Final = 500
_SEGMENTS: Final = "/retail-media/accounts/{account_id}/audience-segments"


class Segments(Audiences):
    """The part of Retail Media around segments."""

    async def create_audience_segments(
        self, account_id: str, segments: Iterable[AudienceSegmentCreate]
    ) -> BulkResult[AudienceSegment]:
        """Creates audience segments; never repeated after a lost answer, because names are unique.

        Criteo's pages say that only contact lists can be created in a stable version, and events segments under
        `api_version="experimental"`; its OpenAPI document declares both in either.

        Args:
            account_id: the account.
            segments: what to create.

        Returns:
            The segments created, and in `.failures` each that was not, with its problems.

        Raises:
            ConfigurationError: when there is nothing to create.
            CriteoError: when the call as a whole failed.
        """
        wanted = require_models(segments, AudienceSegmentCreate, "segments")
        body = entities(wanted, _ENTITY, "segments")
        path = account_path(account_id)
        request = json_request("POST", f"{_SEGMENTS}/create", body, path_parameters=path, repeatable=False)
        return await send_bulk(self._session, request, AudienceSegment, wanted)

    async def update_audience_segments(
        self, account_id: str, segments: Iterable[AudienceSegmentUpdate]
    ) -> BulkResult[AudienceSegment]:
        """Changes audience segments: fields that an update leaves out stay, fields that it sets to `None` are removed.

        Args:
            account_id: the account.
            segments: the changes.

        Returns:
            The segments changed, and in `.failures` each that was not, with its problems.

        Raises:
            ConfigurationError: when there is nothing to change.
            CriteoError: when the call as a whole failed.
        """
        wanted = require_models(segments, AudienceSegmentUpdate, "segments")
        body = entities(wanted, _ENTITY, "segments")
        request = json_request("PATCH", _SEGMENTS, body, path_parameters=account_path(account_id))
        return await send_bulk(self._session, request, AudienceSegment, wanted)

    async def delete_audience_segments(self, account_id: str, ids: Iterable[str]) -> BulkResult[str]:
        """Deletes audience segments; a segment that an audience uses stays, and has a problem in the result.

        Args:
            account_id: the account.
            ids: the segments.

        Returns:
            The ids deleted, and in `.failures` each that was not, with its problems.

        Raises:
            ConfigurationError: when there is none.
            CriteoError: when the call as a whole failed.
        """
        wanted = require_ids(ids, "ids")
        body = identities(wanted, _ENTITY)
        request = json_request("POST", f"{_SEGMENTS}/delete", body, path_parameters=account_path(account_id))
        return await send_deletion(self._session, request, wanted)

    def search_audience_segments(
        self,
        account_id: str,
        *,
        audience_segment_ids: Iterable[str] | None = None,
        retailer_ids: Iterable[str] | None = None,
        audience_segment_types: Iterable[SegmentType | str] | None = None,
    ) -> Search[AudienceSegment]:
        """Searches an account's audience segments that match all given filters.

        Args:
            account_id: the account.
            audience_segment_ids: only these.
            retailer_ids: only segments of these retailers.
            audience_segment_types: only segments of these kinds.

        Returns:
            A search to iterate over with `async for`, or to take one `page` of; nothing is sent before.

        Raises:
            ConfigurationError: when a filter is not a list of its kind.
        """
        filters = {
            "audienceSegmentIds": id_list(audience_segment_ids, "audience_segment_ids"),
            "retailerIds": id_list(retailer_ids, "retailer_ids"),
            "audienceSegmentTypes": words_of(SegmentType, audience_segment_types, "audience_segment_types"),
        }
        path = Request(method="POST", path=f"{_SEGMENTS}/search", path_parameters=account_path(account_id))
        return search(self._session, path, filters, AudienceSegment, page_maximum=_PAGE_MAXIMUM)

    async def ensure_contact_list(
        self,
        account_id: str,
        *,
        retailer_id: str,
        name: str,
        identifier_type: IdentifierType | str = IdentifierType.EMAIL,
        description: str | None = None,
    ) -> AudienceSegment:
        """Returns the contact list of that name, creating it when there is none; safe when two run at once.

        It creates first and searches only when the name is taken, since there is no search by name.

        Args:
            account_id: the account.
            retailer_id: the retailer whose shoppers it contains.
            name: unique among the account's segments.
            identifier_type: the one kind of identifier a new list takes.
            description: for a list that is created; one that exists keeps its own.

        Raises:
            ConfigurationError: when an argument is missing or empty.
            SegmentMismatchError: when the name belongs to a segment other than the requested one, such as another
                retailer's, or a list of another kind of identifier; naming each difference.
            CriteoError: when a call failed.
        """
        create = AudienceSegmentCreate(
            retailer_id=retailer_id,
            name=name,
            description=description,
            contact_list=ContactListCreate(identifier_type=identifier_type),
        )
        found = self.search_audience_segments(account_id)
        owner = {"account_id": account_id, "retailer_id": retailer_id}
        kinds = [ContactListCreate(identifier_type=identifier_type).identifier_type]
        wanted = Wanted(owner=owner, kinds=kinds)
        return await ensure_contact_list(
            lambda: self.create_audience_segments(account_id, [create]), found, name, wanted
        )


def account_path(account_id: str) -> dict[str, str]:
    """Returns the path parameter for an account.

    Raises:
        ConfigurationError: when the id is empty.
    """
    return {"account_id": require_text(account_id, "account_id")}
