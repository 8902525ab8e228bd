"""Checks that a contact list is the requested one before an upload, and creates a list that does not exist."""

import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol, TypeVar

from attrs import field, frozen

from criteo_audiences.errors import (
    InvalidRequestError,
    PartialFailureError,
    PermissionDeniedError,
    SegmentMismatchError,
    TransportError,
)
from criteo_audiences.models import IdentifierType, Word
from criteo_audiences.results import BulkResult
from criteo_audiences.session.endpoints import Search

_log = logging.getLogger("criteo_audiences.uploads")

_NAME_TAKEN: Final = "name-must-be-unique"
_CONTACT_LIST: Final = "ContactList"
_OTHER_KINDS: Final = ("in_market", "location", "lookalike", "prospecting", "retargeting", "behavioral", "events")
_WAY_OUT: Final = "Names are unique, so give another name, or ask for the list as it is; no list was created."


class Segment(Protocol):
    """The fields that the services' audience segments have in common."""

    @property
    def id(self) -> str | None:
        """Its id."""

    @property
    def name(self) -> str | None:
        """Its name."""

    @property
    def type(self) -> Word | None:
        """Its kind."""


S = TypeVar("S", bound=Segment)


@frozen(kw_only=True)
class Wanted:
    """The contact list that a caller means.

    Attributes:
        owner: the fields that identify its owner, such as `advertiser_id`, and their values.
        remote_id: the data provider's own id for the list; `None` for any.
        kinds: the kinds of identifier that it must take.
        is_exact: whether a list is refused if Criteo's answer does not say its kind of identifier, or this release does
            not know the kind. An upload accepts such a list and leaves the check to Criteo.
    """

    owner: Mapping[str, str] = field(factory=dict)
    remote_id: str | None = None
    kinds: Sequence[IdentifierType] = ()
    is_exact: bool = True

    def differences(self, segment: Any, *, is_new: bool = False) -> list[str]:
        """Returns how a segment differs from the wanted one, a clause for each difference.

        Args:
            segment: the segment as a service returned it.
            is_new: whether it was just created: then fields that the answer leaves out are assumed to be as requested.
        """
        looks = (self._owners, self._remote, self._kind)
        return [difference for look in looks for difference in look(segment, is_new=is_new)]

    def missing(self) -> str:
        """Returns a clause saying that the owner has no such segment."""
        return "is no segment of " + " and ".join(f"{name}={value}" for name, value in self.owner.items())

    def _owners(self, segment: Any, *, is_new: bool) -> Iterator[str]:
        for name, value in self.owner.items():
            found = getattr(segment, name, None)
            if found is None and not is_new:
                yield f"is not known to be of {name}={value}, since Criteo's answer does not say"
            elif found is not None and found != value:
                yield f"is no segment of {name}={value}, but of {found}"

    def _remote(self, segment: Any, *, is_new: bool) -> Iterator[str]:
        found = getattr(segment, "remote_id", None)
        if self.remote_id is not None and found != self.remote_id and not (is_new and found is None):
            yield f"has {'no remote_id' if found is None else f'remote_id={found}'}, not remote_id={self.remote_id}"

    def _kind(self, segment: Any, *, is_new: bool) -> Iterator[str]:
        other = next((name for name in _OTHER_KINDS if getattr(segment, name, None) is not None), None)
        is_other = segment.type != _CONTACT_LIST if segment.type is not None else other is not None
        if is_other:
            yield "is no contact list, so nothing can be uploaded to it"
        if getattr(segment.contact_list, "is_read_only", None):
            yield "is read-only: it was made outside Criteo's API"
        taken = getattr(segment.contact_list, "identifier_type", None)
        for kind in self.kinds:
            if taken is None and self.is_exact and not is_new and not is_other:
                yield f"is not known to take identifier_type='{kind.value}', since Criteo's answer does not say"
            elif taken is not None and taken != kind and (self.is_exact or taken.is_known):
                yield f"takes identifier_type='{taken.value}', not '{kind.value}'"


async def ensure_contact_list(
    create: Callable[[], Awaitable[BulkResult[S]]], found: Search[S], name: str, wanted: Wanted
) -> S:
    """See a service's `ensure_contact_list`.

    Args:
        create: makes the create call for the one list.
        found: a search for all segments of its owner.
        name: the list's name.
        wanted: the requirements that the list must meet.
    """
    try:
        created = await _created(create)
    except InvalidRequestError as error:
        # Criteo's guide shows this problem in a 200; in code developed with Criteo, it comes with this status, too.
        if _NAME_TAKEN not in error.codes:
            raise
        created = BulkResult(errors=error.problems, warnings=error.warnings)
    if created.items or not any(problem.code == _NAME_TAKEN for problem in (*created.errors, *created.warnings)):
        return _checked(created.one(), wanted, is_new=True)
    namesake: S | None = None
    async for segment in found:
        if segment.name == name:
            if not wanted.differences(segment):
                return segment
            namesake = namesake or segment
    if namesake is not None:
        return _checked(namesake, wanted)
    raise PartialFailureError(
        (*created.errors, *created.warnings), what="The name is taken, but no segment of it was found"
    )


def _checked(segment: S, wanted: Wanted, *, is_new: bool = False) -> S:
    """Returns the list if it is the requested one; refuses any other."""
    if differences := wanted.differences(segment, is_new=is_new):
        way_out = "Criteo answered a create call with it." if is_new else _WAY_OUT
        raise SegmentMismatchError(segment.id or "without an id", differences, way_out=way_out)
    return segment


async def _created(create: Callable[[], Awaitable[BulkResult[S]]]) -> BulkResult[S]:
    """Creates the list; tries again after a lost answer, since an existing list shows up as a name that is taken."""
    try:
        return await create()
    except TransportError:
        return await create()


@frozen
class SegmentCheck:
    """A check of a contact list before an upload: that it exists, who owns it, and which identifiers it takes.

    Attributes:
        found: a search for the segment by its id.
        segment_id: the segment.
        owner: the fields that identify the expected owner, such as `advertiser_id`; empty if the caller named none.
        confirm: a call on the list itself, for when the search does not show the list and no owner was named.
    """

    found: Search[Any]
    segment_id: str
    owner: Mapping[str, str]
    confirm: Callable[[], Awaitable[object]] | None = None

    async def run(self, kinds: Sequence[IdentifierType]) -> None:
        """Searches for the segment once, and refuses one that the upload cannot use.

        An application that may write but not search skips the check, unless the caller named the owner. When the
        search does not show the segment, a second call decides, because the search may be out of date.

        Raises:
            SegmentMismatchError: when the owner has no such segment, or it is not a contact list, is read-only, or
                takes another kind of identifier.
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
