import asyncio
import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from criteo_audiences import (
    AuthenticationError,
    ClientCredentials,
    ConfigurationError,
    ConnectError,
    CriteoClient,
    InvalidRequestError,
    InvalidResponseError,
    NotFoundError,
    PayloadTooLargeError,
    PermissionDeniedError,
    Quota,
    RateLimitExceeded,
    RetryPolicy,
    ServerError,
    StaticToken,
    TransportError,
    UploadFailedError,
)
from criteo_audiences.journals import BatchState, describe
from criteo_audiences.sandbox import Sandbox
from tests.kit import AMENDING, emails

SetStage = Callable[..., AbstractAsyncContextManager[Any]]


@pytest.mark.parametrize(
    ("fault", "error", "failed", "unknown"),
    [
        ({"status": 400}, InvalidRequestError, 10, 0),
        ({"status": 413}, PayloadTooLargeError, 10, 0),
        ({"status": 418}, InvalidRequestError, 0, 10),
        ({"status": 307, "headers": {"Location": "/elsewhere"}}, InvalidRequestError, 0, 10),
        ({"status": 500, "times": 5}, ServerError, 0, 10),
        ({"status": 408, "times": 5}, InvalidRequestError, 0, 10),
        ({"status": 529, "times": 5}, ServerError, 0, 10),
        ({"body": b"<html>planted@example.com", "times": 5}, InvalidResponseError, 0, 10),
        ({"body": b""}, InvalidResponseError, 0, 10),
        ({"body": b'{"data": [{"operation": "add"}]}'}, InvalidResponseError, 0, 10),
        ({"drop_connection": True, "times": 5}, TransportError, 0, 10),
        ({"lose_reply": True, "times": 5}, TransportError, 0, 10),
    ],
    ids=str,
)
async def test_one_failed_batch_is_data(
    fault: dict[str, Any], error: type[Exception], failed: int, unknown: int, stage: Any
) -> None:
    """It is in `failures` with its error, the other batches arrive, and the report says it is not ok."""
    stage.sandbox.fail_next(**fault, on=AMENDING)
    report = await stage.upload(emails(35), batch_size=10, max_concurrency=1)
    (failure,) = report.failures
    assert (failure.number, failure.ok, type(failure.error)) == (1, False, error)
    assert (report.failed, report.unknown, report.valid) == (failed, unknown, 25)
    assert {f"{number}@example.com" for number in range(10, 35)} <= stage.held
    assert report.calls == len(stage.calls)
    assert report.retries == report.calls - 4
    with pytest.raises(UploadFailedError) as caught:
        report.raise_for_failures()
    assert caught.value.report is report


async def test_a_batch_that_is_refused_by_the_quota_to_the_end_is_data(set_stage: SetStage) -> None:
    """It certainly was not applied; the batches after it arrive."""
    async with set_stage({"retry": RetryPolicy(attempts=2)}) as stage:
        stage.sandbox.fail_next(status=429, times=2, rate_limit_headers=False, on=AMENDING)
        report = await stage.upload(emails(35), batch_size=10, max_concurrency=1)
    (failure,) = report.failures
    assert isinstance(failure.error, RateLimitExceeded)
    assert (report.failed, report.unknown, report.valid) == (10, 0, 25)


@pytest.mark.parametrize(
    ("fault", "failed", "state"),
    [
        ({"status": 429, "headers": {"Retry-After": "30"}}, 10, BatchState.FAILED),
        ({"delay": 30.0}, 0, BatchState.UNKNOWN),
    ],
    ids=str,
)
async def test_a_batch_given_up_after_refusals_is_failed(
    stage: Any, tmp_path: Path, fault: dict[str, Any], failed: int, state: BatchState
) -> None:
    """One that waits to be sent again after a 429 certainly was not applied; one without an answer may have been."""
    stage.sandbox.fail_next(**fault, on=AMENDING)
    report = await stage.upload(emails(10), deadline=0.3, drain_timeout=0.0, journal=tmp_path / "journal")
    assert (report.failed, report.unknown, report.deadline_passed) == (failed, 10 - failed, True)
    (failure,) = report.failures
    assert failure.error.outcome_unknown is not bool(failed)
    assert ("Criteo had refused every request of it, so it was not applied." in report.explain()) is bool(failed)
    assert describe(tmp_path / "journal").batches == {state: 1}


async def test_a_batch_canceled_after_refusals_is_failed(stage: Any) -> None:
    """The report of a stream that is left then says so as well."""
    stage.sandbox.fail_next(status=429, headers={"Retry-After": "30"}, on=AMENDING)
    waits = asyncio.Event()
    async with stage.criteo.marketing_solutions.stream_contact_list(
        stage.segment_id, emails(10), hash=None, drain_timeout=0.0, on_progress=lambda it: it.is_waiting and waits.set()
    ) as results:
        await waits.wait()
    assert (results.report.failed, results.report.unknown, results.report.sent) == (10, 0, 10)


@pytest.mark.parametrize(
    "attributes",
    [
        b'"operation": 7, "requestDate": "soon", "sampleInvalidIdentifiers": ["planted@example.com", {}, null]',
        b'"nbValidIdentifiers": null, "nbInvalidIdentifiers": "none"',
        b'"nbValidIdentifiers": [10]',
    ],
)
async def test_a_receipt_that_is_partly_unreadable_is_a_receipt(attributes: bytes, stage: Any) -> None:
    """Criteo answered 200, so the batch has not failed; only what it did not say in numbers is `unreported`."""
    body = b'{"data": {"type": "ContactListAmendment", "attributes": {%s}}}' % attributes
    stage.sandbox.fail_next(body=body, on=AMENDING)
    report = await stage.upload(emails(35), batch_size=10, max_concurrency=1)
    assert (report.ok, report.failures, report.calls) == (False, (), 4)
    assert (report.valid, report.unreported, report.unknown, report.failed) == (25, 10, 0, 0)


@pytest.mark.parametrize("error", [NotFoundError, PermissionDeniedError])
async def test_a_list_that_cannot_be_written_stops_the_upload_early(
    error: type[Exception], set_stage: SetStage
) -> None:
    """Unknown or denied: at most `max_concurrency` calls are spent, the rest is pending."""
    async with set_stage(latency=0.01) as stage:
        if error is NotFoundError:
            stage.segment_id = "999999"
        else:
            stage.sandbox.deny(stage.segment_id)
        report = await stage.upload(emails(10_000), batch_size=10, max_concurrency=3)
        assert 1 <= len(stage.calls) <= 3
    assert {type(failure.error) for failure in report.failures} == {error}
    assert report.failed == 10 * len(report.failures)
    assert report.pending > 0
    assert not report.ok


async def test_a_read_only_list_is_refused_batch_by_batch(stage: Any) -> None:
    """The 400 that Criteo gives is told with its code."""
    stage.segment_id = stage.sandbox.add_contact_list(read_only=True)
    report = await stage.upload(emails(10))
    assert report.failed == 10
    assert "audience-segment-read-only" in report.explain()


async def test_a_wrong_secret_ends_the_upload_at_once(set_stage: SetStage) -> None:
    """One clear error after at most two token calls, and no call of the API."""
    wrong = ClientCredentials(client_id="wrong", client_secret="wrong")
    async with set_stage({"credentials": wrong}) as stage:
        with pytest.raises(AuthenticationError) as caught:
            await stage.upload(emails(10_000), batch_size=10)
        assert len(stage.token_calls) <= 2
        assert stage.calls == []
    assert "client secret" in str(caught.value)
    assert "0 valid" in caught.value.__notes__[0]


async def test_a_token_that_cannot_be_renewed_ends_the_upload_at_once(set_stage: SetStage) -> None:
    """A static token that Criteo refuses is refused for every batch."""
    async with set_stage({"credentials": StaticToken("wrong")}, latency=0.01) as stage:
        with pytest.raises(AuthenticationError):
            await stage.upload(emails(10_000), batch_size=10, max_concurrency=3)
        assert len(stage.calls) <= 3


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 503, "times": 2},
        {"status": 500},
        {"status": 408},
        {"drop_connection": True, "times": 2},
        {"lose_reply": True, "times": 2},
        {"body": b"garbage"},
        {"body": b'{"data": nu'},
        {"status": 429, "times": 4, "rate_limit_headers": False},
        {"status": 429, "headers": {"Retry-After": "0"}, "times": 6},
        {"status": 429, "headers": {"Retry-After": "0.01", "x-ratelimit-reset": "soon"}},
        {"delay": 0.05, "times": 3},
    ],
    ids=str,
)
async def test_a_passing_fault_is_retried_and_the_list_ends_right(fault: dict[str, Any], stage: Any) -> None:
    """Whether Criteo applied the first attempt or not, every identifier is there once, and the report says so."""
    stage.sandbox.fail_next(**fault, on=AMENDING)
    report = await stage.upload(emails(95), batch_size=10)
    assert stage.held == set(emails(95))
    assert (report.valid, report.ok, report.batches) == (95, True, 10)
    assert report.calls == len(stage.calls)
    assert report.retries == report.calls - 10


async def test_a_removal_whose_reply_is_lost_ends_right_too(stage: Any) -> None:
    """Removing twice removes once."""
    await stage.upload(emails(20))
    stage.sandbox.fail_next(lose_reply=True, on=AMENDING)
    report = await stage.upload(emails(15), operation="remove", batch_size=5)
    assert stage.held == {f"{number}@example.com" for number in range(15, 20)}
    assert report.valid == 15


async def test_a_storm_of_429_with_headers_is_waited_out(set_stage: SetStage) -> None:
    """The quota of the server is kept by its own word, whatever the client believed; the wait is reported."""
    async with set_stage({"quota": Quota(250, period=0.1)}, rate_limit=(3, 0.1)) as stage:
        report = await stage.upload(emails(100), batch_size=10, max_concurrency=5)
        assert stage.held == set(emails(100))
    assert report.ok
    assert report.waited > 0
    assert report.elapsed >= report.waited


async def test_tokens_that_expire_on_the_way_are_renewed_once(set_stage: SetStage) -> None:
    """However many batches were refused at the same time, one new token serves them all."""
    async with set_stage(latency=0.005) as stage:
        upload = stage.criteo.marketing_solutions.stream_contact_list(
            stage.segment_id, emails(400), hash=None, batch_size=10
        )
        async with upload as results:
            async for result in results:
                if result.number == 5:
                    stage.sandbox.expire_tokens()
        assert stage.held == set(emails(400))
        assert len(stage.token_calls) == 2
    assert results.report.ok
    assert results.report.retries == sum(call.status == 401 for call in stage.calls) > 0


async def test_an_outage_of_the_token_endpoint_fails_batches(set_stage: SetStage) -> None:
    """What could not be sent for want of a token never arrived."""
    retry = RetryPolicy(attempts=1)
    async with set_stage({"retry": retry}) as stage:
        stage.sandbox.fail_next(status=503, times=100, on="oauth2")
        report = await stage.upload(emails(30), batch_size=10)
        assert stage.held == frozenset()
        assert stage.calls == []
    assert report.valid == 0
    assert not report.ok


async def test_a_source_that_fails_mid_upload_comes_out_as_it_is(stage: Any) -> None:
    """The very exception, with a note; what went out before stays."""
    broken = KeyError("planted")

    def source() -> Iterator[str]:
        yield from emails(1_000)
        raise broken

    with pytest.raises(KeyError) as caught:
        await stage.upload(source(), batch_size=100)
    assert caught.value is broken
    assert "Running it again is safe" in broken.__notes__[0]


async def test_a_bug_in_on_progress_comes_out_as_it_is(stage: Any) -> None:
    """It ends the upload, and closes what was open."""
    told = itertools.count()

    def on_progress(_: object) -> None:
        if next(told) == 3:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await stage.upload(emails(1_000), batch_size=10, on_progress=on_progress)


async def test_a_bug_in_on_event_ends_nothing(set_stage: SetStage) -> None:
    """An observer of the calls does not break what it observes."""

    def on_event(_: object) -> None:
        raise ZeroDivisionError

    async with set_stage({"on_event": on_event}) as stage:
        assert (await stage.upload(emails(30), batch_size=10)).ok


async def test_a_closed_client_ends_an_upload() -> None:
    """Misuse is an exception, not a failed batch."""
    async with Sandbox() as sandbox:
        segment_id = sandbox.add_contact_list(name="crm")
        criteo = CriteoClient(sandbox.credentials, base_url=sandbox.url)
        await criteo.authenticate()
        await criteo.aclose()
        with pytest.raises(ConfigurationError, match="closed"):
            await criteo.marketing_solutions.upload_contact_list(segment_id, ["a@b.co"], hash=None)


async def test_before_call_is_awaited_before_every_request(stage: Any) -> None:
    """A repeat included; what it raises ends the upload, and the batch that waited for it is not sent."""
    asked = 0

    async def ask() -> None:
        nonlocal asked
        asked += 1
        if asked == 4:
            raise ConnectError("The list is another's.", passing=False)
        assert len(stage.calls) == asked - 1

    stage.sandbox.fail_next(status=503, on=AMENDING)
    with pytest.raises(ConnectError, match=r"^The list is another's\.") as caught:
        await stage.upload(emails(100), batch_size=10, max_concurrency=1, before_call=ask)
    assert len(stage.calls) == 3
    assert stage.held == set(emails(20))
    assert "20 sent" in caught.value.__notes__[0]


@pytest.mark.parametrize("wrong", [print, 5, lambda: None])
async def test_before_call_must_be_async(stage: Any, wrong: Any) -> None:
    """A plain function would be called and never awaited."""
    with pytest.raises(ConfigurationError, match="before_call must be an async function"):
        await stage.upload(emails(1), before_call=wrong)
    assert not stage.calls
