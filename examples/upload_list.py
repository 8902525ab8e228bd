"""Upload a list with eight lines of `await`; run `criteo-audiences sandbox` first and export what it prints."""

import asyncio
import sys

from criteo_audiences import CriteoClient


async def main(segment_id: str) -> None:
    """Adds three customers to a contact list and shows the report."""
    async with CriteoClient.from_env() as criteo:
        report = await criteo.marketing_solutions.upload_contact_list(
            segment_id,
            ["Anna.Kowalska@Example.com ", "mailto:li.wei@example.org", "not an address"],
            hash="sha256",
        )
    print(report.to_dict())
    report.raise_for_failures()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
