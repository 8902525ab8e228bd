"""Sends requests and reads answers over aiohttp; translates foreign exceptions into ours, here and nowhere else."""

import asyncio
import math
import socket
import ssl
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any, Final, Protocol
from urllib.request import getproxies, proxy_bypass
from weakref import WeakSet

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from attrs import define, field, frozen
from yarl import URL

from criteo_audiences.errors import (
    ConfigurationError,
    CriteoError,
    InvalidResponseError,
)
from criteo_audiences.loops import Clock, HomeLoop, at_end_of_loop
from criteo_audiences.session.network import (
    PROXY_LOGIN_REQUIRED,
    Connector,
    check_base_url,
    check_proxy,
    environment_proxy,
    is_loopback,
    keeps_login,
    refused_by_proxy,
    translated,
)
from criteo_audiences.session.protocol import MOST_OF_MANY, Response

__all__ = ["AiohttpTransport", "Exchange", "Transport", "check_base_url", "check_proxy"]

# Bytes of the received data that are taken in one step: each may have come in a chunk of its own.
_CHUNK: Final = 2 * 1024
# Bytes the kernel may hold unsent: with more, a slow link would look idle to us long after the last piece was written.
_UNSENT: Final = 128 * 1024
# Bytes the kernel may hold unread: what it holds is parsed at once, and tens of thousands of tiny chunks fit into more.
_UNREAD: Final = 32 * 1024
# Bytes the event loop may hold unsent, for the same reason; the default for plain connections, 512 kB for TLS.
_UNWRITTEN: Final = 64 * 1024
# Bytes of a body that are written in one step: each step costs a system call and a turn of the event loop.
_ONE_STEP: Final = 128 * 1024
_RENEWED_EVERY: Final = (
    0.01  # share of a timeout, which may end that much late: a timer for each step would cost more than the step
)
_END: Final = 0.01  # seconds


@frozen(kw_only=True)
class Exchange:
    """One request as it goes over the wire.

    Attributes:
        method: the HTTP method.
        url: absolute.
        headers: what to send in addition to the content's length.
        body: in pieces.
        most_bytes: the maximum size of the answer.
        on_written: called with the size of each piece of the body once it was handed to the operating system.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: Sequence[bytes | memoryview] = field(repr=False)
    most_bytes: int = MOST_OF_MANY
    on_written: Callable[[int], None] | None = None


class Transport(Protocol):
    """The interface to the network; a test may implement it."""

    async def send(self, exchange: Exchange) -> Response:
        """Sends one request and reads its answer, within a size limit.

        Raises:
            TransportError: when no answer came.
            InvalidResponseError: when the answer is larger than the limit.
        """

    async def aclose(self) -> None:
        """Closes everything that the transport has open."""


class AiohttpTransport:
    """Sends over the real network, through an aiohttp session of its own or a borrowed one.

    Args:
        timeout: seconds without any progress, in either direction, after which a request is given up. A link that
            is slow but moves has no limit.
        clock: dates each answer.
        http: a session to borrow; the transport never closes it.
        proxy: URL of an HTTP proxy.
        tls: an SSL context, for a private certificate authority or a client certificate.
    """

    def __init__(
        self,
        *,
        timeout: float,
        clock: Clock,
        http: aiohttp.ClientSession | None = None,
        proxy: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._timeout = timeout
        self._clock = clock
        self._borrowed = http
        self._own: aiohttp.ClientSession | None = None
        self._closing: AsyncGenerator[None, None] | None = None
        self._home = HomeLoop()
        self._sockets: WeakSet[socket.socket] = WeakSet()
        self._closed = False
        self._proxy = proxy
        self._tls = tls
        self._options: dict[str, Any] | None = None

    async def send(self, exchange: Exchange) -> Response:
        """See `Transport.send`."""
        if self._closed:
            raise ConfigurationError("This client is closed; make a new one.")
        await self._settle_in_loop()
        if self._options is None:
            self._options = self._choose_route(exchange.url)
        progress = _Progress(written=exchange.on_written)
        try:
            return await self._exchange(exchange, self._options, progress)
        except CriteoError:
            raise
        except _BrokenError as broken:
            failure = translated(broken.error, self._timeout, self._proxy, began=progress.began)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            failure = translated(error, self._timeout, self._proxy, began=progress.began)
        # Raised out here, so that it has no context: aiohttp's exceptions may show the token and the proxy's password.
        raise failure

    async def aclose(self) -> None:
        """Closes the session if it is our own; nothing can be sent afterwards."""
        self._closed = True
        home, own = self._home.loop, self._own
        if own is not None and home is asyncio.get_running_loop():
            self._own = None
            await own.close()
        elif home is not None:
            await self._abandon(home)

    async def _settle_in_loop(self) -> None:
        """Makes the transport usable in the running event loop, to which connections belong.

        Raises:
            ConfigurationError: when a borrowed session belongs to another event loop, or is closed.
        """
        home = self._home.loop
        moved = self._home.has_moved()
        if self._borrowed is not None:
            belongs_to = getattr(self._borrowed, "_loop", None) or home or self._home.loop
            _check_borrowed(self._borrowed, is_elsewhere=belongs_to is not self._home.loop)
        elif moved and home is not None:
            await self._abandon(home)

    async def _abandon(self, home: asyncio.AbstractEventLoop) -> None:
        """Gives up the connections of an event loop that no longer runs."""
        own, self._own = self._own, None
        if own is None:
            return
        if not home.is_closed():  # it closes them if it goes on
            home.call_soon(lambda: asyncio.ensure_future(own.close(), loop=home))
            return
        left, connector = list(self._sockets), own.connector  # before the first `await`, after which others may connect
        own.detach()
        if connector is not None:
            await connector.close()
        for opened in left:
            opened.close()

    async def _exchange(self, exchange: Exchange, options: dict[str, Any], progress: "_Progress") -> Response:
        async with asyncio.timeout(self._timeout) as alarm:
            progress.note = renewal(alarm, self._timeout)
            request = self._session().request(
                exchange.method,
                URL(exchange.url, encoded=True),
                headers=exchange.headers,
                data=_Pieces(exchange.body, exchange.headers["Content-Type"], progress) if exchange.body else None,
                allow_redirects=False,
                raise_for_status=False,
                timeout=aiohttp.ClientTimeout(total=None),
                **options,
            )
            async with request as answer:
                progress.note()
                if self._asks_for_login(answer):
                    raise refused_by_proxy(answer.status, self._proxy)
                body = await _read(answer, exchange.most_bytes, progress.note)
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return Response(status=answer.status, headers=headers, body=body, received_at=self._clock.time())

    def _asks_for_login(self, answer: aiohttp.ClientResponse) -> bool:
        """Whether a proxy for plain HTTP itself demands a login; through a tunnel, every answer is the server's."""
        is_refused = answer.status == PROXY_LOGIN_REQUIRED
        return is_refused and self._proxy is not None and answer.url.scheme == "http"

    def _choose_route(self, url: str) -> dict[str, Any]:
        """Returns the options for every request: the proxy and the SSL context.

        Raises:
            ConfigurationError: when the proxy could read what is sent, or a borrowed session would send its own login.
        """
        if self._borrowed is not None:
            _check_logins(self._borrowed, url)
        elif self._proxy is None:
            self._proxy = environment_proxy(url)
        proxy = self._proxy or (_own_proxy(self._borrowed, url) if self._borrowed is not None else None)
        if proxy and URL(url, encoded=True).scheme != "https" and not is_loopback(URL(proxy).raw_host or ""):
            raise ConfigurationError(
                "Plain HTTP is for this machine only, so no proxy elsewhere may carry it: use an HTTPS base URL."
            )
        route = {"proxy": self._proxy, "ssl": self._tls}
        return {name: value for name, value in route.items() if value}

    def _session(self) -> aiohttp.ClientSession:
        """Returns the session; creates our own on first use, since it belongs to the running event loop."""
        if self._borrowed is not None:
            return self._borrowed
        if self._own is None:
            self._own = aiohttp.ClientSession(
                connector=Connector(socket_factory=self._open_socket),
                cookie_jar=aiohttp.DummyCookieJar(),
                middlewares=(_once,),
            )
            self._closing = at_end_of_loop(self._own.close)
        return self._own

    def _open_socket(self, where: Any) -> socket.socket:
        opened = _socket(where)
        self._sockets.add(opened)
        return opened


@define
class _Progress:
    """The progress of a request.

    Attributes:
        note: called whenever data moves; a plain function, since a body's payload may be copied with it.
        written: called with the size of each piece once it is written.
        began: whether writing the body has begun; `None` for a request without a body.
    """

    note: Callable[[], None] = lambda: None
    written: Callable[[int], None] | None = None
    began: bool | None = None


class _BrokenError(Exception):
    """Carries an exception past aiohttp, which repeats a request only after exceptions of its own."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


async def _once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keeps aiohttp from repeating a GET, PUT or DELETE on its own when a pooled connection is dead.

    Such a repeat would bypass the quota; our retry policy repeats instead.
    """
    try:
        return await handler(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        broken = error
    raise _BrokenError(broken)


class _Pieces(aiohttp.Payload):
    """A body written piece by piece, yielding to the event loop after each."""

    def __init__(self, pieces: Sequence[bytes | memoryview], content_type: str, progress: _Progress) -> None:
        super().__init__(None, content_type=content_type)
        self._progress = progress
        self._size = sum(map(len, pieces))
        self._pieces = pieces if self._size > _ONE_STEP else [b"".join(pieces)]
        progress.began = False

    async def write(self, writer: AbstractStreamWriter) -> None:
        self._progress.began = True
        transport = getattr(writer, "transport", None)
        if isinstance(transport, asyncio.WriteTransport):
            transport.set_write_buffer_limits(high=_UNWRITTEN)
        try:
            await self._write_all(writer)
        except ConnectionError:
            await asyncio.sleep(_END)  # the server may have answered why; that is read once the connection has ended
            raise
        except BaseException:
            if isinstance(transport, asyncio.WriteTransport):
                transport.abort()  # `close` would first send all buffered data, however slow the link is
            raise

    async def _write_all(self, writer: AbstractStreamWriter) -> None:
        for piece in self._pieces:
            await writer.write(piece)
            self._progress.note()
            if self._progress.written is not None:
                self._progress.written(len(piece))
            await asyncio.sleep(0)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return b"".join(self._pieces).decode(encoding, errors)


def renewal(alarm: asyncio.Timeout, seconds: float) -> Callable[[], None]:
    """Returns a function to call at each step; the alarm then goes off `seconds`, and a little, after the last step."""
    now, step = asyncio.get_running_loop().time, _RENEWED_EVERY * seconds
    renewed_at = -math.inf

    def renew() -> None:
        nonlocal renewed_at
        moment = now()
        if moment >= renewed_at + step:
            renewed_at = moment
            alarm.reschedule(moment + seconds + step)

    return renew


async def _read(answer: aiohttp.ClientResponse, most: int, moved: Callable[[], None]) -> bytes:
    """Reads a whole body; refuses one of more than `most` bytes, counted after decompression."""
    read = bytearray()
    try:
        async for chunk in answer.content.iter_chunked(_CHUNK):
            moved()
            read += chunk
            if len(read) > most:
                answer.close()
                raise InvalidResponseError([f"more than {most:,} bytes @ $"], status=answer.status)
            await asyncio.sleep(0)
    except RuntimeError:  # raised by aiohttp when it closes the connection because of data after the last chunk
        raise aiohttp.ClientPayloadError from None
    return bytes(read)


def _socket(address: Any) -> socket.socket:
    """Opens a socket with small buffers: little unsent data, so that writing shows progress, and little unread data."""
    family, kind, protocol, _, _ = address
    opened = socket.socket(family, kind, protocol)
    try:
        opened.setblocking(False)  # noqa: FBT003 - the standard library's signature
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _UNREAD)
        low_water = getattr(socket, "TCP_NOTSENT_LOWAT", None)
        if low_water is not None:
            opened.setsockopt(socket.IPPROTO_TCP, low_water, _UNSENT)
    except BaseException:
        opened.close()
        raise
    return opened


def _check_borrowed(http: aiohttp.ClientSession, *, is_elsewhere: bool) -> None:
    """Refuses a borrowed session that is closed or belongs to another event loop.

    Raises:
        ConfigurationError: saying why, and what to do.
    """
    if is_elsewhere:
        raise ConfigurationError(
            "The borrowed ClientSession (http=) belongs to another event loop: make it and the client in the event "
            "loop that uses them, or leave http= out, and the client opens connections of its own in each."
        )
    if http.closed:
        raise ConfigurationError("The borrowed ClientSession (http=) is closed: keep it open as long as the client.")


def _check_logins(http: aiohttp.ClientSession, url: str) -> None:
    """Refuses a borrowed session that would send a login of its own with our token, or instead of it.

    Raises:
        ConfigurationError: saying where the login comes from.
    """
    if getattr(http, "auth", None) is not None or "Authorization" in http.headers:
        where = "in its auth or headers; leave it out"
    elif http.trust_env and keeps_login(URL(url, encoded=True).host or ""):
        where = "from the netrc file that trust_env=True reads; take the host out of that file, or leave trust_env out"
    else:
        return
    raise ConfigurationError(f"The borrowed ClientSession has a login of its own for the base URL {where}.")


def _own_proxy(http: aiohttp.ClientSession, url: str) -> str | None:
    """Returns the proxy that a borrowed session would use by itself."""
    if chosen := getattr(http, "_default_proxy", None):
        return str(chosen)
    target = URL(url, encoded=True)
    if not http.trust_env or (target.host is not None and proxy_bypass(target.host)):
        return None
    return getproxies().get(target.scheme)
