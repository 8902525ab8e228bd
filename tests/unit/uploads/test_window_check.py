"""Whether an upload ends before Criteo's next computation is foretold before anything is sent."""

import datetime as dt
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from criteo_audiences import (
    BatchResult,
    ConfigurationError,
    IdentifierType,
    UploadReport,
    WindowMissedError,
    live_from,
    next_window,
)
from criteo_audiences.uploads import Outcome
from criteo_audiences.uploads.slots import Slots
from criteo_audiences.uploads.tally import Tally
from criteo_audiences.uploads.value_lane import ValueLane
from criteo_audiences.windows import straddle
from tests.kit import LIST, assert_adds_up, emails, options_of, stream, upload

Fake = Callable[..., Any]

NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
TOO_LONG = 12 * 3_600.0
"""No computation is further away."""


def frame(count: int) -> pl.DataFrame:
    """Returns a table with so many addresses, each twice."""
    return pl.DataFrame({"email": [*emails(count), *emails(count)]})


class Quota:
    """Says how long calls wait, and remembers how many it was asked about."""

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self.asked: list[int] = []

    def __call__(self, calls: int) -> float | None:
        """See `QuotaWait`."""
        self.asked.append(calls)
        return self.seconds


@pytest.mark.parametrize(("early", "late"), [(60.0, False), (60.000001, False), (59.999999, True), (0.5, True)])
def test_the_last_call_starts_before_the_computation_or_is_late(early: float, late: bool) -> None:  # noqa: FBT001
    """A call that goes out a minute later is late from a minute before on: on the stroke of twelve is too late."""
    now = NOON - dt.timedelta(seconds=early)
    found = straddle(500, 60.0, now)
    expected = late or early == 60.0
    assert (found is not None) is expected
    if found is not None:
        assert (found.calls, found.window, found.last_call) == (500, NOON, now + dt.timedelta(seconds=60))


@given(st.datetimes(dt.datetime(1970, 1, 2), dt.datetime(9000, 1, 1), timezones=st.just(dt.UTC)), st.floats(0, 200_000))  # noqa: DTZ001
def test_an_upload_straddles_when_its_last_call_has_another_next_computation(now: dt.datetime, seconds: float) -> None:
    """So it is late exactly when what it sends first and what it sends last count from different computations."""
    last = now + dt.timedelta(seconds=seconds)
    assert (straddle(1, seconds, now) is None) is (next_window(now) == next_window(last))


def test_nothing_to_send_and_a_quota_that_nobody_knows_are_never_late() -> None:
    """There is no last call then, or no arithmetic."""
    assert straddle(0, TOO_LONG, NOON) is None
    assert straddle(-2, TOO_LONG, NOON) is None
    assert straddle(5, None, NOON) is None


@pytest.mark.parametrize(("source", "calls"), [(list(emails(25)), 3), (frame(25), 3), (set(emails(21)), 3)])
async def test_an_upload_that_cannot_end_in_time_sends_nothing(fake_amend: Fake, source: Any, calls: int) -> None:
    """It is refused by the quota's arithmetic over the calls it takes, before the first one of them."""
    amend, quota = fake_amend(), Quota(TOO_LONG)
    options = options_of(batch_size=10, deadline="next-window")
    with pytest.raises(WindowMissedError, match="Nothing was sent, because deadline='next-window'") as refused:
        await upload(amend, LIST, source, options, None, quota)
    assert (amend.received, quota.asked) == ([], [calls])
    assert f"the last of {calls} calls goes out at 20" in str(refused.value)
    assert refused.value.wait == TOO_LONG
    assert refused.value.window.hour % 12 == 0


@pytest.mark.parametrize("seconds", [0.0, None])
async def test_an_upload_that_the_quota_lets_end_in_time_goes_out(fake_amend: Fake, seconds: float | None) -> None:
    """As does one whose limiter says nothing; then the deadline itself ends what is late."""
    amend = fake_amend()
    options = options_of(batch_size=10, deadline="next-window")
    report = await upload(amend, LIST, frame(25), options, None, Quota(seconds))
    assert_adds_up(report)
    assert (report.valid, report.ok, report.window_warning) == (25, True, None)
    left = options.seconds_left()
    assert left is not None
    assert 0 < left <= TOO_LONG


async def test_a_source_that_nobody_can_count_is_refused_with_that_deadline(fake_amend: Fake) -> None:
    """Half an audience would be sent before its end is seen."""
    amend = fake_amend()
    with pytest.raises(ConfigurationError, match="needs a source that can be counted before the first call"):
        await upload(amend, LIST, emails(5), options_of(deadline="next-window"))
    assert amend.received == []


@pytest.mark.parametrize("deadline", ["next_window", "noon", "", "planted@example.com"])
def test_another_word_is_no_deadline(deadline: str) -> None:
    """The refusal says which one there is, and does not show what was given."""
    with pytest.raises(ConfigurationError, match=r"deadline must be seconds, .* or 'next-window'") as refused:
        options_of(deadline=deadline)
    assert "planted" not in str(refused.value)


@pytest.fixture(params=["list", "table", "one pass"])
def countable(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Any, bool | None]:
    """A source of 25 addresses that can be counted, with its `dedupe`: the last one is read batch by batch."""
    path = tmp_path / "crm.csv"
    path.write_text("email\n" + "\n".join(emails(25)), encoding="utf-8")
    return {"list": (list(emails(25)), False), "table": (frame(25), None), "one pass": (path, False)}[request.param]


async def test_an_upload_that_straddles_a_computation_is_warned_of(
    fake_amend: Fake, countable: tuple[Any, bool | None], caplog: pytest.LogCaptureFixture
) -> None:
    """It goes on; the log says so before the first call, and the report and its document say so, too."""
    told: list[int] = []

    def answer(_: object) -> None:
        told.append(len(caplog.records))

    with caplog.at_level(logging.WARNING, "criteo_audiences.uploads"):
        source, dedupe = countable
        options = options_of(batch_size=10, dedupe=dedupe)
        report = await upload(fake_amend(reply=answer), LIST, source, options, None, Quota(TOO_LONG))
    assert (report.valid, report.ok, told) == (25, True, [1, 1, 1])
    assert report.window_warning is not None
    assert "some 12 hours before the rest" in report.window_warning
    assert caplog.messages == [report.window_warning]
    assert json.loads(json.dumps(report.to_dict()))["window_warning"] == report.window_warning
    assert sum([UploadReport(), report]).window_warning == report.window_warning


async def test_a_dry_run_predicts_what_the_upload_would_do(fake_amend: Fake) -> None:
    """A warning, or with the deadline the same refusal."""
    rows = list(emails(25))
    for source in (rows, iter(rows), frame(25)):
        quota = Quota(TOO_LONG)
        report = await upload(fake_amend(), LIST, source, options_of(batch_size=10, dry_run=True), None, quota)
        assert report.window_warning is not None
        assert (report.batches, quota.asked) == (3, [3])
    options = options_of(batch_size=10, dry_run=True, deadline="next-window")
    with pytest.raises(WindowMissedError):
        await upload(fake_amend(), LIST, frame(25), options, None, Quota(TOO_LONG))


async def test_what_an_earlier_run_delivered_takes_no_call(fake_amend: Fake, tmp_path: Path) -> None:
    """A resumed upload is judged by what it still has to send; one that is refused leaves the journal as it was."""
    rows = list(emails(25))
    options = {"batch_size": 10, "journal": tmp_path / "journal"}
    async with stream(fake_amend(), LIST, rows, options_of(max_concurrency=1, **options)) as results:
        await anext(results)
    done = results.report.batches
    assert 0 < done < 3
    quota = Quota(TOO_LONG)
    late = options_of(deadline="next-window", **options)
    for _ in range(2):
        with pytest.raises(WindowMissedError):
            await upload(fake_amend(), LIST, rows, late, None, quota)
    assert quota.asked == [3 - done, 3 - done]
    report = await upload(fake_amend(), LIST, rows, options_of(**options), None, Quota(0.0))
    assert (report.resumed, report.valid, report.ok) == (done, 25, True)


async def test_an_upload_that_is_refused_leaves_no_journal(fake_amend: Fake, tmp_path: Path) -> None:
    """There is nothing to remember."""
    options = options_of(journal=tmp_path / "journal", deadline="next-window")
    with pytest.raises(WindowMissedError):
        await upload(fake_amend(), LIST, frame(25), options, None, Quota(TOO_LONG))
    assert not (tmp_path / "journal").exists()


def result(number: int) -> BatchResult:
    """Returns a batch that an earlier run delivered."""
    return BatchResult(number=number, kind=IdentifierType.EMAIL, sent=1, outcome=Outcome(valid=1), resumed=True)


def report_of(*accepted: dt.datetime) -> UploadReport:
    """Returns the report of batches accepted at these moments."""
    options = options_of()
    tally = Tally(ValueLane([], options), options, Slots(), now=lambda: 0.0)
    for number, moment in enumerate(accepted, start=1):
        tally.resume(result(number), moment)
    return tally.report()


def test_a_report_says_when_a_part_is_live_earlier() -> None:
    """Accepted on both sides of a computation, whatever the order; in one window there is no part."""
    before, after = NOON - dt.timedelta(seconds=1), NOON
    for accepted in ((before, after), (after, before), (after, before, after)):
        report = report_of(*accepted)
        assert (report.partly_live_from, report.live_from) == (live_from(before), live_from(after))
        assert report.to_dict()["partly_live_from"] == "2026-03-01T17:00:00+00:00"
    assert report_of(after, after).partly_live_from is None
    assert report_of().live_from is None


def test_a_sum_is_live_when_its_last_part_is() -> None:
    """And in part when the first one is."""
    early, late, both = report_of(NOON - dt.timedelta(hours=1)), report_of(NOON), report_of(NOON, NOON.replace(hour=1))
    assert (early + late).live_from == late.live_from
    assert (early + late).partly_live_from == early.live_from
    assert (late + late).partly_live_from is None
    assert (late + both).partly_live_from == both.partly_live_from == early.live_from
    assert (UploadReport() + late).live_from == late.live_from
