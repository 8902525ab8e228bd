"""An upload's pace: how long the rest still takes, and what kept it from being faster.

A batch comes back a round trip after it went out, so the estimate goes by what goes out: while more and more batches
are in flight, the pace of the answers would be that of a round trip ago.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping
from typing import Final

from attrs import define, field, frozen

from criteo_audiences.uploads.slots import MOST, LimitedBy

_RECENT: Final = 16
"""Batches by whose pace the others are judged, at least; later on a part of those that went out."""

_PREPARING: Final = 1.0
"""How long looking for duplicates takes, as a share of the seconds that reading the table took."""

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
    """

    now: float
    waited: float = 0.0
    waiting_for: float | None = None
    window: tuple[int, float] | None = None
    in_flight: int = 0
    held_back: int = 0
    round_trip: float | None = None
    is_full: bool = False

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
            return took / staged * (1 + _PREPARING) - took, 0.0
        if self._reading_took is None:
            self._reading_took = took
        spent = took - self._reading_took
        left = max(_PREPARING * self._reading_took - spent, _LATE * spent)
        return left, spent / (spent + left) if spent else 0.0

    def begin(self, moment: Moment) -> None:
        """Notes that a batch goes out, or waits for the quota only."""
        self._began = moment.now if self._began is None else self._began
        self._begins.append(moment.active)

    def note(self, moment: Moment) -> None:
        """Notes that a batch came back that Criteo took."""
        self._ends.append(moment.now)

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
        return left if moment.window is None else max(left, self._windows(batches, moment, each, call))

    def _call(self, moment: Moment) -> float:
        """Returns the seconds that a call takes, or is taken for as long as none has come back."""
        if moment.round_trip is not None:
            return moment.round_trip
        out = moment.active - self._begins[0] if self._begins else 0.0
        return max(self.answers_after + _FIRST_CALL, (1 + _LATE) * out)

    def _pace(self, call: float, moment: Moment) -> tuple[float, float]:
        """Returns the seconds from one batch that goes out to the next, and those that have gone by since the last.

        Args:
            call: seconds that a call takes. Batches go out as others come back, many at a time, so a shorter time than
                this shows no pace.
            moment: the present one.
        """
        begins = self._begins
        if not begins:
            return call / self.room(call), 0.0
        idle = max(0.0, moment.active - begins[-1])
        share = 4 if moment.is_full else 2  # a source may have bursts
        recent = min(len(begins) - 1, max(_RECENT, len(begins) // share))
        span = begins[-1] - begins[-1 - recent]
        if not recent or span < call:
            span, recent = call, len(begins) - bisect_right(begins, begins[-1] - call)
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


_WORTH_A_HINT: Final = 5.0
_NOTICEABLE_PART: Final = 0.1
_MOST_OF_IT: Final = 0.8
_MINUTE: Final = 60.0


@frozen(kw_only=True)
class Figures:
    """What was measured of an upload that has ended.

    Attributes:
        elapsed: seconds.
        waited: seconds of them during which the quota held a batch back.
        reading: seconds that reading and preparing took, waits for a sender left out.
        limited: seconds during which there could have been more in flight but for this.
        busy: seconds that batches were in flight, summed over the batches.
        batches: that were sent.
        failed: batches that failed, sent or not.
        max_concurrency: batches that may be in flight at the same time; `None` when nobody gave a number.
        most_in_flight: the most there were.
        most_bytes_in_flight: bytes that may be in flight at the same time.
        window: calls that the quota allows within so many seconds, `None` when that is not known.
    """

    elapsed: float
    waited: float
    reading: float
    limited: Mapping[LimitedBy, float]
    busy: float
    batches: int
    max_concurrency: int | None
    most_in_flight: int
    most_bytes_in_flight: int
    failed: int = 0
    window: tuple[int, float] | None = None


def hint(figures: Figures) -> str | None:
    """Says what limited an upload when it was not the quota, and what to do about it.

    Returns:
        A sentence, or `None` when there is nothing to gain: the upload was short, the quota was the limit (no client
        can be faster), too many batches failed for its pace to mean anything, or nothing stands out.
    """
    if figures.elapsed < _WORTH_A_HINT or figures.waited >= _NOTICEABLE_PART * figures.elapsed:
        return None
    if not figures.batches or figures.failed >= _NOTICEABLE_PART * figures.batches:
        return None
    if figures.reading >= _MOST_OF_IT * figures.elapsed:
        return (
            f"The source was the limit: reading and preparing it took {figures.reading:.0f} of the "
            f"{figures.elapsed:.0f} s, the quota held nothing back."
        )
    for limited_by in (LimitedBy.MAX_CONCURRENCY, LimitedBy.MEMORY):
        if figures.limited.get(limited_by, 0.0) >= _MOST_OF_IT * figures.elapsed:
            return _hint_of_concurrency(figures, limited_by)
    return None


def _hint_of_concurrency(figures: Figures, limited_by: LimitedBy) -> str | None:
    """Requests in flight that a rate needs are the rate times the seconds that one takes (Little's law)."""
    seconds = figures.busy / figures.batches
    made = figures.batches / figures.elapsed * _MINUTE
    allowed = None if figures.window is None else figures.window[0] / figures.window[1] * _MINUTE
    needed = 2 * figures.most_in_flight if allowed is None else math.ceil(allowed / _MINUTE * seconds)
    better = min(needed, figures.batches, MOST)
    if better <= figures.most_in_flight:
        return None
    if limited_by is LimitedBy.MEMORY:
        limit = f"max_in_flight_bytes={figures.most_bytes_in_flight:,}"
        advice = f"give more, for {better} batches in flight"
    else:
        limit, advice = f"max_concurrency={figures.max_concurrency}", f"leave it out, or try {better}"
    quota = "" if allowed is None else f" and the quota would have allowed {allowed:,.0f}"
    return (
        f"{limit} was the limit: a call took {seconds:.1f} s, so it made {made:,.0f} calls a minute{quota}; {advice}, "
        "unless the network is full."
    )
