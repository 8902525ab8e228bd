"""What one call can reach: the segments of its service, of one owner only where the path names it."""

from collections.abc import Iterator
from http import HTTPStatus

import attrs
from aiohttp import web

from criteo_audiences.sandbox.problems import ProblemError, Violation
from criteo_audiences.sandbox.segments import Segment, SegmentStore
from criteo_audiences.sandbox.services import Service
from criteo_audiences.sandbox.state import STATE


@attrs.frozen
class Call:
    """Which endpoint of which service a request is for."""

    service: Service
    endpoint: str


CALL = web.RequestKey("call", Call)


@attrs.frozen
class Scope:
    """The part of the store that a call is about, at the moment of the call."""

    service: Service
    segments: SegmentStore
    now: float
    owner_id: str | None = None

    def find(self, segment_id: str) -> Segment | None:
        """Returns the segment, unless it lies outside: one of another owner than the path's is as good as none."""
        segment = self.segments.find(segment_id, service=self.service)
        return segment if segment is not None and self.owner_id in {None, segment.owner_id} else None

    def __getitem__(self, segment_id: str) -> Segment:
        """Returns a segment that the application may use.

        Raises:
            ProblemError: 404 or 403.
        """
        segment = self.find(segment_id)
        if segment is None:
            raise ProblemError(HTTPStatus.NOT_FOUND, "There is no such segment.", code="segment-not-found")
        if segment.denied:
            raise ProblemError(HTTPStatus.FORBIDDEN, "The application has no access to the owner of this segment.")
        return segment

    def __iter__(self) -> Iterator[Segment]:
        """Yields every segment that the application may see, in the order of their creation."""
        return (each for each in self.segments if self.find(each.id) is not None and not each.denied)

    def violation(self, segment_id: object) -> Violation | None:
        """Returns why an item of a bulk call cannot mean a segment of that id, if it cannot."""
        if not isinstance(segment_id, str):
            return Violation("required-field" if segment_id is None else "invalid", "id must be a string.")
        try:
            self[segment_id]
        except ProblemError as error:
            return error.violation
        return None


def scope(request: web.Request) -> Scope:
    """Returns what a request can reach."""
    state = request.app[STATE]
    return Scope(request[CALL].service, state.segments, state.clock(), request.match_info.get("owner_id"))
