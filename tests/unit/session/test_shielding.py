import asyncio
from typing import Any

import anyio
import pytest

from criteo_audiences.loops import completed


class Work:
    """Something that a test lets end, or that fails."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.may_end = asyncio.Event()
        self.log: list[str] = []
        self._failure = failure

    async def __call__(self) -> str:
        """Works until it may end."""
        self.log.append("started")
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.log.append("cancelled")
            raise
        self.log.append("ended")
        if self._failure:
            raise self._failure
        return "result"


async def turns(number: int = 20) -> None:
    """Lets the other tasks run."""
    for _ in range(number):
        await asyncio.sleep(0)


async def test_work_is_awaited() -> None:
    """Without a cancellation the result, or the error, is the work's own."""
    work = Work()
    work.may_end.set()
    assert await completed(work()) == "result"
    failing = Work(ValueError("no"))
    failing.may_end.set()
    with pytest.raises(ValueError, match="no"):
        await completed(failing())


@pytest.mark.parametrize("failure", [None, ValueError("no")])
async def test_cancellation_waits_for_the_work(failure: Exception | None) -> None:
    """However often the caller is cancelled, the work comes to its end, and then the cancellation goes on."""
    work = Work(failure)
    caller = asyncio.create_task(completed(work()))
    for _ in range(3):
        await turns()
        caller.cancel()
    await turns()
    assert (work.log, caller.done()) == (["started"], False)
    work.may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert work.log == ["started", "ended"]


async def test_cancelled_scope_waits_for_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cancelled scope of anyio's, which cancels at each turn of the loop, waits as well, and not by spinning."""
    work = Work()
    waits: list[object] = []
    wait = asyncio.wait

    async def counted(tasks: Any, **options: Any) -> Any:
        waits.append(tasks)
        return await wait(tasks, **options)

    monkeypatch.setattr(asyncio, "wait", counted)
    async with anyio.create_task_group() as group:
        group.start_soon(completed, work())
        await turns()
        group.cancel_scope.cancel()
        asyncio.get_running_loop().call_later(0.02, work.may_end.set)
    assert work.log == ["started", "ended"]
    assert len(waits) <= 3


async def test_patience_ends() -> None:
    """Work that does not end within the patience after a cancellation is cancelled too."""
    work = Work()
    caller = asyncio.create_task(completed(work(), patience=0.02))
    await turns()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(caller, 5)
    assert work.log == ["started", "cancelled"]


async def test_a_deadline_waits_for_the_work() -> None:
    """A time-out that passes meanwhile is still a time-out, after the work."""
    work = Work()
    asyncio.get_running_loop().call_later(0.05, work.may_end.set)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await completed(work())
    assert work.log == ["started", "ended"]
