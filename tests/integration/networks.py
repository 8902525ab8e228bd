"""A company's network for tests: its authority, its certificates and its proxy."""

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from urllib.parse import urlsplit

import attrs
import trustme

HOST = "criteo.test"
"""A name that only the proxy can resolve: it takes every name for this machine."""


def closed_port() -> int:
    """Returns a port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def server_context(authority: trustme.CA, *names: str, **options: object) -> ssl.SSLContext:
    """Returns what a server needs to show a certificate of the authority, for these names."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*(names or ("localhost", "127.0.0.1", HOST)), **options).configure_cert(context)
    return context


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    """Returns what a client needs to trust the authority and none else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)
    return context


@attrs.define
class Proxy:
    """A forward proxy: tunnels by CONNECT, passes plain requests on, and keeps what it was asked.

    Attributes:
        refusal: the status line's end to answer with instead, as in `407 Proxy Authentication Required`.
        silent: whether it closes the connection without an answer.
        heads: the heads of the requests that it was asked, one a connection.
        passed: bytes that went from clients to servers.
        url: where it listens, without credentials.
    """

    refusal: str | None = None
    silent: bool = False
    heads: list[str] = attrs.field(factory=list)
    passed: int = 0
    url: str = ""

    @asynccontextmanager
    async def listen(self) -> AsyncIterator["Proxy"]:
        """Listens on a free port of this machine."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server:
            yield self

    def url_for(self, login: str) -> str:
        """Returns the URL with a login."""
        return self.url.replace("://", f"://{login}@")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError), contextlib.closing(writer):
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head.decode())
            if self.refusal is not None:
                writer.write(f"HTTP/1.1 {self.refusal}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
                await writer.drain()
            elif not self.silent:
                await self._pass_on(head, reader, writer)

    async def _pass_on(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        method, target, _ = head.split(b"\r\n")[0].decode().split(" ")
        tunnel = method == "CONNECT"
        port = urlsplit(f"//{target}" if tunnel else target).port
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", port)
        if tunnel:
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            there_writer.write(head)
        async with asyncio.TaskGroup() as both:
            both.create_task(self._pump(reader, there_writer, counted=True))
            both.create_task(self._pump(there_reader, writer, counted=False))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, counted: bool) -> None:
        with contextlib.suppress(ConnectionError), contextlib.closing(writer):
            while piece := await reader.read(1 << 16):
                self.passed += len(piece) if counted else 0
                writer.write(piece)
                await writer.drain()


@attrs.define
class PlainTlsServer:
    """A TLS server in a thread, on OpenSSL alone: asyncio's closes a failed handshake without saying why.

    Attributes:
        context: with its certificate.
        pause: seconds after each 16 kB of a body.
        connections: how many there were.
    """

    context: ssl.SSLContext
    pause: float = 0.0
    connections: int = 0
    _ended: threading.Event = attrs.field(factory=threading.Event)

    @contextmanager
    def listen(self) -> Iterator[str]:
        """Listens on a free port of this machine; yields the URL."""
        with socket.socket() as listener:
            # Little is held unread, so that a slow reader is felt at the other end.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            thread = threading.Thread(target=self._accept, args=(listener,), daemon=True)
            thread.start()
            try:
                yield f"https://localhost:{listener.getsockname()[1]}"
            finally:
                self._ended.set()
                listener.shutdown(socket.SHUT_RDWR)
                thread.join(5)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            self.connections += 1
            with connection, contextlib.suppress(OSError):
                connection.settimeout(5)
                self._serve(connection)

    def _serve(self, connection: socket.socket) -> None:
        plain = connection.dup()  # `wrap_socket` takes the other one away
        with plain:
            try:
                with self.context.wrap_socket(connection, server_side=True) as secure:
                    self._answer(secure)
            except ssl.SSLError:
                plain.shutdown(socket.SHUT_WR)  # the alert is under way; a close with bytes unread would overtake it
                while plain.recv(1 << 16):
                    pass

    def _answer(self, secure: ssl.SSLSocket) -> None:
        head, _, body = secure.recv(1 << 16).partition(b"\r\n\r\n")
        left = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]) - len(body)
        while left > 0:
            if self._ended.wait(self.pause):
                return
            piece = secure.recv(16_384)
            if not piece:
                return  # the client has left
            left -= len(piece)
        secure.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
