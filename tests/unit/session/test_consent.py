import asyncio
import base64
import hashlib
import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from criteo_audiences.errors import (
    AuthenticationError,
    ConfigurationError,
    InvalidResponseError,
    NotFoundError,
    PermissionDeniedError,
    RequestTimeout,
)
from criteo_audiences.session import Quota, Request, Response, TokenSource, consent
from criteo_audiences.session.consent import AuthorizationCode, RefreshToken

READ = Request(method="GET", path="/things")
URI = "https://app.example/callback?from=criteo"
INVALID_GRANT = Response(status=400, body=b'{"error":"invalid_grant","error_description":"planted"}')
APPLICATION = {"client_id": "the-id", "client_secret": "the-secret"}


class Store:
    """Keeps refresh tokens as an application does; says what was asked of Criteo until then, and can fail."""

    def __init__(self, transport: Any = None) -> None:
        self.kept: list[str] = []
        self.asked: list[int] = []
        self.failures: list[Exception] = []
        self._transport = transport

    async def __call__(self, token: str) -> None:
        """Stores a token, unless a failure is due."""
        await asyncio.sleep(0)
        if self.failures:
            raise self.failures.pop(0)
        self.kept.append(token)
        if self._transport is not None:
            self.asked.append(len(self._transport.sent))


@pytest.fixture
def store(transport: Any) -> Store:
    """Where new refresh tokens go."""
    return Store(transport)


def login(store: Any = None, **options: Any) -> RefreshToken:
    """Returns the login of a user who consented long ago."""
    return RefreshToken(**APPLICATION, refresh_token="refresh-0", on_rotate=store, **options)


def code(store: Any = None, **options: Any) -> AuthorizationCode:
    """Returns the login of a user who has just consented."""
    return AuthorizationCode(**APPLICATION, code="the-code", redirect_uri=URI, on_rotate=store, **options)


def forms(transport: Any) -> list[dict[str, str]]:
    """Returns what was posted to the token endpoint."""
    return [dict(parse_qsl(sent.body.decode(), strict_parsing=True)) for sent in transport.token_calls]


def used(transport: Any) -> list[str]:
    """Returns the code or refresh token of each token call."""
    return [form.get("refresh_token") or form["code"] for form in forms(transport)]


async def test_refresh_token_posts_its_form(transport: Any, make_session: Any, finish: Any) -> None:
    """A refresh token asks with the fields of RFC 6749 §6 and Criteo's guide, each renewal anew."""
    credentials = login()
    assert isinstance(credentials, TokenSource)
    transport.script.append(Response(status=401))
    await finish(make_session(credentials).send(READ))
    assert forms(transport) == [{**APPLICATION, "grant_type": "refresh_token", "refresh_token": "refresh-0"}] * 2
    assert [sent.token for sent in transport.api_calls] == ["token-1", "token-2"]


@pytest.mark.parametrize("verifier", [None, "v" * 43])
async def test_code_is_exchanged_once(
    transport: Any, make_session: Any, finish: Any, store: Store, verifier: Any
) -> None:
    """A code asks with the fields of RFC 6749 §4.1.3, and then with the refresh token it was exchanged for."""
    transport.token_script.extend([transport.token("one", refresh_token="refresh-1"), transport.token("two")])
    transport.script.append(Response(status=401))
    credentials = code(store, code_verifier=verifier)
    assert credentials.refresh_token is None
    await finish(make_session(credentials).send(READ))
    first = {**APPLICATION, "grant_type": "authorization_code", "code": "the-code", "redirect_uri": URI}
    second = {**APPLICATION, "grant_type": "refresh_token", "refresh_token": "refresh-1"}
    assert forms(transport) == [first | ({"code_verifier": verifier} if verifier else {}), second]
    assert (store.kept, credentials.refresh_token) == (["refresh-1"], "refresh-1")


async def test_code_must_bring_a_refresh_token(make_session: Any, finish: Any) -> None:
    """An answer without a refresh token is refused at once, not when the access token ends."""
    with pytest.raises(InvalidResponseError, match=r"\$\.refresh_token"):
        await finish(make_session(code()).authenticate())


@pytest.mark.parametrize(
    "document", [{}, {"refresh_token": None}, {"refresh_token": ""}, {"refresh_token": "refresh-0"}]
)
async def test_refresh_token_may_stay(
    transport: Any, make_session: Any, finish: Any, store: Store, document: dict[str, Any]
) -> None:
    """Without a new refresh token in the answer, the old one stays and nothing is stored."""
    transport.token_script.append(transport.token("one", **document))
    credentials = login(store)
    await finish(make_session(credentials).authenticate())
    assert (store.kept, credentials.refresh_token) == ([], "refresh-0")


async def test_new_refresh_token_is_stored_before_anything_is_used(
    transport: Any, make_session: Any, finish: Any, store: Store
) -> None:
    """`on_rotate` has ended before the new access token, or the new refresh token, is sent anywhere."""
    transport.token_script.extend(transport.token(f"t{n}", refresh_token=f"refresh-{n}") for n in (1, 2))
    transport.script.append(Response(status=401))
    await finish(make_session(login(store)).send(READ))
    assert (store.kept, store.asked) == (["refresh-1", "refresh-2"], [1, 3])
    assert used(transport) == ["refresh-0", "refresh-1"]
    assert len(transport.sent) == 4


@pytest.mark.parametrize("failure", [OSError("planted-token"), KeyError("planted-token")])
async def test_failed_on_rotate_loses_nothing(
    transport: Any, make_session: Any, finish: Any, store: Store, failure: Exception
) -> None:
    """When `on_rotate` fails, the renewal fails in one sentence; the next one stores first, and uses the new token."""
    store.failures += [failure, failure]
    transport.token_script.append(transport.token("t1", refresh_token="refresh-1"))
    credentials = login(store)
    session = make_session(credentials)
    for _ in range(2):
        with pytest.raises(ConfigurationError, match=f"on_rotate failed with {type(failure).__name__}: ") as caught:
            await finish(session.send(READ))
        assert "planted" not in str(caught.value)
        assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    assert (credentials.refresh_token, used(transport), transport.api_calls) == ("refresh-1", ["refresh-0"], [])
    await finish(session.send(READ))
    assert store.kept == ["refresh-1"]
    assert used(transport) == ["refresh-0", "refresh-1"]


async def test_failed_on_rotate_is_called_once_for_all_who_wait(
    transport: Any, make_session: Any, finish: Any, store: Store
) -> None:
    """Fifty calls that wait for one renewal share its failure."""
    store.failures += [OSError()] * 50
    transport.token_script.append(transport.token("t1", refresh_token="refresh-1"))
    session = make_session(login(store))
    errors = await finish(asyncio.gather(*(session.send(READ) for _ in range(50)), return_exceptions=True))
    assert {type(error) for error in errors} == {ConfigurationError}
    assert (len(store.failures), len(transport.sent)) == (49, 1)


async def test_own_error_of_on_rotate_goes_through(
    transport: Any, make_session: Any, finish: Any, store: Store
) -> None:
    """An error of this library's own, with a sentence of its own, is raised as it is."""
    store.failures.append(ConfigurationError("The disk is full."))
    transport.always_token = transport.token("t1", refresh_token="refresh-1")
    with pytest.raises(ConfigurationError, match=r"^The disk is full\.$"):
        await finish(make_session(login(store)).authenticate())


async def test_plain_function_stores_too(transport: Any, make_session: Any, finish: Any) -> None:
    """An `on_rotate` that is not async has stored the token when it returns; nothing is lost over its kind."""
    kept: list[str] = []
    transport.always_token = transport.token("t1", refresh_token="refresh-1")
    await finish(make_session(login(kept.append)).authenticate())
    assert kept == ["refresh-1"]


async def test_rotation_that_nobody_stores_is_told(
    transport: Any, make_session: Any, finish: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Without `on_rotate`, a new refresh token is used, and a warning says that it is not stored."""
    transport.always_token = transport.token("t1", refresh_token="refresh-1")
    with caplog.at_level(logging.WARNING, logger="criteo_audiences"):
        await finish(make_session(credentials := login()).authenticate())
    (record,) = caplog.records
    assert "which is not stored" in record.getMessage()
    assert "refresh-1" not in caplog.text
    assert credentials.refresh_token == "refresh-1"


@pytest.mark.parametrize("fields", [{"access_token": None}, {"access_token": 5}])
async def test_unreadable_access_token_does_not_cost_the_refresh_token(
    transport: Any, make_session: Any, finish: Any, store: Store, fields: dict[str, Any]
) -> None:
    """A new refresh token is stored also when the rest of its answer cannot be read."""
    transport.always_token = transport.token("t1", **{"refresh_token": "refresh-1", **fields})
    with pytest.raises(InvalidResponseError):
        await finish(make_session(login(store)).authenticate())
    assert store.kept == ["refresh-1"]


@pytest.mark.parametrize("value", [5, True, False, ["planted"], {"planted": 1}, "planted\n", "plantéd"])
async def test_unreadable_refresh_token_is_refused(
    transport: Any, make_session: Any, finish: Any, store: Store, value: object
) -> None:
    """A refresh token that could not be sent back is refused by its path."""
    transport.always_token = transport.token("t1", refresh_token=value)
    with pytest.raises(InvalidResponseError, match=r"expected a token @ \$\.refresh_token") as caught:
        await finish(make_session(login(store)).authenticate())
    assert "planted" not in str(caught.value)
    assert store.kept == []


@pytest.mark.parametrize("build", [login, code])
@pytest.mark.parametrize("waiters", [1, 20])
async def test_refused_grant_ends_at_once(
    transport: Any, make_session: Any, finish: Any, build: Callable[[], Any], waiters: int
) -> None:
    """A code or refresh token that is refused costs one token call, however many wait, and says what to do."""
    transport.always_token = INVALID_GRANT
    session = make_session(build())
    errors = await finish(asyncio.gather(*(session.send(READ) for _ in range(waiters)), return_exceptions=True))
    assert len(transport.sent) == 1
    assert {type(error) for error in errors} == {AuthenticationError}
    (told,) = {str(error) for error in errors}
    assert told.startswith("Criteo answered HTTP 400: invalid_grant. ")
    assert "ask the user to consent again (AuthorizationCode.consent_url)" in told
    assert (errors[0].status, errors[0].codes) == (400, ("invalid_grant",))


async def test_grant_refused_while_a_client_runs(transport: Any, make_session: Any, finish: Any) -> None:
    """A consent revoked after a while ends the next call with one more token call and no repeat."""
    transport.token_script.append(transport.token("one"))
    transport.always_token = INVALID_GRANT
    transport.always = Response(status=401)
    with pytest.raises(AuthenticationError, match="ask the user to consent again"):
        await finish(make_session(login()).send(READ))
    assert (len(transport.token_calls), len(transport.api_calls)) == (2, 1)


@pytest.mark.parametrize("error", ["unauthorized_client", "invalid_request", "unsupported_grant_type"])
async def test_other_refusals_of_the_token_endpoint_end_at_once(
    transport: Any, make_session: Any, finish: Any, error: str
) -> None:
    """What RFC 6749 §5.2 refuses with 400 for another reason than the grant is a matter of the application."""
    transport.always_token = Response(status=400, body=b'{"error":"%s"}' % error.encode())
    with pytest.raises(AuthenticationError, match=f"{error}. Check the client id") as caught:
        await finish(make_session(login()).send(READ))
    assert len(transport.sent) == 1
    assert caught.value.status == 400


@pytest.mark.parametrize(("status", "kind"), [(404, NotFoundError), (403, PermissionDeniedError)])
async def test_other_statuses_keep_their_class(
    transport: Any, make_session: Any, finish: Any, status: int, kind: type[Exception]
) -> None:
    """A status that RFC 6749 does not know keeps the class that it has elsewhere."""
    transport.always_token = Response(status=status)
    with pytest.raises(kind):
        await finish(make_session(login()).send(READ))


async def test_lost_reply_is_asked_for_again(transport: Any, make_session: Any, finish: Any, store: Store) -> None:
    """A token call without an answer is repeated with the refresh token at hand."""
    transport.token_script.extend([RequestTimeout("lost"), transport.token("t1", refresh_token="refresh-1")])
    await finish(make_session(login(store)).authenticate())
    assert (used(transport), store.kept) == (["refresh-0", "refresh-0"], ["refresh-1"])


async def test_clients_that_share_a_login_renew_in_turn(
    transport: Any, make_session: Any, finish: Any, store: Store
) -> None:
    """Two sessions with one login never use a refresh token that the other one has replaced."""
    transport.latency = 1.0
    transport.token_script.extend(transport.token(f"t{n}", refresh_token=f"refresh-{n}") for n in (1, 2))
    credentials = login(store)
    await finish(asyncio.gather(*(make_session(credentials).authenticate() for _ in range(2))))
    assert (used(transport), store.kept) == (["refresh-0", "refresh-1"], ["refresh-1", "refresh-2"])


@pytest.mark.parametrize("moment", [0.0, 0.5, 1.0, 1.5, 2.0])
async def test_cancellation_loses_no_rotation(transport: Any, make_session: Any, clock: Any, moment: float) -> None:
    """Cancelled at any moment from the question to the end of `on_rotate`, the new refresh token is still stored."""
    kept: list[str] = []

    async def slow(token: str) -> None:
        await clock.sleep(1.0)
        kept.append(token)

    transport.latency = 1.0
    transport.always_token = transport.token("t1", refresh_token="refresh-1")
    task = asyncio.create_task(make_session(login(slow)).send(READ))
    await clock.advance(moment)
    task.cancel()
    await clock.advance(5.0)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert kept == ["refresh-1"]
    assert used(transport) == ["refresh-0"]


async def test_storing_is_waited_for_without_end(
    transport: Any, make_session: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The patience is for an answer on its way: once it is there, `on_rotate` gets all the time it takes."""
    monkeypatch.setattr(consent, "_PATIENCE", 0.01)
    kept: list[str] = []

    async def slow(token: str) -> None:
        await asyncio.sleep(0.1)
        kept.append(token)

    transport.always_token = transport.token("t1", refresh_token="refresh-1")
    task = asyncio.create_task(make_session(login(slow)).send(READ))
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 5)
    assert kept == ["refresh-1"]


async def test_silent_token_endpoint_is_not_waited_for_after_a_cancellation(
    transport: Any, make_session: Any, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token call that gets no answer ends some seconds after its caller was cancelled."""
    monkeypatch.setattr(consent, "_PATIENCE", 0.02)
    transport.latency = 1_000.0
    task = asyncio.create_task(make_session(login()).send(READ))
    await clock.advance(1.0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 5)


@pytest.mark.parametrize(("accounts", "calls"), [(1, 10), (3, 30), (100_000, 1_000_000)])
def test_quota_grows_with_the_accounts(accounts: int, calls: int) -> None:
    """Criteo allows 10 calls a minute for each account that has consented."""
    assert login(accounts=accounts).quota == code(accounts=accounts).quota == Quota(calls, period=60.0)


def test_consent_url_is_the_documented_one() -> None:
    """The consent URL has the documented parameters, encoded, in the documented order, and no secret."""
    url = AuthorizationCode.consent_url(client_id="my id&x", redirect_uri=URI, state="a b/ü")
    assert url == (
        "https://consent.criteo.com/request?response_type=code&client_id=my+id%26x"
        "&redirect_uri=https%3A%2F%2Fapp.example%2Fcallback%3Ffrom%3Dcriteo&state=a+b%2F%C3%BC"
    )


def test_consent_url_with_pkce() -> None:
    """With a challenge the URL names its method, S256."""
    verifier, challenge = AuthorizationCode.pkce()
    url = AuthorizationCode.consent_url(client_id="i", redirect_uri=URI, state="s", code_challenge=challenge)
    query = dict(parse_qsl(urlsplit(url).query, strict_parsing=True))
    assert (query["code_challenge"], query["code_challenge_method"]) == (challenge, "S256")
    assert verifier not in url


@given(state=st.text(min_size=1).filter(lambda text: text.strip() and text.isprintable()))
def test_state_comes_back_as_it_was(state: str) -> None:
    """Whatever the state, the page reads the same one out of the URL."""
    url = AuthorizationCode.consent_url(client_id="i", redirect_uri=URI, state=state)
    query = dict(parse_qsl(urlsplit(url).query, strict_parsing=True))
    assert (query["state"], query["redirect_uri"], len(query)) == (state, URI, 4)


def test_pkce_is_that_of_the_rfc() -> None:
    """The challenge is the verifier's SHA-256 in base64url, the verifier is long enough, and no two are the same."""
    verifier, challenge = AuthorizationCode.pkce()
    assert challenge == base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    assert 43 <= len(verifier) <= 128
    assert code(code_verifier=verifier).code_verifier == verifier
    assert AuthorizationCode.pkce()[0] != verifier


BREAK = "holds a line break or another control character; give it exactly as Criteo showed it."
HTTPS = "redirect_uri must be an HTTPS URL without a fragment, one of those the application has registered."


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"client_id": ""}, "client_id must not be empty."),
        ({"client_id": "planted\n"}, f"client_id {BREAK}"),
        ({"client_secret": None}, "client_secret must be a str, not NoneType."),
        ({"client_secret": "planted\x00"}, f"client_secret {BREAK}"),
        ({"refresh_token": " "}, "refresh_token must not be empty."),
        ({"refresh_token": b"planted"}, "refresh_token must be a str, not bytes."),
        ({"refresh_token": "planted\r\n"}, f"refresh_token {BREAK}"),
        ({"refresh_token": "planted\x7f"}, f"refresh_token {BREAK}"),
        ({"accounts": 0}, "accounts must be between 1 and 100,000, not 0."),
        ({"accounts": True}, "accounts must be a whole number, not bool."),
        ({"accounts": 1.5}, "accounts must be a whole number, not float."),
        ({"on_rotate": "planted"}, "on_rotate must be an async function that takes the new refresh token."),
    ],
    ids=str,
)
def test_wrong_refresh_login_is_refused(options: dict[str, Any], message: str) -> None:
    """A wrong argument is refused in one sentence that names it and does not show it."""
    with pytest.raises(ConfigurationError) as caught:
        RefreshToken(**{**APPLICATION, "refresh_token": "r", **options})
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"code": ""}, "code must not be empty."),
        ({"code": "planted\n"}, f"code {BREAK}"),
        ({"redirect_uri": "http://app.example/planted"}, HTTPS),
        ({"redirect_uri": "https://"}, HTTPS),
        ({"redirect_uri": "https://[planted"}, HTTPS),
        ({"redirect_uri": "https://app.example/#planted"}, HTTPS),
        ({"redirect_uri": "https://app.example/#"}, HTTPS),
        ({"redirect_uri": "app.example"}, HTTPS),
        ({"redirect_uri": None}, "redirect_uri must be a str, not NoneType."),
        (
            {"code_verifier": "planted"},
            "code_verifier must have 43 to 128 letters, digits, '-', '.', '_' or '~'; AuthorizationCode.pkce() makes one.",
        ),
        ({"code_verifier": ""}, "code_verifier must not be empty."),
    ],
    ids=str,
)
def test_wrong_code_login_is_refused(options: dict[str, Any], message: str) -> None:
    """The same for the login with a code."""
    with pytest.raises(ConfigurationError) as caught:
        AuthorizationCode(**{**APPLICATION, "code": "c", "redirect_uri": URI, **options})
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"state": ""}, "state must not be empty."),
        ({"state": None}, "state must be a str, not NoneType."),
        ({"client_id": "planted\n"}, f"client_id {BREAK}"),
        ({"redirect_uri": "http://localhost:8080"}, HTTPS),
        ({"code_challenge": "planted"}, "code_challenge must be the second value of AuthorizationCode.pkce()."),
    ],
    ids=str,
)
def test_wrong_consent_url_is_refused(options: dict[str, Any], message: str) -> None:
    """The same for the consent URL, which never goes without a state."""
    with pytest.raises(ConfigurationError) as caught:
        AuthorizationCode.consent_url(**{"client_id": "i", "redirect_uri": URI, "state": "s", **options})
    assert str(caught.value) == message


def test_identity_of_a_login_stays() -> None:
    """What a login was made of cannot be changed; where its tokens go can."""
    credentials = login()
    with pytest.raises(AttributeError):
        credentials.client_secret = "other"
    credentials.on_rotate = Store()
