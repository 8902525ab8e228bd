"""Cuts a stream of prepared identifiers into batches of encoded JSON; does no I/O."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import orjson
from attrs import field, frozen
from xxhash import xxh3_128

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.models import HashAlgorithm, IdentifierType

MAX_BATCH_SIZE: Final = 50_000
"""Most identifiers in a call (Criteo's guides on contact lists)."""

DEFAULT_MAX_BODY_BYTES: Final = 8_000_000
"""Most bytes of identifiers in a call: Criteo answers 413 above some size, but does not publish it."""

_PIECE: Final = 2_000
_PART_OF_A_BODY: Final = 4_000
"""Limits the identifiers per piece for a small `max_bytes`: a batch ends when the next piece does not fit."""


_DIGEST: Final = {HashAlgorithm.MD5: 32}
_FRAME: Final = 3  # quotes and a comma


def least_size(algorithm: HashAlgorithm | None) -> int:
    """Returns the fewest bytes that an identifier takes: a digest has a fixed length, plain text has no minimum."""
    return 0 if algorithm is None else _DIGEST.get(algorithm, 64) + _FRAME


@frozen(kw_only=True)
class Batch:
    """Identifiers ready to send, encoded once, in pieces, so that no batch is sent in one long step.

    Attributes:
        number: its number, from 1, in the order of the source.
        count: identifiers in it.
        full: whether it reached the limit of size or bytes; otherwise the end of the source or the time ended it.
        kind: the kind of its identifiers, if the source has several kinds.
        pieces: joined, they are the inside of a JSON array of strings.
    """

    number: int
    count: int
    full: bool
    kind: IdentifierType | None = None
    pieces: tuple[bytes | memoryview, ...] = field(repr=False)
    _checksum: bytes | None = field(default=None, repr=False, eq=False)

    @property
    def size(self) -> int:
        """Bytes inside the JSON array."""
        return sum(map(len, self.pieces))

    @property
    def checksum(self) -> bytes:
        """A checksum of its bytes, however they are cut into pieces; not secret. 16 bytes of XXH3."""
        if self._checksum is not None:
            return self._checksum
        checksum = xxh3_128()
        for piece in self.pieces:
            checksum.update(piece)
        return checksum.digest()


class Batcher:
    """Collects identifiers and cuts a batch whenever the count or the bytes reach the limit."""

    def __init__(self, *, size: int = MAX_BATCH_SIZE, max_bytes: int = DEFAULT_MAX_BODY_BYTES) -> None:
        self._size = size
        self._max_bytes = max_bytes
        self._piece = max(1, min(_PIECE, max_bytes // _PART_OF_A_BODY))
        self._waiting: list[str] = []
        self._pieces: list[bytes] = []
        self._checksum = xxh3_128()
        self._count = 0
        self._bytes = 0
        self._cut = 0

    @property
    def pending(self) -> int:
        """Identifiers that were taken in but are not in a batch yet."""
        return self._count + len(self._waiting)

    @property
    def room(self) -> int:
        """How many more identifiers fill the next batch."""
        return self._size - self.pending

    def feed(self, identifiers: Sequence[str]) -> Iterator[Batch]:
        """Takes identifiers in and yields each batch that they fill."""
        taken = 0
        while taken < len(identifiers):
            room = min(self._piece - len(self._waiting), self.room)
            self._waiting += identifiers[taken : taken + room]
            taken += room
            if len(self._waiting) == self._piece or not self.room:
                yield from self._encode()
                if self._count == self._size:
                    yield self._cut_batch(full=True)

    def flush(self) -> Iterator[Batch]:
        """Yields the rest as an incomplete batch, if there is any."""
        yield from self._encode()
        if self._count:
            yield self._cut_batch(full=False)

    def _encode(self) -> Iterator[Batch]:
        """Encodes the waiting identifiers as one piece; first cuts the current batch if the piece does not fit."""
        if not self._waiting:
            return
        encoded = orjson.dumps(self._waiting)
        if self._count and self._bytes + len(encoded) > self._max_bytes:
            yield self._cut_batch(full=True)
        piece = (b"," if self._count else b"") + memoryview(encoded)[1:-1]
        self._pieces.append(piece)
        self._checksum.update(piece)  # much faster now, while the piece is still in the processor's cache
        self._bytes += len(piece)
        self._count += len(self._waiting)
        self._waiting = []

    def _cut_batch(self, *, full: bool) -> Batch:
        self._cut += 1
        checksum = self._checksum.digest()
        batch = Batch(number=self._cut, count=self._count, full=full, pieces=tuple(self._pieces), checksum=checksum)
        self._pieces, self._count, self._bytes = [], 0, 0
        self._checksum.reset()
        return batch


def single_batch(identifiers: Sequence[str]) -> Batch:
    """Makes the batch for a single call, from identifiers sent as they are.

    Raises:
        ConfigurationError: when there are no identifiers, or more than a call takes.
        TypeError: when an identifier is not text; names its position, never shows it.
    """
    if isinstance(identifiers, (str, bytes, Mapping)) or not isinstance(identifiers, Iterable):
        raise TypeError(f"identifiers must be a list of str, not a single {type(identifiers).__name__}")
    listed = list(identifiers)
    if not listed:
        raise ConfigurationError("identifiers must hold at least one identifier; found none.")
    if len(listed) > MAX_BATCH_SIZE:
        raise ConfigurationError(
            f"A call takes at most {MAX_BATCH_SIZE:,} identifiers, not {len(listed):,}; "
            "upload_contact_list splits any number into batches."
        )
    for position, identifier in enumerate(listed):
        if not isinstance(identifier, str):
            raise TypeError(f"identifier {position + 1:,}: expected a str, found {type(identifier).__name__}")
    (batch,) = Batcher(size=len(listed), max_bytes=sys.maxsize).feed(listed)
    return batch
