"""The first script of the README; run `criteo-audiences sandbox --segment 812345` and export what it prints first."""

import asyncio
from pathlib import Path

from criteo_audiences import CriteoClient
from criteo_audiences.progress import bar


async def main(segment_id: str) -> None:
    """Adds the customers of the example's export to a list, and prints where every row went."""
    async with CriteoClient.from_env() as criteo:
        upload = criteo.marketing_solutions.upload_contact_list
        with bar() as show:
            report = await upload(segment_id, Path("examples/crm_export.csv.gz"), hash="sha256", on_progress=show)
    print(report)  # a notebook shows a table; report.to_dict() is for JSON
    report.raise_for_failures()


asyncio.run(main("812345"))
