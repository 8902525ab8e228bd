"""Mirrors a large file of which few rows have changed: time next to a plain upload's preparation, memory, size, calls.

Run it with `make bench-mirror`, or `python benchmarks/mirror.py --rows 20000000`. No server takes part: what is
measured is what comes before the calls, and what is written after them.
"""

import argparse
import asyncio
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

from bars import Bar, conclude
from criteo_audiences.mirrors import MirrorSettings
from criteo_audiences.mirrors.mirror import mirror
from criteo_audiences.models import ContactListOperation
from criteo_audiences.uploads import Amendment, Destination
from criteo_audiences.uploads.options import Options
from criteo_audiences.uploads.slots import Slots
from criteo_audiences.uploads.uploader import upload
from measuring import MEGABYTE

THERE = Destination(service="marketing-solutions", host="127.0.0.1", segment_id="1")
FEW = 1_000
"""Of so many rows one leaves, and another one comes."""


async def accept(amendment: Amendment) -> ContactListOperation:
    """Accepts a batch as a whole."""
    return ContactListOperation(valid=amendment.batch.count, invalid=0)


async def prepared(path: Path) -> dict[str, float]:
    """Prepares an upload of all rows, and sends it nowhere; returns its calls."""
    report = await upload(accept, THERE, path, Options(hash="sha256"))
    return {"calls": report.calls or report.batches}


async def mirrored(path: Path, snapshot: Path, **options: Any) -> dict[str, float]:
    """Mirrors a file; returns the calls, and the seconds until the first of them."""
    began, first = time.perf_counter(), list[float]()

    async def amend(amendment: Amendment) -> ContactListOperation:
        first.append(time.perf_counter() - began)
        return await accept(amendment)

    settings = MirrorSettings.of({"hash": "sha256", "snapshot": snapshot, "max_removals": 1.0, **options})
    report = await mirror(amend, THERE, path, settings, None, lambda _: 0.0, Slots())
    report.raise_for_failures()
    return {"calls": len(first), "first call": min(first, default=0.0), "changed": report.added + report.removed}


def measured(main: Any, *arguments: Any, **options: Any) -> dict[str, float]:
    """Runs a coroutine function in a process of its own; adds the seconds it took and the most memory it ever had."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measure, (main, arguments, options))


def _measure(main: Any, arguments: Any, options: Any) -> dict[str, float]:
    began = time.perf_counter()
    running: Coroutine[Any, Any, dict[str, float]] = main(*arguments, **options)
    figures = asyncio.run(running)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return figures | {"seconds": time.perf_counter() - began, "memory": peak / MEGABYTE}


def write(path: Path, first: int, rows: int) -> Path:
    """Writes a file of addresses by number."""
    with path.open("w", encoding="utf-8") as file:
        file.write("email\n")
        for start in range(first, first + rows, 100_000):
            stop = min(start + 100_000, first + rows)
            file.writelines(f"customer{number}@example{number % 1_000}.com\n" for number in range(start, stop))
    return path


def bars(rows: int, directory: Path) -> Iterator[Bar]:
    """Measures, and yields what a mirror should keep to."""
    snapshot = directory / "crm.snapshot"
    before = write(directory / "before.csv", 0, rows)
    first = measured(mirrored, before, snapshot, baseline="assume-current")
    print(f"first, assume-current: {first}", flush=True)
    before.unlink()
    after = write(directory / "after.csv", rows // FEW, rows)
    plain = measured(prepared, after)
    print(f"plain upload's preparation: {plain}", flush=True)
    changed = measured(mirrored, after, snapshot)
    print(f"mirror of 0.1 % changed: {changed}", flush=True)
    yield Bar("calls", changed["calls"], most=max(2.0, 2 * (rows // FEW) / 50_000))
    yield Bar("seconds / plain upload's preparation", changed["seconds"] / plain["seconds"], most=1.5)
    yield Bar("memory of the mirror, MB", changed["memory"], most=1_000)
    yield Bar("snapshot, bytes an identifier", snapshot.stat().st_size / rows, most=45)
    after.unlink()
    other = write(directory / "other.csv", 2 * rows, rows)
    turnover = measured(mirrored, other, snapshot)
    print(f"mirror of a file of others: {turnover}", flush=True)
    yield Bar("memory of a mirror that changes all, MB", turnover["memory"], most=1_000)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--check", action="store_true", help="exit with 1 when a bar does not hold")
    parsed = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="criteo-audiences-bench-") as place:
        os.environ["XDG_STATE_HOME"] = place
        conclude(bars(parsed.rows, Path(place)), check=parsed.check)
