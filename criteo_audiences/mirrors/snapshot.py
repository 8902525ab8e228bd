"""Opens and updates the snapshot of a list: the content of the list as far as Criteo has acknowledged it.

```
crm.snapshot           the newest snapshot; replaced as a whole, never changed
crm.snapshot.changes   the changes that a mirror is about to send; exists while it sends, and after it was killed
crm.snapshot.*.journal which of these changes were acknowledged
```

Acknowledged changes are applied to the snapshot at the end of a mirror, or, if it was killed, before the next one.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

from attrs import define, evolve, field

from criteo_audiences.errors import JournalError, SnapshotError
from criteo_audiences.journals import BatchState, make_directory, read_entries, state_directory
from criteo_audiences.journals import remove as remove_journal
from criteo_audiences.journals.file_lock import FileLock
from criteo_audiences.journals.sqlite_file import InUseError, NeverBeganError, unlink
from criteo_audiences.mirrors.facts import (
    Facts,
    Intent,
    MirroredList,
    changes_of,
    generation_of,
    is_sealed,
    note_of,
    publish,
    read_facts,
    read_note,
    seal,
)
from criteo_audiences.mirrors.registers import Registers
from criteo_audiences.models import Operation
from criteo_audiences.tables.engine import comparison
from criteo_audiences.tables.engine.connection import connect, translated, workspace_of
from criteo_audiences.tables.files.paths import literal_path
from criteo_audiences.tables.files.workspace import workspace
from criteo_audiences.tables.table import DEFAULT_MEMORY_LIMIT

_STATES: Final = {
    BatchState.ACKNOWLEDGED: comparison.DONE,
    BatchState.PENDING: comparison.NOT_DONE,
    BatchState.FAILED: comparison.NOT_DONE,
    BatchState.SENT: comparison.MAYBE_DONE,
    BatchState.UNKNOWN: comparison.MAYBE_DONE,
}
_MOST_MARKS: Final = 8
"""Most marks to keep: enough for those of a mirror that was killed, and of the mirror before it."""

DISTURBED: Final = (
    "Something else has operated on the list (an upload or a clear): it may hold more, or less, than the snapshot says."
)


def journal_path(path: Path, directory: Path, operation: Operation) -> Path:
    """Returns the path of the journal of one of a mirror's two uploads."""
    return directory / f"{path.name}.{operation.value}.journal"


@define(kw_only=True)
class Snapshot:
    """An open snapshot; its methods block.

    Attributes:
        path: the path of its file.
        mirrored: the list of the snapshot.
        registers: the registers that know the list.
        journals: the directory of the journals.
        scratch: a temporary directory next to the file.
        now: the clock, seconds since 1970.
        memory_limit: the engine's memory limit.
        threads: the engine's threads.
        facts: the facts about it; `None` while there is no snapshot.
        file: the file with its rows; `None` while there is no snapshot.
        notes: remarks for the caller, a sentence each.
    """

    path: Path
    mirrored: MirroredList
    registers: Registers
    journals: Path
    scratch: Path
    now: Callable[[], float]
    memory_limit: str = DEFAULT_MEMORY_LIMIT
    threads: int = 1
    facts: Facts | None = None
    file: Path | None = None
    notes: list[str] = field(factory=list)

    def relation(self, engine: Any) -> str:
        """Returns the SQL that reads its rows, for an engine."""
        if self.file is None:
            return comparison.EMPTY_SNAPSHOT
        return comparison.relation(literal_path(self.file, workspace_of(engine)))

    @property
    def places(self) -> tuple[Path, ...]:
        """The files and directories that an engine needs to compare rows with it."""
        return (self.scratch,) if self.file is None else (self.scratch, self.file)

    def target(self, name: str) -> Path:
        """Returns the path at which to write a file before it gets its final name."""
        return self.scratch / name

    def first(self, baseline: str) -> Facts:
        """Returns the facts of a first snapshot."""
        known = max(map(generation_of, self.registers.snapshots()), default=0)
        facts = Facts(mirrored=self.mirrored, baseline=baseline, generation=known + 1, written=self.now())
        return evolve(facts, marks=(facts.token,))

    def intent(self, facts: Facts) -> Intent:
        """Returns the facts about a file with changes to a snapshot."""
        return Intent(of=facts.token, generation=facts.generation + 1, journals=str(self.journals.absolute()))

    def replace(self, file: Path, facts: Facts) -> None:
        """Makes a written file the newest snapshot.

        Raises:
            SnapshotError: when it cannot be written.
        """
        with self._translated():
            seal(file)
            publish(file, self.path)
        self.facts, self.file = facts, self.path

    def write_empty(self, facts: Facts) -> None:
        """Writes an empty first snapshot."""
        file = self.target("snapshot")
        with self._engine() as engine:
            comparison.store(engine, comparison.EMPTY_ROWS, file, note_of(facts.to_note()))
        self.replace(file, facts)

    def settle(self, facts: Facts) -> None:
        """Records in the registers that this is the newest snapshot."""
        if not self.registers.note(facts.name, facts.token, facts.marks):
            self.notes.append(DISTURBED)

    def begin(self, file: Path, intent: Intent) -> None:
        """Stores the changes before the first of them is sent.

        Raises:
            SnapshotError: when they cannot be written.
            JournalError: when a register cannot be written.
        """
        marks = self._require_facts().marks
        self._remove_journals(self.journals)  # from an earlier mirror that was killed while it cleaned up
        with self._translated():
            seal(file)
            publish(file, changes_of(self.path))
        self.registers.note(intent.name, intent.token, marks)

    def carry_on(self, *, keep: bool = True) -> None:
        """Applies the acknowledged changes to the snapshot, if there is a file of changes.

        Args:
            keep: whether to replace the snapshot's file; otherwise the result is only in the scratch directory.

        Raises:
            SnapshotError: when the changes cannot be used.
            JournalError: when a journal is in use or damaged.
        """
        path, before = changes_of(self.path), self.facts
        note = read_note(path, "file of changes")
        if note is None:
            return
        intent = Intent.from_note(note, path)
        if before is None or intent.of != before.token:
            if before is None or before.after != intent.token:
                raise SnapshotError(
                    f"The file {path} holds changes of another snapshot than {self.path}: bring that one back, or "
                    "remove both and mirror once with a baseline (--baseline unknown)."
                )
            self._clean_up(intent)
            return
        fates, marks = self._fates(intent, before)
        marks = [*marks, intent.token, *before.marks][:_MOST_MARKS]
        file = self.target("snapshot")
        with self._engine() as engine:
            changes = literal_path(path, workspace_of(engine))
            grown, doubted = comparison.carry_on(engine, self.relation(engine), changes, fates)
            facts = before.next(
                self.now(),
                generation=intent.generation + 1,
                identifiers=before.identifiers + grown,
                uncertain=before.uncertain + doubted,
                after=intent.token,
            )
            facts = evolve(facts, marks=(facts.token, *marks))
            comparison.store(engine, "SELECT * FROM carried", file, note_of(facts.to_note()))
        if not keep:
            self.facts, self.file = facts, file
            return
        self.replace(file, facts)
        self._clean_up(intent)
        self.settle(facts)

    def leave_out(self, identifiers: Sequence[str]) -> int:
        """Replaces the snapshot by one without some identifiers, and returns how many it contained."""
        before, file = self._require_facts(), self.target("snapshot")
        with self._engine() as engine:
            kept, found, doubted = comparison.leave_out(engine, self.relation(engine), identifiers)
            if not found:
                return 0
            facts = before.next(
                self.now(), identifiers=before.identifiers - found, uncertain=before.uncertain - doubted
            )
            facts = evolve(facts, marks=(facts.token, *before.marks))
            comparison.store(engine, kept, file, note_of(facts.to_note()))
        self.replace(file, facts)
        self.registers.note_newest(facts.name)
        return found

    def _fates(self, intent: Intent, before: Facts) -> tuple[list[comparison.Fate], list[str]]:
        """Returns the outcome of the changes, and the marks that their uploads left."""
        fates: list[comparison.Fate] = []
        marks: list[str] = []
        lost: list[bool] = []
        for operation in Operation:
            removes = operation is Operation.REMOVE
            try:
                mark, entries = read_entries(journal_path(self.path, Path(intent.journals), operation))
            except NeverBeganError:
                continue
            except JournalError as error:
                if isinstance(error, InUseError):
                    raise
                lost.append(removes)
                continue
            marks.append(mark)
            start = 1
            for entry in entries:
                fates.append(comparison.Fate(removes, start, _STATES[entry.state]))
                start += entry.count
            fates.append(comparison.Fate(removes, start, comparison.NOT_DONE))
        # An upload with a lost journal has run, unless the registers' last marks are of the changes or from before.
        if lost and not self.registers.knows_any_of([intent.token, *marks, *before.marks]):
            fates += [comparison.Fate(removes, 1, comparison.MAYBE_DONE) for removes in lost]
        return fates, marks

    def _clean_up(self, intent: Intent) -> None:
        """Removes changes that were applied to the snapshot, and their journals."""
        self._remove_journals(Path(intent.journals))  # first: while the file of changes exists, this is repeated
        with self._translated():
            changes_of(self.path).unlink(missing_ok=True)

    def _remove_journals(self, directory: Path) -> None:
        for operation in Operation:
            journal = journal_path(self.path, directory, operation)
            if journal.exists():
                try:
                    remove_journal(journal)
                except NeverBeganError:  # a mirror was killed while it created the journal
                    unlink(journal)

    @contextmanager
    def _engine(self) -> Iterator[Any]:
        """Opens an engine that can read the snapshot, its changes and the scratch directory."""
        changes = changes_of(self.path)
        files = [changes] if changes.exists() else []
        with self._translated(), workspace() as directory, translated("the snapshot", has_sql=False):
            limits: dict[str, Any] = {"threads": self.threads, "memory_limit": self.memory_limit}
            with closing(connect(directory, **limits, files=files, places=self.places)) as engine:
                yield engine

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = error.strerror or str(error).rstrip(".") or type(error).__name__
            raise SnapshotError(f"The snapshot {self.path} cannot be written: {reason}.") from None

    def _require_facts(self) -> Facts:
        if self.facts is None:
            raise SnapshotError(f"There is no snapshot {self.path}.")
        return self.facts


@contextmanager
def opened(
    path: Path,
    wanted: MirroredList | None,
    journals: Path | None = None,
    *,
    now: Callable[[], float] = time.time,
    memory_limit: str = DEFAULT_MEMORY_LIMIT,
    threads: int = 1,
    keep: bool = True,
) -> Iterator[Snapshot]:
    """Opens a snapshot, locks it and its list, and applies the acknowledged changes of a mirror that was killed.

    Args:
        path: the path of its file, which need not exist.
        wanted: the list that it must be of; `None` accepts any list, and requires that the file exists.
        journals: the directory of the journals (default: the snapshot's own).
        now: the clock, seconds since 1970.
        memory_limit: the engine's memory limit.
        threads: the engine's threads.
        keep: whether the file may be replaced.

    Raises:
        SnapshotError: when it is in use, damaged, of another list, or not the newest one of its list.
        JournalError: when a register or a journal cannot be used.
    """
    with ExitStack() as stack:
        chosen = wanted or read_facts(path).mirrored
        stack.enter_context(_locked(path, chosen))
        facts = read_facts(path) if path.exists() or path.is_symlink() else None
        if facts is not None:
            facts.require_usable(path, chosen, now())
        directories = tuple(dict.fromkeys((path.parent, journals or path.parent)))
        registers = Registers(directories, chosen.place)
        snapshot = Snapshot(
            path=path,
            mirrored=chosen,
            registers=registers,
            journals=journals or path.parent,
            scratch=stack.enter_context(_scratch(path)),
            now=now,
            memory_limit=memory_limit,
            threads=threads,
            facts=facts,
            file=None if facts is None else path,
        )
        _require_newest(snapshot)
        snapshot.carry_on(keep=keep)
        if snapshot.facts is not None and not snapshot.notes and registers.is_disturbed(snapshot.facts.marks):
            snapshot.notes.append(DISTURBED)
        yield snapshot


def discard(path: Path) -> None:
    """Removes a snapshot, its changes and their journals; see `remove_snapshot`."""
    if not path.exists():
        raise SnapshotError(f"There is no snapshot {path}.")
    if not is_sealed(path):
        read_note(path)  # raises the reason
    lock = _lock(path, f"The snapshot {path}")
    try:
        changes = changes_of(path)
        journals = Path(Intent.from_note(read_note(changes) or {}, changes).journals) if changes.exists() else None
        for operation in Operation if journals is not None else ():
            journal = journal_path(path, journals or path.parent, operation)
            if journal.exists():
                remove_journal(journal)
        changes.unlink(missing_ok=True)
        path.unlink()
    finally:
        lock.release()


def _require_newest(snapshot: Snapshot) -> None:
    """Refuses an older copy of a snapshot; its own file of changes counts as newest, too."""
    if snapshot.facts is None:
        return
    note = read_note(changes_of(snapshot.path), "file of changes")
    intent = None if note is None else Intent.from_note(note, changes_of(snapshot.path))
    for known in snapshot.registers.snapshots():
        if intent is None or intent.of != snapshot.facts.token or known != intent.name:
            snapshot.facts.require_newest(snapshot.path, known)


@contextmanager
def _locked(path: Path, wanted: MirroredList) -> Iterator[None]:
    """Locks a snapshot and its list, so that no other mirror can use them."""
    place = "\0".join(wanted.place).encode("utf-8", "surrogateescape")
    directory = state_directory()
    with ExitStack() as stack:
        try:
            make_directory(path.parent)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise SnapshotError(f"The snapshot {path} has a directory that cannot be made: {reason}.") from None
        stack.callback(_lock(path, f"The snapshot {path}").release)
        if directory is not None and _is_usable(directory):
            name = f"mirror-{blake2b(place, digest_size=8).hexdigest()}"
            stack.callback(_lock(directory / name, f"Segment {wanted.segment_id} of {wanted.service}").release)
        yield


def _lock(path: Path, who: str) -> FileLock:
    try:
        return FileLock(path, "snapshot")
    except InUseError:
        raise SnapshotError(f"{who} is in use by another mirror: wait for its end.") from None
    except JournalError as error:
        raise SnapshotError(str(error)) from None


def _is_usable(directory: Path) -> bool:
    try:
        make_directory(directory)
    except OSError:
        return False
    return os.access(directory, os.R_OK | os.W_OK | os.X_OK)


@contextmanager
def _scratch(path: Path) -> Iterator[Path]:
    """Makes a temporary directory next to a snapshot, for its owner only; first removes that of a killed mirror."""
    directory = path.with_name(f".{path.name}.new")
    shutil.rmtree(directory, ignore_errors=True)
    try:
        directory.mkdir(mode=0o700)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise SnapshotError(f"The snapshot {path} cannot be written next to: {reason}.") from None
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
