import asyncio
from typing import Any
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from criteo_audiences.errors import ConfigurationError, QuotaWaitError
from criteo_audiences.models import RateLimit
from criteo_audiences.session import LocalRateLimiter, Quota
from criteo_audiences.session.quota import quota_wait


def ask(limiter: LocalRateLimiter, **options: Any) -> asyncio.Task[float]:
    """Starts waiting for a place."""
    return asyncio.create_task(limiter.acquire(**options))


async def take(limiter: LocalRateLimiter, calls: int) -> None:
    """Takes places that must be free."""
    for _ in range(calls):
        assert await limiter.acquire(longest=0.0) == 0.0


async def spend(limiter: LocalRateLimiter, calls: int) -> None:
    """Makes calls that are answered at once."""
    await take(limiter, calls)
    for _ in range(calls):
        limiter.settle()


def done(tasks: list[asyncio.Task[float]]) -> list[bool]:
    """Says which of them have a place."""
    return [task.done() for task in tasks]


async def drop(*tasks: asyncio.Task[float]) -> None:
    """Cancels tasks and waits for their end."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_full_window_may_be_spent_at_once(clock: Any) -> None:
    """250 calls go at once, the 251st does not."""
    limiter = LocalRateLimiter(clock=clock)
    await take(limiter, 250)
    last = ask(limiter)
    await clock.advance(0.0)
    assert not last.done()
    await drop(last)


async def test_next_call_waits_for_the_first_answer_to_age(clock: Any) -> None:
    """The 251st call waits exactly until a period after the first answer, not after the first start."""
    limiter = LocalRateLimiter(clock=clock)
    await take(limiter, 250)
    await clock.advance(2.5)
    limiter.settle()
    last = ask(limiter)
    await clock.advance(59.999)
    assert not last.done()
    await clock.advance(0.001)
    assert await last == pytest.approx(60.0, abs=1e-9)


async def test_call_in_flight_holds_its_place(clock: Any) -> None:
    """A call without an answer holds its place for as long as it runs, and a period more."""
    limiter = LocalRateLimiter(Quota(1), clock=clock)
    await take(limiter, 1)
    waiting = ask(limiter)
    await clock.advance(10_000.0)
    assert not waiting.done()
    limiter.settle()
    await clock.advance(59.999)
    assert not waiting.done()
    await clock.advance(0.001)
    assert waiting.done()


async def test_window_slides(clock: Any) -> None:
    """Each place comes back a period after its own answer."""
    limiter = LocalRateLimiter(Quota(3, period=60.0), clock=clock)
    for _ in range(3):
        await spend(limiter, 1)
        await clock.advance(10.0)
    waiting = [ask(limiter) for _ in range(3)]
    granted = []
    for _ in range(3):
        await clock.advance(29.999 if not granted else 9.999)
        before = sum(done(waiting))
        await clock.advance(0.001)
        granted.append((before, sum(done(waiting))))
    assert granted == [(0, 1), (1, 2), (2, 3)]


async def test_429_delays_every_waiter(clock: Any) -> None:
    """After a 429 nobody calls before the pause is over, neither who waited already nor who comes later."""
    limiter = LocalRateLimiter(Quota(2), clock=clock)
    await take(limiter, 2)
    early = ask(limiter)
    await clock.advance(0.0)
    limiter.settle(pause=90.0)
    limiter.settle()
    late = ask(limiter)
    await clock.advance(89.999)
    assert done([early, late]) == [False, False]
    await clock.advance(0.001)
    assert done([early, late]) == [True, True]


async def test_pause_holds_back_free_places(clock: Any) -> None:
    """A pause holds also where places are free, and a shorter one that follows does not shorten it."""
    limiter = LocalRateLimiter(Quota(10), clock=clock)
    await take(limiter, 2)
    limiter.settle(pause=30.0)
    limiter.settle(pause=5.0)
    waiting = ask(limiter)
    await clock.advance(29.999)
    assert not waiting.done()
    await clock.advance(0.001)
    assert await waiting == pytest.approx(30.0)


async def test_foreign_use_is_believed(clock: Any) -> None:
    """What other tools used by the server's count is not spent again before the server's reset."""
    limiter = LocalRateLimiter(Quota(10), clock=clock)
    await take(limiter, 1)
    limiter.settle(RateLimit(limit=10, remaining=4, reset_in=20.0))
    await take(limiter, 4)
    waiting = ask(limiter)
    await clock.advance(19.999)
    assert not waiting.done()
    await clock.advance(0.001)
    assert waiting.done()


async def test_exhausted_window_waits_for_the_reset(clock: Any) -> None:
    """`x-ratelimit-remaining: 0` stops the next call until the server's reset."""
    limiter = LocalRateLimiter(Quota(10), clock=clock)
    await take(limiter, 1)
    limiter.settle(RateLimit(limit=10, remaining=0, reset_in=7.0))
    waiting = ask(limiter)
    await clock.advance(6.999)
    assert not waiting.done()
    await clock.advance(0.001)
    assert waiting.done()


async def test_announced_reset_lets_one_call_find_out(clock: Any) -> None:
    """At the server's reset one call goes, though our own have not aged yet; its answer tells how many more can."""
    limiter = LocalRateLimiter(Quota(3), clock=clock)
    await spend(limiter, 2)
    await take(limiter, 1)
    limiter.settle(RateLimit(limit=3, remaining=0, reset_in=7.0))
    waiting = [ask(limiter) for _ in range(3)]
    await clock.advance(6.999)
    assert sum(done(waiting)) == 0
    await clock.advance(0.001)
    assert sum(done(waiting)) == 1
    limiter.settle(RateLimit(limit=3, remaining=2, reset_in=0.0), sent_at=clock.now())
    await clock.advance(0.0)
    assert sum(done(waiting)) == 3


async def test_calls_the_server_has_forgotten_give_their_places_back(clock: Any) -> None:
    """Our calls that the server's count does not hold any more hold no place here either."""
    limiter = LocalRateLimiter(Quota(3), clock=clock)
    await spend(limiter, 2)
    await clock.advance(30.0)
    await take(limiter, 1)
    limiter.settle(RateLimit(limit=3, remaining=2), sent_at=clock.now())
    await take(limiter, 2)
    with pytest.raises(QuotaWaitError):
        await limiter.acquire(longest=0.0)


async def test_calls_the_server_may_not_have_seen_keep_their_places(clock: Any) -> None:
    """A count made before our other calls were answered says nothing about them."""
    limiter = LocalRateLimiter(Quota(3), clock=clock)
    await take(limiter, 3)
    sent_at = clock.now()
    await clock.advance(5.0)
    limiter.settle()
    limiter.settle()
    limiter.settle(RateLimit(limit=3, remaining=2), sent_at=sent_at)
    with pytest.raises(QuotaWaitError):
        await limiter.acquire(longest=0.0)


@pytest.mark.parametrize("reset_in", [0.0, -0.2, -1.0])
async def test_a_refusal_whose_reset_has_just_passed_lets_calls_go(clock: Any, reset_in: float) -> None:
    """The second of a 429's `x-ratelimit-reset` may end in transit; no period is waited for what is over."""
    limiter = LocalRateLimiter(Quota(3), clock=clock)
    await take(limiter, 1)
    limiter.settle(RateLimit(limit=3, remaining=0, reset_in=reset_in), pause=0.25, sent_at=clock.now())
    waiting = [ask(limiter) for _ in range(2)]
    await clock.advance(0.249)
    assert sum(done(waiting)) == 0
    await clock.advance(0.001)
    assert sum(done(waiting)) == 2


@pytest.mark.parametrize("reset_in", [None, 0.0, -0.5, -5.0, 60.001, 10**9])
async def test_unusable_reset_means_a_period(clock: Any, reset_in: float | None) -> None:
    """An answer whose reset is missing, past or beyond a period means a whole period: it may have been rounded down."""
    limiter = LocalRateLimiter(Quota(10), clock=clock)
    await take(limiter, 1)
    limiter.settle(RateLimit(limit=10, remaining=0, reset_in=reset_in))
    waiting = ask(limiter)
    await clock.advance(59.999)
    assert not waiting.done()
    await clock.advance(0.001)
    assert waiting.done()


@pytest.mark.parametrize(
    ("announced", "more"),
    [
        (RateLimit(limit=3, remaining=2), 2),
        (RateLimit(limit=3), 2),
        (RateLimit(limit=40, remaining=39), 39),
        (RateLimit(limit=40), 39),
        (RateLimit(limit=0), 9),
        (RateLimit(remaining=9), 9),
        (RateLimit(remaining=2), 2),
        (RateLimit(limit=10, remaining=50), 9),
        (RateLimit(), 9),
        (None, 9),
    ],
)
async def test_server_limit_is_followed(clock: Any, announced: RateLimit | None, more: int) -> None:
    """Of a quota of 10 with one call made, the server's own figures say how many more may go at once."""
    limiter = LocalRateLimiter(Quota(10), clock=clock)
    await take(limiter, 1)
    limiter.settle(announced)
    await take(limiter, more)
    with pytest.raises(QuotaWaitError):
        await limiter.acquire(longest=0.0)


@pytest.mark.parametrize(("calls", "share", "mine"), [(10, 0.5, 5), (250, 0.8, 200), (3, 0.5, 1), (3, 0.001, 1)])
async def test_share_leaves_room_for_others(clock: Any, calls: int, share: float, mine: int) -> None:
    """A client with a share spends that part of the window, and at least one call."""
    limiter = LocalRateLimiter(Quota(calls, share=share), clock=clock)
    await take(limiter, mine)
    with pytest.raises(QuotaWaitError):
        await limiter.acquire(longest=59.999)


async def test_others_may_use_what_a_share_leaves(clock: Any) -> None:
    """Foreign calls within the part left to them take nothing from the share; beyond it they do."""
    limiter = LocalRateLimiter(Quota(10, share=0.5), clock=clock)
    await take(limiter, 1)
    limiter.settle(RateLimit(limit=10, remaining=4, reset_in=60.0))
    await take(limiter, 4)
    with pytest.raises(QuotaWaitError):
        await limiter.acquire(longest=0.0)
    crowded = LocalRateLimiter(Quota(10, share=0.5), clock=clock)
    await take(crowded, 1)
    crowded.settle(RateLimit(limit=10, remaining=2, reset_in=60.0))
    await take(crowded, 2)
    with pytest.raises(QuotaWaitError):
        await crowded.acquire(longest=0.0)


async def test_single_calls_go_before_batches(clock: Any) -> None:
    """A single call that comes last goes first; among equals the order of arrival holds."""
    limiter = LocalRateLimiter(Quota(1, period=60.0), clock=clock)
    await spend(limiter, 1)
    order: list[str] = []

    async def call(name: str, *, background: bool) -> None:
        await limiter.acquire(background=background)
        order.append(name)
        limiter.settle()

    calls = [("batch 1", True), ("batch 2", True), ("single 1", False), ("single 2", False)]
    tasks = [asyncio.create_task(call(name, background=background)) for name, background in calls]
    await clock.advance(240.0)
    assert order == ["single 1", "single 2", "batch 1", "batch 2"]
    await asyncio.gather(*tasks)


async def test_batch_does_not_overtake_a_waiter(clock: Any) -> None:
    """A place that comes free goes to who waits, not to who happens to ask at that moment."""
    limiter = LocalRateLimiter(Quota(1), clock=clock)
    await spend(limiter, 1)
    first, second = ask(limiter, background=True), ask(limiter, background=True)
    await clock.advance(60.0)
    assert done([first, second]) == [True, False]
    await drop(second)


async def test_newcomer_does_not_overtake_when_the_timer_is_late(clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A place whose time has come goes to who waits for it, also when a newcomer asks before the timer has run."""
    limiter = LocalRateLimiter(Quota(1), clock=clock)
    await spend(limiter, 1)
    monkeypatch.setattr(clock, "call_later", lambda *_: Mock())
    first = ask(limiter)
    await clock.advance(60.0)
    newcomer = ask(limiter)
    await clock.advance(0.0)
    assert done([first, newcomer]) == [True, False]
    await drop(newcomer)


@pytest.mark.parametrize(("longest", "refused"), [(60.0, False), (59.999, True), (0.0, True), (None, False)])
async def test_longest_wait_is_judged_beforehand(clock: Any, longest: float | None, *, refused: bool) -> None:
    """A call that would wait longer than it may is refused at once, one that just may is not."""
    limiter = LocalRateLimiter(Quota(2), clock=clock)
    await spend(limiter, 2)
    waiting = ask(limiter, longest=longest)
    await clock.advance(0.0)
    assert waiting.done() is refused
    if refused:
        error = waiting.exception()
        assert isinstance(error, QuotaWaitError)
        assert error.wait == 60.0
        assert str(error) == (
            f"The quota would make this call wait 60.0 s, longer than max_quota_wait={longest:g} s. "
            "Try again later or raise max_quota_wait."
        )
    await drop(waiting)


async def test_refused_wait_books_nothing(clock: Any) -> None:
    """A call refused for its wait takes no place away from those that follow."""
    limiter = LocalRateLimiter(Quota(1), clock=clock)
    await spend(limiter, 1)
    for _ in range(5):
        with pytest.raises(QuotaWaitError):
            await limiter.acquire(longest=1.0)
    await clock.advance(60.0)
    await take(limiter, 1)


async def test_wait_that_grows_ends_when_it_is_over(clock: Any) -> None:
    """A pause that comes while a call waits does not keep it longer than it may wait; it takes nobody's place."""
    limiter = LocalRateLimiter(Quota(2), clock=clock)
    await spend(limiter, 1)
    await take(limiter, 1)
    patient, impatient = ask(limiter, background=True), ask(limiter, longest=61.0)
    await clock.advance(0.0)
    limiter.settle(pause=300.0)
    await clock.advance(60.999)
    assert not impatient.done()
    await clock.advance(0.001)
    with pytest.raises(QuotaWaitError, match=r"wait 300\.0 s, longer than max_quota_wait=61 s"):
        await impatient
    await clock.advance(238.999)
    assert not patient.done()
    await clock.advance(0.001)
    assert patient.done()
    await take(limiter, 1)


async def test_impatient_waiter_cancelled_when_refused_gives_nothing_back(clock: Any) -> None:
    """A waiter that is refused and cancelled at the same moment had no place that could go to another."""
    limiter = LocalRateLimiter(Quota(1), clock=clock)
    await take(limiter, 1)
    impatient = ask(limiter, longest=60.0)
    await clock.advance(0.0)
    clock.call_later(60.0, impatient.cancel)  # runs after the refusal, before the waiter does
    await clock.advance(60.0)
    assert impatient.done()
    with pytest.raises(QuotaWaitError):
        await limiter.acquire(longest=0.0)


async def test_place_that_comes_at_the_last_moment_is_taken(clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that may wait 60 s gets the place that comes free after 60 s, also when the limiter's own timer is late."""
    limiter = LocalRateLimiter(Quota(1), clock=clock)
    await spend(limiter, 1)
    call_later = clock.call_later
    monkeypatch.setattr(
        clock, "call_later", lambda delay, call: call_later(delay + 1e-3 * (call == limiter._admit), call)
    )
    waiting = ask(limiter, longest=60.0)
    await clock.advance(60.0)
    assert await waiting == pytest.approx(60.0)


async def test_expected_wait_counts_those_ahead(clock: Any) -> None:
    """A call expects to wait for who is ahead of it: a batch for everybody, a single call for single calls only."""
    limiter = LocalRateLimiter(Quota(1), clock=clock)
    await spend(limiter, 1)
    assert limiter.expected_wait() == 60.0
    waiting = [ask(limiter, background=True), ask(limiter, background=True), ask(limiter)]
    await clock.advance(0.0)
    assert limiter.expected_wait() == 120.0
    assert limiter.expected_wait(background=True) == 240.0
    await drop(*waiting)
    assert limiter.expected_wait(background=True) == 60.0


async def test_expected_wait_while_paused(clock: Any) -> None:
    """A pause is part of the expected wait."""
    limiter = LocalRateLimiter(Quota(5), clock=clock)
    await take(limiter, 1)
    limiter.settle(pause=42.0)
    with pytest.raises(QuotaWaitError, match=r"wait 42\.0 s"):
        await limiter.acquire(longest=41.999)
    waiting = ask(limiter, longest=42.0)
    await clock.advance(42.0)
    assert waiting.done()


async def test_expected_wait_with_calls_in_flight(clock: Any) -> None:
    """While every place is in flight, the expected wait is that after an answer now."""
    limiter = LocalRateLimiter(Quota(2), clock=clock)
    await take(limiter, 2)
    assert limiter.expected_wait() == 60.0


async def test_own_places_come_back_before_foreign_ones(clock: Any) -> None:
    """Foreign use does not make a call wait for the server's reset when one of our own places comes back before."""
    limiter = LocalRateLimiter(Quota(10), clock=clock)
    await spend(limiter, 8)
    await clock.advance(50.0)
    await take(limiter, 1)
    limiter.settle(RateLimit(limit=10, remaining=0, reset_in=60.0))
    waiting = ask(limiter, longest=10.0)
    await clock.advance(9.999)
    assert not waiting.done()
    await clock.advance(0.001)
    assert await waiting == pytest.approx(10.0)


async def test_cancelled_waiter_gives_its_place_back(clock: Any) -> None:
    """The place a cancelled waiter stood for goes to the next."""
    limiter = LocalRateLimiter(Quota(1), clock=clock)
    await spend(limiter, 1)
    first, second = ask(limiter), ask(limiter)
    await clock.advance(30.0)
    await drop(first)
    await clock.advance(29.999)
    assert not second.done()
    await clock.advance(0.001)
    assert second.done()


async def test_waiter_cancelled_just_when_granted_gives_its_place_back(clock: Any) -> None:
    """A waiter cancelled after it was granted a place, before it could take it, passes it on."""
    limiter = LocalRateLimiter(Quota(1), clock=clock)
    await take(limiter, 1)
    first, second = ask(limiter), ask(limiter)
    await clock.advance(0.0)
    limiter.settle(RateLimit(limit=2))  # grants one place, and the first waiter has not run yet
    first.cancel()
    await clock.advance(0.0)
    assert first.cancelled()
    assert second.done()
    with pytest.raises(QuotaWaitError):
        await limiter.acquire(longest=0.0)


async def test_waiter_cancelled_just_before_a_grant_takes_none(clock: Any) -> None:
    """A waiter that was cancelled a moment before a place came free is passed over."""
    limiter = LocalRateLimiter(Quota(1), clock=clock)
    await take(limiter, 1)
    first, second = ask(limiter), ask(limiter)
    await clock.advance(0.0)
    first.cancel()
    limiter.settle(RateLimit(limit=2))
    await clock.advance(0.0)
    assert (first.cancelled(), second.done()) == (True, True)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((0,), {}, "Quota calls must be between 1 and 1,000,000, not 0."),
        ((1_000_001,), {}, "Quota calls must be between 1 and 1,000,000, not 1,000,001."),
        ((2.5,), {}, "Quota calls must be a whole number, not float."),
        ((True,), {}, "Quota calls must be a whole number, not bool."),
        ((5,), {"period": 0}, "Quota period must be between 0.001 and 86,400, not 0."),
        ((5,), {"period": "60"}, "Quota period must be a number, not str."),
        ((5,), {"share": 0}, "Quota share must be between 0.001 and 1, not 0."),
        ((5,), {"share": 1.1}, "Quota share must be between 0.001 and 1, not 1.1."),
        ((5,), {"share": float("nan")}, "Quota share must be between 0.001 and 1, not nan."),
    ],
)
def test_wrong_quota_is_refused(arguments: tuple[Any, ...], options: dict[str, Any], message: str) -> None:
    """A quota that makes no sense is refused in one sentence that names what is wrong."""
    with pytest.raises(ConfigurationError) as caught:
        Quota(*arguments, **options)
    assert str(caught.value) == message


CALLS, PERIOD = 3, 8


@given(plan=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 12), st.booleans()), max_size=25))
def test_server_never_sees_too_many(clock: Any, plan: list[tuple[int, int, bool]]) -> None:
    """However calls arrive and whenever between start and answer the server counts them, no window holds too many."""

    async def follow() -> list[tuple[float, float]]:
        time = type(clock)()
        limiter = LocalRateLimiter(Quota(CALLS, period=PERIOD), clock=time)
        spans: list[tuple[float, float]] = []

        async def call(arrival: int, latency: int, *, background: bool) -> None:
            await time.sleep(arrival)
            await limiter.acquire(background=background)
            started = time.now()
            await time.sleep(latency)
            spans.append((started, time.now()))
            limiter.settle()

        arrival, tasks = 0, []
        for gap, latency, background in plan:
            arrival += gap
            tasks.append(asyncio.create_task(call(arrival, latency, background=background)))
        await time.advance(arrival + (len(plan) + 1) * (PERIOD + 13))
        await asyncio.gather(*tasks)
        return spans

    spans = asyncio.run(follow())
    assert len(spans) == len(plan)
    for moment, _ in spans:  # a window fills up only when a call starts
        # The worst case: every call that can have been counted within (moment - PERIOD, moment] was.
        assert sum(started <= moment < answered + PERIOD for started, answered in spans) <= CALLS


class Server:
    """Counts calls in a window that slides, or begins anew at each multiple of the period, and announces its count."""

    def __init__(self, *, sliding: bool) -> None:
        self.refused = 0
        self._sliding = sliding
        self._counted: list[float] = []

    def take(self, now: float) -> tuple[int, float]:
        """Counts a call; returns what remains, and when a new call can be made."""
        begin = now - PERIOD if self._sliding else now // PERIOD * PERIOD - 0.5
        self._counted = [moment for moment in self._counted if moment > begin]
        if len(self._counted) >= CALLS:
            self.refused += 1
        self._counted.append(now)
        remaining = max(0, CALLS - len(self._counted))
        reset = self._counted[0] + PERIOD if self._sliding else now // PERIOD * PERIOD + PERIOD
        return remaining, (now if remaining else reset)


@given(
    sliding=st.booleans(),
    plan=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 12), st.integers(0, 12), st.booleans()), max_size=25),
)
def test_server_that_announces_its_count_refuses_nothing(
    clock: Any, plan: list[tuple[int, int, int, bool]], *, sliding: bool
) -> None:
    """Whatever a server announces of a quota that is ours alone, and however late, it never has to refuse a call."""

    async def follow() -> Server:
        time, server = type(clock)(), Server(sliding=sliding)
        limiter = LocalRateLimiter(Quota(CALLS, period=PERIOD), clock=time)

        async def call(arrival: int, there: int, back: int, *, background: bool) -> None:
            await time.sleep(arrival)
            await limiter.acquire(background=background)
            sent_at = time.now()
            await time.sleep(there)
            remaining, reset = server.take(time.now())
            await time.sleep(back)
            announced = RateLimit(limit=CALLS, remaining=remaining, reset_in=reset - time.now())
            limiter.settle(announced, sent_at=sent_at)

        arrival, tasks = 0, []
        for gap, there, back, background in plan:
            arrival += gap
            tasks.append(asyncio.create_task(call(arrival, there, back, background=background)))
        await time.advance(arrival + (len(plan) + 1) * (2 * PERIOD + 25))
        await asyncio.gather(*tasks)
        return server

    assert asyncio.run(follow()).refused == 0


@given(spent=st.integers(0, 12), ago=st.floats(0, 59), calls=st.integers(1, 40), share=st.sampled_from([1.0, 0.5, 0.3]))
async def test_the_wait_that_is_foretold_is_the_one_that_comes(
    clock: Any, spent: int, ago: float, calls: int, share: float
) -> None:
    """Of calls that are answered at once the last one starts when `seconds_until` said, whatever was spent before."""
    limiter = LocalRateLimiter(Quota(10, share=share), clock=clock)
    await spend(limiter, min(spent, limiter.window[0]))
    await clock.advance(ago)
    began, foretold = clock.now(), limiter.seconds_until(calls)

    async def call() -> float:
        await limiter.acquire(background=True)
        limiter.settle()
        return float(clock.now() - began)

    tasks = [asyncio.create_task(call()) for _ in range(calls)]
    await clock.advance(60.0 * 20)
    assert max(task.result() for task in tasks) == pytest.approx(foretold)


class Bare:
    """A limiter of one's own, as far as a plan is concerned."""

    def __init__(self, **said: Any) -> None:
        vars(self).update(said)


def test_a_limiter_of_ones_own_is_asked_for_its_wait_then_its_window() -> None:
    """What it says itself comes first; its window is taken to be unused, and one that says nothing is unknown."""
    assert quota_wait(Bare(seconds_until=lambda calls: 7.0 * calls, window=(10, 60.0)), 3) == 21.0
    waits = {
        calls: quota_wait(Bare(seconds_until=lambda _: None, window=(10, 60.0)), calls) for calls in (0, 1, 10, 11)
    }
    assert waits == {0: 0.0, 1: 0.0, 10: 0.0, 11: 60.0}
    assert quota_wait(Bare(window=(10, 60.0)), 21) == 120.0
    assert quota_wait(Bare(window=None), 5) is None
    assert quota_wait(Bare(), 5) is None
