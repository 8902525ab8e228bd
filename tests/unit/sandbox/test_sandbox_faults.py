import asyncio
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import pytest

from criteo_audiences.sandbox import Fault, RecordedRequest, Sandbox


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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "a fault needs one of status, body, raw"),
        ({"code": "x"}, "a fault needs one of"),
        ({"at": "head"}, "a fault needs one of"),
        ({"status": 503, "times": 0}, "times must be at least 1"),
        ({"status": 99}, "status must be"),
        ({"status": 600}, "status must be"),
        ({"delay": -1.0}, "delay must be seconds"),
        ({"stall": float("inf"), "at": 0.5}, "stall must be seconds"),
        ({"padded_to": 0}, "padded_to must be"),
        ({"lose_reply": True, "at": "middle"}, "at must be a share from 0 to 1, or one of handled, half-head, head"),
        ({"drop_connection": True, "at": 1.1}, "at must be a share"),
        ({"drop_connection": True, "at": "head"}, "at must be a share of the request's body"),
        ({"raw": b"x", "stall": 1.0, "at": "head"}, "at must be a share of the request's body"),
        ({"lose_reply": True, "at": 0.5}, "lose_reply needs a moment"),
        ({"status": 503, "at": 0.5}, "at needs a stall"),
        ({"stall": 1.0}, "stall needs an at"),
        ({"drop_connection": True, "lose_reply": True}, "drop_connection leaves no room for lose_reply"),
        ({"drop_connection": True, "status": 503}, "drop_connection leaves no room for status"),
        ({"drop_connection": True, "raw": b""}, "drop_connection leaves no room for raw"),
        ({"raw": b"", "body": b""}, "raw leaves no room for body"),
        ({"lose_reply": True, "handle_first": True}, "handle_first needs a status, a body or raw"),
    ],
)
def test_a_fault_that_no_call_would_notice_is_refused(options: dict[str, Any], message: str) -> None:
    """A test that injects nothing, or not what it says, would prove nothing."""
    with pytest.raises(ValueError, match=message):
        Sandbox().fail_next(**options)


@pytest.mark.parametrize("fault", [{"status": 504}, {"body": b"<html>"}, {"raw": b"\0"}])
async def test_a_call_can_be_handled_before_it_gets_another_answer(
    sandbox: Sandbox, call: Any, segment_id: str, fault: Any
) -> None:
    """The list is changed, the quota is used, and nothing says so to the client."""
    sandbox.fail_next(handle_first=True, **fault)
    if "raw" in fault:
        with pytest.raises(aiohttp.ClientError):
            await call.amend(segment_id, ["a@b.co"])
    else:
        reply = await call.amend(segment_id, ["a@b.co"])
        assert b"nbValidIdentifiers" not in reply.raw
        assert reply.headers["x-ratelimit-remaining"] == "249"
    assert sandbox.contact_list(segment_id).identifiers == {"a@b.co"}
    entry = sandbox.requests[-1]
    assert (entry.handled, entry.answered, entry.acknowledged) == (True, "raw" not in fault, False)


async def test_a_call_that_is_refused_gets_its_own_answer(sandbox: Sandbox, call: Any, segment_id: str) -> None:
    """Nothing says that it was done, though another answer was to stand in for that of a call that is."""
    sandbox.fail_next(handle_first=True, body=b"{}")
    assert (await call.amend(segment_id, [7])).status == 400
    assert not sandbox.requests[-1].handled


async def test_a_refused_call_is_answered_but_not_handled(sandbox: Sandbox, call: Any, segment_id: str) -> None:
    """Neither is one that meets a fault in place of its answer; a good one is both, and acknowledged."""
    sandbox.fail_next(status=503)
    for identifiers in (["a@b.co"], [7], ["a@b.co"]):
        await call.amend(segment_id, identifiers)
    accounts = [(entry.status, entry.handled, entry.answered, entry.acknowledged) for entry in sandbox.requests[1:]]
    assert accounts == [(503, False, True, False), (400, False, True, False), (200, True, True, True)]


async def test_calls_are_numbered_and_known_again(sandbox: Sandbox, call: Any, segment_id: str) -> None:
    """By what they carry, in any order; another operation, identifier or number of them is another call."""
    for identifiers in (["a@b.co", "c@d.co"], ["c@d.co", "a@b.co"], ["a@b.co"], ["a@b.co", "c@d.co", "c@d.co"]):
        await call.amend(segment_id, identifiers)
    await call.amend(segment_id, ["a@b.co", "c@d.co"], operation="remove")
    token_call, *calls = sandbox.requests
    assert [entry.number for entry in sandbox.requests] == [1, 2, 3, 4, 5, 6]
    assert token_call.digest is None
    assert calls[0].digest == calls[1].digest
    assert len({entry.digest for entry in calls}) == 4
    assert not any(str(entry.digest) in f"{entry} {entry!r}" for entry in calls)


async def test_a_function_chooses_the_faults(sandbox: Sandbox, call: Any, segment_id: str) -> None:
    """It sees every call once, also token calls, and is asked only when no fault waits in line."""
    seen: list[tuple[int, str, str]] = []

    def choose(entry: RecordedRequest) -> Fault | None:
        seen.append((entry.number, entry.method, entry.path))
        return Fault(status=503) if entry.number % 2 else None

    sandbox.fail_with(choose)
    assert (await call.grant()).status == 503
    sandbox.fail_next(status=418, on="contact-list")
    assert [(await call.amend(segment_id, [])).status for _ in range(3)] == [418, 200, 503]
    path = call.contact_list_path(segment_id)
    assert seen == [(1, "POST", "/oauth2/token"), (2, "POST", "/oauth2/token"), (4, "PATCH", path), (5, "PATCH", path)]
    sandbox.fail_with(None)
    assert [(await call.amend(segment_id, [])).status for _ in range(2)] == [200, 200]


async def test_a_function_that_fails_is_a_500(
    sandbox: Sandbox, call: Any, segment_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The test that wrote it finds it in the log."""
    await call.amend(segment_id, [])
    sandbox.fail_with(lambda _: {}["planted"])
    assert (await call.amend(segment_id, ["a@b.co"])).status == 500
    assert "planted" in caplog.text
    assert (sandbox.requests[-1].status, sandbox.requests[-1].handled) == (None, False)


async def test_tokens_can_end_while_a_call_is_under_way(sandbox: Sandbox, call: Any, segment_id: str) -> None:
    """Its token was good when it was sent; expired and revoked ones are told apart."""
    endings = iter([sandbox.expire_tokens, sandbox.revoke_tokens])
    await call.amend(segment_id, [])
    sandbox.fail_with(lambda _: next(endings)())
    codes = []
    for _ in range(2):
        reply = await call.amend(segment_id, ["a@b.co"])
        codes.append((reply.status, reply.problem["code"]))
    assert codes == [(401, "authorization-token-expired"), (401, "authorization-token-invalid")]


@pytest.mark.parametrize("ahead", [-600.0, 0.0, 600.0])
async def test_date_quota_and_tokens_follow_the_clock(connect: Callable[..., Any], ahead: float) -> None:
    """A server whose clock is wrong is wrong in everything, its faults included."""
    now = 1_700_000_000.0
    async with Sandbox(clock=lambda: now + ahead, token_lifetime=900) as sandbox:
        call, segment_id = connect(sandbox), sandbox.add_contact_list()
        sandbox.fail_next(status=429)
        replies = [await call.amend(segment_id, []) for _ in range(2)]
        for reply in replies:
            assert parsedate_to_datetime(reply.headers["date"]).timestamp() == now + ahead
        resets = [int(reply.headers["x-ratelimit-reset"]) for reply in replies]
        assert all(0 <= reset - now - ahead <= 60 for reset in resets)
        now += 899
        assert (await call.amend(segment_id, [])).status == 200
        now += 1
        assert (await call.amend(segment_id, [])).status == 401


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
