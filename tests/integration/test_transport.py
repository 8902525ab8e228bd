import asyncio
import contextlib
import gzip
import socket
import ssl
import subprocess
import sys
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from shutil import which
from typing import Any

import aiohttp
import pytest
from attrs import evolve

from criteo_audiences.errors import (
    ConnectError,
    InvalidResponseError,
    RequestTimeout,
    TransportError,
)
from criteo_audiences.session import AiohttpTransport, Exchange, SystemClock
from tests.kit import no_descriptors

from .networks import closed_port

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter
Serve = Callable[..., Awaitable[int]]
MEGABYTE = 1024 * 1024


def exchange(
    port: int, *, method: str = "POST", body: tuple[bytes, ...] = (b'{"a":', b"1}"), scheme: str = "http"
) -> Exchange:
    """Returns a request to a loopback port."""
    headers = {"Content-Type": "application/json", "Authorization": "Bearer planted-token"}
    return Exchange(method=method, url=f"{scheme}://127.0.0.1:{port}/x/1%2F2?a=b", headers=headers, body=body)


def answer(body: bytes = b"{}", status: str = "200 OK", **headers: str) -> bytes:
    """Returns an HTTP answer."""
    lines = {"Content-Length": str(len(body)), **{name.replace("_", "-"): value for name, value in headers.items()}}
    return (
        f"HTTP/1.1 {status}\r\n".encode()
        + b"".join(f"{n}: {v}\r\n".encode() for n, v in lines.items())
        + b"\r\n"
        + body
    )


async def receive(reader: Reader) -> bytes:
    """Reads one request with its body."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next((line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), b":0")
    return head + await reader.readexactly(int(length.split(b":")[1]))


def answering(*answers: bytes, seen: list[bytes] | None = None) -> Callable[[Reader, Writer], Awaitable[None]]:
    """Returns a server that gives these answers on each connection."""

    async def serve(reader: Reader, writer: Writer) -> None:
        for each in answers:
            request = await receive(reader)
            if seen is not None:
                seen.append(request)
            writer.write(each)
            await writer.drain()

    return serve


Connected = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
async def serve() -> AsyncIterator[Callable[..., Awaitable[int]]]:
    """Starts real servers on loopback ports; what still runs at the end of the test is cancelled."""
    servers: list[asyncio.Server] = []
    running: set[asyncio.Task[None]] = set()

    async def start(connected: Connected, **options: Any) -> int:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            running.add(asyncio.current_task())  # type: ignore[arg-type]
            with contextlib.suppress(ConnectionError, asyncio.CancelledError, asyncio.IncompleteReadError):
                await connected(reader, writer)
            writer.close()

        where = {} if "sock" in options else {"host": "127.0.0.1", "port": 0}
        servers.append(await asyncio.start_server(handle, **where, **options))
        return servers[-1].sockets[0].getsockname()[1]

    yield start
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    for server in servers:
        server.close()
        await server.wait_closed()


@pytest.fixture
async def make() -> AsyncIterator[Callable[..., AiohttpTransport]]:
    """Makes transports that are closed after the test."""
    made: list[AiohttpTransport] = []

    def make(timeout: float = 5.0, **options: Any) -> AiohttpTransport:
        made.append(AiohttpTransport(timeout=timeout, clock=SystemClock(), **options))
        return made[-1]

    yield make
    for transport in made:
        await transport.aclose()


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without proxy variables, wherever the tests run."""
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


async def test_request_and_answer_travel_whole(serve: Serve, make: Any) -> None:
    """Method, quoted path, headers and the body's pieces arrive; status, lower-case headers and body come back."""
    seen: list[bytes] = []
    port = await serve(answering(answer(b'{"b":2}', "201 Created", X_RateLimit_Limit="250"), seen=seen))
    before = time.time()
    response = await make().send(exchange(port, method="PATCH"))
    head, _, body = seen[0].partition(b"\r\n\r\n")
    assert head.startswith(b"PATCH /x/1%2F2?a=b HTTP/1.1\r\n")
    assert b"\r\nContent-Length: 7\r\n" in head + b"\r\n"
    assert b"\r\nAuthorization: Bearer planted-token\r\n" in head + b"\r\n"
    assert head.lower().count(b"content-type:") == 1
    assert body == b'{"a":1}'
    assert (response.status, response.body, response.headers["x-ratelimit-limit"]) == (201, b'{"b":2}', "250")
    assert before <= response.received_at <= time.time()


async def test_request_without_a_body_sends_none(serve: Serve, make: Any) -> None:
    """A call without a body is sent without one."""
    seen: list[bytes] = []
    port = await serve(answering(answer(), seen=seen))
    await make().send(exchange(port, method="GET", body=()))
    assert seen[0].startswith(b"GET ")
    assert seen[0].endswith(b"\r\n\r\n")
    assert b"content-length" not in seen[0].lower()


async def test_connection_is_kept(serve: Serve, make: Any) -> None:
    """Calls one after another share a connection."""
    connections: list[int] = []

    async def count(reader: Reader, writer: Writer) -> None:
        connections.append(1)
        await answering(*[answer()] * 3)(reader, writer)

    port = await serve(count)
    transport = make()
    for _ in range(3):
        await transport.send(exchange(port))
    assert len(connections) == 1


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "POST"])
async def test_dead_connection_costs_one_request(serve: Serve, make: Any, method: str) -> None:
    """A kept connection that turns out to be dead ends the request: a repeat is for the retry policy, and counted."""
    seen: list[bytes] = []

    async def hang_up(reader: Reader, writer: Writer) -> None:
        await answering(answer(), seen=seen)(reader, writer)
        seen.append(await receive(reader))

    port = await serve(hang_up)
    transport = make()
    asked = exchange(port, method=method, body=() if method in {"GET", "DELETE"} else (b"{}",))
    assert (await transport.send(asked)).status == 200
    with pytest.raises(TransportError, match="whether Criteo applied it is not known") as caught:
        await transport.send(asked)
    assert (len(seen), caught.value.outcome_unknown) == (2, True)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"])
async def test_redirect_is_not_followed(serve: Serve, make: Any, status: str) -> None:
    """A redirect is handed back as it is, and its target is never asked."""
    elsewhere: list[bytes] = []
    target = await serve(answering(answer(), seen=elsewhere))
    port = await serve(answering(answer(b"", status, Location=f"http://127.0.0.1:{target}/")))
    response = await make().send(exchange(port))
    assert response.status == int(status[:3])
    assert elsewhere == []


async def test_cookies_are_not_kept(serve: Serve, make: Any) -> None:
    """A cookie that a gateway sets is not sent back."""
    seen: list[bytes] = []
    port = await serve(answering(answer(Set_Cookie="a=b; Path=/"), answer(), seen=seen))
    transport = make()
    await transport.send(exchange(port))
    await transport.send(exchange(port))
    assert b"cookie" not in seen[1].lower()


async def endless(writer: Writer) -> int:
    """Writes a body that never ends, in chunks; returns how many bytes were taken."""
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    written, chunk = 0, b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    with contextlib.suppress(ConnectionError):
        while written < 400 * MEGABYTE:
            writer.write(chunk)
            await writer.drain()
            written += 0x10000
    return written


async def test_endless_answer_is_cut(serve: Serve, make: Any) -> None:
    """An answer without an end is refused at the bound, and neither side goes much beyond it."""
    written: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def stream(reader: Reader, writer: Writer) -> None:
        await receive(reader)
        written.set_result(await endless(writer))

    port = await serve(stream)
    tracemalloc.start()
    try:
        with pytest.raises(InvalidResponseError, match=r"more than 8,388,608 bytes @ \$") as caught:
            await make().send(exchange(port))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert caught.value.status == 200
    assert peak < 80 * MEGABYTE
    assert await written < 48 * MEGABYTE


async def test_compressed_bomb_is_cut(serve: Serve, make: Any) -> None:
    """A small answer that unpacks to far more than the bound is refused without being unpacked whole."""
    bomb = gzip.compress(b" " * (100 * MEGABYTE), compresslevel=1)
    port = await serve(answering(answer(bomb, Content_Encoding="gzip")))
    tracemalloc.start()
    try:
        with pytest.raises(InvalidResponseError, match="more than 8,388,608 bytes"):
            await make().send(exchange(port))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 80 * MEGABYTE


async def test_compressed_answer_is_unpacked(serve: Serve, make: Any) -> None:
    """A compressed answer within the bound is unpacked."""
    port = await serve(answering(answer(gzip.compress(b'{"a":1}'), Content_Encoding="gzip")))
    assert (await make().send(exchange(port))).body == b'{"a":1}'


async def test_answer_in_two_steps_is_waited_for(serve: Serve, make: Any) -> None:
    """The head of an answer is progress: the body after it may take as long again."""

    async def hesitate(reader: Reader, writer: Writer) -> None:
        await receive(reader)
        for part in (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", b"{}"):
            await asyncio.sleep(0.3)
            writer.write(part)

    port = await serve(hesitate)
    assert (await make(timeout=0.5).send(exchange(port))).body == b"{}"


async def test_refused_connection_sent_nothing(make: Any) -> None:
    """A connection that is refused is a `ConnectError`: the outcome is known, nothing was sent."""
    port = closed_port()
    with pytest.raises(ConnectError) as caught:
        await make().send(exchange(port))
    assert str(caught.value) == (
        f"The server 127.0.0.1:{port} cannot be reached; no part of this request was sent. Check the base URL "
        "(CRITEO_BASE_URL), this machine's network, and whether it needs HTTPS_PROXY."
    )
    assert not caught.value.outcome_unknown
    assert caught.value.__context__ is None


@pytest.mark.parametrize("url", ["https://127.0.0.1:9/x", "https://nowhere.invalid/x"], ids=["socket", "resolver"])
async def test_lack_of_descriptors_is_named(url: str, make: Any) -> None:
    """Neither the server nor its name is at fault, whether the socket or the resolver finds none left."""
    transport = make()
    with pytest.raises(ConnectError):
        await transport.send(exchange(closed_port()))
    with no_descriptors(), pytest.raises(ConnectError, match="no file descriptors left") as caught:
        await transport.send(Exchange(method="GET", url=url, headers={"Content-Type": "x"}, body=()))
    assert not caught.value.outcome_unknown


@pytest.mark.parametrize("scheme", ["https", "http"])
async def test_unknown_name_of_a_proxy_is_called_the_proxys(scheme: str, make: Any) -> None:
    """It is the proxy that cannot be found, not the server; its password is not shown."""
    transport = make(proxy="http://user:planted@nowhere.invalid:3128", timeout=30.0)
    transport._options = {"proxy": "http://user:planted@nowhere.invalid:3128"}
    with pytest.raises(ConnectError, match=r"The name of the proxy nowhere\.invalid:3128 cannot be resolved") as caught:
        await transport.send(exchange(9, scheme=scheme))
    assert "planted" not in str(caught.value)


async def test_a_407_of_the_server_is_the_servers(serve: Serve, make: Any) -> None:
    """Where there is no proxy, none has refused: it is an answer like any other."""
    port = await serve(Proxy(answer(b"", "407 Proxy Authentication Required")))
    assert (await make().send(exchange(port))).status == 407


async def test_unknown_name_sent_nothing(make: Any) -> None:
    """A name that cannot be resolved is a `ConnectError`."""
    nowhere = Exchange(method="GET", url="https://nowhere.invalid/x", headers={"Content-Type": "x"}, body=())
    with pytest.raises(
        ConnectError, match=r"name nowhere\.invalid cannot be resolved; no part of this request was sent"
    ):
        await make(timeout=30.0).send(nowhere)


@pytest.mark.parametrize(
    "beginning", [b"", b"HTTP/1.1 200 OK\r\nContent-Le", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"]
)
async def test_dropped_connection_leaves_the_outcome_unknown(serve: Serve, make: Any, beginning: bytes) -> None:
    """A connection that breaks after the request, before or within the answer, leaves the outcome unknown."""
    port = await serve(answering(beginning))
    with pytest.raises(TransportError, match="whether Criteo applied it is not known") as caught:
        await make().send(exchange(port))
    assert type(caught.value) is TransportError
    assert caught.value.outcome_unknown
    assert caught.value.__context__ is None


@pytest.mark.parametrize("noise", [b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 xyz\r\n\r\n", b"\x00" * 100])
async def test_answer_that_is_no_http_is_a_broken_connection(serve: Serve, make: Any, noise: bytes) -> None:
    """What is no HTTP at all is a transport error of ours, not the HTTP library's."""
    port = await serve(answering(noise))
    with pytest.raises(TransportError):
        await make().send(exchange(port))


async def test_stalled_server_is_given_up(serve: Serve, make: Any) -> None:
    """A server that takes the request and never answers is given up after `timeout` seconds without progress."""

    async def stall(reader: Reader, _: Writer) -> None:
        await receive(reader)
        await asyncio.sleep(60)

    port = await serve(stall)
    started = time.monotonic()
    with pytest.raises(RequestTimeout, match=r"Nothing moved for 0\.3 s") as caught:
        await make(timeout=0.3).send(exchange(port))
    assert 0.29 < time.monotonic() - started < 20.0
    assert caught.value.outcome_unknown


async def test_answer_that_stalls_is_given_up(serve: Serve, make: Any) -> None:
    """An answer that begins and stalls is given up; one that trickles is waited for."""

    async def trickle(reader: Reader, writer: Writer) -> None:
        request = await receive(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n")
        for piece in [b"{", b" ", b" ", b" ", b" ", b"}"]:
            await asyncio.sleep(0.1)
            writer.write(piece)
            if request.startswith(b"PUT"):
                await asyncio.sleep(60)

    port = await serve(trickle)
    assert (await make(timeout=0.45).send(exchange(port))).body == b"{    }"
    with pytest.raises(RequestTimeout):
        await make(timeout=0.3).send(exchange(port, method="PUT"))


async def test_socket_that_cannot_be_set_up_is_closed(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket that cannot be prepared is closed, and the call is a `ConnectError`."""
    opened: list[socket.socket] = []

    class Stubborn(socket.socket):
        def setblocking(self, flag: bool, /) -> None:  # noqa: FBT001 - the standard library's signature
            opened.append(self)
            raise OSError(f"no {flag}")

    monkeypatch.setattr(socket, "socket", Stubborn)
    with pytest.raises(ConnectError, match="no part of this request was sent"):
        await make().send(exchange(9))
    assert [each.fileno() for each in opened] == [-1]


def narrow_listener() -> socket.socket:
    """Returns a socket whose connections hold little unread, so that a slow reader is felt at the other end."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    listener.bind(("127.0.0.1", 0))
    return listener


LARGE = tuple(b"x" * 34_000 for _ in range(100))  # 3.4 MB, as 50,000 hashed identifiers make


async def test_slow_link_that_moves_is_not_cut(serve: Serve, make: Any) -> None:
    """A body that takes longer than `timeout` to be read is sent whole, since it never stops moving."""

    async def slow(reader: Reader, writer: Writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        left = sum(map(len, LARGE))
        while left:
            left -= len(await reader.read(64 * 1024))
            await asyncio.sleep(0.05)
        writer.write(answer())

    port = await serve(slow, sock=narrow_listener())
    started = time.monotonic()
    response = await make(timeout=1.0).send(exchange(port, body=LARGE))
    assert response.status == 200
    assert time.monotonic() - started > 2.0


async def test_link_that_stops_within_the_body_is_cut(serve: Serve, make: Any) -> None:
    """A server that stops reading in the middle of the body is given up after `timeout` seconds."""

    async def stuck(reader: Reader, _: Writer) -> None:
        await reader.read(200_000)
        await asyncio.sleep(60)

    port = await serve(stuck, sock=narrow_listener())
    started = time.monotonic()
    with pytest.raises(RequestTimeout) as caught:
        await make(timeout=0.3).send(exchange(port, body=LARGE))
    assert 0.29 < time.monotonic() - started < 20.0
    assert caught.value.outcome_unknown


@pytest.mark.parametrize("pieces", [(b"x" * 100,), (b"x" * 90_000,) * 5], ids=["one step", "pieces"])
async def test_what_is_written_of_a_body_is_said(serve: Serve, make: Any, pieces: tuple[bytes, ...]) -> None:
    """All of it by the end: a narrow line shows how long an upload takes."""
    written: list[int] = []
    port = await serve(answering(answer()))
    await make().send(evolve(exchange(port, body=pieces), on_written=written.append))
    assert sum(written) == sum(map(len, pieces))


async def test_answer_before_the_end_of_the_body_is_read(serve: Serve, make: Any) -> None:
    """A server that refuses a body before it has read it is heard: 413, not a broken connection."""

    async def refuse(reader: Reader, writer: Writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer(b"", "413 Payload Too Large", Connection="close"))
        await writer.drain()
        while await reader.read(MEGABYTE):
            pass

    port = await serve(refuse)
    assert (await make().send(exchange(port, body=LARGE))).status == 413


async def test_loop_stays_responsive_while_a_large_body_is_sent(serve: Serve, make: Any) -> None:
    """While a 3.4 MB body is sent, other tasks get their turn between its pieces."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    port = await serve(answering(answer()))
    counting = asyncio.create_task(count())
    await make().send(exchange(port, body=LARGE))
    counting.cancel()
    assert turns >= len(LARGE)


@pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux leaves a connection unanswered when the backlog is full"
)
async def test_connection_that_is_never_made_sent_nothing(make: Any) -> None:
    """A server that never completes the connection is given up as a `ConnectError`: the outcome is known."""
    with socket.socket() as listener, contextlib.ExitStack() as fillers:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):  # fill the backlog, so that the next connection is not answered
            filler = fillers.enter_context(socket.socket())
            filler.setblocking(False)  # noqa: FBT003 - the standard library's signature
            filler.connect_ex(listener.getsockname())
        with pytest.raises(
            ConnectError, match=r"No connection could be made within 0\.3 s; no part of this request was sent"
        ) as caught:
            await make(timeout=0.3).send(exchange(listener.getsockname()[1]))
    assert not caught.value.outcome_unknown


async def test_handshake_that_stalls_sent_nothing(serve: Serve, make: Any) -> None:
    """A TLS handshake that stalls is given up as a `ConnectError`."""

    async def silent(*_: object) -> None:
        await asyncio.sleep(60)

    port = await serve(silent)
    with pytest.raises(ConnectError, match="no part of this request was sent"):
        await make(timeout=0.3).send(exchange(port, scheme="https"))


async def test_plain_http_where_tls_is_expected_sent_nothing(serve: Serve, make: Any) -> None:
    """A server that does not speak TLS is a `ConnectError` that says so."""

    async def plain(reader: Reader, writer: Writer) -> None:
        await reader.read(10)
        writer.write(answer())

    port = await serve(plain)
    with pytest.raises(ConnectError, match="does not speak TLS on this port; no part of this request was sent"):
        await make().send(exchange(port, scheme="https"))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1 with its key, in one file."""
    openssl = which("openssl")
    if openssl is None:
        pytest.skip("the openssl command is needed to make a certificate")
    folder = tmp_path_factory.mktemp("tls")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    arguments = ["req", "-x509", *key, "-days", "2", "-subj", "/CN=127.0.0.1"]
    where = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(folder / "key"), "-out", str(folder / "cert")]
    subprocess.run([openssl, *arguments, *where], check=True, capture_output=True, timeout=30)  # noqa: S603 - our own arguments
    both = folder / "both"
    both.write_bytes((folder / "cert").read_bytes() + (folder / "key").read_bytes())
    return both


@pytest.fixture
async def tls_port(serve: Serve, certificate: Path) -> int:
    """A server behind that certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return await serve(answering(answer()), ssl=context)


async def test_untrusted_certificate_is_refused(tls_port: int, make: Any) -> None:
    """A self-signed certificate is refused in a clear sentence, and nothing is sent."""
    with pytest.raises(ConnectError) as caught:
        await make().send(exchange(tls_port, scheme="https"))
    assert str(caught.value) == (
        "The server's certificate is not trusted; no part of this request was sent. If your company has an authority of its own, pass "
        "ssl= with a context that trusts it, or name the file with its certificate in SSL_CERT_FILE."
    )


async def test_trusted_certificate_is_accepted(tls_port: int, make: Any, certificate: Path) -> None:
    """The same certificate is accepted with an SSL context that trusts it."""
    trusting = ssl.create_default_context(cafile=str(certificate))
    assert (await make(tls=trusting).send(exchange(tls_port, scheme="https"))).status == 200


async def test_borrowed_session_is_left_open(serve: Serve) -> None:
    """A borrowed `ClientSession` is used as it is and left open."""
    seen: list[bytes] = []
    port = await serve(answering(answer(status="500 Oh"), seen=seen))
    async with aiohttp.ClientSession(headers={"X-Mine": "1"}, raise_for_status=True) as http:
        transport = AiohttpTransport(timeout=5.0, clock=SystemClock(), http=http)
        assert (await transport.send(exchange(port))).status == 500
        await transport.aclose()
        assert not http.closed
    assert b"X-Mine: 1" in seen[0]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[aiohttp.ClientSession]:
    """Collects every `ClientSession` that is made."""
    sessions: list[aiohttp.ClientSession] = []
    original = aiohttp.ClientSession.__init__

    def record(self: aiohttp.ClientSession, *arguments: Any, **options: Any) -> None:
        sessions.append(self)
        original(self, *arguments, **options)

    monkeypatch.setattr(aiohttp.ClientSession, "__init__", record)
    return sessions


async def test_own_session_is_made_late_and_closed(opened: list[aiohttp.ClientSession], serve: Serve) -> None:
    """An own session is made on first use, is the same for all calls, and is closed; closing twice does no harm."""
    port = await serve(answering(answer(), answer()))
    transport = AiohttpTransport(timeout=5.0, clock=SystemClock())
    assert opened == []
    await transport.send(exchange(port))
    await transport.send(exchange(port))
    (own,) = opened
    assert not own.closed
    await transport.aclose()
    await transport.aclose()
    assert own.closed


async def test_own_session_is_closed_after_an_error(opened: list[aiohttp.ClientSession]) -> None:
    """An own session is closed also when its only call failed."""
    transport = AiohttpTransport(timeout=5.0, clock=SystemClock())
    with pytest.raises(ConnectError):
        await transport.send(exchange(closed_port()))
    await transport.aclose()
    assert [session.closed for session in opened] == [True]


@pytest.mark.parametrize("body", [(b"{}",), LARGE], ids=["after the body", "within the body"])
async def test_cancellation_leaves_no_connection(
    opened: list[aiohttp.ClientSession], serve: Serve, body: tuple[bytes, ...]
) -> None:
    """A call cancelled in the middle is over at once and its connection is closed, so the server sees the end."""
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    arrived = asyncio.Event()

    async def hang(reader: Reader, _: Writer) -> None:
        await reader.read(10)
        arrived.set()
        with contextlib.suppress(ConnectionError):
            await asyncio.sleep(0.1)
            while await reader.read(MEGABYTE):
                pass
        ended.set_result(None)

    port = await serve(hang, sock=narrow_listener())
    transport = AiohttpTransport(timeout=60.0, clock=SystemClock())
    call = asyncio.create_task(transport.send(exchange(port, body=body)))
    await arrived.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await asyncio.wait_for(ended, 5.0)
    await transport.aclose()
    assert [session.closed for session in opened] == [True]


class Proxy:
    """A proxy that counts what it is asked and forwards nothing."""

    def __init__(self, reply: bytes) -> None:
        self.asked: list[bytes] = []
        self._reply = reply

    async def __call__(self, reader: Reader, writer: Writer) -> None:
        """Answers one request."""
        self.asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(self._reply)
        await writer.drain()


async def test_proxy_is_used(serve: Serve, make: Any) -> None:
    """`proxy=` sends the request through the proxy, which is asked for the whole URL."""
    proxy = Proxy(answer(b'{"from":"proxy"}'))
    port = await serve(proxy)
    response = await make(proxy=f"http://127.0.0.1:{port}").send(exchange(9))
    assert response.body == b'{"from":"proxy"}'
    assert proxy.asked[0].startswith(b"POST http://127.0.0.1:9/x/1%2F2?a=b HTTP/1.1\r\n")


async def test_proxy_tunnel_carries_no_token(serve: Serve, make: Any) -> None:
    """To an HTTPS server the proxy is asked for a tunnel only; one that refuses is a `ConnectError`."""
    proxy = Proxy(answer(b"", "403 Forbidden"))
    port = await serve(proxy)
    with pytest.raises(
        ConnectError,
        match=r"The proxy 127\.0\.0\.1:\d+ refused the connection \(HTTP 403\); no part of this request was sent",
    ):
        await make(proxy=f"http://127.0.0.1:{port}").send(exchange(9, scheme="https"))
    assert proxy.asked[0].startswith(b"CONNECT 127.0.0.1:9 HTTP/1.1\r\n")
    assert b"planted-token" not in proxy.asked[0]


async def test_proxy_out_of_reach_sent_nothing(make: Any) -> None:
    """A proxy that cannot be reached is named as the cause."""
    with pytest.raises(
        ConnectError, match=r"The proxy 127\.0\.0\.1:\d+ cannot be reached; no part of this request was sent"
    ):
        await make(proxy=f"http://127.0.0.1:{closed_port()}").send(exchange(9))


async def test_proxy_variables_are_honored(serve: Serve, make: Any, environment: pytest.MonkeyPatch) -> None:
    """Without `proxy=`, the environment's proxy is asked for the tunnel."""
    proxy = Proxy(answer(b"", "403 Forbidden"))
    environment.setenv("HTTPS_PROXY", f"http://127.0.0.1:{await serve(proxy)}")
    outside = Exchange(method="GET", url="https://criteo.invalid/x", headers={"Content-Type": "x"}, body=())
    with pytest.raises(ConnectError, match=r"The proxy 127\.0\.0\.1:\d+ refused"):
        await make().send(outside)
    assert proxy.asked[0].startswith(b"CONNECT criteo.invalid:443 ")


async def test_no_proxy_is_honored(serve: Serve, make: Any, environment: pytest.MonkeyPatch) -> None:
    """A host in `NO_PROXY` is reached without the environment's proxy."""
    proxy = Proxy(answer())
    environment.setenv("HTTPS_PROXY", f"http://127.0.0.1:{await serve(proxy)}")
    environment.setenv("NO_PROXY", "criteo.invalid")
    outside = Exchange(method="GET", url="https://criteo.invalid/x", headers={"Content-Type": "x"}, body=())
    with pytest.raises(ConnectError, match=r"name criteo\.invalid cannot be resolved"):
        await make(timeout=30.0).send(outside)
    assert proxy.asked == []


async def test_plain_http_to_this_machine_takes_no_proxy(
    serve: Serve, make: Any, environment: pytest.MonkeyPatch
) -> None:
    """A call to this machine never goes through the environment's proxy, which would read it in clear."""
    proxy = Proxy(answer(b'{"from":"proxy"}'))
    environment.setenv("HTTP_PROXY", f"http://127.0.0.1:{await serve(proxy)}")
    environment.setenv("http_proxy", f"http://127.0.0.1:{await serve(proxy)}")
    port = await serve(answering(answer(b'{"from":"server"}')))
    assert (await make().send(exchange(port))).body == b'{"from":"server"}'
    assert proxy.asked == []


async def test_netrc_is_not_read(serve: Serve, make: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A password that `~/.netrc` holds for every host neither breaks a call nor is sent with it."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login me password planted-password\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    seen: list[bytes] = []
    port = await serve(answering(answer(), seen=seen))
    await make().send(exchange(port))
    assert seen[0].count(b"Authorization: Bearer planted-token") == 1
    assert b"Basic" not in seen[0]


def test_exchange_shows_neither_token_nor_body() -> None:
    """An exchange's `repr` shows where it goes, not what it carries."""
    shown = repr(exchange(80))
    assert "planted-token" not in shown
    assert '"a"' not in shown
    assert "POST" in shown
