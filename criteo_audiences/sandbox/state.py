"""All that the server knows while it runs."""

import itertools
from collections.abc import Callable, Iterator

import attrs
from aiohttp import web

from criteo_audiences.sandbox import entities
from criteo_audiences.sandbox.call_log import CallLog
from criteo_audiences.sandbox.dialects import Dialect
from criteo_audiences.sandbox.entities import AudienceEntity, EntityStore, SegmentEntity
from criteo_audiences.sandbox.faults import FaultQueue
from criteo_audiences.sandbox.quota import CallQuota
from criteo_audiences.sandbox.services import SERVICES, Service
from criteo_audiences.sandbox.tokens import Consents, TokenIssuer
from criteo_audiences.sandbox.versions import Versions

# A refused body is read on for as long as four of the largest that would have been taken.
_DISCARDED_BODIES = 4


@attrs.frozen
class Target:
    """The audiences of a line item."""

    scope: str = "include"
    audience_ids: list[str] = attrs.field(factory=list)


@attrs.define(kw_only=True)
class ServerState:
    """What the handlers share. Times are epoch seconds of ``clock``, durations seconds."""

    tokens: TokenIssuer
    consents: Consents
    quota: CallQuota | None
    consented_quota: CallQuota | None
    latency: float
    max_identifiers: int
    max_body_bytes: int
    match_rate: float
    clock: Callable[[], float]
    dialect: Dialect
    versions: Versions = attrs.field(factory=Versions)
    turns: Iterator[int] = attrs.field(factory=itertools.count)
    """Numbers the answers, for what a dialect says now in one way and now in another."""
    faults: FaultQueue = attrs.field(factory=FaultQueue)
    recording: CallLog = attrs.field(factory=CallLog)
    segments: EntityStore[SegmentEntity] = attrs.field(factory=entities.segment_store)
    audiences: EntityStore[AudienceEntity] = attrs.field(factory=entities.audience_store)
    line_items: dict[str, Target] = attrs.field(factory=dict)

    def quota_of(self, authorization: str | None) -> CallQuota | None:
        """Returns the quota that a call uses: the application's, or that of the users who have consented."""
        return self.consented_quota if self.tokens.is_consented(authorization) else self.quota

    @property
    def services(self) -> list[Service]:
        """Every service, as the dialect has it."""
        return [self.dialect.described(service) for service in SERVICES.values()]

    @property
    def max_discarded_bytes(self) -> int:
        """How much of a refused body is read before the answer."""
        return _DISCARDED_BODIES * self.max_body_bytes


STATE = web.AppKey("state", ServerState)
