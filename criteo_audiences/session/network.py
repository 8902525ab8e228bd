"""The network of this machine: checks of URLs, proxies and logins, errors of connections, and reading from them.

Exceptions of aiohttp and the operating system become ours here, without the data that they may show. aiohttp's parser
gets received data in small pieces, so that no answer blocks the event loop.
"""

import asyncio
import ipaddress
import netrc
import os
import re
import ssl
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.request import getproxies, proxy_bypass

import aiohttp
from aiohttp.client_proto import ResponseHandler
from yarl import URL

from criteo_audiences.errors import (
    NO_DESCRIPTORS,
    ConfigurationError,
    ConnectError,
    RequestTimeout,
    TransportError,
    has_descriptors,
    lacks_descriptors,
)

_AMBIGUOUS: Final = re.compile(r"[\s\\\x00-\x1f\x7f-\x9f]")
"""Blanks, control characters and backslashes: programs that read URLs disagree about them."""
_HOST: Final = re.compile(r"[a-z0-9._-]+")


def read_url(text: object) -> URL:
    """Returns a URL in its normal form, which is what must be checked and used from here on.

    The normal form has no blanks around it, scheme and host in lower case, an international host name in IDNA, and no
    port that is the scheme's default.

    Raises:
        ValueError: when it is not an absolute HTTP URL with a host, or programs might read it in different ways.
    """
    bare = text.strip() if isinstance(text, str) else ""
    if _AMBIGUOUS.search(bare):
        raise ValueError("a blank, a control character or a backslash")
    try:
        url = URL(bare)
    except IndexError:  # yarl's own fault where nothing follows the login: http://[::1]user@
        raise ValueError("no absolute HTTP URL") from None
    if url.scheme not in {"http", "https"} or not _is_host(url.raw_host or "") or url.explicit_port == 0:
        raise ValueError("no absolute HTTP URL")
    return url if url.explicit_port != url.with_port(None).port else url.with_port(None)


def _is_host(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return _HOST.fullmatch(host) is not None
    return True


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_base_url(base_url: str) -> str:
    """Returns the base URL in its normal form, without a trailing slash; use this form from here on.

    Raises:
        ConfigurationError: when it is not a plain HTTPS URL. HTTP is accepted for this machine only (loopback), because
            elsewhere identifiers and tokens would be sent unencrypted.
    """
    expected = "expected one such as https://api.criteo.com"
    try:
        url = read_url(base_url)
    except (ValueError, TypeError):
        url = None
    if url is None or "@" in base_url.partition("://")[2].partition("/")[0]:
        raise ConfigurationError(f"The base URL must be an HTTPS URL without credentials; {expected}.")
    if "?" in base_url or "#" in base_url:
        raise ConfigurationError(f"The base URL must not have a query or a fragment; {expected}.")
    if url.scheme != "https" and not is_loopback(url.raw_host or ""):
        raise ConfigurationError(f"The base URL must use HTTPS: plain HTTP is for this machine only; {expected}.")
    return str(url).rstrip("/")


def check_proxy(proxy: str | None, what: str = "proxy") -> str | None:
    """Returns the URL of a proxy in its normal form; `None` stays `None`.

    Args:
        proxy: the URL.
        what: the name of the setting, for the message.

    Raises:
        ConfigurationError: when it is not an HTTP URL; never showing it, since it may contain a password.
    """
    if proxy is None:
        return None
    try:
        return str(_read_proxy(proxy))
    except (ValueError, TypeError):
        unusable = ConfigurationError(
            f"{what} must be the URL of an HTTP proxy, such as http://proxy.example.com:3128."
        )
    raise unusable  # outside the `except` block: the reader's exception may show a password


def _read_proxy(proxy: str) -> URL:
    url = read_url(proxy)
    # A login that RFC 7617 §2 cannot carry would fail later, in an exception that shows it.
    ((url.user or "") + (url.password or "")).encode("latin-1")
    if ":" in (url.user or ""):
        raise ValueError("a colon in the user's name")
    return url


def environment_proxy(url: str) -> str | None:
    """Returns the proxy that the environment names for a URL; `None` for this machine, so that it reads no plain HTTP.

    aiohttp's own `trust_env` makes no such exception, and takes passwords out of `~/.netrc` that clash with our token.

    Raises:
        ConfigurationError: when the variable is not the URL of an HTTP proxy.
    """
    target = URL(url, encoded=True)
    host = target.host or ""
    if is_loopback(host) or proxy_bypass(f"{host}:{target.port}"):
        return None
    proxy = getproxies().get(target.scheme)
    bare = (proxy or "").strip()
    named = f"http://{bare}" if bare and "://" not in bare else proxy
    return check_proxy(named, f"{target.scheme.upper()}_PROXY")


def address(url: str) -> str:
    """Returns host and port of a URL, without its credentials."""
    named = URL(url)
    return f"{named.host}:{named.explicit_port}" if named.explicit_port else str(named.host)


def keeps_login(host: str) -> bool:
    """Whether the user's netrc file has a login for a host; a file that cannot be read has none."""
    path = os.environ.get("NETRC") or Path.home() / ("_netrc" if sys.platform == "win32" else ".netrc")
    try:
        return netrc.netrc(str(path)).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


# Seconds of parsing in one turn of a connection, and bytes between two checks of the clock. A full kernel buffer of
# ordinary data takes a tenth of a turn; if it is full of one-byte chunks, it takes a hundred turns.
_TURN: Final = 0.001
_PIECE: Final = 2 * 1024


class Connector(aiohttp.TCPConnector):
    """Connects as aiohttp does, but hands what it receives to the parser in small pieces.

    aiohttp has no public interface for that: `_factory`, and the methods that `Receiver` overrides, are private; tests
    guard them. A small receive buffer would limit a turn as well, but also what a distant server can send in a round
    trip.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._factory = partial(Receiver, loop=self._loop)  # type: ignore[assignment]  # it is a kind of what is wanted


class Receiver(ResponseHandler):
    """Our end of a connection: gives the parser a little at a time, and nothing while the reader of a body has enough.

    The rest is kept until the next turn, and the transport does not read meanwhile. aiohttp may pause or resume reading
    after each chunk; the transport is paused or resumed once a turn at most.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._held = b""
        self._next_turn: asyncio.Handle | None = None
        self._has_enough = False
        self._is_reading = True

    def data_received(self, data: bytes) -> None:
        """Takes received data; empty data means that aiohttp goes on with what it has."""
        if not data:
            super().data_received(data)
            return
        self._held += data
        if self._next_turn is None:
            self._take_turn()

    @property
    def should_close(self) -> bool:
        """Whether the connection cannot be reused; unread data would be taken for the next answer."""
        return bool(self._held) or super().should_close

    def connection_lost(self, exc: BaseException | None) -> None:
        """Called once; first feeds the parser all data that came before."""
        if self._next_turn is not None:
            self._next_turn.cancel()
        while self._held:
            self._feed()
        super().connection_lost(exc)

    def _pause_transport_reading(self) -> None:
        self._has_enough = True
        self._plan_turn()

    def _resume_transport_reading(self) -> None:
        self._has_enough = False
        self._plan_turn()

    def _plan_turn(self) -> None:
        if self._next_turn is None:
            self._next_turn = self._loop.call_soon(self._take_turn)

    def _take_turn(self) -> None:
        self._next_turn = None
        ends_by = time.perf_counter() + _TURN
        while self._held and not self._has_enough:
            self._feed()
            if time.perf_counter() > ends_by:
                break
        if self._held and not self._has_enough:
            self._plan_turn()
        self._read_on(not (self._held or self._has_enough))

    def _feed(self) -> None:
        piece, self._held = self._held[:_PIECE], self._held[_PIECE:]
        if self.transport is None:  # it was closed
            self._held = b""
        else:
            super().data_received(piece)

    def _read_on(self, wanted: bool) -> None:  # noqa: FBT001 - whether it may
        if self.transport is None or wanted is self._is_reading:
            return
        self._is_reading = wanted
        if wanted:
            super()._resume_transport_reading()  # which tolerates transports that are closed, or cannot pause
        else:
            super()._pause_transport_reading()


PROXY_LOGIN_REQUIRED: Final = 407  # RFC 9110 §15.5.8
_SERVER_FAULT: Final = 500
_HTTPS: Final = 443
_UNRESOLVED: Final = "cannot be resolved; no part of this request was sent."
_CHECK_SERVER: Final = "Check the base URL (CRITEO_BASE_URL), this machine's network, and whether it needs HTTPS_PROXY."
_CHECK_PROXY: Final = "Check its URL (proxy=, or HTTPS_PROXY) and whether it runs."
_NO_DESCRIPTORS: Final = (
    f"No connection could be made, and no part of this request was sent: {NO_DESCRIPTORS}, or close what the program "
    "keeps open."
)
# The first class that fits decides.
_TRANSLATIONS: Final[Sequence[tuple[type[Exception], type[TransportError], str]]] = (
    (aiohttp.ClientConnectorDNSError, ConnectError, f"The server's name {{host}} {_UNRESOLVED} {_CHECK_SERVER}"),
    (
        aiohttp.ClientProxyConnectionError,
        ConnectError,
        f"{{proxy}} cannot be reached; no part of this request was sent. {_CHECK_PROXY}",
    ),
    (
        aiohttp.ClientConnectorError,
        ConnectError,
        f"The server {{host}} cannot be reached; no part of this request was sent. {_CHECK_SERVER}",
    ),
    (TimeoutError, RequestTimeout, "Nothing moved for {timeout:g} s; whether Criteo applied the call is not known."),
    (Exception, TransportError, "The connection broke before an answer came; whether Criteo applied it is not known."),
)
_BEFORE_THE_BODY: Final[Sequence[tuple[type[Exception], type[TransportError], str]]] = (
    *_TRANSLATIONS[:-2],
    (TimeoutError, ConnectError, "No connection could be made within {timeout:g} s; no part of this request was sent."),
    (Exception, ConnectError, "The connection broke before anything was sent."),
)


def translated(error: Exception, timeout: float, proxy: str | None, *, began: bool | None) -> TransportError:
    """Translates a foreign exception into ours.

    Args:
        error: the foreign exception.
        timeout: seconds without progress that a request may take.
        proxy: URL of the proxy for the request, if any.
        began: whether writing the body had begun; `None` for a call without a body.
    """
    if (failed_handshake := _handshake(error)) is not None:
        return _handshake_error(failed_handshake)
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return refused_by_proxy(error.status, proxy)
    is_unresolved = isinstance(error, aiohttp.ClientConnectorDNSError)  # which does not reveal why
    if began is not True and (lacks_descriptors(error) or (is_unresolved and not has_descriptors())):
        return ConnectError(_NO_DESCRIPTORS)
    if proxy is not None and is_unresolved:
        return ConnectError(f"The name of the proxy {address(proxy)} {_UNRESOLVED} {_CHECK_PROXY}")
    table = _BEFORE_THE_BODY if began is False else _TRANSLATIONS
    ours, message = next(row[1:] for row in table if isinstance(error, row[0]))
    return ours(message.format(timeout=timeout, proxy=_named(proxy), host=_host_of(error)))


def _host_of(error: Exception) -> str:
    """Returns the host that could not be reached, with its port unless that is HTTPS's default."""
    host, port = getattr(error, "host", ""), getattr(error, "port", None)
    return f"{host}" if port in {None, _HTTPS} else f"{host}:{port}"


def _handshake(error: BaseException | None) -> ssl.SSLError | None:
    """Returns the TLS error that a foreign exception stems from, if it does."""
    while error is not None:
        if isinstance(error, ssl.SSLError) and not isinstance(error, aiohttp.ClientError):
            return error
        error = error.__cause__
    return None


def refused_by_proxy(status: int, proxy: str | None) -> ConnectError:
    """Returns the error for a call that a proxy refused; only a fault of the proxy itself justifies a retry."""
    refused = f"{_named(proxy)} refused the connection (HTTP {status}); no part of this request was sent."
    if status == PROXY_LOGIN_REQUIRED:
        refused += " Put user name and password into its URL, as in http://user:password@host:port."
    elif status < _SERVER_FAULT:
        refused += " Ask whoever runs it to let connections to Criteo through."
    return ConnectError(refused, passing=status >= _SERVER_FAULT)


def _named(proxy: str | None) -> str:
    return f"The proxy {address(proxy)}" if proxy else "The proxy"


_CLOCK: Final = "Check this machine's clock; if it is right, whoever runs the server must renew the certificate."
_NAME: Final = (
    "The server's certificate is for another name; no part of this request was sent. Check the host of the base URL."
)
_UNTRUSTED: Final = (
    "The server's certificate is not trusted; no part of this request was sent. If your company has an authority of "
    "its own, pass ssl= with a context that trusts it, or name the file with its certificate in SSL_CERT_FILE."
)

# X509_V_ERR_… of OpenSSL's x509_vfy.h, which Python shows as `verify_code`.
_BY_VERIFY_CODE: Final[Mapping[int, str]] = {
    9: f"The server's certificate is not valid yet; no part of this request was sent. {_CLOCK}",
    10: f"The server's certificate has expired; no part of this request was sent. {_CLOCK}",
    62: _NAME,
    64: _NAME,
}

_NO_CLIENT_CERTIFICATE: Final = (
    "The server broke off the TLS handshake, as one that wants a client certificate does; nothing was applied. "
    "Pass ssl= with a context that has loaded one (load_cert_chain)."
)
_REFUSED_CERTIFICATE: Final = (
    "The server refused the client certificate; nothing was applied. Check that the one in the context of ssl= is of "
    "an authority that the server trusts, and is still valid."
)
_OLD: Final = (
    "The server and this machine have no TLS version in common, and 1.2 is the oldest that is used; no part of this "
    "request was sent."
)
_NO_TLS: Final = "The server does not speak TLS on this port; no part of this request was sent. Check the base URL."

# Endings of OpenSSL's names of reasons; their beginnings depend on OpenSSL's version.
_BY_REASON: Final[Sequence[tuple[str, str]]] = (
    ("ALERT_CERTIFICATE_REQUIRED", _NO_CLIENT_CERTIFICATE),
    ("ALERT_HANDSHAKE_FAILURE", _NO_CLIENT_CERTIFICATE),
    ("ALERT_UNKNOWN_CA", _REFUSED_CERTIFICATE),
    ("ALERT_BAD_CERTIFICATE", _REFUSED_CERTIFICATE),
    ("ALERT_CERTIFICATE_EXPIRED", _REFUSED_CERTIFICATE),
    ("ALERT_CERTIFICATE_REVOKED", _REFUSED_CERTIFICATE),
    ("ALERT_CERTIFICATE_UNKNOWN", _REFUSED_CERTIFICATE),
    ("ALERT_UNSUPPORTED_CERTIFICATE", _REFUSED_CERTIFICATE),
    ("ALERT_ACCESS_DENIED", _REFUSED_CERTIFICATE),
    ("ALERT_PROTOCOL_VERSION", _OLD),
    ("UNSUPPORTED_PROTOCOL", _OLD),
    ("WRONG_SSL_VERSION", _OLD),
    ("WRONG_VERSION_NUMBER", _NO_TLS),
    ("HTTP_REQUEST", _NO_TLS),
)


def _handshake_error(error: ssl.SSLError) -> ConnectError:
    """Returns the error for a failed handshake; only a failure that no setting explains justifies a retry."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return ConnectError(_BY_VERIFY_CODE.get(error.verify_code, _UNTRUSTED), passing=False)
    reason = error.reason or ""
    for ending, message in _BY_REASON:
        if reason.endswith(ending):
            return ConnectError(message, passing=False)
    return ConnectError("No secure connection could be made; no part of this request was sent.")
