"""Mirrors make a list equal to a source by sending only the changes; a snapshot remembers the content of the list.

`mirror_contact_list(..., snapshot=path)` creates them.
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
    """What a mirror did, or, after a dry run, what it would do.

    Attributes:
        added: identifiers of the source that the list was not known to contain.
        removed: identifiers of the list that are not in the source.
        unchanged: identifiers that are in both, for which no call is made.
        source: the report on reading the source.
        removals: the report of the upload that removes, which runs first; empty if nothing was removed.
        additions: the report of the upload that adds.
        uncertain: identifiers that the list may or may not contain, because a call with them failed or was not
            answered; the next mirror sends them again.
        notes: remarks on the list, a sentence each, such as that something else has operated on it.
        dry_run: whether it was a dry run, which sends nothing.
        planned_calls: calls that the changes take without retries.
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
        """Calls that changed the list, including retries; after a dry run, the calls that it would take."""
        return self.planned_calls if self.dry_run else self.removals.calls + self.additions.calls

    @property
    def ok(self) -> bool:
        """Whether the list now equals the source, as far as Criteo has acknowledged the changes.

        A dry run is judged by reading the source only. A source with rows that break `fail_on` or `max_rejected` is not
        `.ok` in any case.
        """
        return not any(self._complaints())

    def explain(self) -> str:
        """Returns a sentence or two on why the mirror is not `.ok`; an empty text if it is."""
        return " ".join(self._complaints())

    def raise_for_failures(self) -> None:
        """Raises when the mirror is not `.ok`.

        Raises:
            UploadFailedError: when it is not; contains counts, codes and this report.
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
    """The state of a snapshot."""

    COMPLETE = "complete"
    """The last mirror ended, and all its changes were acknowledged."""
    UNFINISHED = "unfinished"
    """A mirror is under way or was interrupted, or a call of it was not answered; the next one continues from there."""
    DAMAGED = "damaged"


SUFFIX = ".snapshot"
"""The suffix of the snapshots that the command line creates."""


@frozen(kw_only=True)
class SnapshotSummary:
    """A summary of a snapshot.

    Attributes:
        path: the path of its file.
        state: its state.
        service: the service's name; this and the attributes below are empty if the snapshot cannot be read.
        host: the host of the API.
        segment_id: the list.
        identifier_type: the kind of identifier.
        hash: how the identifiers are hashed; `None` for identifiers in clear.
        baseline: what the first mirror assumed about the list.
        identifiers: number of identifiers in it.
        uncertain: how many of them the list may or may not contain.
        generation: number of the version; each new version has a higher one.
        written: when it was written, in UTC.
        size: bytes of its file; always set.
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
    """Returns a summary of a snapshot, after its checksum has been verified; it shows no identifier.

    Raises:
        SnapshotError: when it does not exist, is damaged or no snapshot.
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
    """Returns the directory in which the command line keeps snapshots; `None` for a user without a home directory."""
    journals = state_directory()
    return None if journals is None else journals.with_name("snapshots")


def list_snapshots(directory: Path) -> list[SnapshotSummary]:
    """Returns summaries of the snapshots in a directory, sorted by name, including damaged ones; ignores other files.

    Args:
        directory: the directory, without those below it; if it does not exist, the result is empty.

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
    """Removes a snapshot, with the changes and journals of a mirror that was interrupted.

    The next mirror of its list then needs a baseline. A file that is no snapshot is not removed.

    Raises:
        SnapshotError: when it does not exist, is no snapshot, or a mirror is using it.
    """
    from criteo_audiences.mirrors.snapshot import discard  # noqa: PLC0415 - describing needs no engine

    discard(path)


def forget(
    path: Path, identifiers: Sequence[str], *, now: Callable[[], float] = time.time, journals: Path | None = None
) -> int:
    """Removes identifiers from a snapshot, so that no data of a person stay in it.

    It first applies the acknowledged changes of a mirror that was interrupted. It does not change the list itself:
    remove the identifiers from the list before, since the next mirror will not.

    Args:
        path: the path of the snapshot.
        identifiers: every form in which they may have been sent: normalized in clear, and digests in lower case.
        now: the clock, seconds since 1970.
        journals: the directory of the mirror's journals (default: the snapshot's own).

    Returns:
        How many of them the snapshot contained.

    Raises:
        SnapshotError: when it does not exist, is in use, damaged, or not the newest snapshot of its list.
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
