"""Uploads a million e-mails to a local Criteo: event-loop gaps, memory, calls; beside a plain script's.

Run it with `make bench`, or `python benchmarks/upload.py --rows 200000 --runs 1`. The server runs in a process of its
own, and so does each measured upload, so that neither's work shows in the other's figures. Printed are medians of
several runs, and each figure also as a ratio to ours in the same run.
"""

import argparse
import asyncio
import hashlib
import json
import multiprocessing
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import aiohttp

from criteo_audiences import ClientCredentials, CriteoClient

BATCH = 50_000
IN_FLIGHT = 4
MEBIBYTE = 1024 * 1024
Figures = dict[str, float]
Server = dict[str, str]


async def emails(rows: int) -> AsyncIterator[str]:
    """Yields addresses as an export spells them; nothing is kept."""
    for number in range(rows):
        yield f" Customer.{number}@Mail{number % 97}.Example.com"


async def upload_with_library(server: Server, rows: int) -> int:
    """Uploads through `upload_contact_list`; returns the calls made."""
    credentials = ClientCredentials(client_id=server["client_id"], client_secret=server["client_secret"])
    async with CriteoClient(credentials, base_url=server["url"]) as criteo:
        report = await criteo.marketing_solutions.upload_contact_list(
            server["segment_id"], emails(rows), hash="sha256", max_concurrency=IN_FLIGHT
        )
    report.raise_for_failures()
    return report.calls


async def upload_with_plain_script(server: Server, rows: int) -> int:
    """Does the same with hashlib, json and aiohttp, and validates nothing; returns the calls made."""
    form = {
        "grant_type": "client_credentials",
        "client_id": server["client_id"],
        "client_secret": server["client_secret"],
    }
    url = f"{server['url']}/2026-07/marketing-solutions/audience-segments/{server['segment_id']}/contact-list"
    async with aiohttp.ClientSession() as http, asyncio.TaskGroup() as group:
        async with http.post(f"{server['url']}/oauth2/token", data=form) as answer:
            headers = {"Authorization": f"Bearer {(await answer.json())['access_token']}"}
        slots = asyncio.Semaphore(IN_FLIGHT)
        calls = 0

        async def send(batch: list[str]) -> None:
            attributes = {"operation": "add", "identifierType": "email", "identifiers": batch}
            body = {"data": {"type": "ContactlistAmendment", "attributes": attributes}}
            try:
                async with http.patch(url, json=body, headers=headers) as answer:
                    answer.raise_for_status()
            finally:
                slots.release()

        batch: list[str] = []
        async for email in emails(rows):
            batch.append(hashlib.sha256(email.strip().lower().encode()).hexdigest())
            if len(batch) == BATCH:
                await slots.acquire()
                group.create_task(send(batch))
                batch, calls = [], calls + 1
        if batch:
            await slots.acquire()
            group.create_task(send(batch))
            calls += 1
    return calls


async def heartbeat(gaps: list[float]) -> None:
    """Asks to be woken every millisecond and notes how much later it was."""
    while True:
        asked = time.perf_counter()
        await asyncio.sleep(0.001)
        gaps.append(time.perf_counter() - asked - 0.001)


async def measured(upload: Callable[[Server, int], Coroutine[Any, Any, int]], server: Server, rows: int) -> Figures:
    """Runs an upload beside a heartbeat."""
    await upload(server, 1_000)  # what an idle client has loaded and opened
    idle = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    gaps: list[float] = []
    beating = asyncio.create_task(heartbeat(gaps))
    began, cpu = time.perf_counter(), time.process_time()
    calls = await upload(server, rows)
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    beating.cancel()
    gaps.sort()
    return {
        "calls": calls,
        "wall s": wall,
        "CPU µs/identifier": cpu / rows * 1e6,
        "heartbeat p99 ms": gaps[int(len(gaps) * 0.99)] * 1e3,
        "heartbeat max ms": gaps[-1] * 1e3,
        "peak MB above idle": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - idle) / MEBIBYTE,
    }


async def idle(_server: Server, rows: int) -> int:
    """Does nothing for about as long as an upload takes: shows what the machine itself adds to the gaps."""
    await asyncio.sleep(rows / 400_000)
    return 0


UPLOADS = {"criteo_audiences": upload_with_library, "plain script": upload_with_plain_script, "idle loop": idle}


def run(name: str, server: Server, rows: int, results: "multiprocessing.Queue[Figures]") -> None:
    """Measures one upload; the body of a process."""
    results.put(asyncio.run(measured(UPLOADS[name], server, rows)))


def in_own_process(name: str, server: Server, rows: int) -> Figures:
    """Measures one upload in a process that has done nothing else."""
    context = multiprocessing.get_context("spawn")
    results: multiprocessing.Queue[Figures] = context.Queue()
    process = context.Process(target=run, args=(name, server, rows, results))
    process.start()
    figures = results.get(timeout=600)
    process.join()
    return figures


def start_server() -> tuple[subprocess.Popen[str], Server]:
    """Starts a local Criteo without a quota, so that nothing but the uploads themselves is measured."""
    command = [sys.executable, "-m", "criteo_audiences", "sandbox", "--port", "0", "--calls", "0", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    lines = []
    while not lines or lines[-1].strip() != "}":
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            sys.exit("the server did not start")
        lines.append(line)
    return process, json.loads("".join(lines))


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=5)
    chosen = parser.parse_args()
    process, server = start_server()
    try:
        taken = {name: [in_own_process(name, server, chosen.rows) for _ in range(chosen.runs)] for name in UPLOADS}
        longer = in_own_process("criteo_audiences", server, chosen.rows * 2)
    finally:
        process.terminate()
        process.wait()
    print(f"{chosen.rows:,} e-mails, SHA-256, {IN_FLIGHT} in flight, medians of {chosen.runs}")
    print_table(taken)
    print(f"peak above idle at {chosen.rows * 2:,} e-mails: {longer['peak MB above idle']:.1f} MB")


def print_table(taken: dict[str, list[Figures]]) -> None:
    """Prints the medians, the plain script's also as a ratio to ours, and the worst gap of all runs."""
    ours, plain, still = (
        {figure: statistics.median(run[figure] for run in runs) for figure in runs[0]} for runs in taken.values()
    )
    print(f"{'':22}{'criteo_audiences':>18}{'plain script':>16}{'plain / ours':>14}{'idle loop':>12}")
    for figure, value in ours.items():
        print(f"{figure:22}{value:18.2f}{plain[figure]:16.2f}{plain[figure] / value:14.2f}{still[figure]:12.2f}")
    worst = [max(run["heartbeat max ms"] for run in runs) for runs in taken.values()]
    print(f"{'worst gap, ms':22}{worst[0]:18.2f}{worst[1]:16.2f}{worst[1] / worst[0]:14.2f}{worst[2]:12.2f}")


if __name__ == "__main__":
    main()
