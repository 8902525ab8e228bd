"""Serve all services on a loopback address, with the steps that every call passes before and after its endpoint."""

import asyncio
import ipaddress
import ssl
import weakref
from contextlib import nullcontext
from email.utils import formatdate
from functools import cache
from typing import Any

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler

from criteo_audiences.sandbox import (
    audience_endpoints,
    catalog_endpoints,
    contact_list_endpoints,
    segment_endpoints,
    token_endpoint,
)
from criteo_audiences.sandbox.admission import CallQuota, rate_limit_headers
from criteo_audiences.sandbox.calls import CALL, STATE, ServerState
from criteo_audiences.sandbox.dialects import Answer, Dialect, Occasion
from criteo_audiences.sandbox.faults import ENTRY, Fault
from criteo_audiences.sandbox.problems import ProblemError, problem
from criteo_audiences.sandbox.services import Service
from criteo_audiences.sandbox.wire import (
    FAULT,
    NoReply,
    cut,
    deliver,
    discard_body,
    dumps,
    problem_response,
    read_ahead,
    reset,
)

# Handlers that still run when the sandbox closes get this long, in seconds, before they are canceled.
_SHUTDOWN_TIMEOUT = 0.1
_IPV4_LOOPBACK = "127.0.0.1"
# Criteo's limit for client credentials, announced by an injected 429 when the sandbox itself has no limit.
_USUAL_LIMIT = 250


class Listener:
    """Serves a state on a loopback address, in the caller's event loop; over TLS if it is given a context."""

    def __init__(self, state: ServerState, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        self._state = state
        self._host = _loopback(host)
        self._port = port
        self._tls = tls
        self._runner: web.AppRunner | None = None

    @property
    def is_running(self) -> bool:
        """Whether it answers calls."""
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
        if self._tls is not None and host == _IPV4_LOOPBACK:
            host = "localhost"  # certificates are issued for names
        scheme = "http" if self._tls is None else "https"
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"

    async def start(self) -> None:
        """Start to answer calls.

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
    """Returns the address if no other machine can reach it.

    The server issues tokens, so it must not be reachable over a network.
    """
    # The name can resolve to two addresses, which would get two different free ports.
    address = _IPV4_LOOPBACK if host == "localhost" else host
    try:
        is_loopback = ipaddress.ip_address(address).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise ValueError("the sandbox listens on loopback addresses only")
    return address


def application(state: ServerState) -> web.Application:
    """Returns the server of all services."""
    # Ordered from the outermost to the innermost.
    app = web.Application(middlewares=[recorded, faulty, announced, worded, explained, admitted])
    # aiohttp keeps applications in a cache; the state of a sandbox must not stay in memory with them.
    app[STATE] = weakref.proxy(state)
    for resource in _resources(state.dialect):
        app.router.register_resource(resource)
    return app


@cache
def _resources(dialect: Dialect) -> tuple[web.AbstractResource, ...]:
    """Returns the paths of all services with their endpoints; cached, since they are stateless and slow to build."""
    router = web.UrlDispatcher()
    router.add_post(token_endpoint.PATH, token_endpoint.issue_token)
    for service in dialect.services:
        router.add_routes(_routes(service))
    return tuple(router.resources())


def _routes(service: Service) -> list[web.RouteDef]:
    return [
        *segment_endpoints.routes(service),
        *contact_list_endpoints.routes(service),
        *((*audience_endpoints.routes(service), *audience_endpoints.size_routes(service)) if service.audiences else ()),
        *catalog_endpoints.routes(service),
    ]


@web.middleware
async def recorded(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Records the call, from its arrival to the end of its answer."""
    recording = request.app[STATE].recording
    request[ENTRY] = recording.add(request.method, request.path)
    try:
        with recording.under_way():
            with nullcontext() if token_endpoint.is_token_call(request) else recording.in_flight():
                response = await _answer(request, handler)
            return response if isinstance(response, NoReply) else await deliver(request, response)
    except (web.RequestPayloadError, ConnectionError):
        # The client disconnected, in the middle of its body or of the answer.
        return cut(request)
    finally:
        recording.end(request[ENTRY])


async def _answer(request: web.Request, handler: Handler) -> web.Response:
    state = request.app[STATE]
    response = await handler(request)
    if not isinstance(response, web.Response):
        raise TypeError("an endpoint must return its answer as a whole")
    response.headers.setdefault("Date", formatdate(state.clock(), usegmt=True))
    await asyncio.sleep(state.latency)
    return response


@web.middleware
async def faulty(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Applies the fault that a test asked for."""
    state = request.app[STATE]
    fault = state.faults.take(request[ENTRY], is_token_call=token_endpoint.is_token_call(request))
    if fault is None:
        return await handler(request)
    request[FAULT] = fault
    await asyncio.sleep(fault.delay)
    if fault.share_read is not None:
        await read_ahead(request, fault.share_read, max_bytes=state.max_discarded_bytes)
        await asyncio.sleep(fault.stall)
    if fault.drop_connection:
        return reset(request)
    own = None if fault.replaces_answer and not fault.handle_first else await handler(request)
    # A call that the server refused gets its own answer: no network fault could report it as done.
    if own is None or (fault.replaces_answer and request[ENTRY].handled):
        own = await _injected(request, fault)
    own.headers.update(fault.headers)
    return own


async def _injected(request: web.Request, fault: Fault) -> web.Response:
    state = request.app[STATE]
    status = fault.status or 200
    await discard_body(request, max_bytes=state.max_discarded_bytes)
    response = problem_response(request, ProblemError(status, "The test asked for this answer.", code=fault.code))
    if fault.body is not None:
        response.body = fault.body
    if fault.rate_limit_headers and (
        status == web.HTTPTooManyRequests.status_code or not token_endpoint.is_token_call(request)
    ):
        response.headers.update(_headers_with(status, _quota(request), state.clock()))
    return response


def _quota(request: web.Request) -> CallQuota | None:
    return request.app[STATE].quota_of(request.headers.get("Authorization"))


def _headers_with(status: int, quota: CallQuota | None, now: float) -> dict[str, str]:
    if status != web.HTTPTooManyRequests.status_code:
        return quota.headers(now) if quota else {}
    if quota is None:
        return rate_limit_headers(_USUAL_LIMIT, 0, now)
    return rate_limit_headers(quota.limit, 0, quota.window.reset(now))


@web.middleware
async def announced(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Adds the rate-limit headers to every answer of the API."""
    response = await handler(request)
    quota = _quota(request)
    if quota is not None and not token_endpoint.is_token_call(request):
        response.headers.update(quota.headers(request.app[STATE].clock()))
    return response


@web.middleware
async def worded(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Adds the notice of a deprecated version, and translates the answer into the chosen dialect."""
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


@web.middleware
async def explained(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turns an error into an answer with problems, after reading the rest of the client's body."""
    try:
        return await handler(request)
    except ProblemError as error:
        response = problem_response(request, error)
    except web.HTTPNotFound:
        response = problem_response(request, ProblemError(404, "There is no such endpoint.", code="route-not-found"))
    except web.HTTPMethodNotAllowed as error:
        response = problem_response(request, ProblemError(405, "The endpoint does not know this method."))
        response.headers["Allow"] = error.headers["Allow"]
    if not await discard_body(request, max_bytes=request.app[STATE].max_discarded_bytes):
        response.force_close()
    return response


@web.middleware
async def admitted(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Checks the token, the quota, the consent and the version of a call, in this order."""
    state = request.app[STATE]
    if token_endpoint.is_token_call(request):
        return await _handled(request, handler)
    authorization = request.headers.get("Authorization")
    if code := state.tokens.fault(authorization):
        raise ProblemError(401, "The access token is missing, expired or unknown.", code=code)
    quota = state.quota_of(authorization)
    if quota is not None and not quota.window.take(state.clock()):
        raise ProblemError(429, "The quota of the application is used up.")
    if state.tokens.is_withdrawn(authorization):
        raise ProblemError(403, "The user has taken the consent back.")
    state.versions.check(request.path)
    return await _handled(request, handler)


async def _handled(request: web.Request, handler: Handler) -> web.StreamResponse:
    response = await handler(request)
    request[ENTRY].handled = response.status < web.HTTPBadRequest.status_code
    return response
