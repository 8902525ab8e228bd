import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import attrs
import orjson
import pytest

from criteo_audiences import UploadReport
from criteo_audiences.meter import CallEnd
from criteo_audiences.models import ContactListOperation
from criteo_audiences.uploads import Amendment
from criteo_audiences.uploads.slots import Slots
from tests.kit import LIST, options_of, run_in_virtual_time, upload

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
            amendment.meter.count_end(CallEnd.ANSWERED)
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


@pytest.fixture
def run_timed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., UploadReport]:
    """Runs an upload in virtual time, by which its elapsed time and load are measured as well."""

    def run(amend: Any, source: object, *, slots: Slots | None = None, **options: Any) -> UploadReport:
        async def main() -> UploadReport:
            loop = asyncio.get_running_loop()
            monkeypatch.setattr("time.monotonic", loop.time)
            monkeypatch.setattr("time.clock_gettime", lambda _: loop.time())
            settings = options_of(**{"batch_size": 10, **options})
            try:
                return await upload(amend, LIST, source, settings, slots=slots)
            finally:
                monkeypatch.undo()

        return run_in_virtual_time(main())

    return run
