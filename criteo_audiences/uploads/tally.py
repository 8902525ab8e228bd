"""Counts an upload's batches as they go out and come back."""

import datetime as dt
import time

from criteo_audiences.batches import Batch
from criteo_audiences.models import IdentifierType
from criteo_audiences.uploads.load import Load
from criteo_audiences.uploads.outcome import BatchResult, Outcome
from criteo_audiences.uploads.report import MOST_SAMPLED


class Tally:
    """Every batch is in flight, ended, abandoned in flight, or was never sent.

    Args:
        load: is told how many batches are in flight.
    """

    def __init__(self, load: Load) -> None:
        self._load = load
        self.started_at = time.monotonic()
        self.elapsed: float | None = None
        self.outcomes: dict[IdentifierType, Outcome] = {}
        self.batches = 0
        self.ended = 0
        self.resumed = 0
        self.in_flight = 0
        self.failures: list[BatchResult] = []
        self.sample_invalid: list[tuple[IdentifierType, str]] = []
        self.accepted_at: dt.datetime | None = None

    def start(self) -> None:
        """A batch is about to be sent."""
        self._change_in_flight(1)

    def finish(self, result: BatchResult) -> None:
        """A batch has come back, one way or the other."""
        self._change_in_flight(-1)
        self.batches += result.sent > 0
        self.ended += 1
        self._add(result.kind, result.outcome)
        if result.error is not None:
            self.failures.append(result)
            return
        if result.ok:
            self.accepted_at = dt.datetime.now(dt.UTC)
        sample = (result.receipt.sample_invalid or ()) if result.receipt else ()
        room = MOST_SAMPLED - len(self.sample_invalid)
        self.sample_invalid += [(result.kind, identifier) for identifier in sample[:room]]

    def resume(self, result: BatchResult, accepted_at: dt.datetime) -> None:
        """A batch need not be sent, because an earlier run got it acknowledged."""
        self.batches += 1
        self.ended += 1
        self.resumed += 1
        self._add(result.kind, result.outcome)
        self.accepted_at = max(accepted_at, self.accepted_at or accepted_at)

    def abandon(self, batch: Batch, kind: IdentifierType, *, sent: bool) -> None:
        """A batch was given up before an answer came; one that no request carried yet is not counted as sent."""
        self._change_in_flight(-1)
        if sent:
            self.batches += 1
            self._add(kind, Outcome(unknown=batch.count))

    def refused(self) -> dict[IdentifierType, set[str]]:
        """Returns the identifiers that Criteo showed as refused, by kind."""
        refused: dict[IdentifierType, set[str]] = {}
        for kind, identifier in self.sample_invalid:
            refused.setdefault(kind, set()).add(identifier)
        return refused

    @property
    def accepted(self) -> int:
        """Batches that Criteo took, in this run or an earlier one."""
        return self.ended - len(self.failures)

    @property
    def outcome(self) -> Outcome:
        """The fate of everything put into calls."""
        return sum(self.outcomes.values(), Outcome())

    def _add(self, kind: IdentifierType, outcome: Outcome) -> None:
        self.outcomes[kind] = self.outcomes.get(kind, Outcome()) + outcome

    def _change_in_flight(self, by: int) -> None:
        self.in_flight += by
        self._load.change(by)

    def close(self) -> None:
        """The upload is over."""
        if self.elapsed is None:
            self.elapsed = time.monotonic() - self.started_at

    def seconds(self) -> float:
        """Seconds since the start, or the whole time once it is over."""
        return time.monotonic() - self.started_at if self.elapsed is None else self.elapsed
