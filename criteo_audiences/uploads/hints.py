"""What an upload's figures say: how long it still takes, and what kept it from being faster."""

import math
from typing import Final

from attrs import frozen

from criteo_audiences.meter import CallMeter
from criteo_audiences.uploads.load import Load
from criteo_audiences.uploads.options import Settings
from criteo_audiences.uploads.tally import Tally

_WORTH_A_HINT: Final = 5.0
_NOTICEABLE: Final = 0.1
_MOST_OF_IT: Final = 0.8
_MOST_IN_FLIGHT: Final = 100
_MINUTE: Final = 60.0


@frozen(kw_only=True)
class Figures:
    """What was measured of an upload that has ended.

    Attributes:
        elapsed: seconds.
        waited: seconds of them during which the quota held a batch back.
        reading: seconds that reading and preparing took, waits for a sender left out.
        full: seconds during which as many batches were in flight as may be.
        busy: seconds that batches were in flight, summed over the batches.
        batches: that were sent.
        failed: batches that failed, sent or not.
        max_concurrency: batches that may be in flight at the same time.
        window: calls that the quota allows within so many seconds, `None` when nobody knows.
    """

    elapsed: float
    waited: float
    reading: float
    full: float
    busy: float
    batches: int
    max_concurrency: int
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
    return _hint_of_concurrency(figures) if figures.full >= _MOST_OF_IT * figures.elapsed else None


def _hint_of_concurrency(figures: Figures) -> str | None:
    """Requests in flight that a rate needs are the rate times the seconds that one takes (Little's law)."""
    seconds = figures.busy / figures.batches
    made = figures.batches / figures.elapsed * _MINUTE
    allowed = None if figures.window is None else figures.window[0] / figures.window[1] * _MINUTE
    needed = 2 * figures.max_concurrency if allowed is None else math.ceil(allowed / _MINUTE * seconds)
    better = min(needed, figures.batches, _MOST_IN_FLIGHT)
    if better <= figures.max_concurrency:
        return None
    quota = "" if allowed is None else f" and the quota would have allowed {allowed:,.0f}"
    return (
        f"max_concurrency={figures.max_concurrency} was the limit: a call took {seconds:.1f} s, so it made {made:,.0f} "
        f"calls a minute{quota}; try max_concurrency={better}, unless the network is full."
    )


def hint_of(load: Load, meter: CallMeter, tally: Tally, settings: Settings) -> str | None:
    """Returns the hint of an upload once it has ended; a source that trickles has no speed to judge."""
    if settings.flush_after is not None or tally.elapsed is None:
        return None
    return hint(
        Figures(
            elapsed=tally.elapsed,
            waited=meter.waited(),
            reading=load.reading,
            full=load.full,
            busy=load.busy,
            batches=tally.batches - tally.resumed,
            failed=len(tally.failures),
            max_concurrency=settings.max_concurrency,
            window=meter.window,
        )
    )


def time_left(share_read: float | None, meter: CallMeter, tally: Tally) -> float | None:
    """Estimates the seconds an upload still takes, by its pace so far and by the windows that the quota lets it use.

    A batch that failed is not sent again, but says nothing of the pace: the time it took is added to the others'.

    Args:
        share_read: how much of the source has been read, 0 to 1; `None` when it cannot tell.
        meter: the waits, and what the quota allows.
        tally: the batches.

    Returns:
        Seconds, or `None` as long as nothing can be said: no batch has come back that Criteo took, or the quota
        holds one back for longer than the rest would take.
    """
    if not share_read or not tally.accepted or tally.accepted == tally.resumed < tally.ended:
        return None
    done = min(1.0, share_read) * tally.ended / (tally.ended + tally.in_flight)
    at_this_pace = (tally.seconds() - meter.waited()) * (1 / done - 1) * tally.ended / tally.accepted
    if meter.window is None:
        return at_this_pace
    calls, period = meter.window
    windows_waited_for = math.ceil((tally.ended / done - tally.resumed) / calls) - 1
    left = max(at_this_pace, windows_waited_for * period - tally.seconds())
    # Others may have used up the window: a batch that waits now can do so for a whole period.
    return None if meter.is_waiting and left < period else left
