"""A compact set of identifiers seen, for de-duplicating a source of any length."""

from array import array
from typing import Final

_SHARDS: Final = 4096
_FEWEST_SLOTS: Final = 8


class Fingerprints:
    """Remembers identifiers by a 64-bit keyed fingerprint, in 11 to 21 bytes each.

    Open addressing in many small tables: a table that fills up is grown alone, in well under a millisecond, so that
    a caller's event loop never waits for ten million entries to move. The fingerprint is the interpreter's own string
    hash (SipHash, keyed anew in every process). Two different identifiers share one with a probability of
    n² / 2⁶⁵: 2 in a million for a list of 8 million.
    """

    def __init__(self) -> None:
        self._tables = [array("Q", bytes(8 * _FEWEST_SLOTS)) for _ in range(_SHARDS)]
        self._filled = [0] * _SHARDS

    def __len__(self) -> int:
        return sum(self._filled)

    def __repr__(self) -> str:
        return f"Fingerprints({len(self):,} identifiers)"

    def add(self, identifier: str) -> bool:
        """Adds an identifier; returns whether it was new."""
        fingerprint = (hash(identifier) & 0xFFFF_FFFF_FFFF_FFFF) or 1  # 0 marks a free slot
        shard = fingerprint & (_SHARDS - 1)
        table = self._tables[shard]
        mask = len(table) - 1
        slot = (fingerprint >> 12) & mask
        while (found := table[slot]) != fingerprint:
            if not found:
                table[slot] = fingerprint
                self._count(shard)
                return True
            slot = (slot + 1) & mask
        return False

    def _count(self, shard: int) -> None:
        filled = self._filled[shard] = self._filled[shard] + 1
        slots = len(self._tables[shard])
        # Tables fill alike, so each grows at a load of its own between 5/8 and 6/8: their growth is spread over time.
        if filled * 8 * _SHARDS > slots * (5 * _SHARDS + shard):
            self._tables[shard] = _grown(self._tables[shard])


def _grown(table: "array[int]") -> "array[int]":
    slots = len(table) * 2
    larger = array("Q", bytes(8 * slots))
    mask = slots - 1
    for fingerprint in table:
        if fingerprint:
            slot = (fingerprint >> 12) & mask
            while larger[slot]:
                slot = (slot + 1) & mask
            larger[slot] = fingerprint
    return larger
