import ctypes
import itertools

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from criteo_audiences.models import HashAlgorithm, IdentifierType
from criteo_audiences.tables.cutter import Cutter, Digests, Shelf, framing_of
from criteo_audiences.tables.engine.arrow import Texts
from criteo_audiences.tables.engine.query import FRAME, HASHED

CODES = st.integers(0, HASHED + 3)
ROWS = st.lists(
    st.tuples(CODES, st.text(st.characters(max_codepoint=127, categories=["L", "N"]), max_size=90)), max_size=60
)
CHUNKS = st.lists(ROWS, max_size=4)
DIGEST_ROWS = st.lists(st.tuples(CODES, st.sampled_from(["a" * 32, "b" * 64, "0123456789abcdef" * 4])), max_size=60)
ONE_LENGTH = st.lists(st.tuples(CODES, st.sampled_from(["c" * 64, "d" * 64])), max_size=60)


def column(rows: list[tuple[int, str]], frame: str) -> tuple[bytes, Texts, object]:
    """Lays rows out as the engine does; the last thing returned keeps the bytes alive."""
    framed = [(text + frame).encode() if code <= HASHED else b"" for code, text in rows]
    held = ctypes.create_string_buffer(b"".join(framed))
    ends = [0, *itertools.accumulate(map(len, framed))]
    return bytes(code for code, _ in rows), Texts(ctypes.addressof(held), ends), held


def expected(texts: list[str], size: int, max_bytes: int) -> list[list[str]]:
    """Fills one batch after the other, text by text."""
    batches: list[list[str]] = []
    room = 0
    for text in texts:
        needed = len(text) + len(FRAME)
        if not batches or len(batches[-1]) == size or needed > room:
            batches.append([])
            room = max_bytes
        batches[-1].append(text)
        room -= needed
    return batches


@given(chunks=CHUNKS, size=st.integers(1, 12), max_bytes=st.integers(1, 400))
def test_batches_of_clear_texts_are_those_of_a_loop_over_the_rows(
    chunks: list[list[tuple[int, str]]], size: int, max_bytes: int
) -> None:
    """Whatever the codes, texts and bounds: the same batches as a simple loop fills, and none beyond its bounds."""
    check(chunks, size, max_bytes, None)


@given(chunks=st.lists(DIGEST_ROWS | ONE_LENGTH, max_size=4), size=st.integers(1, 12), max_bytes=st.integers(1, 400))
def test_batches_of_digests_are_those_of_a_loop_over_the_rows(
    chunks: list[list[tuple[int, str]]], size: int, max_bytes: int
) -> None:
    """Digests of one length and of two, in any mixture, come out as they went in."""
    check(chunks, size, max_bytes, HashAlgorithm.SHA256)


@pytest.mark.parametrize("short", [(), (1_999,), (0, 5_000, 9_999)], ids=["one length", "one shorter", "three shorter"])
def test_digests_beyond_one_piece_keep_their_order(short: tuple[int, ...]) -> None:
    """Ten thousand digests, more than a piece holds, with rows between them that do not go out."""
    digests = [f"{row:032x}" if row in short else f"{row:064x}" for row in range(10_000)]
    rows = [(HASHED + 1 if row % 7 == 3 else row % 2, digest) for row, digest in enumerate(digests)]
    check([rows], 6_000, 1_000_000, HashAlgorithm.SHA256)


@given(rounds=st.lists(st.tuples(st.integers(1, 3), st.sets(st.integers(0, 9))), max_size=8))
def test_a_batch_keeps_its_bytes_as_long_as_anyone_holds_a_piece(rounds: list[tuple[int, set[int]]]) -> None:
    """Whichever batches are let go of, the memory of the others is not used for those that come after."""
    numbers = itertools.count(1)
    cutter = Cutter(IdentifierType.EMAIL, Digests(), size=5, max_bytes=10_000, number=numbers.__next__)
    held: list[tuple[memoryview | bytes, list[str]]] = []
    for number, (batches, dropped) in enumerate(rounds):
        digests = [f"{number:032x}{row:032x}" for row in range(5 * batches)]
        codes, texts, _held = column([(0, digest) for digest in digests], "")
        for at, batch in enumerate(cutter.feed(codes, texts)):
            held.append((batch.pieces[1], digests[5 * at : 5 * at + 5]))
        held = [each for at, each in enumerate(held) if at not in dropped]
    cutter.close()
    assert all(orjson.loads(b'["' + piece + b"]") == digests for piece, digests in held)


def test_memory_is_used_again_once_no_piece_of_it_is_held() -> None:
    """That of a batch that is held is not, and after the end none is kept."""
    shelf = Shelf(1_000)
    first, second = shelf.take(10), shelf.take(1_000)
    places = {first.ctypes.data, second.ctypes.data}
    piece = first.data[:10]
    del first, second
    third, fourth = shelf.take(10), shelf.take(10)
    assert third.ctypes.data in places
    assert fourth.ctypes.data not in places
    assert len(shelf.take(2_000)) == 2_000  # one batch larger than all
    shelf.close()
    piece[:3] = b"abc"
    assert piece[:3] == b"abc"


def check(chunks: list[list[tuple[int, str]]], size: int, max_bytes: int, algorithm: HashAlgorithm | None) -> None:
    """Holds the batches of some chunks against those that a loop makes."""
    numbers = itertools.count(1)
    framing = framing_of(algorithm)
    cutter = Cutter(IdentifierType.EMAIL, framing, size=size, max_bytes=max_bytes, number=numbers.__next__)
    batches = []
    for rows in chunks:
        codes, texts, _held = column(rows, FRAME if algorithm is None else "")
        batches += cutter.feed(codes, texts)
    batches += cutter.flush()

    sent = [text for rows in chunks for code, text in rows if code <= HASHED]
    assert [orjson.loads(b"[" + b"".join(batch.pieces) + b"]") for batch in batches] == expected(sent, size, max_bytes)
    assert [batch.number for batch in batches] == list(range(1, len(batches) + 1))
    assert all(batch.full for batch in batches[:-1])
    assert all(batch.size <= max_bytes or batch.count == 1 for batch in batches)
    assert all(batch.count <= size for batch in batches)
