"""Retail Media: audience segments and contact lists, one coroutine an endpoint (OpenAPI 2026-07)."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final, Literal, Unpack, overload

from criteo_audiences.contact_lists import (
    Calls,
    ContactLists,
    HashedUpload,
    Lookalike,
    MirrorOptions,
    MirrorReport,
    NotASource,
    PlainUpload,
    SegmentCheck,
    Source,
    UploadOptions,
    UploadReport,
    UploadStream,
    Vocabulary,
)
from criteo_audiences.errors import ConfigurationError
from criteo_audiences.models import ContactListOperation, ContactListStatistics, IdentifierType, Operation
from criteo_audiences.retail_media.models import WIRE_TYPES
from criteo_audiences.retail_media.segment_api import Segments, account_path
from criteo_audiences.session.endpoints import send_for_one
from criteo_audiences.session.protocol import Request
from criteo_audiences.session.session import Session
from criteo_audiences.validation import require_text

_STATISTICS: Final = "/retail-media/accounts/{account_id}/audience-segments/{segment_id}/contact-list"
_CONTACT_LIST: Final = "/retail-media/audience-segments/{segment_id}/contact-list"
_VOCABULARY: Final = Vocabulary("Retail Media", WIRE_TYPES)
_CALLS: Final = Calls(
    path=_CONTACT_LIST,
    amend=("POST", "/add-remove"),
    clear=("POST", "/clear"),
    entity_type="AddRemoveContactlist",
)


class RetailMedia(Segments):
    """Criteo's Retail Media; reached as `client.retail_media`. Where the path has an account, it comes first."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def amend_contact_list(
        self,
        segment_id: str,
        *,
        operation: Operation | Literal["add", "remove"],
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
        """Returns how many identifiers a contact list contains and how many Criteo matched.

        Args:
            account_id: the account.
            segment_id: the contact list.

        Raises:
            CriteoError: when the call failed.
        """
        path = {**account_path(account_id), **_segment(segment_id)}
        request = Request(method="GET", path=_STATISTICS, path_parameters=path)
        return await send_for_one(self._session, request, ContactListStatistics)

    @overload
    def upload_contact_list(  # type: ignore[overload-overlap]
        self,
        segment_id: str,
        source: Lookalike,
        *,
        account_id: str | None = None,
        retailer_id: str | None = None,
        **options: Unpack[HashedUpload],
    ) -> NotASource: ...

    @overload
    def upload_contact_list(  # type: ignore[overload-overlap]
        self,
        segment_id: str,
        source: Lookalike,
        *,
        account_id: str | None = None,
        retailer_id: str | None = None,
        **options: Unpack[PlainUpload],
    ) -> NotASource: ...

    @overload
    async def upload_contact_list(
        self,
        segment_id: str,
        source: Source,
        *,
        account_id: str | None = None,
        retailer_id: str | None = None,
        **options: Unpack[HashedUpload],
    ) -> UploadReport: ...

    @overload
    async def upload_contact_list(
        self,
        segment_id: str,
        source: Source,
        *,
        account_id: str | None = None,
        retailer_id: str | None = None,
        **options: Unpack[PlainUpload],
    ) -> UploadReport: ...

    async def upload_contact_list(  # type: ignore[misc]  # pyright: ignore[reportInconsistentOverload]
        self,
        segment_id: str,
        source: Source,
        *,
        account_id: str | None = None,
        retailer_id: str | None = None,
        **options: Unpack[UploadOptions],
    ) -> UploadReport:
        """Uploads identifiers of any number to a contact list: normalized, hashed as chosen, in concurrent batches.

        Args:
            segment_id: the contact list.
            source: an iterable or async iterable of `str`, a `Table`, or the path of a file.
            account_id: check first, with one search, that the list is this account's and may be written. Without it the
                list is not looked at, since Retail Media has no search without an account.
            retailer_id: check, with the same search, that it is this retailer's; goes with `account_id`.
            **options: `hash` must be chosen for e-mails; see `criteo_audiences.UploadOptions` for all.

        Returns:
            A report in which every row is accounted for; a batch that failed is in `.failures`.

        Raises:
            ConfigurationError: when an option is missing or wrong, or an opt-out cannot be used; nothing was sent.
            SegmentMismatchError: when the list is another's, read-only or of another kind; nothing was sent.
            AuthenticationError: when the credentials are refused.
            TypeError: when the source, or a row of it, is not text.
            Exception: what the source raises, as it is.
        """
        check = self._segment_check(segment_id, account_id, retailer_id)
        return await self._contact_lists.upload(segment_id, source, check, options)

    @overload
    def mirror_contact_list(  # type: ignore[overload-overlap]
        self,
        segment_id: str,
        source: Lookalike,
        *,
        account_id: str | None = None,
        retailer_id: str | None = None,
        **options: Unpack[MirrorOptions],
    ) -> NotASource: ...

    @overload
    async def mirror_contact_list(
        self,
        segment_id: str,
        source: Source,
        *,
        account_id: str | None = None,
        retailer_id: str | None = None,
        **options: Unpack[MirrorOptions],
    ) -> MirrorReport: ...

    async def mirror_contact_list(  # type: ignore[misc]  # pyright: ignore[reportInconsistentOverload]
        self,
        segment_id: str,
        source: Source,
        *,
        account_id: str | None = None,
        retailer_id: str | None = None,
        **options: Unpack[MirrorOptions],
    ) -> MirrorReport:
        """Makes a contact list contain what a source contains; sends only what has changed since the last time.

        Criteo cannot list a contact list's members, so `snapshot` names a file that remembers what it has acknowledged.
        The list is never emptied meanwhile. Nothing is sent when too much would be removed (`max_removals`).

        Args:
            segment_id: the contact list.
            source: all that it is to contain: an iterable or async iterable of `str`, a `Table`, or the path of a file.
            account_id: check, with one search before the first change, that the list is this account's and may be
                written. Without it the list is not looked at.
            retailer_id: check, with the same search, that it is this retailer's; goes with `account_id`.
            **options: `snapshot` must be given, `hash` be chosen for e-mails, and `baseline` the first time; see
                `criteo_audiences.MirrorOptions` for all.

        Returns:
            A report with what was added, removed and left, and the reports of the two uploads.

        Raises:
            MirrorRefusedError: when the source is empty, or more would be removed than `max_removals` allows.
            SnapshotError: when the snapshot is in use, damaged, of another list, or not the newest one.
            ConfigurationError: when an option is missing or wrong.
            SegmentMismatchError: when the list is another's, read-only or of another kind.
            AuthenticationError: when the credentials are refused.
            Exception: what the source raises, as it is.
        """
        check = self._segment_check(segment_id, account_id, retailer_id)
        return await self._contact_lists.mirror(segment_id, source, check, options)

    @overload
    def replace_contact_list(  # type: ignore[overload-overlap]
        self,
        segment_id: str,
        source: Lookalike,
        *,
        account_id: str | None = None,
        retailer_id: str | None = None,
        **options: Unpack[HashedUpload],
    ) -> NotASource: ...

    @overload
    def replace_contact_list(  # type: ignore[overload-overlap]
        self,
        segment_id: str,
        source: Lookalike,
        *,
        account_id: str | None = None,
        retailer_id: str | None = None,
        **options: Unpack[PlainUpload],
    ) -> NotASource: ...

    @overload
    async def replace_contact_list(
        self,
        segment_id: str,
        source: Source,
        *,
        account_id: str | None = None,
        retailer_id: str | None = None,
        **options: Unpack[HashedUpload],
    ) -> UploadReport: ...

    @overload
    async def replace_contact_list(
        self,
        segment_id: str,
        source: Source,
        *,
        account_id: str | None = None,
        retailer_id: str | None = None,
        **options: Unpack[PlainUpload],
    ) -> UploadReport: ...

    async def replace_contact_list(  # type: ignore[misc]  # pyright: ignore[reportInconsistentOverload]
        self,
        segment_id: str,
        source: Source,
        *,
        account_id: str | None = None,
        retailer_id: str | None = None,
        **options: Unpack[UploadOptions],
    ) -> UploadReport:
        """Clears a contact list and then uploads to it; **the list is empty meanwhile**, and incomplete if that fails.

        A computation in between (at 00:00 or 12:00 UTC) uses an incomplete list; `mirror_contact_list` has
        no such gap. The list is cleared right before the first batch is sent, so a source that cannot be used, or has
        no identifier, leaves it unchanged.

        Args:
            segment_id: the contact list.
            source: as for `upload_contact_list`.
            account_id: as for `upload_contact_list`.
            retailer_id: as for `upload_contact_list`.
            **options: as for `upload_contact_list`, but for `journal`, `resume` and `operation`.

        Raises:
            ConfigurationError: when an option is missing or wrong; nothing was sent.
            CriteoError: as for `upload_contact_list`.
        """
        check = self._segment_check(segment_id, account_id, retailer_id)
        return await self._contact_lists.replace(segment_id, source, check, options)

    @overload
    def stream_contact_list(  # type: ignore[overload-overlap]  # pyright: ignore[reportOverlappingOverload]
        self,
        segment_id: str,
        source: Lookalike,
        *,
        account_id: str | None = None,
        retailer_id: str | None = None,
        **options: Unpack[HashedUpload],
    ) -> NotASource: ...

    @overload
    def stream_contact_list(  # type: ignore[overload-overlap]  # pyright: ignore[reportOverlappingOverload]
        self,
        segment_id: str,
        source: Lookalike,
        *,
        account_id: str | None = None,
        retailer_id: str | None = None,
        **options: Unpack[PlainUpload],
    ) -> NotASource: ...

    @overload
    def stream_contact_list(
        self,
        segment_id: str,
        source: Source,
        *,
        account_id: str | None = None,
        retailer_id: str | None = None,
        **options: Unpack[HashedUpload],
    ) -> AbstractAsyncContextManager[UploadStream]: ...

    @overload
    def stream_contact_list(
        self,
        segment_id: str,
        source: Source,
        *,
        account_id: str | None = None,
        retailer_id: str | None = None,
        **options: Unpack[PlainUpload],
    ) -> AbstractAsyncContextManager[UploadStream]: ...

    def stream_contact_list(  # type: ignore[misc]  # pyright: ignore[reportInconsistentOverload]
        self,
        segment_id: str,
        source: Source,
        *,
        account_id: str | None = None,
        retailer_id: str | None = None,
        **options: Unpack[UploadOptions],
    ) -> AbstractAsyncContextManager[UploadStream]:
        """Uploads like `upload_contact_list` and yields a `BatchResult` as each batch comes back.

        Args:
            segment_id: the contact list.
            source: an iterable or async iterable of `str`, a `Table`, or the path of a file.
            account_id: as for `upload_contact_list`.
            retailer_id: as for `upload_contact_list`.
            retailer_id: as for `upload_contact_list`.
            **options: as for `upload_contact_list`.
        """
        check = self._segment_check(segment_id, account_id, retailer_id)
        return self._contact_lists.stream(segment_id, source, check, options)

    @property
    def identifier_types(self) -> frozenset[IdentifierType]:
        """The kinds of identifier that its contact lists take."""
        return frozenset(_VOCABULARY.words)

    @property
    def _contact_lists(self) -> ContactLists:
        return ContactLists(self._session, _VOCABULARY, _CALLS)

    def _segment_check(self, segment_id: str, account_id: str | None, retailer_id: str | None) -> SegmentCheck | None:
        if retailer_id is not None:
            require_text(retailer_id, "retailer_id")
            if account_id is None:
                raise ConfigurationError("retailer_id goes with account_id: segments are searched in an account.")
        if account_id is None or not self._session.has_login:
            return None
        found = self.search_audience_segments(account_id, audience_segment_ids=[require_text(segment_id, "segment_id")])
        owner = {"account_id": account_id} | ({} if retailer_id is None else {"retailer_id": retailer_id})
        return SegmentCheck(found, segment_id, owner)


def _segment(segment_id: str) -> dict[str, str]:
    return {"segment_id": require_text(segment_id, "segment_id")}
