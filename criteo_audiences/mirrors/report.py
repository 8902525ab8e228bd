"""What a mirror did."""

from collections.abc import Iterator
from typing import Any

from attrs import field, frozen

from criteo_audiences.errors import UploadFailedError
from criteo_audiences.uploads import UploadReport


@frozen(kw_only=True)
class MirrorReport:
    """What a mirror did, or after a dry run would do.

    Attributes:
        added: identifiers of the source that the list was not known to hold.
        removed: identifiers of the list that the source does not hold.
        unchanged: identifiers that both hold, for which no call is made.
        source: what became of the rows of the source.
        removals: the upload that removed, which goes first; of nothing when nothing was removed.
        additions: the upload that added.
        uncertain: identifiers that the list may or may not hold, because a call on them failed or was not answered; the
            next mirror sends them again.
        notes: what to know of the list, a sentence each, such as that something else has operated on it.
        dry_run: whether nothing was to be sent.
        planned_calls: calls that the changes take when none is repeated.
    """

    added: int
    removed: int
    unchanged: int
    source: UploadReport
    removals: UploadReport = field(factory=UploadReport)
    additions: UploadReport = field(factory=UploadReport)
    uncertain: int = 0
    notes: tuple[str, ...] = ()
    dry_run: bool = False
    planned_calls: int = 0

    @property
    def calls(self) -> int:
        """Calls that changed the list, retries included; after a dry run those that it would take."""
        return self.planned_calls if self.dry_run else self.removals.calls + self.additions.calls

    @property
    def ok(self) -> bool:
        """Whether the list now holds what the source does, as far as Criteo has acknowledged it.

        A dry run, and a source whose rows break a policy of `fail_on` or `max_rejected`, are judged by the source.
        """
        return not any(self._complaints())

    def explain(self) -> str:
        """Says in a sentence or two what is not as it should be; empty when everything is."""
        return " ".join(self._complaints())

    def raise_for_failures(self) -> None:
        """Raises when the mirror is not `.ok`.

        Raises:
            UploadFailedError: with counts, codes and this report.
        """
        if not self.ok:
            raise UploadFailedError(self.explain(), report=self)

    def _complaints(self) -> Iterator[str]:
        if not self.source.ok:
            yield self.source.explain()
        for count, upload, word in (
            (self.removed, self.removals, "removals"),
            (self.added, self.additions, "additions"),
        ):
            if count and not self.dry_run and not upload.ok:
                yield f"The {word} are incomplete: {upload.explain()}"

    def to_dict(self) -> dict[str, Any]:
        """Returns JSON-safe values, without an identifier."""
        return {
            "ok": self.ok,
            "dry_run": self.dry_run,
            "added": self.added,
            "removed": self.removed,
            "unchanged": self.unchanged,
            "uncertain": self.uncertain,
            "calls": self.calls,
            "notes": list(self.notes),
            "source": self.source.to_dict(),
            "removals": self.removals.to_dict(),
            "additions": self.additions.to_dict(),
        }
