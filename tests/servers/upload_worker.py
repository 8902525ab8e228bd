"""An uploader process of the tests: one upload of tiny batches on a shared quota; it prints when it began and ended."""

import argparse
import asyncio
import json
import time

from criteo_audiences import ClientCredentials, CriteoClient
from criteo_audiences.integrations.redis import RedisQuota

BATCH = 10


async def upload(chosen: argparse.Namespace) -> tuple[float, float, bool]:
    """Uploads so many batches."""
    quota = RedisQuota(chosen.redis, key="test", calls=chosen.calls, period=chosen.period)
    credentials = ClientCredentials(client_id=chosen.client_id, client_secret=chosen.client_secret)
    async with quota, CriteoClient(credentials, base_url=chosen.server, rate_limiter=quota) as criteo:
        began = time.time()
        report = await criteo.marketing_solutions.upload_contact_list(
            chosen.segment,
            [f"{number}@{chosen.segment}.example.com" for number in range(chosen.batches * BATCH)],
            hash=None,
            batch_size=BATCH,
        )
        return began, time.time(), report.ok and report.valid == chosen.batches * BATCH


def main() -> None:
    """Reads the arguments, uploads and prints."""
    parser = argparse.ArgumentParser()
    for name in ("redis", "server", "client-id", "client-secret", "segment"):
        parser.add_argument(f"--{name}", required=True)
    for name, kind in (("calls", int), ("period", float), ("batches", int)):
        parser.add_argument(f"--{name}", type=kind, required=True)
    print(json.dumps(asyncio.run(upload(parser.parse_args()))))


if __name__ == "__main__":
    main()
