"""What all endpoints have in common: their routes, the bodies they read and the answers they give."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from aiohttp import web

from criteo_audiences.sandbox.bodies import read_json
from criteo_audiences.sandbox.bulk import Action, Item, items
from criteo_audiences.sandbox.problems import json_response, problem
from criteo_audiences.sandbox.scope import CALL, Call, scope
from criteo_audiences.sandbox.services import Service
from criteo_audiences.sandbox.state import STATE

Endpoint = Callable[[web.Request], Awaitable[web.Response]]
Row = tuple[str, str, str, Endpoint]
"""Name, method, path after the API version, and what answers."""


def routes(service: Service, rows: Iterable[Row], versions: str) -> list[web.RouteDef]:
    """Returns the routes of a service under the versions that a regular expression matches."""
    prefix = f"/{{version:{versions}}}"
    return [
        web.route(method, prefix + path, _named(endpoint, Call(service, name))) for name, method, path, endpoint in rows
    ]


def _named(endpoint: Endpoint, call: Call) -> Endpoint:
    async def handle(request: web.Request) -> web.Response:
        request[CALL] = call
        return await endpoint(request)

    return handle


def bulk(action: Action, items_of: Callable[[dict[str, Any]], list[Item]] = items) -> Endpoint:
    """Returns the endpoint that carries out what can be, item by item, and answers 200 either way."""

    async def handle(request: web.Request) -> web.Response:
        reach = scope(request)
        done, errors = [], []
        for index, item in enumerate(items_of(await document(request))):
            violations = list(action.violations(item, reach))
            errors += [problem(request, each, instance=f"@data/{index}") for each in violations]
            if not violations:
                done.append(action.carry_out(item, reach))
        return answer(done, errors=errors)

    return handle


def answer(data: object, *, errors: list[dict[str, str]] | None = None, **members: object) -> web.Response:
    """Returns a result in its envelope."""
    return json_response({"data": data, "errors": errors or [], "warnings": [], **members})


async def document(request: web.Request) -> dict[str, Any]:
    """Returns the body of a request in the words of OpenAPI."""
    state, call = request.app[STATE], request[CALL]
    body = await read_json(request, max_bytes=state.max_body_bytes)
    return state.dialect.understood(body, call.service, call.endpoint)
