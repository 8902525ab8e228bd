"""Fixtures that every test may use."""

import asyncio
import gc
import heapq
import itertools
import os
import shutil
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from _pytest.runner import runtestprotocol
from hypothesis import HealthCheck, settings

from criteo_audiences.session import auth, session

pytest.register_assert_rewrite("tests.kit")
from tests.kit import settle  # noqa: E402 - its asserts are rewritten first

# A busy machine must not fail a test: property tests have no deadline for an example. The same code gets the same examples,
# so that a failure is the change's own; `.ci/run` tries more of them, and the profile "search" others each time.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
settings.register_profile("quick", PATIENT, max_examples=25, derandomize=True)
settings.register_profile("ci", PATIENT, max_examples=150, derandomize=True)
settings.register_profile("search", PATIENT, max_examples=1_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


_IN_MEMORY = Path("/dev/shm")  # noqa: S108 - pytest makes directories of its own there
_ROOM = 2 << 30
"""Bytes of memory that must be free for the files of the tests."""
_STATE_HOMES = pytest.StashKey[Iterator[Path]]()


def pytest_configure() -> None:
    """Keeps the tests' files in memory if there is room, since thousands of waits for a disk take long."""
    if "TMPDIR" in os.environ or not os.access(_IN_MEMORY, os.W_OK) or shutil.disk_usage(_IN_MEMORY).free < _ROOM:
        return
    os.environ["TMPDIR"] = str(_IN_MEMORY)
    tempfile.tempdir = None  # makes tempfile read the environment again


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Gives the test a state directory of its own, never the developer's, and hides the clients of earlier tests.

    A hook, since two fixtures would take seconds in ten thousand tests. The code creates the directory when it writes.
    """
    if _STATE_HOMES not in item.config.stash:
        parent = Path(tempfile.mkdtemp(prefix="state-"))
        item.config.add_cleanup(lambda: shutil.rmtree(parent))
        item.config.stash[_STATE_HOMES] = (parent / str(number) for number in itertools.count())
    os.environ["XDG_STATE_HOME"] = str(next(item.config.stash[_STATE_HOMES]))
    session.APPLICATIONS = auth.Applications()


@pytest.fixture
def state_home() -> Path:
    """The test's directory for state, which may not be there yet."""
    return Path(os.environ["XDG_STATE_HOME"])


class FakeTimer:
    """A callback of the fake clock."""

    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        """See `Timer.cancel`."""
        self.cancelled = True


class FakeClock:
    """A clock that stands still until `advance` moves it; implements `criteo_audiences.session.Clock`."""

    def __init__(self, *, epoch: float = 1_800_000_000.0) -> None:
        self._now = 1_000.0
        self._epoch = epoch
        self._due: list[tuple[float, int, FakeTimer, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self.slept: list[float] = []

    def now(self) -> float:
        """Returns seconds, which only `advance` moves."""
        return self._now

    def time(self) -> float:
        """Returns epoch seconds, which move along with `now`."""
        return self._epoch + self._now - 1_000.0

    def call_later(self, delay: float, callback: Callable[[], None]) -> FakeTimer:
        """Runs the callback when `advance` passes its time."""
        timer = FakeTimer()
        heapq.heappush(self._due, (self._now + delay, next(self._numbers), timer, callback))
        return timer

    async def sleep(self, delay: float) -> None:
        """Returns when `advance` has passed the delay; keeps it in `slept`."""
        self.slept.append(delay)
        woken = asyncio.get_running_loop().create_future()
        self.call_later(delay, lambda: woken.done() or woken.set_result(None))
        await woken

    async def advance(self, seconds: float) -> None:
        """Moves the time, running what falls due on the way and letting every task go as far as it can."""
        end = self._now + seconds
        await settle()
        while self._due and self._due[0][0] <= end:
            due, _, timer, callback = heapq.heappop(self._due)
            self._now = max(self._now, due)
            if not timer.cancelled:
                callback()
                await settle()
        self._now = end
        await settle()


def pytest_make_parametrize_id(val: object) -> str | None:
    """Names unprintable bytes by their length: compressed data differs between processes because of a timestamp."""
    if isinstance(val, bytes) and not (val.isascii() and val.decode().isprintable()):
        return f"{len(val)}-bytes"
    return None


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Begins in each process with another directory, so that the processes share the work of compiling the tests."""
    gc.disable()  # collecting only adds objects that stay
    arguments = session.config.args
    begin = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % len(arguments)
    session.config.args = arguments[begin:] + arguments[:begin]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sorts the tests by file, since all processes must collect them in one order."""
    items.sort(key=lambda item: item.path)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Freezes the collected tests, because every garbage collection would walk through thousands of them."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)  # rare and thorough: a test leaves little behind
    gc.enable()


def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Sends the result of a test to the main process in one message, not in five: there are thousands of tests."""
    asked = item.config.option
    if not hasattr(item.config, "workerinput") or asked.verbose > 0 or asked.durations or asked.xmlpath:
        return None
    for report in runtestprotocol(item, log=False, nextitem=nextitem):
        if report.when == "call" or not report.passed:
            item.ihook.pytest_runtest_logreport(report=report)
    return True


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """Distributes tests one by one, but all of `tests/interop` to one process, whose last test checks all calls."""
    from xdist.scheduler import LoadScopeScheduling  # noqa: PLC0415 - only where there are several processes

    class Scheduler(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "interop" if nodeid.startswith("tests/interop/") else nodeid

        def _reschedule(self, node: Any) -> None:
            given = self.assigned_work[node]
            for done in [name for name, tests in given.items() if all(tests.values())]:
                del given[done]  # or all finished tests of a process would be counted again after each test
            super()._reschedule(node)

    return Scheduler(config, log)


@pytest.fixture
def clock() -> FakeClock:
    """A clock that only the test moves."""
    return FakeClock()


@pytest.fixture
def short_stacks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets asyncio's debug mode note only the line that made a task or a callback: whole stacks take most of the time."""
    monkeypatch.setattr(traceback, "walk_stack", lambda frame: iter([(frame, frame.f_lineno)]))
