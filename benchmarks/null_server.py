"""A server in a process of its own that takes amend calls as cheaply as Python can: it counts bytes and keeps none.

Whatever is measured against it is the client's work. It answers Marketing Solutions' amend call and the token call with
constants, a GET of a contact list with what arrived there, a search with 403 (a table's upload then goes on without),
and knows no quota.
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
RECEIPT = {
    "data": {
        "type": "ContactlistOperation",
        "attributes": {"operation": "add", "contactListId": 1, "identifierType": "email"},
    },
    "errors": [],
    "warnings": [],
}

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
    """

    def __init__(self, arrived: dict[bytes, Arrived]) -> None:
        self._arrived = arrived
        self._buffer = bytearray(BUFFER)
        self._filled = 0  # bytes of a head that is not complete
        self._left = 0  # bytes of a body that are still to come
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
            self._pass_over(nbytes)
            return
        self._filled += nbytes
        end = self._buffer.find(HEAD_END, 0, self._filled)
        if end >= 0:
            beyond = self._filled - end - len(HEAD_END)
            self._filled = 0
            self._begin(bytes(self._buffer[:end]))
            self._pass_over(beyond)
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
        self._answer = answer(asdict(arrived) if method == b"GET" else TOKEN if path == b"/oauth2/token" else RECEIPT)

    def _pass_over(self, count: int) -> None:
        self._left -= count
        if self._left == 0:
            self._transport.write(self._answer)


def answer(body: object, status: bytes = b"200 OK") -> bytes:
    """Returns a whole answer."""
    text = json.dumps(body).encode()
    head = b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % (status, len(text)) + text


async def serve(pipe: Connection) -> None:
    """Says which port it has, and serves until it is told to stop."""
    arrived: dict[bytes, Arrived] = {}
    server = await asyncio.get_running_loop().create_server(lambda: NullCriteo(arrived), "127.0.0.1", 0)
    pipe.send(server.sockets[0].getsockname()[1])
    await asyncio.to_thread(pipe.recv)
    server.close()


def process(pipe: Connection) -> None:
    """The body of the server's process."""
    asyncio.run(serve(pipe))


@contextmanager
def running() -> Iterator[str]:
    """Starts the server, yields its URL and stops it."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=process, args=(theirs,), daemon=True)
    child.start()
    try:
        yield f"http://127.0.0.1:{ours.recv()}"
    finally:
        ours.send("stop")
        child.join()
