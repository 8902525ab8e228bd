"""Criteo's computations at 0h and 12h UTC: when what it accepted counts, and whether an upload ends before the next.

Pure functions of the moment they are given. Criteo's guides (developers.criteo.com, "Note on Audience Computation" of
the segment endpoints of all three services): updates are processed daily at 0h UTC and 12h UTC, take around 5 hours to
reflect on a live campaign, and should be ready prior to these two times.
"""

import datetime as dt
import logging
from collections.abc import Callable
from typing import Final

from attrs import frozen

from criteo_audiences.errors import WindowMissedError

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


_log = logging.getLogger("criteo_audiences.uploads")

NEXT_WINDOW: Final = "next-window"
"""The deadline that stands for Criteo's next computation."""

QuotaWait = Callable[[int], float | None]
"""Seconds until the last of so many calls could start; `None` when the limiter says nothing about itself."""


@frozen(kw_only=True)
class Straddle:
    """An upload whose last call goes out too late for the next computation.

    Attributes:
        calls: that are still to be made.
        last_call: when the last of them could go out at the earliest, in UTC.
        window: the computation that it comes too late for, in UTC.
    """

    calls: int
    last_call: dt.datetime
    window: dt.datetime

    def __str__(self) -> str:
        return (
            f"By the quota the last of {self.calls:,} calls goes out at {self.last_call:%Y-%m-%d %H:%M} UTC at the "
            f"earliest, and Criteo computes audiences at {self.window:%H:%M} UTC"
        )

    @property
    def warning(self) -> str:
        """What that means for an upload which goes on all the same."""
        return (
            f"{self}: what is accepted before then is live some 12 hours before the rest. "
            f'deadline="{NEXT_WINDOW}" (--deadline {NEXT_WINDOW}) refuses such an upload before anything is sent.'
        )


def straddle(calls: int, seconds: float | None, now: dt.datetime) -> Straddle | None:
    """Foretells whether calls that begin now are over before the next computation.

    The last one has to start before it; how long it takes is not known. So what this finds is certain, and an upload
    of which it finds nothing may still be late.

    Args:
        calls: that are to be made.
        seconds: until the last of them could start; `None` when nobody can say.
        now: an aware datetime.

    Returns:
        What is wrong; `None` when the quota leaves time enough.
    """
    if seconds is None or calls <= 0:
        return None
    last_call, window = now.astimezone(dt.UTC) + dt.timedelta(seconds=seconds), next_window(now)
    return Straddle(calls=calls, last_call=last_call, window=window) if last_call >= window else None


class WindowCheck:
    """Foretells, once and before anything is sent, whether the quota makes an upload late for a computation.

    Args:
        quota_wait: says how long the quota makes so many calls wait.
        is_deadline: whether an upload that would be late is refused.

    Attributes:
        made: whether it has been.
        warning: what it found; `None` when the quota leaves time enough.
    """

    def __init__(self, quota_wait: QuotaWait, *, is_deadline: bool) -> None:
        self._quota_wait = quota_wait
        self._is_deadline = is_deadline
        self.made = False
        self.warning: str | None = None

    def make(self, calls: int) -> None:
        """Foretells it of so many calls that are about to be made.

        Raises:
            WindowMissedError: when they would be late, and that is the deadline.
        """
        self.made = True
        seconds = self._quota_wait(calls)
        found = straddle(calls, seconds, dt.datetime.now(dt.UTC))
        if found is None:
            return
        if self._is_deadline:
            raise WindowMissedError(str(found), seconds or 0.0, found.window)
        self.warning = found.warning
        _log.warning(found.warning)
