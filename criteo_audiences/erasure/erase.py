"""Performs an erasure: finds the lists, removes people from them, and from what this library has stored.

That is rejects, journals, snapshots and temporary files; the functions that search these block.
"""

import csv
import datetime as dt
import os
import secrets
import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final, TextIO

from anyio import to_thread
from attrs import frozen

from criteo_audiences.erasure import ErasureReceipt, ErasureState, FileErasure, ListErasure
from criteo_audiences.erasure.lists import Place, found_lists, removed
from criteo_audiences.erasure.request import ErasureRequest, Fingerprint, Identifiers
from criteo_audiences.errors import ConfigurationError, JournalError, SnapshotError
from criteo_audiences.journals import (
    JournalState,
    JournalSummary,
    compact,
    list_journals,
    make_directory,
    state_directory,
)
from criteo_audiences.journals.directory import REGISTER_NAME, JournalDirectory, Witness, keyed_digest
from criteo_audiences.mirrors import SnapshotSummary, describe_snapshot, list_snapshots, snapshot_directory
from criteo_audiences.mirrors import forget as forget_in_snapshot
from criteo_audiences.models import IdentifierType
from criteo_audiences.tables.files.workspace import leftovers
from criteo_audiences.uploads.rejects import COLUMNS, VALUE_COLUMN, undone
from criteo_audiences.validation import require_list
from criteo_audiences.windows import live_from

_KEPT: Final = "of an unfinished upload, which needs all of it; it holds no identifier"


@frozen(kw_only=True)
class LocalFiles:
    """The places where this library may have stored identifiers.

    Attributes:
        rejects: files of rejects, in addition to those that this user's uploads have written.
        journals: directories of journals.
        snapshots: snapshots of mirrors, or directories of them.
        lists: the service, host and segment of each list from which the identifiers were removed.
        dry_run: whether to change nothing.
    """

    rejects: Sequence[Path] = ()
    journals: Sequence[Path] = ()
    snapshots: Sequence[Path] = ()
    lists: Collection[tuple[str, str, str]] = ()
    dry_run: bool = False


Forget = Callable[[ErasureRequest, LocalFiles], Iterable[FileErasure]]
"""Removes identifiers from what one part of this library has stored, and returns what it did with each file."""


def forget_in_rejects(request: ErasureRequest, places: LocalFiles) -> Iterator[FileErasure]:
    """Empties the cells of rejected values that contain an identifier; the rows stay, with place and reason."""
    noted: tuple[Path, ...] = ()
    try:
        noted = noted_rejects(dry_run=places.dry_run)
    except JournalError:
        remark = f"the register {REGISTER_NAME} of the state directory, which knows of others, cannot be read"
        yield FileErasure(kind="rejects", path=REGISTER_NAME, state=ErasureState.FAILED, remark=remark)
    for path in dict.fromkeys((*places.rejects, *noted)):
        try:
            erased, has_values = _without(path, request, dry_run=places.dry_run)
        except (OSError, csv.Error, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            state, remark = ErasureState.FAILED, f"cannot be rewritten: {reason}"
            yield FileErasure(kind="rejects", path=_shown(path, request), state=state, remark=remark)
            continue
        state = ErasureState.NOTHING if not has_values else ErasureState.REMOVED
        if erased and places.dry_run:
            state = ErasureState.PLANNED
        yield FileErasure(kind="rejects", path=_shown(path, request), state=state, erased=erased)


def forget_in_journals(request: ErasureRequest, places: LocalFiles) -> Iterator[FileErasure]:
    """Deletes the digests of batches in journals of finished uploads to the lists.

    A journal contains no identifier. But with its key, an address can be tested against the digest of a batch of one.
    """
    for directory in places.journals:
        try:
            found = list_journals(directory)
        except JournalError as error:
            shown, remark = _shown(directory, request), type(error).__name__
            yield FileErasure(kind="journal", path=shown, state=ErasureState.FAILED, remark=remark)
            continue
        for summary in found:
            if (summary.service, summary.host.lower(), summary.segment_id) in places.lists:
                yield _compacted(summary, _shown(summary.path, request), dry_run=places.dry_run)


def forget_in_snapshots(request: ErasureRequest, places: LocalFiles) -> Iterator[FileErasure]:
    """Removes identifiers from the snapshots of the lists, in which mirrors remember the lists' members."""
    for place in places.snapshots:
        try:
            found = list_snapshots(place) if place.is_dir() else [describe_snapshot(place)]
        except (SnapshotError, JournalError) as error:
            shown, remark = _shown(place, request), type(error).__name__
            yield FileErasure(kind="snapshot", path=shown, state=ErasureState.FAILED, remark=remark)
            continue
        for summary in found:
            if (summary.service, summary.host.lower(), summary.segment_id) in places.lists:
                yield _forgotten(summary, request, dry_run=places.dry_run)


def forget_in_leftovers(request: ErasureRequest, places: LocalFiles) -> Iterator[FileErasure]:
    """Removes the temporary files of killed uploads of tables, which may contain any identifiers."""
    for directory in leftovers(remove=not places.dry_run):
        is_gone = not directory.exists()
        state = ErasureState.PLANNED if places.dry_run else ErasureState.REMOVED if is_gone else ErasureState.FAILED
        yield FileErasure(kind="temporary", path=_shown(directory, request), state=state)


FORGETTING: Final[tuple[Forget, ...]] = (
    forget_in_rejects,
    forget_in_journals,
    forget_in_snapshots,
    forget_in_leftovers,
)
"""One function for each part of this library that may store data of people. Each erasure calls all of them, after the
lists, in a thread; each returns what it did with each of its files."""


def forget(request: ErasureRequest, places: LocalFiles) -> tuple[FileErasure, ...]:
    """Removes identifiers from everything that this library has stored."""
    return tuple(outcome for each in FORGETTING for outcome in each(request, places))


def rejects_in(paths: Iterable[os.PathLike[str] | str]) -> tuple[Path, ...]:
    """Returns the files of rejects that a caller names; for a directory, the files of rejects in it.

    Raises:
        ConfigurationError: when a path is no file of rejects, or does not exist.
    """
    found: dict[Path, None] = {}
    for number, given in enumerate(paths, start=1):
        path = Path(given)
        try:
            if path.is_dir():
                found.update(dict.fromkeys(each.resolve() for each in sorted(path.glob("*.csv")) if _is_ours(each)))
                continue
            is_ours = _is_ours(path)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise ConfigurationError(f"rejects, entry {number:,}: the file cannot be read: {reason}.") from None
        if not is_ours:
            raise ConfigurationError(f"rejects, entry {number:,}: expected a file of rejects, found another file.")
        found[path.resolve()] = None
    return tuple(found)


def noted_rejects(*, dry_run: bool) -> tuple[Path, ...]:
    """Returns the files of rejects with values that uploads of this user have written and that still exist.

    Another file that now has the path of such a file is left alone. A file that cannot be read is included, so that
    the erasure reports it.

    Args:
        dry_run: whether to keep the records of files that no longer exist.

    Raises:
        JournalError: when the register that records them cannot be used.
    """
    return tuple(path.resolve() for path in Witness().rejects(forget_gone=not dry_run) if _may_be_ours(path))


def _may_be_ours(path: Path) -> bool:
    try:
        return _is_ours(path)
    except OSError:
        return True


def _is_ours(path: Path) -> bool:
    if not stat.S_ISREG(path.stat().st_mode):  # reading a pipe would block
        return False
    with path.open("rb") as file:
        header = file.read(200).partition(b"\r\n")[0].decode("utf-8", "replace")
    return tuple(header.split(",")) in {COLUMNS, (*COLUMNS, VALUE_COLUMN)}


def _without(path: Path, request: ErasureRequest, *, dry_run: bool) -> tuple[int, bool]:
    """Empties a file's values that contain an identifier of the request.

    If there are any, a new file is written next to the old one and replaces it as a whole.

    Returns:
        How many values contain an identifier, and whether the file has a column of values.
    """
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        if VALUE_COLUMN not in next(rows, ()):
            return 0, False
        count = sum(_holds(row, request) for row in rows)
    if count and not dry_run:
        new = path.with_name(f".{secrets.token_hex(8)}.criteo-audiences")
        try:
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with (
                path.open(encoding="utf-8", newline="") as old,
                os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file,
            ):
                _copy(old, file, request)
                file.flush()
                os.fsync(descriptor)
            new.replace(path)
        except BaseException:
            new.unlink(missing_ok=True)
            raise
    return count, True


def _copy(old: TextIO, new: TextIO, request: ErasureRequest) -> None:
    rows, writer = csv.reader(old), csv.writer(new)
    writer.writerow(next(rows))
    for row in rows:
        writer.writerow([*row[:-1], ""] if _holds(row, request) else row)


def _holds(row: Sequence[str], request: ErasureRequest) -> bool:
    return bool(row) and request.occurs_in(undone(row[-1]))


def _compacted(summary: JournalSummary, path: str, *, dry_run: bool) -> FileErasure:
    """Deletes the batches in the journal of a finished upload, and returns what it did."""
    batches = sum(summary.batches.values())
    if summary.state is not JournalState.COMPLETED:
        in_use = summary.state is JournalState.IN_USE
        state = ErasureState.IN_USE if in_use else ErasureState.NOTHING
        remark = "of an upload that is under way; it holds no identifier" if in_use else _KEPT
        return FileErasure(kind="journal", path=path, state=state, remark=remark)
    if not dry_run:
        try:
            compact(summary.path)
        except JournalError as error:
            return FileErasure(kind="journal", path=path, state=ErasureState.FAILED, remark=type(error).__name__)
    return FileErasure(
        kind="journal", path=path, state=ErasureState.PLANNED if dry_run else ErasureState.REMOVED, erased=batches
    )


def _forgotten(summary: SnapshotSummary, request: ErasureRequest, *, dry_run: bool) -> FileErasure:
    shown, state, erased = _shown(summary.path, request), ErasureState.PLANNED, 0
    if not dry_run:
        forms = request.forms.get(IdentifierType(summary.identifier_type), ())
        try:
            erased = forget_in_snapshot(summary.path, forms)
        except (SnapshotError, JournalError) as error:
            return FileErasure(kind="snapshot", path=shown, state=ErasureState.FAILED, remark=type(error).__name__)
        state = ErasureState.REMOVED if erased else ErasureState.NOTHING
    return FileErasure(kind="snapshot", path=shown, state=state, erased=erased)


def _shown(path: Path, request: ErasureRequest) -> str:
    """Returns a path for the receipt; masks parts that contain an identifier."""
    return str(Path(*("…" if request.is_in_name(part) else part for part in path.parts)))


FilePath = str | os.PathLike[str]


@frozen(kw_only=True)
class Stored:
    """Further places of stored identifiers, as the caller names them.

    Attributes:
        rejects: files of rejects or directories of them, in addition to those that the user's state directory knows.
        journals: directories of journals, in addition to the one in the user's state directory.
        snapshots: snapshots of mirrors or directories of them, in addition to the command line's own directory.
    """

    rejects: Iterable[FilePath]
    journals: Iterable[FilePath]
    snapshots: Iterable[FilePath]


@frozen
class Task:
    """The arguments of an erasure; `CriteoClient.erase` explains them.

    Attributes:
        host: the host of the API.
        places: services and owners to search for lists.
        identifiers: the identifiers to erase.
        kind: their kind, if their form does not show it.
        region: the country of phone numbers without a country code.
        stored: further places of stored identifiers.
        dry_run: whether to remove nothing.
    """

    host: str
    places: Sequence[Place]
    identifiers: Identifiers
    kind: IdentifierType | str | None
    region: str | None
    stored: Stored
    dry_run: bool


async def erase(task: Task) -> ErasureReceipt:
    """Erases identifiers; see `CriteoClient.erase`."""
    began = dt.datetime.now(dt.UTC)
    fingerprint, is_kept = await to_thread.run_sync(_fingerprinting)
    request = ErasureRequest.of(task.identifiers, kind=task.kind, region=task.region, fingerprint=fingerprint)
    _check_gum(task.places, request)
    journals = tuple(dict.fromkeys(map(Path, require_list(task.stored.journals, "journals"))))
    snapshots = tuple(dict.fromkeys(map(Path, require_list(task.stored.snapshots, "snapshots"))))
    rejects = await to_thread.run_sync(rejects_in, require_list(task.stored.rejects, "rejects"))
    searches = [await found_lists(place, request) for place in task.places]
    removals = [removal for _, found in searches for removal in found]
    outcomes = [each.planned for each in removals] if task.dry_run else await removed(removals)
    places = LocalFiles(
        rejects=rejects,
        journals=_with_own(state_directory(), journals),
        snapshots=_with_own(snapshot_directory(), snapshots),
        lists=_done(outcomes, task.host),
        dry_run=task.dry_run,
    )
    files = await to_thread.run_sync(partial(forget, request, places))
    return ErasureReceipt(
        identifiers=request.identifiers,
        key_is_kept=is_kept,
        host=task.host,
        services=tuple(outcome for outcome, _ in searches),
        lists=tuple(outcomes),
        files=files,
        began=began,
        ended=dt.datetime.now(dt.UTC),
        live_from=_live_from(outcomes),
        dry_run=task.dry_run,
    )


def _done(outcomes: Sequence[ListErasure], host: str) -> set[tuple[str, str, str]]:
    """Returns the lists with only successful calls; files about the other lists may still be needed."""
    asked = [((each.service, host.lower(), each.segment_id), each.state.is_right) for each in outcomes]
    return {place for place, _ in asked} - {place for place, is_right in asked if not is_right}


def _with_own(own: Path | None, places: Sequence[Path]) -> tuple[Path, ...]:
    return tuple(dict.fromkeys(places if own is None or not own.exists() else [own, *places]))


def _live_from(outcomes: Iterable[ListErasure]) -> dt.datetime | None:
    """Returns when the last removal takes effect in campaigns; `None` if nothing was removed."""
    answered = [each.answered_at for each in outcomes if each.answered_at and each.state is ErasureState.REMOVED]
    return live_from(max(answered)) if answered else None


def _check_gum(places: Iterable[Place], request: ErasureRequest) -> None:
    """Checks, before anything is sent, that there is a caller id if and only if GUM ids go to Marketing Solutions.

    Raises:
        ConfigurationError: when it is missing, or given without a GUM id.
    """
    has_ids = IdentifierType.GUM in request.forms
    for place in places:
        if place.service == "marketing-solutions" and has_ids != (IdentifierType.GUM in place.extra):
            raise ConfigurationError("gum_caller_id goes with GUM ids of Marketing Solutions, which need it.")


def _fingerprinting() -> tuple[Fingerprint, bool]:
    """Returns a function that makes fingerprints, and whether their key is kept.

    The key is that of the register in the user's state directory. Without a register, a random key is used for this
    receipt only; its fingerprints then show only which of its entries are equal.
    """
    key = _kept_key()
    chosen = secrets.token_bytes(32) if key is None else key

    def fingerprint(identifier: str) -> str:
        return keyed_digest(chosen, b"erased", identifier.encode("utf-8", "surrogatepass"), size=16).hex()

    return fingerprint, key is not None


def _kept_key() -> bytes | None:
    directory = state_directory()
    if directory is None:
        return None
    try:
        make_directory(directory)
        with JournalDirectory(directory) as register:
            return register.key()
    except (OSError, JournalError):
        return None
