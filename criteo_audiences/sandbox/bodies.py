"""Reading request bodies: bounded, piece by piece, and to the end even when the call is refused."""

import socket
from collections.abc import AsyncIterator
from typing import Any

import orjson
from aiohttp import web

from criteo_audiences.sandbox.problems import ProblemError, invalid

_KILOBYTE = 1_000
_LITTLE = 64 * 1024
_READ_AHEAD = web.RequestKey("read_ahead", bytearray)


async def read_ahead(request: web.Request, share: float, *, max_bytes: int) -> None:
    """Read a share of the body, by its Content-Length, and not a byte more; those who read the body get it as well."""
    # Little at a time: aiohttp takes in as much unasked as it was once asked for.
    if request.transport is not None:
        # The kernel is to take in little of the rest, so that the other side notices that nobody reads it.
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
    """Returns the body.

    Raises:
        ProblemError: 413, when it is longer than ``max_bytes`` (Criteo documents the status but no number).
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
        # "from None", because that exception holds the whole body.
        raise invalid("The body is not JSON.") from None
    if not isinstance(document, dict):
        raise invalid("The body must be an object.")
    return document


async def discard_body(request: web.Request, *, max_bytes: int) -> bool:
    """Read on without keeping anything: a client that is still sending would otherwise miss the answer.

    Returns:
        Whether the end was reached within ``max_bytes``.
    """
    seen = 0
    async for piece in _pieces(request):
        seen += len(piece)
        if seen > max_bytes:
            return False
    return True
