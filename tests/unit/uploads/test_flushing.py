import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from criteo_audiences.uploads import UploadReport
from tests.kit import LIST, assert_adds_up, options_of, run_in_virtual_time, upload

FLUSH_AFTER = 1.0
GAPS = st.lists(st.sampled_from([0.0] * 8 + [0.01, 0.5, 3.0]), max_size=300)
SIZES = st.sampled_from([1, 2, 7, 50, 100, 128, 130, 1_000])
LATENCIES = st.sampled_from([0.0, 0.1, 5.0])


class Trickle:
    """A source that waits before some of its rows, and remembers when each of them came."""

    def __init__(self, gaps: list[float], length: int = 0) -> None:
        self._gaps = gaps
        self._tail = "x" * length
        self.came_at: dict[str, float] = {}

    async def __aiter__(self) -> AsyncIterator[str]:
        for number, gap in enumerate(self._gaps):
            if gap:
                await asyncio.sleep(gap)
            row = f"{number}@{self._tail}.co" if self._tail else f"{number}@example.com"
            self.came_at[row] = asyncio.get_running_loop().time()
            yield row


def trickle_up(amend: Any, source: object, **options: Any) -> UploadReport:
    """Uploads in virtual time, flushing after a second."""
    settings = options_of(**{"flush_after": FLUSH_AFTER, **options})
    report = run_in_virtual_time(upload(amend, LIST, source, settings))
    assert_adds_up(report)
    return report


@given(gaps=GAPS, size=SIZES, latency=LATENCIES, senders=st.integers(1, 3))
@example(gaps=[0.0] * 128 + [3.0], size=50, latency=5.0, senders=1)
@example(gaps=[0.01, 0.5, 0.5], size=130, latency=0.1, senders=1)  # the source ends when a flush is due
def test_nothing_is_lost_or_sent_twice(
    fake_amend: Callable[..., Any],
    gaps: list[float],
    size: int,
    latency: float,
    senders: int,
) -> None:
    """However a source trickles and however busy the senders are, every row goes out once and in order."""
    amend, source = fake_amend(latency=latency), Trickle(gaps)
    report = trickle_up(amend, source, batch_size=size, max_concurrency=senders)
    assert amend.identifiers == list(source.came_at)
    assert report.valid == len(gaps)
    assert report.ok is bool(gaps)


@given(gaps=GAPS, size=SIZES)
def test_a_row_waits_as_long_as_it_should_and_no_longer(
    fake_amend: Callable[..., Any], gaps: list[float], size: int
) -> None:
    """With senders free, no row waits longer than asked for, and no batch goes out incomplete before that."""
    amend, source = fake_amend(), Trickle(gaps)
    trickle_up(amend, source, batch_size=size, max_concurrency=50)
    went_at = {amendment.batch.number: at for amendment, at in zip(amend.received, amend.arrived_at, strict=True)}
    for number, batch in enumerate(amend.batches, start=1):
        waited = went_at[number] - source.came_at[batch[0]]
        assert waited <= FLUSH_AFTER + 1e-6
        assert len(batch) == size or number == len(amend.batches) or waited >= FLUSH_AFTER - 1e-6


@given(burst=st.integers(1, 600), size=SIZES, latency=LATENCIES, senders=st.integers(1, 3))
@example(burst=128, size=1, latency=0.1, senders=1)
def test_what_came_goes_out_while_the_source_is_still_open(
    fake_amend: Callable[..., Any],
    burst: int,
    size: int,
    latency: float,
    senders: int,
) -> None:
    """After a burst of any length the rest of it goes out, and so does a row that comes much later."""
    amend = fake_amend(latency=latency)

    async def source() -> AsyncIterator[str]:
        for number in range(burst):
            yield f"{number}@example.com"
        await asyncio.sleep(burst * latency + FLUSH_AFTER + 0.1)
        assert len(amend.identifiers) == burst
        yield "late@example.com"
        await asyncio.sleep(latency + FLUSH_AFTER + 0.1)
        assert amend.identifiers[-1] == "late@example.com"

    assert trickle_up(amend, source(), batch_size=size, max_concurrency=senders).valid == burst + 1


@pytest.mark.parametrize("latency", [0.5, 1.5, 5.0])
def test_a_batch_that_its_bytes_fill_is_not_flushed_twice(fake_amend: Callable[..., Any], latency: float) -> None:
    """While a batch that is full by bytes waits for a sender, a flush does not touch the one behind it."""
    amend, source = fake_amend(latency=latency), Trickle([0.0001] * 6_000, length=60)
    report = trickle_up(amend, source, max_body_bytes=200_000, max_concurrency=1, flush_after=0.4)
    assert amend.identifiers == list(source.came_at)
    assert report.read == report.valid == 6_000


def test_a_full_batch_goes_out_at_once(fake_amend: Callable[..., Any]) -> None:
    """A source that waits for its rows to be acknowledged before it gives more is not waited for in turn."""
    amend = fake_amend()

    async def source() -> AsyncIterator[str]:
        for number in range(35):
            if number % 10 == 0:
                await asyncio.sleep(0.001)
                assert len(amend.identifiers) == number
            yield f"{number}@example.com"

    assert trickle_up(amend, source(), batch_size=10, flush_after=None).valid == 35


def test_a_bad_row_found_by_a_flush_ends_the_upload(fake_amend: Callable[..., Any]) -> None:
    """The clockwork of the flush raises what the reader would have raised."""

    async def source() -> AsyncIterator[Any]:
        yield "a@b.co"
        yield 5
        await asyncio.sleep(100)

    with pytest.raises(TypeError, match="row 2 of the source"):
        trickle_up(fake_amend(), source())


def test_without_flush_after_an_incomplete_batch_waits_for_the_end(fake_amend: Callable[..., Any]) -> None:
    """A source that trickles costs one call, unless asked otherwise."""
    amend = fake_amend()
    assert trickle_up(amend, Trickle([100.0] * 10), flush_after=None).batches == 1
