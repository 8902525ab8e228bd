"""What people see: the report of an upload, and what a dry run foretells."""

import datetime as dt
import math
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from criteo_audiences import live_from
from criteo_audiences.cli.options import in_option_spelling
from criteo_audiences.cli.streams import print_result

if TYPE_CHECKING:  # slow to import: most commands upload nothing
    from criteo_audiences import Quota, UploadReport

_MINUTE: Final = 60


@frozen(kw_only=True)
class Plan:
    """An upload that is not made yet.

    Attributes:
        calls: that it takes, if none has to be repeated.
        quota: calls that the login may make.
        assumed: whether the quota is a guess, because there is no login.
    """

    calls: int
    quota: "Quota"
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
    """Prints what `str(report)` says but for its verdict, which comes last of all; and the plan of a dry run."""
    for line in str(report).splitlines()[:-1]:
        print_result(in_option_spelling(line) if line == report.hint else line)
    if plan is not None:
        print_result(plan.cost())
        if plan.seconds or plan.assumed:  # otherwise that has said it all
            print_result(plan.foretell(dt.datetime.now(dt.UTC)))
        if plan.calls and not report.window_warning:
            print_result(plan.live(dt.datetime.now(dt.UTC)))
