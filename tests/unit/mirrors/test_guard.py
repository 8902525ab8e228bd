"""Whether a mirror may go on: pure rules, by numbers."""

from contextlib import nullcontext
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from criteo_audiences import Baseline, ConfigurationError, MirrorRefusedError, MirrorReport, UploadReport
from criteo_audiences.mirrors.options import require_baseline, require_harmless
from criteo_audiences.tables.engine.comparison import Difference


@given(
    held=st.integers(0, 10_000),
    kept=st.integers(0, 10_000),
    added=st.integers(0, 100),
    share=st.sampled_from([0.0, 0.1, 0.2, 0.5, 1.0]),
)
def test_removals_are_bounded_exactly(held: int, kept: int, added: int, share: float) -> None:
    """A mirror is refused exactly when it would remove more than that share, or the source is empty."""
    kept = min(held, kept)
    difference = Difference(added=added, removed=held - kept, unchanged=kept)
    refused = held - kept > Fraction(share) * held or added + kept == 0
    with pytest.raises(MirrorRefusedError) if refused else nullcontext() as caught:
        require_harmless(difference, UploadReport(read=9), held=held, max_removals=share, allow_empty=False)
    if caught is not None:
        numbers = caught.value.added, caught.value.removed, caught.value.unchanged
        assert numbers == (added, held - kept, kept)


def test_a_baseline_is_for_a_first_mirror_only() -> None:
    """None is refused where there is no snapshot, and one where there is."""
    path = Path("crm.snapshot")
    for exists, baseline, message in (
        (False, None, "say what the list holds"),
        (True, Baseline.EMPTY, "leave it out"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            require_baseline(path, baseline, exists=exists, is_known=False)
    require_baseline(path, Baseline.UNKNOWN, exists=False, is_known=True)
    require_baseline(path, None, exists=True, is_known=True)


def test_report_is_ok_when_both_uploads_are() -> None:
    """A source whose rows break a policy is not, nor an upload that left something pending."""
    source = UploadReport(read=5, pending=5, dry_run=True)
    report = MirrorReport(added=0, removed=0, unchanged=5, source=source)
    assert report.ok
    assert report.explain() == ""
    report = MirrorReport(added=5, removed=0, unchanged=0, source=source, additions=UploadReport(read=5, pending=5))
    assert not report.ok
    assert report.explain().startswith("The additions are incomplete: ")
    report = MirrorReport(added=0, removed=0, unchanged=0, source=UploadReport(read=5, rejected={"x": 5}, dry_run=True))
    assert not report.ok
