import asyncio
import base64
import logging
import os
import sys
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
import trustme

from criteo_audiences import ConfigurationError, ConnectError, CriteoClient, RetryPolicy
from criteo_audiences.sandbox import Sandbox

from .networks import HOST, Proxy, closed_port, server_context, trusting

LOGIN = "planted-user:planted%40password"
BASIC = base64.b64encode(b"planted-user:planted@password").decode()
Client = Callable[..., AbstractAsyncContextManager[CriteoClient]]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """The company's authority."""
    return trustme.CA()


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """An environment without proxy variables and logins, wherever the tests run."""
    for name in ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    return monkeypatch


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    """The company's proxy."""
    async with Proxy().listen() as listening:
        yield listening


@pytest.fixture
async def sandbox(authority: trustme.CA) -> AsyncIterator[Sandbox]:
    """A server that only the proxy reaches by its name."""
    async with Sandbox(tls=server_context(authority)) as running:
        yield running


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Collects what is said where others can hear it, with every logger at DEBUG."""
    caplog.set_level(logging.DEBUG)
    return []


@pytest.fixture
def connect(sandbox: Sandbox, authority: trustme.CA, said: list[str]) -> Client:
    """Makes clients of the server by the name that only the proxy resolves."""

    @asynccontextmanager
    async def client(**options: Any) -> AsyncIterator[CriteoClient]:
        base_url = f"https://{HOST}:{urlsplit(sandbox.url).port}"
        usual = {"base_url": base_url, "ssl": trusting(authority), "on_event": lambda event: said.append(repr(event))}
        usual["retry"] = RetryPolicy(attempts=3, first_delay=0.001)
        async with CriteoClient(sandbox.credentials, **{**usual, **options}) as criteo:
            yield criteo
            said.extend((repr(criteo), repr(vars(criteo))))

    return client


def starts(said: list[str]) -> int:
    """Returns how many requests were started."""
    return sum("request.started" in each for each in said)


async def test_a_full_batch_goes_through_the_proxy_and_tls(proxy: Proxy, sandbox: Sandbox, connect: Client) -> None:
    """50,000 identifiers, of which the proxy sees a tunnel alone, whose opening has the login in its header."""
    emails = [f"person.{number}@example.com" for number in range(50_000)]
    async with connect(proxy=proxy.url_for(LOGIN)) as criteo:
        segment = sandbox.add_contact_list()
        report = await criteo.marketing_solutions.upload_contact_list(segment, emails, hash="sha256")
    assert (report.ok, len(sandbox.contact_list(segment))) == (True, 50_000)
    assert proxy.passed > 3_000_000
    for head in proxy.heads:
        assert head.startswith(f"CONNECT {HOST}:")
        assert f"Proxy-Authorization: Basic {BASIC}\r\n" in head
        assert "Bearer" not in head


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
@pytest.mark.parametrize("scheme", ["http://", ""])
async def test_the_environment_names_a_proxy(
    name: str, scheme: str, environment: pytest.MonkeyPatch, proxy: Proxy, connect: Client
) -> None:
    """In either spelling, with a login, with or without a scheme."""
    environment.setenv(name, proxy.url_for(LOGIN).replace("http://", scheme))
    async with connect() as criteo:
        await criteo.authenticate()
    assert f"Proxy-Authorization: Basic {BASIC}\r\n" in proxy.heads[0]


@pytest.mark.parametrize("entry", [HOST, f".{HOST.partition('.')[2]}", "*", f"{HOST}:PORT"])
async def test_no_proxy_is_honored(
    entry: str, environment: pytest.MonkeyPatch, proxy: Proxy, sandbox: Sandbox, connect: Client
) -> None:
    """By host, domain, port and for all."""
    environment.setenv("HTTPS_PROXY", proxy.url)
    environment.setenv("NO_PROXY", entry.replace("PORT", str(urlsplit(sandbox.url).port)))
    async with connect() as criteo:
        with pytest.raises(ConnectError, match=r"name criteo\.test:[0-9]+ cannot be resolved"):
            await criteo.authenticate()
    assert proxy.heads == []


async def test_the_argument_goes_before_the_environment(
    environment: pytest.MonkeyPatch, proxy: Proxy, connect: Client
) -> None:
    """Of two proxies the one that the program names is taken."""
    environment.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    async with connect(proxy=proxy.url) as criteo:
        await criteo.authenticate()
    assert len(proxy.heads) == 1


async def test_this_machine_is_reached_without_the_environments_proxy(
    environment: pytest.MonkeyPatch, proxy: Proxy, sandbox: Sandbox, connect: Client
) -> None:
    """Also over TLS; with the argument it is the caller's wish."""
    environment.setenv("HTTPS_PROXY", proxy.url)
    async with connect(base_url=sandbox.url) as criteo:
        await criteo.authenticate()
    assert proxy.heads == []
    async with connect(base_url=sandbox.url, proxy=proxy.url) as criteo:
        await criteo.authenticate()
    assert len(proxy.heads) == 1


async def test_plain_http_goes_through_no_proxy_elsewhere(connect: Client) -> None:
    """It would read identifiers and tokens; nothing is sent."""
    async with connect(base_url="http://localhost:9", proxy="http://proxy.example.com:3128") as criteo:
        with pytest.raises(ConfigurationError, match="Plain HTTP is for this machine only"):
            await criteo.authenticate()


@pytest.mark.parametrize("spelled", ["HTTP://127.0.0.1:PORT", " http://127.0.0.1:PORT", "Http://LOCALHOST:PORT/"])
async def test_no_spelling_sends_plain_http_through_a_proxy_elsewhere(
    spelled: str, environment: pytest.MonkeyPatch, connect: Client
) -> None:
    """Neither the argument nor the environment's, and nothing reaches it: its own name is only checked here."""
    async with Sandbox() as plain, Proxy().listen() as elsewhere:
        base_url = spelled.replace("PORT", str(urlsplit(plain.url).port))
        named = f"http://0.0.0.0:{urlsplit(elsewhere.url).port}"  # leads here, and is no loopback address
        async with connect(base_url=base_url, proxy=named) as criteo:
            with pytest.raises(ConfigurationError, match="Plain HTTP is for this machine only"):
                await criteo.authenticate()
        for own in ({"proxy": named}, {"trust_env": True}):
            environment.setenv("http_proxy", named)
            async with aiohttp.ClientSession(**own) as http, connect(base_url=base_url, http=http) as criteo:
                with pytest.raises(ConfigurationError, match="Plain HTTP is for this machine only"):
                    await criteo.authenticate()
        async with CriteoClient(plain.credentials, base_url=base_url) as criteo:
            await criteo.authenticate()
        assert elsewhere.heads == []
        assert len(plain.requests) == 1


@pytest.mark.parametrize("trust_env", [True, False])
async def test_a_borrowed_session_keeps_its_own_way(
    trust_env: bool,  # noqa: FBT001 - a parameter of pytest
    environment: pytest.MonkeyPatch,
    proxy: Proxy,
    connect: Client,
) -> None:
    """Its proxy, whether it reads the environment or was told one."""
    environment.setenv("HTTPS_PROXY", proxy.url_for(LOGIN))
    own = {"trust_env": True} if trust_env else {"proxy": proxy.url_for(LOGIN)}
    async with aiohttp.ClientSession(**own) as http, connect(http=http) as criteo:
        await criteo.authenticate()
    assert f"Proxy-Authorization: Basic {BASIC}\r\n" in proxy.heads[0]


@pytest.mark.parametrize("entry", [f"machine {HOST}", "default"])
async def test_netrc_is_not_read_by_an_own_session(
    entry: str, proxy: Proxy, sandbox: Sandbox, connect: Client, environment: pytest.MonkeyPatch
) -> None:
    """Neither in the place of our token, nor for the proxy."""
    Path(os.environ["NETRC"]).write_text(f"{entry} login planted-user password planted-netrc\n", encoding="ascii")
    environment.setenv("HTTPS_PROXY", proxy.url)
    async with connect() as criteo:
        segment = sandbox.add_contact_list()
        await criteo.marketing_solutions.clear_contact_list(segment)
    assert [each.status for each in sandbox.requests] == [200, 200]
    assert "Authorization" not in proxy.heads[0]


@pytest.mark.filterwarnings("ignore:.*BasicAuth is deprecated", "ignore:The 'auth' parameter is deprecated")
@pytest.mark.parametrize("where", [f"machine {HOST}", "default", "auth", "headers"])
async def test_a_borrowed_session_with_a_login_of_its_own_is_refused(
    where: str, proxy: Proxy, sandbox: Sandbox, connect: Client
) -> None:
    """It would go to Criteo beside our credentials: nothing is sent, and the line says where it comes from."""
    own: dict[str, Any] = {"trust_env": True, "proxy": proxy.url}
    if where == "auth":
        own["auth"] = aiohttp.BasicAuth("planted-user", "planted-password")
    elif where == "headers":
        own["headers"] = {"authorization": "planted"}
    else:
        text = f"{where} login planted-user password planted-netrc\n"
        Path(os.environ["NETRC"]).write_text(text, encoding="ascii")
    async with aiohttp.ClientSession(**own) as http, connect(http=http) as criteo:
        with pytest.raises(ConfigurationError, match="has a login of its own for the base URL") as caught:
            await criteo.authenticate()
    assert "planted" not in str(caught.value)
    assert (proxy.heads, sandbox.requests) == ([], [])


@pytest.mark.parametrize("text", ["machine elsewhere.test login a password b\n", "nonsense\n", None])
async def test_a_borrowed_session_with_other_logins_is_taken(text: str | None, proxy: Proxy, connect: Client) -> None:
    """Those for other hosts concern nobody here; nor does a file that is none."""
    if text is not None:
        Path(os.environ["NETRC"]).write_text(text, encoding="ascii")
    async with aiohttp.ClientSession(trust_env=True, proxy=proxy.url) as http, connect(http=http) as criteo:
        await criteo.authenticate()


@pytest.mark.parametrize(
    ("refusal", "silent", "attempts", "expected"),
    [
        (
            "407 Proxy Authentication Required",
            False,
            1,
            "(HTTP 407); no part of this request was sent. Put user name and password",
        ),
        ("403 Forbidden", False, 1, "refused the connection (HTTP 403); no part of this request was sent."),
        ("502 Bad Gateway", False, 3, "refused the connection (HTTP 502); no part of this request was sent."),
        (None, True, 3, "The connection broke before anything was sent."),
        (None, False, 3, "cannot be reached; no part of this request was sent."),
    ],
)
async def test_a_proxy_that_fails_is_named_without_its_password(
    refusal: str | None,
    silent: bool,  # noqa: FBT001 - a parameter of pytest
    attempts: int,
    expected: str,
    connect: Client,
    said: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Only what may pass is repeated; no log, event, exception, traceback or repr shows the login."""
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    loop.slow_callback_duration = 0
    async with Proxy(refusal=refusal, silent=silent).listen() as proxy:
        url = proxy.url if refusal or silent else f"http://127.0.0.1:{closed_port()}"
        async with connect(proxy=url.replace("://", f"://{LOGIN}@")) as criteo:
            with pytest.raises(ConnectError) as caught:
                await criteo.authenticate()
    assert expected in str(caught.value)
    assert silent or f"The proxy {url.removeprefix('http://')} " in str(caught.value)
    assert (starts(said), caught.value.outcome_unknown, caught.value.__context__) == (attempts, False, None)
    said += [*traceback.format_exception(caught.value), repr(caught.value), repr(vars(caught.value))]
    said += [logging.Formatter().format(record) + repr(record.args) for record in caplog.records]
    assert any("asyncio" in record.name for record in caplog.records)
    for secret in ("planted-user", "planted@password", "planted%40password", BASIC):
        assert not any(secret in each for each in said)


@pytest.mark.parametrize("body", [True, False])
async def test_a_407_to_plain_http_is_the_proxys_too(body: bool) -> None:  # noqa: FBT001 - a parameter of pytest
    """There is no tunnel then, and the proxy answers in the server's place."""
    async with Sandbox() as sandbox, Proxy(refusal="407 Proxy Authentication Required").listen() as proxy:
        async with CriteoClient(sandbox.credentials, base_url=sandbox.url, proxy=proxy.url) as criteo:
            call = criteo.authenticate() if body else criteo.marketing_solutions.get_application()
            with pytest.raises(ConnectError, match="refused the connection"):
                await call
        assert sandbox.requests == []


@pytest.mark.parametrize(
    "proxy", ["socks5://planted:planted@x", "http://planted\u20ac:planted@x", "http://pl%3Aanted:planted@x", "http://"]
)
async def test_an_environment_proxy_that_cannot_be_used_is_named_by_its_variable(
    proxy: str, environment: pytest.MonkeyPatch, connect: Client
) -> None:
    """And not by its value, which may hold a password; the argument is checked alike."""
    environment.setenv("HTTPS_PROXY", proxy)
    async with connect() as criteo:
        with pytest.raises(ConfigurationError, match=r"^HTTPS_PROXY must be the URL of an HTTP proxy") as caught:
            await criteo.authenticate()
    assert "planted" not in "".join(traceback.format_exception(caught.value))
    with pytest.raises(ConfigurationError, match=r"^proxy must be the URL of an HTTP proxy"):
        async with connect(proxy=proxy):
            pass


async def test_the_command_line_takes_the_environments_proxy(
    proxy: Proxy, sandbox: Sandbox, authority: trustme.CA, tmp_path: Path
) -> None:
    """Without options, and without showing its password when it fails."""
    file = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(file)
    environment = {
        "CRITEO_BASE_URL": f"https://{HOST}:{urlsplit(sandbox.url).port}",
        "CRITEO_CLIENT_ID": sandbox.client_id,
        "CRITEO_CLIENT_SECRET": sandbox.client_secret,
        "HTTPS_PROXY": proxy.url_for(LOGIN),
        "SSL_CERT_FILE": str(file),
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
    }
    pipe = asyncio.subprocess.PIPE
    arguments = [sys.executable, "-m", "criteo_audiences", "stats", "marketing-solutions", sandbox.add_contact_list()]
    codes, shown = [], b""
    for refusal in (None, "407 Proxy Authentication Required"):
        proxy.refusal = refusal
        process = await asyncio.create_subprocess_exec(*arguments, "--debug", env=environment, stdout=pipe, stderr=pipe)
        shown += b"".join(await process.communicate())
        codes.append(process.returncode)
    assert codes == [0, 8]
    assert b"refused the connection (HTTP 407)" in shown
    assert b"planted" not in shown
