"""How close an upload comes to the floor that the quota sets, against a server that enforces it.

Run it with `python benchmarks/quota.py`. Batches are tiny, so that the quota and nothing else is the limit, and its
window is short, so that forty of them take a minute and a half. The server runs in a process of its own and counts the
calls it refused. The floor of so many windows is all of them but the first: no client that is alone can be faster under
a sliding window, and only one that happens to begin at a window's end can be under a fixed one.
"""

import argparse
import asyncio
import math
import multiprocessing
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any, Literal, get_args

from criteo_audiences import ClientCredentials, CriteoClient, Quota, UploadReport
from criteo_audiences.sandbox import Sandbox

Window = Literal["sliding", "fixed"]
BATCH = 10
REFUSED = 429


def emails(calls: int) -> Iterator[str]:
    """Yields addresses for so many calls."""
    return (f"customer.{number}@example.com" for number in range(calls * BATCH))


async def serve(pipe: Connection, options: dict[str, Any]) -> None:
    """Runs a local Criteo until it is told to stop, then says how many calls it refused."""
    async with Sandbox(**options) as sandbox:
        pipe.send((sandbox.url, sandbox.client_id, sandbox.client_secret, sandbox.add_contact_list(name="crm")))
        await asyncio.to_thread(pipe.recv)
        pipe.send(sum(request.status == REFUSED for request in sandbox.requests))


def server(pipe: Connection, options: dict[str, Any]) -> None:
    """The body of the server's process."""
    asyncio.run(serve(pipe, options))


async def upload(pipe: Connection, chosen: argparse.Namespace) -> tuple[float, UploadReport]:
    """Uploads as many batches as the windows hold; returns the seconds that took, and the report."""
    url, client_id, client_secret, segment_id = await asyncio.to_thread(pipe.recv)
    credentials = ClientCredentials(client_id=client_id, client_secret=client_secret)
    async with CriteoClient(credentials, base_url=url, quota=Quota(chosen.calls, period=chosen.period)) as criteo:
        await criteo.authenticate()
        began = time.perf_counter()
        report = await criteo.marketing_solutions.upload_contact_list(
            segment_id,
            emails(chosen.calls * chosen.windows),
            hash="sha256",
            batch_size=BATCH,
            max_concurrency=chosen.concurrency,
        )
        return time.perf_counter() - began, report


def measure(window: Window, chosen: argparse.Namespace) -> None:
    """Runs one upload beside a server of its own and prints its figures."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    options = {"rate_limit": (chosen.calls, chosen.period), "window": window, "latency": chosen.latency}
    process = context.Process(target=server, args=(theirs, options))
    process.start()
    wall, report = asyncio.run(upload(ours, chosen))
    ours.send("stop")
    refused = ours.recv()
    process.join()
    report.raise_for_failures()
    floor = (math.ceil(report.batches / chosen.calls) - 1) * chosen.period
    figures = f"{report.calls:>8,} {refused:>5} {wall:>9.2f} {floor:>9.2f} {wall / floor:>9.4f} {report.waited:>10.2f}"
    print(f"{window:<10}{figures}", flush=True)


def main() -> None:
    """Prints a line for each kind of window."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=50, help="calls a window")
    parser.add_argument("--period", type=float, default=2.0, help="seconds of a window")
    parser.add_argument("--windows", type=int, default=40)
    parser.add_argument("--latency", type=float, default=0.02, help="seconds the server takes over a call")
    parser.add_argument("--concurrency", type=int, default=4)
    parser.add_argument("--window", choices=get_args(Window), action="append", help="both when left out")
    chosen = parser.parse_args()
    print(
        f"{chosen.windows} windows of {chosen.calls} calls in {chosen.period:g} s, latency "
        f"{chosen.latency * 1e3:g} ms, {chosen.concurrency} in flight"
    )
    print(f"{'window':<10}{'calls':>8} {'429s':>5} {'wall s':>9} {'floor s':>9} {'ratio':>9} {'waited s':>10}")
    for window in chosen.window or get_args(Window):
        measure(window, chosen)


if __name__ == "__main__":
    main()
