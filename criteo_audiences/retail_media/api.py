"""Retail Media: audience segments and contact lists, one coroutine an endpoint (OpenAPI 2026-07)."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final, Unpack, overload

from criteo_audiences.contact_lists import (
    Calls,
    ContactLists,
    HashedUpload,
    PlainUpload,
    SegmentCheck,
    Source,
    UploadOptions,
    UploadReport,
    UploadStream,
    Vocabulary,
    ensure_contact_list,
)
from criteo_audiences.models import ContactListOperation, ContactListStatistics, IdentifierType, Operation
from criteo_audiences.results import BulkResult, Search
from criteo_audiences.retail_media.audience_api import Audiences
from criteo_audiences.retail_media.models import (
    WIRE_TYPES,
    AudienceSegment,
    AudienceSegmentCreate,
    AudienceSegmentUpdate,
    ContactListCreate,
    SegmentType,
)
from criteo_audiences.session.endpoints import (
    entities,
    id_list,
    identities,
    ids_of,
    search,
    send_bulk,
    send_for_one,
    words_of,
)
from criteo_audiences.session.protocol import Request, json_request
from criteo_audiences.validation import require_list, require_models, require_text

_ENTITY: Final = "RetailMediaAudienceSegment"
_PAGE_MAXIMUM: Final = 500
_SEGMENTS: Final = "/retail-media/accounts/{account_id}/audience-segments"
_STATISTICS: Final = f"{_SEGMENTS}/{{segment_id}}/contact-list"
_CONTACT_LIST: Final = "/retail-media/audience-segments/{segment_id}/contact-list"
_VOCABULARY: Final = Vocabulary("Retail Media", WIRE_TYPES)
_CALLS: Final = Calls(
    path=_CONTACT_LIST,
    amend=("POST", "/add-remove"),
    clear=("POST", "/clear"),
    entity_type="AddRemoveContactlist",
)


class RetailMedia(Audiences):
    """Criteo's Retail Media; reached as `client.retail_media`. Where the path has an account, it comes first."""

    async def create_audience_segments(
        self, account_id: str, segments: Iterable[AudienceSegmentCreate]
    ) -> BulkResult[AudienceSegment]:
        """Creates audience segments; never repeated after a lost answer, because names are unique.

        Args:
            account_id: the account.
            segments: what to create.

        Returns:
            The segments created, and a problem for each that was not, with its position.

        Raises:
            ConfigurationError: when there is nothing to create.
            CriteoError: when the call as a whole failed.
        """
        body = entities(require_models(segments, AudienceSegmentCreate, "segments"), _ENTITY, "segments")
        path = _account(account_id)
        request = json_request("POST", f"{_SEGMENTS}/create", body, path_parameters=path, repeatable=False)
        return await send_bulk(self._session, request, AudienceSegment)

    async def update_audience_segments(
        self, account_id: str, segments: Iterable[AudienceSegmentUpdate]
    ) -> BulkResult[AudienceSegment]:
        """Changes audience segments: what an update leaves out stays, what it sets to `None` is taken away.

        Args:
            account_id: the account.
            segments: the changes.

        Returns:
            The segments changed, and a problem for each that was not, with its position.

        Raises:
            ConfigurationError: when there is nothing to change.
            CriteoError: when the call as a whole failed.
        """
        body = entities(require_models(segments, AudienceSegmentUpdate, "segments"), _ENTITY, "segments")
        request = json_request("PATCH", _SEGMENTS, body, path_parameters=_account(account_id))
        return await send_bulk(self._session, request, AudienceSegment)

    async def delete_audience_segments(self, account_id: str, ids: Iterable[str]) -> BulkResult[str]:
        """Deletes audience segments; one that an audience uses stays, with a problem that says so.

        Args:
            account_id: the account.
            ids: the segments.

        Returns:
            The ids deleted, and a problem for each that was not, with its position.

        Raises:
            ConfigurationError: when there is none.
            CriteoError: when the call as a whole failed.
        """
        body = identities(require_list(ids, "ids"), _ENTITY)
        request = json_request("POST", f"{_SEGMENTS}/delete", body, path_parameters=_account(account_id))
        return ids_of(await send_bulk(self._session, request, AudienceSegment))

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
            ConfigurationError: when a filter is no list of its kind.
        """
        filters = {
            "audienceSegmentIds": id_list(audience_segment_ids, "audience_segment_ids"),
            "retailerIds": id_list(retailer_ids, "retailer_ids"),
            "audienceSegmentTypes": words_of(SegmentType, audience_segment_types, "audience_segment_types"),
        }
        path = Request(method="POST", path=f"{_SEGMENTS}/search", path_parameters=_account(account_id))
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
        """Returns the contact list of that name, creating it when there is none; right when two run at once.

        It creates first and searches only when the name is taken, since there is no search by name.

        Args:
            account_id: the account.
            retailer_id: the retailer whose shoppers it holds.
            name: unique among the account's segments.
            identifier_type: the one kind of identifier a new list takes.
            description: for a list that is created; one that exists keeps its own.

        Raises:
            ConfigurationError: when the name belongs to a segment of another kind.
            CriteoError: when a call failed.
        """
        create = AudienceSegmentCreate(
            retailer_id=retailer_id,
            name=name,
            description=description,
            contact_list=ContactListCreate(identifier_type=identifier_type),
        )
        found = self.search_audience_segments(account_id)
        return await ensure_contact_list(lambda: self.create_audience_segments(account_id, [create]), found, name)

    async def amend_contact_list(
        self,
        segment_id: str,
        *,
        operation: Operation | str,
        identifiers: Sequence[str],
        identifier_type: IdentifierType | str = IdentifierType.EMAIL,
    ) -> ContactListOperation:
        """Adds identifiers to a contact list, or removes them, in one call; sends them as they are given.

        Args:
            segment_id: the contact list.
            operation: `"add"` or `"remove"`.
            identifiers: at most 50,000, normalized, and hashed if they are to be.
            identifier_type: their kind, which must be the list's.

        Returns:
            Criteo's receipt with its counts of valid and invalid identifiers.

        Raises:
            ConfigurationError: when an argument cannot be sent; nothing was.
            CriteoError: when the call failed.
        """
        return await self._contact_lists.amend(
            segment_id,
            operation=operation,
            identifiers=identifiers,
            identifier_type=identifier_type,
        )

    async def clear_contact_list(self, segment_id: str) -> None:
        """Removes every identifier from a contact list; the segment stays.

        Args:
            segment_id: the contact list.

        Raises:
            CriteoError: when the call failed.
        """
        await self._contact_lists.clear(segment_id)

    async def get_contact_list_statistics(self, account_id: str, segment_id: str) -> ContactListStatistics:
        """Returns how many identifiers a contact list holds and how many Criteo matched.

        Args:
            account_id: the account.
            segment_id: the contact list.

        Raises:
            CriteoError: when the call failed.
        """
        path = {**_account(account_id), **_segment(segment_id)}
        request = Request(method="GET", path=_STATISTICS, path_parameters=path)
        return await send_for_one(self._session, request, ContactListStatistics)

    @overload
    async def upload_contact_list(
        self, segment_id: str, source: Source, *, account_id: str | None = None, **options: Unpack[HashedUpload]
    ) -> UploadReport: ...

    @overload
    async def upload_contact_list(
        self, segment_id: str, source: Source, *, account_id: str | None = None, **options: Unpack[PlainUpload]
    ) -> UploadReport: ...

    async def upload_contact_list(
        self, segment_id: str, source: Source, *, account_id: str | None = None, **options: Unpack[UploadOptions]
    ) -> UploadReport:
        """Uploads identifiers of any number to a contact list: normalized, hashed as chosen, in concurrent batches.

        Args:
            segment_id: the contact list.
            source: an iterable or async iterable of `str`, a `Table`, or the path of a file.
            account_id: check first, with one search, that the list is this account's and may be written. Without it the
                list is not looked at, since Retail Media has no search without an account.
            **options: `hash` must be chosen for e-mails; see `criteo_audiences.UploadOptions` for all.

        Returns:
            A report in which every row is accounted for; a batch that failed is in `.failures`.

        Raises:
            ConfigurationError: when an option is missing or wrong, or an opt-out cannot be used; nothing was sent.
            SegmentMismatchError: when the list is another's, read-only or of another kind; nothing was sent.
            AuthenticationError: when the credentials are refused.
            TypeError: when the source, or a row of it, is no text.
            Exception: what the source raises, as it is.
        """
        check = self._segment_check(segment_id, account_id)
        return await self._contact_lists.upload(segment_id, source, check, options)

    @overload
    def stream_contact_list(
        self, segment_id: str, source: Source, *, account_id: str | None = None, **options: Unpack[HashedUpload]
    ) -> AbstractAsyncContextManager[UploadStream]: ...

    @overload
    def stream_contact_list(
        self, segment_id: str, source: Source, *, account_id: str | None = None, **options: Unpack[PlainUpload]
    ) -> AbstractAsyncContextManager[UploadStream]: ...

    def stream_contact_list(
        self, segment_id: str, source: Source, *, account_id: str | None = None, **options: Unpack[UploadOptions]
    ) -> AbstractAsyncContextManager[UploadStream]:
        """Uploads like `upload_contact_list` and hands out a `BatchResult` as each batch comes back.

        Args:
            segment_id: the contact list.
            source: an iterable or async iterable of `str`, a `Table`, or the path of a file.
            account_id: as for `upload_contact_list`.
            **options: as for `upload_contact_list`.
        """
        check = self._segment_check(segment_id, account_id)
        return self._contact_lists.stream(segment_id, source, check, options)

    @property
    def _contact_lists(self) -> ContactLists:
        return ContactLists(self._session, _VOCABULARY, _CALLS)

    def _segment_check(self, segment_id: str, account_id: str | None) -> SegmentCheck | None:
        if account_id is None or not self._session.has_login:  # segments are searched in an account
            return None
        found = self.search_audience_segments(account_id, audience_segment_ids=[require_text(segment_id, "segment_id")])
        return SegmentCheck(found, segment_id, "account_id", account_id)


def _account(account_id: str) -> dict[str, str]:
    return {"account_id": require_text(account_id, "account_id")}


def _segment(segment_id: str) -> dict[str, str]:
    return {"segment_id": require_text(segment_id, "segment_id")}
