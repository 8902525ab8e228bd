"""Whole exchanges over aiohttp, scripted answer by answer."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from criteo_audiences.errors import AuthenticationError, ServerError
from criteo_audiences.session import (
    AiohttpTransport,
    ClientCredentials,
    Event,
    Request,
    RetryPolicy,
    Session,
    SystemClock,
)
from criteo_audiences.session.protocol import json_request
from criteo_audiences.session.transport import renewal
from tests.kit import run_in_virtual_time

TOKEN_URL = "https://api.criteo.com/oauth2/token"
CREATE_URL = "https://api.criteo.com/2026-07/marketing-solutions/audience-segments/create"
CREATE = json_request("POST", "/marketing-solutions/audience-segments/create", {"data": []}, repeatable=False)


def token(value: str, **others: Any) -> dict[str, Any]:
    """Returns the document of a token endpoint."""
    return {"access_token": value, "token_type": "Bearer", "expires_in": 900, **others}


@pytest.fixture
def events() -> list[Event]:
    """What the session told."""
    return []


@pytest.fixture
async def session(events: list[Event]) -> AsyncIterator[Session]:
    """A session over the real transport that repeats without delay."""
    made = Session(
        ClientCredentials(client_id="the-id", client_secret="the-secret"),
        AiohttpTransport(timeout=5.0, clock=SystemClock()),
        base_url="https://api.criteo.com",
        api_version="2026-07",
        retry=RetryPolicy(jitter=lambda: 0.0),
        on_event=events.append,
    )
    yield made
    await made.aclose()


def asked(wire: Any, method: str, url: str) -> list[Any]:
    """Returns the keywords of the requests that were made."""
    return [call.kwargs for call in wire.requests[method, URL(url)]]


@pytest.mark.parametrize("others", [{}, {"refresh_token": None}])
async def test_token_then_call(wire: Any, session: Session, others: dict[str, Any]) -> None:
    """A first call gets a token, whose `refresh_token` may be absent or null, and carries it as a bearer."""
    wire.post(TOKEN_URL, payload=token("abc", **others))
    wire.post(CREATE_URL, payload={"data": [], "errors": None})
    assert await session.send(CREATE) == {"data": [], "errors": None}
    (grant,), (call,) = asked(wire, "POST", TOKEN_URL), asked(wire, "POST", CREATE_URL)
    assert grant["data"].decode() == "grant_type=client_credentials&client_id=the-id&client_secret=the-secret"
    assert "Authorization" not in grant["headers"]
    assert call["headers"]["Authorization"] == "Bearer abc"
    assert call["data"].decode() == '{"data":[]}'
    assert [keywords["allow_redirects"] for keywords in (grant, call)] == [False, False]


async def test_expired_token_is_renewed_and_the_call_repeated(wire: Any, session: Session) -> None:
    """A 401 for an expired token leads to a new one and a repeat with it."""
    refusal = {"errors": [{"type": "authorization", "code": "authorization-token-expired"}]}
    wire.post(TOKEN_URL, payload=token("old"))
    wire.post(CREATE_URL, status=401, payload=refusal)
    wire.post(TOKEN_URL, payload=token("new"))
    wire.post(CREATE_URL, payload={"data": []})
    assert await session.send(CREATE) == {"data": []}
    carried = [call["headers"]["Authorization"] for call in asked(wire, "POST", CREATE_URL)]
    assert carried == ["Bearer old", "Bearer new"]


async def test_refused_credentials(wire: Any, session: Session) -> None:
    """Credentials that are refused twice are one clear error."""
    wire.post(TOKEN_URL, status=401, payload={"error": "invalid_client"}, repeat=True)
    with pytest.raises(AuthenticationError, match=r"^Criteo answered HTTP 401: invalid_client\. Check the client id"):
        await session.send(CREATE)
    assert len(asked(wire, "POST", TOKEN_URL)) == 2


async def test_gateway_page_is_a_server_error(wire: Any, session: Session) -> None:
    """A gateway's HTML page is the error of its status, and a create is not repeated."""
    wire.post(TOKEN_URL, payload=token("abc"))
    wire.post(CREATE_URL, status=502, body="<html>Bad Gateway</html>", content_type="text/html")
    with pytest.raises(ServerError, match=r"^Criteo answered HTTP 502\. Criteo has a fault"):
        await session.send(CREATE)
    assert len(asked(wire, "POST", CREATE_URL)) == 1


async def test_rate_limit_is_known_after_a_call(wire: Any, session: Session) -> None:
    """After a call, what its headers announced is known without another."""
    headers = {"X-RateLimit-Limit": "250", "X-RateLimit-Remaining": "248", "X-RateLimit-Reset": "1900000000"}
    wire.post(TOKEN_URL, payload=token("abc"))
    wire.post(CREATE_URL, payload={"data": []}, headers=headers)
    await session.send(CREATE)
    assert session.rate_limit is not None
    assert (session.rate_limit.limit, session.rate_limit.remaining) == (250, 248)


@pytest.mark.parametrize(
    ("foreign", "ours"),
    [(TimeoutError(), "RequestTimeout"), (aiohttp.ServerDisconnectedError(), "TransportError")],
    ids=["late", "lost"],
)
async def test_repeatable_call_survives_a_failure(
    wire: Any, session: Session, events: list[Event], foreign: Exception, ours: str
) -> None:
    """What fails once below aiohttp is an error of ours, after which a repeatable call is repeated."""
    url = "https://api.criteo.com/2026-07/lists/5"
    wire.post(TOKEN_URL, payload=token("abc"))
    wire.get(url, exception=foreign)
    wire.get(url, payload={"data": 1})
    assert await session.send(Request(method="GET", path="/lists/5")) == {"data": 1}
    assert [event.error for event in events if event.name == "request.retried"] == [ours]


@given(st.lists(st.floats(0.0, 0.99), max_size=200))
def test_a_request_is_given_up_so_long_after_its_last_step(pauses: list[float]) -> None:
    """Never sooner than its time-out after it, and a hundredth of that later at most."""

    async def seconds_of_silence() -> float:
        loop = asyncio.get_running_loop()
        moved_at = loop.time()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0) as alarm:
                moved = renewal(alarm, 1.0)
                for pause in pauses:
                    await asyncio.sleep(pause)
                    moved()
                    moved_at = loop.time()
                await asyncio.Event().wait()
        return loop.time() - moved_at

    assert 1.0 <= run_in_virtual_time(seconds_of_silence()) + 1e-6 <= 1.011
