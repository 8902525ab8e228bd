"""Why no answer came: exceptions of aiohttp and of the operating system become ours, without what they show."""

import errno
import os
import ssl
from collections.abc import Sequence
from typing import Final

import aiohttp

from criteo_audiences.errors import ConnectError, RequestTimeout, TransportError
from criteo_audiences.session.environment import address
from criteo_audiences.session.handshakes import handshake_error

PROXY_LOGIN_REQUIRED: Final = 407  # RFC 9110 §15.5.8
_SERVER_FAULT: Final = 500
_UNRESOLVED: Final = "cannot be resolved; no part of this request was sent."
_NO_DESCRIPTORS: Final = (
    "This process has no file descriptors left, so no connection could be made; no part of this request was sent. "
    "Raise the limit (ulimit -n), or close what the program keeps open."
)
_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE})
# The first class that fits decides.
_TRANSLATIONS: Final[Sequence[tuple[type[Exception], type[TransportError], str]]] = (
    (aiohttp.ClientConnectorDNSError, ConnectError, f"The server's name {_UNRESOLVED}"),
    (aiohttp.ClientProxyConnectionError, ConnectError, "{proxy} cannot be reached; no part of this request was sent."),
    (aiohttp.ClientConnectorError, ConnectError, "The server cannot be reached; no part of this request was sent."),
    (TimeoutError, RequestTimeout, "Nothing moved for {timeout:g} s; whether Criteo applied the call is not known."),
    (Exception, TransportError, "The connection broke before an answer came; whether Criteo applied it is not known."),
)
_BEFORE_THE_BODY: Final[Sequence[tuple[type[Exception], type[TransportError], str]]] = (
    *_TRANSLATIONS[:-2],
    (TimeoutError, ConnectError, "No connection could be made within {timeout:g} s; no part of this request was sent."),
    (Exception, ConnectError, "The connection broke before anything was sent."),
)


def translated(error: Exception, timeout: float, proxy: str | None, *, began: bool | None) -> TransportError:
    """Returns our exception for a foreign one.

    Args:
        error: the foreign one.
        timeout: seconds without progress that a request may take.
        proxy: URL of the proxy that was to pass it on.
        began: whether the body was begun; `None` for a call without one.
    """
    if (failed_handshake := _handshake(error)) is not None:
        return handshake_error(failed_handshake)
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return refused_by_proxy(error.status, proxy)
    if began is not True and _lacks_descriptors(error):
        return ConnectError(_NO_DESCRIPTORS)
    if proxy is not None and isinstance(error, aiohttp.ClientConnectorDNSError):
        return ConnectError(f"The name of the proxy {address(proxy)} {_UNRESOLVED}")
    table = _BEFORE_THE_BODY if began is False else _TRANSLATIONS
    ours, message = next(row[1:] for row in table if isinstance(error, row[0]))
    return ours(message.format(timeout=timeout, proxy=_named(proxy)))


def _lacks_descriptors(error: BaseException | None) -> bool:
    """Whether an exception stems from a lack of file descriptors; a resolver without any only says that it failed."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        try:
            os.close(os.open(os.devnull, os.O_RDONLY))
        except OSError as probed:
            return probed.errno in _EXHAUSTED
        return False
    while error is not None:
        if isinstance(error, OSError) and error.errno in _EXHAUSTED:
            return True
        error = error.__cause__
    return False


def _handshake(error: BaseException | None) -> ssl.SSLError | None:
    """Returns the TLS error that a foreign exception stems from, if it does."""
    while error is not None:
        if isinstance(error, ssl.SSLError) and not isinstance(error, aiohttp.ClientError):
            return error
        error = error.__cause__
    return None


def refused_by_proxy(status: int, proxy: str | None) -> ConnectError:
    """Says what a proxy answered instead of passing the call on; only a fault of its own may pass by itself."""
    refused = f"{_named(proxy)} refused the connection (HTTP {status}); no part of this request was sent."
    if status == PROXY_LOGIN_REQUIRED:
        refused += " Put user name and password into its URL, as in http://user:password@host:port."
    return ConnectError(refused, passing=status >= _SERVER_FAULT)


def _named(proxy: str | None) -> str:
    return f"The proxy {address(proxy)}" if proxy else "The proxy"
