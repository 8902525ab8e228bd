"""What an upload did: every row read is accounted for, and every identifier sent."""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

from attrs import evolve, field, frozen

from criteo_audiences.errors import CriteoError, PartialFailureError, UploadFailedError
from criteo_audiences.models import ContactListOperation, IdentifierType, printable_trace_id
from criteo_audiences.tables.source_rows import SourceRow
from criteo_audiences.uploads.amendment import Amendment
from criteo_audiences.uploads.judging import explained, is_ok, joint_allowance, joint_bound
from criteo_audiences.uploads.policies import Policy, Verdict, added

_COMPUTED_EVERY: Final = dt.timedelta(hours=12)
_LIVE_AFTER: Final = dt.timedelta(hours=5)
MOST_SAMPLED: Final = 100


@frozen(kw_only=True)
class Outcome:
    """What became of the identifiers that were put into calls: `sent` is the sum of the others.

    Attributes:
        valid: Criteo accepted them.
        invalid: Criteo refused them.
        unreported: their call answered 200 with counts that are missing, do not add up or are of another call.
        failed: their call was refused: Criteo certainly has not applied it.
        unknown: their call got no answer, or one that a gateway gives as well (408, 5xx) or that lists problems, so
            that Criteo may or may not have them; sending them again does no harm.
    """

    valid: int = 0
    invalid: int = 0
    unreported: int = 0
    failed: int = 0
    unknown: int = 0

    @property
    def sent(self) -> int:
        """Identifiers put into calls."""
        return self.valid + self.invalid + self.unreported + self.failed + self.unknown

    def __add__(self, other: "Outcome") -> "Outcome":
        return Outcome(
            valid=self.valid + other.valid,
            invalid=self.invalid + other.invalid,
            unreported=self.unreported + other.unreported,
            failed=self.failed + other.failed,
            unknown=self.unknown + other.unknown,
        )


@frozen(kw_only=True)
class BatchResult:
    """What became of one batch.

    Attributes:
        number: from 1, in the order of the source.
        kind: what its identifiers are.
        sent: identifiers put into calls: all of the batch, or none when no request carried it.
        outcome: their fate, in counts.
        receipt: Criteo's answer; `None` when an earlier run sent the batch, or when it failed and no receipt stood
            beside the problems.
        error: why it failed, `None` when it did not.
        resumed: whether an earlier run got it acknowledged, so that this one did not send it.
    """

    number: int
    kind: IdentifierType
    sent: int
    outcome: Outcome
    receipt: ContactListOperation | None = None
    error: CriteoError | None = None
    resumed: bool = False

    @property
    def ok(self) -> bool:
        """Whether Criteo took the batch and accounted for it."""
        return self.error is None and not self.outcome.unreported

    @property
    def valid(self) -> int:
        """Identifiers Criteo accepted."""
        return self.outcome.valid

    @property
    def invalid(self) -> int:
        """Identifiers Criteo refused."""
        return self.outcome.invalid

    def to_dict(self) -> dict[str, Any]:
        """Returns JSON-safe values, without an identifier."""
        error = self.error
        return {
            "batch": self.number,
            "sent": self.sent,
            "error": type(error).__name__ if error else None,
            "status": getattr(error, "status", None),
            "codes": [str(problem) for problem in getattr(error, "problems", ())],
            "trace_id": printable_trace_id(getattr(error, "trace_id", None)),
        }


def result_of(amendment: Amendment, receipt: ContactListOperation) -> BatchResult:
    """Reads a receipt: what it does not account for is `unreported`, and nothing is counted twice."""
    count = amendment.batch.count
    valid, invalid = _accounted(amendment, receipt)
    outcome = Outcome(valid=valid, invalid=invalid, unreported=count - valid - invalid)
    kind = amendment.identifier_type
    return BatchResult(number=amendment.batch.number, kind=kind, sent=count, outcome=outcome, receipt=receipt)


def _accounted(amendment: Amendment, receipt: ContactListOperation) -> tuple[int, int]:
    """Returns how many identifiers a receipt calls valid and invalid: none when it cannot be the call's own."""
    valid, invalid = receipt.valid, receipt.invalid
    if valid is None or invalid is None or not amendment.is_confirmed_by(receipt):
        return 0, 0
    if min(valid, invalid) < 0 or valid + invalid > amendment.batch.count:
        return 0, 0
    return valid, invalid


def failure_of(amendment: Amendment, error: CriteoError, *, carried: bool) -> BatchResult:
    """Describes a batch that failed.

    Args:
        amendment: the call.
        error: why it failed.
        carried: whether a request carried it; otherwise (no token, no quota) its identifiers stay pending.
    """
    number, kind, count = amendment.batch.number, amendment.identifier_type, amendment.batch.count
    if not carried:
        return BatchResult(number=number, kind=kind, sent=0, outcome=Outcome(), error=error)
    receipt = error.receipt if isinstance(error, PartialFailureError) else None
    outcome = Outcome(unknown=count) if error.outcome_unknown else Outcome(failed=count)
    if isinstance(receipt, ContactListOperation):
        valid, invalid = _accounted(amendment, receipt)
        outcome = Outcome(valid=valid, invalid=invalid, unknown=count - valid - invalid)
    return BatchResult(number=number, kind=kind, sent=count, outcome=outcome, receipt=receipt, error=error)


def live_from(moment: dt.datetime) -> dt.datetime:
    """Returns when what Criteo accepted at a moment will be live: audiences are computed at 00:00 and 12:00 UTC and
    are live about five hours later (Criteo's guides on contact lists).
    """  # noqa: D205 - one sentence
    midnight = moment.astimezone(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    computed = midnight
    while computed < moment:
        computed += _COMPUTED_EVERY
    return computed + _LIVE_AFTER


@frozen(kw_only=True)
class UploadReport:
    """What an upload did.

    Rows in: `read = sent + rejected + duplicates + suppressed + pending` (`duplicates` of `None` counts as 0).
    Rows out: `sent = valid + invalid + unreported + failed + unknown`.

    Attributes:
        read: rows read from the source.
        rejected: rows that held no identifier, by reason.
        duplicates: rows whose identifier went out already; `None` when nothing looked for them.
        suppressed: rows left out because a suppression list names them.
        opt_outs: opt-outs of that list that the rows were compared with; `None` without `suppress`.
        unusable_opt_outs: opt-outs that are no valid identifiers, so that they leave nobody out; without blank ones.
        columns: the columns of a table that were read.
        notes: what to know of the source, a sentence each: the files of a directory that were skipped.
        pending: identifiers read and not put into a call: all of them after a dry run.
        already_hashed: identifiers that came as digests and went out as they were.
        by_type: the outcome of what was sent, by kind of identifier.
        batches: batches put into calls; after a dry run, batches it would take.
        failures: the batches that failed.
        resumed: batches among them that an earlier run got acknowledged, so that this one did not send them.
        calls: requests made, retries included.
        elapsed: seconds.
        waited: seconds of them during which the quota held a batch back.
        live_from: when what was accepted will be live, about; `None` when nothing was accepted.
        hint: what limited it when the quota did not, and what to do about it; `None` when there is nothing to gain.
        deadline_passed: whether its deadline ended it before it was complete.
        dry_run: whether nothing was to be sent.
        max_rejected: share of `read` that may be rejected.
        max_invalid: share of `sent` that Criteo may refuse.
        allow_empty: whether it is right that nothing was sent.
        verdicts: what each policy of `fail_on` found.
        sample_invalid: a few identifiers Criteo refused, in clear text: never in a `repr` nor in `to_dict()`.
        invalid_rows: the first row of each of them in the source, as far as it can be read again; without its value.
    """

    read: int = 0
    rejected: Mapping[str, int] = field(factory=dict)
    duplicates: int | None = None
    suppressed: int = 0
    opt_outs: int | None = None
    unusable_opt_outs: int = 0
    columns: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    pending: int = 0
    already_hashed: int = 0
    by_type: Mapping[IdentifierType, Outcome] = field(factory=dict)
    batches: int = 0
    failures: tuple[BatchResult, ...] = ()
    resumed: int = 0
    calls: int = 0
    elapsed: float = 0.0
    waited: float = 0.0
    live_from: dt.datetime | None = None
    hint: str | None = None
    deadline_passed: bool = False
    dry_run: bool = False
    max_rejected: float = 0.5
    max_invalid: float = 0.5
    allow_empty: bool = False
    verdicts: tuple[Verdict, ...] = ()
    sample_invalid: tuple[str, ...] = field(default=(), repr=False)
    invalid_rows: tuple[SourceRow, ...] = ()

    @property
    def sent(self) -> int:
        """Identifiers put into calls."""
        return self._total.sent

    @property
    def valid(self) -> int:
        """Identifiers Criteo accepted."""
        return self._total.valid

    @property
    def invalid(self) -> int:
        """Identifiers Criteo refused."""
        return self._total.invalid

    @property
    def unreported(self) -> int:
        """Identifiers of calls whose answer has no counts, or such as cannot be right."""
        return self._total.unreported

    @property
    def failed(self) -> int:
        """Identifiers of calls that were refused, which Criteo certainly has not applied."""
        return self._total.failed

    @property
    def unknown(self) -> int:
        """Identifiers of calls that Criteo may or may not have applied."""
        return self._total.unknown

    @property
    def retries(self) -> int:
        """Requests made beyond one a batch."""
        return max(0, self.calls - (self.batches - self.resumed)) if not self.dry_run else 0

    @property
    def _total(self) -> Outcome:
        return sum(self.by_type.values(), Outcome())

    @property
    def rejected_total(self) -> int:
        """Rows rejected, whatever the reason."""
        return sum(self.rejected.values())

    @property
    def ok(self) -> bool:
        """Whether the upload did what it was asked to.

        Something was sent (or `allow_empty` was given), nothing is pending, failed, unknown or unreported, no
        deadline ended it, the shares of rejected rows and refused identifiers stay within `max_rejected` and
        `max_invalid`, and no policy of `fail_on` is broken; whatever is stricter decides. A dry run is judged by what
        it could see: that something would be sent, and which rows were rejected, duplicates or suppressed.
        """
        return is_ok(self)

    def judged_by(self, policies: Iterable[Policy]) -> "UploadReport":
        """Returns the report with the verdicts of policies."""
        return evolve(self, verdicts=tuple(policy.judge(self) for policy in policies))

    def raise_for_failures(self) -> None:
        """Raises when the upload is not `.ok`.

        Raises:
            UploadFailedError: with counts, codes and this report.
        """
        if self.ok:
            return
        raise UploadFailedError(self.explain(), report=self)

    def explain(self) -> str:
        """Says in a sentence or two what is not as it should be; empty when everything is."""
        return explained(self)

    def to_dict(self) -> dict[str, Any]:
        """Returns JSON-safe values, without an identifier."""
        return {
            "ok": self.ok,
            "dry_run": self.dry_run,
            "read": self.read,
            "sent": self.sent,
            "valid": self.valid,
            "invalid": self.invalid,
            "unreported": self.unreported,
            "failed": self.failed,
            "unknown": self.unknown,
            "pending": self.pending,
            "rejected": {str(reason): count for reason, count in self.rejected.items()},
            "duplicates": self.duplicates,
            "suppressed": self.suppressed,
            "opt_outs": self.opt_outs,
            "unusable_opt_outs": self.unusable_opt_outs,
            "columns": list(self.columns),
            "notes": list(self.notes),
            "already_hashed": self.already_hashed,
            "by_type": {str(kind.value): outcome.sent for kind, outcome in self.by_type.items()},
            "batches": self.batches,
            "failures": [failure.to_dict() for failure in self.failures],
            "resumed": self.resumed,
            "calls": self.calls,
            "retries": self.retries,
            "elapsed": round(self.elapsed, 3),
            "waited": round(self.waited, 3),
            "live_from": self.live_from.isoformat() if self.live_from else None,
            "hint": self.hint,
            "deadline_passed": self.deadline_passed,
            "invalid_rows": [row.to_dict() for row in self.invalid_rows],
            "policies": [verdict.to_dict() for verdict in self.verdicts],
        }

    def __add__(self, other: "UploadReport") -> "UploadReport":
        """Adds up two reports, of two files or two partitions.

        The whole may have as many rejected rows and refused identifiers as its parts may together, so each part's
        bounds weigh as much as it has rows; of two that are `.ok` the sum is as well. A policy judges those parts
        together that it was given for: its share is of their rows, and its count is borne once a part.
        """
        kinds = {**self.by_type, **other.by_type}
        times = [moment for moment in (self.live_from, other.live_from) if moment]
        return UploadReport(
            read=self.read + other.read,
            rejected=dict(Counter(self.rejected) + Counter(other.rejected)),
            duplicates=_counted(self.duplicates, other.duplicates),
            suppressed=self.suppressed + other.suppressed,
            opt_outs=_counted(self.opt_outs, other.opt_outs),
            unusable_opt_outs=self.unusable_opt_outs + other.unusable_opt_outs,
            columns=tuple(dict.fromkeys(self.columns + other.columns)),
            notes=tuple(dict.fromkeys(self.notes + other.notes)),
            pending=self.pending + other.pending,
            already_hashed=self.already_hashed + other.already_hashed,
            by_type={kind: self.by_type.get(kind, Outcome()) + other.by_type.get(kind, Outcome()) for kind in kinds},
            batches=self.batches + other.batches,
            failures=self.failures + other.failures,
            resumed=self.resumed + other.resumed,
            calls=self.calls + other.calls,
            elapsed=self.elapsed + other.elapsed,
            waited=self.waited + other.waited,
            live_from=max(times, default=None),
            hint=self.hint or other.hint,
            deadline_passed=self.deadline_passed or other.deadline_passed,
            dry_run=self.dry_run or other.dry_run,
            max_rejected=joint_bound(self.max_rejected, self.read, other.max_rejected, other.read),
            max_invalid=joint_bound(self.max_invalid, self.sent, other.max_invalid, other.sent),
            allow_empty=joint_allowance(self, other),
            verdicts=added(self.verdicts, other.verdicts),
            sample_invalid=(self.sample_invalid + other.sample_invalid)[:MOST_SAMPLED],
            invalid_rows=(self.invalid_rows + other.invalid_rows)[:MOST_SAMPLED],
        )

    def __radd__(self, other: object) -> "UploadReport":
        """Lets `sum(reports)` begin at 0."""
        return self if other == 0 else NotImplemented


def _counted(one: int | None, other: int | None) -> int | None:
    """Adds up counts of which one, or both, may not have been made."""
    return other if one is None else one if other is None else one + other
