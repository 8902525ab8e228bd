"""What a failed TLS handshake means, and what to do about it."""

import ssl
from collections.abc import Mapping, Sequence
from typing import Final

from criteo_audiences.errors import ConnectError

_CLOCK: Final = "Check this machine's clock; if it is right, whoever runs the server must renew the certificate."
_NAME: Final = "The server's certificate is for another name; nothing reached Criteo. Check the host of the base URL."
_UNTRUSTED: Final = (
    "The server's certificate is not trusted; nothing reached Criteo. If your company has an authority of its own, "
    "pass ssl= with a context that trusts it, or name the file with its certificate in SSL_CERT_FILE."
)

# X509_V_ERR_… of OpenSSL's x509_vfy.h, which Python shows as `verify_code`.
_BY_VERIFY_CODE: Final[Mapping[int, str]] = {
    9: f"The server's certificate is not valid yet; nothing reached Criteo. {_CLOCK}",
    10: f"The server's certificate has expired; nothing reached Criteo. {_CLOCK}",
    62: _NAME,
    64: _NAME,
}

_NO_CLIENT_CERTIFICATE: Final = (
    "The server broke off the TLS handshake, as one that wants a client certificate does; nothing reached Criteo. "
    "Pass ssl= with a context that has loaded one (load_cert_chain)."
)
_REFUSED_CERTIFICATE: Final = (
    "The server refused the client certificate; nothing reached Criteo. Check that the one in the context of ssl= is "
    "of an authority that the server trusts, and is still valid."
)
_OLD: Final = (
    "The server and this machine have no TLS version in common, and 1.2 is the oldest that is used; nothing reached "
    "Criteo."
)
_NO_TLS: Final = "The server does not speak TLS on this port; nothing reached Criteo. Check the base URL."

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


def handshake_error(error: ssl.SSLError) -> ConnectError:
    """Says what a failed handshake means; only one that no setting explains may pass by itself."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return ConnectError(_BY_VERIFY_CODE.get(error.verify_code, _UNTRUSTED), passing=False)
    reason = error.reason or ""
    for ending, message in _BY_REASON:
        if reason.endswith(ending):
            return ConnectError(message, passing=False)
    return ConnectError("No secure connection could be made; nothing reached Criteo.")
