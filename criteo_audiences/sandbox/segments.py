"""The segments of all services."""

from collections.abc import Mapping
from typing import Any

import attrs

from criteo_audiences.sandbox.contact_list import ContactList
from criteo_audiences.sandbox.store import Entity, Store

_FIRST_NUMBER = 300_001


@attrs.define(kw_only=True)
class Segment(Entity):
    """A segment of one kind."""

    settings_name: str
    settings: Mapping[str, Any] = attrs.field(factory=dict)
    contact_list: ContactList | None = None
    in_audience: bool = False
    """Whether it counts as used in an audience that the server does not hold."""

    @property
    def type(self) -> str:
        """The word for its kind."""
        return self.service.kinds[self.settings_name].type

    @property
    def entity_type(self) -> str:
        """The word for segments of its service."""
        return self.service.entity_type

    def document(self) -> dict[str, Any]:
        """Returns the attributes of the entity that OpenAPI calls ``…AudienceSegmentEntityV1``."""
        return {**self.common(), "type": self.type, self.settings_name: self.settings}


def new_store() -> Store[Segment]:
    """Returns a store without segments."""
    return Store(Segment, "segment", _FIRST_NUMBER)
