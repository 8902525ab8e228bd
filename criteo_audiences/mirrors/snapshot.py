"""The snapshot of a list while a mirror has it open: what the list holds as far as Criteo has acknowledged it.

```
crm.snapshot           the newest one; replaced as a whole, never changed
crm.snapshot.changes   what a mirror is about to send; there only while it sends, and after it was killed
crm.snapshot.*.journal what became of that
```

What was acknowledged of the changes is carried into the next snapshot: at the end of a mirror, or before the next one.
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
"""Those of a mirror that was killed, and of the one before."""

DISTURBED: Final = (
    "Something else has operated on the list (an upload or a clear): it may hold more, or less, than the snapshot says."
)


def journal_path(path: Path, directory: Path, operation: Operation) -> Path:
    """Returns where the journal of one of a mirror's two uploads is."""
    return directory / f"{path.name}.{operation.value}.journal"


@define(kw_only=True)
class Snapshot:
    """An open snapshot; its methods block.

    Attributes:
        path: of its file.
        mirrored: of which list it is.
        registers: what else is known of the list.
        journals: the directory of the journals.
        scratch: a directory of its own, next to the file.
        now: the clock, seconds since 1970.
        memory_limit: of the engine.
        threads: of the engine.
        facts: what it says of itself; `None` as long as there is none.
        file: holds its rows; `None` as long as there is none.
        notes: what a caller should know of it, a sentence each.
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
        """Returns its rows, for an engine."""
        if self.file is None:
            return comparison.EMPTY_SNAPSHOT
        return comparison.relation(literal_path(self.file, workspace_of(engine)))

    @property
    def places(self) -> tuple[Path, ...]:
        """What an engine needs that compares rows with it."""
        return (self.scratch,) if self.file is None else (self.scratch, self.file)

    def target(self, name: str) -> Path:
        """Returns where to write a file before it gets its own name."""
        return self.scratch / name

    def first(self, baseline: str) -> Facts:
        """Returns the facts of a first snapshot."""
        known = max(map(generation_of, self.registers.snapshots()), default=0)
        facts = Facts(mirrored=self.mirrored, baseline=baseline, generation=known + 1, written=self.now())
        return evolve(facts, marks=(facts.token,))

    def intent(self, facts: Facts) -> Intent:
        """Returns the note for a file with changes to a snapshot."""
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
        """Makes a first snapshot, which holds nothing."""
        file = self.target("snapshot")
        with self._engine() as engine:
            comparison.store(engine, comparison.EMPTY_ROWS, file, note_of(facts.to_note()))
        self.replace(file, facts)

    def settle(self, facts: Facts) -> None:
        """Notes in the registers that this is the newest one."""
        if not self.registers.note(facts.name, facts.token, facts.marks):
            self.notes.append(DISTURBED)

    def begin(self, file: Path, intent: Intent) -> None:
        """Puts changes on record before the first of them is sent.

        Raises:
            SnapshotError: when they cannot be written.
            JournalError: when the register cannot.
        """
        marks = self._require_facts().marks
        self._remove_journals(self.journals)  # of an earlier mirror that was killed while it cleaned up
        with self._translated():
            seal(file)
            publish(file, changes_of(self.path))
        self.registers.note(intent.name, intent.token, marks)

    def carry_on(self, *, keep: bool = True) -> None:
        """Carries what was acknowledged of the changes into the snapshot, where there are changes.

        Args:
            keep: whether to replace the file; otherwise the result is in the scratch directory only.

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
        """Replaces the snapshot by one without some identifiers; returns how many it loses."""
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
        """Returns what became of the changes, and the marks that their uploads left."""
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
        # An upload ran whose journal is lost, unless the last marks are of the changes, or of before them.
        if lost and not self.registers.knows_any_of([intent.token, *marks, *before.marks]):
            fates += [comparison.Fate(removes, 1, comparison.MAYBE_DONE) for removes in lost]
        return fates, marks

    def _clean_up(self, intent: Intent) -> None:
        """Removes changes that were carried into the snapshot, and their journals."""
        self._remove_journals(Path(intent.journals))  # first: as long as the changes are there, this is done again
        with self._translated():
            changes_of(self.path).unlink(missing_ok=True)

    def _remove_journals(self, directory: Path) -> None:
        for operation in Operation:
            journal = journal_path(self.path, directory, operation)
            if journal.exists():
                try:
                    remove_journal(journal)
                except NeverBeganError:  # a mirror was killed while it made it
                    unlink(journal)

    @contextmanager
    def _engine(self) -> Iterator[Any]:
        """Opens an engine that sees the snapshot, its changes and the scratch directory."""
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
    """Opens a snapshot, keeps others from its list, and carries on what an earlier mirror has left.

    Args:
        path: of its file, which need not be there.
        wanted: of which list it must be; `None` takes any, and demands that it is there.
        journals: the directory of the journals (default: its own).
        now: the clock, seconds since 1970.
        memory_limit: of the engine.
        threads: of the engine.
        keep: whether it may be written.

    Raises:
        SnapshotError: when it is in use, damaged, of something else, or not the newest one of its list.
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
        read_note(path)  # says why
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
    """Refuses an older copy of a snapshot; changes that are its own are the newest there is."""
    if snapshot.facts is None:
        return
    note = read_note(changes_of(snapshot.path), "file of changes")
    intent = None if note is None else Intent.from_note(note, changes_of(snapshot.path))
    for known in snapshot.registers.snapshots():
        if intent is None or intent.of != snapshot.facts.token or known != intent.name:
            snapshot.facts.require_newest(snapshot.path, known)


@contextmanager
def _locked(path: Path, wanted: MirroredList) -> Iterator[None]:
    """Keeps other mirrors from a snapshot, and from its list."""
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
    """Makes a directory next to a snapshot that only its owner can enter; a killed mirror's is removed."""
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
