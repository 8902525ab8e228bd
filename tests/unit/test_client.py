import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from criteo_audiences import (
    AuthenticationError,
    ClientCredentials,
    ConfigurationError,
    ConnectError,
    CriteoClient,
    Quota,
    QuotaWaitError,
    RetryPolicy,
    StaticToken,
)
from criteo_audiences.blocking import CriteoClient as BlockingClient
from criteo_audiences.sandbox import Sandbox
from criteo_audiences.session import AccessToken, Event, LocalRateLimiter

VARIABLES = [
    "CLIENT_ID",
    "CLIENT_SECRET",
    "CLIENT_ID_FILE",
    "CLIENT_SECRET_FILE",
    "REFRESH_TOKEN",
    "REFRESH_TOKEN_FILE",
    "ACCOUNTS",
    "PROFILE",
    "BASE_URL",
    "API_VERSION",
]
TOKEN = StaticToken("planted-token")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without settings of ours."""
    for name in VARIABLES:
        monkeypatch.delenv(f"CRITEO_{name}", raising=False)
    return monkeypatch


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A local Criteo."""
    async with Sandbox() as running:
        yield running


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"credentials": None},
            "credentials must be ClientCredentials, StaticToken or an object with an async token() method, not NoneType.",
        ),
        (
            {"credentials": "planted-token"},
            "credentials must be ClientCredentials, StaticToken or an object with an async token() method, not str.",
        ),
        (
            {"credentials": ClientCredentials},
            "credentials must be ClientCredentials, StaticToken or an object with an async token() method, not type.",
        ),
        (
            {"base_url": "http://api.criteo.com"},
            "The base URL must use HTTPS: plain HTTP is for this machine only; expected one such as https://api.criteo.com.",
        ),
        (
            {"base_url": None},
            "The base URL must be an HTTPS URL without credentials; expected one such as https://api.criteo.com.",
        ),
        ({"api_version": "2026-7"}, "api_version must look like 2026-07, or be 'experimental'."),
        ({"api_version": "2026-13"}, "api_version must look like 2026-07, or be 'experimental'."),
        ({"api_version": "2026-07/../x"}, "api_version must look like 2026-07, or be 'experimental'."),
        ({"api_version": "2026-07\n"}, "api_version must look like 2026-07, or be 'experimental'."),
        ({"api_version": 2026}, "api_version must look like 2026-07, or be 'experimental'."),
        ({"timeout": 0}, "timeout must be between 0.001 and 3,600, not 0."),
        ({"timeout": -1}, "timeout must be between 0.001 and 3,600, not -1."),
        ({"timeout": float("nan")}, "timeout must be between 0.001 and 3,600, not nan."),
        ({"timeout": None}, "timeout must be a number, not NoneType."),
        ({"timeout": "60"}, "timeout must be a number, not str."),
        ({"timeout": True}, "timeout must be a number, not bool."),
        ({"max_quota_wait": -1}, "max_quota_wait must be at least 0, not -1."),
        ({"max_quota_wait": "5"}, "max_quota_wait must be a number, not str."),
        ({"quota": 250}, "quota must be Quota, such as Quota(250), not int."),
        ({"retry": 3}, "retry must be RetryPolicy, not int."),
        ({"http": "https://x"}, "http must be ClientSession, not str."),
        ({"ssl": False}, "ssl must be SSLContext, not bool."),
        ({"proxy": "127.0.0.1:3128"}, "proxy must be the URL of an HTTP proxy, such as http://proxy.example.com:3128."),
        ({"proxy": "socks5://x:y@z"}, "proxy must be the URL of an HTTP proxy, such as http://proxy.example.com:3128."),
        (
            {"proxy": "http://me:planted-secret@"},
            "proxy must be the URL of an HTTP proxy, such as http://proxy.example.com:3128.",
        ),
        ({"proxy": "http://[::1"}, "proxy must be the URL of an HTTP proxy, such as http://proxy.example.com:3128."),
        ({"proxy": 5}, "proxy must be the URL of an HTTP proxy, such as http://proxy.example.com:3128."),
        (
            {"quota": Quota(5), "rate_limiter": LocalRateLimiter()},
            "Give quota or rate_limiter, not both: a limiter of your own holds its own quota.",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_wrong_argument_is_refused(options: dict[str, Any], message: str) -> None:
    """A wrong argument is refused before anything is sent, in one sentence that names it."""
    with pytest.raises(ConfigurationError) as caught:
        CriteoClient(**{"credentials": TOKEN, **options})
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"base_url": "http://127.0.0.1:8080/"},
        {"api_version": "experimental"},
        {"api_version": "2027-01"},
        {"timeout": 0.001},
        {"timeout": 3_600},
        {"max_quota_wait": 0},
        {"quota": Quota(10, share=0.5), "retry": RetryPolicy(attempts=1)},
        {"rate_limiter": LocalRateLimiter()},
        {"proxy": "http://proxy.example.com:3128", "ssl": ssl.create_default_context()},
    ],
    ids=",".join,
)
async def test_right_arguments_are_taken(options: dict[str, Any]) -> None:
    """Values at the bounds are taken; a client can be made, entered, left and closed twice without a call."""
    async with CriteoClient(TOKEN, **options) as criteo:
        assert criteo.rate_limit is None
    await criteo.aclose()


def test_client_can_be_made_without_a_loop() -> None:
    """A client can be made where no event loop runs, and nothing is left open when it is never used."""
    assert "planted" not in repr(CriteoClient(TOKEN))


async def test_call_reaches_the_server(sandbox: Sandbox) -> None:
    """A client calls the server at its base URL with its credentials and API version, and tells the rate limit."""
    segment_id = sandbox.add_contact_list(name="crm")
    events: list[Event] = []
    async with CriteoClient(
        sandbox.credentials, base_url=sandbox.url, api_version="2027-01", on_event=events.append
    ) as criteo:
        statistics = await criteo.marketing_solutions.get_contact_list_statistics(segment_id)
        assert statistics.number_of_identifiers == 0
        assert criteo.rate_limit is not None
        assert (criteo.rate_limit.limit, criteo.rate_limit.remaining) == (250, 249)
        assert criteo.marketing_solutions is criteo.marketing_solutions
    paths = [request.path for request in sandbox.requests]
    assert paths[-1] == f"/2027-01/marketing-solutions/audience-segments/{segment_id}/contact-list/statistics"
    assert [event.name for event in events if event.path != "/oauth2/token"] == ["request.started", "request.completed"]


async def test_authenticate_shows_that_credentials_work(sandbox: Sandbox) -> None:
    """`authenticate` succeeds with good credentials, uses no quota, and keeps its token for the first call."""
    segment_id = sandbox.add_contact_list(name="crm")
    async with CriteoClient(sandbox.credentials, base_url=sandbox.url) as criteo:
        await criteo.authenticate()
        assert criteo.rate_limit is None
        await criteo.marketing_solutions.get_contact_list_statistics(segment_id)
        assert criteo.rate_limit is not None
        assert criteo.rate_limit.remaining == 249
    assert sum("/oauth2/token" in str(request) for request in sandbox.requests) == 1


async def test_authenticate_shows_that_credentials_do_not_work(sandbox: Sandbox) -> None:
    """`authenticate` raises one clear error with wrong credentials, which are not shown."""
    wrong = ClientCredentials(client_id="planted-client", client_secret="planted-secret")
    async with CriteoClient(wrong, base_url=sandbox.url) as criteo:
        with pytest.raises(AuthenticationError, match="Check the client id and the client secret") as caught:
            await criteo.authenticate()
    assert "planted" not in f"{caught.value} {caught.value!r}"


async def test_token_source_of_ones_own(sandbox: Sandbox) -> None:
    """Any object with an async `token` method can be the credentials."""

    class Vault:
        async def token(self, grant: Any) -> AccessToken:
            return await sandbox.credentials.token(grant)

    async with CriteoClient(Vault(), base_url=sandbox.url) as criteo:
        await criteo.authenticate()


def test_quota_of_a_token_source_must_be_one() -> None:
    """A source's own `quota` is what a client counts on, so a number or a word is refused by name."""

    class Vault:
        quota = 250

        async def token(self, grant: Any) -> AccessToken:
            raise NotImplementedError(grant)

    with pytest.raises(ConfigurationError, match="The quota of the credentials must be Quota, such as"):
        CriteoClient(Vault())


def test_quota_key_of_a_token_source_must_be_a_text() -> None:
    """What does not compare as a text would never be the same as another source's."""

    class Vault:
        quota_key = 17

        async def token(self, grant: Any) -> AccessToken:
            raise NotImplementedError(grant)

    with pytest.raises(ConfigurationError, match="The quota_key of the credentials must be str, not int"):
        CriteoClient(Vault())


@pytest.fixture
async def silent_sandbox() -> AsyncIterator[Sandbox]:
    """A local Criteo that announces no rate limit, so that the client's own stands."""
    async with Sandbox(rate_limit=None) as running:
        yield running


async def test_options_reach_their_parts(silent_sandbox: Sandbox) -> None:
    """`quota`, `max_quota_wait` and `retry` are those of the calls."""
    segment_id = silent_sandbox.add_contact_list(name="crm")
    silent_sandbox.fail_next(status=503, times=10)
    options: dict[str, Any] = {"quota": Quota(2), "max_quota_wait": 59.0, "retry": RetryPolicy(jitter=lambda: 0.0)}
    async with CriteoClient(silent_sandbox.credentials, base_url=silent_sandbox.url, **options) as criteo:
        with pytest.raises(QuotaWaitError):
            await criteo.marketing_solutions.get_contact_list_statistics(segment_id)
    assert sum(request.status == 503 for request in silent_sandbox.requests) == 2


async def test_limiter_can_be_shared(silent_sandbox: Sandbox) -> None:
    """Two clients with one limiter share one quota."""
    segment_id = silent_sandbox.add_contact_list(name="crm")
    options: dict[str, Any] = {
        "base_url": silent_sandbox.url,
        "rate_limiter": LocalRateLimiter(Quota(1)),
        "max_quota_wait": 59.0,
    }
    async with (
        CriteoClient(silent_sandbox.credentials, **options) as one,
        CriteoClient(silent_sandbox.credentials, **options) as two,
    ):
        await one.marketing_solutions.get_contact_list_statistics(segment_id)
        with pytest.raises(QuotaWaitError):
            await two.marketing_solutions.get_contact_list_statistics(segment_id)


async def test_borrowed_session_is_left_open(sandbox: Sandbox) -> None:
    """`http=` lends a session, which is used and left open."""
    async with aiohttp.ClientSession() as http:
        async with CriteoClient(sandbox.credentials, base_url=sandbox.url, http=http) as criteo:
            await criteo.authenticate()
        assert not http.closed


@pytest.mark.parametrize("end", ["leave", "error", "cancel"])
async def test_own_session_is_closed(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    """The client's own session is closed when its block is left, by an error or a cancellation as well."""
    made: list[aiohttp.ClientSession] = []
    original = aiohttp.ClientSession.__init__

    def record(self: aiohttp.ClientSession, *arguments: Any, **options: Any) -> None:
        made.append(self)
        original(self, *arguments, **options)

    monkeypatch.setattr(aiohttp.ClientSession, "__init__", record)

    async def work() -> None:
        async with CriteoClient(sandbox.credentials, base_url=sandbox.url) as criteo:
            await criteo.authenticate()
            if end == "error":
                raise RuntimeError
            if end == "cancel":
                asyncio.current_task().cancel()  # type: ignore[union-attr]
                await asyncio.sleep(0)

    outcome = {"leave": None, "error": RuntimeError, "cancel": asyncio.CancelledError}[end]
    (result,) = await asyncio.gather(asyncio.create_task(work()), return_exceptions=True)
    assert (None if result is None else type(result)) is outcome
    assert [session.closed for session in made] == [True]


async def test_from_env_reads_the_variables(sandbox: Sandbox, environment: pytest.MonkeyPatch) -> None:
    """`from_env` takes credentials, base URL and API version from the environment, trimmed."""
    segment_id = sandbox.add_contact_list(name="crm")
    environment.setenv("CRITEO_CLIENT_ID", f" {sandbox.client_id} ")
    environment.setenv("CRITEO_CLIENT_SECRET", f"{sandbox.client_secret}\n")
    environment.setenv("CRITEO_BASE_URL", sandbox.url)
    environment.setenv("CRITEO_API_VERSION", "2027-01")
    async with CriteoClient.from_env() as criteo:
        await criteo.marketing_solutions.get_contact_list_statistics(segment_id)
    assert sandbox.requests[-1].path.startswith("/2027-01/")


async def test_from_env_reads_files(sandbox: Sandbox, environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A `_FILE` variable names a file that holds the setting; arguments go before the environment."""
    (tmp_path / "id").write_text(f"{sandbox.client_id}\n")
    (tmp_path / "secret").write_text(f"{sandbox.client_secret}\r\n")
    environment.setenv("CRITEO_CLIENT_ID_FILE", str(tmp_path / "id"))
    environment.setenv("CRITEO_CLIENT_SECRET_FILE", str(tmp_path / "secret"))
    environment.setenv("CRITEO_BASE_URL", "https://nowhere.invalid")
    async with CriteoClient.from_env(base_url=sandbox.url) as criteo:
        await criteo.authenticate()


async def test_from_env_defaults_to_criteo(environment: pytest.MonkeyPatch) -> None:
    """Without more than credentials, empty variables included, a client is made for Criteo's own URL."""
    environment.setenv("CRITEO_CLIENT_ID", "i")
    environment.setenv("CRITEO_CLIENT_SECRET", "s")
    environment.setenv("CRITEO_BASE_URL", "")
    environment.setenv("CRITEO_API_VERSION", "")
    environment.setenv("CRITEO_CLIENT_SECRET_FILE", "")
    seen: list[str] = []

    def refuse(*_: object, **options: Any) -> Any:
        seen.append(str(options.get("url") or _[2]))
        raise aiohttp.ClientConnectionError

    environment.setattr(aiohttp.ClientSession, "_request", refuse)
    async with CriteoClient.from_env(retry=RetryPolicy(attempts=1)) as criteo:
        with pytest.raises(Exception, match="connection broke"):
            await criteo.authenticate()
    assert seen == ["https://api.criteo.com/oauth2/token"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "CRITEO_CLIENT_ID is not set: export it, or name a file that holds it in CRITEO_CLIENT_ID_FILE."),
        (
            {"CLIENT_ID": "planted-client"},
            "CRITEO_CLIENT_SECRET is not set: export it, or name a file that holds it in CRITEO_CLIENT_SECRET_FILE.",
        ),
        (
            {"CLIENT_ID": "planted-client", "CLIENT_SECRET": " "},
            "CRITEO_CLIENT_SECRET is not set: export it, or name a file that holds it in CRITEO_CLIENT_SECRET_FILE.",
        ),
        (
            {"CLIENT_ID": "planted-client", "CLIENT_SECRET": "planted-secret", "CLIENT_SECRET_FILE": "good"},
            "Both CRITEO_CLIENT_SECRET and CRITEO_CLIENT_SECRET_FILE are set; unset one.",
        ),
        (
            {"CLIENT_ID": "planted-client", "CLIENT_SECRET_FILE": "missing"},
            "The file that CRITEO_CLIENT_SECRET_FILE names cannot be read (FileNotFoundError); check its path and mode.",
        ),
        (
            {"CLIENT_ID": "planted-client", "CLIENT_SECRET_FILE": "folder"},
            "The file that CRITEO_CLIENT_SECRET_FILE names cannot be read (IsADirectoryError); check its path and mode.",
        ),
        (
            {"CLIENT_ID": "planted-client", "CLIENT_SECRET_FILE": "binary"},
            "The file that CRITEO_CLIENT_SECRET_FILE names cannot be read (UnicodeDecodeError); check its path and mode.",
        ),
        (
            {"CLIENT_ID_FILE": "empty", "CLIENT_SECRET": "planted-secret"},
            "The file that CRITEO_CLIENT_ID_FILE names is empty.",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_from_env_names_what_is_wrong(
    environment: pytest.MonkeyPatch, tmp_path: Path, settings: dict[str, str], message: str
) -> None:
    """A setting that is missing or unusable is named in one sentence, its value and its file's text are not."""
    (tmp_path / "good").write_text("planted-secret")
    (tmp_path / "empty").write_text(" \n")
    (tmp_path / "binary").write_bytes(b"planted\xff\xfe")
    (tmp_path / "folder").mkdir()
    for name, value in settings.items():
        environment.setenv(f"CRITEO_{name}", str(tmp_path / value) if name.endswith("_FILE") else value)
    with pytest.raises(ConfigurationError) as caught:
        CriteoClient.from_env()
    assert str(caught.value) == message
    assert caught.value.__cause__ is None
    assert "planted" not in str(caught.value)


def test_from_env_names_an_unreadable_file(environment: pytest.MonkeyPatch) -> None:
    """A file that may not be read is named by its variable."""

    def refuse(*_: object) -> Any:
        raise PermissionError("planted-path")

    environment.setattr(Path, "open", refuse)
    environment.setenv("CRITEO_CLIENT_ID", "i")
    environment.setenv("CRITEO_CLIENT_SECRET_FILE", "/run/secrets/criteo")
    with pytest.raises(ConfigurationError, match=r"CRITEO_CLIENT_SECRET_FILE names cannot be read \(PermissionError\)"):
        CriteoClient.from_env()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [("BASE_URL", "http://example.com", "must use HTTPS"), ("API_VERSION", "latest", "api_version must look like")],
)
def test_from_env_checks_what_it_read(environment: pytest.MonkeyPatch, name: str, value: str, message: str) -> None:
    """What the environment says is checked like an argument."""
    environment.setenv("CRITEO_CLIENT_ID", "i")
    environment.setenv("CRITEO_CLIENT_SECRET", "s")
    environment.setenv(f"CRITEO_{name}", value)
    with pytest.raises(ConfigurationError, match=message):
        CriteoClient.from_env()


async def test_server_out_of_reach_is_one_clear_error(caplog: pytest.LogCaptureFixture) -> None:
    """A base URL where nobody listens is one clear error that shows no secret."""
    caplog.set_level(logging.DEBUG)
    credentials = ClientCredentials(client_id="planted-client", client_secret="planted-secret")
    async with CriteoClient(credentials, base_url="http://127.0.0.1:9", retry=RetryPolicy(attempts=1)) as criteo:
        with pytest.raises(
            ConnectError, match=r"The server 127.0.0.1:[0-9]+ cannot be reached; no part of this request was sent"
        ):
            await criteo.authenticate()
    assert "planted" not in caplog.text


async def _asynchronous(_: object) -> None:
    """An observer that would never be awaited."""


@pytest.mark.parametrize(
    ("options", "words"),
    [({"on_event": _asynchronous}, "on_event"), ({"on_event": 5}, "on_event"), ({"rate_limiter": 5}, "rate_limiter")],
)
def test_callbacks_of_the_wrong_kind_are_refused_when_given(options: dict[str, Any], words: str) -> None:
    """What would fail at the first call, or never be called, is refused by name."""
    with pytest.raises(ConfigurationError, match=words):
        CriteoClient(StaticToken("token"), **options)


async def test_a_closed_client_sends_nothing() -> None:
    """A call after `aclose` is refused instead of opening a session that nobody closes."""
    criteo = CriteoClient(StaticToken("token"), base_url="http://127.0.0.1:9")
    await criteo.aclose()
    with pytest.raises(ConfigurationError, match="closed"):
        await criteo.marketing_solutions.get_contact_list_statistics("1")


@pytest.mark.parametrize("segment_id", [".", ".."])
async def test_an_id_that_moves_through_the_path_is_refused(segment_id: str) -> None:
    """Dots are no id."""
    async with CriteoClient(StaticToken("token"), base_url="http://127.0.0.1:9") as criteo:
        with pytest.raises(ConfigurationError, match="segment_id"):
            await criteo.marketing_solutions.get_contact_list_statistics(segment_id)


LOGIN = (
    "; a login is given as CriteoClient(ClientCredentials(client_id=..., client_secret=...)), or as variables of the"
)


@pytest.mark.parametrize(
    "client", [CriteoClient, BlockingClient, CriteoClient.from_env], ids=["async", "blocking", "env"]
)
def test_a_client_that_is_called_wrongly_says_how_a_login_is_given(client: Any) -> None:
    """Whether the login stands in keywords of its own, or a keyword is misspelled."""
    with pytest.raises(
        TypeError, match=r"got an unexpected keyword argument 'client_id'; a login is given as .*from_env"
    ):
        client(client_id="planted-id", client_secret="planted-secret")
    with pytest.raises(TypeError, match="'base_ulr'; did you mean 'base_url'"):
        client(base_ulr="https://api.criteo.com")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (CriteoClient, "CriteoClient(): missing a required argument: 'credentials'" + LOGIN),
        (lambda: CriteoClient("planted-id", "planted-secret"), "CriteoClient(): too many positional arguments" + LOGIN),
        (lambda: CriteoClient.from_env("prod"), "from_env(): too many positional arguments; it takes profile="),
        (lambda: ClientCredentials(client_id="id", secret="s"), "argument 'secret'; did you mean 'client_secret'?"),
        (lambda: ClientCredentials("id", "s"), "too many positional arguments; it takes client_id=, client_secret="),
        (
            lambda: ClientCredentials(client_id="id"),
            "missing a required argument: 'client_secret'; it takes client_id=",
        ),
        (lambda: Quota(call=250), "Quota() got an unexpected keyword argument 'call'; did you mean 'calls'?"),
        (
            lambda: RetryPolicy(max_retries=3),
            "RetryPolicy() got an unexpected keyword argument 'max_retries'; it takes",
        ),
        (StaticToken, "StaticToken(): missing a required argument: 'value'"),
    ],
)
def test_a_call_that_does_not_fit_says_what_does(make: Any, message: str) -> None:
    """In one line, which shows no value."""
    with pytest.raises(TypeError) as caught:
        make()
    assert message in str(caught.value)
    assert "planted" not in str(caught.value)


async def test_a_stream_says_how_it_is_entered() -> None:
    """`with`, `async for` and `await` are taken for it."""
    async with CriteoClient(TOKEN) as criteo:
        stream: Any = criteo.marketing_solutions.stream_contact_list("1", ["a@b.co"], hash="sha256")
        message = r"entered with `async with ms.stream_contact_list\(...\) as results:`"
        with pytest.raises(TypeError, match=message), stream:
            pass
        with pytest.raises(TypeError, match=message):
            async for _ in stream:
                pass
        with pytest.raises(TypeError, match=message):
            await stream


async def test_the_results_of_a_stream_say_how_they_are_read(sandbox: Sandbox) -> None:
    """A plain `for` is taken for it."""
    async with CriteoClient(sandbox.credentials, base_url=sandbox.url) as criteo:
        stream = criteo.marketing_solutions.stream_contact_list(sandbox.add_contact_list(), ["a@b.co"], hash="sha256")
        async with stream as results:
            wrong: Any = results
            assert [batch.ok async for batch in results] == [True]
            with pytest.raises(TypeError, match="`async for batch in results:`"):
                iter(wrong)
        assert results.report.valid == 1
