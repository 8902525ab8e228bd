import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from criteo_audiences import (
    AuthenticationError,
    AuthorizationCode,
    CriteoClient,
    PermissionDeniedError,
    Quota,
    RefreshToken,
    RetryPolicy,
)
from criteo_audiences.sandbox import Sandbox
from tests.integration.forking import Forking

ROWS = [f"person.{number}@example.com" for number in range(40)]
ROTATIONS = ["at-once", "when-used", "never"]

# Uploads a row a batch and stores refresh tokens; dies without a word right after it has stored the second one.
DOOMED = """
import asyncio, os, signal, sys
from pathlib import Path
from criteo_audiences import CriteoClient, RefreshToken
from criteo_audiences.settings.secret_files import read_secret, write_secret

FILE, STORED = Path(os.environ["TOKEN_FILE"]), []

async def store(token):
    write_secret(FILE, token, source="TOKEN_FILE")
    STORED.append(token)
    if len(STORED) == 2:
        os.kill(os.getpid(), signal.SIGKILL)

async def rows():
    for number in range(40):
        yield f"person.{number}@example.com"
        await asyncio.sleep(0.01)

async def main():
    login = RefreshToken(
        client_id=os.environ["CRITEO_CLIENT_ID"],
        client_secret=os.environ["CRITEO_CLIENT_SECRET"],
        refresh_token=read_secret(FILE, source="TOKEN_FILE"),
        on_rotate=store,
    )
    async with CriteoClient(login, base_url=os.environ["CRITEO_BASE_URL"]) as criteo:
        upload = criteo.marketing_solutions.upload_contact_list
        await upload(os.environ["SEGMENT_ID"], rows(), hash=None, batch_size=1, max_concurrency=1)

asyncio.run(main())
"""


# Logs in ten times by the environment, as so many runs of the command line would.
BUSY = """
import asyncio
from criteo_audiences import CriteoClient

async def main():
    for _ in range(10):
        async with CriteoClient.from_env() as criteo:
            await criteo.authenticate()

asyncio.run(main())
"""


class Store:
    """Keeps refresh tokens."""

    def __init__(self) -> None:
        self.kept: list[str] = []

    async def __call__(self, token: str) -> None:
        """Stores a token."""
        self.kept.append(token)


@pytest.fixture
def store() -> Store:
    """Where new refresh tokens go."""
    return Store()


def connect(sandbox: Sandbox, login: Any, **options: Any) -> CriteoClient:
    """Returns a client that repeats failed calls at once."""
    retry = RetryPolicy(first_delay=0.001, max_delay=0.01)
    return CriteoClient(login, **{"base_url": sandbox.url, "retry": retry, **options})


def login_with(sandbox: Sandbox, token: str) -> RefreshToken:
    """Returns a login with a refresh token that was stored, as the next start makes it."""
    return RefreshToken(client_id=sandbox.client_id, client_secret=sandbox.client_secret, refresh_token=token)


def token_calls(sandbox: Sandbox) -> list[int | None]:
    """Returns the statuses of the token calls so far."""
    return [request.status for request in sandbox.requests if "oauth2" in request.path]


async def first_row_arrived(sandbox: Sandbox, segment_id: str) -> None:
    """Returns once an upload is on its way."""
    while not len(sandbox.contact_list(segment_id)):  # noqa: ASYNC110 - the server has no event to wait for
        await asyncio.sleep(0.005)


@pytest.mark.parametrize("pkce", [{"pkce": True}, {"pkce": False}], ids=str)
async def test_code_logs_in_and_stays_logged_in(store: Store, pkce: dict[str, bool]) -> None:
    """A code is exchanged once; what it was exchanged for renews the login, here and at the next start."""
    async with Sandbox() as sandbox:
        segment_id = sandbox.add_contact_list()
        async with connect(sandbox, sandbox.authorization_code(on_rotate=store, **pkce)) as criteo:
            for _ in range(2):
                await criteo.marketing_solutions.get_contact_list_statistics(segment_id)
                sandbox.expire_tokens()
            await criteo.marketing_solutions.get_contact_list_statistics(segment_id)
        assert len(store.kept) == 3
        async with connect(sandbox, login_with(sandbox, store.kept[-1])) as criteo:
            await criteo.authenticate()
    assert token_calls(sandbox) == [200] * 4


async def test_code_of_another_redirect_is_refused_with_what_to_do() -> None:
    """A code that Criteo refuses costs one token call and says what to do."""
    async with Sandbox() as sandbox:
        good = sandbox.authorization_code()
        wrong = AuthorizationCode(
            client_id=sandbox.client_id,
            client_secret=sandbox.client_secret,
            code=good.code,
            redirect_uri="https://other.example/",
            code_verifier=good.code_verifier,
        )
        async with connect(sandbox, wrong) as criteo:
            with pytest.raises(AuthenticationError, match="with its own redirect_uri and code_verifier: ask the user"):
                await criteo.authenticate()
    assert token_calls(sandbox) == [400]


@pytest.mark.parametrize("rotation", ROTATIONS)
async def test_upload_outlives_its_tokens(store: Store, rotation: Any) -> None:
    """An upload of several senders goes on through renewals, whatever the server does with the old refresh token."""
    async with Sandbox(rotation=rotation, rate_limit=None) as sandbox:
        segment_id = sandbox.add_contact_list()

        async def rows() -> AsyncIterator[str]:
            for number, row in enumerate(ROWS):
                if number % 10 == 5:
                    while len(sandbox.contact_list(segment_id)) < number:  # noqa: ASYNC110 - the server has no event
                        await asyncio.sleep(0.001)
                    sandbox.expire_tokens()
                yield row

        async with connect(sandbox, sandbox.refresh_token(on_rotate=store), quota=Quota(1_000)) as criteo:
            report = await criteo.marketing_solutions.upload_contact_list(segment_id, rows(), hash=None, batch_size=5)
    assert (report.valid, report.ok) == (40, True)
    assert set(token_calls(sandbox)) == {200}
    assert len(token_calls(sandbox)) == 5  # the first, and one after each end
    assert len(store.kept) == (0 if rotation == "never" else len(token_calls(sandbox)))


async def test_lost_reply_of_a_rotation(store: Store) -> None:
    """A server that keeps the old token until the new one is used lets a lost reply be asked for again."""
    async with Sandbox(rotation="when-used") as sandbox:
        sandbox.fail_next(lose_reply=True, on="oauth2")
        async with connect(sandbox, sandbox.refresh_token(on_rotate=store)) as criteo:
            await criteo.authenticate()
        async with connect(sandbox, login_with(sandbox, store.kept[-1])) as criteo:
            await criteo.authenticate()
    assert token_calls(sandbox) == [None, 200, 200]
    assert len(store.kept) == 1


async def test_lost_reply_of_a_strict_rotation_says_what_to_do() -> None:
    """Where the old token was dead with the lost answer, nothing but a new consent helps, and the error says so."""
    async with Sandbox(rotation="at-once") as sandbox:
        sandbox.fail_next(lose_reply=True, on="oauth2")
        async with connect(sandbox, sandbox.refresh_token()) as criteo:
            with pytest.raises(AuthenticationError, match="ask the user to consent again"):
                await criteo.authenticate()
    assert token_calls(sandbox) == [None, 400]


@pytest.mark.parametrize("end", ["revoke_consent", "change_role"])
async def test_consent_that_ended_ends_an_upload_at_once(end: str) -> None:
    """Several senders meet a consent that is gone: one refused token call, no repeat, and what to do."""
    async with Sandbox() as sandbox:
        segment_id = sandbox.add_contact_list()
        login = sandbox.refresh_token()
        getattr(sandbox, end)()
        async with connect(sandbox, login) as criteo:
            with pytest.raises(AuthenticationError, match=r"consent again \(AuthorizationCode.consent_url\)"):
                await criteo.marketing_solutions.upload_contact_list(segment_id, ROWS, hash=None, batch_size=1)
    assert [request.status for request in sandbox.requests] == [400]


async def test_revoked_consent_stops_a_running_upload() -> None:
    """Access tokens of a revoked consent get 403, which stops an upload without a repeat and says what to do."""
    async with Sandbox() as sandbox:
        segment_id = sandbox.add_contact_list()
        async with connect(sandbox, sandbox.refresh_token()) as criteo:
            await criteo.authenticate()
            sandbox.revoke_consent()
            with pytest.raises(PermissionDeniedError, match=r"consent again \(AuthorizationCode.consent_url\)"):
                await criteo.marketing_solutions.get_contact_list_statistics(segment_id)
    assert [request.status for request in sandbox.requests] == [200, 403]


@pytest.mark.parametrize(("accounts", "limit"), [(1, 10), (3, 30)])
async def test_client_keeps_to_the_quota_of_its_grant(accounts: int, limit: int) -> None:
    """A client that is given no quota takes that of its credentials, which the server agrees with."""
    async with Sandbox(accounts=accounts) as sandbox:
        segment_id = sandbox.add_contact_list()
        async with connect(sandbox, sandbox.refresh_token(), max_quota_wait=0) as criteo:
            await criteo.marketing_solutions.get_contact_list_statistics(segment_id)
            assert criteo.rate_limit is not None
            assert criteo.rate_limit.limit == limit


@pytest.mark.parametrize(
    ("build", "calls"),
    [
        (lambda sandbox: sandbox.credentials, 250),
        (lambda sandbox: sandbox.refresh_token(), 20),
        (lambda sandbox: sandbox.authorization_code(), 20),
    ],
)
async def test_dry_wait_shows_the_default_quota(build: Callable[[Sandbox], Any], calls: int) -> None:
    """Without a word from the server, exactly the calls of the grant go out at once, and the next one would wait."""
    async with Sandbox(accounts=2) as sandbox:
        login = build(sandbox)
        assert login.quota.calls == calls
    async with Sandbox(accounts=2, rate_limit=None) as sandbox:
        login, segment_id = build(sandbox), sandbox.add_contact_list()
        async with connect(sandbox, login, max_quota_wait=0) as criteo:
            read = criteo.marketing_solutions.get_contact_list_statistics
            answers = await asyncio.gather(*(read(segment_id) for _ in range(calls + 1)), return_exceptions=True)
    assert [type(answer).__name__ for answer in answers if isinstance(answer, Exception)] == ["QuotaWaitError"]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no SIGKILL")
@pytest.mark.parametrize("rotation", ["at-once", "when-used"])
async def test_killed_right_after_a_rotation(forking: Forking, tmp_path: Path, rotation: Any) -> None:
    """A process killed in the middle of an upload, right after a rotation, leaves a refresh token that logs in."""
    file = tmp_path / "token"
    async with Sandbox(rotation=rotation, rate_limit=None) as sandbox:
        segment_id = sandbox.add_contact_list()
        first = sandbox.refresh_token().refresh_token
        file.write_text(first)
        environment = os.environ | {
            "TOKEN_FILE": str(file),
            "SEGMENT_ID": segment_id,
            "CRITEO_BASE_URL": sandbox.url,
            "CRITEO_CLIENT_ID": sandbox.client_id,
            "CRITEO_CLIENT_SECRET": sandbox.client_secret,
        }
        forking.start(DOOMED, directory=tmp_path, variables=environment)
        await first_row_arrived(sandbox, segment_id)
        sandbox.expire_tokens()
        assert (await asyncio.to_thread(forking.ended)).returncode == -signal.SIGKILL
        arrived = len(sandbox.contact_list(segment_id))
        assert 0 < arrived < len(ROWS)
        async with connect(sandbox, login_with(sandbox, file.read_text().strip())) as criteo:
            await criteo.marketing_solutions.upload_contact_list(segment_id, ROWS, hash=None)
        assert sandbox.contact_list(segment_id).identifiers == set(ROWS)
        async with connect(sandbox, login_with(sandbox, first)) as criteo:
            with pytest.raises(AuthenticationError):
                await criteo.authenticate()


@pytest.mark.parametrize("moment", [0.0, 0.02, 0.04, 0.06, 0.1])
async def test_cancelled_upload_leaves_a_good_refresh_token(store: Store, moment: float) -> None:
    """Wherever a cancellation meets an upload, even while a rotation's answer is on its way, the login survives it."""
    async with Sandbox(latency=0.03, rate_limit=None) as sandbox:
        segment_id = sandbox.add_contact_list()
        login = sandbox.refresh_token(on_rotate=store)
        async with connect(sandbox, login) as criteo:
            upload = criteo.marketing_solutions.upload_contact_list
            task = asyncio.create_task(upload(segment_id, ROWS, hash=None, batch_size=1))
            await asyncio.sleep(moment)
            task.cancel()
            await asyncio.wait([task])
        token = store.kept[-1] if store.kept else login.refresh_token
        async with connect(sandbox, login_with(sandbox, token)) as criteo:
            await criteo.authenticate()


async def test_variables_log_a_user_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`from_env` logs in with the refresh token of a file, start after start, though each start replaces it."""
    file = tmp_path / "token"
    async with Sandbox() as sandbox:
        file.write_text(str(sandbox.refresh_token().refresh_token))
        monkeypatch.delenv("CRITEO_PROFILE", raising=False)
        monkeypatch.setenv("CRITEO_CLIENT_ID", sandbox.client_id)
        monkeypatch.setenv("CRITEO_CLIENT_SECRET", sandbox.client_secret)
        monkeypatch.setenv("CRITEO_REFRESH_TOKEN_FILE", str(file))
        monkeypatch.setenv("CRITEO_BASE_URL", sandbox.url)
        seen = {file.read_text()}
        for start in range(3):
            async with CriteoClient.from_env() as criteo:
                await criteo.authenticate()
            seen.add(file.read_text())
            assert len(seen) == start + 2
    assert token_calls(sandbox) == [200] * 3


async def test_profile_logs_a_user_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`from_env(profile=...)` logs in by a profile alone; an option goes before it."""
    folder = tmp_path / "criteo-audiences"
    folder.mkdir()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("APPDATA", str(tmp_path))
    async with Sandbox() as sandbox:
        (folder / "token").write_text(str(sandbox.refresh_token().refresh_token))
        (folder / "profiles.toml").write_text(
            f'[agency]\nclient_id = "{sandbox.client_id}"\nclient_secret = "{sandbox.client_secret}"\n'
            f'refresh_token_file = "token"\nbase_url = "{sandbox.url}"\napi_version = "2020-01"\n'
        )
        (folder / "profiles.toml").chmod(0o600)
        segment_id = sandbox.add_contact_list()
        async with CriteoClient.from_env(profile="agency", api_version="2027-01") as criteo:
            await criteo.marketing_solutions.get_contact_list_statistics(segment_id)
    assert [request.path.split("/")[1] for request in sandbox.requests] == ["oauth2", "2027-01"]


@pytest.mark.skipif(sys.platform == "win32", reason="processes take turns by flock")
async def test_processes_that_share_a_file_take_turns(tmp_path: Path) -> None:
    """Processes that log in at the same time by one file never use a refresh token that another one has replaced."""
    file = tmp_path / "token"
    async with Sandbox(rotation="at-once", latency=0.01) as sandbox:
        file.write_text(str(sandbox.refresh_token().refresh_token))
        mine = {name: value for name, value in os.environ.items() if not name.startswith("CRITEO_")}
        environment = mine | {
            "CRITEO_BASE_URL": sandbox.url,
            "CRITEO_CLIENT_ID": sandbox.client_id,
            "CRITEO_CLIENT_SECRET": sandbox.client_secret,
            "CRITEO_REFRESH_TOKEN_FILE": str(file),
        }
        processes = [
            await asyncio.create_subprocess_exec(sys.executable, "-c", BUSY, env=environment) for _ in range(2)
        ]
        assert [await process.wait() for process in processes] == [0, 0]
    assert token_calls(sandbox) == [200] * 20
    assert [path.name for path in tmp_path.iterdir()] == ["token"]
