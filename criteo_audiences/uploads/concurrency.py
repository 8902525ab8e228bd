"""How many calls may be under way at once: as many as the quota can use and the round trips bear.

Pure functions from what was observed to the next limit. Slow start, steps up while they pay, and a decrease by the
share of failed calls are TCP's (RFC 5681, RFC 8257), as in Vector's adaptive request concurrency and Netflix's
concurrency-limits.
"""

import math
from enum import StrEnum
from typing import Final

from attrs import evolve, frozen

START: Final = 4
"""Calls under way before anything is known, and batches that wait for the quota so that none is lost to it."""

MOST: Final = 100
"""Calls under way, whatever the quota: as many connections as the transport opens."""

_HEADROOM: Final = 3.0
"""How much faster than the quota's pace calls may start, so that what is late in a window can be caught up with."""

_SILENCE: Final = 0.2
"""Seconds in which the limit doubles until the first answer comes: a slow server and a far one look alike."""

_STEP: Final = 1.25
_WORTH_DOUBLING: Final = 0.6
_WORTH_A_STEP: Final = 0.2
"""The part of a step that must show in the throughput: 0 is none of it, 1 is all of it."""

_FEWEST_ANSWERS: Final = 8
_FULL: Final = 0.8
_SAME: Final = 0.05
_SMOOTHING: Final = 0.2


class LimitedBy(StrEnum):
    """What keeps an upload from having more batches in flight."""

    QUOTA = "quota"
    ROUND_TRIPS = "round_trips"
    """More calls at once would only make each of them slower, or some failed for a passing reason."""
    MEMORY = "memory"
    """`max_in_flight_bytes`."""
    SOURCE = "source"
    """Reading and preparing it: there was room for more."""
    MAX_CONCURRENCY = "max_concurrency"
    """The number that the caller gave."""


@frozen
class Call:
    """A request as it was sent.

    Attributes:
        sent_at: seconds.
        beside: calls under way then, itself included.
    """

    sent_at: float
    beside: int


@frozen(kw_only=True)
class Level:
    """The calls that the server bears at once, as far as its answers show, and the round in which that is tried out.

    A round lasts until as many calls have come back as the limit allows, of those that were sent since it began and
    filled it; the first one is over after a few. The throughput is then, by Little's law, the calls under way divided
    by a round trip.

    Attributes:
        limit: calls that may be under way.
        is_starting: whether it doubles each round.
        round_trip: seconds, smoothed; `None` before the first answer.
        before: calls under way and throughput of the round before.
        began: when the round began.
        answers: calls that came back of those sent since then.
        failed: of them, how many failed for a passing reason.
        full: of them, how many were answered and had about as many beside them as the limit allows.
        seconds: round trips of the full ones, summed.
        beside: the calls under way when each full one was sent, summed.
    """

    limit: float = START
    is_starting: bool = True
    round_trip: float | None = None
    before: tuple[float, float] | None = None
    began: float = -math.inf
    answers: int = 0
    failed: int = 0
    full: int = 0
    seconds: float = 0.0
    beside: int = 0

    def after(self, call: Call, now: float, *, failed: bool = False) -> "Level":
        """Returns the level once a call has come back.

        Args:
            call: the call.
            now: when it came back, seconds.
            failed: for a passing reason, 429 apart: there the limiter holds everybody back already.
        """
        took = max(now - call.sent_at, 1e-6)
        if self.round_trip is None:
            level = evolve(self, round_trip=took, limit=limit_in_silence(took))
        else:
            level = evolve(self, round_trip=self.round_trip + _SMOOTHING * (took - self.round_trip))
        if call.sent_at < level.began:  # sent at another limit
            return level
        is_first = level.is_starting and level.before is None
        is_full = not failed and (is_first or call.beside >= _FULL * math.floor(level.limit))
        level = evolve(
            level,
            answers=level.answers + 1,
            failed=level.failed + failed,
            full=level.full + is_full,
            seconds=level.seconds + took * is_full,
            beside=level.beside + call.beside * is_full,
        )
        enough = START if is_first else max(START if level.is_starting else _FEWEST_ANSWERS, math.floor(level.limit))
        if level.full < enough and not (level.failed and level.answers >= enough):
            return level
        return _first_seen(level) if is_first and not level.failed else _next_round(level, now)


def _first_seen(level: Level) -> Level:
    """Takes the very first answers for what the next round is compared with; the limit may have grown past them."""
    before = level.beside / level.full, level.beside / level.seconds
    return Level(limit=level.limit, round_trip=level.round_trip, before=before, began=level.began)


def _next_round(level: Level, now: float) -> Level:
    limit, is_starting, before = level.limit, level.is_starting, None
    if level.failed:
        share = level.failed / level.answers
        limit, is_starting = limit * (1 - share / 2) + 1 - share, False
    else:
        beside, throughput = before = level.beside / level.full, level.beside / level.seconds
        if _should_rise(level, beside, throughput):
            limit = 2 * limit if is_starting else max(limit + 1, limit * _STEP)
        else:
            limit, is_starting = limit / math.sqrt(2) if is_starting else min(limit - 1, limit / _STEP), False
    return Level(
        limit=min(max(limit, 1.0), MOST),
        is_starting=is_starting,
        round_trip=level.round_trip,
        before=before,
        began=now,
    )


def _should_rise(level: Level, beside: float, throughput: float) -> bool:
    """Whether more calls at once pay: up as long as a step up has, and again after a step down has cost much."""
    if level.before is None:
        return True
    beside_before, throughput_before = level.before
    step, gain = math.log(beside / beside_before), math.log(throughput / throughput_before)
    worth = _WORTH_DOUBLING if level.is_starting else _WORTH_A_STEP
    if abs(step) < _SAME:
        return gain > -worth
    return gain / step > worth


def limit_in_silence(seconds: float) -> float:
    """Returns the limit as long as no call has been answered, so many seconds after the first was sent."""
    return min(MOST, START * math.exp2(min(seconds / _SILENCE, 10.0)))


def quota_bound(window: tuple[int, float] | None, round_trip: float) -> float:
    """Returns the calls under way that a quota can use: its rate times the round trip (Little's law), with headroom.

    Args:
        window: calls that it allows within so many seconds; `None` when that is not known.
        round_trip: seconds.
    """
    return MOST if window is None else START + _HEADROOM * window[0] / window[1] * round_trip
