"""What people see: the report and the progress of an upload."""

import datetime as dt
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from criteo_audiences import Quota
from criteo_audiences.cli.streams import print_result

if TYPE_CHECKING:  # slow to import: most commands upload nothing, and show no progress
    from rich.console import Console

    from criteo_audiences import Progress, UploadReport

_LINE_EVERY: Final = 10.0
_MINUTE: Final = 60
_MINUTES: Final = 60
_MOST_ROWS: Final = 20


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
        return f"It would take {calls}: {wait} under a quota of {self.quota.calls:,} a minute."

    def foretell(self, now: dt.datetime) -> str:
        """Says when the last call could go out, and whose quota that is counted with."""
        if self.assumed:
            why = f"assuming {self.quota.calls:,} calls a minute, since no credentials are set"
        else:
            why = f"the login's quota is {self.quota.calls:,} calls a minute"
        return f"Started now, its last call could go out {self._moment(now)}: {why}."

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
        }


def print_report(report: "UploadReport", plan: Plan | None = None) -> None:
    """Prints what `str(report)` says but for its verdict, which comes last of all; and the plan of a dry run."""
    for line in str(report).splitlines()[:-1]:
        print_result(line)
    if plan is not None:
        print_result(plan.cost())
        if plan.seconds or plan.assumed:  # otherwise that has said it all
            print_result(plan.foretell(dt.datetime.now(dt.UTC)))


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
