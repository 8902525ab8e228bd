"""The library, given a file."""

import contextlib
from typing import Any

import anyio._backends._asyncio  # noqa: F401 - loaded by whoever has awaited anything of anyio

import criteo_audiences.marketing_solutions
from criteo_audiences import ClientCredentials, CriteoClient, Quota
from exports import Export
from null_server import Server

with contextlib.suppress(ImportError):  # so has one that has read a table before; the value lane needs none of it
    import duckdb  # noqa: F401
    import numpy as np  # noqa: F401

    import criteo_audiences.uploads.table_lane
    import criteo_audiences.uploads.uploader  # noqa: F401

NO_QUOTA = Quota(1_000_000)


async def upload(server: Server, source: Export, **options: Any) -> int:
    """Uploads a file; returns the calls made."""
    return await upload_from(server, source.path, **options)


async def upload_from(server: Server, rows: Any, **options: Any) -> int:
    """Uploads any source with the library's defaults; returns the calls made."""
    credentials = ClientCredentials(client_id=server.client_id, client_secret=server.client_secret)
    async with CriteoClient(credentials, base_url=server.url, quota=NO_QUOTA) as criteo:
        upload_contact_list = criteo.marketing_solutions.upload_contact_list
        report = await upload_contact_list(server.segment_id, rows, hash="sha256", **options)
    report.raise_for_failures()
    return report.calls
