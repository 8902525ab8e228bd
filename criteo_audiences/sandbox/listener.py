"""The server as something that starts, stops and has an address."""

import ipaddress
import ssl

from aiohttp import web

from criteo_audiences.sandbox.server import application
from criteo_audiences.sandbox.state import ServerState

# Handlers that still run when the sandbox closes get this long, in seconds, before they are canceled.
_SHUTDOWN_TIMEOUT = 0.1
_USUAL = "127.0.0.1"


class Listener:
    """Serves a state on a loopback address, in the caller's event loop; over TLS when given a context for it."""

    def __init__(self, state: ServerState, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        self._state = state
        self._host = _loopback(host)
        self._port = port
        self._tls = tls
        self._runner: web.AppRunner | None = None

    @property
    def is_running(self) -> bool:
        """Whether calls are answered."""
        return self._runner is not None

    @property
    def url(self) -> str:
        """Where it listens.

        Raises:
            RuntimeError: It is not running.
        """
        if self._runner is None:
            raise RuntimeError("the sandbox has a URL only within its async with block")
        host, port = self._runner.addresses[0][:2]
        if self._tls is not None and host == _USUAL:
            host = "localhost"  # certificates are made out to names
        scheme = "http" if self._tls is None else "https"
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"

    async def start(self) -> None:
        """Answer calls from now on.

        Raises:
            RuntimeError: It is running already.
            OSError: The port is taken.
        """
        if self._runner is not None:
            raise RuntimeError("this sandbox is running already")
        runner = web.AppRunner(application(self._state), access_log=None, shutdown_timeout=_SHUTDOWN_TIMEOUT)
        try:
            await runner.setup()
            await web.TCPSite(runner, self._host, self._port, ssl_context=self._tls).start()
        except BaseException:
            await runner.cleanup()
            raise
        self._runner = runner

    async def stop(self) -> None:
        """Close every connection; does nothing when it is not running."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()
            await self._state.recording.end_all()


def _loopback(host: str) -> str:
    """Returns the address, once it is certain that no other machine can reach it.

    The server knows its secrets by heart and hands them out, so it has no business on a network.
    """
    # The name can stand for two addresses, which would get two different free ports.
    address = _USUAL if host == "localhost" else host
    try:
        is_loopback = ipaddress.ip_address(address).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise ValueError("the sandbox listens on loopback addresses only")
    return address
