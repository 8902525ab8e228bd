"""How long `import criteo_audiences` takes beside the import of what it is built on, and what it leaves unloaded.

Run it with `python benchmarks/imports.py`. Each import is timed in an interpreter of its own, in turn with the others.
"""

import argparse
import statistics
import subprocess
import sys

from bars import Bar, conclude

DEPENDENCIES = "import aiohttp, anyio, attrs, cattrs, orjson"
PACKAGE = "import criteo_audiences"
UPLOAD = "import criteo_audiences.marketing_solutions"
TABLES = f"{UPLOAD}, criteo_audiences.uploads.table_lane, duckdb"
STATEMENTS = (DEPENDENCIES, PACKAGE, UPLOAD, TABLES)
UNLOADED = ("duckdb", "pyarrow", "rich", "typer")
SERVICES = ("marketing_solutions", "retail_media", "commerce_grid")


def run(code: str) -> str:
    """Returns what code prints in a fresh interpreter."""
    return subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def seconds(statement: str) -> float:
    """Returns how long a statement takes in a fresh interpreter."""
    return float(run(f"import time; began = time.perf_counter(); {statement}; print(time.perf_counter() - began)"))


def loaded() -> list[str]:
    """Returns which of the modules that should wait for their first use are loaded by the package's import."""
    names = [*UNLOADED, *(f"criteo_audiences.{service}" for service in SERVICES)]
    return run(f"{PACKAGE}; import sys; print(*(name for name in {names!r} if name in sys.modules))").split()


def main() -> None:
    """Prints the medians and the bars."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--check", action="store_true", help="exit with 1 when a bar does not hold")
    chosen = parser.parse_args()
    for statement in STATEMENTS:
        seconds(statement)  # compiles what has not been yet
    rounds = [[seconds(statement) for statement in STATEMENTS] for _ in range(chosen.runs)]
    medians = dict(zip(STATEMENTS, map(statistics.median, zip(*rounds, strict=True)), strict=True))
    for statement, median in medians.items():
        print(f"{statement:93}{median * 1e3:8.0f} ms  {median / medians[DEPENDENCIES]:.2f}")
    unwanted = loaded()
    print("loaded before their first use:", ", ".join(unwanted) or "nothing")
    bars = [
        Bar(f"{PACKAGE}, beside {DEPENDENCIES}", medians[PACKAGE] / medians[DEPENDENCIES], most=1.3),
        Bar("modules loaded before their first use", len(unwanted), most=0),
    ]
    conclude(bars, check=chosen.check)


if __name__ == "__main__":
    main()
