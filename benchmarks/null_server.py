"""A server in a process of its own that takes amend calls as cheaply as Python can: it counts bytes and keeps none.

Whatever is measured against it is the client's work. It answers Marketing Solutions' amend call with the number of
texts in the body's list, all of them valid; the token call with a constant; a GET of a contact list with what arrived
there; a search with 403, after which a table's upload goes on. It knows no quota.
"""

import asyncio
import json
import multiprocessing
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from urllib.request import ProxyHandler, build_opener

from attrs import Factory, asdict, define, frozen

BUFFER = 256 * 1024
HEAD_END = b"\r\n\r\n"
LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
TOKEN = {"access_token": "token", "token_type": "Bearer", "expires_in": 900, "refresh_token": None}
REFUSAL = {"errors": [{"type": "authorization", "code": "no-search"}], "warnings": []}


@frozen
class Server:
    """Where a contender uploads to, and as whom."""

    url: str
    segment_id: str = "1"
    client_id: str = "benchmark"
    client_secret: str = "benchmark"  # noqa: S105 - the server asks for none

    @property
    def contact_list(self) -> str:
        """The URL of the contact list."""
        return f"{self.url}/2026-07/marketing-solutions/audience-segments/{self.segment_id}/contact-list"

    def arrived(self) -> "Arrived":
        """Asks what has arrived at the contact list."""
        with build_opener(ProxyHandler({})).open(self.contact_list) as answer:
            return Arrived(**json.load(answer))


@define
class Arrived:
    """What has arrived at a contact list.

    Attributes:
        calls: number of calls.
        bytes: of their bodies.
        moments: when each began to arrive, in seconds on the clock of the machine's processes.
    """

    calls: int = 0
    bytes: int = 0
    moments: list[float] = Factory(list)


class NullCriteo(asyncio.BufferedProtocol):
    """One connection: reads into one buffer again and again, and answers when a body's last byte is in.

    Args:
        arrived: by path; shared by all connections.
        latency: seconds before an amend call is answered.
    """

    def __init__(self, arrived: dict[bytes, Arrived], latency: float) -> None:
        self._arrived = arrived
        self._latency = latency
        self._buffer = bytearray(BUFFER)
        self._filled = 0  # bytes of a head that is not complete
        self._left = 0  # bytes of a body that are still to come
        self._in_list = False
        self._quotes = 0  # in the body's list
        self._answer = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport, to answer."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what a TCP server's always is
        self._transport = transport

    def get_buffer(self, _sizehint: int) -> memoryview:
        """Returns where the next bytes go."""
        return memoryview(self._buffer)[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        """Takes a head, or passes over a part of a body."""
        if self._left:
            self._pass_over(0, nbytes)
            return
        self._filled += nbytes
        end = self._buffer.find(HEAD_END, 0, self._filled)
        if end >= 0:
            body, filled = end + len(HEAD_END), self._filled
            self._filled = 0
            self._begin(bytes(self._buffer[:end]))
            self._pass_over(body, filled)
        elif self._filled == BUFFER:
            self._transport.abort()

    def _begin(self, head: bytes) -> None:
        method, path, _ = head.split(b" ", 2)
        length = LENGTH.search(head)
        self._left = int(length[1]) if length else 0
        arrived = self._arrived.setdefault(path, Arrived())
        if method == b"PATCH":
            arrived.calls += 1
            arrived.bytes += self._left
            arrived.moments.append(time.perf_counter())
        if path.partition(b"?")[0].endswith(b"/search"):
            self._answer = answer(REFUSAL, b"403 Forbidden")
            return
        self._answer = b""
        if method == b"GET" or path == b"/oauth2/token":
            self._answer = answer(asdict(arrived) if method == b"GET" else TOKEN)

    def _pass_over(self, start: int, stop: int) -> None:
        self._count(start, stop)
        self._left -= stop - start
        if self._left == 0:
            if self._answer or not self._latency:
                self._transport.write(self._answer or answer(receipt(self._quotes // 2)))
            else:
                late = answer(receipt(self._quotes // 2))
                asyncio.get_running_loop().call_later(self._latency, self._transport.write, late)
            self._in_list, self._quotes = False, 0

    def _count(self, start: int, stop: int) -> None:
        """Counts the quotes in the body's one list, whose texts hold none."""
        opens = -1 if self._in_list else self._buffer.find(b"[", start, stop)
        self._in_list = self._in_list or opens >= 0
        if self._in_list:
            closes = self._buffer.find(b"]", start, stop)
            self._quotes += self._buffer.count(b'"', max(start, opens), stop if closes < 0 else closes)
            self._in_list = closes < 0


def receipt(valid: int) -> object:
    """Returns the answer to an amend call."""
    attributes = {
        "operation": "add",
        "identifierType": "email",
        "nbValidIdentifiers": valid,
        "nbInvalidIdentifiers": 0,
    }
    data = {"type": "ContactlistOperation", "attributes": attributes}
    return {"data": data, "errors": [], "warnings": []}


def answer(body: object, status: bytes = b"200 OK") -> bytes:
    """Returns a whole answer."""
    text = json.dumps(body).encode()
    head = b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % (status, len(text)) + text


async def serve(pipe: Connection, latency: float) -> None:
    """Says which port it has, and serves until it is told to stop."""
    arrived: dict[bytes, Arrived] = {}
    server = await asyncio.get_running_loop().create_server(lambda: NullCriteo(arrived, latency), "127.0.0.1", 0)
    pipe.send(server.sockets[0].getsockname()[1])
    await asyncio.to_thread(pipe.recv)
    server.close()


def process(pipe: Connection, latency: float) -> None:
    """The body of the server's process."""
    asyncio.run(serve(pipe, latency))


@contextmanager
def running(latency: float = 0.0) -> Iterator[str]:
    """Starts the server, yields its URL and stops it.

    Args:
        latency: seconds before an amend call is answered.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=process, args=(theirs, latency), daemon=True)
    child.start()
    try:
        yield f"http://127.0.0.1:{ours.recv()}"
    finally:
        ours.send("stop")
        child.join()
