"""`examples/agency.py`: accounts that have consented, with one quota each and tokens in an async store."""

import asyncio
import importlib.util
from pathlib import Path

import pytest
from attrs import define, field
from redis import Redis

from criteo_audiences.sandbox import Sandbox
from tests.servers.redis_process import RedisProcess

EXAMPLE = Path(__file__).parents[2] / "examples" / "agency.py"


@define
class Store:
    """Tokens by account, behind a network as slow as a vault's."""

    tokens: dict[str, str]
    written: list[str] = field(factory=list)

    async def read(self, account: str) -> str:
        """Returns a token."""
        await asyncio.sleep(0.01)
        return self.tokens[account]

    async def write(self, account: str, token: str) -> None:
        """Replaces a token."""
        await asyncio.sleep(0.01)
        self.tokens[account] = token
        self.written.append(account)


async def test_accounts_have_a_quota_and_a_token_each(
    redis: RedisProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every account's upload is complete, its rotated token is stored, and its calls count under its own key."""
    specification = importlib.util.spec_from_file_location("agency", EXAMPLE)
    assert specification is not None
    assert specification.loader is not None
    agency = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(agency)
    accounts = [str(number) for number in range(5)]
    async with Sandbox(accounts=5) as sandbox:
        monkeypatch.setenv("CRITEO_CLIENT_ID", sandbox.client_id)
        monkeypatch.setenv("CRITEO_CLIENT_SECRET", sandbox.client_secret)
        monkeypatch.setenv("CRITEO_BASE_URL", sandbox.url)
        monkeypatch.setenv("CRITEO_QUOTA_URL", redis.url)
        store, lists = Store({account: sandbox.refresh_token().refresh_token or "" for account in accounts}), {}
        for account in accounts:
            source = tmp_path / f"{account}.csv"
            source.write_text(f"email\n{account}@example.com\n")
            lists[account] = (sandbox.add_contact_list(), source)
        before = dict(store.tokens)
        reports = await agency.upload_all(lists, store)
    assert all(report.ok and report.valid == 1 for report in reports.values())
    assert sorted(store.written) == accounts
    assert not set(store.tokens.values()) & set(before.values())
    with Redis.from_url(redis.url) as connection:
        assert {key.decode() for key in connection.keys("*:state")} == {
            f"criteo:quota:{{account-{account}}}:state" for account in accounts
        }
