"""Commerce Grid: one coroutine an endpoint (OpenAPI 2026-07)."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Final, Literal, Unpack, overload

from criteo_audiences.commerce_grid.segment_api import Segments
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
from criteo_audiences.models import Application, ContactListOperation, ContactListStatistics, IdentifierType, Operation
from criteo_audiences.session.endpoints import send_for_one
from criteo_audiences.session.protocol import Request
from criteo_audiences.validation import require_text

_CONTACT_LIST: Final = "/commerce-grid/audience-segments/{segment_id}/contact-list"

_VOCABULARY: Final = Vocabulary(
    "Commerce Grid",
    {
        IdentifierType.EMAIL: "Email",
        IdentifierType.MADID: "MadId",
        IdentifierType.USER_IDENTIFIER: "UserIdentifier",
        IdentifierType.IDENTITY_LINK: "IdentityLink",
        IdentifierType.BIDSWITCH_ID: "BidSwitchId",
        IdentifierType.FTRACK_ID: "FTrackId",
        IdentifierType.PANORAMA_ID: "PanoramaId",
        IdentifierType.HADRON_ID: "HadronId",
        IdentifierType.IP_ADDRESS_V4: "IpAddressV4",
        IdentifierType.PAGE_URL: "PageUrl",
        IdentifierType.PAGE_DOMAIN: "PageDomain",
        IdentifierType.APP_ID: "AppId",
    },
)
_CALLS: Final = Calls(
    path=_CONTACT_LIST,
    amend=("POST", "/add-remove"),
    clear=("POST", "/clear"),
    entity_type="AddRemoveContactlist",
    operations={Operation.ADD: "Add", Operation.REMOVE: "Remove"},
)


class CommerceGrid(Segments):
    """Criteo's Commerce Grid; reached as `client.commerce_grid`."""

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
            identifier_type: their kind.

        Returns:
            Criteo's receipt with its counts of valid and invalid identifiers.

        Raises:
            ConfigurationError: when an argument cannot be sent; nothing was.
            CriteoError: when the call failed.
        """
        self._require_version()
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
        self._require_version()
        await self._contact_lists.clear(segment_id)

    async def get_contact_list_statistics(self, segment_id: str) -> ContactListStatistics:
        """Returns how many identifiers a contact list contains and how many Criteo matched.

        Args:
            segment_id: the contact list.

        Raises:
            CriteoError: when the call failed.
        """
        self._require_version()
        request = Request(method="GET", path=f"{_CONTACT_LIST}/statistics", path_parameters=_path(segment_id))
        return await send_for_one(self._session, request, ContactListStatistics)

    @overload
    def upload_contact_list(  # type: ignore[overload-overlap]
        self,
        segment_id: str,
        source: Lookalike,
        *,
        data_provider_id: str | None = None,
        **options: Unpack[HashedUpload],
    ) -> NotASource: ...

    @overload
    def upload_contact_list(  # type: ignore[overload-overlap]
        self, segment_id: str, source: Lookalike, *, data_provider_id: str | None = None, **options: Unpack[PlainUpload]
    ) -> NotASource: ...

    @overload
    async def upload_contact_list(
        self, segment_id: str, source: Source, *, data_provider_id: str | None = None, **options: Unpack[HashedUpload]
    ) -> UploadReport: ...

    @overload
    async def upload_contact_list(
        self, segment_id: str, source: Source, *, data_provider_id: str | None = None, **options: Unpack[PlainUpload]
    ) -> UploadReport: ...

    async def upload_contact_list(  # type: ignore[misc]  # pyright: ignore[reportInconsistentOverload]
        self,
        segment_id: str,
        source: Source,
        *,
        data_provider_id: str | None = None,
        **options: Unpack[UploadOptions],
    ) -> UploadReport:
        """Uploads identifiers of any number to a contact list: normalized, hashed as chosen, in concurrent batches.

        Args:
            segment_id: the contact list.
            source: an iterable or async iterable of `str`, a `Table`, or the path of a file.
            data_provider_id: check first, with one search, that the list is this data provider's and may be written. A
                table, or a dry run, makes that search in any case, before its file is read.
            **options: `hash` must be chosen for e-mails; see `criteo_audiences.UploadOptions` for all.

        Returns:
            A report in which every row is accounted for; a batch that failed is in `.failures`.

        Raises:
            ConfigurationError: when an option is missing or wrong, or an opt-out cannot be used; nothing was sent.
            SegmentMismatchError: when the list is another's, read-only or of another kind; nothing was sent.
            NotFoundError: when there is no such list, and a table or a dry run looked for it; nothing was sent.
            AuthenticationError: when the credentials are refused.
            TypeError: when the source, or a row of it, is not text.
            Exception: what the source raises, as it is.
        """
        check = self._segment_check(segment_id, data_provider_id)
        return await self._contact_lists.upload(segment_id, source, check, options)

    @overload
    def mirror_contact_list(  # type: ignore[overload-overlap]
        self,
        segment_id: str,
        source: Lookalike,
        *,
        data_provider_id: str | None = None,
        **options: Unpack[MirrorOptions],
    ) -> NotASource: ...

    @overload
    async def mirror_contact_list(
        self, segment_id: str, source: Source, *, data_provider_id: str | None = None, **options: Unpack[MirrorOptions]
    ) -> MirrorReport: ...

    async def mirror_contact_list(  # type: ignore[misc]  # pyright: ignore[reportInconsistentOverload]
        self, segment_id: str, source: Source, *, data_provider_id: str | None = None, **options: Unpack[MirrorOptions]
    ) -> MirrorReport:
        """Makes a contact list contain what a source contains; sends only what has changed since the last time.

        Criteo cannot list a contact list's members, so `snapshot` names a file that remembers what it has acknowledged.
        The list is never emptied meanwhile. Nothing is sent when too much would be removed (`max_removals`).

        Args:
            segment_id: the contact list.
            source: all that it is to contain: an iterable or async iterable of `str`, a `Table`, or the path of a file.
            data_provider_id: check, with one search before the first change, that the list is this data provider's and
                may be written. That search is made in any case.
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
        check = self._segment_check(segment_id, data_provider_id)
        return await self._contact_lists.mirror(segment_id, source, check, options)

    @overload
    def replace_contact_list(  # type: ignore[overload-overlap]
        self,
        segment_id: str,
        source: Lookalike,
        *,
        data_provider_id: str | None = None,
        **options: Unpack[HashedUpload],
    ) -> NotASource: ...

    @overload
    def replace_contact_list(  # type: ignore[overload-overlap]
        self, segment_id: str, source: Lookalike, *, data_provider_id: str | None = None, **options: Unpack[PlainUpload]
    ) -> NotASource: ...

    @overload
    async def replace_contact_list(
        self, segment_id: str, source: Source, *, data_provider_id: str | None = None, **options: Unpack[HashedUpload]
    ) -> UploadReport: ...

    @overload
    async def replace_contact_list(
        self, segment_id: str, source: Source, *, data_provider_id: str | None = None, **options: Unpack[PlainUpload]
    ) -> UploadReport: ...

    async def replace_contact_list(  # type: ignore[misc]  # pyright: ignore[reportInconsistentOverload]
        self, segment_id: str, source: Source, *, data_provider_id: str | None = None, **options: Unpack[UploadOptions]
    ) -> UploadReport:
        """Clears a contact list and then uploads to it; **the list is empty meanwhile**, and incomplete if that fails.

        A computation in between (at 00:00 or 12:00 UTC) uses an incomplete list; `mirror_contact_list` has
        no such gap. The list is cleared right before the first batch is sent, so a source that cannot be used, or has
        no identifier, leaves it unchanged.

        Args:
            segment_id: the contact list.
            source: as for `upload_contact_list`.
            data_provider_id: as for `upload_contact_list`.
            **options: as for `upload_contact_list`, but for `journal`, `resume` and `operation`.

        Raises:
            ConfigurationError: when an option is missing or wrong; nothing was sent.
            CriteoError: as for `upload_contact_list`.
        """
        check = self._segment_check(segment_id, data_provider_id)
        return await self._contact_lists.replace(segment_id, source, check, options)

    @overload
    def stream_contact_list(  # type: ignore[overload-overlap]  # pyright: ignore[reportOverlappingOverload]
        self,
        segment_id: str,
        source: Lookalike,
        *,
        data_provider_id: str | None = None,
        **options: Unpack[HashedUpload],
    ) -> NotASource: ...

    @overload
    def stream_contact_list(  # type: ignore[overload-overlap]  # pyright: ignore[reportOverlappingOverload]
        self, segment_id: str, source: Lookalike, *, data_provider_id: str | None = None, **options: Unpack[PlainUpload]
    ) -> NotASource: ...

    @overload
    def stream_contact_list(
        self, segment_id: str, source: Source, *, data_provider_id: str | None = None, **options: Unpack[HashedUpload]
    ) -> AbstractAsyncContextManager[UploadStream]: ...

    @overload
    def stream_contact_list(
        self, segment_id: str, source: Source, *, data_provider_id: str | None = None, **options: Unpack[PlainUpload]
    ) -> AbstractAsyncContextManager[UploadStream]: ...

    def stream_contact_list(  # type: ignore[misc]  # pyright: ignore[reportInconsistentOverload]
        self, segment_id: str, source: Source, *, data_provider_id: str | None = None, **options: Unpack[UploadOptions]
    ) -> AbstractAsyncContextManager[UploadStream]:
        """Uploads like `upload_contact_list` and yields a `BatchResult` as each batch comes back.

        Use it as `async with cg.stream_contact_list(...) as results:` and iterate over `results`; leaving the block
        early cancels what still runs. `results.report` is complete once the block is left.

        Args:
            segment_id: the contact list.
            source: an iterable or async iterable of `str`, a `Table`, or the path of a file.
            data_provider_id: as for `upload_contact_list`.
            **options: as for `upload_contact_list`.
        """
        check = self._segment_check(segment_id, data_provider_id)
        return self._contact_lists.stream(segment_id, source, check, options)

    @property
    def identifier_types(self) -> frozenset[IdentifierType]:
        """The kinds of identifier that its contact lists take."""
        return frozenset(_VOCABULARY.words)

    @property
    def _contact_lists(self) -> ContactLists:
        return ContactLists(self._session, _VOCABULARY, _CALLS)

    def _segment_check(self, segment_id: str, data_provider_id: str | None) -> SegmentCheck | None:
        self._require_version()  # an upload under a version without contact lists fails here, not batch by batch
        if data_provider_id is not None:
            require_text(data_provider_id, "data_provider_id")
        if not self._session.has_login:
            return None
        found = self.search_audience_segments(audience_segment_ids=[require_text(segment_id, "segment_id")])
        confirm = partial(self.get_contact_list_statistics, segment_id)
        owner = {} if data_provider_id is None else {"data_provider_id": data_provider_id}
        return SegmentCheck(found, segment_id, owner, confirm)

    async def get_application(self) -> Application:
        """Returns the application that the credentials belong to.

        Raises:
            CriteoError: when the call failed.
        """
        return await send_for_one(self._session, Request(method="GET", path="/commerce-grid/me"), Application)


def _path(segment_id: str) -> dict[str, str]:
    return {"segment_id": require_text(segment_id, "segment_id")}
