"""Limits the batches in flight to what the quota allows and the server can handle; a client's uploads share the limit.

Pure functions compute the limit. Slow start, steps up while they pay off, and a decrease by the share of failed calls
are TCP's (RFC 5681, RFC 8257), as in Vector's adaptive request concurrency and Netflix's concurrency-limits.
"""

import asyncio
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Final

from anyio.lowlevel import checkpoint
from attrs import define, evolve, field, frozen

from criteo_audiences.meter import CallEnd, CallMeter, steady

START: Final = 4
"""Calls under way before anything is known; and batches that wait for the quota, so that none of it is wasted."""

MOST: Final = 100
"""Most calls under way, whatever the quota: the number of connections that the transport opens."""

_HEADROOM: Final = 3.0
"""Factor by which calls may start faster than the quota's pace, to catch up with a delay within its window."""

_SILENCE: Final = 0.2
"""Seconds in which the limit doubles until the first answer; a slow server cannot be told from a distant one."""

_STEP: Final = 1.25
_WORTH_DOUBLING: Final = 0.6
_WORTH_A_STEP: Final = 0.2
"""The part of a step that must appear as throughput for the step to pay off: 0 is none of it, 1 is all of it."""

_FEWEST_ANSWERS: Final = 8
_FULL: Final = 0.8
_SAME: Final = 0.05
_SMOOTHING: Final = 0.2


class LimitedBy(StrEnum):
    """What limits the number of batches that an upload has in flight."""

    QUOTA = "quota"
    ROUND_TRIPS = "round_trips"
    """More calls at once would only make each of them slower, or some failed for a transient reason."""
    MEMORY = "memory"
    """`max_in_flight_bytes`."""
    SOURCE = "source"
    """Reading and preparing the source: there was room for more batches."""
    MAX_CONCURRENCY = "max_concurrency"
    """The number that the caller gave."""


@frozen
class SentRequest:
    """A request, and the load when it was sent.

    Attributes:
        sent_at: when it was sent, in seconds.
        concurrent: calls under way at that time, including itself.
    """

    sent_at: float
    concurrent: int


@frozen(kw_only=True)
class Level:
    """How many calls the server can handle at once, judged by its answers, and the round that tests this limit.

    A round ends when as many calls have come back as the limit allows; the first round ends after a few. Only calls
    count that were sent after the round began and while the limit was used up. By Little's law, the throughput is the
    number of calls under way divided by the round trip.

    Attributes:
        limit: calls that may be under way.
        is_starting: whether the limit doubles each round (slow start).
        round_trip: seconds that a call takes, smoothed; `None` before the first answer.
        before: calls under way and throughput of the previous round.
        began: when the round began.
        answers: calls sent in this round that have come back.
        failed: how many of them failed for a transient reason.
        full: how many of them were sent while about as many calls were in flight as the limit allows.
        seconds: the sum of the round trips of the full ones.
        concurrent: the sum of the calls under way when each full one was sent.
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
    concurrent: int = 0

    def after(self, call: SentRequest, now: float, *, failed: bool = False) -> "Level":
        """Returns the level after a call has come back.

        Args:
            call: the call.
            now: when it came back, in seconds.
            failed: whether it failed for a transient reason other than 429, for which the rate limiter already holds
                all calls back.
        """
        took = max(now - call.sent_at, 1e-6)
        if self.round_trip is None:
            level = evolve(self, round_trip=took, limit=limit_in_silence(took))
        else:
            level = evolve(self, round_trip=self.round_trip + _SMOOTHING * (took - self.round_trip))
        if call.sent_at < level.began:  # sent at another limit
            return level
        is_first = level.is_starting and level.before is None
        is_full = not failed and (is_first or call.concurrent >= _FULL * math.floor(level.limit))
        level = evolve(
            level,
            answers=level.answers + 1,
            failed=level.failed + failed,
            full=level.full + is_full,
            seconds=level.seconds + took * is_full,
            concurrent=level.concurrent + call.concurrent * is_full,
        )
        enough = START if is_first else max(START if level.is_starting else _FEWEST_ANSWERS, math.floor(level.limit))
        if level.full < enough and not (level.failed and level.answers >= enough):
            return level
        return _first_seen(level) if is_first and not level.failed else _next_round(level, now)


def _first_seen(level: Level) -> Level:
    """Returns the level with the first answers as the baseline of the next round, although the limit may have grown."""
    before = level.concurrent / level.full, level.concurrent / level.seconds
    return Level(limit=level.limit, round_trip=level.round_trip, before=before, began=level.began)


def _next_round(level: Level, now: float) -> Level:
    limit, is_starting, before = level.limit, level.is_starting, None
    if level.failed:
        share = level.failed / level.answers
        limit, is_starting = limit * (1 - share / 2) + 1 - share, False
    else:
        concurrent, throughput = before = level.concurrent / level.full, level.concurrent / level.seconds
        if _should_rise(level, concurrent, throughput):
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


def _should_rise(level: Level, concurrent: float, throughput: float) -> bool:
    """Whether to raise the limit: after a step up that has paid off, and after a step down that has cost much."""
    if level.before is None:
        return True
    concurrent_before, throughput_before = level.before
    step, gain = math.log(concurrent / concurrent_before), math.log(throughput / throughput_before)
    worth = _WORTH_DOUBLING if level.is_starting else _WORTH_A_STEP
    if abs(step) < _SAME:
        return gain > -worth
    return gain / step > worth


def limit_in_silence(seconds: float) -> float:
    """Returns the limit while no call has been answered, `seconds` after the first one was sent."""
    return min(MOST, START * math.exp2(min(seconds / _SILENCE, 10.0)))


def quota_bound(window: tuple[int, float] | None, round_trip: float) -> float:
    """Returns how many calls under way a quota can use: its rate times the round trip (Little's law), with headroom.

    Args:
        window: the quota, as calls and the seconds of their window; `None` if it is not known.
        round_trip: seconds that a call takes.
    """
    return MOST if window is None else START + _HEADROOM * window[0] / window[1] * round_trip


_LOOK_AGAIN: Final = 0.05
"""Seconds between two checks of the limit before the first answer, while it grows with time."""


class Slots:
    """The calls that the uploads of one client have under way, and what they show about the server.

    Args:
        now: returns the time, in seconds.
    """

    def __init__(self, now: Callable[[], float] = steady) -> None:
        self._now = now
        self._level = Level()
        self._calls: dict[CallMeter, SentRequest] = {}  # the oldest one first
        self._uploads: list[UploadSlots] = []

    def opened(self, meter: CallMeter, *, ceiling: int | None, most_bytes: int) -> "UploadSlots":
        """Returns the slots of another upload.

        Args:
            meter: counts the upload's calls and waits.
            ceiling: most batches in flight, if the caller sets it; `None` follows the quota and the round trips.
            most_bytes: most bytes of the batches in flight.
        """
        return UploadSlots(self, meter, ceiling, most_bytes)

    def limit(self, window: tuple[int, float] | None) -> tuple[int, LimitedBy]:
        """Returns how many calls may be under way now, and what limits them."""
        oldest = next(iter(self._calls.values()), None)
        silence = 0.0 if oldest is None else self._now() - oldest.sent_at
        round_trip = self._level.round_trip
        level = limit_in_silence(silence) if round_trip is None else self._level.limit
        bound = quota_bound(window, max(silence, round_trip or 0.0))
        if bound < level:
            return math.floor(bound), LimitedBy.QUOTA
        return math.floor(level), LimitedBy.ROUND_TRIPS

    def room(self, round_trip: float, window: tuple[int, float] | None) -> float:
        """Returns how many calls will be under way when the first one comes back, if it takes `round_trip` seconds."""
        return min(limit_in_silence(round_trip), quota_bound(window, round_trip))

    @property
    def round_trip(self) -> float | None:
        """Seconds that a call takes, smoothed; `None` before the first answer."""
        return self._level.round_trip

    @property
    def grows_with_time(self) -> bool:
        """Whether calls are under way and none has come back yet."""
        return bool(self._calls) and self._level.round_trip is None

    @property
    def active(self) -> int:
        """Batches in flight of all uploads, without those that wait for a retry."""
        return sum(upload.active for upload in self._uploads)

    def seconds(self) -> float:
        """Returns the time."""
        return self._now()

    def began(self, meter: CallMeter) -> None:
        """Records that a request is about to be sent."""
        self._calls[meter] = SentRequest(self._now(), len(self._calls) + 1)

    def ended(self, meter: CallMeter, end: CallEnd) -> None:
        """Records how a request ended."""
        call = self._calls.pop(meter)
        if end is not CallEnd.SILENT:
            self._level = self._level.after(call, self._now(), failed=end is CallEnd.FAILED)

    def enter(self, upload: "UploadSlots") -> None:
        """Registers an upload that has a batch in flight or wants a slot for one."""
        if upload not in self._uploads:
            self._uploads.append(upload)

    def admit(self) -> None:
        """Gives free slots to waiting uploads, each slot to the upload that has the fewest."""
        while waiting := [upload for upload in self._uploads if upload.may_take()]:
            min(waiting, key=lambda upload: upload.held).take()
        self._uploads = [upload for upload in self._uploads if upload.held or upload.wants]


@define(eq=False)
class UploadSlots:
    """The batches that one upload has in flight. It follows their calls (`meter.CallWatch`).

    Attributes:
        held: batches in flight, including those that wait for the quota, a retry, or the caller to take their result.
        most_held: the largest number so far.
        limited_by: what currently limits their number.
        is_full: whether the last batch had to wait for its slot, or still waits.
    """

    _slots: Slots
    _meter: CallMeter
    _ceiling: int | None
    _most_bytes: int
    held: int = 0
    most_held: int = 0
    limited_by: LimitedBy = LimitedBy.SOURCE
    is_full: bool = False
    _bytes: int = 0
    _resting: set[CallMeter] = field(factory=set)
    _wanted: int | None = None
    _turn: "asyncio.Future[None] | None" = None
    _seconds: dict[LimitedBy, float] = field(factory=dict)
    _since: float = field(init=False)

    @_since.default
    def _now(self) -> float:
        return self._slots.seconds()

    async def enter(self, size: int) -> None:
        """Waits until a batch of `size` bytes may be in flight, and takes a slot for it."""
        await checkpoint()
        self._wanted, self._turn = size, asyncio.get_running_loop().create_future()
        self._slots.enter(self)
        try:
            self._slots.admit()
            self.is_full = not self._turn.done()
            while not self._turn.done():
                later = _LOOK_AGAIN if self._slots.grows_with_time else None
                await asyncio.wait([self._turn], timeout=later)
                self._slots.admit()
        except BaseException:
            if self._turn.done():
                self._give_back(size)
            raise
        finally:
            self._wanted = self._turn = None
            self._note(LimitedBy.SOURCE)
            self._slots.admit()

    @contextmanager
    def left_with(self, size: int) -> Iterator[None]:
        """Frees the slot of a batch of `size` bytes at the end of the block."""
        try:
            yield
        finally:
            self._give_back(size)
            self._slots.admit()

    def room(self, round_trip: float) -> float:
        """Returns how many batches will be in flight when the first one comes back, after `round_trip` seconds."""
        return self._ceiling or self._slots.room(round_trip, self._meter.window)

    @property
    def round_trip(self) -> float | None:
        """Seconds that a call takes, smoothed; `None` before the first answer."""
        return self._slots.round_trip

    def seconds(self) -> dict[LimitedBy, float]:
        """Returns for how many seconds each limit has applied."""
        self._note(self.limited_by)
        return dict(self._seconds)

    def mostly_limited_by(self) -> LimitedBy | None:
        """Returns the limit that has applied for the longest time; `None` if nothing has been sent."""
        return max(seconds, key=seconds.__getitem__) if (seconds := self.seconds()) and self.most_held else None

    def close(self) -> None:
        """Frees all slots, because no batch is in flight any more."""
        self.held = self._bytes = 0
        self._resting.clear()
        self._slots.admit()

    @property
    def active(self) -> int:
        """Batches in flight that do not wait for a retry."""
        return self.held - len(self._resting)

    @property
    def wants(self) -> bool:
        """Whether the upload has a batch that waits for a slot."""
        return self._turn is not None and not self._turn.done()

    def may_take(self) -> bool:
        """Whether the upload waits for a slot and no limit prevents it."""
        if not self.wants or self._wanted is None:
            return False
        limited_by = self._limit(self._wanted)
        self._note(limited_by or LimitedBy.SOURCE)
        return limited_by is None

    def take(self) -> None:
        """Takes the slot for which the upload waits."""
        assert self._turn is not None and self._wanted is not None  # noqa: S101, PT018 - it wants one
        self.held += 1
        self.most_held = max(self.most_held, self.held)
        self._bytes += self._wanted
        self._turn.set_result(None)

    def began(self, meter: CallMeter) -> None:
        """See `CallWatch.began`."""
        self._resting.discard(meter)
        self._slots.began(meter)
        self._slots.admit()

    def ended(self, meter: CallMeter, end: CallEnd) -> None:
        """See `CallWatch.ended`; after a request, a batch rests until its next request or its result."""
        self._resting.add(meter)
        self._slots.ended(meter, end)
        self._slots.admit()

    def settled(self, meter: CallMeter) -> None:
        """See `CallWatch.settled`."""
        self._resting.discard(meter)

    def _limit(self, size: int) -> LimitedBy | None:
        """Returns the limit that prevents another batch of `size` bytes from being sent, or `None`."""
        if self.held and self._bytes + size > self._most_bytes:
            return LimitedBy.MEMORY
        if self._ceiling is not None:
            return LimitedBy.MAX_CONCURRENCY if self.held >= self._ceiling else None
        if self._meter.waits >= START:
            return LimitedBy.QUOTA
        limit, limited_by = self._slots.limit(self._meter.window)
        is_full = self.held and (self._slots.active >= limit or self.held >= 2 * limit + START)
        return limited_by if is_full else None

    def _give_back(self, size: int) -> None:
        self.held -= 1
        self._bytes -= size

    def _note(self, limited_by: LimitedBy) -> None:
        now = self._slots.seconds()
        self._seconds[self.limited_by] = self._seconds.get(self.limited_by, 0.0) + now - self._since
        self.limited_by, self._since = limited_by, now
