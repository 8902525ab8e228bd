"""The library, given a generator of addresses; the csv module reads them from a file, as in the plain script."""

from typing import Any

from contenders.table_lane import upload_from
from exports import Source
from null_server import Server


async def upload(server: Server, source: Source, **options: Any) -> int:
    """Uploads what a generator yields; returns the calls made."""
    return await upload_from(server, source.emails(), **options)
