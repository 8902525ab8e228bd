"""Read bodies from the network and write answers to it: properly, or disturbed as a fault demands.

Bodies are read in pieces, up to a limit, and to the end even when the call is refused. A fault can make an answer
incomplete, late, too long, or invalid.
"""

import asyncio
import itertools
import socket
import struct
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any

import attrs
import orjson
from aiohttp import web

from criteo_audiences.sandbox.faults import ENTRY, Fault, Moment
from criteo_audiences.sandbox.problems import ProblemError, invalid, problem

_KILOBYTE = 1_000
_LITTLE = 64 * 1024
_READ_AHEAD = web.RequestKey("read_ahead", bytearray)
FAULT = web.RequestKey("fault", Fault)
_PIECE = 64 * 1024
_BODILESS = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})  # RFC 9110, section 6.4.1
# SO_LINGER with a timeout of zero seconds, so that closing the connection sends a reset.
_AT_ONCE = struct.pack("ii", 1, 0)


def dumps(value: object) -> bytes:
    """Returns the value as JSON."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        return b"".join(_json_pieces(value))


def _json_pieces(value: Any) -> Iterator[bytes]:
    # Bytes in the list are JSON already, because no JSON value has that type.
    waiting: list[Any] = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, bytes):
            yield each
        elif isinstance(each, dict):
            members = ((orjson.dumps(name), b":", member) for name, member in each.items())
            waiting.extend(reversed([b"{", *_separated(members), b"}"]))
        elif isinstance(each, list):
            waiting.extend(reversed([b"[", *_separated((member,) for member in each), b"]"]))
        else:
            yield orjson.dumps(each)


def _separated(groups: Iterator[tuple[Any, ...]]) -> Iterator[Any]:
    for index, group in enumerate(groups):
        if index:
            yield b","
        yield from group


async def read_ahead(request: web.Request, share: float, *, max_bytes: int) -> None:
    """Read exactly a share of the body, by its Content-Length; `read_body` still returns the whole body."""
    # Small reads only: aiohttp keeps reading ahead as much as one read has requested.
    if request.transport is not None:
        # The kernel must buffer little of the rest, so that the client notices that the server has stopped reading.
        request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _LITTLE)
    wanted = min(round(share * (request.content_length or 0)), max_bytes)
    body = request[_READ_AHEAD] = bytearray()
    while len(body) < wanted and (piece := await request.content.read(min(_LITTLE, wanted - len(body)))):
        body += piece


async def _pieces(request: web.Request) -> AsyncIterator[bytes | bytearray]:
    if ahead := request.pop(_READ_AHEAD, b""):
        yield ahead
    async for piece in request.content.iter_any():
        yield piece


async def read_body(request: web.Request, *, max_bytes: int) -> bytearray:
    """Returns the whole body.

    Raises:
        ProblemError: 413, when it is longer than ``max_bytes`` (Criteo documents the status but no limit).
    """
    body = bytearray()
    async for piece in _pieces(request):
        body += piece
        if len(body) > max_bytes:
            raise ProblemError(413, f"The body is larger than {max_bytes // _KILOBYTE} kB.")
    return body


async def read_json(request: web.Request, *, max_bytes: int) -> dict[str, Any]:
    """Returns the JSON object in the body; every request body in OpenAPI is one.

    Raises:
        ProblemError: 415, 413 or 400.
    """
    if request.content_type != "application/json":
        raise ProblemError(415, "The content type must be application/json.")
    try:
        document = orjson.loads(await read_body(request, max_bytes=max_bytes))
    except orjson.JSONDecodeError:
        # "from None", because that exception contains the whole body.
        raise invalid("The body is not JSON.") from None
    if not isinstance(document, dict):
        raise invalid("The body must be an object.")
    return document


async def discard_body(request: web.Request, *, max_bytes: int) -> bool:
    """Read the rest of the body and drop it: a client that is still sending would otherwise miss the answer.

    Returns:
        Whether the end was reached within ``max_bytes``.
    """
    seen = 0
    async for piece in _pieces(request):
        seen += len(piece)
        if seen > max_bytes:
            return False
    return True


def json_response(body: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """Returns an answer with a JSON body."""
    return web.Response(body=dumps(body), status=status, headers=headers, content_type="application/json")


def problem_response(request: web.Request, error: ProblemError) -> web.Response:
    """Returns the answer to a call that is refused as a whole."""
    body: dict[str, Any] = {"errors": [problem(request, error.violation)]}
    return json_response(body, status=error.status)


class NoReply(web.Response):
    """A placeholder for an answer that bypassed aiohttp: nothing more can be written to the connection."""


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
    """Writes an answer as far as the call's fault allows, and records how far it got.

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
    """Yields the moments of an answer, each with the bytes to write before it."""
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
    """A body padded with spaces, which is never in memory as a whole."""

    text: bytes
    size: int
    chunked: bool
    headers: Mapping[str, str]

    @classmethod
    def of(cls, response: web.Response, fault: Fault) -> "_Body":
        """Returns an answer's body as a fault changes it."""
        text = response.body if isinstance(response.body, bytes) else b""
        if response.status in _BODILESS:
            return cls(b"", 0, chunked=False, headers={})
        size = max(len(text), fault.padded_to or 0)
        headers = {"Transfer-Encoding": "chunked"} if fault.chunked else {"Content-Length": str(size)}
        return cls(text, size, fault.chunked, headers)

    def part(self, start: int, end: int) -> Iterator[bytes]:
        """Yields the bytes between two offsets, encoded for the wire."""
        for at in range(start, end, _PIECE):
            length = min(_PIECE, end - at)
            piece = self.text[at : at + length].ljust(length)
            yield b"%x\r\n%b\r\n" % (length, piece) if self.chunked else piece

    @property
    def end(self) -> Iterable[bytes]:
        """What marks the end of the body."""
        return (b"0\r\n\r\n",) if self.chunked else ()
