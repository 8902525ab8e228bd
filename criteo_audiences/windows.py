"""When what Criteo accepted counts: its computations at 0h and 12h UTC. Pure functions of the moment they are given.

Criteo's guides (developers.criteo.com, "Note on Audience Computation" of the segment endpoints of all three services):
updates are processed daily at 0h UTC and 12h UTC, take around 5 hours to reflect on a live campaign, and should be
ready prior to these two times.
"""

import datetime as dt
from typing import Final

WINDOW: Final = dt.timedelta(hours=12)
"""The time between two computations."""

_LIVE_AFTER: Final = dt.timedelta(hours=5)


def next_window(after: dt.datetime) -> dt.datetime:
    """Returns the first computation after a moment: the next 0h or 12h UTC.

    What comes at 12:00:00.0 is late for that computation, because Criteo asks for changes prior to it.

    Args:
        after: an aware datetime, in any time zone.

    Returns:
        An aware datetime in UTC, later than `after` by at most 12 hours.

    Raises:
        TypeError: when it is no datetime.
        ValueError: when it has no time zone, so that nobody knows which moment it is.
    """
    if not isinstance(after, dt.datetime):
        raise TypeError(f"a moment must be a datetime, not {type(after).__name__}")
    if after.utcoffset() is None:
        raise ValueError("a moment must have a time zone: give an aware datetime, such as datetime.now(UTC).")
    moment = after.astimezone(dt.UTC)
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + ((moment - midnight) // WINDOW + 1) * WINDOW


def live_from(accepted_at: dt.datetime) -> dt.datetime:
    """Returns when a change that Criteo accepted at a moment is live, about: five hours after the next computation.

    Args:
        accepted_at: an aware datetime, in any time zone.

    Returns:
        An aware datetime in UTC.

    Raises:
        TypeError: when it is no datetime.
        ValueError: when it has no time zone.
    """
    return next_window(accepted_at) + _LIVE_AFTER
