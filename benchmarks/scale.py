"""A billion rows by two hundred workers on one quota: how long, how many calls in flight, how many calls wasted.

A simulation of discrete events: nothing is sent, nobody sleeps, and the clock jumps from one event to the next. Run it
with `make bench-scale`, or with other numbers: `python benchmarks/scale.py --latency 5 --deaths 20`.

The model is what `RedisQuota` and `upload_partition` do. A call waits for a place in the quota's window, in the order
of asking, and holds it until one period after its answer, and at least until `slack` and one period after it was sent.
A worker takes the next partition when it has none, and has some batches of it in flight. A call may be answered by a
passing error, after which its batch is tried again. A worker may die: its calls in flight were spent for nothing, and
another worker begins the partition again, with what has been acknowledged (a ledger) or with everything (none).
"""

import argparse
import heapq
import itertools
import math
import random
from collections import deque
from collections.abc import Callable

from attrs import define, field, frozen

BATCH = 50_000
DIGEST_BYTES = 67  # a SHA-256 digest in a JSON list: 64 digits, two quotes, a comma
HOUR = 3_600.0


@frozen(kw_only=True)
class Plan:
    """What is uploaded, by whom, under which quota, and what goes wrong on the way.

    Attributes:
        rows: identifiers in all.
        workers: processes, on any number of machines.
        partition: identifiers in a partition.
        in_flight: the most batches that one worker has in flight.
        calls: of the quota, in `period` seconds.
        period: length of the window, in seconds.
        slack: the longest that a request is on its way until the server counts it, in seconds.
        latency: mean seconds until a call is answered; they vary as a log-normal with a sigma of 0.5.
        failures: share of calls that are answered by a passing error.
        deaths: workers that die in an hour, of all together.
        restart: seconds until another worker begins the partition of one that died.
        ledger: whether what was acknowledged is remembered when a worker dies.
        seed: of the random numbers.
    """

    rows: int = 1_000_000_000
    workers: int = 200
    partition: int = 5_000_000
    in_flight: int = 4
    calls: int = 250
    period: float = 60.0
    slack: float = 0.5
    latency: float = 2.0
    failures: float = 0.01
    deaths: float = 0.0
    restart: float = 30.0
    ledger: bool = True
    seed: int = 7

    @property
    def batches(self) -> int:
        """Calls that cannot be saved: each partition ends with a batch of its own."""
        whole, rest = divmod(self.rows, self.partition)
        return whole * math.ceil(self.partition / BATCH) + math.ceil(rest / BATCH)

    @property
    def floor(self) -> float:
        """Seconds that no client can beat: every window but the first, whatever the latency."""
        return (math.ceil(self.batches / self.calls) - 1) * self.period


@define(eq=False)
class Partition:
    """What is left of a partition. `life` tells the calls of a worker that died from those of the next one."""

    left: int
    acknowledged: int = 0
    in_flight: int = 0
    life: int = 0


@define
class Outcome:
    """What came of it.

    Attributes:
        seconds: until the last batch was acknowledged.
        calls: that were spent, the wasted ones included.
        most_in_flight: calls that were under way at the same time.
        admitted: when each call was sent, in seconds.
    """

    seconds: float = 0.0
    calls: int = 0
    most_in_flight: int = 0
    admitted: list[float] = field(factory=list)

    def utilization(self, plan: Plan) -> float:
        """Returns the share of the quota that was used after the first window, which goes at once."""
        rest = len(self.admitted) - plan.calls
        return rest * plan.period / (self.admitted[-1] * plan.calls) if rest > 0 else 1.0


@define
class Simulation:
    """The events, and the state between them."""

    plan: Plan
    now: float = 0.0
    outcome: Outcome = field(factory=Outcome)
    _events: list[tuple[float, int, Callable[[], None]]] = field(factory=list)
    _order: "itertools.count[int]" = field(factory=itertools.count)
    _free: int = 0
    _in_flight: int = 0
    _asking: deque[tuple[Partition, int]] = field(factory=deque)
    _waiting: deque[Partition] = field(factory=deque)
    _busy: list[Partition] = field(factory=list)
    _chance: random.Random = field(factory=random.Random)

    def run(self) -> Outcome:
        """Runs until every batch is acknowledged."""
        plan = self.plan
        self._chance.seed(plan.seed)
        self._free = plan.calls
        per_partition, batches = math.ceil(plan.partition / BATCH), plan.batches
        self._waiting.extend(
            Partition(min(per_partition, batches - begun)) for begun in range(0, batches, per_partition)
        )
        for _ in range(plan.workers):
            self._take_next()
        if plan.deaths:
            self._after(self._chance.expovariate(plan.deaths / HOUR), self._die)
        while self._busy or self._waiting:
            self.now, _, happen = heapq.heappop(self._events)
            happen()
        self.outcome.seconds = self.now
        return self.outcome

    def _after(self, seconds: float, happen: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + seconds, next(self._order), happen))

    def _take_next(self) -> None:
        """A worker takes the next partition, if there is one."""
        if self._waiting:
            partition = self._waiting.popleft()
            self._busy.append(partition)
            self._ask(partition)

    def _ask(self, partition: Partition) -> None:
        """Asks for a place for as many batches as the worker may have in flight."""
        while partition.left and partition.in_flight < self.plan.in_flight:
            partition.left -= 1
            partition.in_flight += 1
            self._asking.append((partition, partition.life))
        self._admit()

    def _admit(self) -> None:
        """Sends the calls whose turn it is."""
        while self._free and self._asking:
            partition, life = self._asking.popleft()
            if life == partition.life:
                self._free -= 1
                self._send(partition, life)

    def _send(self, partition: Partition, life: int) -> None:
        plan, outcome = self.plan, self.outcome
        outcome.calls += 1
        outcome.admitted.append(self.now)
        self._in_flight += 1
        outcome.most_in_flight = max(outcome.most_in_flight, self._in_flight)
        seconds = self._chance.lognormvariate(math.log(plan.latency) - 0.125, 0.5)
        fails = self._chance.random() < plan.failures
        self._after(seconds, lambda: self._answer(partition, life, fails=fails))
        self._after(max(seconds, plan.slack) + plan.period, self._give_back)

    def _give_back(self) -> None:
        self._free += 1
        self._admit()

    def _answer(self, partition: Partition, life: int, *, fails: bool) -> None:
        self._in_flight -= 1
        if life != partition.life:
            return
        partition.in_flight -= 1
        if fails:
            partition.left += 1
        else:
            partition.acknowledged += 1
        self._ask(partition)
        if not partition.left and not partition.in_flight:
            self._busy.remove(partition)
            self._take_next()

    def _die(self) -> None:
        """A worker at random dies in the middle of its partition."""
        if self._busy:
            partition = self._chance.choice(self._busy)
            self._busy.remove(partition)
            partition.life += 1
            partition.left += partition.in_flight + (0 if self.plan.ledger else partition.acknowledged)
            partition.acknowledged = partition.acknowledged if self.plan.ledger else 0
            partition.in_flight = 0
            self._waiting.append(partition)
            self._after(self.plan.restart, self._take_next)
        self._after(self._chance.expovariate(self.plan.deaths / HOUR), self._die)


def line(plan: Plan) -> str:
    """Simulates a plan; returns its line of the table."""
    outcome = Simulation(plan).run()
    dying = f"{plan.deaths:g}{'' if plan.ledger or not plan.deaths else ', no ledger'}"
    return (
        f"{plan.latency:>7.1f} {plan.failures:>9.1%} {dying:>14} {outcome.seconds / 60:>9.1f} "
        f"{outcome.seconds / plan.floor:>9.3f} {outcome.utilization(plan):>9.1%} {outcome.most_in_flight:>10} "
        f"{outcome.calls:>8,} {outcome.calls - plan.batches:>7,}"
    )


def main() -> None:
    """Prints the plan, and a line for each thing that may go wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    defaults = Plan()
    parser.add_argument("--rows", type=int, default=defaults.rows)
    parser.add_argument("--workers", type=int, default=defaults.workers)
    parser.add_argument("--partition", type=int, default=defaults.partition, help="rows in a partition")
    parser.add_argument("--in-flight", type=int, default=defaults.in_flight, help="batches in flight, each worker")
    parser.add_argument("--latency", type=float, nargs="*", default=[0.5, 2.0, 5.0], help="mean seconds a call")
    parser.add_argument("--failures", type=float, default=defaults.failures, help="share of calls")
    parser.add_argument("--deaths", type=float, default=20.0, help="workers that die in an hour")
    chosen = parser.parse_args()
    shared = {name: getattr(chosen, name) for name in ("rows", "workers", "partition", "in_flight")}
    plan = Plan(**shared)
    sent = plan.rows * DIGEST_BYTES
    print(
        f"{plan.rows:,} rows in {plan.batches:,} calls, {plan.workers} workers, {plan.calls} calls a {plan.period:g} s"
    )
    print(f"floor {plan.floor / 60:.0f} min; bodies of {sent / 1e9:.0f} GB, {sent / plan.floor / 1e6:.1f} MB a second")
    print(
        f"{'latency':>7} {'failures':>9} {'deaths an hour':>14} {'minutes':>9} {'/ floor':>9} {'used':>9} "
        f"{'in flight':>10} {'calls':>8} {'wasted':>7}"
    )
    for latency in chosen.latency:
        for failures, deaths, ledger in (
            (0.0, 0.0, True),
            (chosen.failures, 0.0, True),
            (chosen.failures, chosen.deaths, True),
            (chosen.failures, chosen.deaths, False),
        ):
            print(line(Plan(**shared, latency=latency, failures=failures, deaths=deaths, ledger=ledger)), flush=True)


if __name__ == "__main__":
    main()
