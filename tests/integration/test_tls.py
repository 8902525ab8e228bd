import asyncio
import datetime as dt
import logging
import os
import ssl
import sys
import time
import traceback
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from criteo_audiences import (
    AuthenticationError,
    ConfigurationError,
    ConnectError,
    CriteoClient,
    InvalidRequestError,
    RequestTimeout,
    RetryPolicy,
    StaticToken,
)
from criteo_audiences.sandbox import Sandbox
from criteo_audiences.session import AiohttpTransport, Event, Exchange, SystemClock

from .networks import HOST, PlainTlsServer, server_context, trusting

Client = Callable[..., AbstractAsyncContextManager[CriteoClient]]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """The company's authority."""
    return trustme.CA()


@pytest.fixture(scope="module")
def stranger() -> trustme.CA:
    """An authority that nobody here trusts."""
    return trustme.CA()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment without proxy variables, wherever the tests run."""
    for name in ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def events() -> list[Event]:
    """What the clients told."""
    return []


@pytest.fixture
def connect(authority: trustme.CA, events: list[Event]) -> Client:
    """Makes clients that trust the authority and would repeat a failed call at once."""

    @asynccontextmanager
    async def client(sandbox: Sandbox, **options: Any) -> AsyncIterator[CriteoClient]:
        usual = {"base_url": sandbox.url, "ssl": trusting(authority), "on_event": events.append}
        usual["retry"] = RetryPolicy(attempts=3, first_delay=0.001)
        async with CriteoClient(sandbox.credentials, **{**usual, **options}) as criteo:
            yield criteo

    return client


async def test_an_own_authority_works_through_the_ssl_argument(authority: trustme.CA, connect: Client) -> None:
    """The sandbox speaks TLS as https://localhost, and a client that trusts its authority works with it."""
    async with Sandbox(tls=server_context(authority)) as sandbox, connect(sandbox) as criteo:
        assert sandbox.url.startswith("https://localhost:")
        segment = sandbox.add_contact_list()
        await criteo.marketing_solutions.amend_contact_list(segment, operation="add", identifiers=["a@example.com"])
        assert sandbox.contact_list(segment).identifiers == {"a@example.com"}


async def assert_refused(
    client: AbstractAsyncContextManager[CriteoClient], sandbox: Sandbox, events: list[Event], expected: str
) -> None:
    """Asserts that a connection is refused after one attempt, in one line, before any call arrived."""
    async with client as criteo:
        with pytest.raises(ConnectError) as caught:
            await criteo.authenticate()
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not caught.value.outcome_unknown
    assert caught.value.__context__ is None
    assert [event.name for event in events].count("request.started") == 1
    assert sandbox.requests == []


@pytest.mark.parametrize("context", [None, "stranger's"], ids=["system's authorities", "another authority"])
async def test_an_untrusted_certificate_is_refused_at_once(
    context: str | None, authority: trustme.CA, stranger: trustme.CA, connect: Client, events: list[Event]
) -> None:
    """The line says what to do, and nothing is repeated."""
    tls = trusting(stranger) if context else None
    async with Sandbox(tls=server_context(authority)) as sandbox:
        expected = "pass ssl= with a context that trusts it, or name the file with its certificate in SSL_CERT_FILE"
        await assert_refused(connect(sandbox, ssl=tls), sandbox, events, expected)


@pytest.mark.parametrize("table", [False, True])
async def test_an_upload_gives_up_after_one_untrusted_certificate(
    authority: trustme.CA,
    connect: Client,
    events: list[Event],
    tmp_path: Path,
    table: bool,  # noqa: FBT001 - parametrized
) -> None:
    """One connection, one failure that says why, and everything that was read is pending.

    A table is not read at all: the look at its segment fails first.
    """
    rows = [f"{number}@example.com" for number in range(10_000)]
    file = tmp_path / "crm.csv"
    file.write_text("\n".join(["email", *rows]))
    async with Sandbox(tls=server_context(authority)) as sandbox, connect(sandbox, ssl=None) as criteo:
        upload = criteo.marketing_solutions.upload_contact_list
        if table:
            with pytest.raises(ConnectError) as caught:
                await upload("1", file, hash=None, batch_size=10)
            assert not caught.value.passing
            assert [event.name for event in events].count("request.started") == 1
            return
        report = await upload("1", rows, hash=None, batch_size=10)
    assert [event.name for event in events].count("request.started") == 1
    assert (len(report.failures), report.sent, report.calls, report.ok) == (1, 0, 0, False)
    assert isinstance(report.failures[0].error, ConnectError)
    assert 0 < report.pending == report.read
    assert sandbox.requests == []


@pytest.mark.parametrize(
    ("begins", "ends", "expected"),
    [(-9, -1, "certificate has expired"), (1, 9, "certificate is not valid yet")],
)
async def test_a_certificate_out_of_its_time_is_refused_at_once(
    begins: int, ends: int, expected: str, authority: trustme.CA, connect: Client, events: list[Event]
) -> None:
    """The line names the clock, which may be the one that is wrong."""
    now = dt.datetime.now(dt.UTC)
    life = {"not_before": now + dt.timedelta(days=begins), "not_after": now + dt.timedelta(days=ends)}
    async with Sandbox(tls=server_context(authority, "localhost", **life)) as sandbox:
        await assert_refused(connect(sandbox), sandbox, events, expected)
    assert events[-1].error == "ConnectError"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_a_certificate_for_another_host_is_refused_at_once(
    host: str, authority: trustme.CA, connect: Client, events: list[Event]
) -> None:
    """By name and by address."""
    async with Sandbox(tls=server_context(authority, "example.com", "10.0.0.1")) as sandbox:
        url = sandbox.url.replace("localhost", host)
        await assert_refused(connect(sandbox, base_url=url), sandbox, events, "certificate is for another name")


def demanding(authority: trustme.CA, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    """Returns a server's context that asks clients for a certificate."""
    context = server_context(authority)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    context.maximum_version = version
    return context


both_versions = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])


@both_versions
async def test_a_client_certificate_works(version: ssl.TLSVersion, authority: trustme.CA, connect: Client) -> None:
    """A server that asks for one gets the one in the context of `ssl=`."""
    context = trusting(authority)
    authority.issue_cert("crm@example.com").configure_cert(context)
    async with Sandbox(tls=demanding(authority, version)) as sandbox, connect(sandbox, ssl=context) as criteo:
        await criteo.authenticate()
        assert len(sandbox.requests) == 1


async def assert_broken_off(context: ssl.SSLContext, client: ssl.SSLContext | None, expected: str) -> None:
    """Asserts that a server breaks off the handshake with a client, which understands why and does not come again."""
    server = PlainTlsServer(context)
    with server.listen() as url:
        retry = RetryPolicy(attempts=3, first_delay=0.001)
        async with CriteoClient(StaticToken("planted"), base_url=url, ssl=client, retry=retry) as criteo:
            with pytest.raises(ConnectError) as caught:
                await criteo.marketing_solutions.amend_contact_list("1", operation="add", identifiers=["a@example.com"])
    assert expected in str(caught.value)
    assert (server.connections, caught.value.outcome_unknown) == (1, False)


@both_versions
async def test_a_missing_client_certificate_is_named(version: ssl.TLSVersion, authority: trustme.CA) -> None:
    """In TLS 1.3 the server's refusal comes only after the handshake; it is understood all the same."""
    expected = "wants a client certificate does; nothing was applied"
    await assert_broken_off(demanding(authority, version), trusting(authority), expected)


@both_versions
async def test_a_client_certificate_that_the_server_does_not_trust_is_named(
    version: ssl.TLSVersion, authority: trustme.CA, stranger: trustme.CA
) -> None:
    """The line says that it is the client's certificate, not the server's."""
    context = trusting(authority)
    stranger.issue_cert("crm@example.com").configure_cert(context)
    expected = "The server refused the client certificate; nothing was applied"
    await assert_broken_off(demanding(authority, version), context, expected)


@pytest.mark.parametrize("own", [True, False], ids=["ssl=", "default"])
async def test_tls_older_than_1_2_is_refused_at_once(own: bool, authority: trustme.CA) -> None:  # noqa: FBT001
    """With the usual context and with one of the user's own."""
    context = server_context(authority)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # so old that naming them warns
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    await assert_broken_off(context, trusting(authority) if own else None, "1.2 is the oldest that is used")


async def test_plain_http_beyond_this_machine_is_refused_before_a_byte() -> None:
    """The client is not even made."""
    with pytest.raises(ConfigurationError, match="must use HTTPS: plain HTTP is for this machine only"):
        CriteoClient(StaticToken("planted"), base_url=f"http://{HOST}")


async def test_an_https_url_of_a_plain_server_is_named(connect: Client, events: list[Event]) -> None:
    """A wrong scheme or port is said to be one."""
    async with Sandbox() as sandbox:
        url = sandbox.url.replace("http:", "https:")
        await assert_refused(connect(sandbox, base_url=url), sandbox, events, "does not speak TLS on this port")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_reported_and_not_followed(status: int, authority: trustme.CA, connect: Client) -> None:
    """Neither for a token, whose call holds the secret, nor for identifiers."""
    async with Sandbox(tls=server_context(authority)) as elsewhere, Sandbox(tls=server_context(authority)) as sandbox:
        segment = sandbox.add_contact_list()
        for on in ("oauth2", "contact-list"):
            sandbox.fail_next(status=status, headers={"Location": elsewhere.url + "/oauth2/token"}, on=on)
            refused = AuthenticationError if on == "oauth2" else InvalidRequestError
            async with connect(sandbox) as criteo:
                with pytest.raises(refused, match=rf"HTTP {status}.*[Rr]edirects are not followed") as caught:
                    await criteo.marketing_solutions.clear_contact_list(segment)
            assert caught.value.status == status
        assert elsewhere.requests == []


async def test_nothing_is_sent_to_a_server_that_is_not_trusted(authority: trustme.CA, stranger: trustme.CA) -> None:
    """No log at DEBUG, no exception and no traceback shows the secret either."""
    async with Sandbox(tls=server_context(authority), client_secret="planted-secret") as sandbox:
        handler = logging.Handler(logging.DEBUG)
        said: list[str] = []
        handler.emit = lambda record: said.append(logging.Formatter().format(record))  # type: ignore[method-assign]
        root, loop = logging.getLogger(), asyncio.get_running_loop()
        root.addHandler(handler)
        level = root.level
        root.setLevel(logging.DEBUG)
        loop.set_debug(True)
        try:
            async with CriteoClient(sandbox.credentials, base_url=sandbox.url, ssl=trusting(stranger)) as criteo:
                with pytest.raises(ConnectError) as caught:
                    await criteo.authenticate()
        finally:
            loop.set_debug(False)
            root.setLevel(level)
            root.removeHandler(handler)
    said += traceback.format_exception(caught.value)
    assert any("certificate" in each for each in said)
    assert not any("planted" in each for each in said)


async def test_a_full_batch_arrives_over_tls(authority: trustme.CA, connect: Client) -> None:
    """50,000 hashed identifiers, a body of 3.4 MB."""
    emails = [f"person.{number}@example.com" for number in range(50_000)]
    async with Sandbox(tls=server_context(authority)) as sandbox, connect(sandbox) as criteo:
        segment = sandbox.add_contact_list()
        report = await criteo.marketing_solutions.upload_contact_list(segment, emails, hash="sha256")
        assert (report.ok, report.valid, len(sandbox.contact_list(segment))) == (True, 50_000, 50_000)


async def send_large(url: str, authority: trustme.CA, *, patience: float) -> int:
    """Sends 1.4 MB and returns the status of the answer."""
    transport = AiohttpTransport(timeout=patience, clock=SystemClock(), tls=trusting(authority))
    pieces = tuple(b"x" * 34_000 for _ in range(41))
    try:
        headers = {"Content-Type": "application/json"}
        return (await transport.send(Exchange(method="POST", url=url, headers=headers, body=pieces))).status
    finally:
        await transport.aclose()


async def test_a_slow_link_that_moves_is_not_cut(authority: trustme.CA) -> None:
    """What TLS holds back unsent is little, so that the body's last bytes are not waited for longer than `timeout`."""
    started = time.monotonic()
    with PlainTlsServer(server_context(authority), pause=0.02).listen() as url:
        assert await send_large(url, authority, patience=1.25) == 200
    assert time.monotonic() - started > 1.5


async def test_a_link_that_stops_is_cut(authority: trustme.CA) -> None:
    """After `timeout` seconds without progress, in the middle of the body."""
    server = PlainTlsServer(server_context(authority), pause=1)
    with server.listen() as url, pytest.raises(RequestTimeout, match=r"Nothing moved for 0\.3 s") as caught:
        await send_large(url, authority, patience=0.3)
    assert caught.value.outcome_unknown


async def run_cli(sandbox: Sandbox, *arguments: str, **variables: str) -> tuple[int, str, str]:
    """Runs the command line in a process of its own, with nothing but these variables to know the network by."""
    environment = {
        "CRITEO_BASE_URL": sandbox.url,
        "CRITEO_CLIENT_ID": sandbox.client_id,
        "CRITEO_CLIENT_SECRET": sandbox.client_secret,
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        **variables,
    }
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "criteo_audiences", *arguments, env=environment, stdout=pipe, stderr=pipe
    )
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def test_the_command_line_trusts_what_ssl_cert_file_names(authority: trustme.CA, tmp_path: Path) -> None:
    """Without options; without the variable, one line names it."""
    file = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(file)
    async with Sandbox(tls=server_context(authority)) as sandbox:
        code, out, _ = await run_cli(sandbox, "whoami", "marketing-solutions", SSL_CERT_FILE=str(file))
        assert (code, "(application " in out) == (0, True)
        code, out, err = await run_cli(sandbox, "whoami", "marketing-solutions")
    assert (code, out, len(err.splitlines())) == (8, "", 1)
    assert "SSL_CERT_FILE" in err
