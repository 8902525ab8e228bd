"""Mirrors: a list is made to hold what a source does, by its changes since the last time; snapshots remember the list.

`mirror_contact_list(..., snapshot=path)` makes them.
"""

import datetime as dt
import time
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

from attrs import field, frozen

from criteo_audiences.errors import JournalError, SnapshotError, UploadFailedError
from criteo_audiences.journals import state_directory
from criteo_audiences.mirrors.facts import changes_of, is_sealed, read_facts
from criteo_audiences.mirrors.options import Baseline, MirrorOptions, MirrorSettings
from criteo_audiences.uploads import UploadReport

__all__ = [
    "Baseline",
    "MirrorOptions",
    "MirrorReport",
    "MirrorSettings",
    "SnapshotState",
    "SnapshotSummary",
    "describe_snapshot",
    "forget",
    "list_snapshots",
    "remove_snapshot",
    "snapshot_directory",
]


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


class SnapshotState(StrEnum):
    """How a snapshot is."""

    COMPLETE = "complete"
    """The last mirror came to its end, and all of it was acknowledged."""
    UNFINISHED = "unfinished"
    """A mirror is under way or was cut short, or a call of it was not answered; the next one goes on from there."""
    DAMAGED = "damaged"


SUFFIX = ".snapshot"
"""Of the files that the command line makes."""


@frozen(kw_only=True)
class SnapshotSummary:
    """What a snapshot holds, in words and counts.

    Attributes:
        path: of its file.
        state: how it is.
        service: the service's name; empty where that cannot be read, as all that follows.
        host: of the API.
        segment_id: the list.
        identifier_type: the kind of identifier.
        hash: how they are hashed; `None` for identifiers in clear.
        baseline: what the first mirror assumed of the list.
        identifiers: how many it holds.
        uncertain: how many of them the list may or may not hold.
        generation: how often it was written.
        written: when, in UTC.
        size: bytes of its file.
    """

    path: Path
    state: SnapshotState
    service: str = ""
    host: str = ""
    segment_id: str = ""
    identifier_type: str = ""
    hash: str | None = None
    baseline: str = ""
    identifiers: int = 0
    uncertain: int = 0
    generation: int = 0
    written: dt.datetime | None = None
    size: int = 0


def describe_snapshot(path: Path) -> SnapshotSummary:
    """Says what a snapshot holds; its rows are held against their checksum, and not shown.

    Raises:
        SnapshotError: when there is none, or it is damaged or none of ours.
    """
    facts = read_facts(path)
    mirrored = facts.mirrored
    is_unfinished = bool(facts.uncertain) or changes_of(path).exists()
    return SnapshotSummary(
        path=path,
        state=SnapshotState.UNFINISHED if is_unfinished else SnapshotState.COMPLETE,
        service=mirrored.service,
        host=mirrored.host,
        segment_id=mirrored.segment_id,
        identifier_type=mirrored.identifier_type,
        hash=mirrored.hash,
        baseline=facts.baseline,
        identifiers=facts.identifiers,
        uncertain=facts.uncertain,
        generation=facts.generation,
        written=facts.moment,
        size=path.stat().st_size,
    )


def snapshot_directory() -> Path | None:
    """Returns where the command line keeps snapshots; `None` for a user without a home directory."""
    journals = state_directory()
    return None if journals is None else journals.with_name("snapshots")


def list_snapshots(directory: Path) -> list[SnapshotSummary]:
    """Describes the snapshots in a directory, by name; a damaged one is among them, other files are not.

    Args:
        directory: where to look, not below it; one that does not exist has none.

    Raises:
        SnapshotError: when the directory cannot be read.
    """
    if not directory.exists():
        return []
    try:
        paths = sorted(path for path in directory.iterdir() if _is_snapshot(path))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise SnapshotError(f"The directory {directory} cannot be read: {reason}.") from None
    return [_described(path) for path in paths]


def remove_snapshot(path: Path) -> None:
    """Removes a snapshot, with the changes and journals of a mirror that was cut short.

    The next mirror of its list needs a baseline then. What does not say that it is a snapshot is left as it is.

    Raises:
        SnapshotError: when there is none, it is none of ours, or a mirror is using it.
    """
    from criteo_audiences.mirrors.snapshot import discard  # noqa: PLC0415 - describing needs no engine

    discard(path)


def forget(
    path: Path, identifiers: Sequence[str], *, now: Callable[[], float] = time.time, journals: Path | None = None
) -> int:
    """Takes identifiers out of a snapshot, so that nothing of a person stays in it.

    What a mirror that was cut short has left is carried on first. The list itself is not changed: remove the
    identifiers from it before, since the next mirror will not.

    Args:
        path: of the snapshot.
        identifiers: in every form in which they may have been sent: normalized in clear, and digests in lower case.
        now: the clock, seconds since 1970.
        journals: the directory of the mirror's journals (default: the snapshot's own).

    Returns:
        How many it held.

    Raises:
        SnapshotError: when there is none, it is in use, damaged, or not the newest one of its list.
        JournalError: when a register or a journal cannot be used.
    """
    from criteo_audiences.mirrors.snapshot import opened  # noqa: PLC0415 - describing needs no engine

    with opened(path, None, journals, now=now) as snapshot:
        return snapshot.leave_out(list(identifiers))


def _is_snapshot(path: Path) -> bool:
    if path.name.startswith(".") or path.suffix == ".changes" or not path.is_file():
        return False
    return path.suffix == SUFFIX or is_sealed(path)


def _described(path: Path) -> SnapshotSummary:
    try:
        return describe_snapshot(path)
    except (SnapshotError, JournalError):
        return SnapshotSummary(path=path, state=SnapshotState.DAMAGED, size=path.stat().st_size)
