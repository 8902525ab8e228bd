"""Reading request bodies: bounded, piece by piece, and to the end even when the call is refused."""

from typing import Any

import orjson
from aiohttp import web

from criteo_audiences.sandbox.problems import ProblemError, invalid

_KILOBYTE = 1_000


async def read_body(request: web.Request, *, max_bytes: int) -> bytearray:
    """Returns the body.

    Raises:
        ProblemError: 413, when it is longer than ``max_bytes`` (Criteo documents the status but no number).
    """
    body = bytearray()
    async for piece in request.content.iter_any():
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
    async for piece in request.content.iter_any():
        seen += len(piece)
        if seen > max_bytes:
            return False
    return True
