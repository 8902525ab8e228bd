import datetime as dt
import json
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from criteo_audiences import (
    ConnectError,
    CriteoError,
    IdentifierType,
    InvalidRequestError,
    InvalidResponseError,
    NotFoundError,
    Operation,
    PartialFailureError,
    PermissionDeniedError,
    Problem,
    QuotaWaitError,
    RateLimitExceeded,
    RequestTimeout,
    ServerError,
    UploadFailedError,
    UploadReport,
)
from criteo_audiences.batches import single_batch
from criteo_audiences.models import ContactListOperation
from criteo_audiences.uploads import Amendment, Outcome
from criteo_audiences.uploads.amendment import failure_of, result_of
from tests.kit import assert_adds_up

EMAIL = IdentifierType.EMAIL
COUNTS = st.integers(0, 1_000)


def amendment(count: int, number: int = 1) -> Amendment:
    """Describes a call that adds so many addresses to list 1."""
    batch = evolve(single_batch([f"{each}@example.com" for each in range(count)]), number=number)
    return Amendment(segment_id="1", operation=Operation.ADD, identifier_type=EMAIL, batch=batch)


def report(**counts: Any) -> UploadReport:
    """Builds a report whose rows in add up; counts of `Outcome` go into one kind of identifier."""
    fields = {
        name: counts.pop(name) for name in ("valid", "invalid", "unreported", "failed", "unknown") if name in counts
    }
    by_type = {EMAIL: Outcome(**fields)} if fields else {}
    rows = sum(fields.values()) + sum(counts.get("rejected", {}).values())
    rows += (counts.get("duplicates") or 0) + counts.get("pending", 0)
    return UploadReport(**{"read": rows, "by_type": by_type, **counts})


@pytest.mark.parametrize(
    ("counts", "ok"),
    [
        ({}, False),
        ({"allow_empty": True}, True),
        ({"duplicates": 3}, False),
        ({"duplicates": 3, "allow_empty": True}, True),
        ({"rejected": {"empty": 9}, "allow_empty": True}, False),
        ({"rejected": {"empty": 9}, "max_rejected": 1, "allow_empty": True}, True),
        ({"valid": 1, "unusable_opt_outs": 3}, True),
        ({"pending": 1, "allow_empty": True}, False),
        ({"valid": 1}, True),
        ({"valid": 99, "unreported": 1}, False),
        ({"unreported": 9}, False),
        ({"valid": 1, "duplicates": 99}, True),
        ({"valid": 5, "invalid": 5}, True),
        ({"valid": 5, "invalid": 6}, False),
        ({"valid": 5, "invalid": 6, "max_invalid": 0.6}, True),
        ({"valid": 99, "invalid": 1, "max_invalid": 0}, False),
        ({"invalid": 9, "max_invalid": 1}, True),
        ({"valid": 5, "rejected": {"empty": 3, "too_long": 2}}, True),
        ({"valid": 5, "rejected": {"empty": 3, "too_long": 3}}, False),
        ({"valid": 99, "rejected": {"empty": 1}, "max_rejected": 0}, False),
        ({"rejected": {"empty": 9}}, False),
        ({"rejected": {"empty": 9}, "max_rejected": 1}, False),
        ({"valid": 1, "rejected": {"empty": 9}, "max_rejected": 1}, True),
        ({"valid": 9, "pending": 1}, False),
        ({"valid": 9, "failed": 1}, False),
        ({"valid": 9, "unknown": 1}, False),
        ({"dry_run": True}, False),
        ({"dry_run": True, "allow_empty": True}, True),
        ({"dry_run": True, "pending": 9}, True),
        ({"dry_run": True, "pending": 9, "rejected": {"empty": 10}}, False),
        ({"dry_run": True, "rejected": {"empty": 1}, "max_rejected": 1}, False),
    ],
)
def test_ok_says_whether_the_upload_did_what_it_was_asked_to(
    counts: dict[str, Any],
    ok: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """Both sides of each bound; sending nothing is a failure unless that is allowed, and never excuses another."""
    judged = report(**counts)
    assert_adds_up(judged)
    assert judged.ok is ok
    assert (judged.explain() == "") is ok
    if ok:
        judged.raise_for_failures()
    else:
        with pytest.raises(UploadFailedError) as caught:
            judged.raise_for_failures()
        assert caught.value.report is judged


def test_a_failed_upload_is_explained_in_counts_and_codes() -> None:
    """The message says how many identifiers suffered what, and which answers did it, most frequent first."""
    refused = InvalidRequestError(
        400, [Problem(code="invalid", instance="/contact-list", detail="planted@example.com")]
    )
    failures = [
        failure_of(amendment(10, number), error, carried=True)
        for number, error in enumerate([RequestTimeout("No answer in 60 s."), refused, refused], 1)
    ]
    judged = report(valid=5, failed=20, unknown=10, pending=1_000, failures=tuple(failures))
    assert judged.explain() == (
        "The upload is not complete: 20 identifiers failed; 10 identifiers may or may not have been applied (unknown); "
        "1,000 identifiers were not sent (pending); "
        "failures: 2 x HTTP 400 invalid at /contact-list, 1 x RequestTimeout. The first failure: No answer in 60 s."
    )
    with pytest.raises(UploadFailedError, match=r"The first failure: No answer in 60 s\.$"):
        (report(valid=1) + judged).raise_for_failures()


@pytest.mark.parametrize(
    "error",
    [
        PermissionDeniedError(403, [Problem(code="no-consent", detail="planted@example.com")], trace_id="t-1"),
        QuotaWaitError(9.0, 1.0),
        InvalidResponseError(["expected text @ $.data"], status=200),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_explanation_keeps_the_words_of_the_first_failure(error: CriteoError) -> None:
    """With what to do about it, in one line, and without an identifier."""
    first, second = (
        failure_of(amendment(10, number), each, carried=True)
        for number, each in enumerate([error, ConnectError("…")], 1)
    )
    explained = report(failed=20, failures=(first, second)).explain()
    assert explained.endswith(f"The first failure: {error}")
    assert "\n" not in explained
    assert "planted" not in explained


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ({}, "no row was read (an empty source, or a condition that no row meets)"),
        ({"dry_run": True}, "no row was read"),
        (
            {"rejected": {"empty": 3}, "max_rejected": 1},
            "nothing was sent, because no row was left (3 read: 3 rejected)",
        ),
        ({"duplicates": 2}, "(2 read: 2 duplicates)"),
        (
            {"read": 5, "suppressed": 5, "dry_run": True},
            "nothing would be sent, because no row was left (5 read: 5 sup",
        ),
    ],
)
def test_an_empty_upload_is_explained(counts: dict[str, Any], words: str) -> None:
    """In one sentence: why nothing was sent, and how to allow it."""
    explained = report(**counts).explain()
    assert explained.startswith("The upload is not complete: ")
    assert words in explained
    assert explained.endswith("give allow_empty=True (--allow-empty) if that is right.")


@pytest.mark.parametrize(
    ("one", "other", "ok"),
    [
        ({"allow_empty": True}, {"allow_empty": True}, True),
        ({"allow_empty": True}, {"valid": 1}, True),
        ({"allow_empty": True}, {"duplicates": 3}, False),
        ({"duplicates": 3, "allow_empty": True}, {"duplicates": 3}, False),
        ({}, {"valid": 1}, True),
        ({}, {}, False),
    ],
)
def test_a_sum_may_be_empty_when_its_parts_may(one: dict[str, Any], other: dict[str, Any], ok: bool) -> None:  # noqa: FBT001 - a column of the table
    """One part's permission does not cover another part that read rows and sent none."""
    assert (report(**one) + report(**other)).ok is ok
    assert (report(**other) + report(**one)).ok is ok


def test_opt_outs_add_up() -> None:
    """`None` where no part had any; the counts of the others are summed and are in the dictionary."""
    with_opt_outs = report(valid=1, opt_outs=4, unusable_opt_outs=2)
    assert (report() + report()).opt_outs is None
    assert (report() + with_opt_outs).opt_outs == 4
    both = (with_opt_outs + with_opt_outs).to_dict()
    assert (both["opt_outs"], both["unusable_opt_outs"]) == (8, 4)


@given(data=st.data())
def test_reports_add_up(data: st.DataObject) -> None:
    """The sum of two reports has the sums of their counts, and is ok when both are."""
    one, other = (
        report(
            **{name: data.draw(COUNTS) for name in ("valid", "invalid", "unreported", "failed", "unknown", "pending")},
            duplicates=data.draw(st.none() | COUNTS),
            rejected=data.draw(st.dictionaries(st.sampled_from(["empty", "too_long"]), st.integers(1, 9))),
            max_invalid=data.draw(st.floats(0, 1)),
            calls=data.draw(COUNTS),
            batches=data.draw(COUNTS),
        )
        for _ in range(2)
    )
    both = one + other
    assert_adds_up(both)
    for name in ("read", "sent", "valid", "failed", "unknown", "pending", "rejected_total", "calls", "batches"):
        assert getattr(both, name) == getattr(one, name) + getattr(other, name)
    allowed = one.max_invalid * one.sent + other.max_invalid * other.sent
    assert both.max_invalid * both.sent == pytest.approx(allowed)
    nobody_looked = one.duplicates is None and other.duplicates is None
    assert both.duplicates == (None if nobody_looked else (one.duplicates or 0) + (other.duplicates or 0))


SMALL = st.integers(0, 60)
SHARES = st.sampled_from([0, 0.1, 0.3, 0.5, 1])


@given(data=st.data())
def test_a_sum_of_what_is_ok_is_ok(data: st.DataObject) -> None:
    """However many rows the parts have and whatever their bounds are, the bounds of the sum hold when theirs do."""
    one, other = (
        report(
            valid=data.draw(SMALL),
            invalid=data.draw(SMALL),
            rejected={"empty": data.draw(SMALL)},
            max_invalid=data.draw(SHARES),
            max_rejected=data.draw(SHARES),
        )
        for _ in range(2)
    )
    both = one + other
    if one.ok and other.ok:
        assert both.ok
    if max(one.invalid, other.invalid) > 0 and max(one.max_invalid, other.max_invalid) == 0:
        assert not both.ok


def test_reports_are_summed_from_nothing() -> None:
    """`sum(reports)` is their sum, and an empty report adds nothing to one, whatever the bounds."""
    one, other = report(valid=3, invalid=1, max_invalid=0.25), report(valid=1, rejected={"empty": 1}, max_rejected=0.9)
    assert sum([one]) is one
    assert sum([one, other]) == one + other
    assert UploadReport() + one == one + UploadReport() == one
    with pytest.raises(TypeError):
        1 + one  # type: ignore[operator]


def test_a_report_shows_no_identifier() -> None:
    """The sample of refused identifiers is an attribute alone: not in the repr, nor in the JSON-safe dictionary."""
    receipt = ContactListOperation(valid=1, invalid=1, sample_invalid=("planted@example.com",))
    moment = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    failure = failure_of(
        amendment(3, 2),
        NotFoundError(404, [Problem(code="x", detail="planted@example.com")], trace_id="t-1"),
        carried=True,
    )
    shown = report(
        valid=1, invalid=1, failed=3, sample_invalid=("planted@example.com",), failures=(failure,), live_from=moment
    )
    assert shown.sample_invalid == ("planted@example.com",)
    text = json.dumps(shown.to_dict())
    assert json.loads(text)["failures"] == [
        {
            "batch": 2,
            "identifier_type": "email",
            "sent": 3,
            "valid": 0,
            "invalid": 0,
            "unreported": 0,
            "failed": 3,
            "unknown": 0,
            "resumed": False,
            "error": "NotFoundError",
            "status": 404,
            "codes": ["x"],
            "trace_id": "t-1",
        }
    ]
    assert json.loads(text)["live_from"] == "2026-01-01T00:00:00+00:00"
    assert "planted" not in text + repr(shown) + str(shown) + repr(receipt) + repr(result_of(amendment(2), receipt))


@pytest.mark.parametrize(
    ("valid", "invalid", "expected"),
    [
        (10, 0, (10, 0, 0)),
        (7, 3, (7, 3, 0)),
        (None, None, (0, 0, 10)),
        (None, 4, (0, 0, 10)),
        (6, None, (0, 0, 10)),
        (3, 3, (3, 3, 4)),
        (11, 0, (0, 0, 10)),
        (10**18, 0, (0, 0, 10)),
        (10, 10, (0, 0, 10)),
        (8, 8, (0, 0, 10)),
        (-1, -5, (0, 0, 10)),
        (11, -1, (0, 0, 10)),
        (0, 0, (0, 0, 10)),
    ],
)
def test_what_a_receipt_leaves_open_is_unreported(
    valid: int | None, invalid: int | None, expected: tuple[int, int, int]
) -> None:
    """Counts that are null, negative or contradict each other are believed in no part; what they leave open is open."""
    outcome = result_of(amendment(10), ContactListOperation(valid=valid, invalid=invalid)).outcome
    assert (outcome.valid, outcome.invalid, outcome.unreported) == expected


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (NotFoundError(404), Outcome(failed=10)),
        (InvalidRequestError(400), Outcome(failed=10)),
        (RateLimitExceeded(), Outcome(failed=10)),
        (ConnectError("…"), Outcome(failed=10)),
        (ServerError(500), Outcome(unknown=10)),
        (ServerError(503), Outcome(unknown=10)),
        (ServerError(529), Outcome(unknown=10)),
        (InvalidRequestError(408), Outcome(unknown=10)),
        (InvalidRequestError(303), Outcome(unknown=10)),
        (RequestTimeout("…"), Outcome(unknown=10)),
        (InvalidResponseError(["not a JSON document @ $"], status=200), Outcome(unknown=10)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_failed_batch_is_refused_or_unknown(error: CriteoError, outcome: Outcome) -> None:
    """Criteo's own refusal means failed; no answer, one that cannot be read or a gateway's means unknown."""
    assert failure_of(amendment(10), error, carried=True).outcome == outcome
    error.outcome_unknown = True  # an earlier attempt of the same call got no answer
    assert failure_of(amendment(10), error, carried=True).outcome == Outcome(unknown=10)


@pytest.mark.parametrize(
    ("receipt", "outcome"),
    [
        ({"valid": 8, "invalid": 1}, Outcome(valid=8, invalid=1, unknown=1)),
        ({"valid": 10, "invalid": 0}, Outcome(valid=10)),
        ({"valid": 10, "invalid": 10}, Outcome(unknown=10)),
        ({"valid": 10, "invalid": 0, "operation": Operation.REMOVE}, Outcome(unknown=10)),
        (None, Outcome(unknown=10)),
    ],
)
def test_a_receipt_beside_problems_counts(receipt: dict[str, Any] | None, outcome: Outcome) -> None:
    """What it accounts for is counted, and the rest of the batch is unknown; the batch has failed all the same."""
    error = PartialFailureError([], receipt=None if receipt is None else ContactListOperation(**receipt))
    error.outcome_unknown = True
    result = failure_of(amendment(10), error, carried=True)
    assert (result.outcome, result.sent, result.ok) == (outcome, 10, False)


@pytest.mark.parametrize(
    "contradiction",
    [{"operation": Operation.REMOVE}, {"operation": Operation("clear")}, {"contact_list_id": "2"}],
    ids=str,
)
def test_a_receipt_of_another_call_reports_nothing(contradiction: dict[str, Any]) -> None:
    """Another operation or list in it means that its counts are not this batch's."""
    result = result_of(amendment(10), ContactListOperation(valid=10, invalid=0, **contradiction))
    assert (result.outcome, result.ok) == (Outcome(unreported=10), False)


@pytest.mark.parametrize("confirmation", [{}, {"operation": Operation.ADD}, {"contact_list_id": "01"}], ids=str)
def test_a_receipt_that_names_the_call_or_nothing_is_believed(confirmation: dict[str, Any]) -> None:
    """Criteo's samples leave the list out, or write it as a number."""
    result = result_of(amendment(10), ContactListOperation(valid=10, invalid=0, **confirmation))
    assert (result.outcome, result.ok) == (Outcome(valid=10), True)


def test_a_batch_that_no_request_carried_sends_nothing() -> None:
    """Without a token or a place in the quota nothing was put into a call: the identifiers stay pending."""
    result = failure_of(amendment(10), QuotaWaitError(9.0, 1.0), carried=False)
    assert (result.sent, result.outcome, result.ok) == (0, Outcome(), False)


def test_a_failure_shows_through_a_dry_run_that_is_added() -> None:
    """Adding a dry run to a report does not hide what failed."""
    total = report(failed=10) + report(pending=5, dry_run=True)
    assert not total.ok
    assert "10 identifiers failed" in total.explain()
