import asyncio
import time

import pytest

from criteo_audiences.session import SystemClock


def test_now_goes_on_while_the_machine_sleeps() -> None:
    """`now` is the system's clock that counts suspended time too, where there is one."""
    steady = getattr(time, "CLOCK_BOOTTIME", None)
    expected = time.monotonic() if steady is None else time.clock_gettime(steady)
    assert SystemClock().now() == pytest.approx(expected, abs=1.0)


def test_time_is_of_the_epoch() -> None:
    """`time` counts from the Unix epoch."""
    assert SystemClock().time() == pytest.approx(time.time(), abs=1.0)


async def test_callbacks_run_later_unless_cancelled() -> None:
    """A callback runs once its delay has passed, and not at all when it was cancelled."""
    clock, ran = SystemClock(), []
    clock.call_later(0.02, lambda: ran.append("kept"))
    clock.call_later(0.01, lambda: ran.append("cancelled")).cancel()
    await clock.sleep(0.005)
    assert ran == []
    await asyncio.sleep(0.05)
    assert ran == ["kept"]
