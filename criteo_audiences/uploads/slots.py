"""Room for batches in flight: how much there is, which upload of a client gets it, and what it is limited by."""

import asyncio
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from anyio.lowlevel import checkpoint
from attrs import define, field

from criteo_audiences.meter import CallEnd, CallMeter, steady
from criteo_audiences.uploads.concurrency import START, Call, Level, LimitedBy, limit_in_silence, quota_bound

_LOOK_AGAIN: Final = 0.05
"""Seconds after which the limit is looked at again that grows with time, before the first answer."""


class Slots:
    """The calls that the uploads of one client have under way, and what they have shown of the server.

    Args:
        now: the time, in seconds.
    """

    def __init__(self, now: Callable[[], float] = steady) -> None:
        self._now = now
        self._level = Level()
        self._calls: dict[CallMeter, Call] = {}  # the oldest one first
        self._uploads: list[UploadSlots] = []

    def opened(self, meter: CallMeter, *, ceiling: int | None, most_bytes: int) -> "UploadSlots":
        """Returns the slots of one more upload.

        Args:
            meter: counts the upload's calls and waits.
            ceiling: batches in flight that the caller wants; `None` follows the quota and the round trips.
            most_bytes: of the batches in flight.
        """
        return UploadSlots(self, meter, ceiling, most_bytes)

    def limit(self, window: tuple[int, float] | None) -> tuple[int, LimitedBy]:
        """Returns how many calls may be under way by now, and what the number comes from."""
        oldest = next(iter(self._calls.values()), None)
        silence = 0.0 if oldest is None else self._now() - oldest.sent_at
        round_trip = self._level.round_trip
        level = limit_in_silence(silence) if round_trip is None else self._level.limit
        bound = quota_bound(window, max(silence, round_trip or 0.0))
        if bound < level:
            return math.floor(bound), LimitedBy.QUOTA
        return math.floor(level), LimitedBy.ROUND_TRIPS

    @property
    def grows_with_time(self) -> bool:
        """Whether calls are under way and none has come back yet."""
        return bool(self._calls) and self._level.round_trip is None

    @property
    def active(self) -> int:
        """Batches in flight that do not wait for a retry, of all uploads."""
        return sum(upload.active for upload in self._uploads)

    def seconds(self) -> float:
        """Returns the time."""
        return self._now()

    def began(self, meter: CallMeter) -> None:
        """Notes a request that is about to be sent."""
        self._calls[meter] = Call(self._now(), len(self._calls) + 1)

    def ended(self, meter: CallMeter, end: CallEnd) -> None:
        """Notes how a request ended."""
        call = self._calls.pop(meter)
        if end is not CallEnd.SILENT:
            self._level = self._level.after(call, self._now(), failed=end is CallEnd.FAILED)

    def enter(self, upload: "UploadSlots") -> None:
        """Counts an upload that has a batch in flight, or wants one."""
        if upload not in self._uploads:
            self._uploads.append(upload)

    def admit(self) -> None:
        """Lets uploads have a slot each as long as there are slots: first the one that has the fewest."""
        while waiting := [upload for upload in self._uploads if upload.may_take()]:
            min(waiting, key=lambda upload: upload.held).take()
        self._uploads = [upload for upload in self._uploads if upload.held or upload.wants]


@define(eq=False)
class UploadSlots:
    """The batches that one upload has in flight. It watches their calls (`meter.CallWatch`).

    Attributes:
        held: batches in flight, also those that wait for the quota, a retry, or the caller to take their result.
        most_held: the most there have been.
        limited_by: what there would be more of them without.
    """

    _slots: Slots
    _meter: CallMeter
    _ceiling: int | None
    _most_bytes: int
    held: int = 0
    most_held: int = 0
    limited_by: LimitedBy = LimitedBy.SOURCE
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
        """Returns once a batch of so many bytes may be in flight."""
        await checkpoint()
        self._wanted, self._turn = size, asyncio.get_running_loop().create_future()
        self._slots.enter(self)
        try:
            self._slots.admit()
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
        """Frees the slot of a batch of so many bytes at the end of the block."""
        try:
            yield
        finally:
            self._give_back(size)
            self._slots.admit()

    def seconds(self) -> dict[LimitedBy, float]:
        """Returns for how long it has been limited by what."""
        self._note(self.limited_by)
        return dict(self._seconds)

    def mostly_limited_by(self) -> LimitedBy | None:
        """Returns what it has been limited by for the longest time; `None` while it has sent nothing."""
        return max(seconds, key=seconds.__getitem__) if (seconds := self.seconds()) and self.most_held else None

    def close(self) -> None:
        """Gives back what it holds, since nothing of it is in flight any more."""
        self.held = self._bytes = 0
        self._resting.clear()
        self._slots.admit()

    @property
    def active(self) -> int:
        """Batches in flight that do not wait for a retry."""
        return self.held - len(self._resting)

    @property
    def wants(self) -> bool:
        """Whether it has a batch that could go out."""
        return self._turn is not None and not self._turn.done()

    def may_take(self) -> bool:
        """Whether it wants a slot and may have it."""
        if not self.wants or self._wanted is None:
            return False
        limited_by = self._limit(self._wanted)
        self._note(limited_by or LimitedBy.SOURCE)
        return limited_by is None

    def take(self) -> None:
        """Gives it the slot that it waits for."""
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
        """See `CallWatch.ended`; a batch whose request has ended rests until its next one or its result."""
        self._resting.add(meter)
        self._slots.ended(meter, end)
        self._slots.admit()

    def settled(self, meter: CallMeter) -> None:
        """See `CallWatch.settled`."""
        self._resting.discard(meter)

    def _limit(self, size: int) -> LimitedBy | None:
        """Returns what keeps it from one more batch of so many bytes; `None` when nothing does."""
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
