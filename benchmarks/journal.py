"""Uploads the same file with and without a journal, in turn, to a server that does next to nothing: what it costs.

Run it with `make bench-journal`, or `python benchmarks/journal.py --rows 200000 --runs 3`. Two million rows make 40
batches. What differs by the machine's mood differs within a round as well, so the ratio is the median of the rounds'.
"""

import argparse
import statistics
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from bars import Bar, conclude
from exports import Export, write_export
from measuring import CALLS, CPU, WALL, Figures, measured, medians
from null_server import Server, running

LANES = {"table lane": "table_lane", "object lane": "object_lane"}
MOST = 1.02
Rounds = list[tuple[Figures, Figures]]


def rounds(url: str, contender: str, export: Export, directory: Path, runs: int) -> Rounds:
    """Returns the figures without and with a journal, round by round; who goes first changes."""
    numbers = count(1)
    taken: Rounds = []
    for number in range(runs):
        pair: dict[bool, Figures] = {}
        for keeps in (False, True) if number % 2 else (True, False):
            options = {"journal": directory / f"{contender}-{number}.journal"} if keeps else {}
            server = Server(url, segment_id=str(next(numbers)))
            pair[keeps] = measured(contender, server, export, dedupe=False, **options)
        taken.append((pair[False], pair[True]))
    return taken


def bars(taken: dict[str, Rounds]) -> Iterator[Bar]:
    """Yields what a journal may cost."""
    for lane, pairs in taken.items():
        ratio = statistics.median(kept[WALL] / bare[WALL] for bare, kept in pairs)
        yield Bar(f"{lane}, wall with a journal / without", ratio, most=MOST)


def main() -> None:
    """Prints the figures and whether the bar holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--check", action="store_true", help="exit with 1 when a bar does not hold")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, running() as url:
        place = Path(directory)
        export = write_export(place, chosen.rows)
        taken = {lane: rounds(url, module, export, place, chosen.runs) for lane, module in LANES.items()}
    print(f"{'':14}{'without':>24}{'with a journal':>24}")
    for lane, pairs in taken.items():
        bare, kept = (medians(column) for column in zip(*pairs, strict=True))
        for figure in (WALL, CPU, CALLS):
            print(f"{lane:14}{figure:>12.12}{bare[figure]:>12,.2f}{kept[figure]:>24,.2f}")
    conclude(bars(taken), check=chosen.check)


if __name__ == "__main__":
    main()
