from collections.abc import Sequence

import orjson
import pytest
import xxhash
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from criteo_audiences.batches import Batch, Batcher

IDENTIFIERS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=40), max_size=1_500)
LARGEST_PIECE = 2_000


def inside(batch: Batch) -> list[str]:
    """Returns a batch's identifiers."""
    return orjson.loads(b"[" + b"".join(batch.pieces) + b"]")


def cut(identifiers: Sequence[str], *, slices: int = 128, **bounds: int) -> list[Batch]:
    """Feeds identifiers as an upload does, slice by slice."""
    batcher = Batcher(**bounds)
    batches: list[Batch] = []
    for start in range(0, len(identifiers), slices):
        batches += batcher.feed(identifiers[start : start + slices])
        assert batcher.pending == min(len(identifiers), start + slices) - sum(batch.count for batch in batches)
    batches += batcher.flush()
    assert batcher.pending == 0
    return batches


@given(identifiers=IDENTIFIERS, size=st.integers(1, 1_200), slices=st.integers(1, 1_600))
def test_batches_hold_every_identifier_once_and_in_order(identifiers: list[str], size: int, slices: int) -> None:
    """Joined, the batches are the input; numbers count from 1, none is above the size, all but the last are full."""
    batches = cut(identifiers, size=size, slices=slices)
    assert [identifier for batch in batches for identifier in inside(batch)] == identifiers
    assert [batch.number for batch in batches] == [*range(1, len(batches) + 1)]
    assert [batch.count for batch in batches] == [len(inside(batch)) for batch in batches]
    assert all(batch.count == size and batch.full for batch in batches[:-1])
    assert all(0 < batch.count <= size for batch in batches)
    assert all(batch.full == (batch.count == size) for batch in batches)


@given(identifiers=IDENTIFIERS, size=st.integers(1, 1_200), max_bytes=st.integers(1, 30_000))
def test_no_batch_is_beyond_the_bytes(identifiers: list[str], size: int, max_bytes: int) -> None:
    """The bound of bytes is kept, but for a batch of a single piece; nothing is lost where the two bounds meet."""
    batches = cut(identifiers, size=size, max_bytes=max_bytes)
    assert [identifier for batch in batches for identifier in inside(batch)] == identifiers
    assert all(batch.size <= max_bytes or len(batch.pieces) == 1 for batch in batches)
    assert all(batch.size == len(b"".join(batch.pieces)) for batch in batches)
    assert all(batch.count <= size for batch in batches)
    assert all(batch.full for batch in batches[:-1])


@pytest.mark.parametrize("count", [49_999, 50_000, 50_001, 100_000])
def test_criteos_bound_is_the_default(count: int) -> None:
    """50,000 fill a batch and one more begins the next; no piece is so large that sending it takes long."""
    batches = cut(["a@b.co"] * count)
    assert [batch.count for batch in batches] == [50_000] * (count // 50_000) + [count % 50_000] * (count % 50_000 > 0)
    assert all(len(orjson.loads(b"[" + piece.lstrip(b",") + b"]")) <= LARGEST_PIECE for piece in batches[0].pieces)


@given(identifiers=IDENTIFIERS, size=st.integers(1, 1_200), max_bytes=st.integers(1, 30_000))
def test_a_checksum_is_of_the_bytes_whatever_the_pieces(identifiers: list[str], size: int, max_bytes: int) -> None:
    """It is the same whether it grew with the pieces, or is worked out from them or from the whole."""
    for batch in cut(identifiers, size=size, max_bytes=max_bytes):
        whole = b"".join(batch.pieces)
        assert batch.checksum == xxhash.xxh3_128(whole).digest()
        assert evolve(batch, checksum=None).checksum == batch.checksum
        assert evolve(batch, checksum=None, pieces=(whole[:7], whole[7:])).checksum == batch.checksum
        assert evolve(batch, checksum=None, pieces=(whole + b" ",)).checksum != batch.checksum


def test_a_batch_shows_no_identifier() -> None:
    """The pieces stay out of its repr."""
    (batch,) = cut(["planted@example.com"])
    assert repr(batch) == "Batch(number=1, count=1, full=False, kind=None)"
