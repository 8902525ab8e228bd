"""Uploads a million e-mails to a local Criteo: event-loop gaps, memory, calls; beside a plain script's.

Run it with `make bench-upload`, or `python benchmarks/upload.py --rows 200000 --runs 1`. Nothing is read from a file,
and the server is the sandbox, which judges every identifier. It runs in a process of its own, and so does each measured
upload, so that neither's work shows in the other's figures. Printed are medians of several runs.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from exports import Generated
from measuring import CALLS, CPU, GAP_MAX, GAP_P99, MEMORY, WALL, Figures, measured, medians
from null_server import Server

CONTENDERS = {
    "a generator": "value_lane",
    "an async generator": "async_value_lane",
    "plain script": "plain_script",
    "idle loop": "idle_loop",
}
FIGURES = (CALLS, WALL, CPU, MEMORY, GAP_P99, GAP_MAX)


@contextmanager
def sandbox() -> Iterator[Server]:
    """Starts a local Criteo without a quota, so that nothing but the uploads themselves is measured."""
    command = [sys.executable, "-m", "criteo_audiences", "sandbox", "--port", "0", "--calls", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            lines: list[str] = []
            while not lines or lines[-1].strip() != "}":
                line = process.stdout.readline() if process.stdout else ""
                if not line:
                    sys.exit("the server did not start")
                lines.append(line)
            yield Server(**json.loads("".join(lines)))
        finally:
            process.terminate()


def both(contender: str, server: Server, source: Generated) -> Figures:
    """Measures once without a heartbeat and once with it."""
    return measured(contender, server, source) | measured(contender, server, source, beats=True)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=5)
    chosen = parser.parse_args()
    source = Generated(chosen.rows)
    with sandbox() as server:
        rounds = [[both(module, server, source) for module in CONTENDERS.values()] for _ in range(chosen.runs)]
        longer = measured("value_lane", server, Generated(chosen.rows * 2))
    columns = [medians(runs) for runs in zip(*rounds, strict=True)]
    print(f"{chosen.rows:,} e-mails, SHA-256, four in flight, medians of {chosen.runs}")
    print(" " * 30 + "".join(f"{name:>20}" for name in CONTENDERS))
    for figure in FIGURES:
        print(f"{figure:30}" + "".join(f"{column[figure]:20.2f}" for column in columns))
    print(f"{MEMORY}, {chosen.rows * 2:,} e-mails: {longer[MEMORY]:.1f}")


if __name__ == "__main__":
    main()
