"""Commerce Grid: audience segments, with their models (OpenAPI 2026-07)."""

import datetime as dt
from collections.abc import Iterable
from typing import Final

from attrs import field, frozen

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.models import UNSET, Unset, Word, nullable
from criteo_audiences.rendering import ShownInNotebooks
from criteo_audiences.results import BulkResult, require_naming
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
from criteo_audiences.session.session import Session
from criteo_audiences.validation import (
    require_change,
    require_ids,
    require_kind,
    require_models,
    require_text,
    text_field,
)


class SegmentType(Word):
    """The kinds of audience segment."""

    UNKNOWN = "Unknown"
    CONTACT_LIST = "ContactList"


@frozen(kw_only=True)
class ContactList:
    """Settings of a contact list; Commerce Grid returns none."""


@frozen(kw_only=True)
class AudienceSegment(ShownInNotebooks):
    """An audience segment as Criteo returns it; timestamps are aware, UTC."""

    id: str | None = None
    data_provider_id: str | None = None
    name: str | None = None
    description: str | None = None
    type: SegmentType | None = None
    remote_id: str | None = None
    created_at: dt.datetime | None = None
    updated_at: dt.datetime | None = None
    contact_list: ContactList | None = None


@frozen(kw_only=True)
class ContactListCreate:
    """Makes the new segment a contact list. `remote_id`: the data provider's own id for it."""

    remote_id: str | None = field(default=None, validator=text_field)


@frozen(kw_only=True)
class AudienceSegmentCreate:
    """An audience segment to create; Commerce Grid knows contact lists only.

    Attributes:
        data_provider_id: its owner.
        name: unique among the data provider's segments.
        description: free text.
        contact_list: its settings.

    Raises:
        ConfigurationError: when the name or the data provider is missing.
    """

    data_provider_id: str
    name: str
    description: str | None = None
    contact_list: ContactListCreate = field(factory=ContactListCreate)

    def __attrs_post_init__(self) -> None:
        require_text(self.data_provider_id, "data_provider_id")
        require_naming(self.name, self.description)
        require_kind(self.contact_list, ContactListCreate, "contact_list")


@frozen(kw_only=True)
class AudienceSegmentUpdate:
    """Changes to an audience segment: fields left out stay unchanged.

    Attributes:
        id: the segment.
        name: unique among the data provider's segments.
        description: free text, `None` to take it away.

    Raises:
        ConfigurationError: when nothing is to be changed, or the name is removed.
    """

    id: str
    name: str | Unset = UNSET
    description: str | Unset | None = field(default=UNSET, metadata=nullable())

    def __attrs_post_init__(self) -> None:
        require_text(self.id, "id")
        require_change(self)
        require_naming(self.name, self.description)


_ENTITY: Final = "AudienceSegment"
_FIRST_VERSION: Final = "2026-01"
_PAGE_MAXIMUM: Final = 100
_SEGMENTS: Final = "/commerce-grid/audience-segments"


class Segments:
    """The part of Commerce Grid around segments."""

    def __init__(self, session: Session) -> None:
        self._session = session

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
        self._require_version()
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
        self._require_version()
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
        self._require_version()
        wanted = require_ids(ids, "ids")
        request = json_request("POST", f"{_SEGMENTS}/delete", identities(wanted, _ENTITY))
        return await send_deletion(self._session, request, wanted)

    def search_audience_segments(
        self,
        *,
        audience_segment_ids: Iterable[str] | None = None,
        data_provider_ids: Iterable[str] | None = None,
        remote_ids: Iterable[str] | None = None,
        audience_segment_types: Iterable[SegmentType | str] | None = None,
    ) -> Search[AudienceSegment]:
        """Searches audience segments that match all given filters.

        Args:
            audience_segment_ids: only these.
            data_provider_ids: only segments of these data providers.
            remote_ids: only segments that the data provider knows by these ids.
            audience_segment_types: only segments of these kinds.

        Returns:
            A search to iterate over with `async for`, or to take one `page` of; nothing is sent before.

        Raises:
            ConfigurationError: when a filter is not a list of its kind.
        """
        self._require_version()
        filters = {
            "audienceSegmentIds": id_list(audience_segment_ids, "audience_segment_ids"),
            "dataProviderIds": id_list(data_provider_ids, "data_provider_ids"),
            "remoteIds": id_list(remote_ids, "remote_ids"),
            "audienceSegmentTypes": words_of(SegmentType, audience_segment_types, "audience_segment_types"),
        }
        path = Request(method="POST", path=f"{_SEGMENTS}/search")
        return search(self._session, path, filters, AudienceSegment, page_maximum=_PAGE_MAXIMUM)

    async def ensure_contact_list(
        self, *, data_provider_id: str, name: str, description: str | None = None, remote_id: str | None = None
    ) -> AudienceSegment:
        """Returns the contact list of that name, creating it when there is none; safe when two run at once.

        It creates first and searches only when the name is taken, since there is no search by name.

        Args:
            data_provider_id: its owner.
            name: unique among the data provider's segments.
            description: for a list that is created; one that exists keeps its own.
            remote_id: the data provider's own id of a list that is created.

        Raises:
            ConfigurationError: when an argument is missing or empty.
            SegmentMismatchError: when the name belongs to a segment unlike the requested one; names each difference.
            CriteoError: when a call failed.
        """
        create = AudienceSegmentCreate(
            data_provider_id=data_provider_id,
            name=name,
            description=description,
            contact_list=ContactListCreate(remote_id=remote_id),
        )
        found = self.search_audience_segments(data_provider_ids=[data_provider_id])
        wanted = Wanted(owner={"data_provider_id": data_provider_id}, remote_id=remote_id)
        return await ensure_contact_list(lambda: self.create_audience_segments([create]), found, name, wanted)

    def _require_version(self) -> None:
        """Refuses versions before `2026-01`, which have no audience segments and would answer every call with 404.

        Raises:
            ConfigurationError: under such a version.
        """
        if self._session.api_version < _FIRST_VERSION:  # "experimental" comes after the digits
            raise ConfigurationError(
                f'Commerce Grid has audiences since api_version="{_FIRST_VERSION}", not under '
                f"{self._session.api_version}."
            )
