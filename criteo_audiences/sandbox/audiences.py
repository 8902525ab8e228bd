"""The audiences of the services that have them."""

from typing import Any

import attrs

from criteo_audiences.sandbox.algebra import segment_ids
from criteo_audiences.sandbox.services import Audiences
from criteo_audiences.sandbox.store import Entity, Store

_FIRST_NUMBER = 700_001


@attrs.define(kw_only=True)
class Audience(Entity):
    """An audience: an algebra of segments."""

    algebra: dict[str, Any]
    ad_set_ids: list[str] = attrs.field(factory=list)

    @property
    def traits(self) -> Audiences:
        """What its service says about audiences."""
        return self.service.with_audiences

    @property
    def entity_type(self) -> str:
        """The word for audiences of its service."""
        return self.traits.entity_type

    def uses(self, segment_id: str) -> bool:
        """Returns whether the segment is in the algebra."""
        return segment_id in segment_ids(self.algebra)

    def document(self) -> dict[str, Any]:
        """Returns the attributes of the entity that OpenAPI calls ``…AudienceEntityV1``."""
        ad_sets = {"adSetIds": list(self.ad_set_ids)} if self.traits.on_ad_sets else {}
        return {**self.common(), **ad_sets, "algebra": self.algebra}

    def searchable(self) -> dict[str, Any]:
        """Returns what the filters of a search look at."""
        return {**super().searchable(), "segmentIds": segment_ids(self.algebra)}


def new_store() -> Store[Audience]:
    """Returns a store without audiences."""
    return Store(Audience, "audience", _FIRST_NUMBER)
