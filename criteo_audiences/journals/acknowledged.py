"""What a ledger remembers of an acknowledged batch, and the interface of ledgers that several machines share."""

from typing import Protocol

from attrs import frozen


@frozen(kw_only=True)
class Acknowledged:
    """What Criteo answered to a batch.

    Attributes:
        valid: identifiers that it accepted.
        invalid: identifiers that it refused.
        at: when the answer came, in seconds since 1970.
    """

    valid: int
    invalid: int
    at: float


class BatchLedger(Protocol):
    """Remembers which batches were acknowledged, so that whoever runs the same upload again sends only the others.

    It is asked once a batch before the batch is sent, and told of each acknowledgement before the next batch takes its
    place. A ledger that has lost its memory does no harm: what it does not know is sent again.
    """

    async def find(self, digest: bytes) -> Acknowledged | None:
        """Returns what is known of a batch, `None` when it must be sent.

        Args:
            digest: 32 bytes that two batches share only if they ask the same of the same list.
        """
        ...

    async def note(self, digest: bytes, acknowledged: Acknowledged) -> None:
        """Remembers that a batch was acknowledged."""
        ...
