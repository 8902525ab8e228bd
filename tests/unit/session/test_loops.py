import asyncio
import gc
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp
import pytest

from criteo_audiences import ConfigurationError, CriteoClient, Quota, StaticToken
from criteo_audiences.loops import LoopLock
from criteo_audiences.sandbox import Fault, Sandbox
from criteo_audiences.session import LocalRateLimiter
from criteo_audiences.session.transport import Connector

# The connections of an event loop that ended unclosed are its own doing, and Python says so.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def served() -> Iterator[tuple[Sandbox, str]]:
    """A local Criteo in a thread and an event loop of its own, with a contact list."""
    ready = threading.Event()
    parts: dict[str, Any] = {}

    async def serve() -> None:
        async with Sandbox(rate_limit=None) as sandbox:
            parts.update(sandbox=sandbox, over=asyncio.Event(), loop=asyncio.get_running_loop())
            parts["segment"] = sandbox.add_contact_list()
            ready.set()
            await parts["over"].wait()

    gc.freeze()  # the collection below looks only at what the test has made
    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    ready.wait()
    yield parts["sandbox"], parts["segment"]
    parts["loop"].call_soon_threadsafe(parts["over"].set)
    thread.join()
    gc.collect()


@contextmanager
def unraisable() -> Iterator[list[object]]:
    """Collects what objects raise as they are collected."""
    raised: list[object] = []
    before, sys.unraisablehook = sys.unraisablehook, raised.append
    try:
        yield raised
    finally:
        sys.unraisablehook = before


def emails(prefix: str) -> list[str]:
    """Returns thirty addresses."""
    return [f"{prefix}{number}@example.com" for number in range(30)]


async def upload(criteo: CriteoClient, segment: str, prefix: str) -> None:
    """Uploads thirty addresses in batches of ten."""
    report = await criteo.marketing_solutions.upload_contact_list(segment, emails(prefix), hash=None, batch_size=10)
    assert report.ok


def client(sandbox: Sandbox, **options: Any) -> CriteoClient:
    """Returns a client of the local Criteo."""
    return CriteoClient(sandbox.credentials, base_url=sandbox.url, **options)


def test_one_client_serves_one_event_loop_after_the_other(served: tuple[Sandbox, str]) -> None:
    """Three runs of asyncio.run deliver everything, with one token; closing it in a fourth is harmless."""
    sandbox, segment = served
    criteo = client(sandbox)
    for prefix in "abc":
        asyncio.run(upload(criteo, segment, prefix))
    asyncio.run(criteo.aclose())
    assert len(sandbox.contact_list(segment)) == 90
    assert sum(call.path == "/oauth2/token" for call in sandbox.requests) == 1


def test_one_client_serves_two_open_event_loops_in_turn(served: tuple[Sandbox, str]) -> None:
    """Going to and fro between loops that stay open, as a test framework may, works each time."""
    sandbox, segment = served
    criteo = client(sandbox)
    loops = [asyncio.new_event_loop() for _ in range(2)]
    for prefix, loop in zip("abcd", loops * 2, strict=True):
        loop.run_until_complete(upload(criteo, segment, prefix))
    for loop in loops:
        loop.run_until_complete(criteo.aclose())
        loop.close()
    assert len(sandbox.contact_list(segment)) == 120


def test_giving_up_the_connections_of_a_closed_event_loop_leaves_the_others_open(
    served: tuple[Sandbox, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call that connects while the first one still closes the old connections keeps its own until its answer."""
    sandbox, _ = served
    criteo = client(sandbox)
    first = asyncio.new_event_loop()
    first.run_until_complete(criteo.marketing_solutions.get_application())
    first.close()
    sandbox.fail_with(lambda call: Fault(delay=0.3) if "oauth2" not in call.path else None)
    arrived = len(sandbox.requests)

    async def close_later(_: Connector) -> None:
        while len(sandbox.requests) == arrived:  # noqa: ASYNC110 - in the loop of another thread
            await asyncio.sleep(0.01)

    async def two_calls() -> None:
        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            for _ in range(2):
                group.create_task(criteo.marketing_solutions.get_application())

    monkeypatch.setattr(Connector, "close", close_later)
    asyncio.run(two_calls())


def test_a_consented_login_serves_one_event_loop_after_the_other(served: tuple[Sandbox, str]) -> None:
    """Its own lock is free again in the second loop, also where the first one ended within a renewal."""
    sandbox, _ = served
    login = sandbox.refresh_token()

    async def canceled() -> None:
        sandbox.fail_next(on="oauth2", delay=0.5)
        async with CriteoClient(login, base_url=sandbox.url) as criteo:
            renewal = asyncio.ensure_future(criteo.authenticate())
            await asyncio.sleep(0)
            assert not renewal.done()

    async def whole() -> None:
        async with CriteoClient(login, base_url=sandbox.url) as criteo:
            await criteo.authenticate()

    asyncio.run(canceled())
    asyncio.run(asyncio.wait_for(whole(), 10))


@pytest.mark.parametrize("first", [True, False], ids=["used before", "made before"])
def test_a_borrowed_session_of_another_event_loop_is_refused(served: tuple[Sandbox, str], *, first: bool) -> None:
    """A ConfigurationError says what to do, and nothing goes out."""
    sandbox, segment = served
    held: dict[str, Any] = {}

    async def borrow() -> None:
        held["http"] = aiohttp.ClientSession()
        held["criteo"] = client(sandbox, http=held["http"])
        if first:
            await upload(held["criteo"], segment, "a")

    asyncio.run(borrow())
    calls = len(sandbox.requests)
    with pytest.raises(ConfigurationError, match=r"belongs to another event loop.*leave http= out"):
        asyncio.run(upload(held["criteo"], segment, "b"))
    assert len(sandbox.requests) == calls
    held["http"].detach()


async def test_a_borrowed_session_that_is_closed_is_refused() -> None:
    """It is named as what it is, before a call."""
    async with aiohttp.ClientSession() as http:
        criteo = CriteoClient(StaticToken("t"), http=http)
    with pytest.raises(ConfigurationError, match="is closed"):
        await criteo.marketing_solutions.clear_contact_list("1")


def test_an_event_loop_that_still_runs_keeps_the_client(served: tuple[Sandbox, str]) -> None:
    """Two loops at once, in two threads, would share futures: the second one is refused."""
    sandbox, segment = served
    criteo, free = client(sandbox), threading.Event()

    async def hold() -> None:
        await upload(criteo, segment, "a")
        holding.set()
        await asyncio.to_thread(free.wait)
        await criteo.aclose()

    holding = threading.Event()
    thread = threading.Thread(target=asyncio.run, args=(hold(),))
    thread.start()
    holding.wait()
    with pytest.raises(ConfigurationError, match="still running"):
        asyncio.run(upload(criteo, segment, "b"))
    free.set()
    thread.join()


def test_the_quota_window_outlives_an_event_loop() -> None:
    """Calls of the first loop, one of them never ended, still count in the second."""
    limiter = LocalRateLimiter(Quota(3, period=3_600))

    async def spend() -> None:
        await limiter.acquire()
        limiter.settle()
        await limiter.acquire()

    async def ask() -> tuple[float, float]:
        await limiter.acquire()
        return limiter.expected_wait(), len(limiter._answered)

    asyncio.run(spend())
    wait, counted = asyncio.run(ask())
    assert counted == 2
    assert wait > 3_500


def test_a_waiter_left_in_an_open_event_loop_learns_of_it() -> None:
    """It ends with a ConfigurationError when its loop goes on, instead of waiting for ever."""
    limiter = LocalRateLimiter(Quota(1, period=3_600))
    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
    first.run_until_complete(limiter.acquire())
    waiting = first.create_task(limiter.acquire())
    first.run_until_complete(asyncio.sleep(0))
    with pytest.raises(TimeoutError):
        second.run_until_complete(asyncio.wait_for(limiter.acquire(), 0.01))
    with pytest.raises(ConfigurationError, match="another event loop"):
        first.run_until_complete(waiting)
    first.close()
    second.close()


def test_a_lock_is_free_in_the_next_event_loop() -> None:
    """Whoever held it in a loop that has ended does not hold it any more."""
    lock = LoopLock()
    first = asyncio.new_event_loop()
    entered: Callable[[], Any] = lock.held
    held = entered()
    first.run_until_complete(held.__aenter__())
    first.close()

    async def take() -> bool:
        async with lock.held():
            return True

    assert asyncio.run(asyncio.wait_for(take(), 1))


def test_an_event_loop_that_ends_closes_the_connections(served: tuple[Sandbox, str]) -> None:
    """Whoever runs one loop after the other leaves no open connection behind, and so no warning."""
    sandbox, _ = served
    criteo = client(sandbox)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with unraisable() as raised:
            for _ in range(2):
                asyncio.run(criteo.marketing_solutions.get_application())
            del criteo
            gc.collect()
    assert raised == []
