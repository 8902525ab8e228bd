"""Journals from a user's view: describes, lists, compacts and removes them.

`upload_contact_list(..., journal=path)` makes them.
"""

import datetime as dt
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext
from enum import StrEnum
from pathlib import Path

from attrs import evolve, field, frozen

from criteo_audiences.errors import JournalError
from criteo_audiences.journals.directory import REGISTER_NAME, JournalDirectory, state_directory
from criteo_audiences.journals.journal import found_in
from criteo_audiences.journals.rows import FORMAT, JOURNAL_SUFFIX, BatchState, Entry, Run, key_id_of, run_of
from criteo_audiences.journals.sqlite_file import InUseError, NeverBeganError, make_directory, never_began, refused
from criteo_audiences.journals.store import Store

__all__ = [
    "BatchState",
    "JournalState",
    "JournalSummary",
    "compact",
    "describe",
    "list_journals",
    "make_directory",
    "note_operation",
    "read_entries",
    "remove",
    "state_directory",
]


class JournalState(StrEnum):
    """The state of a journal.

    An upload that never began leaves an empty journal. A journal in use is locked by its upload and cannot be read.
    """

    EMPTY = "empty"
    UNFINISHED = "unfinished"
    COMPLETED = "completed"
    IN_USE = "in use"
    DAMAGED = "damaged"


@frozen(kw_only=True)
class JournalSummary:
    """A summary of a journal.

    Attributes:
        path: the path of its file.
        state: whether its upload is finished.
        service: the service's name; empty if it cannot be read.
        host: the host of the API.
        segment_id: the list.
        operation: add or remove.
        batches: the number of batches by state, without zeros; empty for a journal in use.
        identifiers: identifiers in the acknowledged batches.
        started: when the upload began, in UTC.
        last_activity: when something last happened, in UTC.
        obstacle: why the next run does not continue it by default; `None` if it does, or nothing is to be continued.
    """

    path: Path
    state: JournalState
    service: str = ""
    host: str = ""
    segment_id: str = ""
    operation: str = ""
    batches: Mapping[BatchState, int] = field(factory=dict)
    identifiers: int = 0
    started: dt.datetime | None = None
    last_activity: dt.datetime | None = None
    obstacle: str | None = None


def describe(path: Path, *, now: Callable[[], float] = time.time) -> JournalSummary:
    """Returns a summary of a journal.

    Args:
        path: the path of its file.
        now: the clock, seconds since 1970.

    Raises:
        JournalError: when it does not exist, is damaged or cannot be read.
    """
    try:
        with _opened(path) as (store, register):
            run = _started(store, path)
            if run.completed is not None:
                return _completed(path, run)
            return _unfinished(path, run, store, register, now())
    except InUseError:
        peeked = _peek(path)
        summary = JournalSummary(path=path, state=JournalState.IN_USE)
        return summary if peeked is None else _named(summary, peeked)


def list_journals(directory: Path, *, now: Callable[[], float] = time.time) -> list[JournalSummary]:
    """Returns summaries of the journals in a directory, sorted by name, including damaged ones; ignores other files.

    Args:
        directory: the directory, without those below it; if it does not exist, the result is empty.
        now: the clock, seconds since 1970.

    Raises:
        JournalError: when the directory cannot be read.
    """
    _require_nameable(directory)
    if not directory.exists():
        return []
    try:
        paths = sorted(path for path in directory.iterdir() if path.name != REGISTER_NAME and _is_journal(path))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise JournalError(f"The directory {directory} cannot be read: {reason}.") from None
    return [_described(path, now) for path in paths]


def read_entries(path: Path) -> tuple[str, list[Entry]]:
    """Returns the mark that a journal's run has left in the register, and the entry of each batch, in their order.

    Args:
        path: the path of the journal.

    Raises:
        JournalError: when it does not exist, is empty, in use or damaged.
    """
    with _opened(path) as (store, _):
        return _started(store, path).mark, store.entries()


def compact(path: Path) -> None:
    """Deletes the batches of a completed upload from its journal; the summary stays.

    Args:
        path: the path of the journal.

    Raises:
        JournalError: when it does not exist, its upload is unfinished, or it is in use or damaged.
    """
    with _opened(path) as (store, _):
        if _started(store, path).completed is None:
            raise refused(path, FORMAT.what, "is of an unfinished upload, which needs all of it: resume or remove it")
        store.compact()


def remove(path: Path) -> None:
    """Removes a journal, even an empty one or that of an unfinished upload; the next run then sends everything.

    Args:
        path: the path of the journal.

    Raises:
        JournalError: when it does not exist, or is in use, damaged or no journal; it is not changed then.
    """
    with _held(path):
        try:
            with closing(Store(path, create=False)) as store:
                store.remove()
        except NeverBeganError:
            if path.suffix != JOURNAL_SUFFIX:  # an empty file of another name may be anyone's
                raise
            path.unlink(missing_ok=True)


def note_operation(directory: Path, *, service: str, host: str, segment_id: str) -> None:
    """Records in the register that an operation without a journal, such as a clear, changes a list.

    An unfinished upload to the list is then not continued by default, because what it sent may be gone.

    Args:
        directory: the directory of the journals; does nothing if it has no register.
        service: the service's name, such as `marketing-solutions`.
        host: the host of the API, see `CriteoClient.host`.
        segment_id: the list.

    Raises:
        JournalError: when the register cannot be written.
    """
    _require_nameable(directory)
    if (directory / REGISTER_NAME).exists():
        with JournalDirectory(directory) as register:
            register.note_other(service, host, segment_id)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Store, JournalDirectory | None]]:
    """Opens an existing journal for the duration of the block; uploads that begin meanwhile wait."""
    with _held(path) as register, closing(Store(path, create=False)) as store:
        yield store, register


@contextmanager
def _held(path: Path) -> Iterator[JournalDirectory | None]:
    """Holds a transaction on a journal's register, if it has one, so that uploads that begin meanwhile wait."""
    _require_nameable(path)
    with JournalDirectory(path.parent) if (path.parent / REGISTER_NAME).exists() else nullcontext() as register:
        yield register


def _require_nameable(path: Path) -> None:
    """Refuses a path that no file can have.

    Raises:
        JournalError: when it holds a NUL character.
    """
    if "\0" in str(path):
        raise JournalError("The path of the journal holds a NUL character, which no file's name can hold.")


def _started(store: Store, path: Path) -> Run:
    run = store.run()
    if run is None:
        raise never_began(path, FORMAT.what)
    return run


def _completed(path: Path, run: Run) -> JournalSummary:
    summary = JournalSummary(
        path=path,
        state=JournalState.COMPLETED,
        batches={BatchState.ACKNOWLEDGED: run.batches} if run.batches else {},
        identifiers=run.identifiers,
        last_activity=_moment(run.last_activity),
    )
    return _named(summary, run)


def _unfinished(path: Path, run: Run, store: Store, register: JournalDirectory | None, moment: float) -> JournalSummary:
    counts = store.counts()
    found = found_in(store, path, register)
    key_id = b"" if register is None else key_id_of(register.key())
    summary = JournalSummary(
        path=path,
        state=JournalState.UNFINISHED,
        batches={state: batches for state, (batches, _) in counts.items()},
        identifiers=counts.get(BatchState.ACKNOWLEDGED, (0, 0))[1],
        last_activity=None if found is None else _moment(found.active_at),
        obstacle=None if found is None or not found.acknowledged else found.obstacle(key_id, moment),
    )
    return _named(summary, run)


def _named(summary: JournalSummary, run: Run) -> JournalSummary:
    return evolve(
        summary,
        service=run.service,
        host=run.host,
        segment_id=run.segment_id,
        operation=run.operation,
        started=_moment(run.started),
    )


def _described(path: Path, now: Callable[[], float]) -> JournalSummary:
    try:
        return describe(path, now=now)
    except NeverBeganError:
        return JournalSummary(path=path, state=JournalState.EMPTY)
    except JournalError:
        return JournalSummary(path=path, state=JournalState.DAMAGED)


def _moment(seconds: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(seconds, dt.UTC)


def _is_journal(path: Path) -> bool:
    """Whether a file is a journal, by its header or its name; an empty file is none."""
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode):
        return False
    if path.suffix == JOURNAL_SUFFIX:  # the header may be what is damaged
        return status.st_size > 0
    try:
        with closing(_glance(path)) as db:
            ((application_id,),) = db.execute("PRAGMA application_id")
            return bool(application_id == FORMAT.application_id)
    except sqlite3.Error:
        return False


def _peek(path: Path) -> Run | None:
    """Reads the job of a journal that another process has locked; `None` when that fails."""
    try:
        with closing(_glance(path)) as db:
            return run_of(db.execute("SELECT * FROM job").fetchone())
    except (sqlite3.Error, TypeError, ValueError):
        return None


def _glance(path: Path) -> sqlite3.Connection:
    """Opens a file without a lock, to read its first pages, which do not change while it is in use.

    It does not use `open()`: closing a descriptor of the file would release SQLite's locks on it in this process.
    """
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
