"""What this machine says about the network: which hosts are itself, the proxy to take, the logins it keeps."""

import ipaddress
import netrc
import os
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from criteo_audiences.errors import ConfigurationError


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_proxy(proxy: str | None, what: str = "proxy") -> str | None:
    """Returns the URL of a proxy, which may be `None`.

    Args:
        proxy: the URL.
        what: where it comes from, for the message.

    Raises:
        ConfigurationError: when it is no HTTP URL; never showing it, since it may hold a password.
    """
    if proxy is None:
        return None
    try:
        usable = _is_proxy(proxy)
    except (ValueError, AttributeError, TypeError):
        usable = False
    if not usable:
        raise ConfigurationError(f"{what} must be the URL of an HTTP proxy, such as http://proxy.example.com:3128.")
    return proxy


def _is_proxy(proxy: str) -> bool:
    parts = urlsplit(proxy)
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    # What RFC 7617 §2 cannot carry would fail later, in an exception that shows it.
    (user + password).encode("latin-1")
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0 and ":" not in user


def environment_proxy(url: str) -> str | None:
    """Returns the proxy that the environment names for a URL, and none for this machine: it would read plain HTTP.

    aiohttp's own `trust_env` makes no such exception, and takes passwords out of `~/.netrc` that clash with our token.

    Raises:
        ConfigurationError: when the variable holds no URL of an HTTP proxy.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    if is_loopback(host) or proxy_bypass(f"{host}:{port}"):
        return None
    proxy = getproxies().get(parts.scheme)
    named = f"http://{proxy}" if proxy and "://" not in proxy else proxy
    return check_proxy(named, f"{parts.scheme.upper()}_PROXY")


def address(url: str) -> str:
    """Returns host and port of a URL, without the credentials that it may hold."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)


def keeps_login(host: str) -> bool:
    """Whether the user's netrc file has a login for a host; a file that cannot be read has none."""
    path = os.environ.get("NETRC") or Path.home() / ("_netrc" if sys.platform == "win32" else ".netrc")
    try:
        return netrc.netrc(str(path)).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False
