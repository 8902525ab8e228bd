"""What a report looks like: the same numbers under the same words in a terminal, in a notebook and as JSON."""

import html
import json
import logging
import re
from collections.abc import Callable
from typing import Any

import pytest

from criteo_audiences import BatchResult, IdentifierType, Outcome, UploadReport
from criteo_audiences.errors import NotFoundError
from criteo_audiences.marketing_solutions import AudienceSegment
from criteo_audiences.uploads import SourceRow
from tests.kit import LIST, emails

EMAIL = IdentifierType.EMAIL
FAILURE = BatchResult(number=2, kind=EMAIL, sent=5, outcome=Outcome(failed=5), error=NotFoundError(404, []))
OUTCOMES = {
    "all valid": UploadReport(read=10, duplicates=0, by_type={EMAIL: Outcome(valid=10)}, batches=1, calls=1),
    "rejected": UploadReport(
        read=12_000, rejected={"empty": 1_500, "no_at_sign": 500}, by_type={EMAIL: Outcome(valid=10_000)}
    ),
    "invalid": UploadReport(
        read=10, by_type={EMAIL: Outcome(valid=4, invalid=6)}, invalid_rows=(SourceRow(file="crm.csv", row=7),)
    ),
    "failed": UploadReport(read=10, by_type={EMAIL: Outcome(valid=5, failed=5)}, batches=2, failures=(FAILURE,)),
    "unknown": UploadReport(read=10, by_type={EMAIL: Outcome(valid=5, unknown=5)}, calls=4, batches=2),
    "unreported": UploadReport(read=10, by_type={EMAIL: Outcome(unreported=10)}),
    "deadline": UploadReport(read=10, pending=4, deadline_passed=True, by_type={EMAIL: Outcome(valid=6)}),
    "dry run": UploadReport(read=10, duplicates=1, pending=9, batches=1, dry_run=True),
    "nothing": UploadReport(),
    "nothing, as allowed": UploadReport(allow_empty=True),
    "suppressed": UploadReport(
        read=10, suppressed=3, opt_outs=5, unusable_opt_outs=1, by_type={EMAIL: Outcome(valid=7)}, resumed=1, batches=1
    ),
}
FIGURES = re.compile(r"^ *(\w+) +([0-9,]+|-)(?:  .*)?$")


def shown_in_text(report: UploadReport) -> dict[str, str]:
    """Returns the figures of a report as a terminal shows them."""
    return dict(found.groups() for line in str(report).splitlines() if (found := FIGURES.match(line)))


def document_of(report: UploadReport) -> dict[str, str]:
    """Returns the figures that the JSON document has, as people write them."""
    document = json.loads(json.dumps(report.to_dict()))
    document["rejected"] = sum(document["rejected"].values())
    return {name: "-" if value is None else f"{value:,}" for name, value in document.items() if _is_count(value)}


def _is_count(value: object) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool))


@pytest.mark.parametrize("report", OUTCOMES.values(), ids=list(OUTCOMES))
def test_a_terminal_a_notebook_and_json_have_the_same_numbers(report: UploadReport) -> None:
    """Under the same words; what is not zero is never left out."""
    document, text = document_of(report), shown_in_text(report)
    assert text.items() <= document.items()
    cells = re.findall(r"<th[^>]*>(\w+)</th><td[^>]*>([0-9,]+|-)</td>", report._repr_html_())
    assert dict(cells) == text
    words = ["read", "sent", "valid", "invalid", "unreported", "failed", "unknown", "pending", "suppressed", "rejected"]
    assert {word for word in words if document[word] != "0"} <= text.keys()


@pytest.mark.parametrize("report", OUTCOMES.values(), ids=list(OUTCOMES))
def test_the_verdict_is_the_last_line(report: UploadReport) -> None:
    """`OK` or `FAILED` with the reason, as `explain` has it; every figure fits into eighty columns."""
    *lines, last = str(report).splitlines()
    assert last.startswith("OK: ") if report.ok else last == f"FAILED: {report.explain()}"
    assert all(len(line) <= 80 for line in lines), lines
    assert html.escape(last) in report._repr_html_()


def test_a_long_remark_goes_on_below_its_beginning() -> None:
    """At eighty columns, with no word cut."""
    rejected = {f"reason_number_{number}": number for number in range(1, 12)}
    lines = str(UploadReport(read=66, rejected=rejected)).splitlines()
    assert max(map(len, lines[:4])) <= 80
    shown = " ".join(line.strip() for line in lines[1:5])
    assert all(f"{reason} {count}" in shown for reason, count in rejected.items())


def test_what_a_file_is_called_cannot_fool_a_terminal_or_a_notebook() -> None:
    """Control characters are replaced, and HTML is escaped."""
    name = "<script>\x1b[31m"
    row = SourceRow(file=name, row=1, column=name)
    shown = UploadReport(read=1, columns=(name,), by_type={EMAIL: Outcome(invalid=1)}, invalid_rows=(row,))
    assert "\x1b" not in str(shown) + shown._repr_html_()
    assert "<script>" not in shown._repr_html_()


def test_the_log_gets_one_line_for_each_upload(
    run_timed: Callable[..., UploadReport], fake_amend: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """At INFO, when it ends: the list and every figure that is not zero."""
    caplog.set_level(logging.INFO, "criteo_audiences.uploads")
    run_timed(fake_amend(latency=1.0), [*emails(20), "planted"])
    (record,) = caplog.records
    assert record.levelno == logging.INFO
    assert re.fullmatch(
        rf"Upload [0-9a-f]{{12}} to {LIST.service} segment {LIST.segment_id}: ok, read 21, rejected 1, sent 20, valid 20, "
        r"calls 2, 1\.0 s",
        record.message,
    )


def test_a_batch_shows_its_figures_and_its_failure() -> None:
    """In a notebook; the document has the same."""
    shown = FAILURE._repr_html_()
    assert "batch 2" in shown
    assert re.findall(r"<th[^>]*>failed</th><td[^>]*>5</td>", shown)
    assert "HTTP 404" in shown
    assert FAILURE.to_dict()["failed"] == 5


def test_a_segment_shows_what_it_has() -> None:
    """Its fields, those that are missing left out, all of it escaped."""
    shown = AudienceSegment(id="1", name="<b>CRM</b>")._repr_html_()
    assert "&lt;b&gt;CRM&lt;/b&gt;" in shown
    assert "description" not in shown
