"""The last that happens to an answer of the API: the notice that its version ends, and the wording of a dialect."""

from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler

from criteo_audiences.sandbox import token_endpoint
from criteo_audiences.sandbox.calls import CALL
from criteo_audiences.sandbox.dialects import GUIDES, OPENAPI, Answer, Dialect, Occasion
from criteo_audiences.sandbox.encoding import dumps
from criteo_audiences.sandbox.problems import problem
from criteo_audiences.sandbox.state import STATE

_DIALECTS: Mapping[str, Dialect] = {"openapi": OPENAPI, "guides": GUIDES}


def dialect_of(name: str) -> Dialect:
    """Returns the dialect of that name.

    Raises:
        ValueError: There is none.
    """
    if name not in _DIALECTS:
        raise ValueError(f"dialect must be one of {', '.join(_DIALECTS)}")
    return _DIALECTS[name]


@web.middleware
async def worded(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Adds the notice of a deprecated version, and says the whole in the dialect that was asked for."""
    response = await handler(request)
    if token_endpoint.is_token_call(request) or not isinstance(response, web.Response):
        return response
    state = request.app[STATE]
    answer = Answer(response.status, orjson.loads(response.body) if isinstance(response.body, bytes) else None)
    if notice := state.versions.notice(request.path):
        response.headers.update(notice.headers)
        answer = _with_warning(answer, problem(request, notice.warning))
    _write(response, state.dialect.worded(answer, _occasion(request)))
    return response


def _with_warning(answer: Answer, warning: dict[str, Any]) -> Answer:
    if answer.body is None:
        return answer
    return Answer(answer.status, {**answer.body, "warnings": [*answer.body.get("warnings", ()), warning]})


def _occasion(request: web.Request) -> Occasion:
    turn = next(request.app[STATE].turns)
    call = request.get(CALL)
    if call is None:
        return Occasion(turn)
    return Occasion(turn, call.service.name, call.endpoint, request.match_info.get("segment_id", ""))


def _write(response: web.Response, answer: Answer) -> None:
    response.set_status(answer.status)
    response.body = None if answer.body is None else dumps(answer.body)
    if answer.body is not None:
        response.content_type = "application/json"
