"""What it costs to compare a large answer with what was sent: neither the event loop's time nor much memory."""

import asyncio
import functools
import hashlib
import time
import tracemalloc
from collections.abc import Callable, Coroutine
from typing import Any

import orjson
import pytest

from criteo_audiences import ClientCredentials, CriteoError, RetryPolicy
from criteo_audiences.batches import single_batch
from criteo_audiences.contact_lists import amend_body
from criteo_audiences.errors import InvalidRequestError
from criteo_audiences.marketing_solutions import AudienceSegment
from criteo_audiences.models import ContactListOperation
from criteo_audiences.session import Exchange, Request, Response, Session
from criteo_audiences.session.endpoints import send_bulk, send_for_one
from criteo_audiences.session.protocol import MOST_OF_MANY
from tests.kit import nothing_else_measured


class Answering:
    """Gives a token, and one answer to every call; implements `criteo_audiences.session.Transport`."""

    def __init__(self, status: int, body: bytes) -> None:
        self._answer = Response(status=status, body=body)

    async def send(self, exchange: Exchange) -> Response:
        """See `Transport.send`."""
        if "oauth2" in exchange.url:
            return Response(status=200, body=b'{"access_token": "planted", "token_type": "Bearer", "expires_in": 900}')
        return self._answer

    async def aclose(self) -> None:
        """See `Transport.aclose`."""


def session_that_gets(status: int, body: bytes) -> Session:
    """Returns a session that makes each call once, and is always answered alike."""
    return Session(
        ClientCredentials(client_id="the-id", client_secret="the-secret"),
        Answering(status, body),
        base_url="https://api.criteo.com",
        api_version="2026-07",
        retry=RetryPolicy(attempts=1),
    )


def sha256(text: str) -> str:
    """Returns the digest in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def md5(text: str) -> str:
    """Returns the digest in hexadecimal."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


@functools.cache
def amendment(count: int) -> Request:
    """Returns a call that carries so many identifiers."""
    batch = single_batch([f"customer{number}@example.com" for number in range(count)])
    return Request(method="PATCH", path="/lists", body=amend_body("ContactlistAmendment", {"operation": "add"}, batch))


async def longest_gap(ask: Callable[[], Coroutine[Any, Any, object]]) -> float:
    """Returns the processor time that a call takes at most between two turns of the event loop; the least of several."""
    gaps: list[float] = []
    with nothing_else_measured():
        while len(gaps) < 5 and min(gaps, default=1.0) > 0.1:
            task, before = asyncio.create_task(ask()), time.process_time()
            gaps.append(0.0)
            while not task.done():
                await asyncio.sleep(0.001)
                now = time.process_time()
                gaps[-1], before = max(gaps[-1], now - before), now
            assert isinstance(task.exception(), CriteoError | None)
    return min(gaps)


@functools.cache
def answers_that_take_long() -> dict[str, tuple[int, bytes]]:
    """Returns, for each part of an answer, as many of it as are read, and those that are the slowest to compare."""
    problem, item = b'{"code":"c-%032x","traceId":"%032x"}', b'{"id":"%d","attributes":{"name":"n","createdAt":"x"}}'
    digits = orjson.dumps({"errors": [{"code": "1 " * 128, "traceId": f"{n}-" * 40} for n in range(100)]})
    digests = orjson.dumps({"errors": [{"code": sha256(str(n)) * 4, "traceId": md5(str(n))} for n in range(100)]})
    bodies = {
        "problems": b'{"errors":[%b]}' % b",".join(problem % (n, n**9) for n in range(20_000)),
        "warnings": b'{"data":[],"warnings":[%b]}'
        % b",".join(b'{"type":"deprecation","code":"c-%d"}' % n for n in range(40_000)),
        "items": b'{"data":[%b]}' % b",".join(item % n for n in range(20_000)),
        "samples": b'{"data":{"attributes":{"sampleInvalidIdentifiers":[%b]}}}' % b",".join([b"1"] * 149_000),
        "keys": b"{%b}" % b",".join(b'"k%d":1' % n for n in range(149_000)),
        "digits": digits,
        "digests": digests,
    }
    return {f"{name} {status}": (status, body) for name, body in bodies.items() for status in (200, 400)}


async def assert_the_loop_has_its_turn(name: str, call: Request) -> None:
    """Asserts that an answer to a call never keeps the event loop for a tenth of a second."""
    session = session_that_gets(*answers_that_take_long()[name])

    async def ask() -> object:
        if call.method == "POST":
            return await send_bulk(session, call, AudienceSegment)
        return await send_for_one(session, call, ContactListOperation)

    assert await longest_gap(ask) < 0.1


@pytest.mark.parametrize("kind", ["amendment", "search"])
@pytest.mark.parametrize("name", answers_that_take_long())
async def test_whatever_the_answer_is_the_event_loop_has_its_turn(name: str, kind: str) -> None:
    """Each tenth of a second at least, though it is compared with all that was sent: in a thread, piece by piece.

    Comparing 10,000 identifiers takes three tenths of a second.
    """
    search = Request(method="POST", path="/search", most_bytes=MOST_OF_MANY)
    await assert_the_loop_has_its_turn(name, amendment(10_000) if kind == "amendment" else search)


async def test_after_the_largest_call_the_event_loop_has_its_turn() -> None:
    """A call carries 50,000 identifiers at most."""
    await assert_the_loop_has_its_turn("problems 400", amendment(50_000))


async def test_answers_are_compared_one_after_the_other() -> None:
    """Large calls that fail at once take no more memory than one, which keeps neither identifiers nor digests."""
    session = session_that_gets(400, orjson.dumps({"errors": [{"code": "invalid", "traceId": md5("x")}]}))
    call = amendment(3_000)
    tracemalloc.start()
    try:
        ended = await asyncio.gather(*(session.send(call) for _ in range(3)), return_exceptions=True)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert {type(each) for each in ended} == {InvalidRequestError}
    assert peak < 1_400_000
