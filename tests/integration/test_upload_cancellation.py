import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import psutil
import pytest

from criteo_audiences import CriteoClient
from tests.kit import AMENDING, emails

SetStage = Callable[..., AbstractAsyncContextManager[Any]]


def connections(url: str) -> int:
    """Counts the connections to a server that this process holds open as its client."""
    port = urlsplit(url).port
    held = psutil.Process().net_connections("tcp")
    return sum(1 for each in held if each.raddr and each.raddr.port == port and each.status == psutil.CONN_ESTABLISHED)


async def until(condition: Callable[[], bool]) -> None:
    """Waits for a condition of the server, or fails."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - sockets have no event to wait for
            await asyncio.sleep(0.001)


def tasks() -> set["asyncio.Task[Any]"]:
    """Returns the tasks there are, but for those of the sandbox's server, which has one a connection."""
    return {task for task in asyncio.all_tasks() if "RequestHandler" not in repr(task.get_coro())}


@asynccontextmanager
async def nothing_left(caplog: pytest.LogCaptureFixture) -> AsyncIterator[None]:
    """Asserts that a block leaves no task behind, and that nothing complains; unraisable errors fail a test anyway."""
    before = tasks()
    yield
    assert tasks() == before
    gc.collect()
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


async def cancel(uploading: "asyncio.Task[Any]") -> None:
    """Cancels a task and waits for its end, which must be a cancellation."""
    uploading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await uploading


async def by_cancelling(stage: Any, busy: Callable[[], Awaitable[None]], **options: Any) -> None:
    """Cancels the task that awaits an upload."""
    uploading = asyncio.create_task(stage.upload(emails(), batch_size=100, **options))
    await busy()
    await cancel(uploading)


async def by_leaving(stage: Any, busy: Callable[[], Awaitable[None]], **options: Any) -> None:
    """Leaves a stream's block while batches are in flight."""
    ms = stage.criteo.marketing_solutions
    async with ms.stream_contact_list(stage.segment_id, emails(), hash=None, batch_size=100, **options) as results:
        await busy()
    assert results.report.unknown == results.report.sent > 0


async def by_timeout(stage: Any, busy: Callable[[], Awaitable[None]], **options: Any) -> None:
    """Lets the time run out around an upload."""

    async def limited() -> None:
        async with asyncio.timeout(None) as limit:
            uploading = asyncio.current_task()
            assert uploading is not None

            async def expire() -> None:
                await busy()
                limit.reschedule(asyncio.get_running_loop().time())

            expiring = asyncio.create_task(expire())
            try:
                await stage.upload(emails(), batch_size=100, **options)
            finally:
                await expiring

    with pytest.raises(TimeoutError):
        await limited()


@pytest.mark.parametrize("end", [by_cancelling, by_leaving, by_timeout])
@pytest.mark.parametrize("options", [{}, {"drain_timeout": 0.05}, {"flush_after": 0.01}], ids=str)
async def test_ending_in_the_middle_leaves_nothing(
    end: Callable[..., Awaitable[None]], options: dict[str, Any], set_stage: SetStage, caplog: pytest.LogCaptureFixture
) -> None:
    """No task, no connection in use, no warning; the client works on, and closing it closes the rest."""
    async with set_stage() as stage, nothing_left(caplog):
        stage.sandbox.fail_next(delay=30, times=4, on=AMENDING)

        async def busy() -> None:
            await until(lambda: len(stage.calls) == 4)

        await end(stage, busy, **options)
        await until(lambda: connections(stage.sandbox.url) <= 1)  # the idle one that the token came over
        assert (await stage.upload(["a@b.co"])).ok
        await stage.criteo.aclose()
        await until(lambda: connections(stage.sandbox.url) == 0)


async def test_batches_in_flight_arrive_within_drain_timeout(set_stage: SetStage) -> None:
    """Canceled, an upload that was given time lets the calls it made come to their end, and makes no more."""
    async with set_stage(latency=0.05) as stage:
        upload = stage.criteo.marketing_solutions.stream_contact_list(
            stage.segment_id, emails(), hash=None, batch_size=100, max_concurrency=3, drain_timeout=10
        )
        async with upload as results:
            await until(lambda: len(stage.calls) == 3)
        assert [call.status for call in stage.calls] == [200] * 3
        assert len(stage.held) == results.report.valid == 300
        assert results.report.unknown == 0


async def test_a_task_canceled_at_any_moment_leaves_nothing(
    set_stage: SetStage, caplog: pytest.LogCaptureFixture
) -> None:
    """From before the first call for a token to the middle of a flight: after each number of turns of the loop."""
    async with set_stage() as stage, nothing_left(caplog):
        for turns in (0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233):
            uploading = asyncio.create_task(stage.upload(emails(), batch_size=10))
            for _ in range(turns):
                await asyncio.sleep(0)
            await cancel(uploading)
        assert (await stage.upload(["a@b.co"])).ok


async def test_a_borrowed_session_stays_open(set_stage: SetStage, caplog: pytest.LogCaptureFixture) -> None:
    """Canceling an upload, and closing the client, close nothing that belongs to the caller."""
    async with set_stage() as stage, nothing_left(caplog), aiohttp.ClientSession() as http:
        criteo = CriteoClient(stage.sandbox.credentials, base_url=stage.sandbox.url, http=http)
        stage.sandbox.fail_next(delay=30, times=4, on=AMENDING)
        uploading = asyncio.create_task(
            criteo.marketing_solutions.upload_contact_list(stage.segment_id, emails(), hash=None, batch_size=100)
        )
        await until(lambda: len(stage.calls) == 4)
        await cancel(uploading)
        await criteo.aclose()
        assert not http.closed
        async with http.get(stage.sandbox.url) as answer:
            assert answer.status == 401


async def test_an_upload_under_a_task_group_ends_with_it(set_stage: SetStage, caplog: pytest.LogCaptureFixture) -> None:
    """A sibling's failure cancels it like anything else."""

    async def fail(stage: Any) -> None:
        await until(lambda: len(stage.calls) == 4)
        raise ZeroDivisionError

    async def run_both(stage: Any) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(stage.upload(emails(), batch_size=100))
            group.create_task(fail(stage))

    async with set_stage() as stage, nothing_left(caplog):
        stage.sandbox.fail_next(delay=30, times=4, on=AMENDING)
        with pytest.raises(ExceptionGroup) as caught:
            await run_both(stage)
        assert [type(error) for error in caught.value.exceptions] == [ZeroDivisionError]
