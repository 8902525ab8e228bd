"""Uploads ever larger files with the table lane: memory and CPU a row should not grow with the file.

Run it with `make bench-scaling`, or `python benchmarks/scaling.py --rows 100000 500000`. The last and largest file is
then uploaded once more with duplicates looked for, in as little memory as `--memory-limit` allows the engine, and the
directory it spills to is watched. `--only-deduplicated` leaves out all but that, for very large files.
"""

import argparse
import math
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from unittest.mock import patch

from bars import Bar, conclude
from exports import Export, write_export
from measuring import CALLS, CPU, MEGABYTE, MEMORY, WALL, Figures, in_own_process, measured, medians
from null_server import Server, running

BATCH = 50_000
IN_FLIGHT = 4
REFERENCE = 2_000_000
CALLS_A_MINUTE = 250
MEMORY_LIMIT = "512MB"
FIGURES = (WALL, CPU, MEMORY, CALLS)
EXPECTED = "calls expected"
SPILLED = "largest spill, MB"


def sized(server: Server, directory: Path, rows: int, runs: int) -> Figures:
    """Uploads a file of so many rows, without looking for duplicates; returns medians."""
    with export_of(directory, rows) as export:
        options = {"dedupe": False, "max_concurrency": IN_FLIGHT}
        return medians([measured("table_lane", server, export, **options) for _ in range(runs)])


def deduplicated(server: Server, directory: Path, rows: int, memory_limit: str) -> Figures:
    """Uploads a file with duplicates looked for in little memory; returns its figures and how much was spilled."""
    spill = directory / "spill"
    spill.mkdir()
    options = {"dedupe": True, "max_concurrency": IN_FLIGHT, "memory_limit": memory_limit}
    with export_of(directory, rows) as export, patch.dict("os.environ", TMPDIR=str(spill)):
        with in_own_process("table_lane", server, export, **options) as figures:
            largest = 0
            while not figures.done():
                largest = max(largest, size(spill))
                time.sleep(0.05)
        return figures.result() | {SPILLED: largest / MEGABYTE, EXPECTED: math.ceil(export.distinct / BATCH)}


@contextmanager
def export_of(directory: Path, rows: int) -> Iterator[Export]:
    """Writes an export and takes it away again."""
    export = write_export(directory, rows)
    try:
        yield export
    finally:
        export.path.unlink()


def size(directory: Path) -> int:
    """Returns the bytes that the files below a directory take, while others make and remove them."""
    total = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            with suppress(FileNotFoundError):
                total += Path(folder, name).stat().st_blocks * 512
    return total


def sizes_bars(taken: dict[int, Figures]) -> Iterator[Bar]:
    """Yields what the table lane should keep to, however large the file."""
    largest = max(taken)
    reference = REFERENCE if REFERENCE in taken else min(taken)
    for rows, figures in taken.items():
        yield Bar(f"{rows:,} rows, {MEMORY}", figures[MEMORY], most=250)
    for figure in MEMORY, CPU:
        ratio = taken[largest][figure] / (taken[reference][figure] or 1)
        yield Bar(f"{figure}, {largest:,} rows / {reference:,} rows", ratio, most=1.5)


def spilling_bars(spilling: Figures, memory_limit: str) -> Iterator[Bar]:
    """Yields what it should keep to where it looks for duplicates."""
    if memory_limit == MEMORY_LIMIT:
        yield Bar(f"deduplicated, {MEMORY}", spilling[MEMORY], most=700)
    yield Bar(f"deduplicated, {SPILLED}", spilling[SPILLED], least=1)
    yield Bar("deduplicated, calls", spilling[CALLS], least=spilling[EXPECTED], most=spilling[EXPECTED])


def print_row(name: str, figures: Figures) -> None:
    """Prints one line of the table as soon as it is known."""
    print(f"{name:>24}" + "".join(f"{figures[column]:>28,.2f}" for column in FIGURES), flush=True)


def main() -> None:
    """Prints a line for each size, and the bars."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sizes = [500_000, 1_000_000, 2_000_000, 5_000_000, 10_000_000, 20_000_000]
    parser.add_argument("--rows", type=int, nargs="+", default=sizes)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--memory-limit", default=MEMORY_LIMIT)
    parser.add_argument("--only-deduplicated", action="store_true", help="the largest file, with duplicates looked for")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a bar does not hold")
    chosen = parser.parse_args()
    print(f"{'rows':>24}" + "".join(f"{figure:>28}" for figure in FIGURES))
    taken: dict[int, Figures] = {}
    with tempfile.TemporaryDirectory() as name, running() as url:
        server, directory = Server(url), Path(name)
        for rows in () if chosen.only_deduplicated else sorted(chosen.rows):
            taken[rows] = sized(server, directory, rows, chosen.runs)
            print_row(f"{rows:,}", taken[rows])
        largest = max(chosen.rows)
        spilling = deduplicated(server, directory, largest, chosen.memory_limit)
    print_row(f"{largest:,} deduplicated", spilling)
    windows = math.ceil(spilling[CALLS] / CALLS_A_MINUTE)
    print(f"{spilling[SPILLED]:,.0f} MB on disk; {CALLS_A_MINUTE} calls a minute take {windows - 1} minutes at least")
    bars = [*(sizes_bars(taken) if taken else ()), *spilling_bars(spilling, chosen.memory_limit)]
    conclude(bars, check=chosen.check)


if __name__ == "__main__":
    main()
