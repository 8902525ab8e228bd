"""Keep what the server may remember of the calls it got: never a token, an identifier or a query string."""

import asyncio
import itertools
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import attrs
from aiohttp import web


@attrs.define
class RecordedRequest:
    """One call, in the order of arrival."""

    method: str
    path: str
    number: int = 0
    """1 for the first call, token calls included."""
    status: int | None = None
    """HTTP status of the answer; ``None`` until there is one, and for ever when the connection was cut before all
    headers were written."""
    identifiers: int = 0
    """How many identifiers its body held; 0 when the body was not read, as with an injected 503."""
    digest: int | None = attrs.field(default=None, repr=False)
    """The same for amendments by the same identifiers, in any order, of the same kind and with the same operation, and
    for no others; within one process. ``None`` when the body was not read, or held no amendment that could be read."""
    handled: bool = False
    """Whether the server did what was asked; a list was changed, although the client may not know."""
    answered: bool = False
    """Whether an answer was written to its end, be it an error or a fault's; what the client read is another matter."""
    acknowledged: bool = False
    """Whether it was handled, and its own answer was written to its end."""

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.status or 'no reply'} ({self.identifiers} identifiers)"


ENTRY = web.RequestKey("entry", RecordedRequest)


class CallLog:
    """The calls so far, and how many of them were handled at the same moment."""

    def __init__(self) -> None:
        self.requests: list[RecordedRequest] = []
        self.max_in_flight = 0
        self._in_flight = 0
        self._tasks: set[asyncio.Task[object]] = set()
        self._numbers = itertools.count(1)

    def add(self, method: str, path: str) -> RecordedRequest:
        """Returns the entry of a call that has just arrived."""
        # Thousands of calls have few paths between them.
        entry = RecordedRequest(method, sys.intern(path), next(self._numbers))
        self.requests.append(entry)
        return entry

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
        """Keep the task of a call at hand for as long as it runs."""
        task = asyncio.current_task()
        tasks = set() if task is None else {task}
        self._tasks |= tasks
        try:
            yield
        finally:
            self._tasks -= tasks

    async def end_all(self) -> None:
        """Cancel the calls that are under way; aiohttp leaves those alone whose client has left."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
