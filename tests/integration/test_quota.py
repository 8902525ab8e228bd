"""A fair share of the quota, in real time, against a server that enforces it within a shortened window."""

import asyncio
import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from criteo_audiences import CriteoClient, Progress, Quota, QuotaWaitError
from criteo_audiences.sandbox import Fault, Sandbox
from criteo_audiences.session import Event
from tests.kit import emails

SetStage = Callable[..., Any]


class Begun:
    """Says when so many of the API's calls have begun."""

    def __init__(self, calls: int) -> None:
        self.enough = asyncio.Event()
        self._missing = calls

    def count(self, event: Event) -> None:
        """Takes an event."""
        if event.name == "request.started" and "oauth2" not in event.path:
            self._missing -= 1
        if not self._missing:
            self.enough.set()


def statuses(stage: Any) -> set[int | None]:
    """Returns what the calls were answered with."""
    return {call.status for call in stage.calls}


@pytest.mark.parametrize("window", ["sliding", "fixed"])
async def test_two_windows_of_calls_see_no_429_and_wait_once(set_stage: SetStage, window: str) -> None:
    """A hundred calls under fifty in two seconds take one window's wait, not two, and none of them is refused."""
    async with set_stage({"quota": Quota(50, period=2.0)}, rate_limit=(50, 2.0), window=window) as stage:
        report = await stage.upload(emails(200), batch_size=2, max_concurrency=8)
        assert stage.held == set(emails(200))
    assert statuses(stage) == {200}
    assert (report.calls, report.ok) == (100, True)
    assert report.elapsed < 3.5
    if window == "sliding":
        assert report.elapsed >= 2.0
    assert report.hint is None


async def test_a_single_call_waits_for_no_batch_that_has_not_started(set_stage: SetStage) -> None:
    """In the middle of forty batches, a single call is among the next to arrive: only those in flight are before it."""
    begun = Begun(15)
    client = {"quota": Quota(10, period=0.3), "on_event": begun.count}
    async with set_stage(client, rate_limit=(10, 0.3), latency=0.005) as stage:
        upload = asyncio.create_task(stage.upload(emails(80), batch_size=2, max_concurrency=4))
        await begun.enough.wait()
        arrived = len(stage.calls)
        await stage.criteo.marketing_solutions.get_contact_list_statistics(stage.segment_id)
        (place,) = (number for number, call in enumerate(stage.calls) if "statistics" in str(call))
        assert place <= arrived + 4
        report = await upload
    assert (report.ok, statuses(stage)) == (True, {200})


async def test_a_call_that_would_wait_too_long_is_never_sent(set_stage: SetStage) -> None:
    """`max_quota_wait` refuses at once; an upload's batches beyond it stay pending, the others arrive."""
    async with set_stage({"quota": Quota(3, period=60.0), "max_quota_wait": 5.0}, rate_limit=(3, 60.0)) as stage:
        began = time.monotonic()
        report = await stage.upload(emails(10), batch_size=2)
        assert (report.valid, report.pending, report.calls) == (6, 4, 3)
        assert {type(failure.error) for failure in report.failures} == {QuotaWaitError}
        with pytest.raises(QuotaWaitError, match="longer than max_quota_wait=5 s"):
            await stage.criteo.marketing_solutions.get_contact_list_statistics(stage.segment_id)
        assert time.monotonic() - began < 5.0
    assert len(stage.calls) == 3


async def test_a_share_leaves_the_rest_to_others(set_stage: SetStage) -> None:
    """With `share=0.5` another tool finds half of each window free, however much there is to upload."""
    begun = Begun(10)
    client = {"quota": Quota(20, period=1.0, share=0.5), "on_event": begun.count}
    async with set_stage(client, rate_limit=(20, 1.0)) as stage:
        upload = asyncio.create_task(stage.upload(emails(40), batch_size=2))
        await begun.enough.wait()
        await asyncio.sleep(0.1)
        answered = await call_as_another_tool(stage, 10)
        assert answered == [200] * 10
        assert (await upload).calls == 20
    assert statuses(stage) == {200}


async def test_calls_of_another_tool_are_seen_and_waited_for(set_stage: SetStage) -> None:
    """What another tool has used is not there; the upload gets through, and refusals cost it no row."""
    async with set_stage({"quota": Quota(10, period=0.5)}, rate_limit=(10, 0.5)) as stage:
        upload = asyncio.create_task(stage.upload(emails(60), batch_size=2))
        await call_as_another_tool(stage, 30)
        report = await upload
        assert stage.held == set(emails(60))
    assert (report.valid, report.ok) == (60, True)


async def call_as_another_tool(stage: Any, calls: int) -> list[int]:
    """Calls without a look at the quota; returns the statuses."""
    credentials = stage.sandbox.credentials
    form = {"grant_type": "client_credentials", "client_id": credentials.client_id}
    path = f"/2026-07/marketing-solutions/audience-segments/{stage.segment_id}/contact-list/statistics"
    answered = []
    async with aiohttp.ClientSession(stage.sandbox.url) as http:
        async with http.post("/oauth2/token", data={**form, "client_secret": credentials.client_secret}) as answer:
            headers = {"Authorization": f"Bearer {(await answer.json())['access_token']}"}
        for _ in range(calls):
            async with http.get(path, headers=headers) as answer:
                answered.append(answer.status)
    return answered


@pytest.mark.parametrize("skew", [-600.0, 600.0])
@pytest.mark.parametrize("own_date", [True, False])
async def test_a_server_whose_clock_is_minutes_away_costs_one_window(
    set_stage: SetStage,
    skew: float,
    own_date: bool,  # noqa: FBT001 - a parameter of pytest
) -> None:
    """A reset ten minutes away, or long over, is not believed: the client waits for its own window, refused or not.

    With a `Date` by the same clock it is understood; here another machine, such as a proxy, may have put a right one.
    """
    options = {"rate_limit": (10, 0.5), "clock": lambda: time.time() + skew}
    async with set_stage({"quota": Quota(10, period=0.5)}, **options) as stage:
        if not own_date:
            stage.sandbox.fail_with(lambda _: Fault(headers={"Date": formatdate(usegmt=True)}))
        report = await stage.upload(emails(40), batch_size=2)
    assert (report.ok, statuses(stage)) == (True, {200})
    assert 0.5 <= report.elapsed < 2.0


async def test_two_clients_of_one_application_are_told(set_stage: SetStage) -> None:
    """A second client without a word about the quota warns at its first call; with shares, or one limiter, none does."""
    async with set_stage({"quota": Quota(share=0.5)}) as stage:
        lists = stage.criteo.marketing_solutions
        await lists.get_contact_list_statistics(stage.segment_id)
        for quota, refused in [(Quota(share=0.5), False), (None, True)]:
            async with CriteoClient(stage.sandbox.credentials, base_url=stage.sandbox.url, quota=quota) as second:
                statistics = second.marketing_solutions.get_contact_list_statistics(stage.segment_id)
                if refused:
                    with pytest.raises(UserWarning, match="Two clients of one Criteo application"):
                        await statistics
                else:
                    await statistics


async def test_one_client_after_the_other_is_no_reason_to_warn() -> None:
    """A client that was closed does not count."""
    async with Sandbox() as sandbox:
        segment_id = sandbox.add_contact_list(name="crm")
        for _ in range(2):
            async with CriteoClient(sandbox.credentials, base_url=sandbox.url) as criteo:
                await criteo.marketing_solutions.get_contact_list_statistics(segment_id)


async def test_deadline_ends_an_upload_that_waits_for_the_quota(set_stage: SetStage) -> None:
    """Batches that the quota would let go only after the deadline are never sent; what was sent is counted."""
    async with set_stage({"quota": Quota(5, period=60.0)}, rate_limit=(5, 60.0)) as stage:
        report = await stage.upload(emails(), batch_size=2, deadline=0.5, drain_timeout=5.0)
        assert len(stage.held) == report.valid == 10
    assert (report.calls, len(stage.calls), report.unknown) == (5, 5, 0)
    assert (report.ok, report.deadline_passed, report.failures) == (False, True, ())
    assert report.pending > 0
    assert 0.5 <= report.elapsed < 2.0


async def test_progress_says_how_long_it_still_takes(set_stage: SetStage, tmp_path: Path) -> None:
    """Of a file whose calls need a second window, the estimate holds the wait for it, and ends at nothing."""
    file = tmp_path / "crm.csv"
    file.write_text("email\n" + "\n".join(emails(4_000)) + "\n")
    seen: list[Progress] = []
    async with set_stage({"quota": Quota(10, period=1.0)}, rate_limit=(10, 1.0)) as stage:
        await stage.upload(file, batch_size=200, on_progress=seen.append)
    assert seen[0].remaining is None
    told = [progress.remaining for progress in seen if progress.remaining is not None]
    assert 0.5 < max(told) < 10.0
    assert told[-1] == 0.0
