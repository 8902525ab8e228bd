"""The facts about a snapshot, checks that it is the right one, and its file format (a sealed file).

A sealed file is a Parquet file with a note of what it is, and a checksum of all its bytes. Both are in the footer
(Parquet's key-value metadata), so that it remains a single, regular Parquet file.
"""

import datetime as dt
import errno
import json
import os
import re
import stat
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, Self

from attrs import asdict, evolve, field, fields, frozen
from xxhash import xxh3_128

from criteo_audiences.errors import SnapshotError
from criteo_audiences.journals.sqlite_file import objection_to_file, objection_to_place

FORMAT: Final = 1
"""Version of the format; a file with a later version is refused."""

_MAGIC: Final = b"PAR1"
_PREFIX: Final = "criteo-audiences:"
_BLANK: Final = "0" * 32
_SEAL: Final = re.compile(rb"criteo-audiences:([0-9a-f]{32}):([0-9]{6}):")
_LONGEST_FOOTER: Final = 1 << 24
_PIECE: Final = 1 << 20
_PRIVATE: Final = 0o600

SNAPSHOT_LOST: Final = "remove it and mirror once with a baseline (--baseline unknown)"
"""Advice for a snapshot that cannot be used."""

_CHANGES_LOST: Final = "remove it and the snapshot, and mirror once with a baseline (--baseline unknown)"
"""Advice if it is unknown which changes were sent; the snapshot must go, too, because it excludes a baseline."""


def note_of(facts: Mapping[str, Any]) -> str:
    """Returns the text for a file's footer: the facts, and a placeholder for the checksum that `seal` fills in."""
    text = json.dumps({"format": FORMAT, **facts})
    return f"{_PREFIX}{_BLANK}:{len(text):06d}:{text}"


def seal(path: Path) -> None:
    """Completes a file with a `note_of` in its footer: sets its mode, writes its checksum, and calls fsync.

    Raises:
        OSError: when it cannot be written.
    """
    path.chmod(_PRIVATE)
    with path.open("r+b") as file:
        place, _ = _found(file, path)
        checksum = _checksum(file, place)
        file.seek(place)
        file.write(checksum)
        file.flush()
        os.fsync(file.fileno())


def publish(path: Path, target: Path) -> None:
    """Gives a sealed file its final name, atomically and so that it survives a power failure.

    Raises:
        OSError: when it cannot be moved.
    """
    path.replace(target)
    if os.name == "posix":
        descriptor = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def read_note(path: Path, what: str = "snapshot") -> dict[str, Any] | None:
    """Returns the note in a file's footer, after its checksum has been verified; `None` if there is no file.

    Raises:
        SnapshotError: when the file is damaged, not ours, of a later release, or not to be trusted.
    """
    with _opened(path, what) as file:
        if file is None:
            return None
        place, note = _found(file, path, what)
        if note["format"] > FORMAT:
            raise _refused(path, what, "was written by a newer release: use that one")
        file.seek(place)
        if file.read(len(_BLANK)) != _checksum(file, place):
            raise _refused(path, what, f"is damaged, its checksum does not fit: {_way_out(what)}")
        return note


def is_sealed(path: Path) -> bool:
    """Returns whether a file has our note in its footer; does not verify its checksum."""
    try:
        with _opened(path, "snapshot") as file:
            return file is not None and bool(_found(file, path))
    except (SnapshotError, OSError):
        return False


@contextmanager
def _opened(path: Path, what: str) -> Iterator[BinaryIO | None]:
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        yield None
        return
    except OSError as error:
        reason = "is a link" if error.errno == errno.ELOOP else f"cannot be read: {error.strerror}"
        raise _refused(path, what, reason) from None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise _refused(path, what, "is no plain file: name another path")
        if claim := objection_to_file(status):
            raise _refused(path, what, claim)
        if claim := objection_to_place(path.parent):
            raise _refused(path, what, f"cannot be trusted because {claim}")
        try:
            yield file
        except OSError as error:
            raise _refused(path, what, f"cannot be read: {error.strerror or type(error).__name__}") from None


def _found(file: BinaryIO, path: Path, what: str = "snapshot") -> tuple[int, dict[str, Any]]:
    """Returns the position of the checksum in a file, and the note.

    Raises:
        SnapshotError: when the file contains none, or the note is damaged.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if file.read(len(_MAGIC)) != _MAGIC:
        raise _refused(path, what, f"is no {what} of this library, and is left as it is: name another path")
    file.seek(max(0, size - 8))
    tail = file.read(8)
    length = int.from_bytes(tail[:4], "little")
    if size < 12 or tail[4:] != _MAGIC or not 0 < length <= min(size - 12, _LONGEST_FOOTER):  # noqa: PLR2004 - of the format
        raise _refused(path, what, f"is cut off: {_way_out(what)}")
    start = size - 8 - length
    file.seek(start)
    footer = file.read(length)
    seal_ = _SEAL.search(footer)
    if seal_ is None:
        raise _refused(path, what, f"is no {what} of this library, and is left as it is: name another path")
    try:
        note = json.loads(footer[seal_.end() : seal_.end() + int(seal_[2])])
    except ValueError:
        note = None
    if not isinstance(note, dict) or not isinstance(note.get("format"), int):
        raise _refused(path, what, f"is damaged: {_way_out(what)}")
    return start + seal_.start(1), note


def _checksum(file: BinaryIO, place: int) -> bytes:
    """Returns the checksum of a file, computed with the placeholder in its place; it detects accidents, not attacks."""
    checksum = xxh3_128()
    file.seek(0)
    left = place
    while left and (piece := file.read(min(left, _PIECE))):
        checksum.update(piece)
        left -= len(piece)
    checksum.update(_BLANK.encode())
    file.seek(place + len(_BLANK))
    while piece := file.read(_PIECE):
        checksum.update(piece)
    return checksum.hexdigest().encode()


def _way_out(what: str) -> str:
    return SNAPSHOT_LOST if what == "snapshot" else _CHANGES_LOST


def _refused(path: Path, what: str, claim: str) -> SnapshotError:
    return SnapshotError(f"The {what} {path} {claim}.")


_CLOCK_TOLERANCE: Final = 60.0
"""Seconds by which the clocks of two machines may differ, or one clock when it is corrected."""


def _lowered(host: str) -> str:
    return host.lower()


@frozen(kw_only=True)
class MirroredList:
    """The list of a snapshot, and how its identifiers are sent; if any value differs, another snapshot is needed.

    Attributes:
        service: the service's name, such as `retail-media`.
        host: the host of the API.
        segment_id: the list.
        identifier_type: the kind of identifier.
        hash: how the identifiers are hashed; `None` sends them in clear.
    """

    service: str
    host: str = field(converter=_lowered)
    segment_id: str
    identifier_type: str
    hash: str | None

    @property
    def place(self) -> tuple[str, str, str]:
        """The key of the list in a register."""
        return self.service, self.host, self.segment_id

    def differences(self, other: "MirroredList") -> Iterator[str]:
        """Yields the differences to another list, each as "this, not that"."""
        if (self.service, self.segment_id) != (other.service, other.segment_id):
            yield f"segment {self.segment_id} of {self.service}, not {other.segment_id} of {other.service}"
        for name in ("host", "identifier_type", "hash"):
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine != theirs:
                yield f"{name}={mine}, not {theirs}"


@frozen(kw_only=True)
class Facts:
    """The facts about a snapshot, from its note.

    Attributes:
        mirrored: the list of the snapshot.
        baseline: what the first mirror assumed about the list.
        identifiers: number of identifiers in it, including uncertain ones.
        uncertain: how many of them the list may or may not contain, because a call with them was not answered.
        generation: grows with each version, so that an older copy is recognized.
        token: the id of this version.
        marks: marks that registers may have for the list if nothing else has operated on it since.
        after: the token of the changes that led to it; `None` for a first snapshot.
        written: when it was written, in seconds since 1970.
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
        """The name of this version of the snapshot in a register."""
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
        """Returns the facts from a note of `to_note`.

        Raises:
            SnapshotError: when it is no note of a snapshot, or something is missing.
        """
        try:
            values = {each.name: note[each.name] for each in fields(cls)}
            values["mirrored"] = MirroredList(**values["mirrored"])
            values["marks"] = tuple(values["marks"])
            return cls(**values)
        except (KeyError, TypeError):
            raise SnapshotError(f"The snapshot {path} is damaged: {SNAPSHOT_LOST}.") from None

    def require_usable(self, path: Path, wanted: MirroredList, now: float) -> None:
        """Refuses a snapshot of another list, or with a date in the future.

        Raises:
            SnapshotError: when it is such a snapshot; names the difference.
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
        """Refuses a snapshot if a register knows a newer one of the list.

        Args:
            path: the path of the snapshot, for the message.
            known: the name of the newest snapshot that the register knows.

        Raises:
            SnapshotError: when this is an older copy, or from another run.
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
        """Returns the same facts with another number of identifiers."""
        return evolve(self, identifiers=identifiers)

    def next(self, now: float, **changes: Any) -> "Facts":
        """Returns the facts of the next version."""
        renewed = {"generation": self.generation + 1, "token": uuid.uuid4().hex, "written": max(now, self.written)}
        return evolve(self, **{**renewed, **changes})


@frozen(kw_only=True)
class Intent:
    """The facts about a file of changes, which contains what a mirror is about to send.

    Attributes:
        of: the token of the snapshot that the changes apply to.
        generation: the generation after that snapshot's.
        token: the id of the changes, also in the registers.
        journals: the directory of the two uploads' journals.
    """

    of: str
    generation: int
    token: str = field(factory=lambda: uuid.uuid4().hex)
    journals: str

    @property
    def name(self) -> str:
        """The name of these changes in a register."""
        return f"{self.generation}-{self.token}"

    def to_note(self) -> dict[str, Any]:
        """Returns JSON-safe values."""
        return {"kind": "changes", **asdict(self)}

    @classmethod
    def from_note(cls, note: Mapping[str, Any], path: Path) -> Self:
        """Returns the facts from a note of `to_note`.

        Raises:
            SnapshotError: when something is missing.
        """
        try:
            return cls(**{each.name: note[each.name] for each in fields(cls)})
        except (KeyError, TypeError):
            raise SnapshotError(f"The file of changes {path} is damaged: {_CHANGES_LOST}.") from None


def read_facts(path: Path) -> Facts:
    """Returns the facts about a snapshot, after its checksum has been verified.

    Raises:
        SnapshotError: when it does not exist, is damaged, no snapshot or of a newer release.
    """
    note = read_note(path)
    if note is None:
        raise SnapshotError(f"There is no snapshot {path}.")
    return Facts.from_note(note, path)


def generation_of(name: str | None) -> int:
    """Returns the generation in a name, or 0 without one."""
    number = (name or "").partition("-")[0]
    return int(number) if number.isdigit() else 0


def changes_of(path: Path) -> Path:
    """Returns the path of the file of changes of a snapshot, which exists while they are sent."""
    return path.with_name(f"{path.name}.changes")
