"""Count the calls of an application within a period, and announce in three headers how many are left."""

import math
from collections import deque
from collections.abc import Mapping
from typing import Literal, Protocol

import attrs

Window = Literal["sliding", "fixed"]


class CallWindow(Protocol):
    """One way of counting calls. Times are epoch seconds."""

    def take(self, now: float) -> bool:
        """Count a call and return `True`, or return `False` when the window is full."""
        ...

    def remaining(self, now: float) -> int:
        """Returns how many more calls could be made at once."""
        ...

    def reset(self, now: float) -> float:
        """Returns the time at which a new call could be performed."""
        ...


class SlidingWindow:
    """Counts the calls within the last period."""

    def __init__(self, limit: int, period: float) -> None:
        self._limit = limit
        self._period = period
        self._ends: deque[float] = deque()

    def take(self, now: float) -> bool:
        """Count a call and return `True`, or return `False` when the window is full."""
        if not self.remaining(now):
            return False
        self._ends.append(now + self._period)
        return True

    def remaining(self, now: float) -> int:
        """Returns how many more calls could be made at once."""
        while self._ends and self._ends[0] <= now:
            self._ends.popleft()
        return self._limit - len(self._ends)

    def reset(self, now: float) -> float:
        """Returns the time at which a new call could be performed."""
        return now if self.remaining(now) else self._ends[0]


class FixedWindow:
    """Counts the calls since the last multiple of the period."""

    def __init__(self, limit: int, period: float) -> None:
        self._limit = limit
        self._period = period
        self._number = -1
        self._calls = 0

    def take(self, now: float) -> bool:
        """Count a call and return `True`, or return `False` when the window is full."""
        if not self.remaining(now):
            return False
        self._calls += 1
        return True

    def remaining(self, now: float) -> int:
        """Returns how many more calls could be made at once."""
        number = math.floor(now / self._period)
        if number != self._number:
            self._number, self._calls = number, 0
        return self._limit - self._calls

    def reset(self, now: float) -> float:
        """Returns the time at which a new call could be performed."""
        return now if self.remaining(now) else (self._number + 1) * self._period


@attrs.define
class CallQuota:
    """How many calls the server allows its one application, and the headers that say so."""

    limit: int
    window: CallWindow

    @classmethod
    def of(cls, limit: int, period: float, window: Window) -> "CallQuota":
        """Returns a quota of ``limit`` calls in ``period`` seconds."""
        kinds: Mapping[str, type[SlidingWindow | FixedWindow]] = {"sliding": SlidingWindow, "fixed": FixedWindow}
        if window not in kinds:
            raise ValueError('window must be "sliding" or "fixed"')
        if limit < 1 or period <= 0:
            raise ValueError("rate_limit must be at least one call in a period above zero seconds")
        return cls(limit, kinds[window](limit, period))

    def headers(self, now: float) -> dict[str, str]:
        """Returns the three headers of every answer."""
        return rate_limit_headers(self.limit, self.window.remaining(now), self.window.reset(now))


def rate_limit_headers(limit: int, remaining: int, reset: float) -> dict[str, str]:
    """Returns the headers of https://developers.criteo.com, "Rate limits".

    Args:
        limit: Calls in a period.
        remaining: Calls left.
        reset: Epoch seconds; rounded up, since a call in the second before the limit lifts would be refused.
    """
    return {
        "x-ratelimit-limit": str(limit),
        "x-ratelimit-remaining": str(remaining),
        "x-ratelimit-reset": str(math.ceil(reset)),
    }
