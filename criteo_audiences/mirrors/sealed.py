"""A Parquet file of ours, with a note of what it is and a checksum of all its bytes.

Both stand in the file's own footer (Parquet's key-value metadata), so that it is one file, and a Parquet file still.
"""

import errno
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

from xxhash import xxh3_128

from criteo_audiences.errors import SnapshotError
from criteo_audiences.journals.ownership import objection_to_file, objection_to_place

FORMAT: Final = 1
"""Version of what is written; a file of a later one is not read."""

_MAGIC: Final = b"PAR1"
_PREFIX: Final = "criteo-audiences:"
_BLANK: Final = "0" * 32
_SEAL: Final = re.compile(rb"criteo-audiences:([0-9a-f]{32}):([0-9]{6}):")
_LONGEST_FOOTER: Final = 1 << 24
_PIECE: Final = 1 << 20
_PRIVATE: Final = 0o600

SNAPSHOT_LOST: Final = "remove it and mirror once with a baseline (--baseline unknown)"
"""What helps where a snapshot cannot be used."""


def note_of(facts: Mapping[str, Any]) -> str:
    """Returns the text to write into a file's footer: facts, and room for the checksum that `seal` fills in."""
    text = json.dumps({"format": FORMAT, **facts})
    return f"{_PREFIX}{_BLANK}:{len(text):06d}:{text}"


def seal(path: Path) -> None:
    """Completes a file that holds a `note_of`: checksum, mode, and all of it on the disk.

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
    """Gives a sealed file its name, in one step that outlives a loss of power.

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
    """Returns what a file says of itself, once it has been held against its checksum; `None` when there is none.

    Raises:
        SnapshotError: when it is damaged, none of ours, of a later release, or not to be trusted.
    """
    with _opened(path, what) as file:
        if file is None:
            return None
        place, note = _found(file, path, what)
        if note["format"] > FORMAT:
            raise _refused(path, what, "was written by a newer release: use that one")
        file.seek(place)
        if file.read(len(_BLANK)) != _checksum(file, place):
            raise _refused(path, what, f"is damaged, its checksum does not fit: {SNAPSHOT_LOST}")
        return note


def is_sealed(path: Path) -> bool:
    """Returns whether a file says that it is of ours, whatever state it is in."""
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
    """Returns where the checksum stands, and the note.

    Raises:
        SnapshotError: when there is none.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if file.read(len(_MAGIC)) != _MAGIC:
        raise _refused(path, what, f"is no {what} of this library, and is left as it is: name another path")
    file.seek(max(0, size - 8))
    tail = file.read(8)
    length = int.from_bytes(tail[:4], "little")
    if size < 12 or tail[4:] != _MAGIC or not 0 < length <= min(size - 12, _LONGEST_FOOTER):  # noqa: PLR2004 - of the format
        raise _refused(path, what, f"is cut off: {SNAPSHOT_LOST}")
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
        raise _refused(path, what, f"is damaged: {SNAPSHOT_LOST}")
    return start + seal_.start(1), note


def _checksum(file: BinaryIO, place: int) -> bytes:
    """Returns the checksum of a file in which none is written yet; it is for accidents, not against people."""
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


def _refused(path: Path, what: str, claim: str) -> SnapshotError:
    return SnapshotError(f"The {what} {path} {claim}.")
