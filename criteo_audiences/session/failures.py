"""Translates exceptions of aiohttp and the operating system into ours, without the data they may show."""

import ssl
from collections.abc import Mapping, Sequence
from typing import Final

import aiohttp

from criteo_audiences.errors import (
    NO_DESCRIPTORS,
    ConnectError,
    RequestTimeout,
    TransportError,
    has_descriptors,
    lacks_descriptors,
)
from criteo_audiences.session.network import address

PROXY_LOGIN_REQUIRED: Final = 407  # RFC 9110 §15.5.8
_SERVER_FAULT: Final = 500
_HTTPS: Final = 443
_UNRESOLVED: Final = "cannot be resolved; no part of this request was sent."
_NO_DESCRIPTORS: Final = (
    f"No connection could be made, and no part of this request was sent: {NO_DESCRIPTORS}, or close what the program "
    "keeps open."
)
# The first class that fits decides.
_TRANSLATIONS: Final[Sequence[tuple[type[Exception], type[TransportError], str]]] = (
    (aiohttp.ClientConnectorDNSError, ConnectError, f"The server's name {{host}} {_UNRESOLVED}"),
    (aiohttp.ClientProxyConnectionError, ConnectError, "{proxy} cannot be reached; no part of this request was sent."),
    (
        aiohttp.ClientConnectorError,
        ConnectError,
        "The server {host} cannot be reached; no part of this request was sent.",
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
    """Returns our exception for a foreign one.

    Args:
        error: the foreign one.
        timeout: seconds without progress that a request may take.
        proxy: URL of the proxy that was to pass it on.
        began: whether the body was begun; `None` for a call without one.
    """
    if (failed_handshake := _handshake(error)) is not None:
        return _handshake_error(failed_handshake)
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return refused_by_proxy(error.status, proxy)
    is_unresolved = isinstance(error, aiohttp.ClientConnectorDNSError)  # which says no more than that
    if began is not True and (lacks_descriptors(error) or (is_unresolved and not has_descriptors())):
        return ConnectError(_NO_DESCRIPTORS)
    if proxy is not None and is_unresolved:
        return ConnectError(f"The name of the proxy {address(proxy)} {_UNRESOLVED}")
    table = _BEFORE_THE_BODY if began is False else _TRANSLATIONS
    ours, message = next(row[1:] for row in table if isinstance(error, row[0]))
    return ours(message.format(timeout=timeout, proxy=_named(proxy), host=_host_of(error)))


def _host_of(error: Exception) -> str:
    """Returns the host that could not be reached, with its port where that is not HTTPS's own."""
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
    """Returns the error for a call that a proxy refused; only a fault of the proxy itself is worth a repeat."""
    refused = f"{_named(proxy)} refused the connection (HTTP {status}); no part of this request was sent."
    if status == PROXY_LOGIN_REQUIRED:
        refused += " Put user name and password into its URL, as in http://user:password@host:port."
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

# How OpenSSL's name of the reason ends; what it begins with depends on OpenSSL's version.
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
    """Returns the error for a failed handshake; only one that no setting explains is worth a repeat."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return ConnectError(_BY_VERIFY_CODE.get(error.verify_code, _UNTRUSTED), passing=False)
    reason = error.reason or ""
    for ending, message in _BY_REASON:
        if reason.endswith(ending):
            return ConnectError(message, passing=False)
    return ConnectError("No secure connection could be made; no part of this request was sent.")
