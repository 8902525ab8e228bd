"""How many calls may be made, and what the session asks of whoever says when."""

from typing import Final, Protocol

from attrs import field, frozen

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.models import RateLimit
from criteo_audiences.validation import require_range

MOST_CALLS: Final = 1_000_000


@frozen
class Quota:
    """How many calls the application may make.

    Attributes:
        calls: calls a window, for the whole application. Criteo: 250 a minute for client credentials.
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


class RateLimiter(Protocol):
    """What the session asks of a limiter; give one of your own to share a quota between processes."""

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
            pause: seconds during which nobody may call: the server answered 429.
            sent_at: when it was sent, on the session's clock: tells which other calls its answer has counted.
        """
