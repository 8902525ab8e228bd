"""The library, given an async generator of addresses."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

from contenders.table_lane import upload_from
from exports import Source
from null_server import Server


async def upload(server: Server, source: Source, **options: Any) -> int:
    """Uploads what an async generator yields; returns the calls made."""
    return await upload_from(server, one_by_one(source.emails()), **options)


async def one_by_one(emails: Iterator[str]) -> AsyncIterator[str]:
    """Yields what a generator does."""
    for email in emails:
        yield email
