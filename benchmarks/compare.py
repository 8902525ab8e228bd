"""Uploads a CSV export with the library, a plain script and Criteo's own SDK, and compares what each costs.

Run it with `make bench`, or `python benchmarks/compare.py --rows 200000 --runs 1`. All read the same file and send it
to the same server, which does next to nothing in a process of its own. Each contender runs in a process of its own too,
one after the other, round by round. A heartbeat is measured in runs of its own, because it costs CPU. Printed are
medians, each also as a ratio to the table lane's, and for each bar whether it holds.
"""

import argparse
import json
import math
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path

from attrs import asdict

from bars import Bar, conclude
from charts import chart
from exports import Export, write_export
from measuring import CALLS, CPU, GAP_MAX, GAP_P99, GAP_P999, MEMORY, WALL, Figures, machine, measured, medians
from null_server import Server, running

BATCH = 50_000
SMALLEST_IDENTIFIER = 67  # bytes of a digest in JSON, with quotes and comma
RESULTS = Path(__file__).parent / "results"
WORST_GAP = "heartbeat max of all runs, ms"
CHARTED = (WALL, CPU, MEMORY, GAP_P99, GAP_MAX)
FIGURES = (WALL, CPU, MEMORY, GAP_P99, GAP_P999, GAP_MAX, WORST_GAP, CALLS)
TABLE, ALL_CORES, VALUES = "table lane", "table, all cores", "value lane"
PLAIN, EXPERT, SDK, IDLE = "plain script", "expert's script", "official SDK", "idle loop"
MODULES = {
    TABLE: "table_lane",
    ALL_CORES: "table_lane",
    VALUES: "value_lane",
    PLAIN: "plain_script",
    EXPERT: "expert_script",
    SDK: "official_sdk",
    IDLE: "idle_loop",
}
LEGEND = {
    TABLE: "upload_contact_list(segment_id, path, hash='sha256', dedupe=False)",
    ALL_CORES: "the same with a thread a core, as on the command line; the library leaves one to the event loop",
    VALUES: "the same with a generator over csv.reader, as in the plain script, instead of the path",
    PLAIN: "csv, hashlib, json, aiohttp; four requests in flight; validates nothing",
    EXPERT: "DuckDB (trim, lower, sha256), Arrow, orjson, aiohttp; eight requests in flight; validates nothing",
    SDK: "csv, hashlib, criteo_api_marketingsolutions_v2026_07; one call after the other, on the loop",
    IDLE: "nothing but the heartbeat: what the machine itself adds to the gaps",
}
Results = dict[str, Figures]


class Rounds:
    """Measures contenders on an export, each run to a contact list of its own.

    Args:
        url: the server.
        export: what is uploaded.
    """

    def __init__(self, url: str, export: Export) -> None:
        self._servers = (Server(url, segment_id=str(number)) for number in count(1))
        self._export = export

    def figures(self, contender: str) -> Figures:
        """Measures once without a heartbeat and once with it."""
        alone = {} if contender == IDLE else self._run(contender, beats=False)
        return alone | self._run(contender, beats=True)

    def calls_deduplicated(self, contender: str) -> float:
        """Returns the calls that an upload makes which sends each identifier once."""
        return self._run(contender, dedupe=True, beats=False)[CALLS]

    def _run(self, contender: str, *, dedupe: bool = False, beats: bool) -> Figures:
        server = next(self._servers)
        options = {"dedupe": dedupe} if contender in {TABLE, ALL_CORES, VALUES} else {}
        if contender == ALL_CORES:
            options["threads"] = len(os.sched_getaffinity(0))
        found = measured(MODULES[contender], server, self._export, beats=beats, **options)
        arrived = server.arrived()
        identifiers = 0 if contender == IDLE else self._export.distinct if dedupe else self._export.rows
        if arrived.calls != found[CALLS] or arrived.bytes < identifiers * SMALLEST_IDENTIFIER:
            sys.exit(
                f"{contender}: {found[CALLS]:.0f} calls of {identifiers:,} identifiers, "
                f"but {arrived.calls} calls of {arrived.bytes:,} bytes arrived"
            )
        return found


def compare(url: str, export: Export, runs: int) -> tuple[Results, list[Bar]]:
    """Measures all contenders in turn, round by round; returns medians and the bars."""
    rounds = Rounds(url, export)
    taken: dict[str, list[Figures]] = {contender: [] for contender in MODULES}
    for number in range(runs):
        print(f"round {number + 1} of {runs} ...", file=sys.stderr, flush=True)
        for contender, figures in taken.items():
            figures.append(rounds.figures(contender))
    results = {contender: summary(figures) for contender, figures in taken.items()}
    deduplicated = {lane: rounds.calls_deduplicated(lane) for lane in (TABLE, VALUES)}
    return results, list(bars(results, deduplicated, math.ceil(export.distinct / BATCH)))


def summary(runs: Sequence[Figures]) -> Figures:
    """Returns the medians and the longest gap of all runs."""
    return medians(runs) | {WORST_GAP: max(run[GAP_MAX] for run in runs)}


def bars(results: Results, deduplicated: Mapping[str, float], fewest: int) -> Iterator[Bar]:
    """Yields what the lanes should keep to."""
    table, cores, objects, plain, sdk = (results[name] for name in (TABLE, ALL_CORES, VALUES, PLAIN, SDK))
    yield Bar("CPU, plain script / table lane", plain[CPU] / table[CPU], least=1.9)
    yield Bar("CPU, table lane / expert's script", table[CPU] / results[EXPERT][CPU], most=1.0)
    yield Bar("wall, plain script / table lane on all cores", plain[WALL] / cores[WALL], least=2.5)
    yield Bar("CPU, official SDK / table lane", sdk[CPU] / table[CPU], least=3.3)
    yield Bar("CPU, value lane / plain script", objects[CPU] / plain[CPU], most=1.0)
    for lane in TABLE, VALUES:
        yield Bar(f"{lane}, {GAP_P99}", results[lane][GAP_P99], most=3)
        yield Bar(f"{lane}, {GAP_P999}", results[lane][GAP_P999], most=5)
        yield Bar(f"{lane}, {GAP_MAX}", results[lane][GAP_MAX], most=12)
        yield Bar(f"{lane}, calls deduplicated", deduplicated[lane], least=fewest, most=fewest)


def table(results: Results) -> Iterator[str]:
    """Yields the lines of a table, each figure also as a ratio to the table lane's."""
    yield " " * 30 + "".join(f"{contender:>20}" for contender in results)
    for figure in FIGURES:
        ours = results[TABLE][figure]
        yield f"{figure:30}" + "".join(f"{cell(found.get(figure), ours):>20}" for found in results.values())


def cell(value: float | None, ours: float) -> str:
    """Returns a figure and its ratio to ours."""
    if value is None:
        return "-"
    return f"{value:,.2f} {f'({value / ours:.2f})' if ours else '':>9}"


def write_results(directory: Path, about: Mapping[str, object], results: Results, verdicts: Sequence[Bar]) -> None:
    """Writes the figures as JSON and as a chart."""
    directory.mkdir(parents=True, exist_ok=True)
    document = {
        "measured": about,
        "contenders": {name: {"is": LEGEND[name], **found} for name, found in results.items()},
        "bars": [{**asdict(bar), "holds": bar.holds} for bar in verdicts],
    }
    text = json.dumps(document, indent=2, default=str)
    (directory / "compare.json").write_text(f"{text}\n", encoding="utf-8")
    title = ", ".join(
        f"{value:,} {name}" if isinstance(value, int) else f"{name} {value}" for name, value in about.items()
    )
    panels = {figure: {name: found[figure] for name, found in results.items() if figure in found} for figure in CHARTED}
    (directory / "compare.svg").write_text(chart(title, panels), encoding="utf-8")


def main() -> None:
    """Prints the table and the bars, and writes both down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--check", action="store_true", help="exit with 1 when a bar does not hold")
    parser.add_argument("--publish", action="store_true", help="replace the results that are kept; on a quiet machine")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, running() as url:
        export = write_export(Path(directory), chosen.rows)
        about = {"rows": export.rows, "distinct": export.distinct, "runs": chosen.runs, **machine()}
        results, verdicts = compare(url, export, chosen.runs)
    print("\n".join([*(f"{name:17} {text}" for name, text in LEGEND.items()), "", *table(results), ""]))
    write_results(RESULTS if chosen.publish else RESULTS / "local", about, results, verdicts)
    conclude(verdicts, check=chosen.check)


if __name__ == "__main__":
    main()
