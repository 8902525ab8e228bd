"""How far an upload is."""

from enum import StrEnum
from typing import Any

from attrs import asdict, frozen

from criteo_audiences.uploads.slots import LimitedBy


class Phase(StrEnum):
    """What an upload does at a moment."""

    READING = "reading"
    """Nothing goes out yet: a table is read to its end before its first batch."""
    PREPARING = "preparing"
    """Its opt-outs and duplicates are looked for."""
    SENDING = "sending"
    """Batches go out, while the rest of the source is read."""


@frozen(kw_only=True)
class Progress:
    """How far an upload is.

    Attributes:
        read: rows read; about, while a table is read before the first batch.
        rejected: rows rejected.
        duplicates: rows dropped as duplicates.
        sent: identifiers put into calls that have ended.
        valid: identifiers Criteo accepted.
        in_flight: batches in flight.
        limited_by: what keeps it from having more in flight at this moment.
        batches: batches that have ended.
        elapsed: seconds since the start.
        waited: seconds during which the quota held a batch back.
        is_waiting: whether the quota holds a batch back at this moment.
        share_read: how much of the source has been read, 0 to 1, never less than before; `None` as long as the source
            cannot tell, as an iterable without a length or a table with `where` cannot. With `dedupe` a table is read
            before the first batch, and this is how much of what is left has been cut into batches.
        share_staged: how much has been read of a table that is read before the first batch, 0 to 1, never less than
            before; `None` for other sources, and while that is not known.
        share_prepared: about how much of the look for opt-outs and duplicates in such a table is done, 0 to 1; `None`
            for other sources, and once there are batches.
        share_sent: how much of what is to be sent has come back, 0 to 1; `None` when that cannot be said.
        remaining: seconds the upload still takes, estimated by its pace and the quota; `None` when nothing can be said.
    """

    read: int
    rejected: int
    duplicates: int
    sent: int
    valid: int
    in_flight: int
    batches: int
    elapsed: float
    waited: float
    is_waiting: bool = False
    limited_by: LimitedBy = LimitedBy.SOURCE
    share_read: float | None = None
    share_staged: float | None = None
    remaining: float | None = None
    share_sent: float | None = None
    share_prepared: float | None = None

    @property
    def phase(self) -> Phase:
        """What it does at the moment."""
        if self.share_read is not None or self.batches or self.in_flight:
            return Phase.SENDING
        return Phase.PREPARING if self.share_staged == 1 else Phase.READING

    @property
    def share(self) -> float | None:
        """How much of the present phase is done, 0 to 1; `None` when that cannot be said."""
        shares = self.share_staged, self.share_prepared, self.share_sent
        return dict(zip(Phase, shares, strict=True))[self.phase]

    def to_dict(self) -> dict[str, Any]:
        """Returns JSON-safe values; the names are those of the report."""
        plain = {**asdict(self), "limited_by": self.limited_by.value if self.limited_by else None}
        return {"phase": self.phase.value, "share": self.share, **plain}
