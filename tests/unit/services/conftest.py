"""Services over a transport that answers what a test says and keeps what was asked."""

from typing import Any

import orjson
import pytest

from criteo_audiences import StaticToken
from criteo_audiences.commerce_grid import CommerceGrid
from criteo_audiences.marketing_solutions import MarketingSolutions
from criteo_audiences.retail_media import RetailMedia
from criteo_audiences.session import Exchange, Response, RetryPolicy, Session


class Scripted:
    """A transport whose answers are given beforehand; also the services that speak through it."""

    def __init__(self, api_version: str = "2026-07") -> None:
        self._version = api_version
        self.answers: list[Response] = []
        self.asked: list[Exchange] = []
        session = Session(
            StaticToken("planted-4711"),
            self,
            base_url="https://api.example.com",
            api_version=api_version,
            retry=RetryPolicy(attempts=2, first_delay=0.0),
        )
        self.ms = MarketingSolutions(session)
        self.rm = RetailMedia(session)
        self.cg = CommerceGrid(session)

    def will_answer(self, document: Any = None, *, status: int = 200, headers: dict[str, str] | None = None) -> None:
        """Adds an answer."""
        body = b"" if document is None else orjson.dumps(document)
        self.answers.append(Response(status=status, headers=headers or {}, body=body))

    async def send(self, exchange: Exchange) -> Response:
        """See `Transport.send`."""
        self.asked.append(exchange)
        return self.answers.pop(0)

    async def aclose(self) -> None:
        """See `Transport.aclose`."""

    @property
    def last(self) -> tuple[str, str, Any]:
        """Method, path with query, and document of the last request."""
        exchange = self.asked[-1]
        body = b"".join(exchange.body)
        return (
            exchange.method,
            exchange.url.removeprefix(f"https://api.example.com/{self._version}"),
            orjson.loads(body or b"null"),
        )


@pytest.fixture
def criteo() -> Scripted:
    """The services, with nothing to answer yet."""
    return Scripted()


@pytest.fixture
def experimental() -> Scripted:
    """The services under the experimental version."""
    return Scripted("experimental")
