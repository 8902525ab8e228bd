"""What a snapshot says of itself, and whether it is the right one."""

import datetime as dt
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Self

from attrs import asdict, evolve, field, fields, frozen

from criteo_audiences.errors import SnapshotError
from criteo_audiences.mirrors.sealed import SNAPSHOT_LOST, read_note

_CLOCK_TOLERANCE: Final = 60.0
"""Seconds by which two machines' clocks, or one that is being set right, may differ."""


def _lowered(host: str) -> str:
    return host.lower()


@frozen(kw_only=True)
class MirroredList:
    """The list of a snapshot, and how its identifiers are sent: another value makes it another snapshot.

    Attributes:
        service: its name, as a word.
        host: of the API.
        segment_id: the list.
        identifier_type: the kind of identifier.
        hash: how they are hashed; `None` sends them in clear.
    """

    service: str
    host: str = field(converter=_lowered)
    segment_id: str
    identifier_type: str
    hash: str | None

    @property
    def place(self) -> tuple[str, str, str]:
        """By which a ledger knows the list."""
        return self.service, self.host, self.segment_id

    def differences(self, other: "MirroredList") -> Iterator[str]:
        """Yields what another list has differently, as "is of this, not of that"."""
        if (self.service, self.segment_id) != (other.service, other.segment_id):
            yield f"segment {self.segment_id} of {self.service}, not {other.segment_id} of {other.service}"
        for name in ("host", "identifier_type", "hash"):
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine != theirs:
                yield f"{name}={mine}, not {theirs}"


@frozen(kw_only=True)
class Facts:
    """What a snapshot says of itself.

    Attributes:
        mirrored: of which list it is.
        baseline: what the first mirror assumed of the list.
        identifiers: how many it holds, those that are uncertain included.
        uncertain: how many of them the list may or may not hold, because a call on them was not answered.
        generation: grows with each writing, so that an older copy is recognized.
        token: names this writing.
        marks: what ledgers may have as the last operation on the list if nothing else has operated on it since.
        after: the token of the changes that led to it; `None` for a first one.
        written: when, in seconds since 1970.
    """

    mirrored: MirroredList
    baseline: str
    identifiers: int = 0
    uncertain: int = 0
    generation: int
    token: str = field(factory=lambda: uuid.uuid4().hex)
    marks: tuple[str, ...] = ()
    after: str | None = None
    written: float

    @property
    def name(self) -> str:
        """By which a ledger knows this writing."""
        return f"{self.generation}-{self.token}"

    @property
    def moment(self) -> dt.datetime:
        """When it was written."""
        return dt.datetime.fromtimestamp(self.written, dt.UTC)

    def to_note(self) -> dict[str, Any]:
        """Returns JSON-safe values."""
        return {"kind": "snapshot", **asdict(self)}

    @classmethod
    def from_note(cls, note: Mapping[str, Any], path: Path) -> Self:
        """Reads what `to_note` returned.

        Raises:
            SnapshotError: when it is not of a snapshot, or something is missing.
        """
        try:
            values = {each.name: note[each.name] for each in fields(cls)}
            values["mirrored"] = MirroredList(**values["mirrored"])
            values["marks"] = tuple(values["marks"])
            return cls(**values)
        except (KeyError, TypeError):
            raise SnapshotError(f"The snapshot {path} is damaged: {SNAPSHOT_LOST}.") from None

    def require_usable(self, path: Path, wanted: MirroredList, now: float) -> None:
        """Refuses a snapshot of something else, and one that was written in the future.

        Raises:
            SnapshotError: with what is different.
        """
        if differences := list(self.mirrored.differences(wanted)):
            raise SnapshotError(
                f"The snapshot {path} is of {' and of '.join(differences)}: name the list's own, or a new path."
            )
        if self.written > now + _CLOCK_TOLERANCE:
            raise SnapshotError(
                f"The snapshot {path} was written at {self.moment:%Y-%m-%d %H:%M:%S} UTC, which lies ahead of this "
                "machine's clock: set the clock right."
            )

    def require_newest(self, path: Path, known: str | None) -> None:
        """Refuses a snapshot when a ledger knows a newer one of the list.

        Args:
            path: of the snapshot, for the message.
            known: the name of the newest one that the ledger knows.

        Raises:
            SnapshotError: when this is an older copy, or another run's.
        """
        if known is None:
            return
        newest = generation_of(known)
        if newest > self.generation or (newest == self.generation and known != self.name):
            raise SnapshotError(
                f"The snapshot {path} is not the newest of its list: it is generation {self.generation}, and "
                f"generation {newest} is known here. Bring the newest one back, or {SNAPSHOT_LOST}."
            )

    def holding(self, identifiers: int) -> "Facts":
        """Returns the same facts of so many identifiers."""
        return evolve(self, identifiers=identifiers)

    def next(self, now: float, **changes: Any) -> "Facts":
        """Returns the facts of the next writing."""
        renewed = {"generation": self.generation + 1, "token": uuid.uuid4().hex, "written": max(now, self.written)}
        return evolve(self, **{**renewed, **changes})


@frozen(kw_only=True)
class Intent:
    """What a file of changes says of itself: what a mirror is about to send.

    Attributes:
        of: the token of the snapshot it changes.
        generation: the one after that snapshot's.
        token: names it, also in the ledgers.
        journals: the directory of the two uploads' journals.
    """

    of: str
    generation: int
    token: str = field(factory=lambda: uuid.uuid4().hex)
    journals: str

    @property
    def name(self) -> str:
        """By which a ledger knows it."""
        return f"{self.generation}-{self.token}"

    def to_note(self) -> dict[str, Any]:
        """Returns JSON-safe values."""
        return {"kind": "changes", **asdict(self)}

    @classmethod
    def from_note(cls, note: Mapping[str, Any], path: Path) -> Self:
        """Reads what `to_note` returned.

        Raises:
            SnapshotError: when something is missing.
        """
        try:
            return cls(**{each.name: note[each.name] for each in fields(cls)})
        except (KeyError, TypeError):
            raise SnapshotError(f"The file of changes {path} is damaged: {SNAPSHOT_LOST}.") from None


def read_facts(path: Path) -> Facts:
    """Returns what a snapshot says of itself, once it has been held against its checksum.

    Raises:
        SnapshotError: when there is none, or it is damaged, none of ours or of a newer release.
    """
    note = read_note(path)
    if note is None:
        raise SnapshotError(f"There is no snapshot {path}.")
    return Facts.from_note(note, path)


def generation_of(name: str | None) -> int:
    """Returns the generation in a name, 0 without one."""
    number = (name or "").partition("-")[0]
    return int(number) if number.isdigit() else 0


def changes_of(path: Path) -> Path:
    """Returns where the changes of a snapshot are while they are sent."""
    return path.with_name(f"{path.name}.changes")
