import asyncio
import selectors
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import anyio
import attrs
import orjson
import pytest

from criteo_audiences.models import ContactListOperation
from criteo_audiences.uploads import Amendment, Outcome, UploadReport

T = TypeVar("T")


class _Skipping(selectors.DefaultSelector):
    """Never waits: reports the time that it would have waited, and refuses to wait for ever."""

    def __init__(self) -> None:
        super().__init__()
        self.skipped = 0.0

    def select(self, timeout: float | None = None) -> Any:
        """Returns what is ready now."""
        ready = super().select(0)
        if not ready and timeout is None:
            raise RuntimeError("deadlock: every task waits, and no timer will wake one")
        if not ready and timeout:
            self.skipped += timeout
        return ready


class _VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose waits take no time and are exact; it notices when every task waits for ever."""

    def __init__(self) -> None:
        self._skipping = _Skipping()
        super().__init__(self._skipping)

    def time(self) -> float:
        """Seconds, moved by waits alone."""
        return self._skipping.skipped


def _run(main: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=_VirtualTimeLoop) as runner:
        return runner.run(main)


@pytest.fixture(scope="session")
def run_in_virtual_time() -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Runs a coroutine on a loop of its own where waits take no time."""
    return _run


Reply = Callable[[Amendment], "ContactListOperation | BaseException | Awaitable[ContactListOperation] | None"]


def accept(amendment: Amendment) -> ContactListOperation:
    """Every identifier is valid."""
    return ContactListOperation(valid=amendment.batch.count, invalid=0)


@attrs.define(kw_only=True)
class FakeAmend:
    """An amend call that reaches nobody: answers as `reply` says, and remembers what it was given."""

    reply: Reply = accept
    latency: float = 0.0
    received: list[Amendment] = attrs.field(factory=list)
    arrived_at: list[float] = attrs.field(factory=list)
    in_flight: int = 0
    max_in_flight: int = 0

    async def __call__(self, amendment: Amendment) -> ContactListOperation:
        """Takes a batch."""
        self.received.append(amendment)
        self.arrived_at.append(anyio.current_time())
        amendment.meter.count_call()
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        try:
            await anyio.sleep(self.latency)
            answer = self.reply(amendment)
            if isinstance(answer, Awaitable):
                answer = await answer
        finally:
            self.in_flight -= 1
        if isinstance(answer, BaseException):
            raise answer
        return answer if isinstance(answer, ContactListOperation) else accept(amendment)

    @property
    def batches(self) -> list[list[str]]:
        """The identifiers of each batch, by the batch's number."""
        in_order = sorted(self.received, key=lambda amendment: amendment.batch.number)
        return [orjson.loads(b"[" + b"".join(amendment.batch.pieces) + b"]") for amendment in in_order]

    @property
    def identifiers(self) -> list[str]:
        """All identifiers, in the order of the batches' numbers."""
        return [identifier for batch in self.batches for identifier in batch]


@pytest.fixture(scope="session")
def fake_amend() -> type[FakeAmend]:
    """Makes a fake amend call: `fake_amend(reply=..., latency=...)`."""
    return FakeAmend


def _assert_adds_up(report: UploadReport) -> None:
    lost = report.rejected_total + (report.duplicates or 0) + report.suppressed + report.pending
    assert report.read == report.sent + lost
    assert report.sent == report.valid + report.invalid + report.unreported + report.failed + report.unknown
    counts = [report.read, report.pending, *report.rejected.values()]
    counts += [count for outcome in report.by_type.values() for count in attrs.astuple(outcome)]
    assert all(count >= 0 for count in counts)
    assert sum(report.by_type.values(), Outcome()).sent == report.sent


@pytest.fixture(scope="session")
def assert_adds_up() -> Callable[[UploadReport], None]:
    """Asserts that every row and every identifier of a report is accounted for."""
    return _assert_adds_up


async def _settle() -> None:
    for _ in range(200):
        await asyncio.sleep(0)


@pytest.fixture(scope="session")
def settle() -> Callable[[], Awaitable[None]]:
    """Lets every ready task run until all of them wait for something."""
    return _settle
