"""An agency that uploads for many consented accounts: one quota per account, and tokens in the agency's own store."""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from criteo_audiences import CriteoClient, RefreshToken, UploadReport
from criteo_audiences.integrations.redis import RedisQuota


class TokenStore(Protocol):
    """Where the agency keeps refresh tokens: a vault, or a table with one row per account."""

    async def read(self, account: str) -> str:
        """Returns an account's refresh token."""

    async def write(self, account: str, token: str) -> None:
        """Replaces an account's refresh token, and returns once it is stored durably."""


async def upload_for(account: str, segment_id: str, source: Path, store: TokenStore) -> UploadReport:
    """Uploads an account's file with its own consent; Criteo allows ten calls per minute for it, on all machines."""

    async def keep(token: str) -> None:
        await store.write(account, token)

    login = RefreshToken(
        client_id=os.environ["CRITEO_CLIENT_ID"],
        client_secret=os.environ["CRITEO_CLIENT_SECRET"],
        refresh_token=await store.read(account),
        on_rotate=keep,
    )
    url, base_url = os.environ["CRITEO_QUOTA_URL"], os.environ.get("CRITEO_BASE_URL", "https://api.criteo.com")
    async with (
        RedisQuota(url, key=f"account-{account}", calls=login.quota.calls) as quota,
        CriteoClient(login, base_url=base_url, rate_limiter=quota) as criteo,
    ):
        return await criteo.marketing_solutions.upload_contact_list(segment_id, source, hash="sha256")


async def upload_all(lists: Mapping[str, tuple[str, Path]], store: TokenStore) -> dict[str, UploadReport]:
    """Uploads for all accounts at once: no account waits for the quota of another."""
    async with asyncio.TaskGroup() as group:
        running = {
            account: group.create_task(upload_for(account, segment_id, source, store))
            for account, (segment_id, source) in lists.items()
        }
    return {account: task.result() for account, task in running.items()}
