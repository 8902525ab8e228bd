"""How far the time left is off at 20, 50 and 80 % of uploads that are bound by different things.

Run it with the extra `test` installed: `python benchmarks/time_left.py`.
"""

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

from attrs import frozen

from criteo_audiences import CriteoClient, Progress, Quota
from criteo_audiences.sandbox import Sandbox

MOST_OFF = 2.0
AT = (0.2, 0.5, 0.8)


@frozen(kw_only=True)
class Case:
    """An upload, and what it is bound by.

    Attributes:
        source: returns it, given a directory to write a file into.
        quota: calls in so many seconds; `None` for as many as the network takes.
        latency: seconds added to every call.
        options: of the upload.
    """

    source: Callable[[Path], Any]
    quota: tuple[int, float] | None = None
    latency: float = 0.0
    options: dict[str, Any]


class SlowRows:
    """Rows of known number that take their time."""

    def __init__(self, number: int, pause: float) -> None:
        self._number = number
        self._pause = pause

    def __len__(self) -> int:
        return self._number

    async def __aiter__(self) -> AsyncIterator[str]:
        for at, row in enumerate(emails(self._number)):
            if at % 100 == 0:
                await asyncio.sleep(self._pause)
            yield row


def emails(number: int) -> Iterator[str]:
    """Yields so many addresses."""
    return (f"customer.{at}@example.com" for at in range(number))


def listed(number: int) -> Callable[[Path], Any]:
    """Returns what makes a list."""
    return lambda _: list(emails(number))


def written(rows: int, distinct: int) -> Callable[[Path], Any]:
    """Returns what writes a file in which addresses occur several times."""

    def write(directory: Path) -> Path:
        path = directory / "crm.csv"
        with path.open("w", encoding="utf-8") as file:
            file.write("email\n")
            file.writelines(f"customer.{at % distinct}@example.com\n" for at in range(rows))
        return path

    return write


CRITEO = (250, 60.0)  # which 240 batches do not reach
PLAIN = {"hash": None, "batch_size": 500}
CASES = {
    "quota, list": Case(source=listed(25_000), quota=(10, 3.0), options=PLAIN),
    "quota, de-duplicated": Case(source=written(60_000, 30_000), quota=(20, 5.0), options=PLAIN),
    "network, list": Case(source=listed(120_000), latency=1.0, quota=CRITEO, options=PLAIN),
    "network, de-duplicated": Case(source=written(240_000, 120_000), latency=1.0, quota=CRITEO, options=PLAIN),
    "network, file": Case(
        source=written(120_000, 120_000), latency=1.0, quota=CRITEO, options={**PLAIN, "dedupe": False}
    ),
    "source, rows that come slowly": Case(source=lambda _: SlowRows(30_000, 0.03), options=PLAIN),
    "source, hashed": Case(source=listed(1_500_000), options={"hash": "sha256_of_md5"}),
    "de-duplicated, hashed": Case(source=written(5_000_000, 3_000_000), options={"hash": "sha256"}),
}


async def measured(case: Case, directory: Path) -> tuple[float, list[Progress]]:
    """Returns the seconds that an upload took, and its progress."""
    source = case.source(directory)
    seen: list[Progress] = []
    async with Sandbox(latency=case.latency, rate_limit=case.quota) as sandbox:
        quota = Quota(*case.quota[:1], period=case.quota[1]) if case.quota else Quota(1_000_000, period=1.0)
        async with CriteoClient(sandbox.credentials, base_url=sandbox.url, quota=quota) as criteo:
            upload = criteo.marketing_solutions.upload_contact_list
            report = await upload(sandbox.add_contact_list(), source, on_progress=seen.append, **case.options)
    return report.elapsed, seen


def off_at(share: float, took: float, seen: list[Progress]) -> float:
    """Returns the factor by which the estimate was off when that share of the time had gone by."""
    progress = next(each for each in seen if each.elapsed >= share * took)
    actual = took - progress.elapsed
    if not progress.remaining:
        return float("inf")
    return max(progress.remaining / actual, actual / progress.remaining)


def main() -> int:
    """Prints a line for each upload; returns 1 when one is further off than it may be."""
    worst = 0.0
    for name, case in CASES.items():
        if len(sys.argv) > 1 and sys.argv[1] not in name:
            continue
        with tempfile.TemporaryDirectory() as directory:
            took, seen = asyncio.run(measured(case, Path(directory)))
        found = [off_at(share, took, seen) for share in AT]
        worst = max(worst, *found)
        print(f"{name:<30} {took:5.1f} s  off by", "  ".join(f"{off:.2f}" for off in found), flush=True)
    print(f"worst: {worst:.2f}, may be {MOST_OFF:g}")
    return int(worst > MOST_OFF)


if __name__ == "__main__":
    sys.exit(main())
