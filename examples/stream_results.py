"""Upload from an async source and see each batch when it is answered; leaving the block early cancels the rest."""

import asyncio
import sys
from collections.abc import AsyncIterator

from criteo_audiences import CriteoClient


async def customers() -> AsyncIterator[str]:
    """Stands for a database cursor or a queue: only the batches in flight are kept in memory."""
    for number in range(120_000):
        yield f"customer{number}@example.com"


async def main(segment_id: str) -> None:
    """Streams customers to a contact list."""
    async with CriteoClient.from_env() as criteo:
        lists = criteo.marketing_solutions
        async with lists.stream_contact_list(segment_id, customers(), hash="sha256") as results:
            async for batch in results:
                print(f"batch {batch.number}: {batch.valid:,} valid" if batch.ok else f"batch {batch.number} failed")
    print(results.report.to_dict())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
