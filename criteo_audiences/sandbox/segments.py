"""The segments of all services: one sequence of ids, names unique per owner."""

import itertools
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import attrs

from criteo_audiences.sandbox.contact_list import ContactList

_FIRST_ID = 300_001


def timestamp(epoch_seconds: float) -> str:
    """Returns a moment in the spelling of Criteo's samples: ``2024-01-15T12:23:18.180Z``."""
    moment = datetime.fromtimestamp(epoch_seconds, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@attrs.define(kw_only=True)
class Segment:
    """A segment of one service. ``owner_id`` is what that service calls advertiser, account or data provider."""

    id: str
    service: str
    owner_id: str
    name: str
    kind: str
    created_at: str
    description: str | None = None
    settings: Mapping[str, Any] = attrs.field(factory=dict)
    contact_list: ContactList | None = None
    denied: bool = False


class SegmentStore:
    """Every segment there is."""

    def __init__(self) -> None:
        self._numbers = itertools.count(_FIRST_ID)
        self._segments: dict[str, Segment] = {}
        self._names: set[tuple[str, str, str]] = set()

    def has_name(self, service: str, owner_id: str, name: str) -> bool:
        """Returns whether the owner has a segment of that name already."""
        return (service, owner_id, name) in self._names

    def add(self, *, name: str | None = None, service: str, owner_id: str, **fields: Any) -> Segment:
        """Keep a new segment and give it an id.

        Raises:
            ValueError: The owner has a segment of that name.
        """
        segment_id = str(next(self._numbers))
        name = f"segment {segment_id}" if name is None else name
        if self.has_name(service, owner_id, name):
            raise ValueError("the owner has a segment of that name already")
        segment = Segment(id=segment_id, service=service, owner_id=owner_id, name=name, **fields)
        self._names.add((service, owner_id, name))
        self._segments[segment_id] = segment
        return segment

    def find(self, segment_id: str, *, service: str) -> Segment | None:
        """Returns the segment, unless it belongs to another service or to none."""
        segment = self._segments.get(segment_id)
        return segment if segment is not None and segment.service == service else None

    def __getitem__(self, segment_id: str) -> Segment:
        try:
            return self._segments[segment_id]
        except KeyError:
            raise LookupError(f"the sandbox has no segment {segment_id!r}") from None
