"""What one writes without the library: hashlib, json and aiohttp, four requests in flight; it validates nothing."""

import asyncio
import hashlib

import aiohttp

from exports import Source
from null_server import Server

BATCH = 50_000
IN_FLIGHT = 4


async def upload(server: Server, source: Source) -> int:
    """Uploads what the source yields; returns the calls made."""
    form = {
        "grant_type": "client_credentials",
        "client_id": server.client_id,
        "client_secret": server.client_secret,
    }
    async with aiohttp.ClientSession() as http, asyncio.TaskGroup() as group:
        async with http.post(f"{server.url}/oauth2/token", data=form) as answer:
            headers = {"Authorization": f"Bearer {(await answer.json())['access_token']}"}
        slots = asyncio.Semaphore(IN_FLIGHT)
        calls = 0

        async def send(batch: list[str]) -> None:
            attributes = {"operation": "add", "identifierType": "email", "identifiers": batch}
            body = {"data": {"type": "ContactlistAmendment", "attributes": attributes}}
            try:
                async with http.patch(server.contact_list, json=body, headers=headers) as answer:
                    answer.raise_for_status()
            finally:
                slots.release()

        async def begin(batch: list[str]) -> None:
            await slots.acquire()
            group.create_task(send(batch))
            await asyncio.sleep(0)  # lets it begin before the next batch is read

        batch: list[str] = []
        for email in source.emails():
            batch.append(hashlib.sha256(email.strip().lower().encode()).hexdigest())
            if len(batch) == BATCH:
                await begin(batch)
                batch, calls = [], calls + 1
        if batch:
            await begin(batch)
            calls += 1
    return calls
