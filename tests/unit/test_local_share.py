"""What a worker of a shared quota does while it cannot reach the others."""

from criteo_audiences import RateLimit
from criteo_audiences.integrations.redis_server import LocalShare, OwnCalls

PERIOD = 10.0
HOLD = PERIOD * 1.0005


def spent(calls: int, now: float) -> OwnCalls:
    """Returns the calls of a worker that has made so many, answered at a moment."""
    own = OwnCalls(PERIOD, 0.0)
    for _ in range(calls):
        own.begin(now)
        own.end(now, None, 0.0, now)
    return own


def test_call_holds_its_place_until_a_period_after_its_answer() -> None:
    """A place is free one period after the answer, and never earlier than that after the call may have been counted."""
    own = OwnCalls(PERIOD, 2.0)
    own.begin(0.0)
    own.begin(0.0)
    own.end(1.0, None, 0.0, 0.5)  # it may be counted at 2.5
    own.end(4.0, None, 0.0, 0.5)
    assert own.held(2.5 + HOLD - 0.01) == 2
    assert own.held(2.5 + HOLD) == 1
    assert own.next_free() == 4.0 + HOLD


def test_report_holds_news_once_and_everything_on_demand() -> None:
    """What the others have heard is not said again, unless they have forgotten all."""
    own = spent(2, 0.0)
    assert len(own.report(1.0, everything=False)["ended"]) == 2
    own.forget(own.news())
    assert (own.report(1.0, everything=False)["ended"], own.report(1.0, everything=False)["answers"]) == ([], [])
    assert len(own.report(1.0, everything=True)["ended"]) == 2
    assert own.report(HOLD + 1, everything=True)["ended"] == []


def test_report_says_durations() -> None:
    """What the server announced is reported by its age, so that clocks need not agree."""
    own = OwnCalls(PERIOD, 0.0)
    own.begin(100.0)
    own.end(102.0, RateLimit(limit=50, remaining=3, reset_in=4.0), 6.0, 101.0)
    (answer,) = own.report(103.0, everything=False)["answers"]
    assert answer == {"sent": 2.0, "limit": 50, "remaining": 3, "reset": 3.0, "pause": 5.0}


def test_a_refusal_whose_reset_has_just_passed_is_over() -> None:
    """The others learn that the server's window is open again; any other answer with such a reset means a period."""
    own = OwnCalls(PERIOD, 0.0)
    for pause in (0.25, 0.0):
        own.begin(100.0)
        own.end(101.0, RateLimit(limit=50, remaining=0, reset_in=-0.5), pause, 100.0)
    refusal, answer = own.report(101.0, everything=False)["answers"]
    assert (refusal["reset"], answer["reset"]) == (0.0, PERIOD)


def test_worker_uses_only_its_own_places_for_a_period() -> None:
    """As long as the others' earlier calls count, a worker gets no more places than it had; then it gets its part."""
    own = spent(2, 0.0)
    share = LocalShare(allowed=5, at_first=2, since_then=HOLD)
    assert share.free(own, 1.0) == 0
    assert share.next_change(own, 1.0) == HOLD
    assert share.free(own, HOLD) == 5


def test_worker_that_had_more_than_its_part_comes_down_to_it() -> None:
    """Places that are free again are not used before the worker holds less than its part."""
    own = spent(8, 0.0)
    share = LocalShare(allowed=5, at_first=9, since_then=HOLD)
    assert share.free(own, 1.0) == -3
    assert share.free(own, HOLD) == 5


def test_refusals_hold_a_worker_back() -> None:
    """A 429 pauses it, and after three in a row one call at a time looks whether it is over."""
    own = OwnCalls(PERIOD, 0.0)
    share = LocalShare(allowed=5, at_first=5, since_then=0.0)
    for moment in (1.0, 2.0, 3.0):
        share.note(moment, 0.5, moment)
    assert share.free(own, 3.2) == 0
    assert share.next_change(own, 3.2) == 3.5
    assert share.free(own, 4.0) == 1
    own.begin(4.0)
    assert share.free(own, 4.0) == 0
    share.note(4.5, 0.0, 4.0)
    assert share.free(own, 4.5) == 4


def test_part_ends_when_the_common_window_opens() -> None:
    """Nothing is admitted any more a moment before the window opens that all share."""
    share = LocalShare(allowed=5, at_first=5, since_then=0.0, until=7.0)
    own = OwnCalls(PERIOD, 0.0)
    assert share.free(own, 6.9) == 5
    assert share.next_change(own, 6.9) == 7.0
    assert share.free(own, 7.0) == 0
