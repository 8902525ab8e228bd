"""Protects work that a cancellation must not interrupt."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import anyio

T = TypeVar("T")


async def completed(work: Coroutine[Any, Any, T], *, patience: float | None = None) -> T:
    """Awaits work; if the caller is canceled meanwhile, the work may end before the cancellation takes effect.

    Args:
        work: what must not be left half done.
        patience: seconds it gets to end after a cancellation, before it is canceled too; `None` sets no limit.
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
            task.exception()  # retrieved, or asyncio would log that it never was
        raise
    return task.result()


async def _outlast(task: "asyncio.Task[T]", seconds: float | None) -> None:
    """Waits until a task has ended or the time is up, even if the caller is canceled again."""
    loop = asyncio.get_running_loop()
    ends_at = None if seconds is None else loop.time() + seconds
    while not task.done() and (ends_at is None or loop.time() < ends_at):
        try:
            await asyncio.wait([task], timeout=None if ends_at is None else max(0.0, ends_at - loop.time()))
        except asyncio.CancelledError:
            continue  # the caller is on its way out already, and raises in the end
