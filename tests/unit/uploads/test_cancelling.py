import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from criteo_audiences import ConfigurationError, RequestTimeout, UploadReport
from criteo_audiences.models import ContactListOperation
from criteo_audiences.uploads import Amendment, UploadStream
from tests.kit import LIST, assert_adds_up, checked, emails, options_of, stream, upload

Fake = Callable[..., Any]


class Run:
    """An upload with two senders and batches of ten, in a task of its own."""

    def __init__(self, amend: Any, source: object = None, **options: Any) -> None:
        settings = options_of(**{"batch_size": 10, "max_concurrency": 2, **options})
        self._stream = stream(amend, LIST, emails() if source is None else source, settings)
        self._results: UploadStream | None = None
        self.task = asyncio.create_task(self._consume())

    async def _consume(self) -> None:
        async with self._stream as self._results:
            async for _ in self._results:
                pass

    @property
    def report(self) -> UploadReport:
        """What it has done."""
        assert self._results is not None
        return self._results.report

    async def cancel(self) -> None:
        """Cancels the task and waits for its end, which must be a cancellation."""
        self.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await self.task


def test_what_was_in_flight_is_unknown(fake_amend: Fake) -> None:
    """A canceled upload counts the batches in flight as unknown, and what no call has carried as pending."""
    amend = fake_amend(latency=1.0)

    async def main() -> UploadReport:
        run = Run(amend)
        await asyncio.sleep(2.5)
        await run.cancel()
        return run.report

    report = checked(main())
    assert (report.valid, report.unknown, report.batches, report.calls) == (40, 20, 6, 6)
    assert report.pending == report.read - 60 > 0
    assert amend.in_flight == 0
    assert not report.ok


def test_a_timeout_around_an_upload_is_a_timeout(fake_amend: Fake) -> None:
    """`asyncio.timeout` works around an upload as around anything else."""
    reports = []

    async def consume() -> None:
        settings = options_of(batch_size=10)
        async with asyncio.timeout(2.5), stream(fake_amend(latency=1.0), LIST, emails(), settings) as results:
            reports.append(results)
            async for _ in results:
                pass

    async def main() -> UploadReport:
        with pytest.raises(TimeoutError):
            await consume()
        return reports[0].report

    assert checked(main()).unknown == 40


@pytest.mark.parametrize("taken", [0, 1, 3])
def test_leaving_the_block_early_cancels_what_still_runs(taken: int, fake_amend: Fake) -> None:
    """No exception, no task, and a report of what is known."""

    async def main() -> UploadReport:
        settings = options_of(batch_size=10, max_concurrency=2)
        async with stream(fake_amend(latency=1.0), LIST, emails(), settings) as results:
            for _ in range(taken):
                await anext(results)
        return results.report

    report = checked(main())
    assert report.valid >= 10 * taken
    assert report.valid + report.unknown == 10 * report.batches


def test_a_batch_that_still_waits_for_the_quota_is_pending() -> None:
    """Canceled before a request was made, it was not sent, whatever the drain allowed it."""

    async def amend(_: Amendment) -> ContactListOperation:
        await asyncio.sleep(1_000)
        raise AssertionError

    async def main(drain: float) -> UploadReport:
        run = Run(amend, drain_timeout=drain)
        await asyncio.sleep(1)
        await run.cancel()
        return run.report

    for drain in (0, 5):
        report = checked(main(drain))
        assert (report.sent, report.unknown, report.batches, report.failures) == (0, 0, 0, ())
        assert report.pending == report.read > 0


def test_batches_in_flight_may_finish_within_drain_timeout(fake_amend: Fake) -> None:
    """What was in flight arrives and is counted; nothing else is begun."""
    amend = fake_amend(latency=3.0)

    async def main() -> UploadReport:
        run = Run(amend, drain_timeout=5)
        await asyncio.sleep(1)
        await run.cancel()
        assert asyncio.get_running_loop().time() == pytest.approx(3.0, abs=0.01)
        return run.report

    report = checked(main())
    assert (report.valid, report.unknown, len(amend.received)) == (20, 0, 2)


def test_drain_timeout_ends_too(fake_amend: Fake) -> None:
    """What does not finish in time is unknown, and its batch is among the failures."""
    amend = fake_amend(latency=1_000)

    async def main() -> UploadReport:
        run = Run(amend, drain_timeout=5)
        await asyncio.sleep(1)
        await run.cancel()
        assert asyncio.get_running_loop().time() == pytest.approx(6.0, abs=0.01)
        return run.report

    report = checked(main())
    assert (report.unknown, report.batches) == (20, 2)
    assert {type(failure.error) for failure in report.failures} == {RequestTimeout}


def test_an_impatient_second_cancellation_does_no_harm(fake_amend: Fake) -> None:
    """Canceled again during the drain, the upload still ends in order and within the drain's time."""

    async def main() -> UploadReport:
        run = Run(fake_amend(latency=1_000), drain_timeout=5)
        await asyncio.sleep(1)
        run.task.cancel()
        await asyncio.sleep(1)
        await run.cancel()
        assert asyncio.get_running_loop().time() <= 6.01
        return run.report

    assert checked(main()).unknown == 20


def test_waiting_for_the_drain_costs_nothing(fake_amend: Fake) -> None:
    """The event loop is not kept busy while batches drain."""
    turns = 0

    async def main() -> UploadReport:
        nonlocal turns
        run = Run(fake_amend(latency=1_000), drain_timeout=5)
        await asyncio.sleep(1)
        loop = asyncio.get_running_loop()
        selecting = loop._selector.select

        def select(timeout: float | None) -> Any:
            nonlocal turns
            turns += 1
            return selecting(timeout)

        loop._selector.select = select
        await run.cancel()
        return run.report

    checked(main())
    assert turns < 50


@pytest.mark.parametrize("error", [None, ValueError("mine")])
def test_a_block_left_before_anything_began(error: Exception | None, fake_amend: Fake) -> None:
    """Nothing is sent, nothing is left open, and an exception comes out unchanged."""
    amend = fake_amend()

    async def main() -> UploadReport:
        try:
            async with stream(amend, LIST, emails(), options_of(batch_size=10)) as results:
                if error is not None:
                    raise error
        except ValueError as caught:
            assert caught is error  # noqa: PT017 - that very object
        return results.report

    report = checked(main())
    assert (report.sent, amend.received) == (0, [])


def test_canceling_while_the_source_waits(fake_amend: Fake) -> None:
    """A source that is waited for gets a CancelledError, and what it gave is accounted for."""
    ended: list[str] = []

    async def source() -> AsyncIterator[str]:
        try:
            for number in range(25):
                yield f"{number}@example.com"
            await asyncio.Event().wait()
        finally:
            ended.append("ended")

    async def main() -> UploadReport:
        run = Run(fake_amend(), source())
        await asyncio.sleep(1)
        await run.cancel()
        return run.report

    report = checked(main())
    assert ended == ["ended"]
    assert (report.valid, report.unknown) == (20, 0)


def test_canceling_while_a_flush_waits_for_a_sender(fake_amend: Fake) -> None:
    """A batch that a flush has cut and nobody has taken is pending, not lost."""

    async def source() -> AsyncIterator[str]:
        for number in range(25):
            yield f"{number}@example.com"
        await asyncio.Event().wait()

    async def main() -> UploadReport:
        run = Run(fake_amend(latency=1_000), source(), flush_after=1)
        await asyncio.sleep(5)
        await run.cancel()
        return run.report

    report = checked(main())
    assert (report.read, report.unknown, report.pending) == (25, 20, 5)


LANES: dict[str, Callable[[list[str]], Any]] = {
    "iterable": lambda values: values,
    "table": lambda values: pl.DataFrame({"email": values}),
}


async def within_no_time(task: "asyncio.Task[Any]") -> None:
    """Awaits a task until its time is up, which it is."""
    async with asyncio.timeout(0):
        await task


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("how", ["cancel", "timeout", "wait_for"])
async def test_a_canceled_upload_says_how_far_it_came(lane: str, how: str, fake_amend: Fake) -> None:
    """The cancellation carries a note with counts; of a time-out it is the cause."""
    second = asyncio.Event()

    async def reply(amendment: Amendment) -> ContactListOperation:
        if amendment.batch.number == 2:
            second.set()
            await asyncio.Event().wait()
        return ContactListOperation(valid=10, invalid=0)

    rows = [f"{number}@example.com" for number in range(30)]
    options = options_of(batch_size=10, max_concurrency=1)
    task = asyncio.create_task(upload(fake_amend(reply=reply), LIST, LANES[lane](rows), options))
    await second.wait()
    if how == "cancel":
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as canceled:
            await task
        error: BaseException | None = canceled.value
    else:
        with pytest.raises(TimeoutError) as late:
            await (within_no_time(task) if how == "timeout" else asyncio.wait_for(task, 0))
        error = late.value.__cause__
    (note,) = getattr(error, "__notes__", ())
    assert note == (
        "The upload stopped early: 30 rows read, 20 sent, 10 valid, 10 unknown, 10 pending. Running it again is safe."
    )


async def test_one_row_is_said_to_be_one(fake_amend: Fake) -> None:
    """The note counts a single row as "1 row"."""
    sent = asyncio.Event()

    async def reply(_: Amendment) -> ContactListOperation:
        sent.set()
        await asyncio.Event().wait()
        return ContactListOperation(valid=1, invalid=0)

    task = asyncio.create_task(upload(fake_amend(reply=reply), LIST, ["a@example.com"], options_of()))
    await sent.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as canceled:
        await task
    assert canceled.value.__notes__[0].startswith("The upload stopped early: 1 row read, 1 sent, ")


async def test_an_upload_that_is_canceled_before_it_begins_says_so(fake_amend: Fake) -> None:
    """While it looks at its segment, for example."""
    looking = asyncio.Event()

    async def look() -> None:
        looking.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(upload(fake_amend(), LIST, ["a@b.co"], options_of(), look))
    await looking.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    assert "0 rows read, 0 sent" in caught.value.__notes__[0]


async def test_progress_that_turns_out_to_be_a_coroutine_ends_the_upload(fake_amend: Fake) -> None:
    """A lambda shows only when it is called what it returns; nothing stays unawaited."""

    async def note(_: object) -> None:
        raise AssertionError

    with pytest.raises(ConfigurationError, match="on_progress returned a coroutine"):
        await upload(fake_amend(), LIST, ["a@b.co"], options_of(on_progress=lambda _: note(...)))
    gc.collect()


def in_a_generator(amend: Any, source: object, seen: list[UploadStream], **options: Any) -> AsyncIterator[int]:
    """Hands out the numbers of batches from inside the block of an upload."""

    async def numbers() -> AsyncIterator[int]:
        settings = options_of(**{"batch_size": 10, "max_concurrency": 2, **options})
        async with stream(amend, LIST, source, settings) as results:
            seen.append(results)
            async for batch in results:
                yield batch.number

    return numbers()


async def leave_by_break(numbers: AsyncIterator[int]) -> None:
    """Takes one."""
    async for _ in numbers:
        break


async def leave_by_return(numbers: AsyncIterator[int]) -> int:
    """Takes one, from a helper that returns in the middle."""
    async for number in numbers:
        return number
    return 0


async def leave_by_error(numbers: AsyncIterator[int]) -> None:
    """Takes one and fails."""
    with contextlib.suppress(ZeroDivisionError):
        async for number in numbers:
            number / 0


async def leave_by_closing(numbers: AsyncIterator[int]) -> None:
    """Takes one and closes the generator in another task."""
    await anext(numbers)
    await asyncio.create_task(numbers.aclose())  # type: ignore[attr-defined]


LEAVING = [leave_by_break, leave_by_return, leave_by_error, leave_by_closing]


@pytest.mark.parametrize("leave", LEAVING)
@pytest.mark.parametrize("lane", ["iterable", "table", "endless"])
@pytest.mark.parametrize("drain_timeout", [0.0, 5.0])
async def test_a_generator_that_is_left_stops_its_upload_and_nothing_else(
    leave: Callable[[AsyncIterator[int]], Awaitable[None]],
    lane: str,
    drain_timeout: float,
    fake_amend: Fake,
    tmp_path: Path,
) -> None:
    """The upload ends, its journal is closed and its report adds up; every later wait of the caller works."""
    rows = [f"{number}@example.com" for number in range(300)]
    source = emails() if lane == "endless" else LANES[lane](rows)
    seen: list[UploadStream] = []
    before = asyncio.all_tasks()
    gc.freeze()  # the collection below looks only at what this test has made
    options = {"drain_timeout": drain_timeout, "journal": tmp_path / "journal"}
    await leave(in_a_generator(fake_amend(), source, seen, **options))
    task = asyncio.current_task()
    assert task is not None
    gc.collect()
    async with asyncio.timeout(10):
        while asyncio.all_tasks() != before:  # noqa: ASYNC110 - nothing tells when a generator has been closed
            await asyncio.sleep(0.001)
    assert task.cancelling() == 0
    for _ in range(50):
        await asyncio.sleep(0)
    (results,) = seen
    assert_adds_up(results.report)
    assert results.report.valid >= 10
    assert results.report.sent < len(rows) or lane == "endless"
    assert [batch async for batch in results] == []
    again = options_of(batch_size=10, journal=tmp_path / "journal")
    assert (await upload(fake_amend(), LIST, rows, again)).ok  # the journal is free


async def test_what_ends_an_upload_reaches_a_generators_caller(fake_amend: Fake) -> None:
    """An error of the source is raised where the next result is waited for, once, and cancels nobody."""

    def broken() -> Iterator[str]:
        yield from (f"{number}@example.com" for number in range(40))
        raise ValueError("mine")

    numbers = in_a_generator(fake_amend(), broken(), [])
    with pytest.raises(ValueError, match="mine") as caught:
        _ = [number async for number in numbers]
    assert caught.value.__context__ is None
    await asyncio.sleep(0)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_second_cancellation_does_not_leave_the_upload_behind(fake_amend: Fake) -> None:
    """Whoever waits for the block's end and is canceled again waits on, and the upload hurries."""
    stuck = asyncio.Event()

    async def reply(_: Amendment) -> ContactListOperation:
        stuck.set()
        await asyncio.Event().wait()
        raise AssertionError

    before = asyncio.all_tasks()
    run = Run(fake_amend(reply=reply), drain_timeout=60.0)
    await stuck.wait()
    run.task.cancel()
    for _ in range(20):
        await asyncio.sleep(0)
    assert not run.task.done()
    for task in asyncio.all_tasks() - before:
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run.task
    assert asyncio.all_tasks() == before
    assert run.report.unknown == 20
