import asyncio
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from criteo_audiences.errors import (
    AuthenticationError,
    ConfigurationError,
    ConnectError,
    CriteoError,
    InvalidResponseError,
    PermissionDeniedError,
    RateLimitExceeded,
    RequestTimeout,
    ServerError,
    TransportError,
)
from criteo_audiences.session import (
    AccessToken,
    ClientCredentials,
    Request,
    Response,
    RetryPolicy,
    StaticToken,
    TokenSource,
)
from criteo_audiences.session.auth import TokenCache, read_token

REFUSED = Response(status=401, body=b'{"errors":[{"type":"authorization","code":"authorization-token-expired"}]}')
READ = Request(method="GET", path="/things")


class Source:
    """A token source that counts, takes `latency` seconds and hands out token-1, token-2 … or raises `failure`."""

    def __init__(self, clock: Any, *, lifetime: float | None = 900.0, latency: float = 0.0) -> None:
        self.asked = 0
        self.failure: CriteoError | None = None
        self.latency = latency
        self._clock = clock
        self._lifetime = lifetime

    async def token(self, grant: object) -> AccessToken:
        """See `TokenSource.token`."""
        assert grant is _no_grant
        self.asked += 1
        value = f"token-{self.asked}"
        await self._clock.sleep(self.latency) if self.latency else await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        return AccessToken(value=value, lifetime=self._lifetime)


async def _no_grant(_: object) -> Any:
    raise AssertionError("this source needs no token endpoint")


def cache_of(source: Source, clock: Any) -> TokenCache:
    """Returns a cache over a source."""
    return TokenCache(source, _no_grant, clock)


@pytest.mark.parametrize(
    ("lifetime", "used_until", "renewed_at"),
    [(900.0, 839.999, 840.0), (600.0, 539.999, 540.0), (300.0, 269.999, 270.0), (10.0, 8.999, 9.0)],
)
async def test_token_is_used_until_its_margin_begins(
    clock: Any, lifetime: float, used_until: float, renewed_at: float
) -> None:
    """A token is used until a minute, or a tenth of its life, before its end, and renewed from then on."""
    source = Source(clock, lifetime=lifetime)
    tokens = cache_of(source, clock)
    assert await tokens.get() == "token-1"
    await clock.advance(used_until)
    assert (await tokens.get(), source.asked) == ("token-1", 1)
    await clock.advance(renewed_at - used_until)
    assert (await tokens.get(), source.asked) == ("token-2", 2)


async def test_token_without_an_end_is_kept(clock: Any) -> None:
    """A token whose source names no end is used for ever."""
    source = Source(clock, lifetime=None)
    tokens = cache_of(source, clock)
    await tokens.get()
    await clock.advance(10.0**9)
    assert (await tokens.get(), source.asked) == ("token-1", 1)


async def test_life_counts_from_the_question(clock: Any) -> None:
    """A token's life is counted from when it was asked for, not from when it arrived 30 s later."""
    source = Source(clock, latency=30.0)
    tokens = cache_of(source, clock)
    waiting = asyncio.create_task(tokens.get())
    await clock.advance(30.0)
    assert await waiting == "token-1"
    await clock.advance(839.999 - 30.0)
    assert await tokens.get() == "token-1"
    await clock.advance(0.001)
    renewed = asyncio.create_task(tokens.get())
    await clock.advance(30.0)
    assert await renewed == "token-2"


@pytest.mark.parametrize("passed", [900.0, 10_000.0])
async def test_ended_token_is_never_used(clock: Any, passed: float) -> None:
    """When no new token can be had, the old one is not used in its place."""
    source = Source(clock)
    tokens = cache_of(source, clock)
    await tokens.get()
    source.failure = ServerError(503)
    await clock.advance(passed)
    with pytest.raises(ServerError):
        await tokens.get()


async def test_one_refresh_serves_all(clock: Any) -> None:
    """A hundred tasks that need a token at once share one refresh."""
    source = Source(clock, latency=1.0)
    tokens = cache_of(source, clock)
    waiting = [asyncio.create_task(tokens.get()) for _ in range(100)]
    await clock.advance(1.0)
    assert {await task for task in waiting} == {"token-1"}
    assert source.asked == 1


async def test_cancelled_refresh_is_taken_over(clock: Any) -> None:
    """When the task that asks for the token is cancelled, another asks, and the rest still share its token."""
    source = Source(clock, latency=1.0)
    tokens = cache_of(source, clock)
    first, *others = [asyncio.create_task(tokens.get()) for _ in range(10)]
    await clock.advance(0.5)
    first.cancel()
    await clock.advance(1.0)
    assert {await task for task in others} == {"token-2"}
    assert first.cancelled()
    assert source.asked == 2


async def test_cancelled_waiter_disturbs_nobody(clock: Any) -> None:
    """A waiter that is cancelled leaves the refresh, and the others, alone."""
    source = Source(clock, latency=1.0)
    tokens = cache_of(source, clock)
    first, second, third = [asyncio.create_task(tokens.get()) for _ in range(3)]
    await clock.advance(0.5)
    second.cancel()
    await clock.advance(0.5)
    assert (await first, await third, source.asked) == ("token-1", "token-1", 1)


async def test_failed_refresh_fails_all_who_waited(clock: Any) -> None:
    """A refresh that failed is not repeated for each who waited: everybody gets an error of his own, once."""
    source = Source(clock, latency=1.0)
    source.failure = PermissionDeniedError(403)
    tokens = cache_of(source, clock)
    waiting = [asyncio.create_task(tokens.get()) for _ in range(100)]
    await clock.advance(1.0)
    errors = await asyncio.gather(*waiting, return_exceptions=True)
    assert source.asked == 1
    assert len({id(error) for error in errors}) == 100
    assert {(type(error), str(error), error.status) for error in errors} == {
        (PermissionDeniedError, str(source.failure), 403)
    }


async def test_next_call_asks_again_after_a_failure(clock: Any) -> None:
    """A failure is not remembered: the next call asks again."""
    source = Source(clock)
    source.failure = ServerError(503)
    tokens = cache_of(source, clock)
    with pytest.raises(ServerError):
        await tokens.get()
    source.failure = None
    assert (await tokens.get(), source.asked) == ("token-2", 2)


async def test_refused_token_is_replaced_once(clock: Any) -> None:
    """Ten calls refused with one token cause one refresh, and a straggler with the old token none."""
    source = Source(clock)
    tokens = cache_of(source, clock)
    old = await tokens.get()
    replaced = await asyncio.gather(*(tokens.replace(old) for _ in range(10)))
    assert (set(replaced), source.asked) == ({"token-2"}, 2)
    assert (await tokens.replace(old), source.asked) == ("token-2", 2)


async def test_refused_token_is_not_used_again_when_its_refresh_failed(clock: Any) -> None:
    """A token that was refused is not handed out again because no other could be had: the next call asks anew."""
    source = Source(clock)
    tokens = cache_of(source, clock)
    old = await tokens.get()
    source.failure = ServerError(503)
    with pytest.raises(ServerError):
        await tokens.replace(old)
    source.failure = None
    assert (await tokens.get(), source.asked) == ("token-3", 3)


async def test_static_token_has_no_other(clock: Any) -> None:
    """A refused static token has no replacement."""
    tokens = TokenCache(StaticToken("abc"), _no_grant, clock)
    assert await tokens.get() == "abc"
    assert await tokens.replace("abc") is None


@pytest.mark.parametrize("others", [{}, {"refresh_token": None}, {"refresh_token": "r", "scope": "x"}])
def test_refresh_token_may_be_absent_or_null(others: dict[str, Any]) -> None:
    """A token document is read whatever it says of a refresh token."""
    token = read_token({"access_token": "abc", "token_type": "Bearer", "expires_in": 900, **others})
    assert (token.value, token.lifetime) == ("abc", 900.0)


def test_absurd_lifetime_is_cut_to_a_day() -> None:
    """A lifetime beyond a day is not believed."""
    assert read_token({"access_token": "abc", "expires_in": 10**12}).lifetime == 86_400.0


@pytest.mark.parametrize(
    ("fields", "lifetime"),
    [
        ({}, None),
        ({"expires_in": None}, None),
        ({"expires_in": "900"}, 900.0),
        ({"expires_in": " 900.5 "}, 900.5),
        ({"expires_in": "soon"}, None),
        ({"expires_in": ""}, None),
        ({"expires_in": "0"}, None),
        ({"expires_in": True}, None),
        ({"expires_in": 0}, None),
        ({"expires_in": -1}, None),
        ({"expires_in": [900]}, None),
        ({"expires_in": "9" * 15}, 86_400.0),
    ],
)
def test_a_token_is_a_login_whatever_its_lifetime(fields: dict[str, Any], lifetime: float | None) -> None:
    """A lifetime may be text; without one that can be read the token is used until it is refused."""
    assert read_token({"access_token": "abc", **fields}) == AccessToken(value="abc", lifetime=lifetime)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, b'{"error":"invalid_client"}'),
        (400, b'{"error":"unauthorized_client"}'),
        (400, b"<html>"),
        (301, b""),
        (302, b""),
        (307, b""),
        (405, b""),
        (410, b""),
        (413, b""),
        (418, b""),
        (422, b'{"error":"invalid_client"}'),
    ],
)
async def test_a_refused_login_ends_at_once(
    transport: Any, make_session: Any, finish: Any, status: int, body: bytes
) -> None:
    """A refusal or a redirect of client credentials is an AuthenticationError after one token call."""
    transport.always_token = Response(status=status, body=body, headers={"location": "https://elsewhere.example/"})
    with pytest.raises(AuthenticationError) as caught:
        await finish(make_session().send(READ))
    assert (len(transport.sent), caught.value.status) == (1, status)
    assert ("base URL" in str(caught.value)) is (status != 400)


@pytest.mark.parametrize(
    ("document", "path"),
    [
        (None, "$"),
        ([], "$"),
        ("leaked-value", "$"),
        ({}, "$.access_token"),
        ({"access_token": None, "expires_in": 900}, "$.access_token"),
        ({"access_token": "", "expires_in": 900}, "$.access_token"),
        ({"access_token": 5, "expires_in": 900}, "$.access_token"),
        ({"access_token": "leaked-value\r\nX: y", "expires_in": 900}, "$.access_token"),
        ({"access_token": "leaked-valué", "expires_in": 900}, "$.access_token"),
        ({"access_token": "leaked-value\ud800"}, "$.access_token"),
        ({"access_token": "  "}, "$.access_token"),
        ({"access_token": "leaked" * 3_000}, "$.access_token"),
        ({"access_token": ["leaked-value"]}, "$.access_token"),
    ],
)
def test_bad_token_document_is_refused_by_path(document: Any, path: str) -> None:
    """A token document that cannot be used is refused, naming where it is wrong and never what it holds."""
    with pytest.raises(InvalidResponseError) as caught:
        read_token(document)
    (told,) = caught.value.paths
    assert told.endswith(f" @ {path}")
    assert "leaked" not in str(caught.value)


def refusals() -> dict[str, tuple[Response | Exception, type[CriteoError], int]]:
    """Returns answers of a token endpoint that give no token, how a call ends, and how often it asks for one."""
    error = b'{"error":"%b","error_description":"planted"}'
    login: dict[str, Any] = {
        **{f"400 {code}": (400, error % code.encode()) for code in ("invalid_client", "invalid_grant", "x" * 1_000)},
        **{f"redirect {status}": (status, b"") for status in (301, 302, 303, 307, 308)},
        **{f"{status} of HTML": (status, b"<html>planted") for status in (400, 405, 410, 413, 418, 451)},
    }
    unreadable: dict[str, Any] = {
        **{f"{body!r}": (200, body) for body in (b"", b"[]", b"<html>", b"null", b'{"access_token":NaN}', b"\xff")},
        "no content": (204, b""),
        "early hints": (103, b""),
        "no status": (600, b'{"access_token":"planted"}'),
        "deep": (200, b"[" * 5_000),
    }
    passing: dict[str, Any] = {f"{status}": (status, b"<html>") for status in (500, 502, 503, 504, 520, 529)}
    waits = ("", "0", "0.001", "-1", "1e9", "9" * 400, "soon", "1, 2", "٣", "60")
    dates = ("Fri, 31 Dec 9999 23:59:59 GMT", "Thu, 01 Jan 1970 00:00:00 GMT", "Fri, 99 Foo 0000 99:99:99 GMT")
    answers = {name: (Response(status=s, body=b), AuthenticationError, 1) for name, (s, b) in login.items()}
    answers |= {name: (Response(status=s, body=b), InvalidResponseError, 5) for name, (s, b) in unreadable.items()}
    answers |= {name: (Response(status=s, body=b), ServerError, 5) for name, (s, b) in passing.items()}
    answers |= {
        f"429 {wait[:9]}": (Response(status=429, headers={"retry-after": wait}), RateLimitExceeded, 10)
        for wait in (*waits, *dates)
    }
    answers |= {kind.__name__: (kind("x"), kind, 5) for kind in (RequestTimeout, TransportError, ConnectError)}
    return answers


@pytest.mark.parametrize("name", refusals())
async def test_whatever_the_token_endpoint_answers_a_call_ends(
    transport: Any, make_session: Any, finish: Any, name: str
) -> None:
    """In one error of its kind, after few token calls: those that no repeat would help after the first."""
    transport.always_token, kind, most = refusals()[name]
    with pytest.raises(kind) as caught:
        await finish(make_session().send(READ))
    assert 1 <= len(transport.token_calls) <= most
    assert (transport.api_calls, caught.value.outcome_unknown) == ([], False)
    assert "planted" not in f"{caught.value!r}{getattr(caught.value, 'problems', '')}"


@pytest.mark.parametrize("value", ["", "a\nb", "a\x00b", "é", "a\r\nX-Injected: 1"])
def test_token_that_no_header_carries_is_refused(value: str) -> None:
    """A token of a source of one's own must be able to stand in a header."""
    with pytest.raises(ConfigurationError, match="The token has characters"):
        AccessToken(value=value)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ClientCredentials(client_id="", client_secret="s"), "client_id must not be empty."),
        (lambda: ClientCredentials(client_id="i", client_secret=" "), "client_secret must not be empty."),
        (
            lambda: ClientCredentials(client_id=5, client_secret="s"),
            "client_id must be a str, not int: put it in quotes.",
        ),
        (lambda: ClientCredentials(client_id="i", client_secret=None), "client_secret must be a str, not NoneType."),
        (
            lambda: ClientCredentials(client_id="planted\n", client_secret="s"),
            "client_id holds a line break or another control character; give it exactly as Criteo showed it.",
        ),
        (
            lambda: ClientCredentials(client_id="i", client_secret="plan\x00ted"),
            "client_secret holds a line break or another control character; give it exactly as Criteo showed it.",
        ),
        (lambda: StaticToken(""), "the token must not be empty."),
        (lambda: StaticToken(b"abc"), "the token must be a str, not bytes."),
    ],
)
def test_wrong_credentials_are_named(build: Callable[[], object], message: str) -> None:
    """Credentials of the wrong kind are refused in one sentence that names the argument."""
    with pytest.raises(ConfigurationError) as caught:
        build()
    assert str(caught.value) == message


async def test_client_credentials_post_their_form() -> None:
    """Client credentials ask for a token with the three fields of RFC 6749 §4.4."""
    posted: list[Any] = []

    async def grant(form: Any) -> Any:
        posted.append(form)
        return {"access_token": "abc", "expires_in": 900}

    credentials = ClientCredentials(client_id="the-id", client_secret="the-secret")
    assert isinstance(credentials, TokenSource)
    assert (await credentials.token(grant)).value == "abc"
    assert posted == [{"grant_type": "client_credentials", "client_id": "the-id", "client_secret": "the-secret"}]


async def test_cold_client_makes_one_token_call(transport: Any, make_session: Any, finish: Any) -> None:
    """A hundred concurrent calls on a cold session make one token call."""
    transport.latency = 0.5
    session = make_session()
    await finish(asyncio.gather(*(session.send(READ) for _ in range(100))))
    assert len(transport.token_calls) == 1
    assert {sent.token for sent in transport.api_calls} == {"token-1"}
    assert len(transport.api_calls) == 100


@pytest.mark.parametrize("waiters", [1, 100])
async def test_refused_credentials_cost_two_requests(
    transport: Any, make_session: Any, finish: Any, waiters: int
) -> None:
    """A token endpoint that always answers 401 gets two requests, however many wait, and each gets one clear error."""
    transport.always_token = Response(status=401, body=b'{"error":"invalid_client"}')
    session = make_session()
    errors = await finish(asyncio.gather(*(session.send(READ) for _ in range(waiters)), return_exceptions=True))
    assert len(transport.token_calls) == 2
    assert transport.api_calls == []
    assert {type(error) for error in errors} == {AuthenticationError}
    assert {str(error) for error in errors} == {
        "Criteo answered HTTP 401: invalid_client. Check the client id and the client secret of the application."
    }


async def test_token_endpoint_that_recovers_from_a_401(transport: Any, make_session: Any, finish: Any) -> None:
    """A single 401 of the token endpoint is passed over."""
    transport.token_script.append(REFUSED)
    await finish(make_session().authenticate())
    assert len(transport.token_calls) == 2


@pytest.mark.parametrize("code", ["authorization-token-expired", "authorization-token-invalid"])
async def test_refused_token_is_refreshed_and_the_call_repeated(
    transport: Any, make_session: Any, finish: Any, code: str
) -> None:
    """An API call refused with 401 is repeated once, with a fresh token and without delay."""
    transport.script.append(Response(status=401, body=orjson.dumps({"errors": [{"code": code}]})))
    assert await finish(make_session().send(READ)) == {"data": {}}
    assert [sent.token for sent in transport.api_calls] == ["token-1", "token-2"]
    assert transport.times == [0.0, 0.0]


async def test_second_401_raises(transport: Any, make_session: Any, finish: Any) -> None:
    """A call refused with a fresh token as well is given up."""
    transport.always = REFUSED
    with pytest.raises(AuthenticationError, match="authorization-token-expired"):
        await finish(make_session().send(READ))
    assert len(transport.api_calls) == 2
    assert len(transport.token_calls) == 2


async def test_static_token_refused_costs_one_request(transport: Any, make_session: Any, finish: Any) -> None:
    """A refused static token is not tried again."""
    transport.always = REFUSED
    with pytest.raises(AuthenticationError):
        await finish(make_session(StaticToken("abc")).send(READ))
    assert [sent.token for sent in transport.sent] == ["abc"]


async def test_ten_calls_refused_together_cause_one_refresh(transport: Any, make_session: Any, finish: Any) -> None:
    """Ten calls in flight whose one token is refused cause one refresh, and all succeed."""
    transport.latency = 1.0
    transport.script.extend([REFUSED] * 10)
    session = make_session()
    answers = await finish(asyncio.gather(*(session.send(READ) for _ in range(10))))
    assert answers == [{"data": {}}] * 10
    assert len(transport.token_calls) == 2
    assert [sent.token for sent in transport.api_calls] == ["token-1"] * 10 + ["token-2"] * 10


async def test_refresh_refused_after_a_401(transport: Any, make_session: Any, finish: Any) -> None:
    """When the credentials are revoked while a client runs, the refused refresh is the error that is raised."""
    transport.script.append(REFUSED)
    transport.token_script.append(transport.token("first"))
    transport.always_token = Response(status=401, body=b'{"error":"invalid_client"}')
    session = make_session()
    with pytest.raises(AuthenticationError, match="invalid_client"):
        await finish(session.send(READ))
    assert len(transport.token_calls) == 3


async def test_token_endpoint_failures_are_retried_once_each(transport: Any, make_session: Any, finish: Any) -> None:
    """A token endpoint that is down gets the attempts of one call, not that number squared."""
    transport.always_token = Response(status=503)
    with pytest.raises(ServerError) as caught:
        await finish(make_session().send(READ))
    assert [sent.at - 1_000.0 for sent in transport.token_calls] == [0.0, 1.0, 3.0, 7.0, 15.0]
    assert not caught.value.outcome_unknown


async def test_token_lost_between_two_attempts(transport: Any, make_session: Any, finish: Any) -> None:
    """When the token ends while a call waits for its repeat and no new one can be had, that ends the call at once."""
    transport.script.append(Response(status=503, headers={"retry-after": "900"}))
    transport.token_script.append(transport.token("first"))
    transport.always_token = RequestTimeout("late")
    with pytest.raises(RequestTimeout) as caught:
        await finish(make_session(retry=RetryPolicy(jitter=lambda: 1.0, deadline=None)).send(READ))
    assert [sent.at - 1_000.0 for sent in transport.token_calls] == [0.0, 900.0, 901.0, 903.0, 907.0, 915.0]
    assert caught.value.outcome_unknown  # of the 503
    assert len(transport.api_calls) == 1


async def test_unreadable_token_document_ends_the_call(transport: Any, make_session: Any, finish: Any) -> None:
    """A token document without a token is an error that names the path, and the API is not asked."""
    transport.always_token = Response(status=200, body=b'{"expires_in":900}')
    with pytest.raises(InvalidResponseError, match=r"access_token"):
        await finish(make_session().send(READ))
    assert transport.api_calls == []


@pytest.mark.parametrize("failure", [ServerError(503), RequestTimeout("slow")])
async def test_a_token_that_is_still_good_outlives_a_failed_renewal(clock: Any, failure: CriteoError) -> None:
    """While the token endpoint is down, the token at hand is used until its end, and not a moment after it."""
    source = Source(clock)
    tokens = cache_of(source, clock)
    assert await tokens.get() == "token-1"
    source.failure = failure
    await clock.advance(850.0)
    assert (await tokens.get(), source.asked) == ("token-1", 2)
    await clock.advance(4.9)
    assert (await tokens.get(), source.asked) == ("token-1", 2)
    await clock.advance(0.1)
    assert (await tokens.get(), source.asked) == ("token-1", 3)
    await clock.advance(44.9)
    assert (await tokens.get(), source.asked) == ("token-1", 4)
    await clock.advance(0.1)
    with pytest.raises(type(failure)):
        await tokens.get()


async def test_refused_credentials_end_at_once_although_a_token_is_at_hand(clock: Any) -> None:
    """A renewal that is refused for good is not glossed over."""
    source = Source(clock)
    tokens = cache_of(source, clock)
    await tokens.get()
    source.failure = AuthenticationError(401)
    await clock.advance(850.0)
    with pytest.raises(AuthenticationError):
        await tokens.get()


def test_a_static_token_that_no_header_can_carry_is_refused_when_it_is_made() -> None:
    """A line break in a token is found before anything is sent."""
    with pytest.raises(ConfigurationError, match="header"):
        StaticToken("abc\ndef")
