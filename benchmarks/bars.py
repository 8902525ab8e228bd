"""A figure and the bound that it should keep."""

import sys
from collections.abc import Iterable

from attrs import frozen


@frozen
class Bar:
    """A figure and the bound that it should keep.

    Attributes:
        what: the figure's name.
        value: what was measured.
        least: the smallest that is good, if there is one.
        most: the largest that is good, if there is one.
    """

    what: str
    value: float
    least: float | None = None
    most: float | None = None

    @property
    def holds(self) -> bool:
        """Whether it keeps it."""
        return (self.least is None or self.value >= self.least) and (self.most is None or self.value <= self.most)

    def __str__(self) -> str:
        bounds = [f"{sign} {bound:,g}" for sign, bound in ((">=", self.least), ("<=", self.most)) if bound is not None]
        return f"{'PASS' if self.holds else 'FAIL'}  {self.what}: {self.value:,.3f} ({', '.join(bounds)})"


def conclude(bars: Iterable[Bar], *, check: bool) -> None:
    """Prints whether each bar holds; ends the process with 1 when one does not and that is asked for."""
    verdicts = list(bars)
    print(*verdicts, sep="\n")
    if check and not all(bar.holds for bar in verdicts):
        sys.exit(1)
