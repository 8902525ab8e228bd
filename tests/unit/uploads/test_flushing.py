"""exp"""

import asyncio
from collections.abc import AsyncIterator
from hypothesis import given, settings, strategies as st, HealthCheck
from criteo_audiences.uploads import upload
from criteo_audiences.uploads.options import Settings


async def trickle(gaps):
    for n, gap in enumerate(gaps):
        if gap:
            await asyncio.sleep(gap)
        yield f"u{n}@example.com"


@given(
    gaps=st.lists(st.sampled_from([0, 0, 0, 0, 0, 0.01, 0.5, 3.0]), max_size=300),
    size=st.sampled_from([1, 2, 7, 50, 100, 128, 130, 1000]),
    latency=st.sampled_from([0, 0.1, 5.0]),
    conc=st.integers(1, 3),
)
@settings(max_examples=400, deadline=None)
def test_flush(run_in_virtual_time, fake_amend, assert_adds_up, gaps, size, latency, conc):
    """."""
    amend = fake_amend(latency=latency)

    async def main():
        return await upload(
            amend, "1", trickle([*gaps]), Settings(hash=None, flush_after=1.0, batch_size=size, max_concurrency=conc)
        )

    report = run_in_virtual_time(main())
    assert_adds_up(report)
    assert amend.identifiers == [f"u{n}@example.com" for n in range(len(gaps))]


@given(
    size=st.sampled_from([1, 2, 7, 50, 100, 128, 130, 1000]),
    conc=st.integers(1, 3),
    latency=st.sampled_from([0, 0.1, 5.0]),
    burst=st.integers(1, 500),
)
@settings(max_examples=400, deadline=None)
def test_flush_late(run_in_virtual_time, fake_amend, assert_adds_up, size, conc, latency, burst):
    """."""
    amend = fake_amend(latency=latency)

    async def source():
        for n in range(burst):
            yield f"u{n}@example.com"
        await asyncio.sleep(1000)
        yield "last@example.com"
        await asyncio.sleep(1000)
        assert len(amend.identifiers) == burst + 1

    async def main():
        return await upload(
            amend, "1", source(), Settings(hash=None, flush_after=1.0, batch_size=size, max_concurrency=conc)
        )

    report = run_in_virtual_time(main())
    assert_adds_up(report)
