"""How far an upload is."""

from attrs import frozen


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
        batches: batches that have ended.
        elapsed: seconds since the start.
        waited: seconds during which the quota held a batch back.
        is_waiting: whether the quota holds a batch back at this moment.
        share_read: how much of the source has been read, 0 to 1, never less than before; `None` as long as the source
            cannot tell, as an iterable or a table with `where` cannot. With `dedupe` a table is read before the first
            batch, and this is how much of what is left has been cut into batches.
        share_staged: how much has been read of a table that is read before the first batch, 0 to 1, never less than
            before; `None` for other sources, and as long as nobody can tell.
        remaining: seconds the upload still takes, estimated by its pace and the quota; `None` when nothing can be
            said, as while a wait for the quota may be longer than what the pace foretells.
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
    share_read: float | None = None
    share_staged: float | None = None
    remaining: float | None = None
