"""Keep what the server may remember of the calls it got: never a token, an identifier or a query string."""

import asyncio
import itertools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import attrs
from aiohttp import web


@attrs.define
class RecordedRequest:
    """One call that the server got."""

    method: str
    path: str
    number: int = 0
    """1 for the first call, token calls included."""
    status: int | None = None
    """HTTP status of the answer; ``None`` until there is one, and it stays ``None`` when the connection was cut before
    all headers were written."""
    identifiers: int = 0
    """How many identifiers its body held; 0 when the body was not read, as with an injected 503."""
    digest: int | None = attrs.field(default=None, repr=False)
    """A number that two amendments share only if they send the same identifiers, in any order, with the same type and
    operation; it is valid within one process. ``None`` when the server read no body, or no amendment in it."""
    handled: bool = False
    """Whether the server did what the call asked for. A list may have changed without the client knowing."""
    answered: bool = False
    """Whether the server wrote an answer completely, even an error or a fault's. The client may not have read it."""
    acknowledged: bool = False
    """Whether the server handled the call and wrote its own answer completely."""

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.status or 'no reply'} ({self.identifiers} identifiers)"


ENTRY = web.RequestKey("entry", RecordedRequest)


class CallLog:
    """The calls so far, and how many of them the server handled at the same time.

    Args:
        on_call: Is given each call when its answer has ended.
    """

    def __init__(self, on_call: Callable[[RecordedRequest], None] | None = None) -> None:
        self.requests: list[RecordedRequest] = []
        self.max_in_flight = 0
        self._in_flight = 0
        self._tasks: set[asyncio.Task[object]] = set()
        self._numbers = itertools.count(1)
        self._on_call = on_call

    def add(self, method: str, path: str) -> RecordedRequest:
        """Returns the entry of a call that has just arrived."""
        # Thousands of calls have few paths between them.
        entry = RecordedRequest(method, sys.intern(path), next(self._numbers))
        self.requests.append(entry)
        return entry

    def end(self, entry: RecordedRequest) -> None:
        """Tell whoever wants to know that a call has ended."""
        if self._on_call is not None:
            self._on_call(entry)

    @contextmanager
    def in_flight(self) -> Iterator[None]:
        """Count an API call as being handled."""
        self._in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self._in_flight)
        try:
            yield
        finally:
            self._in_flight -= 1

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Remember the task of a call while it runs, so that `end_all` can cancel it."""
        task = asyncio.current_task()
        tasks = set() if task is None else {task}
        self._tasks |= tasks
        try:
            yield
        finally:
            self._tasks -= tasks

    async def end_all(self) -> None:
        """Cancel the calls that still run; aiohttp does not cancel those whose client has left."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
