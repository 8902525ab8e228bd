import asyncio
import time
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from criteo_audiences.sandbox import Sandbox


@pytest.fixture
def segment_id(sandbox: Sandbox) -> str:
    """An empty contact list."""
    return sandbox.add_contact_list()


async def test_a_status_is_answered_so_many_times(sandbox: Sandbox, call: Any, segment_id: str) -> None:
    """The calls do nothing, and the one after them works."""
    sandbox.fail_next(status=503, times=2)
    replies = [await call.amend(segment_id, ["a@b.co"]) for _ in range(2)]
    assert [(reply.status, reply.problem["type"]) for reply in replies] == [(503, "availability")] * 2
    assert len(sandbox.contact_list(segment_id)) == 0
    assert (await call.amend(segment_id, ["a@b.co"])).status == 200


@pytest.mark.parametrize(
    ("status", "type_", "code"),
    [
        (400, "validation", "invalid"),
        (401, "authorization", "authorization-token-invalid"),
        (403, "access-control", "insufficient-advertiser-permissions"),
        (418, "validation", "invalid"),
        (500, "availability", "internal-error"),
        (599, "availability", "internal-error"),
    ],
)
async def test_the_problem_fits_the_status(sandbox: Sandbox, call: Any, status: int, type_: str, code: str) -> None:
    """Type and code are what such a status would come with."""
    sandbox.fail_next(status=status)
    reply = await call("GET", "/2026-07/anything")
    assert (reply.status, reply.problem["type"], reply.problem["code"]) == (status, type_, code)
    assert reply.problem["traceId"]


async def test_code_and_headers_can_be_chosen(sandbox: Sandbox, call: Any, segment_id: str) -> None:
    """A code replaces the usual one, and headers come on top, also of the rate-limit headers."""
    headers = {"Retry-After": "3", "x-ratelimit-reset": "7"}
    sandbox.fail_next(status=429, code="slow-down", headers=headers)
    reply = await call.amend(segment_id, [])
    assert reply.problem["code"] == "slow-down"
    assert (reply.headers["retry-after"], reply.headers["x-ratelimit-reset"]) == ("3", "7")


async def test_headers_alone_leave_the_call_as_it_is(sandbox: Sandbox, call: Any, segment_id: str) -> None:
    """A deprecation notice can be put on an answer that is otherwise normal."""
    sandbox.fail_next(headers={"Deprecation": "true"})
    reply = await call.amend(segment_id, ["a@b.co"])
    assert (reply.status, reply.headers["deprecation"]) == (200, "true")


async def test_an_injected_429_says_that_no_call_is_left(sandbox: Sandbox, call: Any, segment_id: str) -> None:
    """It has the three headers although the quota is not used up, and uses none of it."""
    sandbox.fail_next(status=429)
    reply = await call.amend(segment_id, [])
    assert [reply.headers[f"x-ratelimit-{each}"] for each in ("limit", "remaining", "reset")] == [
        "250",
        "0",
        "1700000001",
    ]
    assert (await call.amend(segment_id, [])).headers["x-ratelimit-remaining"] == "249"


async def test_rate_limit_headers_can_be_left_out(sandbox: Sandbox, call: Any, segment_id: str) -> None:
    """A bare 429 has none, while a 503 normally says what is left."""
    sandbox.fail_next(status=429, rate_limit_headers=False)
    sandbox.fail_next(status=503)
    bare, full = await call.amend(segment_id, []), await call.amend(segment_id, [])
    assert not any(name.startswith("x-ratelimit") for name in bare.headers)
    assert full.headers["x-ratelimit-remaining"] == "250"


async def test_a_sandbox_without_a_limit_can_still_answer_429(connect: Callable[..., Any]) -> None:
    """The injected answer then speaks of Criteo's usual 250 calls."""
    async with Sandbox(rate_limit=None) as sandbox:
        sandbox.fail_next(status=429)
        sandbox.fail_next(status=500)
        call = connect(sandbox)
        replies = [await call("GET", "/2026-07/anything") for _ in range(2)]
        assert [reply.headers.get("x-ratelimit-limit") for reply in replies] == ["250", None]


async def test_a_body_can_be_garbage(sandbox: Sandbox, call: Any, segment_id: str) -> None:
    """The bytes arrive as given with a 200, and nothing was applied."""
    sandbox.fail_next(body=b"<html>oops")
    sandbox.fail_next(body=b"", status=502)
    replies = [await call.amend(segment_id, ["a@b.co"]) for _ in range(2)]
    assert [(reply.status, reply.raw) for reply in replies] == [(200, b"<html>oops"), (502, b"")]
    assert len(sandbox.contact_list(segment_id)) == 0


async def test_a_delay_alone_postpones_the_call(sandbox: Sandbox, call: Any, segment_id: str) -> None:
    """The call is handled normally, not earlier than the delay."""
    await call.token()
    sandbox.fail_next(delay=0.05)
    start = time.monotonic()
    assert (await call.amend(segment_id, ["a@b.co"])).status == 200
    assert time.monotonic() - start >= 0.05
    assert len(sandbox.contact_list(segment_id)) == 1


async def test_a_dropped_connection_applies_nothing(sandbox: Sandbox, call: Any, segment_id: str) -> None:
    """The client sees the connection break, and the request is on record without a status."""
    sandbox.fail_next(drop_connection=True)
    with pytest.raises(aiohttp.ClientError):
        await call.amend(segment_id, ["a@b.co"] * 40_000)
    assert len(sandbox.contact_list(segment_id)) == 0
    entry = sandbox.requests[-1]
    assert (entry.method, entry.status, entry.identifiers) == ("PATCH", None, 0)


async def test_a_lost_reply_applies_everything(sandbox: Sandbox, call: Any, segment_id: str) -> None:
    """The client sees the connection break although the identifiers have arrived."""
    sandbox.fail_next(lose_reply=True)
    with pytest.raises(aiohttp.ClientError):
        await call.amend(segment_id, ["a@b.co", "c@d.co"])
    assert sandbox.contact_list(segment_id).identifiers == {"a@b.co", "c@d.co"}
    entry = sandbox.requests[-1]
    assert (entry.status, entry.identifiers) == (None, 2)


async def test_faults_wait_in_line(sandbox: Sandbox, call: Any, segment_id: str) -> None:
    """Each call meets the first fault that concerns it."""
    sandbox.fail_next(status=500)
    sandbox.fail_next(status=503, on="/statistics")
    sandbox.fail_next(status=429, times=2)
    statistics = f"{call.contact_list_path(segment_id)}/statistics"
    statuses = [(await call.amend(segment_id, [])).status for _ in range(4)]
    assert statuses == [500, 429, 429, 200]
    assert [(await call("GET", statistics)).status for _ in range(2)] == [503, 200]


async def test_token_calls_fail_only_when_they_are_named(sandbox: Sandbox, call: Any) -> None:
    """A fault for any path passes over token calls, one on "oauth2" passes over the others."""
    sandbox.fail_next(status=500)
    sandbox.fail_next(status=503, on="oauth2")
    assert [(await call.grant()).status for _ in range(2)] == [503, 200]
    assert (await call("GET", "/2026-07/anything")).status == 500


async def test_a_fault_on_the_token_endpoint_says_nothing_of_the_quota(sandbox: Sandbox, call: Any) -> None:
    """Token calls use no quota, so only a 429 speaks of one."""
    sandbox.fail_next(status=503, on="oauth2")
    sandbox.fail_next(status=429, on="oauth2")
    assert ["x-ratelimit-limit" in (await call.grant()).headers for _ in range(2)] == [False, True]


@pytest.mark.parametrize("options", [{}, {"status": 503, "times": 0}, {"status": 99}, {"status": 600}, {"code": "x"}])
def test_a_fault_that_does_nothing_is_refused(options: dict[str, Any]) -> None:
    """A test that injects nothing would prove nothing."""
    with pytest.raises(ValueError, match=r"fault|times|status"):
        Sandbox().fail_next(**options)


async def test_a_large_refused_body_does_not_hide_the_answer(sandbox: Sandbox, call: Any, segment_id: str) -> None:
    """An injected status is seen by a client that sends megabytes."""
    sandbox.fail_next(status=503)
    assert (await call.amend(segment_id, ["someone@example.com"] * 50_000)).status == 503


async def test_faults_hit_calls_that_overlap_once_each(sandbox: Sandbox, call: Any, segment_id: str) -> None:
    """Of ten calls at once exactly three meet a fault for three."""
    await call.token()
    sandbox.fail_next(status=503, times=3)
    replies = await asyncio.gather(*(call.amend(segment_id, []) for _ in range(10)))
    assert sorted(reply.status for reply in replies) == [200] * 7 + [503] * 3
