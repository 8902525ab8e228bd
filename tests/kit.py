"""Helpers for tests of uploads: a contact list, rows, options, a sandbox with a client, and checks of every report."""

import asyncio
import gc
import itertools
import os
import selectors
import sys
import threading
from collections.abc import Awaitable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import attrs
import pytest

from criteo_audiences import CriteoClient, UploadReport
from criteo_audiences.sandbox import RecordedRequest, Sandbox
from criteo_audiences.uploads import Destination, Outcome
from criteo_audiences.uploads.options import Options
from criteo_audiences.uploads.uploader import stream, upload

__all__ = [
    "AMENDING",
    "LIST",
    "Stage",
    "assert_adds_up",
    "checked",
    "emails",
    "options_of",
    "run_in_virtual_time",
    "settle",
    "stream",
    "upload",
]

T = TypeVar("T")

LIST = Destination(service="marketing-solutions", host="127.0.0.1", segment_id="1")
"""The contact list of an upload that reaches no server."""

AMENDING = "contact-list"
"""Part of the path of every call that changes a list, for `Sandbox.fail_next(on=...)`."""


def emails(count: int | None = None) -> Iterator[str]:
    """Yields this many different addresses, or endlessly many."""
    return (f"{number}@example.com" for number in itertools.islice(itertools.count(), count))


def options_of(**chosen: Any) -> Options:
    """Returns the options of an upload; the default is not to hash."""
    return Options(**{"hash": None, **chosen})


def assert_adds_up(report: UploadReport) -> None:
    """Asserts that every row and every identifier of a report is accounted for."""
    not_sent = report.rejected_total + (report.duplicates or 0) + report.suppressed + report.pending
    assert report.read == report.sent + not_sent
    assert report.sent == report.valid + report.invalid + report.unreported + report.failed + report.unknown
    counts = [report.read, report.pending, *report.rejected.values()]
    counts += [count for outcome in report.by_type.values() for count in attrs.astuple(outcome)]
    assert all(count >= 0 for count in counts)
    assert sum(report.by_type.values(), Outcome()).sent == report.sent


async def settle() -> None:
    """Lets every ready task run until all of them wait for something."""
    ready = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]
    for _ in range(500):  # a limit, for a task that never waits
        await asyncio.sleep(0)
        if not ready:
            await asyncio.sleep(0)  # lets the loop poll for I/O
            if not ready:
                return


class _Skipping(selectors.DefaultSelector):
    """Never waits: adds up the time that it would have waited, and raises instead of waiting forever."""

    def __init__(self) -> None:
        super().__init__()
        self.skipped = 0.0

    def select(self, timeout: float | None = None) -> Any:
        """Returns the events that are ready now."""
        ready = super().select(0)
        if not ready and timeout is None:
            raise RuntimeError("deadlock: every task waits, and no timer will wake one")
        if not ready and timeout:
            self.skipped += timeout
        return ready


class _VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop with virtual time: waits are exact and take no real time; a deadlock raises an error."""

    def __init__(self) -> None:
        self._skipping = _Skipping()
        super().__init__(self._skipping)

    def time(self) -> float:
        """Returns virtual seconds, which only waits advance."""
        return self._skipping.skipped


def run_in_virtual_time(main: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine on a new event loop in which waits take no real time."""
    with asyncio.Runner(loop_factory=_VirtualTimeLoop) as runner:
        return runner.run(main)


def checked(main: Awaitable[UploadReport]) -> UploadReport:
    """Runs an upload in virtual time, and asserts that its report adds up and that no task is left."""

    async def leave_nothing() -> UploadReport:
        before = asyncio.all_tasks()
        report = await main
        assert asyncio.all_tasks() == before
        return report

    gc.freeze()  # the collection below looks only at what this upload has made
    report = run_in_virtual_time(leave_nothing())
    assert_adds_up(report)
    gc.collect()  # a stream that was never closed would warn now, which fails the test
    return report


@attrs.define
class Stage:
    """A sandbox with a contact list, and a client of it."""

    sandbox: Sandbox
    criteo: CriteoClient
    segment_id: str

    @property
    def held(self) -> frozenset[str]:
        """The identifiers in the server's list."""
        return self.sandbox.contact_list(self.segment_id).identifiers

    @property
    def calls(self) -> list[RecordedRequest]:
        """The calls of the API so far."""
        return [each for each in self.sandbox.requests if "oauth2" not in each.path]

    @property
    def amendments(self) -> list[RecordedRequest]:
        """The calls that change a list so far."""
        return [each for each in self.calls if not each.path.endswith("/search")]

    @property
    def token_calls(self) -> list[RecordedRequest]:
        """The calls for a token so far."""
        return [each for each in self.sandbox.requests if "oauth2" in each.path]

    async def upload(self, source: Any, **options: Any) -> UploadReport:
        """Uploads to the contact list, without hashing by default, and asserts that the report adds up."""
        chosen = {"hash": None, **options}
        report = await self.criteo.marketing_solutions.upload_contact_list(self.segment_id, source, **chosen)
        assert_adds_up(report)
        return report


@contextmanager
def nothing_else_measured() -> Iterator[None]:
    """Disables garbage collection and tracing (coverage) inside the block, so that they do not affect a measurement."""
    here, in_threads = sys.gettrace(), threading.gettrace()
    gc.disable()
    sys.settrace(None)
    threading.settrace(None)  # type: ignore[arg-type]
    try:
        yield
    finally:
        threading.settrace(in_threads)  # type: ignore[arg-type]
        sys.settrace(here)
        gc.enable()


@contextmanager
def no_descriptors(spare: int = 0) -> Iterator[None]:
    """Leaves this process only `spare` file descriptors that it can open."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + spare, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
