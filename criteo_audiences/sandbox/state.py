"""All that the server knows while it runs."""

from collections.abc import Callable

import attrs
from aiohttp import web

from criteo_audiences.sandbox.faults import FaultQueue
from criteo_audiences.sandbox.quota import Quota
from criteo_audiences.sandbox.recording import Recording
from criteo_audiences.sandbox.segments import SegmentStore
from criteo_audiences.sandbox.tokens import TokenIssuer

# A refused body is read on for as long as four of the largest that would have been taken.
_DISCARDED_BODIES = 4


@attrs.define(kw_only=True)
class ServerState:
    """What the handlers share. Times are epoch seconds of ``clock``, durations seconds."""

    tokens: TokenIssuer
    quota: Quota | None
    latency: float
    max_identifiers: int
    max_body_bytes: int
    match_rate: float
    clock: Callable[[], float]
    faults: FaultQueue = attrs.field(factory=FaultQueue)
    recording: Recording = attrs.field(factory=Recording)
    segments: SegmentStore = attrs.field(factory=SegmentStore)

    @property
    def max_discarded_bytes(self) -> int:
        """How much of a refused body is read before the answer."""
        return _DISCARDED_BODIES * self.max_body_bytes


STATE = web.AppKey("state", ServerState)
