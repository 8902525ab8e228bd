"""What stories have done, and what came of it."""

from collections import Counter
from typing import Final

from attrs import define, field
from between import FORCED

BATCHES: Final = 40
BATCH_SIZE: Final = 25


@define
class Figures:
    """What was done and what came of it, over all stories."""

    stories: int = 0
    runs: int = 0
    kills: int = 0
    faults: int = 0
    calls: int = 0
    repeated_after_kills: int = 0
    most_repeated: int = 0
    lost: int = 0
    surplus: int = 0
    acknowledged_sent_again: int = 0
    beyond_in_flight: int = 0
    wrong_reports: int = 0
    resumed_unasked: int = 0
    begun_anew: Counter[str] = field(factory=Counter)
    resumed_by_consent: Counter[str] = field(factory=Counter)
    between: Counter[str] = field(factory=Counter)
    endings: Counter[str] = field(factory=Counter)

    @property
    def clean(self) -> bool:
        """Whether nothing was lost, repeated without need, or reported wrongly."""
        again = self.acknowledged_sent_again or self.beyond_in_flight or self.resumed_unasked
        return not (self.lost or self.surplus or again or self.wrong_reports)

    @property
    def never(self) -> list[str]:
        """What should come in between and never did, or never had the consequence that it is there for."""
        happened = {False: self.begun_anew, True: self.resumed_by_consent}
        word = {False: "begun anew", True: "resumed by consent"}
        return [f"{word[consents]} after {kind}" for kind, consents in FORCED if not happened[consents][kind]]

    def __str__(self) -> str:
        return "\n".join(
            (
                f"uploads of {BATCHES} batches             {self.stories:>7,}",
                f"runs                               {self.runs:>7,}",
                f"kills                              {self.kills:>7,}",
                f"faults met                         {self.faults:>7,}",
                f"calls                              {self.calls:>7,}",
                f"batches sent again after a kill    {self.repeated_after_kills:>7,}  (after one kill: {self.most_repeated})",
                f"  not on record, beyond in flight   {self.beyond_in_flight:>7,}",
                f"identifiers lost                   {self.lost:>7,}",
                f"identifiers nobody sent            {self.surplus:>7,}",
                f"acknowledged batches sent again    {self.acknowledged_sent_again:>7,}",
                f"wrong reports                      {self.wrong_reports:>7,}",
                f"resumed over something unasked     {self.resumed_unasked:>7,}",
                f"came in between: {_listed(self.between)}",
                f"begun anew after: {_listed(self.begun_anew)}",
                f"resumed by consent after: {_listed(self.resumed_by_consent)}",
                f"never happened: {', '.join(self.never) or 'nothing'}",
                f"ended by {_listed(self.endings)}",
            )
        )


def _listed(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counter.most_common())
