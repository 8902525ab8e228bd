"""How an answer gets onto the wire: as it should, or in part, late, too long, or as something that is no answer."""

import asyncio
import itertools
import socket
import struct
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus

import attrs
from aiohttp import web

from criteo_audiences.sandbox.call_log import ENTRY
from criteo_audiences.sandbox.faults import Fault, Moment

FAULT = web.RequestKey("fault", Fault)

_PIECE = 64 * 1024
_BODILESS = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})  # RFC 9110, section 6.4.1
# Seconds that the rest of a connection may take to go out: none, so that its end is a reset.
_AT_ONCE = struct.pack("ii", 1, 0)


class NoReply(web.Response):
    """Stands for an answer that aiohttp has no part in: nothing more can be written to the connection."""


def cut(request: web.Request) -> NoReply:
    """Ends a connection without an answer."""
    if request.transport is not None:
        request.transport.abort()
    return NoReply()


def reset(request: web.Request) -> NoReply:
    """Ends a connection with a reset, which the other side sees in the middle of writing."""
    if request.transport is not None:
        connection = request.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    return cut(request)


async def deliver(request: web.Request, response: web.Response) -> web.Response:
    """Writes an answer, as far as the call's fault lets it through, and puts down how far it came.

    Raises:
        ConnectionError: The client has left.
    """
    entry, fault = request[ENTRY], request.get(FAULT)
    if fault is not None and fault.disturbs_answer:
        await _write_disturbed(request, response, fault)
        if request.transport is not None:
            request.transport.close()
        return NoReply()
    entry.status = response.status
    await response.prepare(request)
    await response.write_eof()
    _complete(request, fault)
    return response


async def _write_disturbed(request: web.Request, response: web.Response, fault: Fault) -> None:
    if fault.raw is not None:
        await request.writer.write(fault.raw)
        return
    for moment, pieces in _stages(response, fault):
        for piece in pieces:
            await request.writer.write(piece)
            await asyncio.sleep(0)  # the loop notices a client that has left only when it is given a turn
        await request.writer.drain()
        if moment == "head":
            request[ENTRY].status = response.status
        if moment == "answered":
            _complete(request, fault)
        if moment == fault.moment:
            await asyncio.sleep(fault.stall)
            if fault.lose_reply:
                return


def _complete(request: web.Request, fault: Fault | None) -> None:
    entry = request[ENTRY]
    entry.answered = True
    entry.acknowledged = entry.handled and not (fault is not None and fault.replaces_answer)


def _stages(response: web.Response, fault: Fault) -> Iterator[tuple[Moment, Iterable[bytes]]]:
    """Yields the moments of an answer, each with what is written up to it."""
    body = _Body.of(response, fault)
    head = _head(response, body, closes=not fault.lose_reply)
    half_head, half_body = len(head) // 2, body.size // 2
    yield "handled", ()
    yield "half-head", [head[:half_head]]
    yield "head", [head[half_head:]]
    yield "half-body", body.part(0, half_body)
    yield "answered", itertools.chain(body.part(half_body, body.size), body.end)


def _head(response: web.Response, body: "_Body", *, closes: bool) -> bytes:
    headers = {**response.headers, **body.headers, **({"Connection": "close"} if closes else {})}
    lines = [f"HTTP/1.1 {response.status} {response.reason}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


@attrs.frozen
class _Body:
    """A body that is filled up with spaces, and never held as a whole."""

    text: bytes
    size: int
    chunked: bool
    headers: Mapping[str, str]

    @classmethod
    def of(cls, response: web.Response, fault: Fault) -> "_Body":
        """Returns what a fault makes of an answer's body."""
        text = response.body if isinstance(response.body, bytes) else b""
        if response.status in _BODILESS:
            return cls(b"", 0, chunked=False, headers={})
        size = max(len(text), fault.padded_to or 0)
        headers = {"Transfer-Encoding": "chunked"} if fault.chunked else {"Content-Length": str(size)}
        return cls(text, size, fault.chunked, headers)

    def part(self, start: int, end: int) -> Iterator[bytes]:
        """Yields what lies between two offsets, as it goes over the wire."""
        for at in range(start, end, _PIECE):
            length = min(_PIECE, end - at)
            piece = self.text[at : at + length].ljust(length)
            yield b"%x\r\n%b\r\n" % (length, piece) if self.chunked else piece

    @property
    def end(self) -> Iterable[bytes]:
        """What tells that nothing comes after."""
        return (b"0\r\n\r\n",) if self.chunked else ()
