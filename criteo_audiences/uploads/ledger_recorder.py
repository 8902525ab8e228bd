"""Lets a ledger that several machines share remember which batches of an upload were acknowledged."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import blake2b

from criteo_audiences.batches import Batch
from criteo_audiences.journals.acknowledged import Acknowledged, BatchLedger
from criteo_audiences.journals.rows import BatchState, Entry
from criteo_audiences.uploads.amendment import BatchResult, Destination
from criteo_audiences.uploads.options import Options
from criteo_audiences.uploads.sender import Recorder


class LedgerRecorder(Recorder):
    """Asks a ledger before a batch is sent, and tells it of each acknowledgement.

    Args:
        ledger: remembers.
    """

    def __init__(self, ledger: BatchLedger) -> None:
        super().__init__()
        self._ledger = ledger
        self._job = b""
        self._digests: dict[int, bytes] = {}

    @asynccontextmanager
    async def opened(self, destination: Destination, source: object, options: Options) -> AsyncIterator[None]:
        """See `Recorder.opened`; a batch of another list, operation or kind is another batch."""
        del source  # the same batch out of another source asks the same of Criteo
        where = (destination.service, destination.host.lower(), destination.segment_id)
        self._job = json.dumps([*where, options.operation, options.kind, options.gum_caller_id]).encode()
        yield

    async def write_begin(self, batch: Batch) -> Entry | None:
        """See `Recorder.write_begin`."""
        digest = blake2b(batch.checksum + self._job, digest_size=32).digest()
        known = await self._ledger.find(digest)
        if known is None:
            self._digests[batch.number] = digest
            return None
        return Entry(
            number=batch.number,
            count=batch.count,
            size=batch.size,
            state=BatchState.ACKNOWLEDGED,
            sent_at=known.at,
            ended_at=known.at,
            valid=known.valid,
            invalid=known.invalid,
        )

    async def write_end(self, result: BatchResult) -> None:
        """See `Recorder.write_end`; only what was acknowledged is worth remembering."""
        digest = self._digests.pop(result.number, None)
        if digest is not None and result.ok:
            answer = Acknowledged(valid=result.valid, invalid=result.invalid, at=time.time())
            await self._ledger.note(digest, answer)
