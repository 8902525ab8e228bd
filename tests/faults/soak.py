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
from contextlib import suppress
from pathlib import Path
from typing import Any

from between import FORCED
from figures import Figures
from story import Plan, Story
from uploading import failing

from criteo_audiences import CriteoClient
from criteo_audiences.sandbox import Sandbox

KILLS_A_STORY, FAULTS_A_STORY = 5, 13


def context() -> multiprocessing.context.BaseContext:
    """Returns what starts processes quickly: they fork from one that has imported all they need."""
    chosen = multiprocessing.get_context("forkserver")
    chosen.set_forkserver_preload(["uploading", "mirroring", "criteo_audiences.mirrors.mirror", "duckdb", "numpy"])
    return chosen


async def soak(kills: int, faults: int, seed: int) -> Figures:
    """Tells a story of everything that can come in between, and then others until enough has been met."""
    figures, processes = Figures(), context()
    with tempfile.TemporaryDirectory() as state:  # one for all of them, as a user has
        for between, consents in FORCED:
            plan = Plan(seed=seed, kills=0, faults=0, state=Path(state), between=between, consents=consents)
            await tell(plan, figures, processes)
        while figures.kills < kills or figures.faults < faults:
            plan = Plan(
                seed=seed + figures.stories - len(FORCED),
                kills=min(KILLS_A_STORY, max(0, kills - figures.kills)),
                faults=min(FAULTS_A_STORY, max(0, faults - figures.faults)),
                state=Path(state),
            )
            await tell(plan, figures, processes)
            done = f"{figures.kills} of {kills} kills, {figures.faults} of {faults} faults"
            print(done, file=sys.stderr, flush=True)
    return figures


async def tell(plan: Plan, figures: Figures, processes: multiprocessing.context.BaseContext) -> None:
    """Tells a story in a directory of its own."""
    with tempfile.TemporaryDirectory() as directory:
        await Story(plan, Path(directory), figures, processes).tell()


async def break_a_source(rows: int) -> bool:
    """Lets a source fail at a row and reads it once more; returns whether every row was accounted for."""
    emails = [f"c{number}@example.com" for number in range(rows + 50_000)]
    async with Sandbox(rate_limit=None) as sandbox:
        async with CriteoClient(sandbox.credentials, base_url=sandbox.url) as criteo:
            lists, segment_id = criteo.marketing_solutions, sandbox.add_contact_list()
            with tempfile.TemporaryDirectory() as directory:
                options: Any = {"hash": None, "journal": Path(directory) / "journal", "drain_timeout": 30.0}
                with suppress(LookupError):
                    async with lists.stream_contact_list(segment_id, failing(iter(emails), rows), **options) as results:
                        async for _ in results:
                            pass
                broken = results.report
                whole = await lists.upload_contact_list(segment_id, emails, **options)
        arrived = len(sandbox.contact_list(segment_id))
    told = f"{broken.read:,} rows read, {broken.valid:,} arrived, {broken.pending:,} not sent"
    print(f"a source that fails at row {rows:,}: {told}; then {whole.resumed} batches resumed, {arrived:,} arrived")
    adds_up = broken.read == rows == broken.valid + broken.pending
    return adds_up and arrived == len(emails) and whole.resumed * 50_000 == broken.valid


def main() -> None:
    """Prints the figures; ends with 1 when something was lost, repeated or reported wrongly, or was never tried."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--faults", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--row", type=int, default=1_234_567, help="at which a source fails")
    chosen = parser.parse_args()
    began = time.monotonic()
    figures = asyncio.run(soak(chosen.kills, chosen.faults, chosen.seed))
    print(figures)
    is_whole = asyncio.run(break_a_source(chosen.row))
    print(f"{time.monotonic() - began:.0f} s")
    sys.exit(0 if figures.clean and is_whole and not figures.never else 1)


if __name__ == "__main__":
    main()
