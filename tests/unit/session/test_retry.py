import asyncio
import contextlib
from email.utils import formatdate
from typing import Any

import pytest

from criteo_audiences.errors import (
    AuthenticationError,
    ConfigurationError,
    ConnectError,
    CriteoError,
    InvalidRequestError,
    InvalidResponseError,
    NotFoundError,
    PartialFailureError,
    PayloadTooLargeError,
    PermissionDeniedError,
    QuotaWaitError,
    RateLimitExceeded,
    RequestTimeout,
    ServerError,
    TransportError,
)
from criteo_audiences.session import LocalRateLimiter, Quota, Request, Response, RetryPolicy, StaticToken

READ = Request(method="GET", path="/things")
CREATE = Request(method="POST", path="/things/create", repeatable=False)


def full(**options: Any) -> RetryPolicy:
    """Returns a policy whose delays are not shortened."""
    return RetryPolicy(jitter=lambda: 1.0, **options)


def hint(seconds: float | None, status: int = 503) -> CriteoError:
    """Returns an error answer that says how long to wait."""
    return RateLimitExceeded(retry_after=seconds) if status == 429 else ServerError(status, retry_after=seconds)


@pytest.mark.parametrize(
    ("policy", "delays"),
    [
        (full(attempts=8), [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, None]),
        (full(), [1.0, 2.0, 4.0, 8.0, None]),
        (full(attempts=4, first_delay=0.5, max_delay=1.5), [0.5, 1.0, 1.5, None]),
        (RetryPolicy(attempts=4, jitter=lambda: 0.0), [0.0, 0.0, 0.0, None]),
        (RetryPolicy(attempts=4, jitter=lambda: 0.25), [0.25, 0.5, 1.0, None]),
        (full(attempts=1), [None]),
    ],
)
def test_delays_double_up_to_their_bound(policy: RetryPolicy, delays: list[float | None]) -> None:
    """The delay doubles up to its bound, is shortened by the jitter, and ends with the attempts."""
    assert [policy.delay(READ, failed, ServerError(503)) for failed in range(1, len(delays) + 1)] == delays


def test_delay_of_the_hundredth_attempt_is_bounded() -> None:
    """A large number of attempts overflows nothing."""
    assert full(attempts=100).delay(READ, 99, ServerError(503)) == 30.0


def test_default_jitter_is_random() -> None:
    """Left alone, a delay lies between zero and its bound and differs from time to time."""
    delays = {RetryPolicy().delay(READ, 3, ServerError(503)) for _ in range(50)}
    assert len(delays) > 40
    assert all(delay is not None and 0.0 <= delay <= 4.0 for delay in delays)


@pytest.mark.parametrize(
    ("error", "repeated", "create_repeated"),
    [
        (ConnectError(), True, True),
        (ConnectError(passing=False), False, False),
        (RateLimitExceeded(), True, True),
        (RateLimitExceeded(retry_after=5.0), True, True),
        (TransportError(), True, False),
        (RequestTimeout(), True, False),
        (InvalidResponseError(["x @ $"]), True, False),
        (ServerError(500), True, False),
        (ServerError(502), True, False),
        (ServerError(503), True, False),
        (ServerError(504), True, False),
        (InvalidRequestError(408), True, False),
        (ServerError(501), False, False),
        (ServerError(505), False, False),
        (InvalidRequestError(302), False, False),
        (InvalidRequestError(400), False, False),
        (InvalidRequestError(409), False, False),
        (AuthenticationError(401), False, False),
        (PermissionDeniedError(403), False, False),
        (NotFoundError(404), False, False),
        (PayloadTooLargeError(413), False, False),
        (PartialFailureError([]), False, False),
        (QuotaWaitError(5.0, 1.0), False, False),
        (ConfigurationError(), False, False),
    ],
    ids=lambda value: f"{type(value).__name__}-{getattr(value, 'status', '')}" if isinstance(value, Exception) else "",
)
def test_what_is_repeated(error: CriteoError, *, repeated: bool, create_repeated: bool) -> None:
    """Passing faults are repeated; a create only when Criteo cannot have applied it."""
    assert (full().delay(READ, 1, error) is not None) is repeated
    assert (full().delay(CREATE, 1, error) is not None) is create_repeated


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529])
def test_a_passing_fault_is_repeated(status: int) -> None:
    """What a server or a gateway may answer today and not tomorrow is asked again, where that does no harm."""
    assert full().delay(READ, 1, ServerError(status)) == 1.0
    assert full().delay(CREATE, 1, ServerError(status)) is None


@pytest.mark.parametrize("status", [501, 505, 519, 525, 528, 530, 599])
def test_a_fault_that_does_not_pass_is_not_repeated(status: int) -> None:
    """A gateway that cannot verify the server behind it, or a method that is not there, will not change at once."""
    assert full().delay(READ, 1, ServerError(status)) is None


@pytest.mark.parametrize("status", [429, 503])
def test_server_says_how_long(status: int) -> None:
    """`Retry-After` goes before the policy's own delay, longer or shorter; a moment that has passed says nothing."""
    assert full().delay(READ, 1, hint(77.0, status)) == 77.0
    assert full().delay(READ, 4, hint(0.25, status)) == 0.25
    assert full().delay(READ, 2, hint(0.0, status)) == 2.0
    assert full().delay(READ, 5, hint(0.0, status)) is None


def test_announced_429_is_obeyed_beyond_the_attempts() -> None:
    """A 429 that says how long to wait is an instruction; one that does not is a failure like others."""
    assert full(attempts=2).delay(CREATE, 50, hint(9.0, 429)) == 9.0
    assert full(attempts=2).delay(CREATE, 2, hint(None, 429)) is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"attempts": 0}, "RetryPolicy attempts must be between 1 and 100, not 0."),
        ({"attempts": 101}, "RetryPolicy attempts must be between 1 and 100, not 101."),
        ({"first_delay": -1}, "RetryPolicy first_delay must be between 0 and 86,400, not -1."),
        ({"max_delay": float("inf")}, "RetryPolicy max_delay must be between 0 and 86,400, not inf."),
        ({"deadline": 0}, "RetryPolicy deadline must be between 0.001 and 86,400, not 0."),
        ({"deadline": "1"}, "RetryPolicy deadline must be a number, not str."),
    ],
)
def test_wrong_policy_is_refused(options: dict[str, Any], message: str) -> None:
    """A policy that makes no sense is refused in one sentence that names what is wrong."""
    with pytest.raises(ConfigurationError) as caught:
        RetryPolicy(**options)
    assert str(caught.value) == message


async def test_call_is_repeated_on_schedule(transport: Any, make_session: Any, finish: Any) -> None:
    """Four failures and a success make five requests after 1, 2, 4 and 8 s."""
    transport.script.extend([Response(status=503)] * 4)
    assert await finish(make_session().send(READ)) == {"data": {}}
    assert transport.times == [0.0, 1.0, 3.0, 7.0, 15.0]


@pytest.mark.parametrize(
    "failure",
    [Response(status=500), Response(status=408), TransportError("lost"), RequestTimeout("late"), ConnectError("down")],
    ids=str,
)
async def test_attempts_are_bounded(transport: Any, make_session: Any, finish: Any, failure: Any) -> None:
    """A call that always fails makes as many requests as it has attempts, then raises."""
    transport.always = failure
    with pytest.raises(CriteoError):
        await finish(make_session(retry=full(attempts=3)).send(READ))
    assert transport.times == [0.0, 1.0, 3.0]


@pytest.mark.parametrize("first", [TransportError("lost"), Response(status=503)], ids=["lost", "503"])
async def test_a_connection_that_fails_later_does_not_hide_what_went_before(
    transport: Any, make_session: Any, finish: Any, first: Any
) -> None:
    """The last request was not sent; that an earlier one may have been applied is said, once, and flagged."""
    refused = "The server cannot be reached; no part of this request was sent."
    session = make_session(retry=full(attempts=3))
    transport.script.extend([first, ConnectError(refused), ConnectError(refused)])
    with pytest.raises(ConnectError) as caught:
        await finish(session.send(READ))
    assert str(caught.value) == f"{refused} An earlier request of this call may have been applied."
    assert caught.value.outcome_unknown
    transport.script.extend([ConnectError(refused)] * 3)
    with pytest.raises(ConnectError) as caught:
        await finish(session.send(READ))
    assert str(caught.value) == refused


@pytest.mark.parametrize(("deadline", "times"), [(3.0, [0.0, 1.0, 3.0]), (2.999, [0.0, 1.0]), (0.999, [0.0])])
async def test_no_repeat_beyond_the_deadline(
    transport: Any, make_session: Any, finish: Any, deadline: float, times: list[float]
) -> None:
    """A repeat that would start after the deadline is not waited for; one exactly at it is made."""
    transport.always = Response(status=503)
    with pytest.raises(ServerError):
        await finish(make_session(retry=full(deadline=deadline)).send(READ))
    assert transport.times == times


async def test_deadline_none_sets_no_limit(transport: Any, make_session: Any, finish: Any) -> None:
    """Without a deadline a call waits as long as the server says, up to an hour at a time."""
    transport.script.append(Response(status=503, headers={"retry-after": "3000"}))
    await finish(make_session(retry=full(deadline=None)).send(READ))
    assert transport.times == [0.0, 3_000.0]


@pytest.mark.parametrize(("error", "unknown"), [(ConnectError("x"), False), (ServerError(503), True)])
async def test_deadline_between_two_requests_is_no_less_certain_than_they_were(
    transport: Any, make_session: Any, *, error: CriteoError, unknown: bool
) -> None:
    """A call that waits for its repeat when the deadline passes has been applied no more than its requests were."""
    transport.script.append(error)
    session = make_session(retry=full(first_delay=0.04, deadline=0.05))  # the clock that it waits for stands still
    with pytest.raises(RequestTimeout) as caught:
        await session.send(READ)
    assert caught.value.outcome_unknown is unknown


async def test_deadline_ends_a_request_under_way(transport: Any, make_session: Any, clock: Any) -> None:
    """The deadline ends a call in the middle of a request, whose outcome is unknown then, and frees its place."""
    transport.latency = 1_000_000.0
    limiter = LocalRateLimiter(Quota(2), clock=clock)
    session = make_session(retry=full(deadline=0.05), limiter=limiter)
    transport.always_token = transport.token("t")
    call = asyncio.create_task(session.send(READ))
    with pytest.raises(RequestTimeout, match=r"did not end within its deadline of 0\.05 s") as caught:
        await call
    assert not caught.value.outcome_unknown  # it was still asking for a token
    assert limiter.expected_wait() == 0.0
    transport.latency = 0.0
    await session.authenticate()
    transport.latency = 1_000_000.0
    with pytest.raises(RequestTimeout) as caught:
        await session.send(READ)
    assert caught.value.outcome_unknown
    assert len(transport.api_calls) == 1


async def test_timeout_of_a_token_source_is_its_own(make_session: Any) -> None:
    """A `TimeoutError` that a token source of one's own raises is not mistaken for the deadline."""

    class Vault:
        async def token(self, _: object) -> Any:
            raise TimeoutError("the vault is closed")

    for deadline in (None, 60.0):
        with pytest.raises(TimeoutError, match="the vault is closed"):
            await make_session(Vault(), retry=full(deadline=deadline)).send(READ)


@pytest.mark.parametrize(
    ("headers", "delay"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": formatdate(1_800_000_012, usegmt=True)}, 12.0),
        ({"retry-after": formatdate(1_799_999_712, usegmt=True), "date": formatdate(1_799_999_700, usegmt=True)}, 12.0),
        ({"retry-after": formatdate(1_799_999_990, usegmt=True)}, 1.0),
        ({"retry-after": "soon"}, 1.0),
        ({}, 1.0),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_is_honored(
    transport: Any, make_session: Any, finish: Any, status: int, headers: dict[str, str], delay: float
) -> None:
    """`Retry-After` is read as seconds or as a date by the server's clock; without a usable one the policy decides."""
    transport.script.append(Response(status=status, headers=headers))
    await finish(make_session().send(READ))
    assert transport.times == pytest.approx([0.0, delay])


async def test_announced_429_uses_up_no_attempt(transport: Any, make_session: Any, finish: Any) -> None:
    """Three announced waits leave both attempts of a call untouched."""
    wait = Response(status=429, headers={"retry-after": "10"})
    transport.script.extend([wait, wait, Response(status=503), wait])
    await finish(make_session(retry=full(attempts=2)).send(READ))
    assert transport.times == [0.0, 10.0, 20.0, 21.0, 31.0]


async def test_reset_of_the_rate_limit_is_an_announced_wait(transport: Any, make_session: Any, finish: Any) -> None:
    """A 429 whose `x-ratelimit-reset` lies ahead is repeated then, also beyond the attempts."""
    headers = {"x-ratelimit-limit": "250", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "1800000040"}
    transport.script.append(Response(status=429, headers=headers))
    await finish(make_session(retry=full(attempts=1)).send(CREATE))
    assert transport.times == pytest.approx([0.0, 40.0])


@pytest.mark.parametrize("skew", [-7 * 60, 7 * 60])
async def test_reset_is_waited_for_on_the_servers_clock(
    transport: Any, make_session: Any, finish: Any, skew: int
) -> None:
    """Clocks that are minutes apart change nothing: the wait for the reset is counted from the answer's `Date`."""
    server = 1_800_000_000 + skew
    headers = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(server + 40)}
    transport.script.append(Response(status=429, headers={**headers, "date": formatdate(server, usegmt=True)}))
    await finish(make_session(retry=full(attempts=1)).send(READ))
    assert transport.times == pytest.approx([0.0, 40.0])


async def test_storm_of_429_with_headers_ends_at_the_reset(transport: Any, make_session: Any, clock: Any) -> None:
    """Sixteen calls that are all refused ask again after the reset, all of them, and none before."""
    headers = {"x-ratelimit-limit": "250", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "1800000040"}
    transport.script.extend([Response(status=429, headers=headers)] * 16)
    session = make_session()
    calls = [asyncio.create_task(session.send(READ)) for _ in range(16)]
    await clock.advance(39.999)
    assert len(transport.api_calls) == 16
    await clock.advance(120.0)
    assert [await call for call in calls] == [{"data": {}}] * 16
    assert len(transport.api_calls) == 32
    assert min(transport.times[16:]) == pytest.approx(40.0)


async def test_storm_of_429_without_headers_backs_off_together(transport: Any, make_session: Any, clock: Any) -> None:
    """Refused without a word, calls double their delay; each refusal holds back all of them, not its own call alone."""
    transport.latency = 0.1
    transport.script.extend([Response(status=429)] * 12)
    session = make_session(StaticToken("a-token"))
    calls = [asyncio.create_task(session.send(READ)) for _ in range(4)]
    await clock.advance(60.0)
    assert [await call for call in calls] == [{"data": {}}] * 4
    # After the third refusal in a row one call looks whether it is over.
    assert transport.times == pytest.approx([0.0] * 4 + [1.1] * 4 + [3.2] * 4 + [7.3] + [7.4] * 3)


@pytest.mark.parametrize("headers", [{"retry-after": "0"}, {"x-ratelimit-reset": "1799999999"}])
async def test_429_that_announces_the_past_is_no_hot_loop(
    transport: Any, make_session: Any, finish: Any, headers: dict[str, str]
) -> None:
    """A 429 whose wait is over already counts as a failure and is backed off, it does not hammer the server."""
    transport.always = Response(status=429, headers=headers)
    with pytest.raises(RateLimitExceeded):
        await finish(make_session(retry=full(attempts=4)).send(READ))
    assert transport.times == [0.0, 1.0, 3.0, 7.0]


async def test_429_delays_all_calls_of_the_session(transport: Any, make_session: Any, clock: Any) -> None:
    """One call's announced 429 holds back every other call until the wait is over."""
    transport.script.append(Response(status=429, headers={"retry-after": "10"}))
    session = make_session()
    refused = asyncio.create_task(session.send(READ))
    await clock.advance(1.0)
    other = asyncio.create_task(session.send(READ))
    await clock.advance(8.999)
    assert len(transport.api_calls) == 1
    await clock.advance(0.001)
    assert [refused.done(), other.done()] == [True, True]
    assert transport.times == pytest.approx([0.0, 10.0, 10.0])


async def test_a_wait_beyond_the_deadline_holds_nobody(transport: Any, make_session: Any, clock: Any) -> None:
    """A call that cannot wait as long as announced is given up at once, and so is any other until it could."""
    transport.script.append(Response(status=429, headers={"retry-after": "60"}))
    session = make_session(retry=full(deadline=30.0))
    with pytest.raises(RateLimitExceeded):
        await session.send(READ)
    await clock.advance(29.0)
    with pytest.raises(QuotaWaitError, match=r"wait 31\.0 s, longer than RetryPolicy\(deadline\)=30 s"):
        await session.send(READ)
    await clock.advance(1.001)
    other = asyncio.create_task(session.send(READ))
    await clock.advance(30.0)
    assert await other == {"data": {}}
    assert len(transport.times) == 2


async def test_a_wait_beyond_the_deadline_holds_those_in_the_queue_no_longer(
    transport: Any, make_session: Any, clock: Any
) -> None:
    """Who waited for the quota already when an hour was announced tries again when the deadline is over."""
    transport.script.append(Response(status=429, headers={"retry-after": "3600"}))
    transport.latency = 1.0
    session = make_session(StaticToken("t"), retry=full(deadline=30.0), limiter=LocalRateLimiter(Quota(1), clock=clock))
    refused, waiting = (asyncio.create_task(session.send(READ)) for _ in range(2))
    await clock.advance(100.0)
    assert isinstance(refused.exception(), RateLimitExceeded)
    assert waiting.result() == {"data": {}}


LIMITS = (
    {},
    {"x-ratelimit-remaining": "1000000"},
    {"x-ratelimit-limit": "1000000"},
    {"x-ratelimit-limit": "250", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "1800000000000"},
    {"x-ratelimit-limit": "-5", "x-ratelimit-remaining": "NaN", "x-ratelimit-reset": "9" * 400},
    {"x-ratelimit-limit": "0", "x-ratelimit-remaining": "500", "x-ratelimit-reset": "1800000001"},
    {"date": "Fri, 31 Dec 9999 23:59:59 GMT", "x-ratelimit-reset": "1800000060"},
)
WAITS = ("0.001", "0", "0.1", "0.000000001", "-1", "1e9", "soon", "Thu, 01 Jan 1970 00:00:00 GMT")


@pytest.mark.parametrize("headers", LIMITS)
@pytest.mark.parametrize("wait", WAITS)
@pytest.mark.parametrize("kind", ["api", "token"])
async def test_endless_429s_are_asked_about_ever_more_seldom(
    transport: Any, make_session: Any, clock: Any, kind: str, wait: str, headers: dict[str, str]
) -> None:
    """Eight senders with hundreds of calls: at most two a second over ten seconds after the third in a row."""
    refusal = Response(status=429, headers={"retry-after": wait, **headers})
    transport.always = refusal if kind == "api" else None
    transport.always_token = refusal if kind == "token" else None
    session = make_session(retry=RetryPolicy(jitter=lambda: 0.0))

    async def send() -> None:
        for _ in range(50):
            with contextlib.suppress(RateLimitExceeded):
                await session.send(READ)

    senders = [asyncio.create_task(send()) for _ in range(8)]
    await clock.advance(120.0)
    for sender in senders:
        sender.cancel()
    times = [sent.at for sent in (transport.api_calls if kind == "api" else transport.token_calls)]
    third = sorted(set(times))[2]
    for start in times:
        assert start <= third or sum(start < at <= start + 10.0 for at in times) <= 20
    assert len(times) <= 8 * 3 + 2 * 110


async def test_a_call_gives_up_after_ten_429s_in_a_row(transport: Any, make_session: Any, finish: Any) -> None:
    """However short the announced waits: they double from a quarter of a second, and the tenth 429 is the last."""
    transport.always = Response(status=429, headers={"retry-after": "0.001"})
    with pytest.raises(RateLimitExceeded) as caught:
        await finish(make_session().send(READ))
    assert transport.times == pytest.approx([0, 0.25, 0.75, 1.75, 3.75, 7.75, 15.75, 31.75, 61.75, 91.75])
    assert not caught.value.outcome_unknown


async def test_an_answer_ends_the_row_of_429s(transport: Any, make_session: Any, finish: Any) -> None:
    """After a success the next 429 is taken at its word again."""
    refusal = Response(status=429, headers={"retry-after": "0.25"})
    transport.script.extend([refusal, refusal, refusal, Response(status=200, body=b"{}"), refusal])
    session = make_session()
    await finish(session.send(READ))
    begun = transport.clock.now() - 1_000.0
    await finish(session.send(READ))
    assert transport.times[4:] == pytest.approx([begun, begun + 0.25])


async def test_429_of_the_token_endpoint_holds_back_no_api_call(transport: Any, make_session: Any, clock: Any) -> None:
    """The token endpoint's 429 delays the token call alone."""
    limiter = LocalRateLimiter(clock=clock)
    transport.token_script.append(Response(status=429, headers={"retry-after": "10"}))
    session = make_session(limiter=limiter)
    call = asyncio.create_task(session.send(READ))
    await clock.advance(9.999)
    assert (limiter.expected_wait(), len(transport.token_calls)) == (0.0, 1)
    await clock.advance(0.001)
    assert await call == {"data": {}}


async def test_429_of_the_token_endpoint_that_ends_a_call_holds_back_no_other(
    transport: Any, make_session: Any, clock: Any
) -> None:
    """A call given up because the token endpoint asked to wait too long does not make the API's quota pause."""
    limiter = LocalRateLimiter(clock=clock)
    transport.token_script.append(Response(status=429, headers={"retry-after": "60"}))
    with pytest.raises(RateLimitExceeded):
        await make_session(limiter=limiter, retry=full(deadline=30.0)).send(READ)
    assert limiter.expected_wait() == 0.0


@pytest.mark.parametrize(
    "failure",
    [
        Response(status=500),
        Response(status=502),
        Response(status=503, headers={"retry-after": "1"}),
        Response(status=504),
        Response(status=408),
        Response(status=200, body=b"<html>"),
        RequestTimeout("late"),
        TransportError("lost"),
    ],
    ids=str,
)
async def test_create_is_not_repeated_when_it_may_have_been_applied(
    transport: Any, make_session: Any, finish: Any, failure: Any
) -> None:
    """A create that may have been applied is sent once."""
    transport.script.append(failure)
    with pytest.raises(CriteoError) as caught:
        await finish(make_session().send(CREATE))
    assert len(transport.api_calls) == 1
    assert caught.value.outcome_unknown


@pytest.mark.parametrize(
    "failure", [ConnectError("down"), Response(status=429), Response(status=401)], ids=["connect", "429", "401"]
)
async def test_create_is_repeated_when_it_cannot_have_been_applied(
    transport: Any, make_session: Any, finish: Any, failure: Any
) -> None:
    """A create that Criteo never got, or turned away unread, is sent again."""
    transport.script.append(failure)
    assert await finish(make_session().send(CREATE)) == {"data": {}}
    assert len(transport.api_calls) == 2


@pytest.mark.parametrize("status", [302, 307, 400, 403, 404, 409, 410, 413, 415, 501])
@pytest.mark.parametrize("request_", [READ, CREATE], ids=["read", "create"])
async def test_refusals_are_never_repeated(
    transport: Any, make_session: Any, finish: Any, status: int, request_: Request
) -> None:
    """What Criteo refuses is not asked again."""
    transport.always = Response(status=status)
    with pytest.raises(CriteoError):
        await finish(make_session().send(request_))
    assert len(transport.api_calls) == 1


@pytest.mark.parametrize(
    ("script", "unknown"),
    [
        ([TransportError("lost"), Response(status=400)], True),
        ([RequestTimeout("late"), ConnectError("down"), Response(status=403)], True),
        ([Response(status=503), Response(status=400)], True),
        ([Response(status=529), ConnectError("down"), Response(status=404)], True),
        ([Response(status=200, body=b"<html>"), Response(status=401), Response(status=401)], True),
        ([Response(status=429, headers={"retry-after": "1"}), Response(status=413)], False),
        ([ConnectError("down"), Response(status=400)], False),
    ],
)
async def test_lost_answer_is_remembered(
    transport: Any, make_session: Any, finish: Any, script: list[Any], *, unknown: bool
) -> None:
    """An error says that the outcome is unknown when any request of its call may have been applied, not only the last."""
    transport.script.extend(script)
    with pytest.raises(CriteoError) as caught:
        await finish(make_session().send(READ))
    assert caught.value.outcome_unknown is unknown


async def test_lost_answer_is_remembered_when_the_quota_ends_the_call(
    transport: Any, make_session: Any, finish: Any, clock: Any
) -> None:
    """A call whose first answer was lost and whose repeat would wait too long for the quota has an unknown outcome."""
    transport.script.append(TransportError("lost"))
    session = make_session(limiter=LocalRateLimiter(Quota(1), clock=clock), max_quota_wait=5.0)
    with pytest.raises(QuotaWaitError) as caught:
        await finish(session.send(READ))
    assert caught.value.outcome_unknown


@pytest.mark.parametrize("failure", [RequestTimeout("late"), TransportError("lost")], ids=["late", "lost"])
async def test_lost_token_answer_leaves_the_call_known(
    transport: Any, make_session: Any, finish: Any, failure: CriteoError
) -> None:
    """When only the token call got no answer, the API call was never sent, so its outcome is known."""
    transport.always_token = failure
    with pytest.raises(type(failure)) as caught:
        await finish(make_session().send(CREATE))
    assert not caught.value.outcome_unknown
    assert transport.api_calls == []
