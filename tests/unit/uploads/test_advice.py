import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import attrs
import pytest

from criteo_audiences import IdentifierType, Progress, ServerError, UploadReport
from criteo_audiences.meter import CallMeter
from criteo_audiences.uploads.amendment import Outcome
from criteo_audiences.uploads.slots import LimitedBy, Slots
from criteo_audiences.uploads.summary import Figures, hint
from criteo_audiences.uploads.tally import Tally
from criteo_audiences.uploads.value_lane import ValueLane
from tests.kit import emails, options_of

FIGURES = Figures(
    elapsed=100.0,
    waited=0.0,
    reading=10.0,
    limited={LimitedBy.MAX_CONCURRENCY: 95.0},
    busy=400.0,
    batches=200,
    max_concurrency=4,
    most_in_flight=4,
    most_bytes_in_flight=16_000_000,
    window=(250, 60.0),
)
"""Four senders that were always busy, two seconds a call: 120 calls a minute."""


def of(**changes: Any) -> str | None:
    """Returns the hint for figures that differ from the usual ones."""
    if (full := changes.pop("full", None)) is not None:
        changes["limited"] = {LimitedBy.MAX_CONCURRENCY: full}
    if number := changes.get("max_concurrency"):
        changes["most_in_flight"] = number
    return hint(attrs.evolve(FIGURES, **changes))


def test_concurrency_that_was_the_limit_is_told_with_a_better_one() -> None:
    """Requests in flight that the quota needs are its rate times a call's seconds: 250 a minute, 2 s each, is 9."""
    assert of() == (
        "max_concurrency=4 was the limit: a call took 2.0 s, so it made 120 calls a minute and the quota would have "
        "allowed 250; leave it out, or try 9, unless the network is full."
    )


@pytest.mark.parametrize(
    ("changes", "better"),
    [
        ({"window": (50, 2.0)}, 50),
        ({"window": (50, 2.0), "batches": 20, "busy": 40.0}, 20),
        ({"window": (10_000, 60.0)}, 100),
        ({"window": None}, 8),
        ({"window": None, "max_concurrency": 60}, 100),
        ({"window": (125, 60.0)}, 5),
    ],
)
def test_better_concurrency_is_bounded(changes: dict[str, Any], better: int) -> None:
    """It is no more than the quota, the batches there are, or the option's own bound can use."""
    assert f"; leave it out, or try {better}, unless" in (of(**changes) or "")


@pytest.mark.parametrize(
    "changes",
    [
        {"elapsed": 4.999, "full": 4.999},
        {"waited": 10.0},
        {"batches": 0, "busy": 0.0},
        {"batches": 4, "busy": 380.0},
        {"failed": 20},
        {"failed": 200},
        {"failed": 200, "reading": 95.0, "full": 0.0},
        {"max_concurrency": 9},
        {"max_concurrency": 100},
        {"window": (120, 60.0)},
        {"window": (10, 60.0)},
        {"full": 79.9},
        {"full": 0.0, "reading": 79.9},
    ],
)
def test_nothing_to_gain_is_no_hint(changes: dict[str, Any]) -> None:
    """A short upload, one held back by the quota or by failures, one with room for no more in flight, or a mixed picture."""
    assert of(**changes) is None


def test_both_sides_of_the_bounds() -> None:
    """Just beyond what counts as short, as held back, as mostly busy, there is a hint."""
    assert of(elapsed=5.0, full=5.0)
    assert of(waited=9.99)
    assert of(failed=19)
    assert of(full=80.0)
    assert of(full=0.0, reading=80.0)


def test_memory_that_was_the_limit_is_told() -> None:
    """More bytes in flight would use the quota; where the server bears no more, nothing is to be gained."""
    assert of(limited={LimitedBy.MEMORY: 95.0}, max_concurrency=None) == (
        "max_in_flight_bytes=16,000,000 was the limit: a call took 2.0 s, so it made 120 calls a minute and the quota "
        "would have allowed 250; give more, for 9 batches in flight, unless the network is full."
    )
    assert of(limited={LimitedBy.ROUND_TRIPS: 95.0}, max_concurrency=None) is None
    assert of(limited={LimitedBy.QUOTA: 95.0}, max_concurrency=None) is None


def test_source_that_was_the_limit_is_told() -> None:
    """When reading took most of the time, more senders would have nothing to send."""
    assert of(reading=91.4, full=0.0) == (
        "The source was the limit: reading and preparing it took 91 of the 100 s, the quota held nothing back."
    )


def tally_of(now: Callable[[], float] = lambda: 0.0, **options: Any) -> Tally:
    """Returns the tally of an upload that has not begun."""
    settings = options_of(**options)
    return Tally(ValueLane([], settings), settings, Slots(now), now)


def test_tally_adds_up_what_the_parts_did() -> None:
    """Seconds in flight are summed over the batches; waits are no reading."""
    moment = [100.0]
    tally = tally_of(lambda: moment[0], max_concurrency=2)

    def give_up() -> None:
        tally.abandon(IdentifierType.EMAIL, Outcome())

    def start() -> None:
        tally.start(10)

    for change, seconds in [(start, 3.0), (start, 5.0), (give_up, 2.0), (give_up, 7.0)]:
        change()
        moment[0] += seconds
    assert tally.busy == 3.0 + 2 * 5.0 + 2.0
    with tally.handing_over():
        moment[0] += 4.0
    assert (tally.delivering, tally.reading) == (4.0, 17.0)
    tally.end_reading()
    moment[0] += 50.0
    assert tally.reading == 17.0


def test_upload_with_busy_senders_reports_the_hint(run_timed: Any, fake_amend: Any) -> None:
    """Forty calls of 2 s, four at a time, on a quota of 250 a minute: nine at a time would use it."""

    def note(amendment: Any) -> None:
        amendment.meter.note_window((250, 60.0))

    report = run_timed(fake_amend(latency=2.0, reply=note), emails(400), max_concurrency=4)
    assert report.elapsed == pytest.approx(20.0)
    assert "max_concurrency=4 was the limit: a call took 2.0 s" in report.hint
    assert "leave it out, or try 9" in report.hint
    assert report.limited_by is LimitedBy.MAX_CONCURRENCY
    assert report.most_in_flight == 4
    assert report.to_dict()["hint"] == report.hint
    assert (report + UploadReport()).hint == (UploadReport() + report).hint == report.hint


def test_upload_of_a_slow_source_reports_the_hint(run_timed: Any, fake_amend: Any) -> None:
    """A source that yields ten rows a second is the limit, unless it is known to trickle."""

    async def slow() -> AsyncIterator[str]:
        for email in emails(100):
            await asyncio.sleep(0.1)
            yield email

    assert "The source was the limit: reading and preparing it took 10 of the 10 s" in (
        run_timed(fake_amend(latency=0.1), slow()).hint
    )
    assert run_timed(fake_amend(latency=0.1), slow(), flush_after=5.0).hint is None


@pytest.mark.parametrize("latency", [0.0, 2.0])
def test_upload_of_which_every_batch_failed_has_no_hint_and_no_end(
    run_timed: Any, fake_amend: Any, latency: float
) -> None:
    """Neither the source nor the concurrency was the limit, and nobody knows how long the rest takes."""
    told: list[Progress] = []

    async def slow() -> AsyncIterator[str]:
        for email in emails(400):
            await asyncio.sleep(0.0 if latency else 0.1)
            yield email

    amend = fake_amend(latency=latency, reply=lambda _: ServerError(503))
    report = run_timed(amend, slow(), on_progress=told.append, max_concurrency=4)
    assert report.elapsed > 5.0
    assert len(report.failures) == 40
    assert report.hint is None
    assert {progress.remaining for progress in told} == {None}


def test_slow_caller_is_nobodys_fault() -> None:
    """A caller who takes his time over results keeps senders from sending; neither the source nor they are blamed."""
    moment = [0.0]
    tally = tally_of(lambda: moment[0])
    tally.batches, tally.busy = 50, 100.0
    with tally.handing_over():
        moment[0] = 95.0
    moment[0] = 100.0
    tally.close()
    assert tally.report().elapsed == 100.0
    assert tally.report().hint is None


def test_waits_and_the_whole_are_of_one_clock() -> None:
    """Also when the machine sleeps during a wait: no more was waited than went by, and no negative time is left."""
    moment = [0.0]
    tally = tally_of(lambda: moment[0])
    with CallMeter(parent=tally.meter).waiting():
        moment[0] = 3_600.0
        assert (tally.progress().waited, tally.progress().elapsed) == (3_600.0, 3_600.0)
    tally.close()
    assert (tally.report().waited, tally.report().elapsed) == (3_600.0, 3_600.0)


def test_hint_waits_for_the_end() -> None:
    """As long as an upload runs, there is no hint."""
    moment = [0.0]
    tally = tally_of(lambda: moment[0])
    moment[0], tally.batches = 100.0, 10
    assert tally.report().hint is None
    tally.close()
    assert tally.report().hint is not None
