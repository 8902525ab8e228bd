"""Answers that nobody should send, from the API and from the token endpoint: each ends in one error, and in bounded memory."""

import asyncio
import gzip
import sys
import time
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import cache

import pytest

from criteo_audiences import ClientCredentials, CriteoClient, CriteoError, RetryPolicy

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MEGABYTE = 1024 * 1024
BOUND = 16 * MEGABYTE
UNPACKED = 40 * MEGABYTE
DOCUMENT = b'{"access_token": "planted", "expires_in": 900}'
TOKEN = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(DOCUMENT), DOCUMENT)
ENDPOINTS = ["oauth2", "audience-segments"]

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def client_of(answer: Answer, endpoint: str, *, deadline: float = 60.0) -> AsyncIterator[CriteoClient]:
    """Serves an answer at one of the two endpoints, and a token at the other; yields a client that gives up at once."""
    ended: list[asyncio.Event] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ended.append(asyncio.Event())
        here = ended[-1]
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while endpoint.encode() not in await reader.readuntil(b"\r\n\r\n"):
                writer.write(TOKEN)
            await answer(writer)
        writer.transport.abort()
        with suppress(ConnectionError):
            await writer.wait_closed()
        here.set()

    server = await asyncio.start_server(serve, "127.0.0.1")
    port = server.sockets[0].getsockname()[1]
    credentials = ClientCredentials(client_id="id", client_secret="secret")
    retry = RetryPolicy(attempts=1, deadline=deadline)
    async with server:
        async with CriteoClient(credentials, base_url=f"http://127.0.0.1:{port}", retry=retry) as criteo:
            yield criteo
        for each in ended:
            await each.wait()


async def failure_of(criteo: CriteoClient) -> tuple[CriteoError, int]:
    """Makes a call; returns its error and the most memory that was held meanwhile."""
    criteo.marketing_solutions  # noqa: B018 - imported before memory is measured
    tracemalloc.start()
    try:
        with pytest.raises(CriteoError) as caught:
            await criteo.marketing_solutions.get_contact_list_statistics("1")
        return caught.value, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def head(status: int, **headers: str) -> bytes:
    """Returns the beginning of an answer in chunks."""
    lines = [f"HTTP/1.1 {status} x", "Transfer-Encoding: chunked", *(f"{n}: {v}" for n, v in headers.items()), "", ""]
    return "\r\n".join(lines).replace("_", "-").encode()


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("status", [200, 401, 500])
async def test_an_answer_of_50_mb_is_given_up_at_the_bound(endpoint: str, status: int) -> None:
    """Whatever its status; the message says how much is too much, and holds nothing of it."""
    chunk = b"10000\r\n" + b"planted." * 0x2000 + b"\r\n"

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(head(status))
        for _ in range(800):
            writer.write(chunk)
            await writer.drain()
        writer.write(b"0\r\n\r\n")

    async with client_of(answer, endpoint) as criteo:
        error, peak = await failure_of(criteo)
    assert str(error) == f"Criteo's answer (HTTP {status}) cannot be read: more than 2,097,152 bytes @ $."
    assert peak < BOUND


BOMBS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "deflate": zlib.compress, "zstd": zstd.compress}


@cache
def bomb_of(encoding: str) -> bytes:
    """Packs zeros."""
    return BOMBS[encoding](bytes(UNPACKED))


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("encoding", BOMBS)
async def test_a_compressed_bomb_of_an_error_is_not_unpacked_whole(endpoint: str, encoding: str) -> None:
    """A thousandfold, in every encoding that is asked for: the bound counts what was unpacked."""
    bomb = bomb_of(encoding)
    assert len(bomb) * 900 < UNPACKED

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(head(500, Content_Encoding=encoding) + b"%x\r\n" % len(bomb) + bomb + b"\r\n0\r\n\r\n")

    async with client_of(answer, endpoint) as criteo:
        error, peak = await failure_of(criteo)
    assert "more than 2,097,152 bytes" in str(error)
    assert peak < BOUND


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_an_answer_that_trickles_without_end_ends_with_the_call(endpoint: str) -> None:
    """A byte at a time is progress to the time-out, but not to the deadline of the retry policy."""
    given = 0

    async def answer(writer: asyncio.StreamWriter) -> None:
        nonlocal given
        writer.write(head(200))
        while True:
            writer.write(b"1\r\n \r\n")
            await writer.drain()
            given += 1
            await asyncio.sleep(0.005)

    async with client_of(answer, endpoint, deadline=0.3) as criteo:
        error, peak = await failure_of(criteo)
    assert given > 3
    assert "0.3 s" in str(error)
    assert peak < BOUND


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
BROKEN = {
    "nothing": b"",
    "no HTTP": b"\x00\x01garbage\r\n\r\n",
    "another protocol": b"SSH-2.0-OpenSSH_9\r\n",
    "HTTP/2": b"HTTP/2 200 OK\r\n\r\n{}",
    "half a status line": b"HTTP/1.1 20",
    "a status of four digits": b"HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\n{}",
    "half a head": OK + b"Content-Le",
    "a header without a colon": OK + b"nonsense\r\n\r\n{}",
    "a header of a megabyte": OK + b"X: " + b"a" * MEGABYTE + b"\r\n\r\n{}",
    "a reason of a megabyte": b"HTTP/1.1 200 " + b"r" * MEGABYTE + b"\r\n\r\n{}",
    "100,000 headers": OK + b"X: y\r\n" * 100_000 + b"\r\n{}",
    "20,000 early hints": b"HTTP/1.1 103 Early Hints\r\n\r\n" * 20_000,
    "a protocol that was not asked for": b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    "a length that is too long": OK + b"Content-Length: 99\r\n\r\n{}",
    "a length below 0": OK + b"Content-Length: -1\r\n\r\n{}",
    "a length of 30 digits": OK + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n{}",
    "two lengths": OK + b"Content-Length: 2\r\nContent-Length: 5\r\n\r\n{}",
    "a chunk that is cut": CHUNKED + b"10\r\n{}",
    "a chunk of no size": CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n",
    "a chunk of a negative size": CHUNKED + b"-5\r\n{}\r\n",
    "a chunk of 2^64 bytes": CHUNKED + b"ffffffffffffffff\r\n{}",
    "a trailer of a megabyte": CHUNKED + b"2\r\n{}\r\n0\r\nX: " + b"t" * MEGABYTE + b"\r\n\r\n",
    "200,000 trailers": CHUNKED + b"2\r\n{}\r\n0\r\n" + b"X: y\r\n" * 200_000 + b"\r\n",
    "gzip that is none": OK + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
    "an encoding that nobody asked for": OK + b"Content-Encoding: quantum\r\nContent-Length: 3\r\n\r\nxyz",
    "10^5000": OK + b"Content-Length: 5003\r\n\r\n[1" + b"0" * 5_000 + b"]",
}


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("name", BROKEN)
async def test_what_is_no_answer_is_one_error(endpoint: str, name: str) -> None:
    """Of this library, and in bounded memory: no exception of aiohttp, whatever is wrong with the bytes."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(BROKEN[name])
        await writer.drain()
        writer.write_eof()
        await asyncio.sleep(0.05)

    async with client_of(answer, endpoint, deadline=5.0) as criteo:
        error, peak = await failure_of(criteo)
    assert error.__context__ is None or error.__suppress_context__
    assert peak < BOUND


ENDLESS = {
    "headers": (OK, b"X: y\r\n"),
    "one header": (OK + b"X: ", b"a" * 100),
    "early hints": (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    "blanks": (OK + b"\r\n", b" " * 100),
    "chunks of a byte": (CHUNKED, b"1\r\n \r\n"),
    "a chunk's extension": (CHUNKED + b"2;", b"x" * 100),
    "trailers": (CHUNKED + b"2\r\n{}\r\n0\r\n", b"X: y\r\n"),
}


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("part", ENDLESS)
async def test_a_part_of_an_answer_without_an_end_ends_with_the_call(endpoint: str, part: str) -> None:
    """At the deadline, if no bound comes first; meanwhile the event loop goes on, and nothing piles up."""
    beginning, repeated = ENDLESS[part]

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(beginning)
        while True:
            writer.write(repeated * 500)
            await writer.drain()
            await asyncio.sleep(0)

    async with client_of(answer, endpoint, deadline=0.25) as criteo:
        began = time.perf_counter()
        _, peak = await failure_of(criteo)
        assert time.perf_counter() - began < 10.0  # on a busy machine
    assert peak < BOUND
