"""Uploads over connections that break, stall or carry rubbish: the list ends right, or the report says what is not known."""

import os
import random
import resource
import sys
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from criteo_audiences import CriteoError, InvalidResponseError, RequestTimeout, RetryPolicy, TransportError
from criteo_audiences.sandbox import Fault, RecordedRequest
from tests.kit import AMENDING

SetStage = Callable[..., AbstractAsyncContextManager[Any]]
EMAILS = {f"{number}.{'longer.' * 7}name@{'longer' * 3}.{'longer' * 3}.example.com" for number in range(3_000)}
MOMENTS = ["handled", "half-head", "head", "half-body"]
QUICK = RetryPolicy(attempts=6, first_delay=0.001, max_delay=0.01)
SHORT = 0.25
LONG = 5.0
NO_HTTP = [b"", b"SSH-2.0-OpenSSH_9\r\n", bytes(range(256)) * 40, b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}"]
NO_FINAL = [
    b"HTTP/1.1 %s Strange\r\nConnection: close\r\nContent-Length: 0\r\n\r\n" % status
    for status in (b"099", b"101", b"600", b"999")
]

ALWAYS_AGAIN = [
    *({"drop_connection": True, "at": share} for share in (0.0, 0.5, 1.0)),
    {"drop_connection": True, "at": 0.5, "stall": LONG},
    *({"lose_reply": True, "at": moment} for moment in MOMENTS),
    {"lose_reply": True, "at": "half-body", "chunked": True},
    *({"stall": LONG, "at": at} for at in (0.0, 0.5, *MOMENTS)),
    *({"raw": raw, "handle_first": True} for raw in NO_HTTP + NO_FINAL),
    {"body": b"\xff\x00" + os.urandom(500), "handle_first": True},
    {"body": b'{"data": nu', "handle_first": True},
    {"body": b"{}", "headers": {"Content-Encoding": "gzip"}, "handle_first": True},
    {"status": 504, "handle_first": True},
    {"status": 429, "rate_limit_headers": False},
    {"padded_to": 50_000_000},
    {"padded_to": 50_000_000, "chunked": True},
    {"padded_to": 10**12},
]
NEVER_AGAIN = [
    {"stall": 0.02, "at": 0.5},
    {"stall": 0.02, "at": "half-body"},
    {"chunked": True},
    {"padded_to": 1_000_000},
]


def assert_nothing_acknowledged_is_repeated(calls: list[RecordedRequest]) -> None:
    """Asserts that a batch whose answer was written is not sent once more."""
    done = [call.digest for call in calls if call.acknowledged]
    assert len(done) == len(set(done))


@pytest.mark.parametrize(("faults", "repeats"), [(ALWAYS_AGAIN, 1), (NEVER_AGAIN, 0)], ids=["again", "once"])
async def test_every_fault_is_met_once_and_the_list_ends_right(
    faults: list[dict[str, Any]], repeats: int, set_stage: SetStage
) -> None:
    """Whether or not the call was handled, it is repeated once exactly where no answer could be read."""
    for fault in faults:
        async with set_stage({"retry": QUICK, "timeout": SHORT if fault.get("stall") == LONG else LONG}) as stage:
            stage.sandbox.fail_next(**fault, on=AMENDING)
            report = await stage.upload(EMAILS, batch_size=1_000, max_concurrency=1)
            shown = {name: repr(value)[:40] for name, value in fault.items()}
            assert (report.ok, stage.held == EMAILS, report.batches) == (True, True, 3), shown
            assert (report.retries, report.calls, len(stage.calls)) == (repeats, 3 + repeats, 3 + repeats), shown
            if "padded_to" not in fault:  # the server may have written it all: the client does not want it
                assert_nothing_acknowledged_is_repeated(stage.calls)


async def test_a_kept_connection_that_died_costs_no_more_than_an_attempt(set_stage: SetStage) -> None:
    """The attempt counts although the server never saw it, for the client cannot tell."""
    async with set_stage({"retry": QUICK, "timeout": SHORT}) as stage:
        stage.sandbox.fail_next(lose_reply=True, at="answered", times=3, on=AMENDING)
        report = await stage.upload(EMAILS, batch_size=1_000, max_concurrency=1)
        assert (report.ok, stage.held == EMAILS, len(stage.calls)) == (True, True, 3)
        assert report.calls == report.batches + report.retries
        assert report.retries <= 2
        assert_nothing_acknowledged_is_repeated(stage.calls)


@pytest.mark.parametrize(
    ("fault", "error", "handled"),
    [
        ({"drop_connection": True, "at": 0.5}, TransportError, False),
        ({"drop_connection": True, "at": 1.0}, TransportError, False),
        ({"lose_reply": True, "at": "half-head"}, TransportError, True),
        ({"lose_reply": True, "at": "half-body"}, TransportError, True),
        ({"stall": LONG, "at": "head"}, RequestTimeout, True),
        ({"stall": LONG, "at": 0.5}, RequestTimeout, False),
        ({"raw": b"\0" * 100, "handle_first": True}, TransportError, True),
        ({"raw": NO_FINAL[-1], "handle_first": True}, InvalidResponseError, True),
        ({"body": b"<html>", "handle_first": True}, InvalidResponseError, True),
        ({"body": b'{"data": 7}', "handle_first": True}, InvalidResponseError, True),
        ({"padded_to": 50_000_000, "chunked": True}, InvalidResponseError, True),
    ],
    ids=str,
)
async def test_without_a_retry_it_is_one_error_and_not_known(
    fault: dict[str, Any],
    error: type[CriteoError],
    handled: bool,  # noqa: FBT001 - a column of the table
    set_stage: SetStage,
) -> None:
    """The server may have the batch or not; the client cannot know, and says so of this batch alone."""
    async with set_stage({"retry": RetryPolicy(attempts=1), "timeout": SHORT}) as stage:
        stage.sandbox.fail_next(**fault, on=AMENDING)
        report = await stage.upload(sorted(EMAILS), batch_size=1_000, max_concurrency=1)
        (failure,) = report.failures
        assert type(failure.error) is error
        assert (report.unknown, report.failed, report.valid, report.ok) == (1_000, 0, 2_000, False)
        assert (report.calls, report.retries) == (3, 0)
        assert stage.calls[0].handled is handled
        assert len(stage.held) == 2_000 + 1_000 * handled


@pytest.mark.parametrize("seed", range(3))
async def test_an_upload_through_a_storm_of_faults_adds_up(seed: int, set_stage: SetStage) -> None:
    """Of the calls a seeded third goes wrong, tokens die under way; nothing that was acknowledged is sent again."""
    chance = random.Random(seed)  # noqa: S311 - not for secrets
    faults = [
        Fault(**fault) for fault in ALWAYS_AGAIN + NEVER_AGAIN if "padded_to" not in fault and "stall" not in fault
    ]

    async with set_stage(
        {"retry": QUICK, "timeout": LONG}
    ) as stage:  # no fault stalls: a time-out would be the machine's

        def choose(call: RecordedRequest) -> Fault | None:
            if AMENDING not in call.path:
                return None
            if (
                call.number % 40 == 0
            ):  # further apart than the attempts of one batch, of which one may meet a dead token
                chance.choice([stage.sandbox.expire_tokens, stage.sandbox.revoke_tokens])()
            return chance.choice(faults) if chance.random() < 0.3 else None

        stage.sandbox.fail_with(choose)
        report = await stage.upload(EMAILS, batch_size=33)
        assert report.calls == report.batches + report.retries == len(stage.calls)
        assert report.retries > 10
        assert_nothing_acknowledged_is_repeated(stage.calls)
        missing = len(EMAILS - stage.held)
        assert missing <= report.failed + report.unknown
        assert report.ok == (not report.failures)


async def test_a_huge_answer_is_not_held(set_stage: SetStage) -> None:
    """A terabyte costs both sides together no more memory than the bound on an answer."""
    unit = 1 if sys.platform == "darwin" else 1024
    async with set_stage({"retry": RetryPolicy(attempts=1)}) as stage:
        await stage.upload(["a@b.co"])
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
        stage.sandbox.fail_next(padded_to=10**12, times=2, on=AMENDING)
        for _ in range(2):
            report = await stage.upload(["a@b.co"])
            assert [type(failure.error) for failure in report.failures] == [InvalidResponseError]
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit - before < 100_000_000


@pytest.mark.parametrize("ahead", [-600.0, 600.0])
async def test_a_server_whose_clock_is_wrong_is_waited_for_as_long_as_it_means(
    ahead: float, set_stage: SetStage
) -> None:
    """Its Date says what its reset means, so neither is it waited for ten minutes nor asked too early."""
    async with set_stage({"timeout": SHORT}, clock=lambda: time.time() + ahead) as stage:
        stage.sandbox.fail_next(status=429, on=AMENDING)
        report = await stage.upload(EMAILS, batch_size=1_000, max_concurrency=1)
        assert stage.held == EMAILS
    assert (report.ok, report.retries) == (True, 1)
    assert report.elapsed < 10
