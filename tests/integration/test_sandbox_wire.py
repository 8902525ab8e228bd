"""What a fault looks like from the other end of the connection, byte by byte; in clear and over TLS."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import attrs
import orjson
import pytest
import trustme

from criteo_audiences.sandbox import Sandbox

SIZE = 8_000_000
PIECE = 65_536
BODY = orjson.dumps(
    {"data": {"type": "x", "attributes": {"operation": "add", "identifierType": "email", "identifiers": ["a@b.co"]}}}
)


@attrs.define
class Line:
    """A connection that counts the bytes that have left, but for what the event loop still holds."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    sent: int = 0

    async def send(self, data: bytes) -> None:
        """Writes everything, piece by piece."""
        for at in range(0, len(data), PIECE):
            piece = data[at : at + PIECE]
            self.writer.write(piece)
            await self.writer.drain()
            self.sent += len(piece)

    async def exchange(self, data: bytes) -> bytes:
        """Writes everything and returns what comes back up to the end of the connection."""
        await self.send(data)
        return await self.read()

    async def read(self) -> bytes:
        """Returns everything up to the end of the connection."""
        return await self.reader.read()


@attrs.define
class Stage:
    """A sandbox with a contact list, and a token for it."""

    sandbox: Sandbox
    tls: ssl.SSLContext | None
    segment_id: str = ""
    token: str = ""

    @asynccontextmanager
    async def line(self) -> AsyncIterator[Line]:
        """Opens a connection."""
        scheme, address = self.sandbox.url.split("://")
        host, port = address.split(":")
        assert scheme == ("https" if self.tls else "http")
        reader, writer = await asyncio.open_connection(host, int(port), ssl=self.tls)
        writer.transport.set_write_buffer_limits(high=1)
        try:
            yield Line(reader, writer)
        finally:
            writer.transport.abort()

    def amendment(self, *, size: int | None = None) -> tuple[bytes, bytes]:
        """Returns the head and the body, filled up with spaces, of a call that adds one address."""
        body = BODY.ljust(size or len(BODY))
        path = f"/2026-07/marketing-solutions/audience-segments/{self.segment_id}/contact-list"
        lines = [f"PATCH {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {self.token}"]
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}", "", ""]
        return "\r\n".join(lines).encode(), body

    async def answered(self, *, read_to_end: bool = True) -> bytes:
        """Sends the call and returns what comes back until the connection ends, or its first line."""
        async with self.line() as line:
            await line.send(b"".join(self.amendment()))
            return await (line.read() if read_to_end else line.reader.readline())

    @property
    def entry(self) -> Any:
        """The only call on record."""
        (entry,) = self.sandbox.requests
        return entry

    @property
    def account(self) -> tuple[int | None, bool, bool, bool]:
        """What the server says became of it."""
        return self.entry.status, self.entry.handled, self.entry.answered, self.entry.acknowledged


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Whose certificates are trusted."""
    return trustme.CA()


@pytest.fixture(params=[False, True], ids=["clear", "tls"])
async def stage(request: pytest.FixtureRequest, authority: trustme.CA) -> AsyncIterator[Stage]:
    """A sandbox that takes large bodies, in clear and over TLS."""
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(server)
    authority.configure_trust(client)
    async with AsyncExitStack() as stack:
        sandbox = Sandbox(tls=server if request.param else None, max_body_bytes=SIZE)
        await stack.enter_async_context(sandbox)
        token = sandbox._state.tokens.issue()
        yield Stage(sandbox, client if request.param else None, sandbox.add_contact_list(), token)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
async def test_a_connection_is_reset_at_a_share_of_the_body(stage: Stage, share: float) -> None:
    """It takes no byte more for that; what was asked is not done."""
    stage.sandbox.fail_next(drop_connection=True, at=share)
    head, body = stage.amendment(size=SIZE)
    async with stage.line() as line:
        with pytest.raises(ConnectionError):
            await line.exchange(head + body[: round(share * SIZE)])
    assert stage.account == (None, False, False, False)
    assert (stage.entry.digest, len(stage.sandbox.contact_list(stage.segment_id))) == (None, 0)


@pytest.mark.parametrize("share", [0.5, 1.0])
async def test_a_connection_is_not_reset_before_that_share(stage: Stage, share: float) -> None:
    """The other side got rid of as much, whatever else the kernel holds."""
    stage.sandbox.fail_next(drop_connection=True, at=share)
    head, body = stage.amendment(size=SIZE)
    async with stage.line() as line:
        with pytest.raises(ConnectionError):
            await line.exchange(head + body)
    assert line.sent + PIECE >= share * SIZE


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
async def test_a_stalled_read_lets_the_other_side_wait(stage: Stage, share: float) -> None:
    """The call is handled after that time, as if nothing had been."""
    stage.sandbox.fail_next(stall=0.1, at=share)
    started = time.monotonic()
    assert (await stage.answered(read_to_end=False)).startswith(b"HTTP/1.1 200 ")
    assert time.monotonic() - started >= 0.1
    assert stage.account == (200, True, True, True)
    assert stage.sandbox.contact_list(stage.segment_id).identifiers == {"a@b.co"}


async def test_a_stalled_read_may_end_in_a_reset(stage: Stage) -> None:
    """It begins at that share, whether or not there comes more, and the reset is not before the time is over."""
    stage.sandbox.fail_next(stall=0.1, at=0.5, drop_connection=True)
    head, body = stage.amendment(size=1_000)
    started = time.monotonic()
    async with stage.line() as line:
        with pytest.raises(ConnectionError):
            await line.exchange(head + body[:500])
    assert time.monotonic() - started >= 0.1
    assert stage.account == (None, False, False, False)


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(
    ("moment", "account"),
    [
        ("handled", (None, True, False, False)),
        ("half-head", (None, True, False, False)),
        ("head", (200, True, False, False)),
        ("half-body", (200, True, False, False)),
        ("answered", (200, True, True, True)),
    ],
)
async def test_an_answer_ends_at_a_moment(
    stage: Stage,
    moment: Any,
    account: tuple[Any, ...],
    chunked: bool,  # noqa: FBT001 - a parameter of pytest
) -> None:
    """The call was handled whatever arrives; on record is how far its answer came."""
    stage.sandbox.fail_next(lose_reply=True, at=moment, chunked=chunked)
    head, end, body = (await stage.answered()).partition(b"\r\n\r\n")
    assert (head[:12], bool(end)) == {
        "handled": (b"", False),
        "half-head": (b"HTTP/1.1 200", False),
    }.get(moment, (b"HTTP/1.1 200", True))
    if chunked and end:
        assert b"Content-Length" not in head
        assert body.endswith(b"0\r\n\r\n") == (moment == "answered")
        assert bool(body) == (moment != "head")
    elif end:
        announced = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
        assert len(body) == {"head": 0, "half-body": announced // 2, "answered": announced}[moment]
    assert stage.account == account
    assert stage.sandbox.contact_list(stage.segment_id).identifiers == {"a@b.co"}


@pytest.mark.parametrize("moment", ["handled", "half-head", "head", "half-body"])
async def test_an_answer_stalls_at_a_moment(stage: Stage, moment: Any) -> None:
    """What comes before is there at once, the rest after the time, and then it is a good answer."""
    stage.sandbox.fail_next(stall=0.5, at=moment)
    started = time.monotonic()
    async with stage.line() as line:
        await line.send(b"".join(stage.amendment()))
        first = b"" if moment == "handled" else await line.reader.read(PIECE)
        assert moment == "handled" or time.monotonic() - started < 0.5
        whole = first + await line.read()
    assert time.monotonic() - started >= 0.5
    assert orjson.loads(whole.partition(b"\r\n\r\n")[2])["data"]["attributes"]["nbValidIdentifiers"] == 1
    assert stage.account == (200, True, True, True)


async def test_a_client_that_does_not_wait_for_a_stalled_answer_has_none(stage: Stage) -> None:
    """The list was changed, and the record says that the answer never got out."""
    stage.sandbox.fail_next(stall=0.1, at="half-body")
    async with stage.line() as line:
        await line.send(b"".join(stage.amendment()))
        await line.reader.readline()
    await asyncio.sleep(0.15)  # until it would have been written
    assert stage.account == (200, True, False, False)


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("raw", [b"", b"SSH-2.0-OpenSSH_9\r\n", bytes(range(256)) * 1000])
async def test_raw_bytes_arrive_as_they_are(stage: Stage, raw: bytes, first: bool) -> None:  # noqa: FBT001
    """Nothing else is written; the call is handled if that is asked for."""
    stage.sandbox.fail_next(raw=raw, handle_first=first)
    assert await stage.answered() == raw
    assert stage.account == (None, first, False, False)
    assert len(stage.sandbox.contact_list(stage.segment_id)) == first


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_can_be_padded(stage: Stage, chunked: bool) -> None:  # noqa: FBT001 - a parameter of pytest
    """It is the call's own answer, and then spaces up to the size, with and without saying how many."""
    stage.sandbox.fail_next(padded_to=3_000_001, chunked=chunked)
    head, _, body = (await stage.answered()).partition(b"\r\n\r\n")
    assert (b"Content-Length: 3000001" in head, b"chunked" in head) == (not chunked, chunked)
    if chunked:
        body = b"".join(body.split(b"\r\n")[1::2])
    assert len(body) == 3_000_001
    assert orjson.loads(body)["data"]["attributes"]["nbValidIdentifiers"] == 1
    assert stage.account == (200, True, True, True)


async def test_a_padded_body_is_never_held(stage: Stage) -> None:
    """A terabyte is written for as long as somebody reads."""
    stage.sandbox.fail_next(padded_to=10**12)
    async with stage.line() as line:
        await line.send(b"".join(stage.amendment()))
        await line.reader.readexactly(5_000_000)
    assert stage.account == (200, True, False, False)


@pytest.mark.parametrize("share", [0.0, 1.0])
async def test_a_call_without_a_body_stalls_and_drops_as_well(stage: Stage, share: float) -> None:
    """There is nothing to wait for."""
    stage.sandbox.fail_next(drop_connection=True, at=share)
    async with stage.line() as line:
        line.writer.write(b"GET /2026-07/nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with pytest.raises(ConnectionError):
            await line.read()


async def test_an_answer_without_a_body_stays_without(stage: Stage) -> None:
    """Neither a length nor a padding is put on a 204, and it can be cut all the same."""
    stage.sandbox.fail_next(status=204, padded_to=100, chunked=True, lose_reply=True, at="answered")
    head, end, body = (await stage.answered()).partition(b"\r\n\r\n")
    assert (head[:12], end, body) == (b"HTTP/1.1 204", b"\r\n\r\n", b"")
    assert b"Content-Length" not in head
    assert b"chunked" not in head
