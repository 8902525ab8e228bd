"""Bytes out, bytes in, over aiohttp; foreign exceptions become ours here and nowhere else."""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from attrs import field, frozen
from yarl import URL

from criteo_audiences.errors import (
    ConfigurationError,
    ConnectError,
    CriteoError,
    InvalidResponseError,
    RequestTimeout,
    TransportError,
)
from criteo_audiences.session.clock import Clock
from criteo_audiences.session.protocol import Response

_LARGEST_ANSWER: Final = 32 * 1024 * 1024
_CHUNK: Final = 64 * 1024
# Bytes the kernel may hold unsent: with more, a slow link would look idle to us long after the last piece was written.
_UNSENT: Final = 128 * 1024


@frozen(kw_only=True)
class Exchange:
    """One request as it goes over the wire.

    Attributes:
        method: the HTTP method.
        url: absolute.
        headers: what to send beside the content's length.
        body: in pieces.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: Sequence[bytes] = field(repr=False)


class Transport(Protocol):
    """The one seam to the network; a test may put its own in its place."""

    async def send(self, exchange: Exchange) -> Response:
        """Sends one request and reads its answer to a bounded end.

        Raises:
            TransportError: when no answer came.
            InvalidResponseError: when the answer is larger than the bound.
        """

    async def aclose(self) -> None:
        """Gives back what the transport holds."""


def check_base_url(base_url: str) -> str:
    """Returns the base URL without its last slash.

    Raises:
        ConfigurationError: when it is no plain HTTPS URL. HTTP is accepted to this machine only (loopback), because
            anywhere else identifiers and tokens would travel in clear.
    """
    expected = "expected one such as https://api.criteo.com"
    try:
        parts = urlsplit(base_url)
        host, _ = parts.hostname, parts.port
    except (ValueError, AttributeError, TypeError):
        raise ConfigurationError(f"The base URL cannot be read; {expected}.") from None
    if parts.scheme not in {"https", "http"} or not host or parts.username or parts.password:
        raise ConfigurationError(f"The base URL must be an HTTPS URL without credentials; {expected}.")
    if parts.query or parts.fragment:
        raise ConfigurationError(f"The base URL must not have a query or a fragment; {expected}.")
    if parts.scheme == "http" and not _is_loopback(host):
        raise ConfigurationError(f"The base URL must use HTTPS: plain HTTP is for this machine only; {expected}.")
    return base_url.rstrip("/")


def check_proxy(proxy: str | None) -> str | None:
    """Returns the URL of a proxy, which may be `None`.

    Raises:
        ConfigurationError: when it is no HTTP URL; never showing it, since it may hold a password.
    """
    if proxy is None:
        return None
    try:
        parts = urlsplit(proxy)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except (ValueError, AttributeError, TypeError):
        usable = False
    if not usable:
        raise ConfigurationError("proxy must be the URL of an HTTP proxy, such as http://proxy.example.com:3128.")
    return proxy


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _environment_proxy(url: str) -> str | None:
    """Returns the proxy that the environment names for a URL, and none for this machine: it would read plain HTTP.

    aiohttp's own `trust_env` makes no such exception, and takes passwords out of `~/.netrc` that clash with our token.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    proxy = None if _is_loopback(host) or proxy_bypass(host) else getproxies().get(parts.scheme)
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy


class AiohttpTransport:
    """The real network, through a session of its own or one that is borrowed and left open.

    Args:
        timeout: seconds without any progress, in either direction, after which a request is given up; a slow link
            that moves is not cut.
        clock: tells when an answer came.
        http: a session to borrow; it is never closed here.
        proxy: URL of an HTTP proxy.
        tls: an SSL context, for an authority or a client certificate of one's own.
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
        self._closed = False
        self._options: dict[str, Any] = {"proxy": proxy} if proxy else {}
        if tls is not None:
            self._options["ssl"] = tls

    async def send(self, exchange: Exchange) -> Response:
        """See `Transport.send`."""
        if self._closed:
            raise ConfigurationError("This client is closed; make a new one.")
        try:
            return await self._exchange(exchange)
        except CriteoError:
            raise
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            # `from None`: aiohttp's exceptions may show request headers, and with them the token.
            raise _translated(error, self._timeout) from None

    async def aclose(self) -> None:
        """Closes the session if it is our own; nothing can be sent afterwards."""
        self._closed = True
        own, self._own = self._own, None
        if own is not None:
            await own.close()

    async def _exchange(self, exchange: Exchange) -> Response:
        loop = asyncio.get_running_loop()
        sent: _Pieces | None = None
        try:
            async with asyncio.timeout(self._timeout) as alarm:

                def moved() -> None:
                    alarm.reschedule(loop.time() + self._timeout)

                sent = _Pieces(exchange.body, exchange.headers["Content-Type"], moved) if exchange.body else None
                request = self._session(exchange.url).request(
                    exchange.method,
                    URL(exchange.url, encoded=True),
                    headers=exchange.headers,
                    data=sent,
                    allow_redirects=False,
                    raise_for_status=False,
                    timeout=aiohttp.ClientTimeout(total=None),
                    **self._options,
                )
                async with request as answer:
                    moved()
                    body = await _read(answer, moved)
        except TimeoutError:
            if sent is not None and not sent.begun:
                message = f"No connection could be made within {self._timeout:g} s; nothing was sent."
                raise ConnectError(message) from None
            raise
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return Response(status=answer.status, headers=headers, body=body, received_at=self._clock.time())

    def _session(self, url: str) -> aiohttp.ClientSession:
        """Returns the session; an own one is made on first use, since it belongs to the running loop."""
        if self._borrowed is not None:
            return self._borrowed
        if self._own is None:
            self._own = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(socket_factory=_socket),
                cookie_jar=aiohttp.DummyCookieJar(),
                proxy=_environment_proxy(url),
                middlewares=(self._once,),
            )
        return self._own

    async def _once(self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        """Keeps aiohttp from repeating a GET, PUT or DELETE on its own when a kept connection turns out to be dead.

        The quota would not know of the repeat; our retry policy makes it. What is no exception of aiohttp's ends the
        request there and then.
        """
        try:
            return await handler(request)
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
            raise _translated(error, self._timeout) from None


class _Pieces(aiohttp.Payload):
    """A body written piece by piece, giving way to the event loop after each."""

    def __init__(self, pieces: Sequence[bytes], content_type: str, moved: Callable[[], None]) -> None:
        super().__init__(None, content_type=content_type)
        self._pieces = pieces
        self._moved = moved
        self.begun = False
        self._size = sum(map(len, pieces))

    async def write(self, writer: AbstractStreamWriter) -> None:
        self.begun = True
        for piece in self._pieces:
            await writer.write(piece)
            self._moved()
            await asyncio.sleep(0)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return b"".join(self._pieces).decode(encoding, errors)


async def _read(answer: aiohttp.ClientResponse, moved: Callable[[], None]) -> bytes:
    """Reads a body to its end, which must come before the bound (counted after decompression)."""
    read = bytearray()
    async for chunk in answer.content.iter_chunked(_CHUNK):
        moved()
        read += chunk
        if len(read) > _LARGEST_ANSWER:
            answer.close()
            raise InvalidResponseError([f"more than {_LARGEST_ANSWER:,} bytes @ $"], status=answer.status)
    return bytes(read)


def _socket(address: Any) -> socket.socket:
    """Opens a socket that keeps little unsent, so that writing it is a measure of progress."""
    family, kind, protocol, _, _ = address
    opened = socket.socket(family, kind, protocol)
    try:
        opened.setblocking(False)  # noqa: FBT003 - the standard library's signature
        low_water = getattr(socket, "TCP_NOTSENT_LOWAT", None)
        if low_water is not None:
            opened.setsockopt(socket.IPPROTO_TCP, low_water, _UNSENT)
    except BaseException:
        opened.close()
        raise
    return opened


# The first class that fits decides.
_TRANSLATIONS: Final[Sequence[tuple[type[Exception], type[TransportError], str]]] = (
    (TimeoutError, RequestTimeout, "Nothing moved for {timeout:g} s; whether Criteo applied the call is not known."),
    (
        aiohttp.ClientConnectorCertificateError,
        ConnectError,
        "The server's certificate is not trusted; nothing was sent. Check the base URL, or give an ssl context.",
    ),
    (aiohttp.ClientConnectorDNSError, ConnectError, "The server's name cannot be resolved; nothing was sent."),
    (aiohttp.ClientProxyConnectionError, ConnectError, "The proxy cannot be reached; nothing was sent."),
    (aiohttp.ClientHttpProxyError, ConnectError, "The proxy refused the connection; nothing was sent."),
    (aiohttp.ClientSSLError, ConnectError, "No secure connection could be made; nothing was sent."),
    (aiohttp.ClientConnectorError, ConnectError, "The server cannot be reached; nothing was sent."),
    (Exception, TransportError, "The connection broke before an answer came; whether Criteo applied it is not known."),
)


def _translated(error: Exception, timeout: float) -> TransportError:
    for foreign, ours, message in _TRANSLATIONS:
        if isinstance(error, foreign):
            return ours(message.format(timeout=timeout))
    raise AssertionError("the last row fits every exception")
