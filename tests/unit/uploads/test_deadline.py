import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from criteo_audiences import BatchResult, ConfigurationError, RequestTimeout, UploadFailedError, UploadReport
from criteo_audiences.models import ContactListOperation
from criteo_audiences.uploads import Amendment
from tests.kit import LIST, checked, emails, options_of, stream, upload

Fake = Callable[..., Any]


def settings(**options: Any) -> Any:
    """Two senders, batches of ten, 2.5 seconds."""
    return options_of(**{"batch_size": 10, "max_concurrency": 2, "deadline": 2.5, **options})


def test_no_batch_starts_after_the_deadline(fake_amend: Fake) -> None:
    """What came back before it counts, what had not been sent is pending, and the report says why it is not ok."""
    amend = fake_amend(latency=1.0)
    report = checked(upload(amend, LIST, emails(), settings(drain_timeout=10.0)))
    assert max(amend.arrived_at) == 2.0
    assert (report.valid, report.unknown, report.batches) == (60, 0, 6)
    assert report.pending == report.read - 60 > 0
    assert (report.deadline_passed, report.ok, report.to_dict()["deadline_passed"]) == (True, False, True)
    assert report.explain() == (
        f"The upload is not complete: its deadline ended it; {report.pending} identifiers were not sent (pending)."
    )
    with pytest.raises(UploadFailedError, match="its deadline ended it"):
        report.raise_for_failures()


@pytest.mark.parametrize(("drain_timeout", "valid", "unknown"), [(0.0, 40, 20), (0.499, 40, 20), (0.501, 60, 0)])
def test_batches_in_flight_get_drain_timeout(fake_amend: Fake, drain_timeout: float, valid: int, unknown: int) -> None:
    """Those that end within it are counted, the others are given up: failures whose outcome is unknown."""
    amend = fake_amend(latency=1.0)
    report = checked(upload(amend, LIST, emails(), settings(drain_timeout=drain_timeout)))
    assert (report.valid, report.unknown, amend.in_flight) == (valid, unknown, 0)
    assert [type(failure.error) for failure in report.failures] == [RequestTimeout] * (unknown // 10)
    assert report.deadline_passed


@pytest.mark.parametrize("deadline", [3.0001, 60.0, None])
def test_deadline_that_is_kept_changes_nothing(fake_amend: Fake, deadline: float | None) -> None:
    """An upload that ends in time is as good as one without a deadline, and does not wait for it."""

    async def main() -> UploadReport:
        report = await upload(fake_amend(latency=1.0), LIST, emails(60), settings(deadline=deadline))
        assert asyncio.get_running_loop().time() < 3.01
        return report

    report = checked(main())
    assert (report.valid, report.deadline_passed, report.ok, report.explain()) == (60, False, True, "")


def test_deadline_while_the_last_batches_are_in_flight(fake_amend: Fake) -> None:
    """An upload whose last batches end while they are drained is complete; its deadline has ended nothing."""
    report = checked(upload(fake_amend(latency=1.0), LIST, emails(60), settings(drain_timeout=5.0)))
    assert (report.valid, report.deadline_passed, report.ok) == (60, False, True)


@pytest.mark.parametrize("drain_timeout", [0.0, 10.0])
def test_batch_that_waits_for_the_quota_does_not_start(drain_timeout: float) -> None:
    """A batch that no request has carried is given up at the deadline itself: pending, and no failure."""

    async def wait_for_quota(amendment: Amendment) -> ContactListOperation:
        await asyncio.sleep(0 if amendment.batch.number <= 2 else 3_600)
        amendment.meter.count_call()
        return ContactListOperation(valid=amendment.batch.count, invalid=0)

    async def main() -> UploadReport:
        report = await upload(wait_for_quota, LIST, emails(40), settings(drain_timeout=drain_timeout))
        assert asyncio.get_running_loop().time() == pytest.approx(2.5)
        return report

    report = checked(main())
    assert (report.valid, report.pending, report.calls, report.batches) == (20, 20, 2, 2)
    assert (report.failures, report.deadline_passed) == ((), True)


def test_source_that_never_yields_is_left(fake_amend: Fake) -> None:
    """The deadline ends an upload whose source is silent; what it gave before was sent or is pending."""
    closed = []

    async def silent() -> AsyncIterator[str]:
        try:
            for email in emails(15):
                yield email
            await asyncio.sleep(3_600)
        finally:
            closed.append(True)

    report = checked(upload(fake_amend(), LIST, silent(), settings()))
    assert (report.read, report.valid, report.pending, closed) == (15, 10, 5, [True])
    assert report.deadline_passed


def test_silent_source_without_a_pending_row_is_not_complete(fake_amend: Fake) -> None:
    """When everything read was sent but the source had not ended, the report is not ok."""

    async def silent() -> AsyncIterator[str]:
        for email in emails(20):
            yield email
        await asyncio.sleep(3_600)

    report = checked(upload(fake_amend(), LIST, silent(), settings()))
    assert (report.read, report.valid, report.pending) == (20, 20, 0)
    assert (report.deadline_passed, report.ok) == (True, False)
    assert report.explain() == "The upload is not complete: its deadline ended it."


def test_aware_datetime_is_a_moment(fake_amend: Fake) -> None:
    """A deadline may be a moment, in any time zone."""
    zone = dt.timezone(dt.timedelta(hours=-9))
    moment = dt.datetime.now(zone) + dt.timedelta(seconds=100)
    report = checked(upload(fake_amend(latency=30.0), LIST, emails(), settings(deadline=moment, drain_timeout=60.0)))
    assert (report.valid, report.deadline_passed) == (80, True)


def test_moment_that_passes_before_reading_begins_sends_nothing(fake_amend: Fake) -> None:
    """A moment that lay ahead when the options were checked, and no more when reading begins, leaves no time."""
    chosen = None
    while chosen is None:
        with suppress(ConfigurationError):  # the machine was away for longer than that
            chosen = settings(deadline=dt.datetime.now(dt.UTC) + dt.timedelta(milliseconds=1))
    while chosen.seconds_left():
        pass
    report = checked(upload(fake_amend(latency=1.0), LIST, emails(), chosen))
    assert (report.valid, report.deadline_passed, report.ok) == (0, True, False)


def test_stream_ends_by_itself_at_the_deadline(fake_amend: Fake) -> None:
    """Whoever iterates gets the batches that came back, and then the end."""

    async def main() -> UploadReport:
        seen: list[BatchResult] = []
        async with stream(fake_amend(latency=1.0), LIST, emails(), settings(drain_timeout=1.0)) as results:
            seen.extend([result async for result in results])
        assert len(seen) == 6
        return results.report

    assert checked(main()).deadline_passed


def test_dry_run_keeps_the_deadline_too(fake_amend: Fake) -> None:
    """A dry run that its deadline ends has not seen the whole source, and says so."""

    async def slow() -> AsyncIterator[str]:
        for email in emails():
            await asyncio.sleep(0.1)
            yield email

    report = checked(upload(fake_amend(), LIST, slow(), settings(dry_run=True)))
    assert (report.deadline_passed, report.ok, report.sent) == (True, False, 0)
    assert 20 <= report.read <= 25


@pytest.mark.parametrize("source", [["a@b.co"], pl.DataFrame({"email": ["a@b.co"]})], ids=["iterable", "table"])
async def test_a_deadline_that_passes_before_a_row_is_read(source: Any, fake_amend: Fake) -> None:
    """As when the look at the segment waits for the quota: nothing is read, and the report says why."""
    amend = fake_amend()
    report = await upload(amend, LIST, source, settings(deadline=0.01), asyncio.Event().wait)
    assert (report.read, report.deadline_passed, report.ok) == (0, True, False)
    assert report.explain().startswith("The upload is not complete: its deadline ended it")
    assert amend.received == []


async def test_a_journal_of_an_upload_that_read_nothing_is_not_finished(fake_amend: Fake, tmp_path: Path) -> None:
    """The same upload, started again, sends everything."""
    options = {"journal": tmp_path / "journal"}
    await upload(fake_amend(), LIST, ["a@b.co"], settings(deadline=0.01, **options), asyncio.Event().wait)
    amend = fake_amend()
    assert (await upload(amend, LIST, ["a@b.co"], settings(**options))).ok
    assert amend.identifiers == ["a@b.co"]
