"""A look at a contact list before an upload to it."""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from attrs import frozen

from criteo_audiences.errors import PermissionDeniedError, SegmentMismatchError
from criteo_audiences.models import IdentifierType
from criteo_audiences.results import Search
from criteo_audiences.segment_match import Wanted
from criteo_audiences.uploads.lane import Source, as_table
from criteo_audiences.uploads.options import Options

_log = logging.getLogger("criteo_audiences.uploads")


@frozen
class SegmentCheck:
    """A look at a contact list before an upload to it: whether it is there, whose it is, and what it takes.

    Attributes:
        found: a search for the segment by its id.
        segment_id: the segment.
        owner: the fields that say whose it should be, such as `advertiser_id`; none when the caller did not say.
        confirm: asks the list itself, when the search does not show it and no owner was named.
    """

    found: Search[Any]
    segment_id: str
    owner: Mapping[str, str]
    confirm: Callable[[], Awaitable[object]] | None = None

    def is_due(self, source: Source, settings: Options) -> bool:
        """Whether an upload makes it.

        An iterable's first batch finds out at once and calls are scarce, so its upload makes it only when asked to.
        """
        return bool(self.owner) or settings.dry_run or as_table(source) is not None

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
            if self.owner:
                raise
            _log.info("Segment %s was not looked at first: the application may not search.", self.segment_id)
            return
        segment = next((entry for entry in page.items if entry.id == self.segment_id), None)
        if segment is None and not self.owner and self.confirm is not None:
            await self.confirm()
        wanted = Wanted(owner=self.owner, kinds=kinds, is_exact=False)
        missing = [wanted.missing()] if self.owner else []
        if differences := missing if segment is None else wanted.differences(segment):
            raise SegmentMismatchError(self.segment_id, differences, way_out="Check the ids; nothing was sent.")
