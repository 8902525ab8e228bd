"""Sends a call: waits for the quota, adds a token, sends the request, interprets the answer, and retries."""

import asyncio
import math
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

from anyio import CapacityLimiter, to_thread
from attrs import evolve, field, frozen
from yarl import URL

from criteo_audiences.errors import (
    AuthenticationError,
    ConnectError,
    CriteoError,
    InvalidResponseError,
    QuotaWaitError,
    RateLimitExceeded,
    RequestTimeout,
    ResponseError,
)
from criteo_audiences.loops import Clock, SystemClock
from criteo_audiences.meter import CallEnd, Event, EventName, OnEvent, emit
from criteo_audiences.models import RateLimit, printable_trace_id
from criteo_audiences.session.auth import APPLICATIONS, TokenCache, TokenSource
from criteo_audiences.session.protocol import (
    FORM,
    JSON,
    DeprecationWatch,
    Notices,
    Request,
    Response,
    decipher,
    is_quickly_read,
    log_warnings,
    notices_of,
    read_rate_limit,
)
from criteo_audiences.session.quota import LocalRateLimiter, Quota, RateLimiter, Refusals, floor_of
from criteo_audiences.session.retry import Call, RetryPolicy, end_of
from criteo_audiences.session.transport import Exchange, Transport

R = TypeVar("R")

_TOKEN_CALL: Final = Request(method="POST", path="/oauth2/token", content_type=FORM, versioned=False, authorized=False)
_TOKEN_CALLS: Final = Quota(20, period=10.0)  # apart from Criteo's quota; a token lasts a quarter of an hour
_OF_TRACES: Final = frozenset({"traceparent", "tracestate", "baggage"})
_SECRETS: Final = frozenset({"client_id", "client_secret", "refresh_token", "code", "code_verifier"})
_RETRY: Final = RetryPolicy()
_REFUSED: Final = 429
_NOTICEABLE_WAIT: Final = 0.01
_EARLIER: Final = "An earlier request of this call may have been applied."
_MOST_REFUSALS: Final = 10  # 429s of a call before it gives up, however long the server says to wait


@frozen
class _Holder:
    """Wraps the result of a thread, because asyncio logs the `repr` of results in debug mode."""

    content: tuple[Notices, Any] = field(repr=False)


def _is_sendable(value: object) -> bool:
    """Whether a header may have this value: W3C trace contexts are ASCII without control characters."""
    return isinstance(value, str) and value.isascii() and value.isprintable()


def _unread(document: Any) -> Any:
    """Returns the document of an answer as it is."""
    return document


def _understood(call: Call, response: Response, secrets: Collection[str]) -> tuple[Notices, Any]:
    """Decodes an answer, compares it and reads it; an unreadable document is final, since a repeat would not help."""
    document = decipher(response, call.request, secrets)
    try:
        return notices_of(document, call.request), call.read(document)
    except InvalidResponseError as error:
        unreadable = InvalidResponseError(error.paths, status=call.status)
        call.is_final = True
    raise unreadable


class Session:
    """The only way to Criteo: every call of every service goes through `send` or `ask`.

    Args:
        credentials: where tokens come from.
        transport: carries the bytes.
        base_url: the server's URL, already checked.
        api_version: the API version in paths, such as `2026-07`.
        user_agent: names this library to the server.
        limiter: decides when a call may be made.
        retry: decides whether a failed call is repeated.
        max_quota_wait: seconds a call may wait for the quota, `None` for as long as it takes.
        on_event: called with every event.
        clock: the source of time.
    """

    def __init__(
        self,
        credentials: TokenSource,
        transport: Transport,
        *,
        base_url: str,
        api_version: str,
        user_agent: str = "criteo-audiences",
        limiter: RateLimiter | None = None,
        retry: RetryPolicy | None = None,
        max_quota_wait: float | None = None,
        on_event: OnEvent | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self._transport = transport
        self._base_url = base_url
        self._api_version = api_version
        self._user_agent = user_agent
        self.limiter = limiter or LocalRateLimiter(clock=self._clock)
        self._token_limiter = LocalRateLimiter(_TOKEN_CALLS, clock=self._clock)
        self._refusals = Refusals()
        self._token_refusals = Refusals()
        self._retry = retry or _RETRY
        self._max_quota_wait = max_quota_wait
        self.on_event: Final = on_event
        self._credentials = credentials
        self._tokens = TokenCache(credentials, self._grant, self._clock)
        self._secrets: set[str] = set()
        self._in_use = False
        self._deprecations = DeprecationWatch(api_version)
        self._rate_limit: RateLimit | None = None
        # One at a time: more threads would delay the event loop, and each holds the parts of an answer in memory.
        self._readers = CapacityLimiter(1)

    @property
    def api_version(self) -> str:
        """The version of Criteo's API that calls go to."""
        return self._api_version

    @property
    def host(self) -> str:
        """The host that calls go to, with its port where the base URL has one."""
        return URL(self._base_url).authority

    @property
    def application(self) -> str:
        """The id of the application that calls are made for; empty where the credentials do not name it."""
        return str(getattr(self._credentials, "client_id", ""))

    @property
    def has_login(self) -> bool:
        """Whether the credentials are a login; the credentials of a dry run without a login have `is_login = False`."""
        return bool(getattr(self._credentials, "is_login", True))

    @property
    def rate_limit(self) -> RateLimit | None:
        """What the server last announced, `None` before the first answer."""
        return self._rate_limit

    async def authenticate(self) -> None:
        """Gets a token if none is cached; uses no quota.

        Raises:
            CriteoError: when no token can be obtained.
        """
        await self._tokens.get()

    async def aclose(self) -> None:
        """Closes the transport."""
        APPLICATIONS.leave(self)
        await self._transport.aclose()

    async def send(self, request: Request) -> Any:
        """Makes a call, repeats it as the retry policy says, and returns the answer's JSON document.

        Raises:
            CriteoError: of the class that says what the caller can do; `outcome_unknown` is true when Criteo may have
                applied a request of the call.
        """
        return await self.ask(request, _unread)

    async def ask(self, request: Request, read: Callable[[Any], R]) -> R:
        """Makes a call like `send` and reads its document.

        An answer that reports a failure in its contents is requested again only if that is a problem of availability.

        Raises:
            CriteoError: as in `send`; if `read` cannot read the document, the error has the status of the answer.
        """
        result: R = await self._within_deadline(Call(request, read))
        return result

    async def _within_deadline(self, call: Call) -> Any:
        """Makes the call once there is a slot of the quota, and reports it when it fails or is canceled."""
        self._enter(call.request)
        await self._acquire(call)
        deadline = self._retry.deadline
        call.ends_at = math.inf if deadline is None else self._clock.now() + deadline
        try:
            async with asyncio.timeout(deadline) as alarm:
                return await self._send_until_settled(call)
        except CriteoError as error:
            self._conclude(call, error)
            raise
        except asyncio.CancelledError:
            self._tell("request.canceled", call, seconds=self._since_sent(call))
            raise
        except TimeoutError:
            if not alarm.expired():
                raise  # raised by a token source
            call.unknown = call.unknown or call.is_under_way
            late = RequestTimeout(f"The call did not end within its deadline of {deadline:g} s.")
            self._conclude(call, late)
            raise late from None

    def _enter(self, request: Request) -> None:
        """Registers this client before its first call, to warn when another client spends the same quota."""
        if request.authorized and not self._in_use:
            self._in_use = True
            APPLICATIONS.enter(self, self._credentials, self._base_url, self.limiter)

    async def _send_until_settled(self, call: Call) -> Any:
        """Repeats requests until one succeeds or the policy gives up; starts each with a slot of the quota held."""
        while True:
            call.attempt += 1
            try:
                return await self._request_once(call)
            except CriteoError as error:
                await self._prepare_repeat(call, error)
            call.sent_at = None
            await self._acquire(call)

    async def _request_once(self, call: Call) -> Any:
        """Makes one request with the slot held, and always gives the slot back."""
        announced, pause, end = None, 0.0, CallEnd.SILENT
        try:
            call.token = await self._tokens.get() if call.request.authorized else None
            call.tokens.update(filter(None, [call.token]))
            if call.request.before is not None:
                await call.request.before()
            response = await self._exchange(call)
            call.status = response.status
            announced = self._note_rate_limit(call, response)
            self._deprecations.look_at_response(response)
            if response.status != _REFUSED:
                self._refusals_of(call.request).clear()
            notices, result = await self._understand(call, response)
            self._deprecations.look_at_endings(notices.endings)
            log_warnings(notices.warnings, call.request)
        except CriteoError as error:
            call.delay = self._delay_after(call, error)
            pause, end = self._pause_after(call, error), end_of(error)
            raise
        else:
            self._tell("request.completed", call, status=response.status, seconds=self._since_sent(call))
            end = CallEnd.ANSWERED
            return result
        finally:
            call.request.count_end(end)
            self._limiter_of(call.request).settle(announced, pause=pause, sent_at=call.sent_at)

    async def _understand(self, call: Call, response: Response) -> tuple[Notices, Any]:
        """Returns an answer's notices and its result; reads a large answer in a thread."""
        secrets = self._secrets | call.tokens
        if is_quickly_read(response, call.request):
            return _understood(call, response, secrets)
        done = await to_thread.run_sync(
            lambda: _Holder(_understood(call, response, secrets)), abandon_on_cancel=True, limiter=self._readers
        )
        return done.content

    async def _exchange(self, call: Call) -> Response:
        request = call.request
        headers = {"Accept": JSON, "Content-Type": request.content_type, "User-Agent": self._user_agent}
        if call.token is not None:
            headers["Authorization"] = f"Bearer {call.token}"
        url = self._base_url + request.target(self._api_version)
        size = sum(map(len, request.body))
        if request.meter is not None:
            request.meter.count_call(size)
        call.sent_at, call.is_under_way = self._clock.now(), True
        started = self._tell("request.started", call, size=size)
        trace = started.headers
        headers |= {name: trace[name] for name in _OF_TRACES & trace.keys() if _is_sendable(trace[name])}
        exchange = Exchange(
            method=request.method,
            url=url,
            headers=headers,
            body=request.body,
            most_bytes=request.most_bytes,
            on_written=None if request.meter is None else request.meter.count_written,
        )
        return await self._transport.send(exchange)

    def _note_rate_limit(self, call: Call, response: Response) -> RateLimit | None:
        announced = read_rate_limit(response) if call.request.authorized else None
        self._rate_limit = announced or self._rate_limit
        return announced

    def _delay_after(self, call: Call, error: CriteoError) -> float | None:
        """Returns the delay before a repeat; a wait the server announced uses up no attempt."""
        if call.sent_at is None or call.is_final:
            return None  # without a token, since its source has retried by itself; or a repeat is useless
        announced_wait = isinstance(error, RateLimitExceeded) and bool(error.retry_after)
        call.refusals += announced_wait
        call.failures += not announced_wait
        delay = self._retry.delay(call.request, call.failures, error)
        if delay is None or call.refusals >= _MOST_REFUSALS:
            return None
        if getattr(error, "retry_after", None):
            delay = max(delay, floor_of(call.refusals or call.failures))
        return None if self._clock.now() + delay > call.ends_at else delay

    def _pause_after(self, call: Call, error: CriteoError) -> float:
        """Returns how long all calls must wait: after a 429 the server would refuse any of them.

        A call that already waits is delayed by at most a call's deadline; a call that begins later is refused at once.
        """
        refusals, sent_at = self._refusals_of(call.request), call.sent_at
        if sent_at is None or not isinstance(error, RateLimitExceeded):
            return 0.0
        now = self._clock.now()
        refusals.note(sent_at, now)
        pause = refusals.hold(error.retry_after or call.delay or 0.0, now)
        if call.delay is not None:
            call.delay = max(call.delay, pause)
            call.delay = None if now + call.delay > call.ends_at else call.delay
        return min(pause, self._retry.deadline or math.inf)

    def _limiter_of(self, request: Request) -> RateLimiter:
        return self.limiter if request.authorized else self._token_limiter

    def _refusals_of(self, request: Request) -> Refusals:
        return self._refusals if request.authorized else self._token_refusals

    async def _prepare_repeat(self, call: Call, error: CriteoError) -> None:
        """Prepares the next request, or raises the error if there is to be none."""
        call.unknown = call.unknown or (call.sent_at is not None and error.outcome_unknown)
        call.is_under_way = False
        if call.request.meter is not None:
            call.request.meter.may_be_applied = call.unknown
        if isinstance(error, AuthenticationError) and await self._has_other_token(call):
            call.renewed = True
            call.delay = 0.0
        if call.delay is None:
            raise error
        self._tell("request.retried", call, error=error, seconds=call.delay)
        if not isinstance(error, RateLimitExceeded):  # after a 429, the limiter delays the call
            await self._clock.sleep(call.delay)

    async def _has_other_token(self, call: Call) -> bool:
        """Whether to repeat a call once after a 401, with a fresh token; a token call itself is just repeated once."""
        if call.renewed or call.sent_at is None:
            return False
        return call.token is None or await self._tokens.replace(call.token) is not None

    async def _acquire(self, call: Call) -> None:
        """Waits for a slot of the quota, which single calls get before an upload's batches.

        Raises:
            QuotaWaitError: when the server asked for a wait that ends after the deadline of a call that begins now.
        """
        request, deadline = call.request, self._retry.deadline
        hold = self._refusals_of(request).ends_at - self._clock.now()
        if deadline is not None and hold > deadline:
            raise QuotaWaitError(hold, deadline, what="RetryPolicy(deadline)")
        longest = self._max_quota_wait if request.authorized else None
        with request.waiting():
            waited = await self._limiter_of(request).acquire(background=request.background, longest=longest)
        if request.meter is not None:
            request.meter.note_window(getattr(self.limiter, "window", None))
        if waited > _NOTICEABLE_WAIT:
            self._tell("quota.waited", call, seconds=waited)

    def _conclude(self, call: Call, error: CriteoError) -> None:
        """Marks and reports the error that the call ends with."""
        if call.unknown and isinstance(error, ConnectError) and _EARLIER not in str(error):
            error.args = (f"{error} {_EARLIER}",)
        error.outcome_unknown = call.unknown
        self._tell("request.failed", call, error=error, seconds=self._since_sent(call))

    def _since_sent(self, call: Call) -> float | None:
        return None if call.sent_at is None else self._clock.now() - call.sent_at

    def _tell(
        self,
        name: EventName,
        call: Call,
        *,
        size: int | None = None,
        seconds: float | None = None,
        status: int | None = None,
        error: CriteoError | None = None,
    ) -> Event:
        answered = error if isinstance(error, ResponseError) else None
        event = Event(
            name=name,
            host=self.host,
            method=call.request.method,
            path=call.request.path,
            attempt=max(1, call.attempt),
            size=size,
            status=answered.status if answered else status,
            seconds=seconds,
            trace_id=printable_trace_id(answered.trace_id) if answered else None,
            error=type(error).__name__ if error else None,
            **call.request.labels,
        )
        emit(event, self.on_event)
        return event

    async def _grant(self, form: Mapping[str, str]) -> Any:
        """Posts to the token endpoint, with the same retries as any call."""
        self._secrets = {form[name] for name in _SECRETS & form.keys()}
        return await self.send(evolve(_TOKEN_CALL, body=(urlencode(form).encode("ascii"),)))
