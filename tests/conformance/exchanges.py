"""A client whose every exchange goes before the judge."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import orjson
from attrs import define, field

from criteo_audiences import CriteoClient, Quota, RetryPolicy, StaticToken
from criteo_audiences.sandbox import Sandbox
from criteo_audiences.session import Exchange, Response
from criteo_audiences.session.transport import Transport

from .judge import Document

_ONCE: Final = RetryPolicy(attempts=1)
_HALF: Final = Quota(1_000_000, share=0.5)
_FIRST_ERROR: Final = 400
# What a server without the endpoint answers; it must not pass for an error that an endpoint answered.
_NO_ENDPOINT: Final = frozenset({404, 405, 410})


@define
class JudgedTransport:
    """Has each request judged and, where there is somewhere to send it to, each answer.

    Without it every request is answered 400, so that a call ends with its first. A 4xx is declared by no document and
    is not judged, unless it says that there is no such endpoint.
    """

    document: Document
    base_url: str
    onward: Transport | None = None
    operations: set[str] = field(factory=set)
    """Those asked for."""
    statuses: list[int] = field(factory=list)
    """Those of the answers."""
    failure: AssertionError | None = None
    """Kept, because an upload reports what its batches raise instead of raising it."""

    async def send(self, exchange: Exchange) -> Response:
        """See `Transport.send`."""
        if exchange.url.endswith("/oauth2/token"):
            return await self._answer(exchange)  # in none of the documents
        try:
            self.operations.add(self.document.check_request(exchange, self.base_url))
            response = await self._answer(exchange)
            self.statuses.append(response.status)
            if response.status < _FIRST_ERROR:
                self.document.check_answer(exchange, response, self.base_url)
            elif response.status in _NO_ENDPOINT:
                assert not _has_no_endpoint(response), f"no endpoint for {exchange.method} {exchange.url}"
            assert response.status < 500, response.body
        except AssertionError as error:
            self.failure = error
            raise
        return response

    async def aclose(self) -> None:
        """See `Transport.aclose`."""
        if self.onward is not None:
            await self.onward.aclose()

    async def _answer(self, exchange: Exchange) -> Response:
        return Response(status=_FIRST_ERROR) if self.onward is None else await self.onward.send(exchange)


def _has_no_endpoint(response: Response) -> bool:
    codes = {each.get("code") for each in orjson.loads(response.body)["errors"]}
    return response.status != 404 or "route-not-found" in codes


@asynccontextmanager
async def unanswered(document: Document, version: str) -> AsyncIterator[tuple[CriteoClient, JudgedTransport]]:
    """A client whose requests are judged and go nowhere."""
    async with CriteoClient(StaticToken("token"), api_version=version, retry=_ONCE) as criteo:
        transport = JudgedTransport(document, "https://api.criteo.com")
        criteo._session._transport = transport
        yield criteo, transport
        if transport.failure:
            raise transport.failure


@asynccontextmanager
async def answered(
    document: Document, version: str, sandbox: Sandbox
) -> AsyncIterator[tuple[CriteoClient, JudgedTransport]]:
    """A client of a sandbox; its requests and the answers are judged. A test may use two, of two versions."""
    async with CriteoClient(
        sandbox.credentials, base_url=sandbox.url, api_version=version, retry=_ONCE, quota=_HALF
    ) as criteo:
        transport = JudgedTransport(document, sandbox.url, onward=criteo._session._transport)
        criteo._session._transport = transport
        yield criteo, transport
        if transport.failure:
            raise transport.failure
