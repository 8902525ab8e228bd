"""The calls of one worker of a shared quota: what it reports to the others, and what it may do without them."""

import itertools
import math
import secrets
from typing import Any, Final

from attrs import define, field

from criteo_audiences.models import RateLimit
from criteo_audiences.session.quota import Refusals

_DRIFT: Final = 1 / 2000
"""How far apart clocks may run: those that NTP slews by at most 500 parts in a million."""


@define
class OwnCalls:
    """The calls of this worker that count in the quota's window.

    A call holds its place from its admission until one period after its answer, and at least until one period and
    `slack` after it was sent. By then Criteo has counted it, even if this worker gave up waiting for the answer.

    Attributes:
        period: length of the window, seconds.
        slack: the longest that a request is on its way until Criteo counts it, seconds.
        name: tells this worker from others; made up anew by each.
        flying: calls that were admitted and have not ended.
    """

    period: float
    slack: float
    name: str = field(factory=lambda: secrets.token_hex(8))
    flying: int = 0
    _admitted_at: float = -math.inf
    _frees: dict[str, float] = field(factory=dict)
    _unsaid: list[str] = field(factory=list)
    _answers: list[tuple[float, float, RateLimit | None, float]] = field(factory=list)
    _numbers: "itertools.count[int]" = field(factory=itertools.count)

    @property
    def hold(self) -> float:
        """Seconds for which a place is held after its call has ended, at most."""
        return self.period * (1 + _DRIFT) + self.slack

    @property
    def has_news(self) -> bool:
        """Whether a call ended that the others have not heard of."""
        return bool(self._unsaid or self._answers)

    def begin(self, now: float) -> None:
        """Notes that a call was admitted."""
        self.flying += 1
        self._admitted_at = now

    def withdraw(self) -> None:
        """Gives up the place of a call that was admitted and not sent."""
        self.flying = max(0, self.flying - 1)

    def end(self, now: float, announced: RateLimit | None, pause: float, sent_at: float | None) -> None:
        """Notes that a call has ended; without `sent_at` it may have been sent when the last one was admitted."""
        self.flying = max(0, self.flying - 1)
        sent = min(now, self._admitted_at if sent_at is None else sent_at)
        self._note(max(now, sent + self.slack) + self.period * (1 + _DRIFT))
        if announced is not None or pause > 0 or sent_at is not None:
            self._answers.append((now, sent, announced, pause))

    def abandon(self, now: float) -> None:
        """Counts all calls in flight as ended, because their answers will not be reported."""
        for _ in range(self.flying):
            self._note(now + self.hold)
        self.flying = 0

    def note_pause(self, now: float, pause: float) -> None:
        """Notes a wait that the server announced while the others could not be told."""
        if pause > 0:
            self._answers.append((now, now, None, pause))

    def _note(self, free_at: float) -> None:
        number = f"{self.name}:{next(self._numbers)}"
        self._frees[number] = free_at
        self._unsaid.append(number)

    def held(self, now: float) -> int:
        """Returns the places that this worker's calls hold."""
        self._frees = {number: free_at for number, free_at in self._frees.items() if free_at > now}
        return self.flying + len(self._frees)

    def next_free(self) -> float:
        """Returns when the next place of an ended call is free."""
        return min(self._frees.values(), default=math.inf)

    def report(self, now: float, *, everything: bool) -> dict[str, Any]:
        """Returns what the others must know, as durations up to now.

        Args:
            now: on the clock of the other methods.
            everything: all calls that hold a place, for a server that has forgotten them.
        """
        self.held(now)
        told = list(self._frees) if everything else [number for number in self._unsaid if number in self._frees]
        return {
            "worker": self.name,
            "flying": self.flying,
            "hold": self.hold,
            "ended": [(number, self._frees[number] - now) for number in told],
            "answers": [
                _said(now - at, now - sent, limit, pause, self.period) for at, sent, limit, pause in self._answers
            ],
        }

    def told(self) -> "_Told":
        """Returns what a report made now holds, to be forgotten by `forget` when the others have heard it."""
        return _Told(len(self._unsaid), len(self._answers))

    def forget(self, told: "_Told") -> None:
        """Drops the news that the others have heard."""
        del self._unsaid[: told.ended]
        del self._answers[: told.answers]


@define
class _Told:
    ended: int
    answers: int


def _said(age: float, sent_age: float, announced: RateLimit | None, pause: float, period: float) -> dict[str, Any]:
    said: dict[str, Any] = {"sent": sent_age}
    if announced is not None:
        said["limit"] = announced.limit or None
        said["remaining"] = announced.remaining
        reset_in = announced.reset_in
        said["reset"] = (reset_in if reset_in is not None and 0 < reset_in <= period else period) - age
    if pause > 0:
        said["pause"] = max(0.0, pause - age)
    return {name: value for name, value in said.items() if value is not None}


@define
class LocalShare:
    """How many calls a worker may make while Redis is gone.

    It is the worker's part of the limit. For the first period it may be less: calls that other workers made before
    still count, so the worker has the places of its own calls and its part of those that were free.

    Attributes:
        allowed: places for this worker's calls.
        at_first: places until `since_then`.
        since_then: when the calls made before Redis went have left the window.
        until: when the window that all share opens again; infinite while nobody knows.
        paused_until: when a wait that the server announced is over.
        refusals: the 429s in a row.
    """

    allowed: int
    at_first: int
    since_then: float
    until: float = math.inf
    paused_until: float = 0.0
    refusals: Refusals = field(factory=Refusals)

    def note(self, now: float, pause: float, sent_at: float | None) -> None:
        """Notes the answer to a call."""
        if pause > 0:
            self.refusals.note(now if sent_at is None else sent_at, now)
            self.paused_until = max(self.paused_until, now + pause)
        elif sent_at is not None:
            self.refusals.clear()

    def free(self, calls: OwnCalls, now: float) -> int:
        """Returns how many calls this worker may make at this moment."""
        if now < self.paused_until or now >= self.until:
            return 0
        allowed = self.allowed if now >= self.since_then else min(self.allowed, self.at_first)
        free = allowed - calls.held(now)
        return min(free, 1 - calls.flying) if self.refusals.are_many else free

    def next_change(self, calls: OwnCalls, now: float) -> float:
        """Returns when more may be free without an answer coming; infinite when only an answer can free a place."""
        if now < self.paused_until:
            return self.paused_until
        later = [self.since_then] if now < self.since_then else []
        return min([calls.next_free(), self.until, *later])
