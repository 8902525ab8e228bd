import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from criteo_audiences import (
    ApiVersionGoneError,
    AuthenticationError,
    BatchResult,
    ConfigurationError,
    ConnectError,
    CriteoError,
    HashAlgorithm,
    InvalidIdentifierError,
    InvalidRequestError,
    NotFoundError,
    Operation,
    PermissionDeniedError,
    Progress,
    RequestTimeout,
    ServerError,
    UploadReport,
    hash_email,
    normalize_email,
)
from criteo_audiences.models import ContactListOperation
from criteo_audiences.uploads import Amendment, upload
from criteo_audiences.uploads.uploader import stream
from tests.kit import LIST, assert_adds_up, emails, options_of, run_in_virtual_time, settle


def counted(valid: int | None = None, invalid: int | None = None, *sample: str) -> ContactListOperation:
    """Builds a receipt."""
    return ContactListOperation(valid=valid, invalid=invalid, sample_invalid=sample)


async def go(amend: Any, source: object, **options: Any) -> UploadReport:
    """Uploads with batches of 10 by default, and asserts that the report adds up."""
    report = await upload(amend, LIST, source, options_of(**{"batch_size": 10, **options}))
    assert_adds_up(report)
    return report


Fake = Callable[..., Any]

HASHES = ["E13743A7F1DB7F4246BADD6FD6FF54FF", " e13743a7f1db7f4246badd6fd6ff54ff", "f" * 64, "F" * 64]
ROWS = st.lists(
    st.integers(0, 30).map("u{}@example.com".format)
    | st.integers(0, 30).map(" U{}@Example.COM\u200b".format)
    | st.sampled_from([*HASHES, None, float("nan"), "", "nobody", "a@b", "a b@c.co", "Ann <ann@example.com>"]),
    max_size=60,
)


def model(rows: list[Any], algorithm: HashAlgorithm | None, *, dedupe: bool) -> dict[str, Any]:
    """Computes in the plainest way what an upload of some rows must send and count."""
    sent: list[str] = []
    rejected: Counter[str] = Counter()
    duplicates = hashed = 0
    for row in rows:
        try:
            identifier = normalize_email(row if isinstance(row, str) else "")
        except InvalidIdentifierError as error:
            rejected[error.reason] += 1
            continue
        hashed += "@" not in identifier
        identifier = hash_email(identifier, algorithm) if algorithm else identifier
        if dedupe and identifier in sent:
            duplicates += 1
        else:
            sent.append(identifier)
    return {"sent": sent, "rejected": rejected, "duplicates": duplicates if dedupe else None, "hashed": hashed}


@settings(deadline=None)
@given(rows=ROWS, algorithm=st.sampled_from([None, *HashAlgorithm]), dedupe=st.booleans(), size=st.integers(1, 20))
def test_an_upload_does_what_a_plain_loop_would(
    fake_amend: Fake,
    rows: list[Any],
    algorithm: HashAlgorithm | None,
    dedupe: bool,  # noqa: FBT001 - drawn by hypothesis
    size: int,
) -> None:
    """Valid, hashed, invalid, missing and repeated rows in any mixture: the same identifiers, the same counts."""
    amend, expected = fake_amend(), model(rows, algorithm, dedupe=dedupe)
    settings = options_of(hash=algorithm, dedupe=dedupe, batch_size=size)
    report = run_in_virtual_time(upload(amend, LIST, iter(rows), settings))
    assert_adds_up(report)
    assert amend.identifiers == expected["sent"]
    assert (report.read, report.sent, report.valid) == (len(rows), len(expected["sent"]), len(expected["sent"]))
    assert report.rejected == expected["rejected"]
    assert report.duplicates == expected["duplicates"]
    assert report.already_hashed == expected["hashed"]
    assert report.batches == report.calls == len(amend.received) == -(-len(expected["sent"]) // size)


async def test_each_call_says_what_it_is_for(fake_amend: Fake) -> None:
    """The amendment carries the list, the operation, the kind and an upload id shared by the whole upload."""
    amend = fake_amend()
    await go(amend, emails(25), operation="remove")
    assert {(each.segment_id, each.operation, each.identifier_type.value) for each in amend.received} == {
        ("1", Operation.REMOVE, "email")
    }
    assert len({each.upload_id for each in amend.received}) == 1
    assert [len(batch) for batch in amend.batches] == [10, 10, 5]


@pytest.mark.parametrize("senders", [1, 3, 7])
def test_no_more_batches_are_in_flight_than_asked_for(senders: int, fake_amend: Fake) -> None:
    """As many as `max_concurrency`, never one more, so that the upload takes as long as it has to."""
    amend = fake_amend(latency=1.0)
    settings = options_of(batch_size=10, max_concurrency=senders)
    report = run_in_virtual_time(upload(amend, LIST, emails(210), settings))
    assert amend.max_in_flight == senders
    assert report.batches == 21
    assert max(amend.arrived_at) == pytest.approx(21 // senders - 1, abs=0.01)


async def test_a_source_is_read_no_further_than_needed(fake_amend: Fake) -> None:
    """While nobody takes results, only the batches in flight and one to come are in memory."""
    taken = itertools.count()
    source = (f"{number}@example.com" for number in taken)
    async with stream(fake_amend(), LIST, source, options_of(batch_size=1_000, max_concurrency=2)) as results:
        await anext(results)
        await settle()
        assert next(taken) == 4_000  # told, told to nobody yet by two senders, and waiting for one of them
    assert results.report.batches == 3


async def test_results_come_one_by_one_and_the_report_afterwards(fake_amend: Fake) -> None:
    """Each batch that came back is told once, in the order of the answers; then the report is complete."""

    async def reply(amendment: Amendment) -> ContactListOperation:
        await asyncio.sleep(0.02 if amendment.batch.number == 1 else 0)
        return counted(amendment.batch.count - 1, 1, "refused@example.com")

    told: list[BatchResult] = []
    settings = options_of(batch_size=10, max_concurrency=2)
    async with stream(fake_amend(reply=reply), LIST, emails(35), settings) as results:
        async for result in results:
            told.append(result)
            assert results.report.sent >= sum(each.sent for each in told)
    assert sorted((each.number, each.sent, each.valid, each.invalid, each.ok) for each in told) == [
        (1, 10, 9, 1, True),
        (2, 10, 9, 1, True),
        (3, 10, 9, 1, True),
        (4, 5, 4, 1, True),
    ]
    assert told[0].number != 1
    assert_adds_up(results.report)
    assert (results.report.valid, results.report.invalid) == (31, 4)
    assert results.report.sample_invalid == ("refused@example.com",) * 4
    assert [result async for result in results] == []


async def test_an_empty_source_makes_no_call(fake_amend: Fake) -> None:
    """Nothing to send is a failure, as of an export that broke, unless it is allowed."""
    amend = fake_amend()
    assert not (await go(amend, (email for email in []))).ok
    report = await go(amend, [], allow_empty=True)
    assert (report.ok, report.calls, report.batches, report.by_type) == (True, 0, 0, {})
    assert report.live_from is None
    assert amend.received == []


async def test_a_source_without_an_identifier_is_not_ok(fake_amend: Fake) -> None:
    """All rows rejected is a wrong column, however tolerant the bound."""
    report = await go(fake_amend(), ["nobody", None], max_rejected=1)
    assert not report.ok
    assert report.rejected == {"no_at_sign": 1, "empty": 1}


@pytest.mark.parametrize("dedupe", [None, True])
async def test_a_dry_run_calls_nobody(dedupe: bool | None, fake_amend: Fake) -> None:  # noqa: FBT001 - parametrized
    """It counts rows and the batches it would take; what would be sent is pending."""
    amend, told = fake_amend(), []
    report = await go(
        amend, [*emails(25), "nobody", "0@example.com"], dry_run=True, dedupe=dedupe, on_progress=told.append
    )
    assert amend.received == []
    assert (report.read, report.sent, report.rejected_total, report.batches, report.calls) == (27, 0, 1, 3, 0)
    assert (report.pending, report.duplicates) == ((25, 1) if dedupe else (26, None))
    assert report.dry_run
    assert report.ok
    assert report.retries == 0
    assert told[-1].read == 27


async def test_progress_never_goes_back(fake_amend: Fake) -> None:
    """Every count but the batches in flight only grows, and the last one told is the whole."""
    told: list[Progress] = []
    amend = fake_amend(latency=0.6)
    rows = [*emails(95), None, "0@example.com"]
    settings = options_of(batch_size=10, dedupe=True, on_progress=told.append)
    report = await asyncio.to_thread(run_in_virtual_time, upload(amend, LIST, rows, settings))
    for before, after in itertools.pairwise(told):
        for name in ("read", "rejected", "duplicates", "sent", "valid", "batches", "elapsed", "waited"):
            assert getattr(before, name) <= getattr(after, name)
    last = attrs.asdict(told[-1])
    assert len(told) > report.batches + 2
    assert last == last | {"read": 97, "rejected": 1, "duplicates": 1, "sent": 95, "valid": 95, "in_flight": 0}
    assert max(each.in_flight for each in told) <= 4


@pytest.mark.parametrize(("rows", "ends"), [([*emails(95)], True), (emails(95), False)], ids=["list", "generator"])
async def test_what_is_left_is_said_from_the_first_moment_on(
    fake_amend: Fake, rows: Iterable[str], *, ends: bool
) -> None:
    """Of a source that knows its length; the end of another one cannot be foreseen before it has come."""
    told: list[Progress] = []
    settings = options_of(batch_size=10, on_progress=told.append)
    await asyncio.to_thread(run_in_virtual_time, upload(fake_amend(latency=0.6), LIST, rows, settings))
    assert (told[0].read, told[0].batches, told[0].in_flight) == (0, 0, 0)
    assert [each.at_least is not None for each in told[:2]] == [ends, ends]
    assert all(each.remaining is None or each.at_least == each.remaining for each in told)
    assert (told[0].remaining is not None) == ends
    assert told[-1].at_least == told[-1].remaining == 0.0


@pytest.mark.parametrize("called_at", [0, 1, 3, 5])
async def test_a_bug_in_on_progress_ends_the_upload_as_it_is(called_at: int, fake_amend: Fake) -> None:
    """The callback's exception comes out unwrapped, wherever it was called from."""
    bug, calls = ZeroDivisionError("a bug of the caller's"), itertools.count()

    def on_progress(_: Progress) -> None:
        if next(calls) >= called_at:
            raise bug

    with pytest.raises(ZeroDivisionError) as caught:
        await go(fake_amend(), emails(100), on_progress=on_progress)
    assert caught.value is bug
    assert "The upload stopped early" in caught.value.__notes__[0]


@pytest.mark.parametrize(
    ("source", "options"), [(["a@b.co"], {"column": "email"}), (["a@b.co"], {"suppress": ["a@b.co;"]})]
)
async def test_a_refusal_before_the_first_row_has_no_note(
    fake_amend: Fake, source: object, options: dict[str, Any]
) -> None:
    """Nothing was read, so there is nothing to say of how far the upload came."""
    with pytest.raises(ConfigurationError) as caught:
        await go(fake_amend(), source, **options)
    assert not getattr(caught.value, "__notes__", [])


async def test_a_failed_batch_leaves_the_others_alone(fake_amend: Fake) -> None:
    """An error of Criteo's is the result of its batch; its identifiers are failed or unknown."""
    errors: dict[int, CriteoError] = {2: InvalidRequestError(400), 4: RequestTimeout("…"), 5: ConnectError("…")}
    report = await go(fake_amend(reply=lambda each: errors.get(each.batch.number)), emails(55))
    assert (report.valid, report.failed, report.unknown, report.pending) == (25, 20, 10, 0)
    assert {failure.number: failure.error for failure in report.failures} == errors
    assert report.batches == 6
    assert not report.ok


@pytest.mark.parametrize(
    "error",
    [
        NotFoundError(404),
        PermissionDeniedError(403),
        ApiVersionGoneError(410),
        ConnectError("The certificate is not trusted.", passing=False),
    ],
    ids=str,
)
async def test_a_refusal_that_is_for_all_batches_stops_the_upload(error: CriteoError, fake_amend: Fake) -> None:
    """No more than the batches in flight are spent on it; the rest of what was read is pending."""
    amend = fake_amend(reply=lambda _: error, latency=0.001)
    report = await go(amend, emails(10_000), max_concurrency=3)
    assert 1 <= len(amend.received) <= 3
    assert report.failed == 10 * len(amend.received)
    assert report.pending > 0
    assert report.read < 10_000
    assert not report.ok


@pytest.mark.parametrize("error", [ServerError(503), ConnectError("The server cannot be reached.")], ids=str)
async def test_an_outage_does_not_stop_the_upload(error: CriteoError, fake_amend: Fake) -> None:
    """A 5xx or a broken line that outlasted the retries may be over for the next batch."""
    amend = fake_amend(reply=lambda each: error if each.batch.number < 9 else None)
    report = await go(amend, emails(100))
    assert (report.failed + report.unknown, report.valid) == (80, 20)
    assert (report.unknown == 0) is isinstance(error, ConnectError)


@pytest.mark.parametrize("refused", [5, 6])
async def test_a_first_full_batch_that_is_mostly_refused_stops_the_upload(refused: int, fake_amend: Fake) -> None:
    """Beyond `max_invalid` the rest would fare no better; at the bound it goes on."""
    amend = fake_amend(reply=lambda each: counted(each.batch.count - refused, refused), latency=0.001)
    report = await go(amend, emails(1_000), max_concurrency=2)
    assert (len(amend.received) <= 3) is (refused > 5)
    assert (report.pending > 0) is (refused > 5)
    assert report.ok is (refused == 5)


async def test_only_a_full_first_batch_is_judged(fake_amend: Fake) -> None:
    """A later batch, or a short list, is judged by the report alone."""
    amend = fake_amend(reply=lambda each: counted(0, each.batch.count) if each.batch.number == 2 else None)
    assert (await go(amend, emails(100))).invalid == 10
    report = await go(fake_amend(reply=lambda each: counted(0, each.batch.count)), emails(9))
    assert (report.invalid, report.pending, report.ok) == (9, 0, False)


@pytest.mark.parametrize("latency", [0.0, 0.000_001, 0.000_01, 0.000_1, 0.001])
async def test_refused_credentials_end_the_upload_at_once(fake_amend: Fake, latency: float) -> None:
    """Every batch would be refused alike, so the first refusal is raised, unwrapped, with a note."""
    for _ in range(20):  # the answers meet the end in any order
        refusal = AuthenticationError(401)
        amend = fake_amend(reply=lambda _, refusal=refusal: refusal, latency=latency)
        with pytest.raises(AuthenticationError) as caught:
            await go(amend, emails(10_000), max_concurrency=3)
        assert caught.value is refusal
        assert len(amend.received) <= 3


async def test_credentials_refused_before_any_call_leave_all_pending() -> None:
    """When not even a token could be had, no identifier counts as sent."""

    async def amend(_: Amendment) -> ContactListOperation:
        raise AuthenticationError(401)

    seen = []

    async def consume() -> None:
        async with stream(amend, LIST, emails(100), options_of(batch_size=10)) as results:
            seen.append(results)
            await anext(results)

    with pytest.raises(AuthenticationError):
        await consume()
    assert_adds_up(seen[0].report)
    assert (seen[0].report.sent, seen[0].report.batches, seen[0].report.calls) == (0, 0, 0)
    assert seen[0].report.pending == seen[0].report.read > 0


async def test_a_bug_in_the_amend_call_is_no_failed_batch(fake_amend: Fake) -> None:
    """Only errors of Criteo's are data; any other exception ends the upload as it is."""
    bug = ZeroDivisionError("a bug")
    with pytest.raises(ZeroDivisionError) as caught:
        await go(fake_amend(reply=lambda each: bug if each.batch.number == 3 else None), emails(100))
    assert caught.value is bug


@pytest.mark.parametrize(
    "error", [ValueError("mine"), ExceptionGroup("mine", [KeyError()]), NotFoundError(404)], ids=str
)
async def test_what_the_caller_raises_inside_the_block_comes_out_unchanged(error: Exception, fake_amend: Fake) -> None:
    """The same object, in no group, with its own context."""

    async def consume() -> None:
        async with stream(fake_amend(), LIST, emails(100), options_of(batch_size=10)) as results:
            async for _ in results:
                raise error

    with pytest.raises(type(error)) as caught:
        await consume()
    assert caught.value is error
    assert caught.value.__context__ is None
    assert not hasattr(error, "__notes__")


async def test_a_source_that_fails_while_the_senders_are_busy_is_told_first(fake_amend: Fake) -> None:
    """The calls in flight are given up; their own ends are echoes."""
    broken = ValueError("the database went away")

    async def source() -> AsyncIterator[str]:
        for number in range(30):
            yield f"{number}@example.com"
        raise broken

    async def reply(_: Amendment) -> ContactListOperation:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise RuntimeError("an echo") from None
        raise AssertionError

    with pytest.raises(ValueError, match="went away") as caught:
        await upload(fake_amend(reply=reply), LIST, source(), options_of(batch_size=10))
    assert caught.value is broken
