"""What the tests of the session core share: a scripted transport, loopback servers, and aioresponses made to work."""

import asyncio
import functools
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from typing import Any
from unittest.mock import Mock
from urllib.parse import urlsplit

import aiohttp
import aioresponses
import orjson
import pytest
from attrs import evolve, field, frozen

from criteo_audiences.session import ClientCredentials, Exchange, Response, RetryPolicy, Session


@frozen(kw_only=True)
class Sent:
    """A request as the scripted transport saw it."""

    at: float
    exchange: Exchange = field(repr=False)

    @property
    def path(self) -> str:
        """The path and query that were asked for."""
        parts = urlsplit(self.exchange.url)
        return parts.path + (f"?{parts.query}" if parts.query else "")

    @property
    def token(self) -> str | None:
        """The bearer token it carried."""
        header = self.exchange.headers.get("Authorization")
        return header.removeprefix("Bearer ") if header else None

    @property
    def body(self) -> bytes:
        """The body in one piece."""
        return b"".join(self.exchange.body)


class ScriptedTransport:
    """Answers with the next entry of a script: a `Response`, or an error to raise; implements `Transport`.

    A script that has run out answers 200, and with a fresh token of 900 s at the token endpoint.
    """

    def __init__(self, clock: Any) -> None:
        self.clock = clock
        self.script: deque[Response | Exception] = deque()
        self.token_script: deque[Response | Exception] = deque()
        self.always: Response | Exception | None = None
        self.always_token: Response | Exception | None = None
        self.latency = 0.0
        self.sent: list[Sent] = []
        self.closed = 0
        self._tokens = 0

    @property
    def api_calls(self) -> list[Sent]:
        """The requests other than for tokens."""
        return [sent for sent in self.sent if sent.path != "/oauth2/token"]

    @property
    def token_calls(self) -> list[Sent]:
        """The requests for tokens."""
        return [sent for sent in self.sent if sent.path == "/oauth2/token"]

    @property
    def times(self) -> list[float]:
        """Seconds from the start of the test at which the API was asked."""
        return [sent.at - 1_000.0 for sent in self.api_calls]

    async def send(self, exchange: Exchange) -> Response:
        """See `Transport.send`."""
        sent = Sent(at=self.clock.now(), exchange=exchange)
        self.sent.append(sent)
        await self._pass_time()
        entry = self._token_entry() if sent.path == "/oauth2/token" else self._api_entry()
        if isinstance(entry, Exception):
            raise entry
        return entry if entry.received_at else evolve(entry, received_at=self.clock.time())

    async def aclose(self) -> None:
        """See `Transport.aclose`."""
        self.closed += 1

    def token(self, value: str, lifetime: float = 900, **others: Any) -> Response:
        """Builds the answer of a token endpoint."""
        document = {"access_token": value, "token_type": "Bearer", "expires_in": lifetime, **others}
        return Response(status=200, body=orjson.dumps(document))

    def _api_entry(self) -> Response | Exception:
        if self.script:
            return self.script.popleft()
        return self.always or Response(status=200, body=b'{"data":{}}')

    def _token_entry(self) -> Response | Exception:
        if self.token_script:
            return self.token_script.popleft()
        self._tokens += 1
        return self.always_token or self.token(f"token-{self._tokens}")

    async def _pass_time(self) -> None:
        if self.latency:
            over = asyncio.get_running_loop().create_future()
            self.clock.call_later(self.latency, lambda: over.done() or over.set_result(None))
            await over


@pytest.fixture
def transport(clock: Any) -> ScriptedTransport:
    """A transport that follows a script."""
    return ScriptedTransport(clock)


@pytest.fixture
def make_session(transport: ScriptedTransport, clock: Any) -> Callable[..., Session]:
    """Makes sessions over the scripted transport, whose delays are not shortened by chance."""

    def make(credentials: Any = None, **options: Any) -> Session:
        options = {"retry": RetryPolicy(jitter=lambda: 1.0), **options}
        credentials = credentials or ClientCredentials(client_id="the-id", client_secret="the-secret")
        return Session(
            credentials, transport, base_url="https://api.criteo.com", api_version="2026-07", clock=clock, **options
        )

    return make


@pytest.fixture
def finish(clock: Any) -> Callable[[Awaitable[Any]], Awaitable[Any]]:
    """Lets an hour pass while something runs, which must come to its end in it."""

    async def finish(awaitable: Awaitable[Any]) -> Any:
        task = asyncio.ensure_future(awaitable)
        await clock.advance(3_600.0)
        for _ in range(10):  # a queue behind a lock moves up by one a turn of the loop
            await clock.advance(0.0)
        for _ in range(100):  # a thread that reads an answer does so in real time
            if not (await asyncio.wait({task}, timeout=0 if task.done() else 0.1))[1]:
                break
            await clock.advance(3_600.0)
        if not task.done():
            task.cancel()
            pytest.fail("it did not end within an hour")
        return task.result()

    return finish


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Iterator[aioresponses.aioresponses]:
    """Answers aiohttp's requests by a script, nothing touches the network.

    aioresponses 0.7.9 does not know the `stream_writer` that aiohttp 3.14's `ClientResponse` demands: it is given here.
    """
    complete = functools.partial(aiohttp.ClientResponse, stream_writer=Mock(output_size=0))
    monkeypatch.setattr("aioresponses.core.ClientResponse", complete)
    with aioresponses.aioresponses() as scripted:
        yield scripted
