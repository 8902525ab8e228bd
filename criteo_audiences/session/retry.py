"""The state of a call, and the policy, free of I/O, by which the session decides whether and when to repeat it."""

import math
import random
from collections.abc import Callable
from typing import Any, Final

from attrs import define, field, frozen

from criteo_audiences.errors import (
    ConnectError,
    CriteoError,
    InvalidResponseError,
    PartialFailureError,
    RateLimitExceeded,
    ResponseError,
    TransportError,
)
from criteo_audiences.meter import CallEnd
from criteo_audiences.models import ProblemType
from criteo_audiences.session.protocol import Request
from criteo_audiences.validation import hinted_class, require_range

# RFC 9110 §15.5.9, §15.6: statuses that do not blame the request itself.
# Gateways of content networks answer 520 to 524 and 529 when the origin server does not answer.
_PASSING: Final = frozenset({408, 500, 502, 503, 504, *range(520, 525), 529})
_DAY: Final = 86_400


@hinted_class
@frozen(kw_only=True)
class RetryPolicy:
    """Exponential backoff with full jitter, bounded by attempts and by time (Criteo's advice: 1 s, 2 s, 4 s …).

    Attributes:
        attempts: requests a call may make in all. A 429 that says how long to wait uses up none: it is an
            instruction, not a failure.
        first_delay: upper bound of the first delay, seconds; it doubles with each attempt.
        max_delay: upper bound of every delay, seconds.
        deadline: seconds after its first request at which a call ends, whatever it is doing; `None` sets no limit.
        jitter: returns a number from 0 to 1 that shortens a delay, so that clients do not return all at once.
    """

    attempts: int = 5
    first_delay: float = 1.0
    max_delay: float = 30.0
    deadline: float | None = 900.0
    jitter: Callable[[], float] = field(default=random.random, repr=False)

    def __attrs_post_init__(self) -> None:
        require_range(self.attempts, "RetryPolicy attempts", least=1, most=100)
        require_range(self.first_delay, "RetryPolicy first_delay", least=0, most=_DAY)
        require_range(self.max_delay, "RetryPolicy max_delay", least=0, most=_DAY)
        if self.deadline is not None:
            require_range(self.deadline, "RetryPolicy deadline", least=0.001, most=_DAY)

    def delay(self, request: Request, attempt: int, error: CriteoError) -> float | None:
        """Returns the seconds to wait before a repeat, or `None` to give up.

        Args:
            request: the call; a call that is not repeatable is repeated only if Criteo cannot have applied it.
            attempt: how many attempts have failed, from 1.
            error: how the last one failed.
        """
        if isinstance(error, RateLimitExceeded) and error.retry_after:  # 0 means that the moment has passed: useless
            return error.retry_after
        if attempt >= self.attempts or not _may_repeat(request, error):
            return None
        if isinstance(error, ResponseError) and error.retry_after:
            return error.retry_after
        return self.jitter() * min(self.max_delay, self.first_delay * 2.0 ** (attempt - 1))


def _may_repeat(request: Request, error: CriteoError) -> bool:
    if isinstance(error, ConnectError):
        return error.passing  # nothing was sent
    if isinstance(error, RateLimitExceeded):
        return True  # Criteo did not process it
    if not request.repeatable:
        return False
    if isinstance(error, (TransportError, InvalidResponseError)):
        return True
    if isinstance(error, PartialFailureError):
        return any(problem.type is ProblemType.AVAILABILITY for problem in error.problems)
    return isinstance(error, ResponseError) and error.status in _PASSING


def end_of(error: CriteoError) -> CallEnd:
    """Returns what a failed request reveals about the server's load."""
    if isinstance(error, RateLimitExceeded):
        return CallEnd.SILENT  # the limiter delays all calls already
    is_passing = isinstance(error, TransportError) or (isinstance(error, ResponseError) and error.status in _PASSING)
    return CallEnd.FAILED if is_passing else CallEnd.ANSWERED


@define
class Call:
    """The state of one call, which may take several requests.

    Attributes:
        request: the call itself.
        attempt: requests made so far.
        failures: requests that used up an attempt of the policy.
        refusals: requests that were answered 429 with a wait.
        delay: seconds before the next request, `None` for no further request.
        ends_at: when the deadline passes.
        token: the token that the last request carried.
        tokens: all tokens that requests of the call carried.
        read: turns the answer's document into the result.
        renewed: whether a refused token was replaced already.
        is_final: whether no repeat would change the answer.
        unknown: whether Criteo may have applied a request that has ended.
        is_under_way: whether a request was sent and has not ended.
        sent_at: when the last request started, `None` before that.
        status: HTTP status of the last answer.
    """

    request: Request
    read: Callable[[Any], Any]
    attempt: int = 0
    failures: int = 0
    refusals: int = 0
    delay: float | None = None
    ends_at: float = math.inf
    token: str | None = field(default=None, repr=False)
    tokens: set[str] = field(factory=set, repr=False)
    renewed: bool = False
    is_final: bool = False
    unknown: bool = False
    is_under_way: bool = False
    sent_at: float | None = None
    status: int | None = None
