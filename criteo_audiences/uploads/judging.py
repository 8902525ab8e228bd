"""Whether what an upload did is what it was asked to do, and the sentence that says why not; pure functions."""

from collections import Counter
from typing import TYPE_CHECKING, Final

from criteo_audiences.errors import (
    ApiVersionGoneError,
    ConnectError,
    CriteoError,
    NotFoundError,
    PermissionDeniedError,
    ResponseError,
)

if TYPE_CHECKING:
    from criteo_audiences.uploads.report import UploadReport

_HOPELESS: Final = (PermissionDeniedError, NotFoundError, ApiVersionGoneError)


def is_hopeless(error: CriteoError | None) -> bool:
    """Returns whether every further batch would fail the same way; if so, the upload stops."""
    return isinstance(error, _HOPELESS) or (isinstance(error, ConnectError) and not error.passing)


def is_ok(report: "UploadReport") -> bool:
    """Returns what `UploadReport.ok` says."""
    if not all(verdict.ok for verdict in report.verdicts):
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


def explained(report: "UploadReport") -> str:
    """Says in a sentence or two what is not as it should be; empty when everything is."""
    if report.ok:
        return ""
    broken = [str(verdict) for verdict in report.verdicts if not verdict.ok]
    faults = _faults(report)
    sentences = []
    if faults or not broken:
        sentences.append(f"The upload is not complete: {'; '.join(faults) or _nothing(report)}.")
    if broken:
        sentences.append(f"{'It' if faults else 'The upload'} fails by {'; '.join(broken)}.")
    if report.failures and (first := report.failures[0].error) is not None:
        sentences.append(f"The first failure: {' '.join(str(first).split())}")
    return " ".join(sentences)


def _nothing(report: "UploadReport") -> str:
    """Says why nothing was sent although nothing failed, and what to do where that is right."""
    allow = "give allow_empty=True (--allow-empty) if that is right"
    if not report.read:
        return f"no row was read (an empty source, or a condition that no row meets); {allow}"
    rows = [("rejected", report.rejected_total), ("suppressed", report.suppressed), ("duplicates", report.duplicates)]
    went = ", ".join(f"{count:,} {what}" for what, count in rows if count)
    would = "nothing would be sent" if report.dry_run else "nothing was sent"
    return f"{would}, because no row was left ({report.read:,} read: {went}); {allow}"


def _faults(report: "UploadReport") -> list[str]:
    faults = ["its deadline ended it"] if report.deadline_passed else []
    faults += [f"{count:,} identifiers {what}" for what, count in _counted_faults(report) if count]
    codes = Counter(_code(failure.error) for failure in report.failures if failure.error)
    if codes:
        faults.append("failures: " + ", ".join(f"{count} x {code}" for code, count in codes.most_common(5)))
    return faults


def _counted_faults(report: "UploadReport") -> list[tuple[str, int]]:
    over_rejected = _beyond(report.rejected_total, report.max_rejected, report.read)
    over_invalid = _beyond(report.invalid, report.max_invalid, report.sent)
    return [
        ("failed", report.failed),
        ("may or may not have been applied (unknown)", report.unknown),
        ("are not accounted for in Criteo's answers (unreported)", report.unreported),
        ("were not sent (pending)", 0 if report.dry_run else report.pending),
        (f"were rejected, more than {report.max_rejected:.0%} of the rows", report.rejected_total * over_rejected),
        (f"were refused by Criteo, more than {report.max_invalid:.0%}", report.invalid * over_invalid),
    ]


def _beyond(count: int, share: float, rows: int) -> bool:
    """Whether a count is above a share of the rows by more than rounding: a sum keeps the bounds its parts keep."""
    return count > share * rows * (1 + 1e-12)


def _code(error: CriteoError) -> str:
    if isinstance(error, ResponseError):
        return f"HTTP {error.status}" + "".join(f" {problem}" for problem in error.problems[:1])
    return type(error).__name__


def joint_allowance(one: "UploadReport", other: "UploadReport") -> bool:
    """Returns whether the sum of two reports may be empty: when each part that read something may be."""
    parts = [part.allow_empty for part in (one, other) if part.read or part.allow_empty]
    return bool(parts) and all(parts)


def joint_bound(one: float, rows: int, other: float, other_rows: int) -> float:
    """Returns the share that allows a whole what two shares allow its parts."""
    if one == other or not rows + other_rows:
        return min(one, other)
    return (one * rows + other * other_rows) / (rows + other_rows)
