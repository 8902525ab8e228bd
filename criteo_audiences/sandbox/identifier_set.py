"""A set of strings for millions of hashes: smaller than ``set[str]``, and without a long stall when it grows."""

from collections.abc import Iterable, Iterator

_SHARDS = 64
_HEX_LENGTHS = frozenset({32, 64})


class IdentifierSet:
    """Distinct identifiers, given back exactly as they came.

    A hash (32 or 64 hexadecimal characters in lower case) is kept as its raw bytes, any other string as it is:
    120 to 150 bytes in memory for each SHA-256, overhead included.
    """

    def __init__(self) -> None:
        self._shards: tuple[set[str | bytes], ...] = tuple(set() for _ in range(_SHARDS))
        # One big set copies itself whole when it grows: a second without answers at ten million. The shards copy
        # less at a time, and having unequal parts (the last twice the first's) they do not all grow in one call.
        self._slots = [shard for part, shard in enumerate(self._shards, start=_SHARDS) for _ in range(part)]

    def update(self, identifiers: Iterable[str]) -> None:
        """Add the identifiers that are not there yet."""
        slots, count = self._slots, len(self._slots)
        for member in map(_packed, identifiers):
            slots[hash(member) % count].add(member)

    def difference_update(self, identifiers: Iterable[str]) -> None:
        """Take out the identifiers that are there."""
        slots, count = self._slots, len(self._slots)
        for member in map(_packed, identifiers):
            slots[hash(member) % count].discard(member)

    def clear(self) -> None:
        """Take out every identifier."""
        for shard in self._shards:
            shard.clear()

    def __contains__(self, identifier: str) -> bool:
        member = _packed(identifier)
        return member in self._slots[hash(member) % len(self._slots)]

    def __iter__(self) -> Iterator[str]:
        for shard in self._shards:
            for member in shard:
                yield member.hex() if isinstance(member, bytes) else member

    def __len__(self) -> int:
        return sum(map(len, self._shards))


def _packed(identifier: str) -> str | bytes:
    """Returns the bytes that the text spells, when the same text can be made from them again."""
    if len(identifier) not in _HEX_LENGTHS:
        return identifier
    try:
        raw = bytes.fromhex(identifier)
    except ValueError:
        return identifier
    return raw if raw.hex() == identifier else identifier
