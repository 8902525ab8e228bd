"""Room for batches in flight: by bytes, by number, and shared by the uploads of a client."""

import asyncio
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from criteo_audiences.meter import CallEnd, CallMeter
from criteo_audiences.models import ContactListOperation
from criteo_audiences.uploads import Amendment
from criteo_audiences.uploads.slots import START, LimitedBy, Slots, UploadSlots
from tests.kit import LIST, emails, options_of, run_in_virtual_time, settle, upload

PLENTY = 10**9


def opened(slots: Slots, *, ceiling: int | None = None, most_bytes: int = PLENTY) -> UploadSlots:
    """Returns the slots of an upload whose calls nobody watches."""
    return slots.opened(CallMeter(), ceiling=ceiling, most_bytes=most_bytes)


@given(st.lists(st.integers(1, 100), min_size=1, max_size=60), st.integers(100, 300))
def test_bytes_in_flight_stay_within_their_bound(sizes: list[int], most_bytes: int) -> None:
    """Whatever the sizes of the batches, and in whatever order they come back; all of them go out."""
    held: list[int] = []

    async def main() -> None:
        slots = opened(Slots(), ceiling=100, most_bytes=most_bytes)

        async def send(size: int, seconds: int) -> None:
            with slots.left_with(size):
                held.append(size)
                assert sum(held) <= most_bytes
                await asyncio.sleep(seconds)
                held.remove(size)

        async with asyncio.TaskGroup() as group:
            for number, size in enumerate(sizes):
                await slots.enter(size)
                group.create_task(send(size, number * 7 % 5))
        assert slots.held == 0

    run_in_virtual_time(main())


async def test_a_batch_larger_than_the_bound_goes_out_alone() -> None:
    """One identifier may be larger than a body; it must not hold up the upload for ever."""
    slots = opened(Slots(), most_bytes=10)
    await slots.enter(11)
    next_one = asyncio.create_task(slots.enter(1))
    await settle()
    assert (next_one.done(), slots.limited_by) == (False, LimitedBy.MEMORY)
    with slots.left_with(11):
        pass
    await next_one


async def test_an_upload_that_begins_later_gets_its_half() -> None:
    """Each slot that comes free goes to the upload that has the fewest, until they have as many."""
    slots = Slots()
    first, second = opened(slots), opened(slots)
    for _ in range(START):
        await first.enter(1)
    waiting = [asyncio.create_task(first.enter(1)), asyncio.create_task(second.enter(1))]
    await waiting[1]  # an upload without a batch in flight always gets one
    waiting[1] = asyncio.create_task(second.enter(1))
    for _ in range(2):
        with first.left_with(1):
            pass
        await settle()
    assert (first.held, second.held) == (2, 2)
    assert not waiting[0].done()
    waiting[0].cancel()


async def test_a_wait_that_is_cancelled_holds_nothing() -> None:
    """Neither before its turn nor in the moment of it."""
    slots = opened(Slots(), ceiling=1)
    await slots.enter(1)
    waiting = asyncio.create_task(slots.enter(1))
    await settle()
    waiting.cancel()
    await settle()
    waiting = asyncio.create_task(slots.enter(1))
    await settle()
    with slots.left_with(1):
        pass
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert slots.held == 0
    await slots.enter(1)


async def test_no_more_batches_wait_for_the_quota_than_it_takes_at_once() -> None:
    """What is beyond them would only take memory."""
    meter = CallMeter()
    slots = Slots().opened(meter, ceiling=None, most_bytes=PLENTY)
    with ExitStack() as stack:
        for _ in range(START):
            await slots.enter(1)
            stack.enter_context(meter.waiting())
        waiting = asyncio.create_task(slots.enter(1))
        await settle()
        assert (waiting.done(), slots.limited_by) == (False, LimitedBy.QUOTA)
        waiting.cancel()


def test_a_retry_does_not_starve_the_others() -> None:
    """Batches that wait a minute for their retry leave their slots to others, which need no minute."""
    finished: list[int] = []

    async def amend(amendment: Amendment) -> ContactListOperation:
        meter, number = amendment.meter, amendment.batch.number
        assert meter is not None
        meter.count_call()
        await asyncio.sleep(0.1)
        if number <= START:
            meter.count_end(CallEnd.FAILED)
            await asyncio.sleep(60.0)
            meter.count_call()
        meter.count_end(CallEnd.ANSWERED)
        finished.append(number)
        return ContactListOperation(valid=amendment.batch.count, invalid=0)

    async def main() -> Any:
        loop = asyncio.get_running_loop()
        return await upload(amend, LIST, emails(50), options_of(batch_size=1), slots=Slots(loop.time))

    assert run_in_virtual_time(main()).valid == 50
    assert sorted(finished[-START:]) == list(range(1, START + 1))


def test_two_uploads_of_a_client_end_together() -> None:
    """They share what one alone would have; neither waits for the other's end."""
    ended: list[float] = []

    async def amend(amendment: Amendment) -> ContactListOperation:
        await asyncio.sleep(1.0)
        return ContactListOperation(valid=amendment.batch.count, invalid=0)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        slots = Slots(loop.time)

        async def one() -> None:
            await upload(amend, LIST, emails(40), options_of(batch_size=1), slots=slots)
            ended.append(loop.time())

        await asyncio.gather(one(), one())

    run_in_virtual_time(main())
    assert max(ended) - min(ended) <= 2.0
    assert max(ended) == pytest.approx(80 / START, abs=2.0)


def test_the_report_says_what_the_number_in_flight_came_from(fake_amend: Any) -> None:
    """Memory, the caller's number, or the source."""

    def report(**options: Any) -> Any:
        async def main() -> Any:
            loop = asyncio.get_running_loop()
            settings = options_of(**{"batch_size": 5_000, **options})
            return await upload(fake_amend(latency=1.0), LIST, emails(60_000), settings, slots=Slots(loop.time))

        return run_in_virtual_time(main())

    bounded = report(max_body_bytes=200_000, max_in_flight_bytes=200_000)
    assert (bounded.limited_by, bounded.most_in_flight) == (LimitedBy.MEMORY, 2)
    assert report(max_concurrency=3).limited_by is LimitedBy.MAX_CONCURRENCY
    assert bounded.to_dict()["limited_by"] == "memory"
