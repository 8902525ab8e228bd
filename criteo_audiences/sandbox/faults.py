"""Record the server's calls for tests, and let the next calls go wrong in the way a test chooses.

The record contains no token, identifier or query string.
"""

import asyncio
import itertools
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, Literal, TypedDict, get_args

import attrs
from aiohttp import web


@attrs.define
class RecordedRequest:
    """One call that the server received."""

    method: str
    path: str
    number: int = 0
    """1 for the first call, token calls included."""
    status: int | None = None
    """HTTP status of the answer; ``None`` until there is one, and it stays ``None`` when the connection was cut before
    all headers were written."""
    identifiers: int = 0
    """How many identifiers its body contained; 0 when the body was not read, as with an injected 503."""
    digest: int | None = attrs.field(default=None, repr=False)
    """A number that two amendments share only if they send the same identifiers, in any order, with the same type and
    operation; it is valid within one process. ``None`` when the server read no body, or no amendment in it."""
    handled: bool = False
    """Whether the server did what the call asked for. A list may have changed without the client knowing."""
    answered: bool = False
    """Whether the server wrote an answer completely, even an error or a fault's. The client may not have read it."""
    acknowledged: bool = False
    """Whether the server handled the call and wrote its own answer completely."""

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.status or 'no reply'} ({self.identifiers} identifiers)"


ENTRY = web.RequestKey("entry", RecordedRequest)


class CallLog:
    """The calls so far, and how many of them the server handled at the same time.

    Args:
        on_call: Called with each call when its answer has ended.
    """

    def __init__(self, on_call: Callable[[RecordedRequest], None] | None = None) -> None:
        self.requests: list[RecordedRequest] = []
        self.max_in_flight = 0
        self._in_flight = 0
        self._tasks: set[asyncio.Task[object]] = set()
        self._numbers = itertools.count(1)
        self._on_call = on_call

    def add(self, method: str, path: str) -> RecordedRequest:
        """Record a call that has just arrived, and return its entry."""
        # Thousands of calls share a few paths.
        entry = RecordedRequest(method, sys.intern(path), next(self._numbers))
        self.requests.append(entry)
        return entry

    def end(self, entry: RecordedRequest) -> None:
        """Report the end of a call to `on_call`, if it was given."""
        if self._on_call is not None:
            self._on_call(entry)

    @contextmanager
    def in_flight(self) -> Iterator[None]:
        """Count an API call as being handled."""
        self._in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self._in_flight)
        try:
            yield
        finally:
            self._in_flight -= 1

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Remember the task of a call while it runs, so that `end_all` can cancel it."""
        task = asyncio.current_task()
        tasks = set() if task is None else {task}
        self._tasks |= tasks
        try:
            yield
        finally:
            self._tasks -= tasks

    async def end_all(self) -> None:
        """Cancel the calls that still run; aiohttp does not cancel a call when its client disconnects."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


Moment = Literal["handled", "half-head", "head", "half-body", "answered"]
"""How much of an answer was written: nothing, half of the headers, all headers, half of the body too, or everything."""

_ANSWER_STATUSES = range(200, 600)
_HALF = 0.5
_LEFT_OUT: Final[tuple[object, ...]] = (None, False, {})  # and 0, which equals False

_EFFECTS = "status", "body", "raw", "headers", "delay", "stall", "drop_connection", "lose_reply", "padded_to", "chunked"
_OF_THE_ANSWER = "status", "body", "code", "headers", "lose_reply", "padded_to", "chunked"
# The keywords that a keyword excludes.
_EXCLUDED: Final[Mapping[str, tuple[str, ...]]] = {
    "drop_connection": (*_OF_THE_ANSWER, "raw", "handle_first"),
    "raw": _OF_THE_ANSWER,
}


class FaultOptions(TypedDict, total=False):
    """The keywords of a `Fault`, for functions that pass them on."""

    status: int | None
    delay: float
    drop_connection: bool
    lose_reply: bool
    at: float | Moment | None
    stall: float
    code: str | None
    headers: Mapping[str, str]
    rate_limit_headers: bool
    body: bytes | None
    raw: bytes | None
    handle_first: bool
    padded_to: int | None
    chunked: bool


@attrs.frozen(kw_only=True)
class Fault:
    """What happens to a call instead of its normal handling, or in addition to it.

    Attributes:
        status: Answer this HTTP status with a problem, and do nothing else.
        delay: Seconds before the call is looked at; alone, it is handled normally afterwards.
        drop_connection: Reset the connection while the body is received, after half of it or ``at`` another share;
            nothing is applied.
        lose_reply: Handle the call, then close the connection instead of answering, or ``at`` a moment of the answer.
        at: When ``drop_connection``, ``lose_reply`` or ``stall`` happens. A number is the share of the request's body
            that was read by then, according to its Content-Length: from 0, for nothing, to 1. A word is a moment of the
            answer: ``"handled"``, with nothing written yet, ``"half-head"``, ``"head"`` (all headers),
            ``"half-body"`` or ``"answered"`` (all of it, so that a kept connection is dead for the next call).
        stall: Seconds for which nothing moves at that moment, before the call goes on or the connection ends.
        code: The problem's code, instead of the usual one of the status.
        headers: Further headers of the answer; these override all others.
        rate_limit_headers: Whether an answer with ``status`` or ``body`` has the rate-limit headers; in a 429 they say
            that no call is left.
        body: Answer with these bytes, with status 200 unless ``status`` is given, and do nothing else.
        raw: Write these bytes instead of an answer, HTTP or not, close the connection, and do nothing else.
        handle_first: Handle the call before ``status``, ``body`` or ``raw`` replaces its own answer. A call that is
            refused, for its token or its contents, gets its own answer.
        padded_to: Bytes to which the answer's body is padded with spaces, written piece by piece.
        chunked: Send the answer's body in chunks, without a Content-Length.

    Raises:
        ValueError: The call would not notice, or two of the keywords contradict each other.
    """

    status: int | None = None
    delay: float = 0.0
    drop_connection: bool = False
    lose_reply: bool = False
    at: float | Moment | None = None
    stall: float = 0.0
    code: str | None = None
    headers: Mapping[str, str] = attrs.field(factory=dict)
    rate_limit_headers: bool = True
    body: bytes | None = attrs.field(default=None, repr=False)
    raw: bytes | None = attrs.field(default=None, repr=False)
    handle_first: bool = False
    padded_to: int | None = None
    chunked: bool = False

    def __attrs_post_init__(self) -> None:
        for violations in (self._wrong_values, self._contradictions, self._misplaced):
            for violation in violations():
                raise ValueError(violation)

    @property
    def replaces_answer(self) -> bool:
        """Whether the call gets an answer other than its own."""
        return self.status is not None or self.body is not None or self.raw is not None

    @property
    def share_read(self) -> float | None:
        """The share of the body to read before the fault happens; ``None`` for any other fault."""
        if isinstance(self.at, int | float):
            return self.at
        return _HALF if self.drop_connection else None

    @property
    def moment(self) -> Moment | None:
        """The moment of the answer at which the fault happens; ``None`` when it happens at none."""
        if isinstance(self.at, str):
            return self.at
        return "handled" if self.lose_reply else None

    @property
    def disturbs_answer(self) -> bool:
        """Whether the answer cannot be written as it usually is."""
        return self.moment is not None or self.raw is not None or self.padded_to is not None or self.chunked

    def _wrong_values(self) -> Iterator[str]:
        for name, seconds in (("delay", self.delay), ("stall", self.stall)):
            if not 0 <= seconds < math.inf:
                yield f"{name} must be seconds, from 0 up"
        if self.status is not None and self.status not in _ANSWER_STATUSES:
            yield "status must be an HTTP status from 200 to 599"
        if self.padded_to is not None and self.padded_to < 1:
            yield "padded_to must be at least 1 byte"
        known = self.at in get_args(Moment) if isinstance(self.at, str) else self.at is None or 0 <= self.at <= 1
        if not known:
            yield f"at must be a share from 0 to 1, or one of {', '.join(get_args(Moment))}"

    def _contradictions(self) -> Iterator[str]:
        if not any(map(self._has, _EFFECTS)):
            yield f"a fault needs one of {', '.join(_EFFECTS)}"
        for name, excluded in _EXCLUDED.items():
            for other in filter(self._has, excluded) if self._has(name) else ():
                yield f"{name} leaves no room for {other}"
        if self.handle_first and not self.replaces_answer:
            yield "handle_first needs a status, a body or raw: without one a call is handled anyway"

    def _misplaced(self) -> Iterator[str]:
        is_moment = isinstance(self.at, str)
        if is_moment and (self.drop_connection or self.raw is not None):
            yield "at must be a share of the request's body here, from 0 to 1"
        if self.lose_reply and self.at is not None and not is_moment:
            yield "lose_reply needs a moment of the answer as at; drop_connection takes a share of the body"
        ends = self.drop_connection or self.lose_reply
        if self.at is not None and not (ends or self.stall):
            yield "at needs a stall, drop_connection or lose_reply"
        if self.stall and self.at is None and not ends:
            yield "stall needs an at: a share of the request's body, or a moment of the answer"

    def _has(self, name: str) -> bool:
        return getattr(self, name) not in _LEFT_OUT


Choose = Callable[[RecordedRequest], Fault | None]


@attrs.define
class _Pending:
    fault: Fault
    times: int
    on: str

    def concerns(self, path: str, *, is_token_call: bool) -> bool:
        """Returns whether the fault applies to a call: to a token call only if `on` names it."""
        return self.on in path and (bool(self.on) or not is_token_call)


class FaultQueue:
    """Faults in the order in which tests added them, each for a number of calls; after them, a function's choices."""

    def __init__(self) -> None:
        self._pending: list[_Pending] = []
        self.choose: Choose | None = None

    def add(self, fault: Fault, *, times: int, on: str) -> None:
        """Add a fault to the end of the queue."""
        if times < 1:
            raise ValueError("times must be at least 1")
        self._pending.append(_Pending(fault, times, on))

    def take(self, call: RecordedRequest, *, is_token_call: bool) -> Fault | None:
        """Returns the first fault that applies to a call, and counts it as used once."""
        for pending in self._pending:
            if pending.concerns(call.path, is_token_call=is_token_call):
                pending.times -= 1
                self._pending = [each for each in self._pending if each.times]
                return pending.fault
        return None if self.choose is None else self.choose(call)
