"""Nothing: shows what the machine itself adds to the gaps of a heartbeat."""

import asyncio

from exports import Source
from null_server import Server


async def upload(_server: Server, source: Source) -> int:
    """Does nothing for about as long as an upload takes."""
    await asyncio.sleep(source.rows / 400_000)
    return 0
