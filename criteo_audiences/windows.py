"""When: how long an upload still takes, when Criteo computes with it, and whether it ends before that.

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
        TypeError: when it is no datetime.
        ValueError: when it has no time zone, so that its moment is unknown.
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
    """Predicts whether the quota lets calls that begin now end before the next computation.

    It counts when the last call can start, and not how long a call takes, which is unknown. So an upload that it finds
    too late is late, and one that it finds in time may still be late.

    Args:
        calls: that are to be made.
        seconds: until the last of them could start; `None` when that is unknown.
        now: an aware datetime.

    Returns:
        What is wrong; `None` when the quota leaves time enough.
    """
    if seconds is None or calls <= 0:
        return None
    last_call, window = now.astimezone(dt.UTC) + dt.timedelta(seconds=seconds), next_window(now)
    return Straddle(calls=calls, last_call=last_call, window=window) if last_call >= window else None


class WindowCheck:
    """Predicts, once and before anything is sent, whether the quota makes an upload late for a computation.

    Args:
        quota_wait: says how long the quota makes so many calls wait.
        is_deadline: whether an upload that would be late is refused.

    Attributes:
        made: whether the prediction was made.
        warning: what it found; `None` when the quota leaves time enough.
    """

    def __init__(self, quota_wait: QuotaWait, *, is_deadline: bool) -> None:
        self._quota_wait = quota_wait
        self._is_deadline = is_deadline
        self.made = False
        self.warning: str | None = None

    def make(self, calls: int) -> None:
        """Makes the prediction for so many calls.

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


_RECENT: Final = 16
"""Batches by whose pace the others are judged, at least; later on a part of those that went out."""

_PREPARING: Final = 1.5
"""How long looking for duplicates takes, in terms of the seconds that reading the table took."""

_FORESEEN: Final = 0.25
"""How much what was foreseen of sending a table counts, in terms of a pass that has been seen in full."""

_ROUNDS: Final = 2  # that the senders still make, for which their number is taken to stay as it is
_CALLS_FOR_A_PACE: Final = 2.0
_BARELY: Final = 0.999  # of a call: a batch that goes out as another comes back does not count as a second one

_HALF_DONE: Final = 0.5
"""How much of a batch in flight is done, on average."""

DISTINCT: Final = 0.8
"""The share of a table's rows that is taken to be left for sending, before its duplicates are known."""

_LATE: Final = 0.25
"""How much longer something takes that has taken longer than was thought, as a share of the seconds so far."""

_FIRST_CALL: Final = 0.25
"""Seconds that a call is taken for, beyond an answer's way, before one has come back."""

_WINDOWS: Final = 3
_SLACK: Final = 1.1
_MOSTLY: Final = 0.6  # a window and a call's seconds may hold fewer calls than a window
_NOTICEABLE: Final = 2.0


@frozen(kw_only=True)
class Moment:
    """What an estimate needs to know of the moment it is made at.

    Attributes:
        now: the time, seconds.
        waited: seconds so far during which the quota held a batch back.
        waiting_for: seconds that it has held a batch back by now; `None` when it holds none back.
        window: calls that the quota allows within so many seconds; `None` when that is not known.
        in_flight: batches in flight, those included that the quota holds back.
        held_back: how many it holds back.
        round_trip: seconds that a call takes; `None` before one has come back.
        is_full: whether the next batch is ready and waits for one of those in flight.
        by_line: returns the seconds until those in flight and so many more have gone out by a line that is narrow;
            `None` when it is not.
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
        """The time without the waits for the quota."""
        return self.now - self.waited


@define
class TimeLeft:
    """Remembers when batches went out and came back.

    Attributes:
        room: returns how many batches may be in flight when a call takes so many seconds.
        answers_after: seconds in which Criteo answered a small call, before the first batch.
    """

    room: Callable[[float], float]
    answers_after: float = 0.0
    _reading_began: float = 0.0
    _reading_took: float | None = None
    _work: float = 0.0  # seconds that a table takes before its first batch
    _is_paced_by_work: bool = False
    _opened: float | None = None  # when the first came back: those that went out before filled the slots there were
    _began: float | None = None
    _begins: list[float] = field(factory=list)  # waits for the quota left out
    _ends: list[float] = field(factory=list)

    def begin_reading(self, now: float) -> None:
        """Notes that the source is about to be read."""
        self._reading_began = now

    def before_first_batch(self, staged: float, now: float) -> tuple[float, float]:
        """Returns the seconds until a table that is read to its end gives a batch, and how far its last step is.

        Args:
            staged: how much of it has been read, above 0.
            now: the time, seconds.

        Returns:
            The seconds; and how much of the look for duplicates is done, 0 to 1, by the time it usually takes.
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
        """Notes that a batch goes out, or waits for the quota only."""
        self._began = moment.now if self._began is None else self._began
        self._begins.append(moment.active)

    def note(self, moment: Moment) -> None:
        """Notes that a batch came back that Criteo took."""
        self._ends.append(moment.now)
        self._opened = moment.active if self._opened is None else self._opened

    def for_batches(self, batches: float, moment: Moment) -> float:
        """Returns the seconds until so many more batches have come back.

        Args:
            batches: still to come back, those in flight included; the last one may be a part of one.
            moment: the present one.
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
        """Returns the least seconds while all senders are busy: each further batch follows one that comes back.

        Only for the last rounds: the number of senders may change in more of them.

        Args:
            batches: still to come back, those in flight included.
            call: seconds that a call takes.
            moment: the present one.
        """
        more, flying = math.ceil(batches) - moment.in_flight, moment.in_flight
        if not moment.is_full or moment.held_back or not 0 < more <= _ROUNDS * flying or flying > len(self._begins):
            return 0.0
        rounds, sender = divmod(more - 1, flying)
        return self._begins[sender - flying] + (rounds + 2) * call - moment.active

    def _by_work(self, batches: float, moment: Moment) -> float:
        """Returns the seconds until so many batches have come back when this machine is the limit, not the network.

        Then a table takes about as long to send as it took to read and to prepare. Batches in flight wait for the
        machine, too, so when they went out shows no pace: what has been done of all of them does.

        Args:
            batches: still to come back, those in flight included.
            moment: the present one.
        """
        spent = moment.active - self._begins[0] if self._begins else 0.0
        done = len(self._ends) + _HALF_DONE * min(batches, moment.in_flight)
        share = done / (len(self._ends) + batches)
        return (spent + _FORESEEN * self._work) / (share + _FORESEEN) * (1 - share)

    def _call(self, moment: Moment) -> float:
        """Returns the seconds that a call takes, or is taken for as long as none has come back."""
        if moment.round_trip is not None:
            return moment.round_trip
        out = moment.active - self._begins[0] if self._begins else 0.0
        return max(self.answers_after + _FIRST_CALL, (1 + _LATE) * out)

    def _pace(self, call: float, moment: Moment) -> tuple[float, float]:
        """Returns the seconds from one batch that goes out to the next, and those that have gone by since the last.

        Args:
            call: seconds that a call takes. Batches go out in bursts, as others come back. The seconds of one call
                contain each sender once, and so show the pace; a span of two begins and ends anywhere in a burst.
            moment: the present one.
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
        if idle > _NOTICEABLE * max(span / recent * moment.in_flight, call):  # it has become slower
            return (span + idle) / recent, 0.0
        return span / recent, idle

    def _windows(self, batches: float, moment: Moment, each: float, call: float) -> float:
        """Returns the seconds until the last batch comes back by the quota.

        A call counts for a period after it came back. So a batch comes back a period and a call after the one a window
        before.

        Args:
            batches: still to come back.
            moment: the present one.
            each: seconds from one batch that goes out to the next.
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
        """Returns the seconds at least when others have used up the window: a wait may last a whole period."""
        own = len(self._ends) + moment.in_flight - moment.held_back + 1 - calls  # what the first held back waits for
        if own > len(self._ends) or (own >= 1 and self._ends[own - 1] + _SLACK * period > moment.now):
            return 0.0  # it is ours, and when it ends is known
        return max(0.0, period - (moment.waiting_for or 0.0)) + (math.ceil(batches / calls) - 1) * period

    def _allowed(self, moment: Moment, calls: int, cycle: float) -> int:
        """Returns the calls of a window that are for this upload: while it waits, those it made in the last ones.

        Args:
            moment: the present one.
            calls: that the quota allows in a window.
            cycle: seconds from a call to the one that takes its place in the window.
        """
        windows = 0 if self._began is None else int((moment.now - self._began) // cycle)
        if moment.waiting_for is None or not windows:
            return calls
        windows = min(windows, _WINDOWS)
        lately = sum(1 for end in self._ends[-calls * windows :] if end > moment.now - windows * cycle)
        return calls if lately > _MOSTLY * calls * windows else max(1, round(lately / windows))
