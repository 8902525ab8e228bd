"""The script of the shared quota in invented time: whatever happens, no window ever shows Criteo too many calls."""

import heapq
import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis

from criteo_audiences.integrations.redis_server import OwnCalls, script_text
from tests.servers.redis_process import RedisProcess

CALLS, PERIOD, SLACK, LEASE = 5, 10.0, 1.0, 5.0
Run = Callable[[dict[str, Any], float], dict[str, Any]]
KEYS = ["{test}:state", "{test}:log", "{test}:workers"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Redis"]:
    """A Redis server for all examples."""
    with RedisProcess(tmp_path_factory.mktemp("redis")) as started, Redis.from_url(started.url) as connection:
        yield connection


def in_invented_time(server: "Redis") -> Run:
    """Returns what runs the script at a moment of the test's own, on an empty server."""
    server.flushall()
    text = script_text("quota.lua")
    assert text.count("redis.call('TIME')") == 1
    script = server.register_script(text.replace("redis.call('TIME')", "cjson.decode(ARGV[2])"))

    def run(report: dict[str, Any], now: float) -> dict[str, Any]:
        time = [str(int(now)), str(int(now % 1 * 1e6))]
        answer: dict[str, Any] = json.loads(script(keys=KEYS, args=[json.dumps(report), json.dumps(time)]))
        return answer

    return run


@define
class Worker:
    """A worker whose clock is wrong by so many seconds."""

    run: Run
    ahead: float = 0.0
    calls: OwnCalls = field(factory=lambda: OwnCalls(PERIOD, SLACK))
    epoch: str = ""

    def turn(self, now: float, *, singles: int = 0, batches: int = 0) -> dict[str, Any]:
        """Takes a turn and begins the calls that were granted."""
        news = self.calls.news()
        report = self.calls.report(now + self.ahead, everything=False)
        report |= {"epoch": self.epoch, "calls": CALLS, "share": 1.0, "lease": LEASE, "leaving": False}
        answer = self.run(report | {"singles": singles, "batches": batches}, now)
        self.calls.forget(news)
        self.epoch = answer["epoch"]
        for _ in range(answer["singles"] + answer["batches"]):
            self.calls.begin(now + self.ahead)
        return answer

    def end(self, now: float, sent_at: float) -> None:
        """Ends a call."""
        self.calls.end(now + self.ahead, None, 0.0, sent_at + self.ahead)


STEPS = st.lists(
    st.tuples(
        st.integers(0, 2),  # whose turn it is
        st.floats(0, 4),  # after how long
        st.integers(0, 4),  # single calls that wait
        st.integers(0, 4),  # batches that wait
        st.floats(0, SLACK),  # how late a request is counted
        st.floats(0, 6),  # how long its worker waits for the answer
    ),
    max_size=60,
)


@given(STEPS)
def test_no_window_holds_too_many_calls(
    server: "Redis", steps: list[tuple[int, float, int, int, float, float]]
) -> None:
    """No window of any kind exceeds the limit, with clocks that differ, late requests, and workers that pause or die."""
    run = in_invented_time(server)
    workers = [Worker(run, ahead) for ahead in (0.0, 5.0, -5.0)]
    now, counted, numbers = 1_800_000_000.25, [], itertools.count()
    ends: list[tuple[float, int, Worker, float]] = []
    for number, pause, singles, batches, late, patience in steps:
        now += pause
        while ends and ends[0][0] <= now:
            at, _, worker, sent_at = heapq.heappop(ends)
            worker.end(at, sent_at)
        answer = workers[number].turn(now, singles=singles, batches=batches)
        for _ in range(answer["singles"] + answer["batches"]):
            counted.append(now + late)
            heapq.heappush(ends, (now + patience, next(numbers), workers[number], now))
    counted.sort()
    for first, last in zip(counted, counted[CALLS:], strict=False):
        assert last - first > PERIOD


def test_dead_worker_gives_its_places_back(server: "Redis") -> None:
    """What a worker had in flight when it died holds its places for one period after its lease, and not for ever."""
    run = in_invented_time(server)
    dead, alive, now = Worker(run), Worker(run), 1_800_000_000.0
    assert dead.turn(now, batches=9)["batches"] == CALLS
    assert alive.turn(now + 4, batches=1)["batches"] == 0
    assert alive.turn(now + LEASE + 1, batches=1)["batches"] == 0
    assert alive.turn(now + LEASE + PERIOD + SLACK + 2, batches=9)["batches"] == CALLS


def test_worker_is_told_when_its_turn_comes(server: "Redis") -> None:
    """Who waits is told the moment at which a place is free for it, in order."""
    run = in_invented_time(server)
    first, second, now = Worker(run), Worker(run), 1_800_000_000.0
    second.turn(now)
    assert first.turn(now, batches=5)["batches"] == CALLS
    for number in range(CALLS):
        first.end(now + 2 + number, now)
        first.turn(now + 2 + number)
        second.turn(now + 2 + number)
    first.turn(now + 7)
    hold = PERIOD * 1.0005
    assert second.turn(now + 7, batches=2)["due"] == pytest.approx(2 + hold - 7, abs=0.01)
    assert first.turn(now + 7, batches=1)["due"] == pytest.approx(4 + hold - 7, abs=0.01), "second has made fewer calls"
    assert first.turn(now + 7, singles=1)["due"] == pytest.approx(2 + hold - 7, abs=0.01)
    assert second.turn(now + 7, batches=2)["due"] == pytest.approx(3 + hold - 7, abs=0.01)


def test_worker_that_does_not_come_holds_nobody_up(server: "Redis") -> None:
    """A place that is due to a worker that does not come for it goes to the next one a moment later."""
    run = in_invented_time(server)
    busy, late, now = Worker(run), Worker(run), 1_800_000_000.0
    late.turn(now)
    busy.turn(now, batches=5)
    for _ in range(CALLS):
        busy.end(now, now)
    busy.turn(now)
    free_at = now + SLACK + PERIOD * 1.0005
    for later in (4, 8):
        busy.turn(now + later)
        late.turn(now + later, batches=5)
    assert busy.turn(free_at + 0.01, batches=5)["batches"] == 2, "three are due to who has made fewer calls"
    assert busy.turn(free_at + 0.2, batches=5)["batches"] == 3


def test_clock_that_is_set_back_closes_the_window_for_one_period(server: "Redis") -> None:
    """A clock of Redis that goes back an hour does not keep the calls for an hour."""
    run = in_invented_time(server)
    worker, now = Worker(run), 1_800_003_600.0
    worker.turn(now, batches=5)
    for _ in range(CALLS):
        worker.end(now, now)
    worker.turn(now)
    back = now - 3600
    assert worker.turn(back, batches=5)["batches"] == 0
    assert worker.turn(back + PERIOD + SLACK + 2, batches=5)["batches"] == CALLS
