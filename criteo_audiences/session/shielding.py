"""Work that a cancellation must not cut in two."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import anyio

T = TypeVar("T")


async def completed(work: Coroutine[Any, Any, T], *, patience: float | None = None) -> T:
    """Awaits work; when the caller is cancelled meanwhile, the work may end before the cancellation goes on.

    Args:
        work: what must not be left half done.
        patience: seconds it gets to end after a cancellation, before it is cancelled too; `None` for all it takes.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        with anyio.CancelScope(shield=True):  # a cancelled scope of anyio's would cancel again at each turn of the loop
            await _outlast(task, patience)
            task.cancel()
            await _outlast(task, None)
        if not task.cancelled():
            task.exception()  # or asyncio would complain that nobody looked at it
        raise
    return task.result()


async def _outlast(task: "asyncio.Task[T]", seconds: float | None) -> None:
    """Waits until a task has ended or the time is up, whoever cancels the caller again."""
    loop = asyncio.get_running_loop()
    ends_at = None if seconds is None else loop.time() + seconds
    while not task.done() and (ends_at is None or loop.time() < ends_at):
        try:
            await asyncio.wait([task], timeout=None if ends_at is None else max(0.0, ends_at - loop.time()))
        except asyncio.CancelledError:
            continue  # the caller is on its way out already, and raises in the end
