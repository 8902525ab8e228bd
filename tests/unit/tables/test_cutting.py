import ctypes
import itertools

import orjson
from hypothesis import given
from hypothesis import strategies as st

from criteo_audiences.models import IdentifierType
from criteo_audiences.tables.arrow import Texts
from criteo_audiences.tables.cutting import Cutter
from criteo_audiences.tables.query import FRAME, HASHED

CODES = st.integers(0, HASHED + 3)
ROWS = st.lists(
    st.tuples(CODES, st.text(st.characters(codec="ascii", categories=["L", "N"]), max_size=90)), max_size=60
)
CHUNKS = st.lists(ROWS, max_size=4)


def column(rows: list[tuple[int, str]]) -> tuple[bytes, Texts, object]:
    """Lays rows out as the engine does; the last thing returned keeps the bytes alive."""
    framed = [(text + FRAME).encode() if code <= HASHED else b"" for code, text in rows]
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
def test_batches_are_those_of_a_loop_over_the_rows(
    chunks: list[list[tuple[int, str]]], size: int, max_bytes: int
) -> None:
    """Whatever the codes, texts and bounds: the same batches as a simple loop fills, and none beyond its bounds."""
    numbers = itertools.count(1)
    cutter = Cutter(IdentifierType.EMAIL, size=size, max_bytes=max_bytes, number=numbers.__next__)
    batches = []
    for rows in chunks:
        codes, texts, _held = column(rows)
        batches += cutter.feed(codes, texts)
    batches += cutter.flush()

    sent = [text for rows in chunks for code, text in rows if code <= HASHED]
    assert [orjson.loads(b"[" + b"".join(batch.pieces) + b"]") for batch in batches] == expected(sent, size, max_bytes)
    assert [batch.number for batch in batches] == list(range(1, len(batches) + 1))
    assert all(batch.full for batch in batches[:-1])
    assert all(batch.size <= max_bytes or batch.count == 1 for batch in batches)
    assert all(batch.count <= size for batch in batches)
