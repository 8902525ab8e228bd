"""The network of this machine: which URLs may be used, proxies and logins, and what comes over a connection.

What has come is handed to aiohttp's parser for a moment at a time, so that no answer holds the loop.
"""

import asyncio
import ipaddress
import netrc
import os
import re
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.request import getproxies, proxy_bypass

import aiohttp
from aiohttp.client_proto import ResponseHandler
from yarl import URL

from criteo_audiences.errors import ConfigurationError

_AMBIGUOUS: Final = re.compile(r"[\s\\\x00-\x1f\x7f-\x9f]")
"""Blanks, control characters and backslashes: programs that read URLs disagree about them."""
_HOST: Final = re.compile(r"[a-z0-9._-]+")


def read_url(text: object) -> URL:
    """Returns a URL in its normal form, which is what must be checked and used from here on.

    Blanks around it are dropped; scheme and host come out in lower case, a name of other letters in IDNA, and the
    scheme's own port is left out.

    Raises:
        ValueError: when it is no absolute HTTP URL with a host, or programs would disagree about where it leads.
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
    """Returns the base URL in its normal form, without its last slash; it is the one to use.

    Raises:
        ConfigurationError: when it is no plain HTTPS URL. HTTP is accepted to this machine only (loopback), because
            anywhere else identifiers and tokens would travel in clear.
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
    """Returns the URL of a proxy in its normal form; it may be `None`.

    Args:
        proxy: the URL.
        what: where it comes from, for the message.

    Raises:
        ConfigurationError: when it is no HTTP URL; never showing it, since it may hold a password.
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
    # What RFC 7617 §2 cannot carry would fail later, in an exception that shows it.
    ((url.user or "") + (url.password or "")).encode("latin-1")
    if ":" in (url.user or ""):
        raise ValueError("a colon in the user's name")
    return url


def environment_proxy(url: str) -> str | None:
    """Returns the proxy that the environment names for a URL, and none for this machine: it would read plain HTTP.

    aiohttp's own `trust_env` makes no such exception, and takes passwords out of `~/.netrc` that clash with our token.

    Raises:
        ConfigurationError: when the variable holds no URL of an HTTP proxy.
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


# Seconds for which a connection may be parsed before others have their turn, and bytes between two looks at the clock.
# A kernel's buffer of usual data takes a tenth of that; full of chunks of one byte, a hundred times as long.
_TURN: Final = 0.001
_PIECE: Final = 2 * 1024


class Connector(aiohttp.TCPConnector):
    """Connects as aiohttp does, but for how it takes in what it receives."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._factory = partial(Receiver, loop=self._loop)  # type: ignore[assignment]  # it is a kind of what is wanted


class Receiver(ResponseHandler):
    """A connection's end here, which gives the parser a little at a time, and nothing while a body's reader has enough.

    What is left is held until the next turn, and the transport does not read meanwhile. aiohttp may ask for that after
    each chunk; the transport is told once a turn.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._held = b""
        self._next_turn: asyncio.Handle | None = None
        self._has_enough = False
        self._is_reading = True

    def data_received(self, data: bytes) -> None:
        """Takes what has come; nothing at all means that aiohttp goes on with what it has."""
        if not data:
            super().data_received(data)
            return
        self._held += data
        if self._next_turn is None:
            self._take_turn()

    @property
    def should_close(self) -> bool:
        """Whether it can serve no other request; what is held would be taken for the answer."""
        return bool(self._held) or super().should_close

    def connection_lost(self, exc: BaseException | None) -> None:
        """Is called once; what came before is taken in first."""
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
