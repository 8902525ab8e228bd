"""What an upload's figures say: what kept it from being faster."""

import math
from collections.abc import Mapping
from typing import Final

from attrs import frozen

from criteo_audiences.uploads.concurrency import MOST, LimitedBy

_WORTH_A_HINT: Final = 5.0
_NOTICEABLE: Final = 0.1
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
    if figures.elapsed < _WORTH_A_HINT or figures.waited >= _NOTICEABLE * figures.elapsed:
        return None
    if not figures.batches or figures.failed >= _NOTICEABLE * figures.batches:
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
