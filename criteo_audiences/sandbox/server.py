"""The web application: what every call goes through before and after its endpoint."""

import asyncio
import weakref
from contextlib import nullcontext
from email.utils import formatdate

from aiohttp import web
from aiohttp.typedefs import Handler

from criteo_audiences.sandbox import routing, token_endpoint
from criteo_audiences.sandbox.bodies import discard_body, read_ahead
from criteo_audiences.sandbox.call_log import ENTRY
from criteo_audiences.sandbox.delivery import FAULT, NoReply, cut, deliver, reset
from criteo_audiences.sandbox.faults import Fault
from criteo_audiences.sandbox.problems import ProblemError, problem_response
from criteo_audiences.sandbox.quota import CallQuota, rate_limit_headers
from criteo_audiences.sandbox.state import STATE, ServerState
from criteo_audiences.sandbox.wording import worded

# Criteo's limit for client credentials, announced by an injected 429 when the sandbox itself has no limit.
_USUAL_LIMIT = 250


def application(state: ServerState) -> web.Application:
    """Returns the server of all services."""
    # In this order from the outside in.
    app = web.Application(middlewares=[recorded, faulty, announced, worded, explained, admitted])
    # aiohttp keeps applications in a cache of its own; what a sandbox holds must not stay with them.
    app[STATE] = weakref.proxy(state)
    app.router.add_post(token_endpoint.PATH, token_endpoint.issue_token)
    for service in state.services:
        app.add_routes(routing.routes(service))
    return app


@web.middleware
async def recorded(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Keeps an account of the call, from its arrival to the end of its answer."""
    recording = request.app[STATE].recording
    request[ENTRY] = recording.add(request.method, request.path)
    try:
        with recording.under_way():
            with nullcontext() if token_endpoint.is_token_call(request) else recording.in_flight():
                response = await _answer(request, handler)
            return response if isinstance(response, NoReply) else await deliver(request, response)
    except (web.RequestPayloadError, ConnectionError):
        # The client left, in the middle of its body or of the answer.
        return cut(request)


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
    """Lets go wrong what a test asked for."""
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
    # What was not done gets its own answer: no fault of a network would tell the client that it was.
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
        response.headers.update(_headers_beside(status, _quota(request), state.clock()))
    return response


def _quota(request: web.Request) -> CallQuota | None:
    return request.app[STATE].quota_of(request.headers.get("Authorization"))


def _headers_beside(status: int, quota: CallQuota | None, now: float) -> dict[str, str]:
    if status != web.HTTPTooManyRequests.status_code:
        return quota.headers(now) if quota else {}
    if quota is None:
        return rate_limit_headers(_USUAL_LIMIT, 0, now)
    return rate_limit_headers(quota.limit, 0, quota.window.reset(now))


@web.middleware
async def announced(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Puts the standing of the quota on every answer of the API."""
    response = await handler(request)
    quota = _quota(request)
    if quota is not None and not token_endpoint.is_token_call(request):
        response.headers.update(quota.headers(request.app[STATE].clock()))
    return response


@web.middleware
async def explained(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turns an error into an answer with problems, once the client has finished sending."""
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
    """Lets a call in that shows a good token, stays within the quota and names a living version, in this order."""
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
