"""Uploads the same file with and without a journal, in turn, to a server that does next to nothing: what it costs.

Run it with `make bench-journal`, or `python benchmarks/journal.py --rows 200000 --runs 3`. Two million rows make 40
batches. A virtual machine is slowed by its neighbors for seconds at a time, by more than a journal costs. So an upload
is cut into stretches of five batches, and a stretch counts with the shortest time that it took in any round.
"""

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from itertools import count, pairwise
from pathlib import Path

from attrs import frozen

from bars import Bar, conclude
from exports import Export, write_export
from measuring import BEGAN, CALLS, CPU, WALL, Figures, measured, medians
from null_server import Server, running

LANES = {"table lane": "table_lane", "value lane": "value_lane"}
STRETCH = 5
MOST = 1.02
AT_BEST = "wall at best, s"


@frozen
class Run:
    """One upload.

    Attributes:
        figures: what was measured of it.
        stretches: seconds of every five batches; the first has what came before, the last what came after.
    """

    figures: Figures
    stretches: Sequence[float]


Runs = dict[bool, list[Run]]


def run(contender: str, server: Server, export: Export, **options: Path) -> Run:
    """Uploads once, in a process of its own."""
    figures = measured(contender, server, export, dedupe=False, **options)
    between = server.arrived().moments[STRETCH:-1:STRETCH]
    cuts = [figures[BEGAN], *between, figures[BEGAN] + figures[WALL]]
    return Run(figures, [end - begin for begin, end in pairwise(cuts)])


def rounds(servers: Iterator[Server], contender: str, export: Export, directory: Path, number_of: int) -> Runs:
    """Returns the runs without and with a journal; who goes first changes from round to round."""
    runs: Runs = {False: [], True: []}
    for number in range(number_of):
        for keeps in (False, True) if number % 2 else (True, False):
            options = {"journal": directory / f"{contender}-{number}.journal"} if keeps else {}
            runs[keeps].append(run(contender, next(servers), export, **options))
    return runs


def at_best(runs: Sequence[Run]) -> float:
    """Returns the seconds of an upload that has each stretch from the run that was fastest there."""
    return sum(map(min, zip(*(each.stretches for each in runs), strict=True)))


def summary(runs: Sequence[Run]) -> Figures:
    """Returns the medians, and the time at best."""
    return medians([each.figures for each in runs]) | {AT_BEST: at_best(runs)}


def bars(taken: dict[str, Runs]) -> Iterator[Bar]:
    """Yields what a journal may cost."""
    for lane, runs in taken.items():
        yield Bar(f"{lane}, {AT_BEST}, with a journal / without", at_best(runs[True]) / at_best(runs[False]), most=MOST)


def main() -> None:
    """Prints the figures and whether the bar holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--runs", type=int, default=21)
    parser.add_argument("--check", action="store_true", help="exit with 1 when a bar does not hold")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, running() as url:
        place = Path(directory)
        export = write_export(place, chosen.rows)
        servers = (Server(url, segment_id=str(number)) for number in count(1))
        taken = {lane: rounds(servers, module, export, place, chosen.runs) for lane, module in LANES.items()}
    print(f"{'':30}{'without':>16}{'with a journal':>16}")
    for lane, runs in taken.items():
        bare, kept = summary(runs[False]), summary(runs[True])
        for figure in (AT_BEST, WALL, CPU, CALLS):
            print(f"{lane:12}{figure:18}{bare[figure]:16,.2f}{kept[figure]:16,.2f}")
    conclude(bars(taken), check=chosen.check)


if __name__ == "__main__":
    main()
