"""Whether a mirror may go on, judged by numbers before its first call; pure."""

from fractions import Fraction
from pathlib import Path

from criteo_audiences.errors import ConfigurationError, MirrorRefusedError
from criteo_audiences.mirrors.options import Baseline
from criteo_audiences.tables.engine.comparison import Difference
from criteo_audiences.uploads import UploadReport


def require_baseline(path: Path, baseline: Baseline | None, *, exists: bool, is_known: bool) -> None:
    """Demands a baseline for a first mirror, and for no other.

    Args:
        path: of the snapshot.
        baseline: what the caller assumes of the list.
        exists: whether there is a snapshot.
        is_known: whether a ledger knows that there was one.

    Raises:
        ConfigurationError: saying what to give or to leave out.
    """
    if exists and baseline is not None:
        raise ConfigurationError(
            f"baseline={baseline.value} is for a first mirror, but the snapshot {path} exists: leave it out."
        )
    if exists or baseline is not None:
        return
    if is_known:
        raise ConfigurationError(
            f"There is no snapshot {path}, though the list was mirrored before: bring it back, or give "
            "baseline=unknown, which adds everything and removes nothing."
        )
    raise ConfigurationError(
        f"There is no snapshot {path}: say what the list holds, with baseline=empty, baseline=unknown (adds all, "
        "removes none) or baseline=assume-current (sends nothing)."
    )


def require_harmless(
    difference: Difference, source: UploadReport, *, held: int, max_removals: float, allow_empty: bool
) -> None:
    """Refuses a mirror that would remove more than it may, as a failed query or a wrong file makes it.

    Args:
        difference: what it would do.
        source: what was read.
        held: identifiers of the snapshot.
        max_removals: share of them that may be removed.
        allow_empty: whether the source may be empty.

    Raises:
        MirrorRefusedError: with the numbers.
    """
    reason = None
    if not difference.added + difference.unchanged and not allow_empty:
        reason = (
            f"the source holds no identifier ({source.read:,} rows read, {source.rejected_total:,} rejected), and the "
            f"list holds {held:,}; give allow_empty if that is right"
        )
    elif difference.removed > Fraction(max_removals) * held:
        reason = (
            f"it would remove {difference.removed:,} of {held:,} identifiers "
            f"({difference.removed / held:.1%}) and add {difference.added:,}; max_removals={max_removals:g} allows "
            f"{int(Fraction(max_removals) * held):,}"
        )
    elif source.rejected_total > Fraction(source.max_rejected) * source.read:
        reason = (
            f"{source.rejected_total:,} of the {source.read:,} rows read were rejected, more than "
            f"max_rejected={source.max_rejected:g} allows"
        )
    if reason is not None:
        raise MirrorRefusedError(
            f"The mirror was refused: {reason}. Nothing was sent.",
            added=difference.added,
            removed=difference.removed,
            unchanged=difference.unchanged,
        )
