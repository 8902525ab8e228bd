import hashlib
import os
import sqlite3
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import define, evolve, field
from hypothesis import example, given, settings
from hypothesis import strategies as st

from criteo_audiences.batches import Batch
from criteo_audiences.errors import JournalError
from criteo_audiences.journals import JournalState, describe, list_journals
from criteo_audiences.journals.directory import REGISTER_NAME, JournalDirectory, Witness
from criteo_audiences.journals.journal import Job, Journal
from criteo_audiences.journals.rows import FORMAT, BatchState
from criteo_audiences.journals.store import Store
from criteo_audiences.models import IdentifierType

DAY = 24 * 3600.0
BEGIN = 1_790_000_000.0
SECRET = "jane.doe@example.com"
JOB = Job(
    service="marketing-solutions",
    host="api.criteo.com",
    segment_id="812345",
    operation="add",
    configuration={"kinds": ["email"], "where": f"email != '{SECRET}'"},
)
ACKNOWLEDGED = BatchState.ACKNOWLEDGED
IDENTITY = (f"PRAGMA application_id={FORMAT.application_id}", f"PRAGMA user_version={FORMAT.version}")


def batch(number: int, content: str = "", kind: IdentifierType | None = None, count: int = 1) -> Batch:
    """Returns a batch of one identifier, whatever it says."""
    return Batch(number=number, count=count, full=True, kind=kind, pieces=(f'"{content or number}@b.co"'.encode(),))


@define
class Place:
    """A directory with a journal in it, and a clock."""

    directory: Path
    moment: float = BEGIN
    opened: list[Journal] = field(factory=list)

    @property
    def path(self) -> Path:
        """The journal's."""
        return self.directory / "crm.journal"

    def open(self, resume: bool | None = None, **changes: Any) -> Journal:  # noqa: FBT001 - as a user says it
        """Opens the journal for a job."""
        journal = Journal.open(self.path, evolve(JOB, **changes), resume=resume, now=lambda: self.moment)
        self.opened.append(journal)
        return journal

    def interrupted(self, acknowledged: int = 2, begun: int = 3, **changes: Any) -> str:
        """Leaves an unfinished upload behind; returns its run's id."""
        with self.open(**changes) as journal:
            send(journal, acknowledged)
            for number in range(acknowledged + 1, begun + 1):
                journal.begin(batch(number))
            return journal.run_id

    def operate(self, run_id: str | None = None, segment_id: str = JOB.segment_id, host: str = JOB.host) -> None:
        """Notes another operation on a list."""
        with JournalDirectory(self.directory) as register:
            register.note(JOB.service, host, segment_id, run_id or uuid.uuid4().hex)

    def bytes(self) -> bytes:
        """All that stands in the directory's files and names."""
        files = sorted(self.directory.iterdir())
        return b"".join(os.fsencode(path.name) + path.read_bytes() for path in files)


def send(journal: Journal, count: int) -> list[int]:
    """Sends so many batches; returns the numbers of those that had to be sent."""
    sent = []
    for number in range(1, count + 1):
        if journal.begin(batch(number)) is None:
            journal.end(number, ACKNOWLEDGED, valid=1)
            sent.append(number)
    return sent


@pytest.fixture
def place(tmp_path: Path) -> Any:
    """A place whose journals are closed in the end."""
    place = Place(tmp_path / "state")
    yield place
    for journal in place.opened:
        journal.close()


def refusal(act: Callable[[], object]) -> str:
    """Returns the message of the error; it has no cause that could tell more."""
    with pytest.raises(JournalError) as caught:
        act()
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return str(caught.value)


def test_new_journal_sends_everything(place: Place) -> None:
    """There is nothing to resume, and nothing that was set aside."""
    with place.open() as journal:
        assert not journal.resumes
        assert journal.set_aside is None
        assert send(journal, 3) == [1, 2, 3]
        assert journal.complete()


def test_unfinished_journal_resumes_after_what_was_acknowledged(place: Place) -> None:
    """Batches that came back are told with their counts; one in flight goes out again; the run keeps its id."""
    with place.open() as journal:
        first = journal.run_id
        assert journal.begin(batch(1, kind=IdentifierType.MADID)) is None
        assert journal.begin(batch(2)) is None
        place.moment += 5
        journal.end(1, ACKNOWLEDGED, valid=1, trace_id="abcdef0123456789")
        assert not journal.complete()
    with place.open() as journal:
        assert journal.resumes
        assert journal.run_id == first
        entry = journal.begin(batch(1, kind=IdentifierType.MADID))
        assert entry is not None
        assert (entry.number, entry.count, entry.size, entry.state) == (1, 1, 8, ACKNOWLEDGED)
        assert (entry.valid, entry.invalid, entry.unreported, entry.trace_id) == (1, 0, 0, "abcdef0123456789")
        assert (entry.sent_at, entry.ended_at, entry.kind) == (BEGIN, BEGIN + 5, IdentifierType.MADID)
        assert journal.begin(batch(2)) is None


@pytest.mark.parametrize("state", [BatchState.FAILED, BatchState.UNKNOWN, BatchState.PENDING])
def test_batch_that_was_not_acknowledged_goes_out_again(place: Place, state: BatchState) -> None:
    """Whatever else became of it, and what came after it is not lost."""
    with place.open() as journal:
        for number in (1, 2, 3):
            journal.begin(batch(number))
        journal.end(3, ACKNOWLEDGED, valid=1)
        journal.end(1, ACKNOWLEDGED, valid=1)
        journal.end(2, state)
        assert not journal.complete()
    with place.open() as journal:
        assert send(journal, 3) == [2]
        assert journal.complete()


def test_completed_journal_never_suppresses_a_run(place: Place) -> None:
    """Add, clear, add again sends everything again; the second run is another one."""
    with place.open() as journal:
        send(journal, 2)
        assert journal.complete()
        first = journal.run_id
    for resume in (None, False):
        with place.open(resume) as journal:
            assert not journal.resumes
            assert journal.set_aside is None
            assert journal.run_id != first
            assert send(journal, 2) == [1, 2]
            assert journal.complete()


def test_source_that_became_shorter_is_complete(place: Place) -> None:
    """What an earlier run sent beyond its end does not count."""
    place.interrupted(acknowledged=3, begun=5)
    with place.open() as journal:
        assert send(journal, 2) == []
        assert journal.complete()


def test_empty_source_completes(place: Place) -> None:
    """There was nothing to acknowledge."""
    with place.open() as journal:
        assert journal.complete()


def test_batches_in_flight_are_not_complete(place: Place) -> None:
    """Nor is the upload they belong to."""
    with place.open() as journal:
        journal.begin(batch(1))
        assert not journal.complete()


@pytest.mark.parametrize(
    "changed",
    [
        batch(2, "other"),
        batch(2, "2", kind=IdentifierType.MADID),
        Batch(number=2, count=2, full=True, pieces=(b'"2@b.co"',)),
    ],
)
def test_source_is_sent_again_from_its_first_change(place: Place, changed: Batch) -> None:
    """By bytes, by kind or by count; also once a change has been undone."""
    place.interrupted(acknowledged=4, begun=4)
    with place.open() as journal:
        assert journal.begin(batch(1)) is not None
        assert journal.begin(changed) is None
        assert journal.begin(batch(3)) is None
        journal.end(2, ACKNOWLEDGED, valid=1)
    with place.open() as journal:
        assert send(journal, 4) == [2, 3, 4]


def test_pieces_are_not_part_of_a_batch(place: Place) -> None:
    """The same bytes cut elsewhere are the same batch."""
    with place.open() as journal:
        journal.begin(Batch(number=1, count=1, full=True, pieces=(b'"a@', b'b.co"')))
        journal.end(1, ACKNOWLEDGED, valid=1)
    with place.open() as journal:
        assert journal.begin(Batch(number=1, count=1, full=False, pieces=(b'"a@b.co"',))) is not None


@pytest.fixture
def unwitnessed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets runs be recorded in their journal's own directory only."""
    monkeypatch.setenv("XDG_STATE_HOME", os.devnull)


SOURCES = st.text("ab", max_size=6)
ENDS = st.lists(st.sampled_from([*BatchState, ACKNOWLEDGED, ACKNOWLEDGED]), min_size=6, max_size=6)
ALL = [ACKNOWLEDGED] * 6
RUNS = st.lists(st.tuples(SOURCES, ENDS, st.integers(0, 6)), min_size=2, max_size=4)


@pytest.mark.usefixtures("unwitnessed")
@settings(max_examples=30)
@given(runs=RUNS)
@example(runs=[("aab", ALL, 3), ("bab", ALL, 1), ("bab", ALL, 3)])
@example(runs=[("aab", ALL, 3), ("bab", ALL, 1), ("aab", ALL, 3)])
def test_journal_remembers_what_a_list_would(runs: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    """It skips a batch exactly when its bytes are on record as acknowledged and none before it has changed.

    Every run reads a source of its own up to a point, its batches end (or not) in reverse order, and it stops there.
    """
    place = Place(tmp_path_factory.mktemp("model"))
    record: list[list[Any]] = []
    for source, ends, stop in runs:
        unchanged, begun = True, []
        with place.open(resume=True if record else None) as journal:
            for number, content in enumerate(source[:stop], start=1):
                known = record[number - 1] if unchanged and number <= len(record) else None
                skipped = known == [content, ACKNOWLEDGED]
                assert (journal.begin(batch(number, content)) is not None) == skipped
                if not skipped:
                    if known is None or known[0] != content:
                        unchanged = unchanged and known is None
                        del record[number - 1 :]
                        record.append([content, None])
                    begun.append(number)
            for number in reversed(begun):
                if ends[number - 1] is not BatchState.SENT:
                    journal.end(number, ends[number - 1], valid=int(ends[number - 1] is ACKNOWLEDGED))
                record[number - 1][1] = ends[number - 1]


@pytest.mark.parametrize(("age", "sent"), [(DAY, []), (DAY + 1, [1]), (-DAY, []), (-DAY - 1, [1])])
def test_day_old_upload_is_continued_on_request_only(place: Place, age: float, sent: list[int]) -> None:
    """Counted from its last batch; a clock that was put back tells no age."""
    with place.open() as journal:
        place.moment += 7 * DAY
        journal.begin(batch(1))
        place.moment += 7 * DAY
        journal.end(1, ACKNOWLEDGED, valid=1)
    place.moment += age
    with place.open() as journal:
        assert journal.resumes == (not sent)
        assert (journal.set_aside is None) == (not sent)
        assert send(journal, 1) == sent


def test_stale_upload_is_continued_when_asked_for(place: Place) -> None:
    """With resume=True whatever its age; without, the user is told what was set aside and why."""
    place.interrupted()
    place.moment += 3 * DAY
    with place.open(resume=True) as journal:
        assert journal.resumes
        assert send(journal, 2) == []
    with place.open() as journal:
        assert journal.set_aside == (
            "Everything is sent again: the unfinished upload of 2026-09-21 14:13 UTC (add, segment 812345 of "
            "marketing-solutions; 2 of 3 batches acknowledged) was not continued because its last batch was more than "
            "24 hours ago (resume=True, --resume on the command line, would have continued it)."
        )
        assert send(journal, 3) == [1, 2, 3]


def test_anything_else_on_the_list_asks_for_resume(place: Place) -> None:
    """A clear on it, but not on another list or elsewhere; asked for once, it resumes by itself again."""
    place.interrupted()
    place.operate(segment_id="812346")
    place.operate(host="localhost")
    with place.open() as journal:
        assert journal.resumes
    place.operate()
    with place.open(resume=True) as journal:
        assert send(journal, 3) == [3]
    with place.open() as journal:
        assert journal.resumes
    place.operate()
    with place.open() as journal:
        assert "because something else has operated on the list since" in str(journal.set_aside)
        assert send(journal, 3) == [1, 2, 3]


def test_upload_through_another_journal_is_an_operation(place: Place) -> None:
    """As soon as it sends something, and no sooner."""
    place.interrupted()
    with JournalDirectory(place.directory) as register:
        mark = register.last_mark(JOB.service, JOB.host, JOB.segment_id)
    with Journal.open(place.directory / "other.journal", JOB) as other:
        with JournalDirectory(place.directory) as register:
            assert register.last_mark(JOB.service, JOB.host, JOB.segment_id) == mark
        other.begin(batch(1))
    with place.open() as journal:
        assert not journal.resumes


def test_uploads_that_overlapped_disturb_each_other(place: Place) -> None:
    """Neither resumes unasked, whichever ended first."""
    with place.open() as journal, Journal.open(place.directory / "other.journal", JOB) as other:
        for each in (journal, other):
            each.begin(batch(1))
            each.end(1, ACKNOWLEDGED, valid=1)
    for path in (place.path, place.directory / "other.journal"):
        with Journal.open(path, JOB) as again:
            assert not again.resumes
            assert again.set_aside


@pytest.mark.parametrize(
    "other",
    [
        {"segment_id": "9"},
        {"operation": "remove"},
        {"service": "retail-media"},
        {"host": "localhost"},
        {"configuration": {"kinds": ["madid"]}},
        {"configuration": {}},
    ],
)
def test_unfinished_upload_of_another_job_is_refused(place: Place, other: dict[str, Any]) -> None:
    """It is neither continued nor lost, unless it is given up; a completed one is replaced."""
    place.interrupted()
    for resume in (None, True):
        message = refusal(lambda resume=resume: place.open(resume, **other))  # type: ignore[misc]
        assert "holds the unfinished upload of 2026-09-21 14:13 UTC (add, segment 812345" in message
        assert "which is another job or has other settings" in message
        assert SECRET not in message
    with place.open() as journal:
        assert send(journal, 3) == [3]
    with place.open(resume=False, **other) as journal:
        assert (journal.resumes, journal.set_aside) == (False, None)
        send(journal, 1)
        assert journal.complete()
    with place.open() as journal:
        assert send(journal, 3) == [1, 2, 3]


def test_upload_without_an_acknowledged_batch_is_replaced_in_silence(place: Place) -> None:
    """Of another job, too old or disturbed: there is nothing to continue. On request it goes on all the same."""
    place.interrupted(acknowledged=0)
    with place.open(resume=True) as journal:
        assert journal.resumes
    with place.open(operation="remove") as journal:
        assert (journal.resumes, journal.set_aside) == (False, None)
        journal.begin(batch(1))
    place.moment += 2 * DAY
    with place.open(operation="remove") as journal:
        assert (journal.resumes, journal.set_aside) == (False, None)


def test_resume_without_an_unfinished_upload_is_refused(place: Place) -> None:
    """Nothing is sent by mistake: neither with a new journal nor with a completed one."""
    assert "has no unfinished upload to resume: run without resume" in refusal(lambda: place.open(resume=True))
    with place.open() as journal:
        assert journal.complete()
    assert "has no unfinished upload" in refusal(lambda: place.open(resume=True))


def test_journal_without_its_key_starts_anew(place: Place) -> None:
    """When the register is gone no batch can be recognized, which is said."""
    place.interrupted()
    (place.directory / REGISTER_NAME).unlink()
    assert "cannot be resumed because the register" in refusal(lambda: place.open(resume=True))
    with place.open() as journal:
        assert str(journal.set_aside).endswith(
            "because the register in its directory is not the one it was written with."
        )
        assert send(journal, 2) == [1, 2]


def test_journal_of_today_goes_on_beside_another_clock(place: Place) -> None:
    """Without a clock of its own it takes the computer's."""
    with Journal.open(place.path, JOB) as journal:
        send(journal, 1)
    with Journal.open(place.path, JOB) as journal:
        assert journal.resumes


def test_digests_are_keyed_and_nothing_else_is_written(place: Place, tmp_path: Path) -> None:
    """No identifier, digest without a key, condition or key stands in a journal, open or closed."""
    body = f'"{SECRET}"'.encode()
    hashes = [hashlib.new(name, data).digest() for name in ("sha256", "md5") for data in (body, SECRET.encode())]
    digests = []
    for directory in (place.directory, tmp_path / "elsewhere"):
        with Journal.open(directory / "crm.journal", JOB) as journal:
            journal.begin(Batch(number=1, count=1, full=True, pieces=(body,)))
            journal.end(1, ACKNOWLEDGED, valid=1, trace_id=SECRET)
            opened = Place(directory).bytes()
            found = journal._store.find(1)
            assert found is not None
            digests.append(found[0])
        with JournalDirectory(directory) as register:
            key = register.key()
        content = opened + Place(directory).bytes()
        for planted in (SECRET.encode(), b"jane", *hashes, *(each.hex().encode() for each in hashes)):
            assert planted not in content
        assert digests[-1] in content
        assert key not in (directory / "crm.journal").read_bytes()
    assert len(set(digests)) == 2
    assert not set(digests) & set(hashes)
    assert SECRET not in repr(JOB)


def test_files_are_private(place: Place) -> None:
    """The directory that is made, the journal, its log and the register; a wider mode is taken back."""
    umask = os.umask(0)
    try:
        place.interrupted()
    finally:
        os.umask(umask)
    assert {path.stat().st_mode & 0o777 for path in place.directory.iterdir()} == {0o600}
    place.path.chmod(0o644)
    with place.open() as journal:
        journal.begin(batch(1))
        modes = {path.name: path.stat().st_mode & 0o777 for path in place.directory.iterdir()}
        assert modes == dict.fromkeys([REGISTER_NAME, "crm.journal", "crm.journal-lock", "crm.journal-wal"], 0o600)
    assert place.directory.stat().st_mode & 0o777 == 0o700
    assert {path.name for path in place.directory.iterdir()} == {REGISTER_NAME, "crm.journal"}


def foreign_database(path: Path) -> None:
    """Makes another program's database."""
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE t (x)")
    db.commit()
    db.close()


def truncated(path: Path) -> None:
    """Makes a journal that lacks its end."""
    Place(path.parent).interrupted()
    path.write_bytes(path.read_bytes()[:-4096])


def scribbled(path: Path) -> None:
    """Makes a journal with random bytes in it, its header left as it is."""
    Place(path.parent).interrupted()
    content = path.read_bytes()
    path.write_bytes(content[:4096] + os.urandom(len(content) - 4096))


def impossible(path: Path) -> None:
    """Makes a journal with a state that there is not."""
    Place(path.parent).interrupted()
    db = sqlite3.connect(path)
    db.execute("PRAGMA ignore_check_constraints = 1")
    db.execute("UPDATE batches SET state = 'bogus'")
    db.commit()
    db.close()


def newer(path: Path) -> None:
    """Makes a journal of a version to come."""
    Place(path.parent).interrupted()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 3")
    db.close()


UNUSABLE = [
    (lambda path: path.write_text("email\na@b.co\n"), "is no journal of this library, and is left as it is"),
    (lambda path: path.write_bytes(os.urandom(20_000)), "is no journal of this library"),
    (foreign_database, "is no journal of this library"),
    (lambda path: path.mkdir(), "must be a plain file, but is a directory"),
    (os.mkfifo, "must be a plain file, but is a special file"),
    (lambda path: path.symlink_to(path.with_name("target")), "must be a plain file, but is a link"),
    (lambda path: path.with_name("crm.journal-wal").symlink_to("target"), "must be a plain file, but is a link"),
    (truncated, "is damaged: remove it"),
    (scribbled, "is damaged: remove it"),
    (impossible, "is damaged: remove it"),
    (newer, "was written by another version"),
]


@pytest.mark.parametrize(("spoil", "message"), UNUSABLE)
def test_what_is_no_sound_journal_is_refused_and_left(
    place: Place, spoil: Callable[[Path], object], message: str
) -> None:
    """In a sentence with the path as it was given, whatever the user wants with it."""
    place.directory.mkdir()
    spoil(place.path)
    before = (place.path.read_bytes(), place.path.stat().st_mode) if place.path.is_file() else None
    for resume in (None, True, False):
        found = refusal(lambda resume=resume: place.open(resume))  # type: ignore[misc]
        assert message in found
        assert str(place.path) in found
    assert not place.path.with_name("target").exists()
    if before is not None:
        assert (place.path.read_bytes(), place.path.stat().st_mode) == before


def test_empty_file_becomes_a_journal(place: Place) -> None:
    """It is what a process leaves that is killed at the very beginning; a log without its file is none."""
    place.directory.mkdir()
    place.path.touch(mode=0o644)
    place.path.with_name("crm.journal-wal").write_bytes(os.urandom(5_000))
    with place.open() as journal:
        assert send(journal, 1) == [1]
    with place.open() as journal:
        assert send(journal, 1) == []


def names(place: Place) -> set[str]:
    """Returns what stands beside the register."""
    return {path.name for path in place.directory.iterdir()} - {REGISTER_NAME}


@pytest.mark.parametrize("planted", [None, b""])
def test_journal_that_never_began_leaves_nothing(place: Place, planted: bytes | None) -> None:
    """No file, no log, no lock: an upload that was refused before its first batch is none, also over an empty file."""
    place.directory.mkdir()
    for resume in (None, False):
        if planted is not None:
            place.path.write_bytes(planted)
        with place.open(resume):
            assert names(place) == {"crm.journal", "crm.journal-wal", "crm.journal-lock"}
        assert names(place) == set()
    assert "no unfinished upload to resume" in refusal(lambda: place.open(resume=True))
    assert names(place) == set()


def test_upload_that_never_began_leaves_what_the_journal_held(place: Place) -> None:
    """A finished one stays finished, and what could be continued can be, although it was not asked for."""
    place.interrupted(acknowledged=2)
    with place.open(resume=False):
        pass
    place.operate()
    with place.open() as journal:
        assert journal.set_aside
    with place.open(resume=True) as journal:
        assert send(journal, 2) == []
        assert journal.complete()
    before = place.path.read_bytes()
    with place.open():
        pass
    assert describe(place.path).state is JournalState.COMPLETED
    assert place.path.read_bytes() == before
    assert names(place) == {"crm.journal"}


def kill(place: Place, statements: int) -> None:
    """Leaves a journal behind whose process was killed after so many of the statements that make it."""
    place.directory.mkdir(exist_ok=True)
    db = sqlite3.connect(place.path, isolation_level=None)
    for statement in ("PRAGMA journal_mode=WAL", *FORMAT.schema, *IDENTITY)[:statements]:
        db.execute(statement)
    db.close()


@pytest.mark.parametrize("statements", [0, 1, 1 + len(FORMAT.schema) + len(IDENTITY)])
def test_journal_that_was_killed_before_its_first_record_is_started_anew(place: Place, statements: int) -> None:
    """It is empty and not damaged, wherever it is looked at."""
    kill(place, statements)
    place.path.chmod(0o600)
    assert [each.state for each in list_journals(place.directory)] == [JournalState.EMPTY][: place.path.stat().st_size]
    with pytest.raises(JournalError, match="is empty: no upload has begun"):
        describe(place.path)
    assert place.path.exists()
    with place.open() as journal:
        assert not journal.set_aside
        assert send(journal, 2) == [1, 2]
    with place.open() as journal:
        assert send(journal, 2) == []


def test_restored_copy_is_offered_and_not_continued(place: Place) -> None:
    """A journal from before the last run is recognized: the register has the mark of that run; asked for, it resumes."""
    place.interrupted(acknowledged=2)
    copy = place.path.read_bytes()
    with place.open() as journal:
        assert send(journal, 4) == [3, 4]
    place.path.write_bytes(copy)
    with place.open() as journal:
        assert "something else has operated on the list since" in str(journal.set_aside)
    with place.open(resume=True) as journal:
        assert send(journal, 4) == [3, 4]


def test_directory_restored_with_its_register_is_witnessed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the user's state directory; without it nobody can know."""
    place.interrupted(acknowledged=2)
    copy = {path: path.read_bytes() for path in place.directory.iterdir()}
    with place.open() as journal:
        assert send(journal, 4) == [3, 4]
    for path, content in copy.items():
        path.write_bytes(content)
    with place.open() as journal:
        assert "something else has operated on the list since" in str(journal.set_aside)
    monkeypatch.setenv("XDG_STATE_HOME", os.devnull)
    with place.open() as journal:
        assert journal.resumes


def test_a_pipe_in_the_place_of_the_users_register_keeps_no_call_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The operation goes on, and the log says why it was not noted."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    directory = tmp_path / "criteo-audiences" / "journals"
    directory.mkdir(parents=True, mode=0o700)
    os.mkfifo(directory / REGISTER_NAME, 0o600)
    Witness().note_other("marketing-solutions", "127.0.0.1", "1")
    assert "must be a plain file, but is a special file" in caplog.text


@pytest.mark.parametrize("reached", ["nothing", "journal", "register"])
def test_kill_while_the_marks_are_changed_is_no_disturbance(
    place: Place, reached: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal, its register and the user's are written one after the other; any of them may be the last."""
    place.interrupted(acknowledged=2)
    cut: dict[str, Any] = {
        "nothing": (Store, "set_marks"),
        "journal": (JournalDirectory, "note"),
        "register": (Witness, "note"),
    }
    with monkeypatch.context() as patch:
        patch.setattr(*cut[reached], killed)
        journal = place.open()
        assert journal.resumes
        with pytest.raises(KilledError):
            send(journal, 3)
        journal.close()
    with place.open() as journal:
        assert journal.resumes
        assert send(journal, 3) == [3]


class KilledError(Exception):
    """Stands for the end of the process."""


def killed(*_: object) -> None:
    """Ends the process."""
    raise KilledError


def test_hosts_are_the_same_in_either_case(place: Place) -> None:
    """As names in the DNS are: the job is the same, and an operation on the list is noticed."""
    place.interrupted()
    with place.open(host="API.Criteo.COM") as journal:
        assert journal.resumes
    place.operate(host="Api.criteo.com")
    with place.open() as journal:
        assert not journal.resumes


def test_damaged_register_is_refused(place: Place) -> None:
    """The message names it; it is left as it is."""
    place.interrupted()
    (place.directory / REGISTER_NAME).write_text("x" * 100)
    assert f"{REGISTER_NAME} is no register of this library" in refusal(place.open)
    assert (place.directory / REGISTER_NAME).read_text() == "x" * 100


def test_register_is_no_journal(place: Place) -> None:
    """A journal of the same name is refused."""
    path = place.directory / REGISTER_NAME
    assert "is no journal" in refusal(lambda: Journal.open(path, JOB))


def test_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    """A file where the directory belongs, and a name that is too long."""
    (tmp_path / "file").touch()
    assert "/file/x cannot be written: " in refusal(lambda: Journal.open(tmp_path / "file" / "x", JOB))
    assert "cannot be written: File name too long" in refusal(lambda: Journal.open(tmp_path / ("x" * 300), JOB))


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_directory_that_is_read_only_is_refused(tmp_path: Path) -> None:
    """With the reason of the operating system."""
    tmp_path.chmod(0o500)
    assert "cannot be written: Permission denied" in refusal(lambda: Journal.open(tmp_path / "x", JOB))


def test_second_upload_of_a_process_is_refused(place: Place) -> None:
    """As one of another process is; the first goes on, and its end frees the journal."""
    with place.open() as journal:
        for resume in (None, True, False):
            assert "is in use by another upload" in refusal(lambda resume=resume: place.open(resume))  # type: ignore[misc]
        assert send(journal, 2) == [1, 2]
    with place.open() as journal:
        assert journal.resumes


def test_batches_come_in_order_and_end_once(place: Place) -> None:
    """Anything else is a mistake of the caller, and records nothing."""
    with place.open() as journal:
        with pytest.raises(ValueError, match="batch 1 comes next, not batch 2"):
            journal.begin(batch(2))
        journal.begin(batch(1))
        with pytest.raises(ValueError, match="batch 2 comes next, not batch 1"):
            journal.begin(batch(1))
        with pytest.raises(ValueError, match="batch 1 is not in flight"):
            journal.end(1, BatchState.SENT)
        journal.end(1, ACKNOWLEDGED, valid=1)
        with pytest.raises(ValueError, match="batch 1 is not in flight"):
            journal.end(1, BatchState.FAILED)
    journal.close()


def test_log_is_written_in_place(place: Place) -> None:
    """It keeps its length however many batches there are, and its end is always one page."""
    with place.open() as journal:
        log = place.path.with_name("crm.journal-wal")
        length = log.stat().st_size
        for number in range(1, 400):
            journal.begin(batch(number, count=3 * 10**9))
            if number > 20:
                journal.end(number - 20, ACKNOWLEDGED, valid=10**9, invalid=10**9, unreported=10**9, trace_id="f" * 48)
        assert log.stat().st_size == length


@pytest.mark.usefixtures("unwitnessed")
@given(steps=st.lists(st.tuples(st.integers(1, 45), st.integers(0, 60), st.integers(0, 3)), min_size=1, max_size=4))
@example(steps=[(40, 0, 0)])
@example(steps=[(45, 0, 3), (45, 45, 3), (45, 10, 0)])
@settings(max_examples=60, deadline=None)
def test_the_log_holds_no_more_than_was_counted(steps: list[tuple[int, int, int]]) -> None:
    """However many runs there were, what they changed and how many were in flight: a full disk surprises nobody."""
    long = IdentifierType.USER_IDENTIFIER
    with tempfile.TemporaryDirectory() as directory:
        for run, (count, same, late) in enumerate(steps):
            with Journal.open(Path(directory) / "j", JOB, resume=None, now=lambda: BEGIN) as journal:
                store = journal._store
                flying: list[int] = []
                for number in range(1, count + 1):
                    if (
                        journal.begin(batch(number, "" if number <= same else f"{run}.{number}", long, 3 * 10**9))
                        is None
                    ):
                        flying.append(number)
                    if len(flying) > late:
                        end = flying.pop(0)
                        journal.end(end, ACKNOWLEDGED, valid=10**9, invalid=10**9, unreported=10**9, trace_id="f" * 48)
                    assert store._used <= store._length
                ((_, frames, _),) = store._db.execute("PRAGMA wal_checkpoint(PASSIVE)")
                assert frames <= store._used


def test_what_is_synchronized_is_the_log(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which is where SQLite has put what was recorded; before that it only outlives the process."""
    synchronized: list[int] = []
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: synchronized.append(os.fstat(descriptor).st_ino))
    with place.open() as journal:
        synchronized.clear()
        journal.begin(batch(1))
        journal.end(1, ACKNOWLEDGED, valid=1)
        assert not synchronized
        journal.sync()
        assert synchronized == [place.path.with_name("crm.journal-wal").stat().st_ino]


def test_who_does_not_wait_is_told_that_another_thread_records(place: Place) -> None:
    """Nothing is recorded then, and it can be done again."""
    with place.open() as journal:
        journal.begin(batch(1))
        with journal._lock:
            assert not journal.end(1, ACKNOWLEDGED, valid=1, wait=False)
        assert journal.end(1, ACKNOWLEDGED, valid=1, wait=False)


def test_a_batch_takes_two_statements(place: Place) -> None:
    """One when it is begun and one when it ends: each turn at SQLite costs the event loop a change of threads."""
    with place.open() as journal:
        journal.begin(batch(1))  # which tells the register, too
        statements: list[str] = []
        journal._store._db.set_trace_callback(statements.append)
        journal.begin(batch(2))
        journal.end(2, ACKNOWLEDGED, valid=1)
        assert [each.split()[0] for each in statements] == ["INSERT", "UPDATE"]
