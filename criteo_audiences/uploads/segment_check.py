"""A look at a contact list before an upload to it."""

import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, Final

from attrs import frozen

from criteo_audiences.errors import PermissionDeniedError, SegmentMismatchError
from criteo_audiences.models import IdentifierType
from criteo_audiences.results import Search
from criteo_audiences.uploads.lane import Source, as_table
from criteo_audiences.uploads.options import Options

CONTACT_LIST: Final = "ContactList"
"""The kind of a segment that is one."""

_log = logging.getLogger("criteo_audiences.uploads")


@frozen
class SegmentCheck:
    """A look at a contact list before an upload to it: whether it is there, whose it is, and what it takes.

    Attributes:
        found: a search for the segment by its id.
        segment_id: the segment.
        owner_name: the field that names the owner, such as `advertiser_id`.
        owner_id: who it should be; `None` when the caller did not say.
        confirm: asks the list itself, when the search does not show it and no owner was named.
    """

    found: Search[Any]
    segment_id: str
    owner_name: str
    owner_id: str | None
    confirm: Callable[[], Awaitable[object]] | None = None

    def is_due(self, source: Source, settings: Options) -> bool:
        """Whether an upload makes it.

        An iterable's first batch finds out at once and calls are scarce, so its upload makes it only when asked to.
        """
        return self.owner_id is not None or settings.dry_run or as_table(source) is not None

    async def run(self, kinds: Sequence[IdentifierType]) -> None:
        """Searches for the segment once, and refuses one that the upload cannot use.

        An application that may write but not search skips the check, unless the caller named the owner. When the
        search does not show the segment, a second call decides, because the search may be out of date.

        Raises:
            SegmentMismatchError: when there is no such segment of that owner, it is no contact list, may not be
                written, or takes another kind of identifier.
            NotFoundError: when there is no such segment.
            CriteoError: when a call failed.
        """
        try:
            page = await self.found.page()
        except PermissionDeniedError:
            if self.owner_id is not None:
                raise
            _log.info("Segment %s was not looked at first: the application may not search.", self.segment_id)
            return
        segment = next((entry for entry in page.items if entry.id == self.segment_id), None)
        if segment is None and self.owner_id is None and self.confirm is not None:
            await self.confirm()
        if differences := list(self._differences(segment, kinds)):
            raise SegmentMismatchError(self.segment_id, differences)

    def _differences(self, segment: Any, kinds: Sequence[IdentifierType]) -> Iterator[str]:
        if self.owner_id is not None and (segment is None or getattr(segment, self.owner_name) != self.owner_id):
            yield f"is no segment of {self.owner_name}={self.owner_id}: check both ids"
        if segment is None:
            return
        if segment.type is not None and segment.type != CONTACT_LIST:
            yield "is no contact list, so nothing can be uploaded to it"
        if getattr(segment.contact_list, "is_read_only", None):
            yield "is read-only: it was made outside Criteo's API"
        taken = getattr(segment.contact_list, "identifier_type", None)
        for kind in kinds:
            if taken is not None and taken.is_known and taken != kind:
                yield f"takes identifier_type='{taken.value}', not '{kind.value}'"
