"""What people see: the report and the progress of an upload."""

import datetime as dt
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from criteo_audiences import Quota, live_from
from criteo_audiences.cli.streams import print_result

if TYPE_CHECKING:  # slow to import: most commands upload nothing, and show no progress
    from rich.console import Console

    from criteo_audiences import Progress, UploadReport

_LINE_EVERY: Final = 10.0
_MINUTE: Final = 60
_MINUTES: Final = 60
_MOST_ROWS: Final = 20
_LIMITS: Final[Mapping[str, str]] = {
    "quota": "the quota",
    "round_trips": "the round trips",
    "memory": "--max-in-flight-bytes",
    "source": "the source",
    "max_concurrency": "--max-concurrency",
}
"""What there would be more in flight without."""


@frozen(kw_only=True)
class Plan:
    """An upload that is not made yet.

    Attributes:
        calls: that it takes, if none has to be repeated.
        quota: calls that the login may make.
        assumed: whether the quota is a guess, because there is no login.
    """

    calls: int
    quota: Quota
    assumed: bool

    @property
    def seconds(self) -> float:
        """Seconds before the last call may start: a window may be spent at once, and then comes the next."""
        return max(0, math.ceil(self.calls / self.quota.calls) - 1) * self.quota.period

    def cost(self) -> str:
        """Says what an upload would take of the quota."""
        calls = "1 call" if self.calls == 1 else f"{self.calls:,} calls"
        wait = f"at least {self.seconds / _MINUTE:,.0f} min" if self.seconds else "no wait"
        return f"would take {calls}: {wait} under a quota of {self.quota.calls:,} a minute"

    def foretell(self, now: dt.datetime) -> str:
        """Says when the last call could go out, and whose quota that is counted with."""
        if self.assumed:
            why = f"assuming {self.quota.calls:,} calls a minute, since no credentials are set"
        else:
            why = f"the login's quota is {self.quota.calls:,} calls a minute"
        return f"Started now, its last call could go out {self._moment(now)}: {why}."

    def live(self, now: dt.datetime) -> str:
        """Says when all of it would be live."""
        return f"Sent now, it would be live from about {live_from(self._earliest(now)):%Y-%m-%d %H:%M} UTC."

    def _moment(self, now: dt.datetime) -> str:
        if not self.seconds:
            return "at once"
        return f"at {self._earliest(now):%Y-%m-%d %H:%M} UTC at the earliest"

    def _earliest(self, now: dt.datetime) -> dt.datetime:
        return now.astimezone(dt.UTC) + dt.timedelta(seconds=self.seconds)

    def to_dict(self, now: dt.datetime) -> dict[str, Any]:
        """Returns JSON-safe values."""
        return {
            "calls": self.calls,
            "calls_a_window": self.quota.calls,
            "window_seconds": self.quota.period,
            "quota_assumed": self.assumed,
            "seconds": self.seconds,
            "earliest_last_call": self._earliest(now).isoformat(timespec="seconds"),
            "live_from": live_from(self._earliest(now)).isoformat(),
        }


def print_report(report: "UploadReport", plan: Plan | None = None) -> None:
    """Prints where every row went, and what became of every identifier sent, or would by the plan of a dry run."""
    figures = (*_rows_in(report), *(_rows_out(report) if plan is None else _rows_planned(report, plan)))
    rows = [(label, _count(number), remark) for label, number, remark in figures]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for label, number, remark in rows:
        print_result(f"{label:<{widths[0]}}  {number:>{widths[1]}}  {remark}")
    if report.invalid_rows:
        print_result(_refused_line(report))
    if report.warnings:
        warned = (f"{code} {times:,}" for code, times in report.warnings.items())
        print_result(f"Criteo warned in its answers: {', '.join(warned)}")
    print_result(_closing_line(report))
    if plan is not None and (plan.seconds or plan.assumed):  # otherwise `cost` has said it all
        print_result(plan.foretell(dt.datetime.now(dt.UTC)))
    if plan is not None and plan.calls:
        print_result(report.window_warning or plan.live(dt.datetime.now(dt.UTC)))
    if report.hint and not report.failures:  # what to do about those comes first
        print_result(report.hint)


def _count(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"


def _rows_in(report: "UploadReport") -> Iterator[tuple[str, int | None, str]]:
    reasons = sorted(report.rejected.items(), key=lambda entry: -entry[1])
    columns = ", ".join(repr(column) for column in report.columns)
    heading = "column" if len(report.columns) == 1 else "columns"
    yield "rows read", report.read, f"{heading} {columns}" if columns else ""
    yield "  rejected", report.rejected_total, ", ".join(f"{reason} {count:,}" for reason, count in reasons)
    if report.suppressed or report.opt_outs is not None:
        yield "  suppressed", report.suppressed, _opt_outs(report)
    yield "  duplicates", report.duplicates, "" if report.duplicates is not None else "not looked for"


def _opt_outs(report: "UploadReport") -> str:
    if report.opt_outs is None:
        return "have opted out"
    unusable = f", {report.unusable_opt_outs:,} cannot be used" if report.unusable_opt_outs else ""
    return f"have opted out; {_counted(report.opt_outs, 'opt-out', 'opt-outs')}{unusable}"


def _rows_planned(report: "UploadReport", plan: Plan) -> Iterator[tuple[str, int | None, str]]:
    distinct = "" if report.duplicates is None else "distinct, "
    yield "  to send", report.pending, distinct + plan.cost()


def _rows_out(report: "UploadReport") -> Iterator[tuple[str, int | None, str]]:
    if report.pending:
        yield "  not sent", report.pending, "pending"
    yield "  sent", report.sent, _cost(report)
    yield "    accepted", report.valid, ""
    yield "    refused", report.invalid, "by Criteo, as invalid" if report.invalid else ""
    if report.unreported:
        yield "    unreported", report.unreported, "Criteo's counts leave them open"
    yield "    failed", report.failed, ""
    yield "    unknown", report.unknown, "no answer; sending them again does no harm" if report.unknown else ""


def _cost(report: "UploadReport") -> str:
    parts = [_counted(report.batches, "batch", "batches"), _counted(report.calls, "call", "calls")]
    if report.resumed:
        parts.append(f"{report.resumed:,} by an earlier run")
    if report.retries:
        parts.append(_counted(report.retries, "retry", "retries"))
    if report.already_hashed:
        parts.append(f"{report.already_hashed:,} came hashed")
    return ", ".join(parts)


def _counted(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def _refused_line(report: "UploadReport") -> str:
    """Returns a line with the first rows that Criteo refused, by file and column; the JSON document lists them all."""
    places: dict[tuple[str, str], list[int]] = {}
    for row in report.invalid_rows[:_MOST_ROWS]:
        places.setdefault((row.file, row.column), []).append(row.row)
    others = ", among others" if report.invalid > min(len(report.invalid_rows), _MOST_ROWS) else ""
    return f"Criteo refused{others}: {'; '.join(_place(*place, rows) for place, rows in places.items())}."


def _place(file: str, column: str, rows: Sequence[int]) -> str:
    numbers = ", ".join(f"{row:,}" for row in rows)
    word = "row" if len(rows) == 1 else "rows"
    return f"{file} {word} {numbers}".lstrip() + (f" ({column})" if column else "")


def _closing_line(report: "UploadReport") -> str:
    if report.dry_run:
        return f"Dry run: nothing was sent. {report.elapsed:.1f} s."
    rate = f", {report.sent / report.elapsed:,.0f} identifiers a second" if report.elapsed and report.sent else ""
    limit = (
        ""
        if report.limited_by is None
        else f" At most {_batches(report)} in flight, limited by {_LIMITS[report.limited_by]}."
    )
    return f"{report.elapsed:.1f} s{rate}, {report.waited:.1f} s of them waiting for the quota.{limit}{_live(report)}"


def _live(report: "UploadReport") -> str:
    if report.live_from is None:
        return ""
    part = report.partly_live_from
    early = f", in part from {part:%Y-%m-%d %H:%M}: a computation came in between" if part else ""
    return f" Live from about {report.live_from:%Y-%m-%d %H:%M} UTC{early}."


def _batches(report: "UploadReport") -> str:
    return "1 batch" if report.most_in_flight == 1 else f"{report.most_in_flight} batches"


@contextmanager
def progress_shown() -> Iterator[Callable[["Progress"], None]]:
    """Shows progress on standard error while the block lasts; yields what to call with each `Progress`.

    A terminal gets a bar; a file or the log of a job gets a line every ten seconds.
    """
    from rich.console import Console  # noqa: PLC0415 - see above

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if not console.is_terminal or console.is_dumb_terminal:
        yield _lines(console)
        return
    from rich import progress as bars  # noqa: PLC0415 - slow to import, and only a terminal shows a bar

    columns = (
        bars.BarColumn(bar_width=24),
        bars.TextColumn("{task.description}"),
        bars.TimeElapsedColumn(),
    )
    with bars.Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("starting", total=None)

        def show(progress: "Progress") -> None:
            share = progress.share_staged if progress.share_read is None else progress.share_read
            bar.update(task, description=_text(progress), total=None if share is None else 1.0, completed=share or 0.0)

        yield show


def _lines(console: "Console") -> Callable[["Progress"], None]:
    due = _LINE_EVERY

    def show(progress: "Progress") -> None:
        nonlocal due
        if progress.elapsed >= due:
            due = progress.elapsed + _LINE_EVERY
            console.print(f"{progress.elapsed:,.0f} s:{_share(progress)} {_text(progress)}", markup=False)

    return show


def _share(progress: "Progress") -> str:
    if progress.share_read is not None:
        return f" of the file {progress.share_read:.0%},"
    return "" if progress.share_staged is None else f" reading the file, {progress.share_staged:.0%},"


def _text(progress: "Progress") -> str:
    rate = progress.sent / progress.elapsed if progress.elapsed else 0.0
    text = f"{progress.read:,} read, {progress.sent:,} sent ({rate:,.0f}/s), {progress.in_flight} in flight"
    text += f" (limit: {_LIMITS[progress.limited_by]})" if progress.in_flight and not progress.is_waiting else ""
    waited = f", waited {progress.waited:.0f} s for the quota" if progress.waited >= 1 else ""
    if progress.is_waiting:
        waited = ", waiting for the quota" + (f" ({progress.waited:.0f} s so far)" if progress.waited >= 1 else "")
    return text + waited + ("" if progress.remaining is None else f", about {_span(progress.remaining)} left")


def _span(seconds: float) -> str:
    """Says how long an estimate is, no finer than it can be."""
    if seconds < _MINUTE:
        return f"{math.ceil(seconds)} s"
    minutes = math.ceil(seconds / _MINUTE)
    return f"{minutes} min" if minutes < _MINUTES else f"{minutes // _MINUTES} h {minutes % _MINUTES} min"
