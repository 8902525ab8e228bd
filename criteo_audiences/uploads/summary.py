"""The progress of an upload, its report as text, and a hint on what kept the upload from being faster."""

import datetime as dt
import math
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

from attrs import asdict, frozen

from criteo_audiences.rendering import Row, aligned, counted, html_table, listed, printable
from criteo_audiences.uploads.slots import MOST, LimitedBy

Document = Mapping[str, Any]
"""The return value of `UploadReport.to_dict`."""

_MOST_ROWS: Final = 20
LIMITS: Final[Mapping[str, str]] = {
    "quota": "the quota",
    "round_trips": "the round trips",
    "memory": "the bytes in flight",
    "source": "the source",
    "max_concurrency": "the chosen number",
}
"""The limits on batches in flight, in words."""

FATES: Final = ("valid", "invalid", "unreported", "failed", "unknown")


def summary(document: Document) -> list[str]:
    """Returns the lines of a report without its verdict: the counts of rows and identifiers, then remarks."""
    return [*aligned(list(_rows(document))), *(printable(line) for line in _remarks(document))]


def verdict(document: Document, code: int | None = None) -> str:
    """Returns the last line of a report: whether the upload is `.ok`, and if not, why.

    Args:
        document: the report.
        code: the exit code of a command that failed.
    """
    if document["ok"]:
        return f"OK: {_success(document)}"
    return f"FAILED{'' if code is None else f' ({code})'}: {printable(document['explanation'])}"


def summary_html(document: Document) -> str:
    """Returns a report as HTML, with the content of `summary` and `verdict`."""
    return html_table(_rows(document), lines=[*_remarks(document), verdict(document)])


def in_one_line(document: Document) -> str:
    """Returns a report as one line for a log: whether it is `.ok`, and all figures but zeros."""
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
    """Yields the figures of one batch, from the document that `BatchResult.to_dict` returns."""
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
    if document["hint"] and not document["failures"]:  # failures matter more
        yield document["hint"]


def _in_flight(document: Document) -> str:
    if document["limited_by"] is None:
        return ""
    batches = counted(document["most_in_flight"], "batch", "batches")
    return f" At most {batches} in flight, limited by {LIMITS[document['limited_by']]}."


def _places(document: Document) -> str:
    """Returns a line with the first rows of invalid identifiers, by file and column; the document contains more."""
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


WORTH_A_HINT: Final = 5.0
"""Seconds that an upload must take for its pace to mean anything."""

_NOTICEABLE: Final = 0.1
_MOST_OF_IT: Final = 0.8
_MINUTE: Final = 60.0


@frozen(kw_only=True)
class Figures:
    """Measurements of an upload after its end.

    Attributes:
        elapsed: seconds that it took.
        waited: seconds of them during which the quota held a batch back.
        reading: seconds that reading and preparing took, without waits for a sender.
        limited: seconds during which each limit kept more batches from being in flight.
        busy: seconds that batches were in flight, summed over the batches.
        batches: batches that were sent.
        failed: batches that failed, sent or not.
        max_concurrency: most batches in flight at the same time; `None` if the caller gave no number.
        most_in_flight: the most batches that were in flight at the same time.
        most_bytes_in_flight: bytes that may be in flight at the same time.
        window: the quota, as calls and the seconds of their window; `None` if it is not known.
    """

    elapsed: float
    waited: float
    reading: float
    limited: Mapping[LimitedBy, float]
    busy: float
    batches: int
    max_concurrency: int | None
    most_in_flight: int
    most_bytes_in_flight: int
    failed: int = 0
    window: tuple[int, float] | None = None


def hint(figures: Figures) -> str | None:
    """Returns a sentence on what limited an upload other than the quota, and what to do about it.

    Returns:
        The sentence, or `None` if there is nothing to gain: the upload was short, the quota was the limit (no client
        can be faster), too many batches failed for its pace to mean anything, or no limit stands out.
    """
    if figures.elapsed < WORTH_A_HINT or figures.waited >= _NOTICEABLE * figures.elapsed:
        return None
    if not figures.batches or figures.failed >= _NOTICEABLE * figures.batches:
        return None
    if figures.reading >= _MOST_OF_IT * figures.elapsed:
        return (
            f"The source was the limit: reading and preparing it took {figures.reading:.0f} of the "
            f"{figures.elapsed:.0f} s, the quota held nothing back."
        )
    for limited_by in (LimitedBy.MAX_CONCURRENCY, LimitedBy.MEMORY):
        if figures.limited.get(limited_by, 0.0) >= _MOST_OF_IT * figures.elapsed:
            return _hint_of_concurrency(figures, limited_by)
    return None


def _hint_of_concurrency(figures: Figures, limited_by: LimitedBy) -> str | None:
    """Returns the hint for a limit on concurrency; needed calls in flight are the rate times the seconds of one call.

    Source: Little's law.
    """
    seconds = figures.busy / figures.batches
    made = figures.batches / figures.elapsed * _MINUTE
    allowed = None if figures.window is None else figures.window[0] / figures.window[1] * _MINUTE
    needed = 2 * figures.most_in_flight if allowed is None else math.ceil(allowed / _MINUTE * seconds)
    better = min(needed, figures.batches, MOST)
    if better <= figures.most_in_flight:
        return None
    if limited_by is LimitedBy.MEMORY:
        limit = f"max_in_flight_bytes={figures.most_bytes_in_flight:,}"
        advice = f"give more, for {better} batches in flight"
    else:
        limit, advice = f"max_concurrency={figures.max_concurrency}", f"leave it out, or try {better}"
    quota = "" if allowed is None else f" and the quota would have allowed {allowed:,.0f}"
    return (
        f"{limit} was the limit: a call took {seconds:.1f} s, so it made {made:,.0f} calls a minute{quota}; {advice}, "
        "unless the network is full."
    )


class Phase(StrEnum):
    """What an upload currently does."""

    READING = "reading"
    """A table is read to its end before its first batch; nothing is sent yet."""
    PREPARING = "preparing"
    """The table's rows are searched for opt-outs and duplicates."""
    SENDING = "sending"
    """Batches are sent, while the rest of the source is read."""


@frozen(kw_only=True)
class Progress:
    """The progress of an upload.

    Attributes:
        read: rows read; an estimate while a table is read before the first batch.
        rejected: rows rejected.
        duplicates: rows dropped as duplicates.
        sent: identifiers put into calls that have ended.
        valid: identifiers that Criteo accepted.
        in_flight: batches in flight.
        limited_by: what currently limits the batches in flight.
        batches: batches that have ended.
        elapsed: seconds since the start.
        waited: seconds during which the quota held a batch back.
        is_waiting: whether the quota currently holds a batch back.
        share_read: share of the source that has been read, 0 to 1; never decreases; `None` while its size is unknown:
            an iterable without a length, or a table with `where`. With `dedupe`, a table is read before the first
            batch; then this is the share of the remaining rows that has been cut into batches.
        share_staged: share that has been read of a table that is read before the first batch, 0 to 1; never decreases;
            `None` for other sources, and while it is unknown.
        share_prepared: about how much of the search for opt-outs and duplicates in such a table is done, 0 to 1; `None`
            for other sources, and once there are batches.
        share_sent: share of the identifiers to send that has come back, 0 to 1; `None` if it is unknown.
        remaining: seconds that the upload still takes, estimated by its pace and the quota; `None` if it is unknown.
        at_least: least seconds that the upload still takes: `remaining` once it is known, and until then the seconds
            for the calls alone, as if reading took no time; `None` for a source of unknown length.
    """

    read: int
    rejected: int
    duplicates: int
    sent: int
    valid: int
    in_flight: int
    batches: int
    elapsed: float
    waited: float
    is_waiting: bool = False
    limited_by: LimitedBy = LimitedBy.SOURCE
    share_read: float | None = None
    share_staged: float | None = None
    remaining: float | None = None
    at_least: float | None = None
    share_sent: float | None = None
    share_prepared: float | None = None

    @property
    def phase(self) -> Phase:
        """What the upload currently does."""
        if self.share_read is not None or self.batches or self.in_flight:
            return Phase.SENDING
        return Phase.PREPARING if self.share_staged == 1 else Phase.READING

    @property
    def share(self) -> float | None:
        """Share of the current phase that is done, 0 to 1; `None` if it is unknown."""
        shares = self.share_staged, self.share_prepared, self.share_sent
        return dict(zip(Phase, shares, strict=True))[self.phase]

    def to_dict(self) -> dict[str, Any]:
        """Returns JSON-safe values, with the same names as in the report."""
        plain = {**asdict(self), "limited_by": self.limited_by.value if self.limited_by else None}
        return {"phase": self.phase.value, "share": self.share, **plain}
