import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from criteo_audiences import live_from, next_window

ZONES = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda minutes: dt.timezone(dt.timedelta(minutes=minutes)))
MOMENTS = st.datetimes(dt.datetime(1970, 1, 2), dt.datetime(9998, 12, 30), timezones=ZONES)  # noqa: DTZ001 - drawn with it
HALF_A_DAY = dt.timedelta(hours=12)


@pytest.mark.parametrize(
    ("after", "computed"),
    [
        ("2026-03-01T00:00:00+00:00", "2026-03-01T12:00:00+00:00"),
        ("2026-03-01T11:59:59.999999+00:00", "2026-03-01T12:00:00+00:00"),
        ("2026-03-01T12:00:00.000000+00:00", "2026-03-02T00:00:00+00:00"),
        ("2026-03-01T12:00:00.000001+00:00", "2026-03-02T00:00:00+00:00"),
        ("2026-03-01T23:59:59.999999+00:00", "2026-03-02T00:00:00+00:00"),
        ("2026-03-01T23:30:00-05:00", "2026-03-02T12:00:00+00:00"),
        ("2024-02-29T18:00:00+05:30", "2024-03-01T00:00:00+00:00"),
        ("2026-12-31T12:00:00+00:00", "2027-01-01T00:00:00+00:00"),
    ],
)
def test_a_change_counts_from_the_computation_that_it_is_prior_to(after: str, computed: str) -> None:
    """Both sides of either computation; one that comes on the stroke of it is late by half a day."""
    moment = dt.datetime.fromisoformat(after)
    assert next_window(moment) == dt.datetime.fromisoformat(computed)
    assert live_from(moment) - next_window(moment) == dt.timedelta(hours=5)


@given(MOMENTS)
def test_the_next_computation_is_later_by_half_a_day_at_most(moment: dt.datetime) -> None:
    """It is at 0h or 12h UTC, says so by its time zone, and there is none in between."""
    computed = next_window(moment)
    assert dt.timedelta(0) < computed - moment <= HALF_A_DAY
    assert computed.tzinfo is dt.UTC
    assert (computed.hour % 12, computed.minute, computed.second, computed.microsecond) == (0, 0, 0, 0)
    assert next_window(computed) == computed + HALF_A_DAY
    assert next_window(computed - dt.timedelta(microseconds=1)) == computed


@given(MOMENTS, ZONES)
def test_a_moment_is_the_same_in_every_time_zone(moment: dt.datetime, zone: dt.timezone) -> None:
    """How the caller writes it does not matter."""
    assert next_window(moment.astimezone(zone)) == next_window(moment)


@given(st.tuples(MOMENTS, MOMENTS))
def test_what_is_accepted_later_is_not_live_earlier(moments: tuple[dt.datetime, dt.datetime]) -> None:
    """So the last batch of an upload says when all of it is live."""
    earlier, later = sorted(moments)
    assert live_from(earlier) <= live_from(later)


@pytest.mark.parametrize("given_", [dt.date(2026, 3, 1), "2026-03-01T00:00:00Z", 1_800_000_000, None])
def test_what_is_no_moment_is_refused(given_: Any) -> None:
    """A date has no hour, and a number no unit."""
    for function in (next_window, live_from):
        with pytest.raises(TypeError, match=f"must be a datetime, not {type(given_).__name__}"):
            function(given_)


def test_a_moment_without_a_time_zone_is_refused() -> None:
    """It would be guessed wrong on every machine whose clock does not show UTC."""
    for function in (next_window, live_from):
        with pytest.raises(ValueError, match="must have a time zone"):
            function(dt.datetime(2026, 3, 1, 12))  # noqa: DTZ001 - that is the mistake
