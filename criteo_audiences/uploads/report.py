"""The report of an upload, which accounts for every row read and every identifier sent."""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

from attrs import evolve, field, frozen

from criteo_audiences.errors import CriteoError, ResponseError, UploadFailedError
from criteo_audiences.identifiers import SourceRow
from criteo_audiences.models import IdentifierType
from criteo_audiences.uploads.amendment import BatchResult, Outcome
from criteo_audiences.uploads.policies import Policy, Verdict, added
from criteo_audiences.uploads.slots import LimitedBy
from criteo_audiences.uploads.summary import summary, summary_html, verdict

MOST_SAMPLED: Final = 100


@frozen(kw_only=True)
class UploadReport:
    """What an upload did.

    The command line prints `str(report)`; a notebook shows the same as a table.
    Rows in: `read = sent + rejected + duplicates + suppressed + pending` (`duplicates` of `None` counts as 0).
    Rows out: `sent = valid + invalid + unreported + failed + unknown`.

    Attributes:
        read: rows read from the source.
        rejected: rows without a valid identifier, by reason.
        duplicates: duplicates dropped; `None` if `dedupe` is off.
        suppressed: rows left out because their identifier is among the opt-outs.
        opt_outs: opt-outs that the rows were compared with; `None` without `suppress`.
        unusable_opt_outs: opt-outs that are no valid identifiers and so suppress no row, and one more for each file
            with a quoted cell that may hide some; blank ones do not count.
        columns: the columns of a table that were read.
        notes: remarks on the source, a sentence each, such as the skipped files of a directory.
        pending: identifiers that were read but not put into a call; after a dry run, all of them.
        already_hashed: identifiers that the source contains as digests, which are sent unchanged.
        by_type: the outcome of the identifiers sent, by kind.
        batches: batches put into calls; after a dry run, the batches that it would take.
        failures: the batches that failed.
        warnings: the number of Criteo's warnings in its answers to batches, by code.
        resumed: how many of `batches` an earlier run had already delivered.
        calls: requests made, retries included.
        elapsed: seconds that the upload took.
        waited: seconds of them during which the quota held a batch back.
        most_in_flight: the most batches in flight at the same time.
        limited_by: what limited the batches in flight for the longest time; `None` if nothing was sent.
        live_from: about when all accepted identifiers are live; `None` if none was accepted.
        partly_live_from: when the first of them are live, because a computation of Criteo's came in between; `None` if
            all of them are live at once.
        window_warning: why the upload could not end before Criteo's next computation, as estimated before anything was
            sent; `None` if the quota left enough time, or the source could not be counted.
        hint: what limited the upload if the quota did not, and what to do about it; `None` if there is nothing to gain.
        deadline_passed: whether the deadline ended the upload before it was complete.
        cleared: whether the list was cleared first, as `replace_contact_list` does; `None` if that is not known.
        dry_run: whether it was a dry run, which sends nothing.
        max_rejected: share of `read` that may be rejected.
        max_invalid: share of `sent` that Criteo may refuse.
        allow_empty: whether the upload is `ok` if nothing was sent.
        verdicts: the verdict of each policy of `fail_on`.
        sample_invalid: some identifiers that Criteo refused, in clear text: never in a `repr` nor in `to_dict()`.
        invalid_rows: the first row of each of them in the source, without its value; empty if the source cannot be read
            again.
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
    warnings: Mapping[str, int] = field(factory=dict)
    resumed: int = 0
    calls: int = 0
    elapsed: float = 0.0
    waited: float = 0.0
    most_in_flight: int = 0
    limited_by: LimitedBy | None = None
    live_from: dt.datetime | None = None
    partly_live_from: dt.datetime | None = None
    window_warning: str | None = None
    hint: str | None = None
    deadline_passed: bool = False
    cleared: bool | None = False
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
        """Identifiers that Criteo accepted."""
        return self._total.valid

    @property
    def invalid(self) -> int:
        """Identifiers that Criteo refused."""
        return self._total.invalid

    @property
    def unreported(self) -> int:
        """Identifiers that Criteo's answers do not account for: counts are missing or cannot be right."""
        return self._total.unreported

    @property
    def failed(self) -> int:
        """Identifiers of calls that Criteo refused and certainly has not applied."""
        return self._total.failed

    @property
    def unknown(self) -> int:
        """Identifiers of calls that Criteo may or may not have applied."""
        return self._total.unknown

    @property
    def retries(self) -> int:
        """Requests beyond the first one of each batch."""
        return max(0, self.calls - (self.batches - self.resumed)) if not self.dry_run else 0

    @property
    def _total(self) -> Outcome:
        return sum(self.by_type.values(), Outcome())

    @property
    def rejected_total(self) -> int:
        """Rows rejected, for any reason."""
        return sum(self.rejected.values())

    @property
    def ok(self) -> bool:
        """Whether the upload did what it was asked to.

        Something was sent (or `allow_empty` was given). Nothing is pending, failed, unknown or unreported. No deadline
        ended the upload. The shares of rejected rows and refused identifiers are within `max_rejected` and
        `max_invalid`, and no policy of `fail_on` is broken; the stricter limit decides. For a dry run only this counts:
        that something would be sent, and which rows were rejected, duplicates or suppressed.
        """
        return _is_ok(self)

    def judged_by(self, policies: Iterable[Policy]) -> "UploadReport":
        """Returns the report with the verdicts of some policies."""
        counts = self._counts()
        return evolve(self, verdicts=tuple(policy.judge(counts) for policy in policies))

    def _counts(self) -> dict[str, int]:
        """Returns the counts that policies limit, and those to which their shares refer."""
        return {
            "read": self.read,
            "rejected": self.rejected_total,
            **{f"rejected.{reason}": count for reason, count in self.rejected.items()},
            "duplicates": self.duplicates or 0,
            "suppressed": self.suppressed,
            "opt_outs": self.opt_outs or 0,
            "unusable_opt_outs": self.unusable_opt_outs,
            "identifiers": self.sent,
            "sent": self.pending if self.dry_run else self.sent,
            "invalid": self.invalid,
            "unreported": self.unreported,
            "failed": self.failed,
            "unknown": self.unknown,
            "any": self.rejected_total + self.sent - self.valid,
        }

    def raise_for_failures(self) -> None:
        """Raises when the upload is not `.ok`.

        Raises:
            UploadFailedError: when it is not; contains counts, codes and this report.
        """
        if self.ok:
            return
        raise UploadFailedError(self.explain(), report=self)

    def explain(self) -> str:
        """Returns a sentence or two on why the upload is not `.ok`; an empty text if it is."""
        return _explained(self)

    def to_dict(self) -> dict[str, Any]:
        """Returns JSON-safe values, without an identifier; `str` shows the same numbers under the same names."""
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
            "warnings": dict(self.warnings),
            "resumed": self.resumed,
            "calls": self.calls,
            "retries": self.retries,
            "elapsed": round(self.elapsed, 3),
            "waited": round(self.waited, 3),
            "most_in_flight": self.most_in_flight,
            "limited_by": self.limited_by.value if self.limited_by else None,
            "live_from": self.live_from.isoformat() if self.live_from else None,
            "partly_live_from": self.partly_live_from.isoformat() if self.partly_live_from else None,
            "window_warning": self.window_warning,
            "hint": self.hint,
            "deadline_passed": self.deadline_passed,
            "cleared": self.cleared,
            "invalid_rows": [row.to_dict() for row in self.invalid_rows],
            "policies": [found.to_dict() for found in self.verdicts],
            "explanation": self.explain(),
        }

    def __str__(self) -> str:
        document = self.to_dict()
        return "\n".join([*summary(document), verdict(document)])

    def _repr_html_(self) -> str:
        return summary_html(self.to_dict())

    def __add__(self, other: "UploadReport") -> "UploadReport":
        """Adds up two reports, such as of two files or two partitions.

        The sum may have as many rejected rows and refused identifiers as the two reports together: the limits are
        averaged, weighted by rows. The sum of two reports that are `.ok` is `.ok` as well. A policy applies to the sum
        of the reports that it was given for. Its share refers to their rows, and its count is allowed once per report.
        """
        kinds = {**self.by_type, **other.by_type}
        first, last = _live_between(self, other)
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
            warnings=dict(Counter(self.warnings) + Counter(other.warnings)),
            resumed=self.resumed + other.resumed,
            calls=self.calls + other.calls,
            elapsed=self.elapsed + other.elapsed,
            waited=self.waited + other.waited,
            most_in_flight=max(self.most_in_flight, other.most_in_flight),
            limited_by=(self if self.elapsed >= other.elapsed else other).limited_by
            or self.limited_by
            or other.limited_by,
            live_from=last,
            partly_live_from=None if first == last else first,
            window_warning=self.window_warning or other.window_warning,
            hint=self.hint or other.hint,
            deadline_passed=self.deadline_passed or other.deadline_passed,
            cleared=None if None in (self.cleared, other.cleared) else self.cleared or other.cleared,
            dry_run=self.dry_run or other.dry_run,
            max_rejected=_joint_bound(self.max_rejected, self.read, other.max_rejected, other.read),
            max_invalid=_joint_bound(self.max_invalid, self.sent, other.max_invalid, other.sent),
            allow_empty=_joint_allowance(self, other),
            verdicts=added(self.verdicts, other.verdicts),
            sample_invalid=(self.sample_invalid + other.sample_invalid)[:MOST_SAMPLED],
            invalid_rows=(self.invalid_rows + other.invalid_rows)[:MOST_SAMPLED],
        )

    def __radd__(self, other: object) -> "UploadReport":
        """Lets `sum(reports)` begin at 0."""
        return self if other == 0 else NotImplemented


def _live_between(*reports: UploadReport) -> tuple[dt.datetime | None, dt.datetime | None]:
    """Returns when the first of the accepted identifiers of some reports are live, and when all are."""
    times = [moment for report in reports for moment in (report.partly_live_from, report.live_from) if moment]
    return min(times, default=None), max(times, default=None)


def _counted(one: int | None, other: int | None) -> int | None:
    """Adds up two counts, where `None` means that nothing was counted."""
    return other if one is None else one if other is None else one + other


def _is_ok(report: UploadReport) -> bool:
    """Computes `UploadReport.ok`."""
    if not all(found.ok for found in report.verdicts):
        return False
    if _beyond(report.rejected_total, report.max_rejected, report.read):
        return False
    if report.failed or report.unknown or report.unreported or report.failures or report.deadline_passed:
        return False
    if report.dry_run:
        return report.pending > 0 or report.allow_empty
    if report.pending:
        return False
    return (report.sent > 0 or report.allow_empty) and not _beyond(report.invalid, report.max_invalid, report.sent)


def _explained(report: UploadReport) -> str:
    """Returns a sentence or two on why an upload is not `.ok`; an empty text if it is."""
    if report.ok:
        return ""
    broken = [str(found) for found in report.verdicts if not found.ok]
    faults = _faults(report)
    sentences = []
    if faults or not broken:
        sentences.append(f"The upload is not complete: {'; '.join(faults) or _nothing(report)}.")
    if broken:
        sentences.append(f"{'It' if faults else 'The upload'} fails by {'; '.join(broken)}.")
    if report.failures and (first := report.failures[0].error) is not None:
        sentences.append(f"The first failure: {' '.join(str(first).split())}")
    if report.cleared is not False:
        sentences.append(what_is_left(report.cleared))
    return " ".join(sentences)


def what_is_left(cleared: bool | None) -> str:  # noqa: FBT001 - what `UploadReport.cleared` says
    """Returns a sentence on what the list contains after a clear and an upload that failed.

    Args:
        cleared: whether it was cleared; `None` if that is not known.
    """
    if cleared is None:
        return "Whether the list was cleared is not known: it may be empty now, and nothing was added. Run it again."
    return "The list was cleared first, so it holds nothing but what was added since. Run it again."


def _nothing(report: UploadReport) -> str:
    """Returns why nothing was sent although nothing failed, and what to do if that is right."""
    allow = "give allow_empty=True (--allow-empty) if that is right"
    if not report.read:
        return f"no row was read (an empty source, or a condition that no row meets); {allow}"
    rows = [("rejected", report.rejected_total), ("suppressed", report.suppressed), ("duplicates", report.duplicates)]
    went = ", ".join(f"{count:,} {what}" for what, count in rows if count)
    would = "nothing would be sent" if report.dry_run else "nothing was sent"
    return f"{would}, because no row was left ({report.read:,} read: {went}); {allow}"


def _faults(report: UploadReport) -> list[str]:
    faults = ["its deadline ended it"] if report.deadline_passed else []
    faults += [f"{count:,} identifiers {what}" for what, count in _counted_faults(report) if count]
    codes = Counter(_code(failure.error) for failure in report.failures if failure.error)
    if codes:
        faults.append("failures: " + ", ".join(f"{count} x {code}" for code, count in codes.most_common(5)))
    return faults


def _counted_faults(report: UploadReport) -> list[tuple[str, int]]:
    over_rejected = _beyond(report.rejected_total, report.max_rejected, report.read)
    over_invalid = _beyond(report.invalid, report.max_invalid, report.sent)
    return [
        ("failed", report.failed),
        ("may or may not have been applied (unknown)", report.unknown),
        ("are not accounted for in Criteo's answers (unreported)", report.unreported),
        ("were not sent (pending)", 0 if report.dry_run else report.pending),
        (f"were rejected, more than {report.max_rejected:.0%} of the rows", report.rejected_total * over_rejected),
        (f"are invalid, more than {report.max_invalid:.0%} of those sent", report.invalid * over_invalid),
    ]


def _beyond(count: int, share: float, rows: int) -> bool:
    """Whether a count exceeds a share of the rows; tolerates rounding, so that a sum passes if its parts do."""
    return count > share * rows * (1 + 1e-12)


def _code(error: CriteoError) -> str:
    if isinstance(error, ResponseError):
        return f"HTTP {error.status}" + "".join(f" {problem}" for problem in error.problems[:1])
    return type(error).__name__


def _joint_allowance(one: UploadReport, other: UploadReport) -> bool:
    """Returns whether the sum of two reports may be empty: if each report that read something may be."""
    parts = [part.allow_empty for part in (one, other) if part.read or part.allow_empty]
    return bool(parts) and all(parts)


def _joint_bound(one: float, rows: int, other: float, other_rows: int) -> float:
    """Returns the share for the sum of two reports, which allows as many rows as their shares together."""
    if one == other or not rows + other_rows:
        return min(one, other)
    return (one * rows + other * other_rows) / (rows + other_rows)
