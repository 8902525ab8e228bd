"""Tasks of an upload: work in one of its own while a block of the caller's lasts, and the error that leaves a group."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import anyio

Work = Callable[[Callable[[], Awaitable[None]], Awaitable[Exception | None]], Coroutine[Any, Any, None]]
"""Awaits its first argument when the block may be entered, and then its second, which waits until it was left.

That one returns the exception that left the block, if any, which the work then raises.
"""


class OwnTask:
    """A task whose work ends with a block.

    A cancel scope must be left by the task that entered it. A block inside an async generator cannot promise that: when
    its caller leaves by `break`, another task closes the generator (PEP 789). So the caller's task enters none.

    Args:
        work: what to do.
    """

    def __init__(self, work: Work) -> None:
        loop = asyncio.get_running_loop()
        self._may_enter: asyncio.Future[None] = loop.create_future()
        self._entered: asyncio.Future[None] = loop.create_future()
        self._left: asyncio.Future[Exception | None] = loop.create_future()
        self._task = loop.create_task(work(self._wait_for_entry, self._left), name="criteo-audiences upload")

    async def begin(self) -> None:
        """Returns once the block may be entered; what the work does in it begins a turn of the loop later.

        Raises:
            BaseException: what the work raised before.
        """
        await asyncio.wait([self._task, self._may_enter], return_when=asyncio.FIRST_COMPLETED)
        if self._task.done():
            self._task.result()
        if not self._entered.done():  # it is when the work was cancelled meanwhile
            self._entered.set_result(None)

    async def ended(self) -> None:
        """Returns when the work has ended.

        Raises:
            BaseException: what it raised.
        """
        await asyncio.wait([self._task])
        self._task.result()

    async def end(self, error: BaseException | None) -> None:
        """Ends the work, whoever cancels the caller meanwhile, and hands each cancellation on to it.

        Args:
            error: what left the block, `None` when nothing was raised.

        Raises:
            BaseException: what the work raised, unless that is the same; a cancellation that came meanwhile.
        """
        if error is None or isinstance(error, Exception):
            if not self._left.done():  # work that has failed has given up waiting for it
                self._left.set_result(error)
        else:
            self._task.cancel()
        canceled = await self._outlast()
        if not self._task.cancelled() and (failure := self._task.exception()) not in {None, error}:
            raise failure
        if error is None and (canceled is not None or self._task.cancelled()):
            raise canceled or asyncio.CancelledError

    async def _outlast(self) -> asyncio.CancelledError | None:
        canceled = None
        with anyio.CancelScope(shield=True):  # a cancelled scope of anyio's would cancel at each turn of the loop
            while not self._task.done():
                try:
                    await asyncio.wait([self._task])
                except asyncio.CancelledError as error:
                    canceled = error
                    self._task.cancel()
        return canceled

    async def _wait_for_entry(self) -> None:
        self._may_enter.set_result(None)
        await self._entered


@asynccontextmanager
async def own_task(work: Work) -> AsyncIterator[OwnTask]:
    """Does work in a task of its own: the block is entered once it has begun, and left once it has ended.

    Raises:
        BaseException: what the work raises; of the block's own exceptions, the work decides.
    """
    task = OwnTask(work)
    try:
        await task.begin()
        yield task
    except BaseException as error:
        await task.end(error)
        raise
    else:
        await task.end(None)


@contextmanager
def first_error() -> Iterator[None]:
    """Raises the first error of the task group inside instead of its exception group: the others are its echoes.

    One group is taken off and no more, so that a group that the caller's own code raised comes out whole.
    """
    try:
        yield
    except BaseExceptionGroup as failures:
        error = failures.exceptions[0]
        context = error.__context__
        try:
            raise error
        finally:
            error.__context__ = context  # the caller's own, where `raise` has put the group
