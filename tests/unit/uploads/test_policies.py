import json
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from criteo_audiences import ConfigurationError, IdentifierType, UploadFailedError, UploadReport
from criteo_audiences.identifiers import RejectReason
from criteo_audiences.models import ContactListOperation
from criteo_audiences.uploads import Amendment, Outcome
from criteo_audiences.uploads.policies import Policy, policies_of
from tests.kit import LIST, options_of, upload

Fake = Callable[..., Any]
COUNTS = st.integers(0, 10_000)
PERCENTS = st.decimals(0, 100, places=3)
WORDS = ["rejected", "rejected.no_at_sign", "duplicates", "suppressed", "invalid", "unreported", "any"]


def report(policies: object = (), **counts: Any) -> UploadReport:
    """Builds a report whose rows in add up, judged by policies; shares of `max_…` allow all unless told otherwise."""
    fates = ("valid", "invalid", "unreported", "failed", "unknown")
    outcome = Outcome(**{name: counts.pop(name) for name in fates if name in counts})
    rows = outcome.sent + sum(counts.get("rejected", {}).values()) + sum(
        counts.get(name) or 0 for name in ("duplicates", "suppressed", "pending")
    )  # fmt: skip
    options = {"read": rows, "by_type": {IdentifierType.EMAIL: outcome}, "max_rejected": 1, "max_invalid": 1, **counts}
    return UploadReport(**options).judged_by(policies_of(policies))


@st.composite
def reports(draw: st.DrawFn, policies: object) -> UploadReport:
    """Draws a report of any counts."""
    return report(
        policies,
        **{name: draw(COUNTS) for name in ("valid", "invalid", "unreported", "suppressed")},
        duplicates=draw(st.none() | COUNTS),
        rejected={"no_at_sign": draw(COUNTS), "empty": draw(COUNTS)},
    )


def counted(of: UploadReport, word: str) -> tuple[int, int]:
    """Returns what a word counts in a report, and of how many, each written out."""
    rejected = of.rejected["no_at_sign"] + of.rejected["empty"]
    return {
        "rejected": (rejected, of.read),
        "rejected.no_at_sign": (of.rejected["no_at_sign"], of.read),
        "duplicates": (of.duplicates or 0, of.read),
        "suppressed": (of.suppressed, of.read),
        "invalid": (of.invalid, of.sent),
        "unreported": (of.unreported, of.sent),
        "any": (rejected + of.invalid + of.unreported, of.read),
    }[word]


@given(data=st.data(), word=st.sampled_from(WORDS), percent=PERCENTS)
def test_a_share_fails_exactly_when_the_count_is_above_it(data: st.DataObject, word: str, percent: Decimal) -> None:
    """Count > share x rows, without any rounding."""
    judged = data.draw(reports(f"{word}>{percent}%"))
    count, rows = counted(judged, word)
    (verdict,) = judged.verdicts
    assert verdict.ok is not (count > Fraction(percent) / 100 * rows)
    assert (verdict.count, verdict.rows) == (count, rows)
    if not verdict.ok:
        assert not judged.ok


@given(percent=PERCENTS.filter(bool), rows=st.integers(1, 10**7))
@example(percent=Decimal("0.1"), rows=10_000)
@example(percent=Decimal(7), rows=100)
def test_both_sides_of_a_share(percent: Decimal, rows: int) -> None:
    """The largest count that a share allows is fine, and one more is not."""
    most = int(Fraction(percent) / 100 * rows)
    policy = f"rejected>{percent}%"
    assert report(policy, rejected={"empty": most}, valid=rows - most).verdicts[0].ok
    if most < rows:
        assert not report(policy, rejected={"empty": most + 1}, valid=rows - most - 1).verdicts[0].ok


@given(data=st.data(), word=st.sampled_from(WORDS), most=COUNTS)
def test_a_count_fails_exactly_when_there_are_more(data: st.DataObject, word: str, most: int) -> None:
    """Whatever share that is."""
    judged = data.draw(reports(f"{word}>{most}"))
    assert judged.verdicts[0].ok is (counted(judged, word)[0] <= most)


@pytest.mark.parametrize("word", WORDS)
def test_a_word_alone_bears_none(word: str) -> None:
    """It is the same as more than 0."""
    assert policies_of(word) == policies_of(f"{word}>0") == (Policy(subject=word),)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rejected>1%,invalid>5%", ["rejected>1%", "invalid>5%"]),
        (["rejected>1%", "invalid>5%,any"], ["rejected>1%", "invalid>5%", "any>0"]),
        (" Rejected > 0.50 % ", ["rejected>0.5%"]),
        ("rejected.no-at-sign>10%", ["rejected.no_at_sign>10%"]),
        ("rejected>1%,rejected>1.0%", ["rejected>1%"]),
        ("rejected>1%,rejected>100", ["rejected>1%", "rejected>100"]),
        ("duplicates>100%", ["duplicates>100%"]),
        ("failed,unknown>0", ["failed>0", "unknown>0"]),
        ("read<1,sent < 1000,sent<90.0%", ["read<1", "sent<1000", "sent<90%"]),
        ("unusable-opt-outs>1%", ["unusable_opt_outs>1%"]),
        (None, []),
        ([], []),
        ((Policy(subject="any"),), ["any>0"]),
    ],
)
def test_spellings(text: object, shown: list[str]) -> None:
    """Commas or a list, blanks and case as one likes, each policy once."""
    assert [str(policy) for policy in policies_of(text)] == shown


@pytest.mark.parametrize("reason", RejectReason)
def test_every_reason_can_be_named(reason: RejectReason) -> None:
    """Its rows are counted and no others."""
    judged = report(f"rejected.{reason.value}", rejected={reason.value: 3, "other": 5}, valid=2)
    assert (judged.verdicts[0].count, judged.verdicts[0].rows) == (3, 10)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rejcted>1%", "policy 1: expected one of rejected, duplicates, .*; did you mean 'rejected'?"),
        ("any,rejected.no_at", "policy 2: .*; did you mean 'rejected.no_at_sign'?"),
        ("planted@example.com", "policy 1: expected one of rejected, .*'invalid>100' or 'sent<1000'.$"),
        ("", "policy 1: expected one of"),
        ("rejected,", "policy 2: expected one of"),
        ("pending", "policy 1: expected one of"),
        ("rejected>", "after 'rejected' expected '>' and a share up to 100% or a whole number, such as 'rejected>1%'"),
        ("rejected>=1%", "after 'rejected' expected '>'"),
        ("rejected<1%", "after 'rejected' expected '>'"),
        ("rejected>0.5", "after 'rejected' expected '>'"),
        ("rejected>-1", "after 'rejected' expected '>'"),
        ("rejected>100.1%", "after 'rejected' expected '>'"),
        ("rejected>\u0663", "after 'rejected' expected '>'"),
        ("rejected>planted@example.com", "after 'rejected' expected '>'"),
        ("failed>10%", "'failed' takes no bound, because a single one fails every upload"),
        ("read", "after 'read' expected '<' and a whole number, such as 'read<1'"),
        ("read>1", "after 'read' expected '<'"),
        ("read<1%", "after 'read' expected '<'"),
        ("sent", "after 'sent' expected '<' and a share up to 100% or a whole number, such as 'sent<1%'"),
        ("sent>5", "after 'sent' expected '<'"),
        ("sent<101%", "after 'sent' expected '<'"),
        ("unusable_opt_outs<5", "after 'unusable_opt_outs' expected '>'"),
        (["any", 5], "fail_on must be a str or a list of str, not int"),
        (5, "fail_on must be a str or a list of str, not int"),
    ],
)
def test_mistakes_are_answered_with_what_may_stand_there(text: object, message: str) -> None:
    """In one sentence, before anything is sent, and without what was given."""
    with pytest.raises(ConfigurationError, match=message) as caught:
        options_of(fail_on=text)
    assert "planted" not in str(caught.value)
    assert str(caught.value).startswith("fail_on")


@pytest.mark.parametrize(
    ("bounds", "policy", "ok"),
    [
        ({"max_rejected": 0.5}, "rejected>10%", False),
        ({"max_rejected": 0.1}, "rejected>50%", False),
        ({"max_rejected": 0.5}, "rejected>50%", True),
        ({"max_invalid": 0.5}, "invalid>10%", False),
        ({"max_invalid": 0.1}, "invalid>50%", False),
        ({"max_invalid": 0.5}, "invalid>50%", True),
    ],
)
def test_the_stricter_of_a_policy_and_a_share_decides(bounds: dict[str, float], policy: str, ok: bool) -> None:  # noqa: FBT001 - a column of the table
    """Neither loosens the other: 20% are beyond 10% whoever says so."""
    assert report(policy, rejected={"empty": 25}, valid=80, invalid=20, **bounds).ok is ok


@given(sent=COUNTS, lost=COUNTS, least=COUNTS, percent=PERCENTS)
def test_a_lower_limit_fails_exactly_when_there_are_fewer(sent: int, lost: int, least: int, percent: Decimal) -> None:
    """As a count and as a share of the rows read; the dictionary says the fewest there may be."""
    judged = report(f"read<{least},sent<{least},sent<{percent}%", valid=sent, suppressed=lost)
    read, by_count, by_share = judged.verdicts
    assert read.ok is (sent + lost >= least)
    assert by_count.ok is (sent >= least)
    assert by_share.ok is (sent >= Fraction(percent) / 100 * (sent + lost))
    assert by_share.ok is (sent >= by_share.to_dict()["allowed"])
    assert judged.ok is (sent > 0 and read.ok and by_count.ok and by_share.ok)


@given(counts=st.lists(COUNTS, min_size=1, max_size=4), least=st.integers(1, 10_000))
def test_a_sum_keeps_the_lower_limits_its_parts_keep(counts: list[int], least: int) -> None:
    """A count holds for each part, so the sum must have it as often."""
    parts = [report(f"sent<{least}", valid=count) for count in counts]
    whole = sum(parts)
    assert whole.verdicts[0].ok is (sum(counts) >= least * len(counts))
    if all(part.ok for part in parts):
        assert whole.ok


def test_a_lower_limit_is_explained() -> None:
    """With what there was and of how many; what a dry run would send counts as sent."""
    assert report("sent<1000", valid=12, duplicates=8).explain() == (
        "The upload fails by sent<1000: 12 of 20 rows (60%)."
    )
    assert report("sent<3,read<3", pending=3, dry_run=True).ok
    assert report("sent<4", pending=3, dry_run=True).explain() == "The upload fails by sent<4: 3 of 3 rows (100%)."
    assert not report("read<1", allow_empty=True).ok


@pytest.mark.parametrize(
    ("policy", "ok"), [("unusable_opt_outs", False), ("unusable_opt_outs>1", False), ("unusable_opt_outs>40%", True)]
)
def test_unusable_opt_outs_are_a_share_of_the_opt_outs(policy: str, ok: bool) -> None:  # noqa: FBT001 - a column of the table
    """Not of the rows."""
    judged = report(policy, valid=1_000, opt_outs=3, unusable_opt_outs=2)
    assert judged.ok is ok
    assert str(judged.verdicts[0]).endswith("2 of 5 opt-outs (40%)")
    assert report("unusable_opt_outs", valid=1).ok


def test_failures_fail_with_or_without_a_policy() -> None:
    """`failed` and `unknown` may be written down, and change nothing."""
    for counts in ({"failed": 1}, {"unknown": 1}):
        assert not report(valid=9, **counts).ok
        judged = report("failed,unknown", valid=9, **counts)
        assert not judged.ok
        assert [verdict.ok for verdict in judged.verdicts].count(False) == 1


def test_a_broken_policy_is_explained_with_count_and_share() -> None:
    """In the exception, in the dictionary, and beside what else is wrong."""
    judged = report("rejected>1%,invalid>100,any>90%", rejected={"empty": 1_000}, valid=8_880, invalid=120)
    assert judged.explain() == (
        "The upload fails by rejected>1%: 1,000 of 10,000 rows (10%); "
        "invalid>100: 120 of 9,000 identifiers sent (1.33%)."
    )
    with pytest.raises(UploadFailedError, match="rejected>1%: 1,000 of 10,000 rows"):
        judged.raise_for_failures()
    assert json.loads(json.dumps(judged.to_dict()))["policies"] == [
        {"policy": "rejected>1%", "ok": False, "count": 1_000, "of": 10_000, "allowed": 100},
        {"policy": "invalid>100", "ok": False, "count": 120, "of": 9_000, "allowed": 100},
        {"policy": "any>90%", "ok": True, "count": 1_120, "of": 10_000, "allowed": 9_000},
    ]
    both = report("suppressed", suppressed=2, failed=1, valid=1).explain()
    assert both == "The upload is not complete: 1 identifiers failed. It fails by suppressed>0: 2 of 4 rows (50%)."


@given(data=st.data(), policies=st.lists(st.sampled_from(["rejected>10%", "invalid>40", "any>20%", "any"]), max_size=3))
def test_sums_of_one_policy_pool_its_rows(data: st.DataObject, policies: list[str]) -> None:
    """A sum is judged like one upload of all rows, in any order; what its parts may, it may."""
    parts = [data.draw(reports(policies)) for _ in range(3)]
    one, two, three = parts
    whole = sum(parts)
    assert whole.verdicts == (one + (two + three)).verdicts
    for number, policy in enumerate(policies_of(policies)):
        count, rows = (sum(each) for each in zip(*(counted(part, policy.subject) for part in parts), strict=True))
        allowed = policy.most * 3 if policy.percent is None else Fraction(policy.percent) / 100 * rows
        assert whole.verdicts[number].ok is (count <= allowed)
    if all(verdict.ok for part in parts for verdict in part.verdicts):
        assert all(verdict.ok for verdict in whole.verdicts)


def test_a_policy_judges_only_the_parts_it_was_given_for() -> None:
    """Rows of other parts do not dilute a failure; different policies stay side by side."""
    strict, loose = report("rejected>1%", rejected={"empty": 2}, valid=98), report("rejected>5%", valid=900)
    for whole in (strict + loose, strict + report(valid=9_900)):
        assert not whole.ok
        assert "rejected>1%: 2 of 100 rows (2%)." in whole.explain()
    assert [str(verdict.policy) for verdict in (strict + loose).verdicts] == ["rejected>1%", "rejected>5%"]
    diluted = strict + report("rejected>1%", valid=900)
    assert diluted.ok
    assert "rejected>1%: 2 of 1,000 rows (0.2%), in 2 uploads" in str(diluted.verdicts[0])
    assert (
        UploadReport(max_rejected=1, max_invalid=1) + strict
        == strict
        == strict + UploadReport(max_rejected=1, max_invalid=1)
    )


LANES: dict[str, Callable[[list[str]], Any]] = {
    "iterable": lambda values: values,
    "table": lambda values: pl.DataFrame({"email": values}),
}
VALUES = ["a@b.co", "c@d.co", "A@b.co", "nobody", "gone@b.co"]


def refuse_one(amendment: Amendment) -> ContactListOperation:
    """Refuses one identifier of a batch."""
    return ContactListOperation(valid=amendment.batch.count - 1, invalid=1)


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize(
    ("policy", "counts"),
    [
        ("rejected>19%", (1, 5)),
        ("duplicates>19%", (1, 5)),
        ("suppressed>19%", (1, 5)),
        ("invalid>49%", (1, 2)),
        ("any>39%", (2, 5)),
        ("rejected>20%,duplicates>20%,suppressed>20%,invalid>50%,any>40%", None),
    ],
)
async def test_an_upload_is_judged(lane: str, policy: str, counts: tuple[int, int] | None, fake_amend: Fake) -> None:
    """In both lanes, by the rows read and the identifiers sent."""
    settings = options_of(dedupe=True, suppress=["gone@b.co"], fail_on=policy)
    judged = await upload(fake_amend(reply=refuse_one), LIST, LANES[lane](VALUES), settings)
    assert judged.ok is (counts is None)
    assert counts in {None, (judged.verdicts[0].count, judged.verdicts[0].rows)}


@pytest.mark.parametrize("lane", LANES)
async def test_a_dry_run_judges_what_it_can_see(lane: str, fake_amend: Fake) -> None:
    """What stands in the source, and nothing of what Criteo would say."""
    options: dict[str, Any] = {"hash": None, "dedupe": True, "dry_run": True}
    seen = options_of(fail_on="invalid,unreported,duplicates>20%,rejected>20%", **options)
    assert (await upload(fake_amend(), LIST, LANES[lane](VALUES), seen)).ok
    judged = await upload(fake_amend(), LIST, LANES[lane](VALUES), options_of(fail_on="any", **options))
    assert not judged.ok
    assert judged.explain() == "The upload fails by any>0: 1 of 5 rows (20%)."


@pytest.mark.parametrize(
    ("lane", "options", "fine"),
    [
        ("iterable", {}, False),
        ("iterable", {"dedupe": True}, True),
        ("table", {}, True),
        ("table", {"dedupe": False}, False),
    ],
)
async def test_duplicates_must_be_looked_for(lane: str, options: dict[str, Any], fine: bool, fake_amend: Fake) -> None:  # noqa: FBT001 - a column of the table
    """A policy about what nobody counts would never fail, so it is refused before anything is sent."""
    amend, settings = fake_amend(), options_of(fail_on="duplicates>10%", **options)
    if fine:
        assert (await upload(amend, LIST, LANES[lane](["a@b.co"]), settings)).ok
        return
    with pytest.raises(ConfigurationError, match="needs dedupe=True"):
        await upload(amend, LIST, LANES[lane](["a@b.co"]), settings)
    assert not amend.received
