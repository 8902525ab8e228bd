"""How close uploads come to the floor that the quota sets, with the defaults, whatever the server's latency.

Run it with `make bench-floor`, or `python benchmarks/floor.py --case latencies --latency 2`. A call holds its place in
the window until a period after its answer, so that there are no 429s. The floor is what no client can beat that keeps
to that: all windows but the first, each a period and a latency long, and the latency of the last call. Under fixed
windows the first one may be short. Every server runs in a process of its own:

- `latencies`: 50 calls per 2 s, sliding and fixed windows, four latencies, from a list and from a table.
- `long`: 60 windows of 50 calls at 20 ms.
- `slow-down`: no quota, and a service time that grows with the square of the calls in flight; compared with the best
  fixed `max_concurrency`.
- `503`: every tenth call is answered 503; compared with a run without.
- `stall`: nothing is answered for 3 s in the middle.
- `steps`: the longest step that full batches take of the event loop's thread, at 4 and at 40 in flight.
- `memory`: full batches to a server that takes seconds over each, so that `max_in_flight_bytes` is the limit.
"""

import argparse
import asyncio
import csv
import itertools
import math
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal, get_args

from attrs import define, field, frozen

from bars import Bar, conclude
from criteo_audiences import ClientCredentials, CriteoClient, Quota, UploadReport
from criteo_audiences.sandbox import Fault, RecordedRequest, Sandbox
from criteo_audiences.session import Event
from criteo_audiences.uploads.options import DEFAULT_MAX_IN_FLIGHT_BYTES
from exports import write_export
from measuring import MEGABYTE, MEMORY, WALL, longest_step, measured
from null_server import Server, running

Window = Literal["sliding", "fixed"]
Case = Literal["latencies", "long", "slow-down", "503", "stall", "memory", "steps"]
CALLS, PERIOD = 50, 2.0
BATCHES, BATCH = 290, 1_000
LATENCIES = (0.02, 0.17, 0.5, 2.0)
FIXED = (1, 2, 3, 4, 6, 8, 10, 12, 16, 24, 32, 48, 64)
SLOW_BASE, SLOW_AT = 0.05, 8
STALL = 3.0
REFUSED = 429


@define
class SlowDown:
    """Delays calls by a time that grows with the square of the calls in flight: the best number of them is `at`.

    Attributes:
        base: seconds that a call takes alone.
        at: calls in flight that take twice as long.
    """

    base: float
    at: int
    _ends: list[float] = field(factory=list)

    def __call__(self, request: RecordedRequest) -> Fault | None:
        """Chooses the delay of a call."""
        if "oauth2" in request.path:
            return None
        now = time.monotonic()
        self._ends = [end for end in self._ends if end > now]
        delay = self.base * (1 + ((len(self._ends) + 1) / self.at) ** 2)
        self._ends.append(now + delay)
        return Fault(delay=delay)


@define
class EveryTenth:
    """Answers every tenth call with 503."""

    _calls: int = 0

    def __call__(self, request: RecordedRequest) -> Fault | None:
        """Chooses what happens to a call."""
        self._calls += "contact-list" in request.path
        return Fault(status=503) if "contact-list" in request.path and not self._calls % 10 else None


@define
class Stall:
    """Holds every call that arrives within some seconds until they are over.

    Attributes:
        at: seconds after the first call at which that begins.
    """

    at: float
    _began: float = math.inf

    def __call__(self, request: RecordedRequest) -> Fault | None:
        """Chooses the delay of a call."""
        if "contact-list" not in request.path:
            return None
        self._began = min(self._began, time.monotonic())
        left = self._began + self.at + STALL - time.monotonic()
        return Fault(delay=left) if 0 < left <= STALL else None


@define
class Watch:
    """Follows the calls of an upload by its events.

    Attributes:
        most: calls under way at the same time.
        starts: when each began, seconds.
        refused: of them answered 429.
    """

    most: int = 0
    starts: list[float] = field(factory=list)
    refused: int = 0
    _under_way: int = 0

    def __call__(self, event: Event) -> None:
        """Takes an event."""
        if event.batch is None:
            return
        self._under_way += {"request.started": 1, "quota.waited": 0}.get(event.name, -1)
        self.most = max(self.most, self._under_way)
        self.refused += event.status == REFUSED
        if event.name == "request.started":
            self.starts.append(time.perf_counter())


@frozen(kw_only=True)
class Run:
    """What an upload cost.

    Attributes:
        seconds: from its first batch's call to its end.
        before: seconds from its beginning to that call: a table is read, and its contact list looked at.
        watch: its calls.
        report: what it says of itself.
    """

    seconds: float
    before: float
    watch: Watch
    report: UploadReport

    def floor(self, latency: float, calls: int = CALLS, period: float = PERIOD) -> float:
        """Returns the seconds that no client can beat."""
        return (math.ceil(self.report.calls / calls) - 1) * (period + latency) + latency


async def serve(pipe: Connection, options: dict[str, Any], choose: Callable[[RecordedRequest], Fault | None]) -> None:
    """Runs a local Criteo until it is told to stop."""
    async with Sandbox(**options) as sandbox:
        sandbox.fail_with(choose)
        pipe.send((sandbox.url, sandbox.client_id, sandbox.client_secret, sandbox.add_contact_list(name="crm")))
        await asyncio.to_thread(pipe.recv)


def server(pipe: Connection, options: dict[str, Any], choose: Any) -> None:
    """The body of the server's process."""
    asyncio.run(serve(pipe, options, choose))


@contextmanager
def serving(choose: Any = None, **options: Any) -> Iterator[tuple[str, str, str, str]]:
    """Runs a server in a process of its own; yields its URL, a client's id and secret, and a contact list."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=server, args=(theirs, options, choose), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        ours.send("stop")
        process.join()


async def upload(at: tuple[str, str, str, str], source: Any, quota: Quota, **options: Any) -> Run:
    """Uploads a source once, and returns what it cost."""
    url, client_id, client_secret, segment_id = at
    watch = Watch()
    credentials = ClientCredentials(client_id=client_id, client_secret=client_secret)
    async with CriteoClient(credentials, base_url=url, quota=quota, on_event=watch) as criteo:
        await criteo.authenticate()
        began = time.perf_counter()
        report = await criteo.marketing_solutions.upload_contact_list(segment_id, source, hash="sha256", **options)
        ended = time.perf_counter()
    report.raise_for_failures()
    return Run(seconds=ended - watch.starts[0], before=watch.starts[0] - began, watch=watch, report=report)


def emails(count: int) -> list[str]:
    """Returns so many addresses."""
    return [f"customer.{number}@example.com" for number in range(count)]


def line(what: str, run: Run, floor: float) -> str:
    """Describes a run."""
    report, watch = run.report, run.watch
    return (
        f"{what:34}{run.before:>9.2f}{run.seconds:>9.2f}{floor:>9.2f}{run.seconds / floor:>8.3f}{watch.most:>6}"
        f"{report.retries:>8}{watch.refused:>6}  {report.limited_by}"
    )


HEAD = f"{'':34}{'before s':>9}{'time s':>9}{'floor s':>9}{'ratio':>8}{'most':>6}{'wasted':>8}{'429s':>6}  limited by"


def latencies(chosen: argparse.Namespace) -> Iterator[Bar]:
    """Yields the bars of uploads at several latencies."""
    values = emails(BATCHES * BATCH)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "customers.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([["email"], *([value] for value in values)])
        sources = {"list": values, "table": path}
        for latency, window, source in itertools.product(
            chosen.latency or LATENCIES, chosen.window or get_args(Window), chosen.source or sources
        ):
            with serving(rate_limit=(CALLS, PERIOD), window=window, latency=latency) as at:
                run = asyncio.run(upload(at, sources[source], Quota(CALLS, period=PERIOD), batch_size=BATCH))
            floor = run.floor(latency)
            what = f"{latency:g} s, {window}, {source}"
            print(line(what, run, floor), flush=True)
            yield Bar(f"{what}: time / floor", (run.seconds - latency) / (floor - latency), most=1.1)
            if 30 * latency <= PERIOD:
                bare = (math.ceil(run.report.calls / CALLS) - 1) * PERIOD + latency
                yield Bar(f"{what}: time / floor without the latencies", run.seconds / bare, most=1.05)
            yield Bar(f"{what}: 429s", run.watch.refused, most=0)


def long(chosen: argparse.Namespace) -> Iterator[Bar]:
    """Yields the bars of an upload of many windows."""
    latency, windows, size = LATENCIES[0], 60, 10
    for window in chosen.window or get_args(Window):
        with serving(rate_limit=(CALLS, PERIOD), window=window, latency=latency) as at:
            run = asyncio.run(upload(at, emails(windows * CALLS * size), Quota(CALLS, period=PERIOD), batch_size=size))
        floor = (windows - 1) * PERIOD + latency
        print(line(f"60 windows, {window}", run, floor), flush=True)
        yield Bar(f"60 windows, {window}: time / floor without the latencies", run.seconds / floor, most=1.02)
        yield Bar(f"60 windows, {window}: 429s", run.watch.refused, most=0)


def slow_down(chosen: argparse.Namespace) -> Iterator[Bar]:
    """Yields the bars of an upload to a server that slows down under load."""
    base, at = chosen.base, chosen.at
    values = emails(chosen.batches * 10)

    def run(**options: Any) -> Run:
        with serving(SlowDown(base, at), rate_limit=None) as place:
            return asyncio.run(upload(place, values, Quota(1_000_000), batch_size=10, **options))

    rates: dict[int, float] = {}
    for number in chosen.fixed or FIXED:
        fixed = run(max_concurrency=number)
        rates[number] = fixed.report.batches / fixed.seconds
        print(f"  max_concurrency={number:<3} {rates[number]:>7.1f} calls/s", flush=True)
    best = max(rates, key=rates.__getitem__)
    ours = run()
    rate = ours.report.batches / ours.seconds
    print(
        f"  default             {rate:>7.1f} calls/s, {ours.watch.most} at most, {ours.report.limited_by}", flush=True
    )
    yield Bar("slow-down: throughput / best fixed", rate / rates[best], least=0.9)
    yield Bar("slow-down: most in flight / best fixed", ours.watch.most / best, most=2)


def failing(_: argparse.Namespace) -> Iterator[Bar]:
    """Yields the bars of an upload of which every tenth call fails."""
    latency, values = LATENCIES[1], emails(BATCHES * BATCH)
    with serving(EveryTenth(), rate_limit=(CALLS, PERIOD), latency=latency) as at:
        run = asyncio.run(upload(at, values, Quota(CALLS, period=PERIOD), batch_size=BATCH))
    print(line("every tenth call 503", run, run.floor(latency)), flush=True)
    yield Bar("503: calls / calls without", run.report.calls / BATCHES, most=1.2)


def stall(chosen: argparse.Namespace) -> Iterator[Bar]:
    """Yields the bars of an upload to a server that stalls: two windows after it, the pace is the quota's."""
    for latency in chosen.latency or LATENCIES[:3]:
        begins = 4.0
        with serving(Stall(begins), rate_limit=(CALLS, PERIOD), latency=latency) as at:
            run = asyncio.run(upload(at, emails(2 * BATCHES * BATCH), Quota(CALLS, period=PERIOD), batch_size=BATCH))
        floor = run.floor(latency)
        print(line(f"stall of {STALL:g} s, {latency:g} s", run, floor), flush=True)
        back = run.watch.starts[0] + begins + STALL + 2 * (PERIOD + latency)
        after = [start for start in run.watch.starts if start >= back]
        pace = (len(after) - 1) / (after[-1] - after[0])
        yield Bar(
            f"stall, {latency:g} s: pace from the third window on / the quota's",
            pace * (PERIOD + latency) / CALLS,
            least=0.9,
        )
        yield Bar(
            f"stall, {latency:g} s: seconds beyond floor and stall",
            run.seconds - floor - STALL,
            most=2 * (PERIOD + latency),
        )


def memory(chosen: argparse.Namespace) -> Iterator[Bar]:
    """Yields the bars of what uploads of full batches take above an idle client, when calls take long."""
    with tempfile.TemporaryDirectory() as directory, running(chosen.seconds) as url:
        export = write_export(Path(directory), chosen.rows)
        for number, (lane, more) in enumerate({"value_lane": 30, "table_lane": 130}.items(), start=1):
            figures = measured(lane, Server(url, segment_id=str(number)), export, dedupe=False)
            print(f"{lane}: {figures[MEMORY]:.0f} MB above idle, {figures[WALL]:.1f} s", flush=True)
            yield Bar(f"{lane}: {MEMORY}", figures[MEMORY], most=DEFAULT_MAX_IN_FLIGHT_BYTES / MEGABYTE + more)


def steps(chosen: argparse.Namespace) -> Iterator[Bar]:
    """Yields the bars of the longest steps on the event loop: the median of some runs."""
    with tempfile.TemporaryDirectory() as directory, running(1.0) as url:
        export = write_export(Path(directory), chosen.rows)
        servers = (Server(url, segment_id=str(number)) for number in itertools.count(1))
        for lane, number in itertools.product(("value_lane", "table_lane"), (4, 40)):
            options = {"dedupe": False, "max_concurrency": number, "max_in_flight_bytes": 200_000_000}
            longest = [longest_step(lane, next(servers), export, **options) for _ in range(3)]
            print(f"{lane}, {number} in flight: {', '.join(f'{each:.2f}' for each in longest)} ms", flush=True)
            yield Bar(f"{lane}, {number} in flight: longest step, ms", statistics.median(longest), most=2)


CASES: dict[Case, Callable[[argparse.Namespace], Iterator[Bar]]] = {
    "latencies": latencies,
    "long": long,
    "slow-down": slow_down,
    "503": failing,
    "stall": stall,
    "memory": memory,
    "steps": steps,
}


def main() -> None:
    """Prints a line for each run, and for each bar whether it holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", choices=get_args(Case), action="append", help="all when left out")
    parser.add_argument("--latency", type=float, action="append", help="seconds; several when left out")
    parser.add_argument("--window", choices=get_args(Window), action="append", help="both when left out")
    parser.add_argument("--source", choices=("list", "table"), action="append", help="both when left out")
    parser.add_argument("--fixed", type=int, action="append", help="a max_concurrency to compare with")
    parser.add_argument("--base", type=float, default=SLOW_BASE, help="seconds of a call to the server that slows down")
    parser.add_argument("--at", type=int, default=SLOW_AT, help="calls in flight there that take twice as long")
    parser.add_argument("--batches", type=int, default=1_000, help="calls to the server that slows down")
    parser.add_argument("--rows", type=int, default=3_000_000, help="for the memory")
    parser.add_argument("--seconds", type=float, default=5.0, help="of a call to the server there")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a bar does not hold")
    chosen = parser.parse_args()
    print(HEAD)
    bars = [bar for case in chosen.case or get_args(Case) for bar in CASES[case](chosen)]
    conclude(bars, check=chosen.check)


if __name__ == "__main__":
    main()
