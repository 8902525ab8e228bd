"""An upload's report in words, made of its JSON document: the same numbers under the same names everywhere."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from criteo_audiences.rendering import Row, aligned, counted, html_table, listed, printable

Document = Mapping[str, Any]
"""What `UploadReport.to_dict` returns."""

_MOST_ROWS: Final = 20
LIMITS: Final[Mapping[str, str]] = {
    "quota": "the quota",
    "round_trips": "the round trips",
    "memory": "the bytes in flight",
    "source": "the source",
    "max_concurrency": "the chosen number",
}
"""What there would be more in flight without."""

FATES: Final = ("valid", "invalid", "unreported", "failed", "unknown")


def summary(document: Document) -> list[str]:
    """Returns the lines of a report, its verdict left out: where every row went, then what else to know."""
    return [*aligned(list(_rows(document))), *(printable(line) for line in _remarks(document))]


def verdict(document: Document, code: int | None = None) -> str:
    """Returns the last line of a report: whether the upload did what it was asked to, and why it did not.

    Args:
        document: of the report.
        code: with which a command ends that failed.
    """
    if document["ok"]:
        return f"OK: {_success(document)}"
    return f"FAILED{'' if code is None else f' ({code})'}: {printable(document['explanation'])}"


def summary_html(document: Document) -> str:
    """Returns a report as HTML: what `summary` and `verdict` say."""
    return html_table(_rows(document), lines=[*_remarks(document), verdict(document)])


def in_one_line(document: Document) -> str:
    """Returns a report for a log: whether it is well, and the figures that are not zero."""
    counts = {**document, "rejected": sum(document["rejected"].values())}
    names = ("read", "rejected", "suppressed", "duplicates", "pending", "sent", *FATES, "calls", "retries", "resumed")
    figures = [f"{name} {counts[name]:,}" for name in names if counts[name]]
    word = "ok" if document["ok"] else "not ok"
    return ", ".join((word, *figures, f"{document['elapsed']:.1f} s"))


def _success(document: Document) -> str:
    if document["dry_run"]:
        return f"dry run, nothing was sent; {counted(document['pending'], 'identifier', 'identifiers')} pending."
    if not document["sent"]:
        return "there was nothing to send."
    live = document["live_from"]
    when = f"; live from about {_moment(live)} UTC" if live else ""
    if document["partly_live_from"]:
        when += f", in part from {_moment(document['partly_live_from'])}: a computation came in between"
    return f"{document['valid']:,} of {counted(document['sent'], 'identifier', 'identifiers')} valid{when}."


def _moment(written: str) -> str:
    return f"{dt.datetime.fromisoformat(written):%Y-%m-%d %H:%M}"


def _rows(document: Document) -> Iterator[Row]:
    columns = document["columns"]
    heading = f"{'column' if len(columns) == 1 else 'columns'} {', '.join(map(repr, columns))}" if columns else "rows"
    yield Row("read", document["read"], heading)
    yield Row("  rejected", sum(document["rejected"].values()), listed(document["rejected"]))
    if document["suppressed"] or document["opt_outs"] is not None:
        yield Row("  suppressed", document["suppressed"], _opt_outs(document))
    duplicates = document["duplicates"]
    yield Row("  duplicates", duplicates, "not looked for" if duplicates is None else "")
    if document["dry_run"]:
        distinct = "" if duplicates is None else "distinct, "
        yield Row("  pending", document["pending"], f"{distinct}{counted(document['batches'], 'batch', 'batches')}")
        return
    if document["pending"]:
        yield Row("  pending", document["pending"], "not sent")
    yield Row("  sent", document["sent"], _cost(document))
    yield from _outcome(document)


def _outcome(document: Document) -> Iterator[Row]:
    yield Row("    valid", document["valid"])
    yield Row("    invalid", document["invalid"], "by Criteo's rules" if document["invalid"] else "")
    if document["unreported"]:
        yield Row("    unreported", document["unreported"], "Criteo's counts leave them open")
    yield Row("    failed", document["failed"])
    unknown = document["unknown"]
    yield Row("    unknown", unknown, "no answer; sending them again does no harm" if unknown else "")


def batch_rows(document: Document) -> Iterator[Row]:
    """Yields the figures of one batch, by its own document."""
    yield Row("sent", document["sent"], "by an earlier run" if document["resumed"] else "")
    yield from (Row(f"  {name}", document[name]) for name in FATES)


def _opt_outs(document: Document) -> str:
    if document["opt_outs"] is None:
        return "have opted out"
    unusable = f", {document['unusable_opt_outs']:,} cannot be used" if document["unusable_opt_outs"] else ""
    return f"have opted out; {counted(document['opt_outs'], 'opt-out', 'opt-outs')}{unusable}"


def _cost(document: Document) -> str:
    parts = [counted(document["batches"], "batch", "batches"), counted(document["calls"], "call", "calls")]
    if document["resumed"]:
        parts.append(f"{document['resumed']:,} by an earlier run")
    if document["retries"]:
        parts.append(counted(document["retries"], "retry", "retries"))
    if document["already_hashed"]:
        parts.append(f"{document['already_hashed']:,} came hashed")
    return ", ".join(parts)


def _remarks(document: Document) -> Iterator[str]:
    if document["invalid_rows"]:
        yield _places(document)
    if document["warnings"]:
        yield f"Criteo warned in its answers: {listed(document['warnings'])}."
    elapsed, sent = document["elapsed"], document["sent"]
    if document["dry_run"]:
        yield f"{elapsed:.1f} s."
    else:
        rate = f", {sent / elapsed:,.0f} identifiers a second" if elapsed and sent else ""
        yield f"{elapsed:.1f} s{rate}, {document['waited']:.1f} s of them waiting for the quota.{_in_flight(document)}"
    if document["window_warning"]:
        yield document["window_warning"]
    if document["hint"] and not document["failures"]:  # what to do about those comes first
        yield document["hint"]


def _in_flight(document: Document) -> str:
    if document["limited_by"] is None:
        return ""
    batches = counted(document["most_in_flight"], "batch", "batches")
    return f" At most {batches} in flight, limited by {LIMITS[document['limited_by']]}."


def _places(document: Document) -> str:
    """Returns a line with the first rows of invalid identifiers, by file and column; the document lists more."""
    places: dict[tuple[str, str], list[int]] = {}
    for row in document["invalid_rows"][:_MOST_ROWS]:
        places.setdefault((row["file"], row["column"]), []).append(row["row"])
    shown = min(len(document["invalid_rows"]), _MOST_ROWS)
    others = ", among others" if document["invalid"] > shown else ""
    return f"Invalid{others}: {'; '.join(_place(*place, rows) for place, rows in places.items())}."


def _place(file: str, column: str, rows: Sequence[int]) -> str:
    numbers = ", ".join(f"{row:,}" for row in rows)
    word = "row" if len(rows) == 1 else "rows"
    return f"{file} {word} {numbers}".lstrip() + (f" ({column})" if column else "")
