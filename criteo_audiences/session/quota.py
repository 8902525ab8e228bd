"""The call quota, and the limiter interface that enforces it."""

import math
from typing import Final, Protocol

from attrs import define, field, frozen

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.models import RateLimit
from criteo_audiences.validation import require_range

MOST_CALLS: Final = 1_000_000


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
    """The 429s that came in a row, and the wait that they ask for.

    A server that says "a millisecond" each time would be asked a thousand times a second, so a wait is never shorter
    than a floor that doubles with each of them. Those of calls that were under way together count once.

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
        """Counts a 429 to a call that was sent at a moment."""
        if sent_at >= self._last:
            self.count += 1
            self._last = now

    def hold(self, announced: float, now: float) -> float:
        """Returns how long to wait, which is at least the floor, and remembers it."""
        wait = max(announced, floor_of(self.count))
        self.ends_at = max(self.ends_at, now + wait)
        return wait

    def clear(self) -> None:
        """Forgets the refusals, since an answer other than 429 came."""
        self.count = 0


def floor_of(failures: int) -> float:
    """Returns the shortest wait after so many failures in a row."""
    return min(_HIGHEST_FLOOR, _FLOOR * 2.0 ** min(failures - 1, 10)) if failures else 0.0


class RateLimiter(Protocol):
    """What the session asks of a limiter; give one of your own to share a quota between processes.

    `window` and `share` may be left out, which is the same as `None`.
    """

    @property
    def window(self) -> tuple[int, float] | None:
        """Calls that its client may make within so many seconds, for estimates; `None`: no estimate."""
        return None

    @property
    def share(self) -> float | None:
        """How much of the application's window it takes, above 0 and up to 1; `None`: it counts with others like it."""
        return None

    async def acquire(self, *, background: bool = False, longest: float | None = None) -> float:
        """Returns once a call may be made.

        Args:
            background: an upload's batch, which lets single calls go first.
            longest: refuse to wait longer than this, seconds: before waiting when that is known, and at the latest
                when it is over; `None` waits as long as it takes.

        Returns:
            The seconds waited.

        Raises:
            QuotaWaitError: when the wait would be longer than `longest`.
        """

    def settle(self, announced: RateLimit | None = None, *, pause: float = 0.0, sent_at: float | None = None) -> None:
        """Says that a call that was acquired has ended, whatever became of it; never blocks.

        Args:
            announced: what its answer's headers said.
            pause: seconds during which no call may be made, because the server answered 429.
            sent_at: when it was sent, on the session's clock. It shows which other calls the server had counted.
        """
