"""The call quota, the limiter interface that enforces it, and the limiter of one process."""

import asyncio
import heapq
import itertools
import math
from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from typing import Final, Protocol

from attrs import define, field, frozen

from criteo_audiences.errors import ConfigurationError, QuotaWaitError
from criteo_audiences.loops import MOVED, Clock, HomeLoop, SystemClock, Timer
from criteo_audiences.models import RateLimit
from criteo_audiences.validation import hinted_class, require_range

MOST_CALLS: Final = 1_000_000


@hinted_class
@frozen
class Quota:
    """The calls that the application may make.

    Attributes:
        calls: calls per window, for the whole application. Criteo: 250 a minute for client credentials.
        period: length of the window, seconds.
        share: how much of the window this client may use, above 0 and up to 1; the rest is left to other tools of
            the same application.
    """

    calls: int = 250
    period: float = field(default=60.0, kw_only=True)
    share: float = field(default=1.0, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if isinstance(self.calls, bool) or not isinstance(self.calls, int):
            raise ConfigurationError(f"Quota calls must be a whole number, not {type(self.calls).__name__}.")
        require_range(self.calls, "Quota calls", least=1, most=MOST_CALLS)
        require_range(self.period, "Quota period", least=0.001, most=86_400)
        require_range(self.share, "Quota share", least=0.001, most=1)


_FLOOR: Final = 0.25
_HIGHEST_FLOOR: Final = 30.0
_TOO_MANY: Final = 3


@define
class Refusals:
    """Counts consecutive 429s, and remembers the wait that they demand.

    A server that says "a millisecond" each time would get a thousand requests a second, so a wait is never shorter
    than a floor that doubles with each 429. The 429s of concurrent calls count once.

    Attributes:
        count: 429s in a row.
        ends_at: when the announced wait is over.
    """

    count: int = 0
    ends_at: float = -math.inf
    _last: float = -math.inf

    @property
    def are_many(self) -> bool:
        """Whether calls should be made one at a time until one succeeds."""
        return self.count >= _TOO_MANY

    def note(self, sent_at: float, now: float) -> None:
        """Counts a 429 in answer to a call sent at `sent_at`, unless an earlier 429 has been counted since then."""
        if sent_at >= self._last:
            self.count += 1
            self._last = now

    def hold(self, announced: float, now: float) -> float:
        """Returns the seconds to wait, which are at least the floor, and remembers when they end."""
        wait = max(announced, floor_of(self.count))
        self.ends_at = max(self.ends_at, now + wait)
        return wait

    def clear(self) -> None:
        """Forgets the refusals, since an answer other than 429 came."""
        self.count = 0


def floor_of(failures: int) -> float:
    """Returns the shortest wait after this many consecutive failures."""
    return min(_HIGHEST_FLOOR, _FLOOR * 2.0 ** min(failures - 1, 10)) if failures else 0.0


_RESOLUTION: Final = 1.0
"""Seconds by which a window's reset may seem to be in the past, because the headers have whole seconds only."""


def seconds_to_reset(announced: RateLimit, period: float, *, is_refusal: bool) -> float:
    """Returns the seconds until the server forgets the calls that it counts.

    If a 429 says that the reset has just passed, it is over. Any other reset in the past, or one more than a period
    ahead, is useless: then a whole period is assumed.

    Args:
        announced: what the headers said.
        period: length of a window, seconds.
        is_refusal: whether they came with a 429, after which calls are delayed anyway.
    """
    seconds = announced.reset_in
    if seconds is None or seconds > period:
        return period
    if is_refusal and -_RESOLUTION <= seconds <= 0:
        return 0.0
    return seconds if seconds > 0 else period


class RateLimiter(Protocol):
    """The interface of a rate limiter; implement it to share a quota between processes.

    `window`, `share` and `seconds_until` are optional: a limiter without them works as if they were `None`.
    """

    @property
    def window(self) -> tuple[int, float] | None:
        """How many calls the client may make in how many seconds: `(calls, seconds)`. `None` gives no estimates."""
        return None

    @property
    def share(self) -> float | None:
        """Share of the application's window, above 0 and up to 1; `None` if other limiters share its count."""
        return None

    def seconds_until(self, calls: int) -> float | None:  # noqa: ARG002 - a limiter of one's own may know it
        """Returns the seconds until the last of so many further calls could start; `None` to estimate by `window`."""
        return None

    async def acquire(self, *, background: bool = False, longest: float | None = None) -> float:
        """Waits until a call may be made.

        Args:
            background: an upload's batch, which lets single calls go first.
            longest: the most seconds to wait. A wait that is known to be longer is refused at once, any other when
                this time is over; `None` waits as long as it takes.

        Returns:
            The seconds waited.

        Raises:
            QuotaWaitError: when the wait would be longer than `longest`.
        """

    def settle(self, announced: RateLimit | None = None, *, pause: float = 0.0, sent_at: float | None = None) -> None:
        """Gives back the slot of a call that has ended, with or without success; never blocks.

        Args:
            announced: what its answer's headers said.
            pause: seconds during which no call may be made, because the server answered 429.
            sent_at: when the call was sent, on the session's clock; shows which other calls the server had counted.
        """


def quota_wait(limiter: RateLimiter, calls: int) -> float | None:
    """Returns the seconds until the last of so many further calls could start; `None` when a limiter cannot say.

    A limiter that only has a `window` is assumed to have all of it left.
    """
    planned = getattr(limiter, "seconds_until", None)
    seconds: float | None = None if planned is None else planned(calls)
    window = getattr(limiter, "window", None)
    if seconds is not None or window is None:
        return seconds
    in_a_window, period = window
    return float(max(0, math.ceil(calls / in_a_window) - 1) * period)


@define(order=True)
class _Waiter:
    background: bool
    number: int
    since: float = field(order=False)
    granted: "asyncio.Future[None]" = field(order=False)


class LocalRateLimiter:
    """A sliding window over the calls of one process.

    A full window may be spent at once: spreading calls out would only make a short upload slower. A call holds its
    slot from its start until `period` seconds after its answer. The server never counts a call for longer, with a
    fixed or a sliding window. The slot is free earlier if the server's own count shows that it has dropped the call.
    """

    def __init__(self, quota: Quota | None = None, *, clock: Clock | None = None) -> None:
        self._quota = quota or Quota()
        self._clock = clock or SystemClock()
        self._limit = self._quota.calls
        self._in_flight = 0
        self._answered: deque[float] = deque()
        self._foreign = 0
        self._foreign_until = 0.0
        self._paused_until = 0.0
        self._refusals = Refusals()
        self._reopens_at: float | None = None
        self._waiters: list[_Waiter] = []
        self._numbers = itertools.count()
        self._timer: Timer | None = None
        self._home = HomeLoop()

    @property
    def share(self) -> float:
        """How much of the application's window is for this limiter, above 0 and up to 1."""
        return self._quota.share

    @property
    def window(self) -> tuple[int, float]:
        """Calls that may be made within so many seconds, as far as is known now."""
        return self._allowed(), self._quota.period

    async def acquire(self, *, background: bool = False, longest: float | None = None) -> float:
        """See `RateLimiter.acquire`."""
        now = self._clock.now()
        if self._home.has_moved():
            self._begin_anew(now)
        if not self._waiters and self._free(now) > 0:
            self._in_flight += 1
            return 0.0
        wait = self.expected_wait(background=background)
        if longest is not None and wait > longest:
            raise QuotaWaitError(wait, longest)
        waiter = _Waiter(background, next(self._numbers), now, asyncio.get_running_loop().create_future())
        heapq.heappush(self._waiters, waiter)
        self._admit()
        patience = None if longest is None else self._clock.call_later(longest, lambda: self._refuse(waiter, longest))
        try:
            await waiter.granted
        except asyncio.CancelledError:
            self._withdraw(waiter)
            raise
        finally:
            if patience is not None:
                patience.cancel()
        return self._clock.now() - waiter.since

    def settle(self, announced: RateLimit | None = None, *, pause: float = 0.0, sent_at: float | None = None) -> None:
        """See `RateLimiter.settle`."""
        now = self._clock.now()
        self._in_flight = max(0, self._in_flight - 1)  # a call of a former event loop may end late
        self._answered.append(now)
        if pause > 0:
            self._refusals.note(now if sent_at is None else sent_at, now)
            self._paused_until = max(self._paused_until, now + pause)
        elif sent_at is not None:
            self._refusals.clear()
        if announced is not None:
            self._believe(announced, now, now if sent_at is None else sent_at, is_refusal=pause > 0)
        self._admit()

    def expected_wait(self, *, background: bool = False) -> float:
        """Seconds that a new call would wait if calls in flight ended now and the server announced nothing new."""
        return self._wait_for(1, background=background)

    def seconds_until(self, calls: int) -> float:
        """See `RateLimiter.seconds_until`; takes into account the calls that already use the window."""
        return self._wait_for(calls, background=True)

    def _wait_for(self, calls: int, *, background: bool) -> float:
        """Returns the seconds until the last of so many new calls could start, if the calls in flight ended now."""
        now = self._clock.now()
        wanted = calls + sum(1 for waiter in self._waiters if background or not waiter.background)
        mine, shared = self._room(now)
        own = [answered + self._quota.period for answered in self._answered]
        counted = sorted([*own, *[self._foreign_until] * self._foreign])
        due = max(self._due(wanted - mine, own, now), self._due(wanted - shared, counted, now), self._paused_until)
        return max(0.0, due - now)

    def _begin_anew(self, now: float) -> None:
        """Drops the waiters of the former event loop; calls made there still count, as if they ended now."""
        self._answered.extend([now] * self._in_flight)
        self._in_flight = 0
        left, self._waiters = self._waiters, []
        for waiter in left:
            if not (waiter.granted.done() or waiter.granted.get_loop().is_closed()):
                waiter.granted.set_exception(ConfigurationError(MOVED))
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _free(self, now: float) -> int:
        """Returns how many calls may be made at this moment."""
        if now < self._paused_until:
            return 0
        room = min(self._room(now))
        return min(room, 1 - self._in_flight) if self._refusals.are_many else room

    def _allowed(self) -> int:
        """Returns how many calls per window this client may make."""
        return max(1, math.floor(self._limit * self._quota.share))

    def _room(self, now: float) -> tuple[int, int]:
        """Returns the free slots in this client's share, and in the application's limit."""
        while self._answered and self._answered[0] + self._quota.period <= now:
            self._answered.popleft()
        if now >= self._foreign_until:
            self._foreign = 0
        if self._reopens_at is not None and now >= self._reopens_at and not self._in_flight:
            self._reopen()
        used = self._in_flight + len(self._answered)
        return self._allowed() - used, self._limit - used - self._foreign

    def _due(self, missing: int, releases: Sequence[float], now: float) -> float:
        """Returns when `missing` more slots will be free."""
        if missing <= 0:
            return now
        windows, place = divmod(missing - 1, self._allowed())
        first = releases[place] if place < len(releases) else now + self._quota.period
        return first + self._quota.period * windows

    def _believe(self, announced: RateLimit, now: float, sent_at: float, *, is_refusal: bool) -> None:
        """Adjusts the window to the server's own count, which includes the calls of other tools."""
        if announced.limit:
            self._limit = min(announced.limit, MOST_CALLS)
        if announced.remaining is None:
            return
        counted = self._limit - announced.remaining
        # Calls answered before this one was sent are in the server's count, unless they have left its window; the
        # count includes this call as well.
        answered_before = bisect_left(self._answered, sent_at)
        for _ in range(answered_before - max(0, counted - 1)):
            self._answered.popleft()
        self._foreign = max(0, counted - self._in_flight - len(self._answered))
        reset_in = seconds_to_reset(announced, self._quota.period, is_refusal=is_refusal)
        self._foreign_until = now + reset_in
        self._reopens_at = now + reset_in if announced.remaining == 0 else None

    def _reopen(self) -> None:
        """Frees one slot: the server said that a call could be made now; its answer will say how many more can."""
        self._reopens_at = None
        self._foreign = 0
        while len(self._answered) >= self._allowed():
            self._answered.popleft()

    def _admit(self) -> None:
        """Admits waiters while slots are free, and schedules itself for when the next slot will be free."""
        now = self._clock.now()
        while self._waiters and self._free(now) > 0:
            waiter = heapq.heappop(self._waiters)
            if not waiter.granted.done():  # done: its caller was canceled a moment ago
                self._in_flight += 1
                waiter.granted.set_result(None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._waiters and (due := self._next_change(now)) is not None:
            self._timer = self._clock.call_later(max(0.0, due - now), self._admit)

    def _next_change(self, now: float) -> float | None:
        """Returns when a slot may become free without an answer; `None` when only an answer can free one."""
        if now < self._paused_until:
            return self._paused_until
        changes = [self._answered[0] + self._quota.period] if self._answered else []
        if self._foreign:
            changes.append(self._foreign_until)
        if self._reopens_at is not None and not self._in_flight:
            changes.append(self._reopens_at)
        return min(changes, default=None)

    def _refuse(self, waiter: _Waiter, longest: float) -> None:
        """Ends a wait that has become longer than its caller allows."""
        self._admit()  # a slot may have become free at this very moment
        if waiter.granted.done():
            return
        self._leave_queue(waiter)
        wait = self._clock.now() - waiter.since + self.expected_wait(background=waiter.background)
        waiter.granted.set_exception(QuotaWaitError(wait, longest))

    def _withdraw(self, waiter: _Waiter) -> None:
        """Takes a canceled waiter out of the queue; a slot granted to it meanwhile goes to the next waiter."""
        if waiter in self._waiters:
            self._leave_queue(waiter)
        elif not waiter.granted.cancelled() and waiter.granted.exception() is None:
            self._in_flight = max(0, self._in_flight - 1)
        self._admit()

    def _leave_queue(self, waiter: _Waiter) -> None:
        self._waiters.remove(waiter)
        heapq.heapify(self._waiters)
