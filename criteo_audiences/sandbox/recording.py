"""What the server remembers of the calls it got: never a token, an identifier or a query string."""

from collections.abc import Iterator
from contextlib import contextmanager

import attrs
from aiohttp import web


@attrs.define
class RecordedRequest:
    """One call, in the order of arrival."""

    method: str
    path: str
    status: int | None = None
    """HTTP status of the answer; ``None`` until there is one, and for ever when the connection was cut instead."""
    identifiers: int = 0
    """How many identifiers its body held; 0 when the body was not read, as with an injected 503."""

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.status or 'no reply'} ({self.identifiers} identifiers)"


ENTRY = web.RequestKey("entry", RecordedRequest)


class Recording:
    """The calls so far, and how many of them were handled at the same moment."""

    def __init__(self) -> None:
        self.requests: list[RecordedRequest] = []
        self.max_in_flight = 0
        self._in_flight = 0

    @contextmanager
    def in_flight(self) -> Iterator[None]:
        """Count an API call as being handled."""
        self._in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self._in_flight)
        try:
            yield
        finally:
            self._in_flight -= 1
