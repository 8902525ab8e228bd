from collections.abc import Callable
from typing import Any

import pytest

from criteo_audiences.sandbox import Sandbox
from criteo_audiences.sandbox.admission import FixedWindow, SlidingWindow

PATH = "/2026-07/marketing-solutions/audience-segments/300001/contact-list/statistics"


def limits(reply: Any) -> tuple[str, ...]:
    """Returns limit, remaining and reset as announced."""
    return tuple(reply.headers[f"x-ratelimit-{name}"] for name in ("limit", "remaining", "reset"))


def test_a_sliding_window_frees_each_call_after_a_period() -> None:
    """Room comes back for one call at a time, exactly one period after each."""
    window = SlidingWindow(2, 60.0)
    assert [window.take(100.0), window.take(130.0), window.take(159.999)] == [True, True, False]
    assert window.reset(159.999) == 160.0
    assert [window.take(160.0), window.take(160.0)] == [True, False]
    assert window.reset(160.0) == 190.0


def test_a_fixed_window_frees_all_calls_at_once() -> None:
    """Room comes back whole at the next multiple of the period."""
    window = FixedWindow(2, 60.0)
    assert [window.take(110.0), window.take(119.0), window.take(119.999)] == [True, True, False]
    assert window.reset(119.999) == 120.0
    assert (window.remaining(120.0), window.reset(120.0)) == (2, 120.0)


def test_a_refused_call_takes_up_no_room() -> None:
    """Calling while the window is full does not put off the moment it opens."""
    window = SlidingWindow(1, 60.0)
    assert [window.take(at) for at in (0.0, 30.0, 59.0, 60.0)] == [True, False, False, True]


async def test_calls_beyond_the_quota_are_refused(connect: Callable[..., Any], clock: Any) -> None:
    """The third of two calls gets 429, and the reset it is told is the first second in which a call succeeds."""
    async with Sandbox(rate_limit=(2, 60.0), clock=clock) as sandbox:
        sandbox.add_contact_list()
        call = connect(sandbox)
        replies = [await call("GET", PATH) for _ in range(3)]
        assert [reply.status for reply in replies] == [200, 200, 429]
        assert (replies[2].problem["type"], replies[2].problem["code"]) == ("quota", "too-many-requests")
        # The clock stands at .25; the calls lapse 60 s later, and a whole second is announced.
        announced = ["1700000001", "1700000061", "1700000061"]
        assert [limits(reply) for reply in replies] == [
            ("2", left, at) for left, at in zip("100", announced, strict=True)
        ]
        clock.now = 1_700_000_060.0
        assert (await call("GET", PATH)).status == 429
        clock.now = 1_700_000_061.0
        assert (await call("GET", PATH)).status == 200


async def test_calls_can_be_counted_in_fixed_windows(connect: Callable[..., Any], clock: Any) -> None:
    """With window="fixed" the reset is the next multiple of the period."""
    async with Sandbox(rate_limit=(1, 100.0), window="fixed", clock=clock) as sandbox:
        call = connect(sandbox)
        assert [limits(await call("GET", PATH)) for _ in range(2)] == [("1", "0", "1700000100")] * 2


async def test_the_token_is_checked_before_the_quota(connect: Callable[..., Any], clock: Any) -> None:
    """A call without a token uses nothing up, and is told the quota all the same."""
    async with Sandbox(rate_limit=(5, 60.0), clock=clock) as sandbox:
        reply = await connect(sandbox)("GET", PATH, authorization="")
        assert (reply.status, limits(reply)[:2]) == (401, ("5", "5"))


async def test_token_calls_use_no_quota(connect: Callable[..., Any], clock: Any) -> None:
    """Ten tokens leave a quota of one call untouched, and their answers do not speak of it."""
    async with Sandbox(rate_limit=(1, 60.0), clock=clock) as sandbox:
        call = connect(sandbox)
        replies = [await call.grant() for _ in range(10)]
        assert not any("x-ratelimit-limit" in reply.headers for reply in replies)
        assert (await call("GET", PATH)).status == 404


async def test_unknown_segments_and_routes_count_as_calls(connect: Callable[..., Any], clock: Any) -> None:
    """A 404 is announced with what is left, like any other answer."""
    async with Sandbox(rate_limit=(5, 60.0), clock=clock) as sandbox:
        call = connect(sandbox)
        assert [limits(await call("GET", path))[1] for path in (PATH, "/2026-07/nowhere")] == ["4", "3"]


async def test_without_a_rate_limit_nothing_is_announced(connect: Callable[..., Any]) -> None:
    """rate_limit=None means no limit and no headers."""
    async with Sandbox(rate_limit=None) as sandbox:
        reply = await connect(sandbox)("GET", PATH)
        assert not any(name.startswith("x-ratelimit") for name in reply.headers)


@pytest.mark.parametrize("options", [{"rate_limit": (0, 60.0)}, {"rate_limit": (1, 0.0)}, {"window": "leaky"}])
def test_impossible_quotas_are_refused(options: dict[str, Any]) -> None:
    """No calls, no period and an unknown kind of window are mistakes of the caller."""
    with pytest.raises(ValueError, match=r"rate_limit|window"):
        Sandbox(**options)
