"""Kills and disturbs uploads until so many kills and faults have been met, and prints what came of it.

Run it with `make soak`, or `python tests/faults/soak.py --kills 20 --faults 50`. A seed that went wrong is told again
with `--seed`.
"""

import argparse
import asyncio
import multiprocessing
import sys
import tempfile
import time
from pathlib import Path

from story import Figures, Plan, Story

KILLS_A_STORY, FAULTS_A_STORY = 5, 13


def context() -> multiprocessing.context.BaseContext:
    """Returns what starts processes quickly: they fork from one that has imported all they need."""
    chosen = multiprocessing.get_context("forkserver")
    chosen.set_forkserver_preload(["uploading", "duckdb", "numpy"])
    return chosen


async def soak(kills: int, faults: int, seed: int) -> Figures:
    """Tells stories until enough has been met."""
    figures, processes = Figures(), context()
    while figures.kills < kills or figures.faults < faults:
        plan = Plan(
            seed=seed + figures.stories,
            kills=min(KILLS_A_STORY, max(0, kills - figures.kills)),
            faults=min(FAULTS_A_STORY, max(0, faults - figures.faults)),
        )
        with tempfile.TemporaryDirectory() as directory:
            await Story(plan, Path(directory), figures, processes).tell()
        print(f"{figures.kills} of {kills} kills, {figures.faults} of {faults} faults", file=sys.stderr, flush=True)
    return figures


def main() -> None:
    """Prints the figures; ends with 1 when something was lost, repeated or reported wrongly."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--faults", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    began = time.monotonic()
    figures = asyncio.run(soak(chosen.kills, chosen.faults, chosen.seed))
    print(figures)
    print(f"{time.monotonic() - began:.0f} s")
    sys.exit(0 if figures.clean else 1)


if __name__ == "__main__":
    main()
