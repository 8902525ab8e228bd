"""What this machine says about the network: which hosts are itself, the proxy to take, the logins it keeps."""

import ipaddress
import netrc
import os
import re
import sys
from pathlib import Path
from urllib.request import getproxies, proxy_bypass

from yarl import URL

from criteo_audiences.errors import ConfigurationError

_AMBIGUOUS = re.compile(r"[\s\\\x00-\x1f\x7f]")  # some readers of URLs drop them, or take them for a slash


def normalized(text: str) -> URL:
    """Returns a URL as aiohttp will read it, without white space around it.

    Raises:
        ValueError: when readers of URLs would differ about it, or it is none.
        AttributeError: when it is no text.
        TypeError: when it is no text.
    """
    stripped = (text or "").strip()
    if _AMBIGUOUS.search(stripped):
        raise ValueError
    url = URL(stripped)
    if url.scheme in {"http", "https"} and "://" not in stripped:
        raise ValueError
    return url


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_proxy(proxy: str | None, what: str = "proxy") -> str | None:
    """Returns the URL of a proxy, normalized; it may be `None`.

    Args:
        proxy: the URL.
        what: where it comes from, for the message.

    Raises:
        ConfigurationError: when it is no HTTP URL; never showing it, since it may hold a password.
    """
    if proxy is None:
        return None
    try:
        url = normalized(proxy)
        usable = _is_proxy(url)
    except (ValueError, AttributeError, TypeError):
        usable = False
    if not usable:
        raise ConfigurationError(f"{what} must be the URL of an HTTP proxy, such as http://proxy.example.com:3128.")
    return str(url)


def _is_proxy(url: URL) -> bool:
    user, password = url.user or "", url.password or ""
    # What RFC 7617 §2 cannot carry would fail later, in an exception that shows it.
    (user + password).encode("latin-1")
    return url.scheme in {"http", "https"} and bool(url.host) and url.port != 0 and ":" not in user


def environment_proxy(url: str) -> str | None:
    """Returns the proxy that the environment names for a URL, and none for this machine: it would read plain HTTP.

    aiohttp's own `trust_env` makes no such exception, and takes passwords out of `~/.netrc` that clash with our token.

    Raises:
        ConfigurationError: when the variable holds no URL of an HTTP proxy.
    """
    target = URL(url)
    host = target.host or ""
    if is_loopback(host) or proxy_bypass(f"{host}:{target.port}"):
        return None
    proxy = getproxies().get(target.scheme)
    named = f"http://{proxy.strip()}" if proxy and "://" not in proxy else proxy
    return check_proxy(named, f"{target.scheme.upper()}_PROXY")


def address(url: str) -> str:
    """Returns host and port of a URL, without the credentials that it may hold."""
    parts = URL(url)
    return str(parts.host) if parts.explicit_port is None else f"{parts.host}:{parts.explicit_port}"


def keeps_login(host: str) -> bool:
    """Whether the user's netrc file has a login for a host; a file that cannot be read has none."""
    path = os.environ.get("NETRC") or Path.home() / ("_netrc" if sys.platform == "win32" else ".netrc")
    try:
        return netrc.netrc(str(path)).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False
