"""Predicts how long an upload still takes, when Criteo computes audiences, and whether the upload ends before that.

Criteo's guides (developers.criteo.com, "Note on Audience Computation" of the segment endpoints of all three services):
updates are processed daily at 0h UTC and 12h UTC, take around 5 hours to reflect on a live campaign, and should be
ready prior to these two times.
"""

import datetime as dt
import logging
import math
from bisect import bisect_right
from collections.abc import Callable
from typing import Final

from attrs import define, field, frozen

from criteo_audiences.errors import WindowMissedError

WINDOW: Final = dt.timedelta(hours=12)
"""The time between two computations."""

_LIVE_AFTER: Final = dt.timedelta(hours=5)


def next_window(after: dt.datetime) -> dt.datetime:
    """Returns the first computation after a moment: the next 0h or 12h UTC.

    A change at 12:00:00.0 is too late for the computation at 12:00, because Criteo asks for changes before it.

    Args:
        after: an aware datetime, in any time zone.

    Returns:
        An aware datetime in UTC, later than `after` by at most 12 hours.

    Raises:
        TypeError: when it is not a datetime.
        ValueError: when it has no time zone, so that its time is ambiguous.
    """
    if not isinstance(after, dt.datetime):
        raise TypeError(f"a moment must be a datetime, not {type(after).__name__}")
    if after.utcoffset() is None:
        raise ValueError("a moment must have a time zone: give an aware datetime, such as datetime.now(UTC).")
    moment = after.astimezone(dt.UTC)
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + ((moment - midnight) // WINDOW + 1) * WINDOW


def live_from(accepted_at: dt.datetime) -> dt.datetime:
    """Returns about when a change that Criteo accepted at `accepted_at` is live: five hours after the next computation.

    Args:
        accepted_at: an aware datetime, in any time zone.

    Returns:
        An aware datetime in UTC.

    Raises:
        TypeError: when it is not a datetime.
        ValueError: when it has no time zone.
    """
    return next_window(accepted_at) + _LIVE_AFTER


_log = logging.getLogger("criteo_audiences.uploads")

NEXT_WINDOW: Final = "next-window"
"""The value of `deadline` for Criteo's next computation."""

QuotaWait = Callable[[int], float | None]
"""Returns the seconds until the last of so many calls could start; `None` when the limiter cannot say."""


@frozen(kw_only=True)
class Straddle:
    """An upload that sends its last call too late for the next computation.

    Attributes:
        calls: how many calls are still to be made.
        last_call: the earliest time at which the last of them could be sent, in UTC.
        window: the time of the computation that it misses, in UTC.
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
        """A warning for an upload that continues all the same."""
        return (
            f"{self}: what is accepted before then is live some 12 hours before the rest. "
            f'deadline="{NEXT_WINDOW}" (--deadline {NEXT_WINDOW}) refuses such an upload before anything is sent.'
        )


def straddle(calls: int, seconds: float | None, now: dt.datetime) -> Straddle | None:
    """Predicts whether the quota makes an upload that begins now miss the next computation.

    The prediction considers when the last call can start, but not how long a call takes, which is unknown. So an upload
    that it calls late is late, while any other upload may still be late.

    Args:
        calls: how many calls are to be made.
        seconds: seconds until the last of them could start; `None` when that is unknown.
        now: an aware datetime.

    Returns:
        The predicted delay; `None` when the quota leaves enough time, or the wait is unknown.
    """
    if seconds is None or calls <= 0:
        return None
    last_call, window = now.astimezone(dt.UTC) + dt.timedelta(seconds=seconds), next_window(now)
    return Straddle(calls=calls, last_call=last_call, window=window) if last_call >= window else None


class WindowCheck:
    """Predicts, once and before anything is sent, whether the quota makes an upload late for a computation.

    Args:
        quota_wait: returns how long the quota makes so many calls wait.
        is_deadline: whether an upload that would be late is refused.

    Attributes:
        made: whether the prediction was made.
        warning: the warning of the prediction; `None` when the quota leaves enough time.
    """

    def __init__(self, quota_wait: QuotaWait, *, is_deadline: bool) -> None:
        self._quota_wait = quota_wait
        self._is_deadline = is_deadline
        self.made = False
        self.warning: str | None = None

    def make(self, calls: int) -> None:
        """Makes the prediction for a number of calls.

        Raises:
            WindowMissedError: when they would be late, and the upload has that deadline.
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


_RECENT: Final = 16
"""Fewest recent batches from which the pace is measured; later, a share of all batches sent."""

_PREPARING: Final = 1.5
"""How long the search for duplicates takes, as a multiple of the time for reading the table."""

_FORESEEN: Final = 0.25
"""Weight of the predicted time for sending a table, relative to a complete pass that was measured."""

_ROUNDS: Final = 2  # rounds that the senders still make during which their number is assumed to be constant
_CALLS_FOR_A_PACE: Final = 2.0
_BARELY: Final = 0.999  # share of a call: a batch that is sent as another comes back does not count as a second one

_HALF_DONE: Final = 0.5
"""Share of a batch in flight that is done, on average."""

DISTINCT: Final = 0.8
"""The assumed share of a table's rows that is left to send, before its duplicates are known."""

_LATE: Final = 0.25
"""How much longer a step takes that exceeds its prediction, as a share of the seconds so far."""

_FIRST_CALL: Final = 0.25
"""Assumed seconds of a call, in addition to the time of a small answer, before the first call has come back."""

_WINDOWS: Final = 3
_SLACK: Final = 1.1
_MOSTLY: Final = 0.6  # a period plus a call's duration may contain fewer calls than a window
_NOTICEABLE: Final = 2.0


@frozen(kw_only=True)
class Moment:
    """The state of an upload at the time of an estimate.

    Attributes:
        now: the time, seconds.
        waited: seconds so far during which the quota delayed a batch.
        waiting_for: seconds since the present delay by the quota began; `None` when the quota delays no batch.
        window: calls that the quota allows within so many seconds; `None` when that is not known.
        in_flight: batches in flight, including those that the quota delays.
        held_back: batches that the quota delays.
        round_trip: seconds that a call takes; `None` before the first call has come back.
        is_full: whether the next batch is ready and waits for a batch in flight to end.
        by_line: returns the seconds until the batches in flight and so many more have left over a slow line; `None`
            when the line is not slow.
    """

    now: float
    waited: float = 0.0
    waiting_for: float | None = None
    window: tuple[int, float] | None = None
    in_flight: int = 0
    held_back: int = 0
    round_trip: float | None = None
    is_full: bool = False
    by_line: Callable[[float], float | None] = lambda _: None

    @property
    def active(self) -> float:
        """The time, minus all waits for the quota."""
        return self.now - self.waited


@define
class TimeLeft:
    """Estimates the time left from the times at which batches were sent and came back.

    Attributes:
        room: returns how many batches may be in flight when a call takes so many seconds.
        answers_after: seconds that Criteo took to answer a small call, before the first batch.
    """

    room: Callable[[float], float]
    answers_after: float = 0.0
    _reading_began: float = 0.0
    _reading_took: float | None = None
    _work: float = 0.0  # seconds from the start of reading a table to its first batch
    _is_paced_by_work: bool = False
    _opened: float | None = None  # when the first batch came back: batches sent before that filled the initial slots
    _began: float | None = None
    _begins: list[float] = field(factory=list)  # without waits for the quota
    _ends: list[float] = field(factory=list)

    def begin_reading(self, now: float) -> None:
        """Records that the source is about to be read."""
        self._reading_began = now

    def before_first_batch(self, staged: float, now: float) -> tuple[float, float]:
        """Returns the seconds until the first batch of a table that is read whole before sending, and its progress.

        Args:
            staged: the share of the table that has been read, above 0.
            now: the time, seconds.

        Returns:
            The seconds; and the share of the search for duplicates that is done, 0 to 1, by its usual duration.
        """
        took = now - self._reading_began
        if staged < 1:
            self._work = took / staged * (1 + _PREPARING)
            return self._work - took, 0.0
        if self._reading_took is None:
            self._reading_took = took
        spent = took - self._reading_took
        left = max(_PREPARING * self._reading_took - spent, _LATE * spent)
        self._work = took + left
        return left, spent / (spent + left) if spent else 0.0

    def begin(self, moment: Moment) -> None:
        """Records that a batch is sent, or waits only for the quota."""
        self._began = moment.now if self._began is None else self._began
        self._begins.append(moment.active)

    def note(self, moment: Moment) -> None:
        """Records that a batch came back that Criteo accepted."""
        self._ends.append(moment.now)
        self._opened = moment.active if self._opened is None else self._opened

    def for_batches(self, batches: float, moment: Moment) -> float:
        """Returns the seconds until so many more batches have come back.

        Args:
            batches: batches still to come back, including those in flight; may be a fraction.
            moment: the present moment.
        """
        if batches <= 0:
            return 0.0
        call = self._call(moment)
        each, idle = self._pace(call, moment)
        to_go_out = max(0.0, max(0.0, batches - moment.in_flight) * each - idle)
        left = to_go_out + max(call - (0.0 if to_go_out else idle), _LATE * idle)
        left = max(left, self._further_rounds(batches, call, moment))
        if not self._begins:
            self._is_paced_by_work = self._work > left
        if self._is_paced_by_work:
            left = self._by_work(batches, moment)
        by_line = moment.by_line(batches - moment.in_flight + moment.held_back)
        left = left if by_line is None else by_line
        return left if moment.window is None else max(left, self._windows(batches, moment, each, call))

    def _further_rounds(self, batches: float, call: float, moment: Moment) -> float:
        """Returns the minimum of seconds while all senders are busy: each further batch follows one that comes back.

        It applies to the last rounds only, since the number of senders may change over more rounds.

        Args:
            batches: batches still to come back, including those in flight.
            call: seconds that a call takes.
            moment: the present moment.
        """
        more, flying = math.ceil(batches) - moment.in_flight, moment.in_flight
        if not moment.is_full or moment.held_back or not 0 < more <= _ROUNDS * flying or flying > len(self._begins):
            return 0.0
        rounds, sender = divmod(more - 1, flying)
        return self._begins[sender - flying] + (rounds + 2) * call - moment.active

    def _by_work(self, batches: float, moment: Moment) -> float:
        """Returns the seconds until so many batches have come back when this machine is the limit, not the network.

        Then sending a table takes about as long as reading and preparing it. Batches in flight wait for the machine,
        too, so the times at which they were sent show no pace; the share of all batches that is done does.

        Args:
            batches: batches still to come back, including those in flight.
            moment: the present moment.
        """
        spent = moment.active - self._begins[0] if self._begins else 0.0
        done = len(self._ends) + _HALF_DONE * min(batches, moment.in_flight)
        share = done / (len(self._ends) + batches)
        return (spent + _FORESEEN * self._work) / (share + _FORESEEN) * (1 - share)

    def _call(self, moment: Moment) -> float:
        """Returns the seconds that a call takes, or an assumption until the first call has come back."""
        if moment.round_trip is not None:
            return moment.round_trip
        out = moment.active - self._begins[0] if self._begins else 0.0
        return max(self.answers_after + _FIRST_CALL, (1 + _LATE) * out)

    def _pace(self, call: float, moment: Moment) -> tuple[float, float]:
        """Returns the seconds between two batches that are sent, and the seconds since the last was sent.

        Args:
            call: seconds that a call takes. Batches are sent in bursts, as others come back. A span of one call
                contains each sender once, and so shows the pace; a span of two begins and ends anywhere in a burst.
            moment: the present moment.
        """
        begins = self._begins
        if not begins:
            return call / self.room(call), 0.0
        idle = max(0.0, moment.active - begins[-1])
        share = 4 if moment.is_full else 2  # a source may have bursts
        opened = math.inf if self._opened is None else self._opened
        fresh = len(begins) - bisect_right(begins, opened)
        recent = min((fresh if fresh > 1 else len(begins)) - 1, max(_RECENT, len(begins) // share))
        span = begins[-1] - begins[-1 - recent]
        if not recent or span < _CALLS_FOR_A_PACE * call:
            since = begins[-1] - _BARELY * call
            span, recent = call, len(begins) - bisect_right(begins, since)
            if fresh > 1 and opened > since:
                span, recent = max(begins[-1] - opened, fresh * call / self.room(call)), fresh
            if moment.is_full and recent == len(begins):  # none has come back yet
                recent = max(recent, round(self.room(call)))
        if idle > _NOTICEABLE * max(span / recent * moment.in_flight, call):  # the pace has become slower
            return (span + idle) / recent, 0.0
        return span / recent, idle

    def _windows(self, batches: float, moment: Moment, each: float, call: float) -> float:
        """Returns the seconds until the last batch comes back if the quota is the limit.

        A call counts for one period after it came back. So a batch comes back a period and a call's duration after the
        batch that is one window of calls before it.

        Args:
            batches: batches still to come back.
            moment: the present moment.
            each: seconds between two batches that are sent.
            call: seconds that a call takes.
        """
        if moment.window is None:
            return 0.0
        calls, period = moment.window
        calls = self._allowed(moment, calls, period + call)
        back = len(self._ends)
        last = back + math.ceil(batches)
        comes = -math.inf
        for number in range((last - 1) % calls + 1, last + 1, calls):
            paced = moment.now + max(0, number - back - moment.in_flight) * each
            comes = self._ends[number - 1] if number <= back else max(comes + period + call, paced)
        left = comes - moment.now
        return left if moment.waiting_for is None else max(left, self._wait(batches, moment, calls, period))

    def _wait(self, batches: float, moment: Moment, calls: int, period: float) -> float:
        """Returns the minimum of seconds if other programs have used up the window: a wait may last a whole period."""
        own = len(self._ends) + moment.in_flight - moment.held_back + 1 - calls  # the first delayed batch waits for it
        if own > len(self._ends) or (own >= 1 and self._ends[own - 1] + _SLACK * period > moment.now):
            return 0.0  # that call is ours, so its end is known
        return max(0.0, period - (moment.waiting_for or 0.0)) + (math.ceil(batches / calls) - 1) * period

    def _allowed(self, moment: Moment, calls: int, cycle: float) -> int:
        """Returns how many calls of a window this upload gets; while it waits, as many as it made in the last windows.

        Args:
            moment: the present moment.
            calls: calls that the quota allows in a window.
            cycle: seconds from a call to the call that takes its place in the window.
        """
        windows = 0 if self._began is None else int((moment.now - self._began) // cycle)
        if moment.waiting_for is None or not windows:
            return calls
        windows = min(windows, _WINDOWS)
        lately = sum(1 for end in self._ends[-calls * windows :] if end > moment.now - windows * cycle)
        return calls if lately > _MOSTLY * calls * windows else max(1, round(lately / windows))
