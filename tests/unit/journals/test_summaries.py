import datetime as dt
import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from criteo_audiences.batches import Batch
from criteo_audiences.errors import JournalError
from criteo_audiences.journals import (
    JournalState,
    JournalSummary,
    compact,
    describe,
    list_journals,
    remove,
)
from criteo_audiences.journals.directory import REGISTER_NAME, JournalDirectory
from criteo_audiences.journals.journal import Job, Journal
from criteo_audiences.journals.rows import BatchState

BEGIN = 1_790_000_000.0
JOB = Job(service="retail-media", host="api.criteo.com", segment_id="812345", operation="remove")
NAMES: dict[str, Any] = {
    "service": "retail-media",
    "host": "api.criteo.com",
    "segment_id": "812345",
    "operation": "remove",
    "started": dt.datetime.fromtimestamp(BEGIN, dt.UTC),
}
ENDS = (BatchState.ACKNOWLEDGED, BatchState.FAILED, BatchState.ACKNOWLEDGED, BatchState.UNKNOWN, BatchState.SENT)


def batch(number: int) -> Batch:
    """Returns a batch of ten times its number of identifiers."""
    return Batch(number=number, count=10 * number, full=True, pieces=(b'"%d"' % number,))


def upload(path: Path, ends: tuple[BatchState, ...] = ENDS) -> None:
    """Leaves a journal whose batches came to these ends, a second each."""
    moments = iter(range(10_000))
    with Journal.open(path, JOB, now=lambda: BEGIN + next(moments) // 2) as journal:
        for number, end in enumerate(ends, start=1):
            journal.begin(batch(number))
            if end is not BatchState.SENT:
                journal.end(number, end, valid=10 * number * (end is BatchState.ACKNOWLEDGED))
        journal.complete()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a journal may be."""
    return tmp_path / "crm.journal"


def test_unfinished_journal_is_described(path: Path) -> None:
    """By names, states, identifiers and times; and what keeps it from being continued."""
    upload(path)
    summary = describe(path, now=lambda: BEGIN + 60)
    assert summary == JournalSummary(
        path=path,
        state=JournalState.UNFINISHED,
        batches={BatchState.ACKNOWLEDGED: 2, BatchState.FAILED: 1, BatchState.UNKNOWN: 1, BatchState.SENT: 1},
        identifiers=40,
        last_activity=dt.datetime.fromtimestamp(BEGIN + 5, dt.UTC),
        **NAMES,
    )
    assert "24 hours" in str(describe(path, now=lambda: BEGIN + 100_000).obstacle)
    with JournalDirectory(path.parent) as register:
        register.note(JOB.service, JOB.host, JOB.segment_id, "clear")
    assert "something else has operated" in str(describe(path, now=lambda: BEGIN + 60).obstacle)
    (path.parent / REGISTER_NAME).unlink()
    assert "the register in its directory" in str(describe(path, now=lambda: BEGIN + 60).obstacle)
    assert not (path.parent / REGISTER_NAME).exists()


def test_looking_changes_nothing(path: Path) -> None:
    """The file stays as it is, and the upload is continued afterwards."""
    upload(path)
    before = path.read_bytes()
    describe(path)
    list_journals(path.parent)
    assert path.read_bytes() == before
    assert {each.name for each in path.parent.iterdir()} == {path.name, REGISTER_NAME}
    with Journal.open(path, JOB, now=lambda: BEGIN) as journal:
        assert journal.begin(batch(1)) is not None


def test_completed_journal_keeps_its_summary_when_compacted(path: Path) -> None:
    """Its batches are gone, and it is smaller; the next upload starts anew."""
    upload(path, (BatchState.ACKNOWLEDGED,) * 300)
    before, size = describe(path), path.stat().st_size
    assert before == JournalSummary(
        path=path,
        state=JournalState.COMPLETED,
        batches={BatchState.ACKNOWLEDGED: 300},
        identifiers=10 * sum(range(301)),
        last_activity=dt.datetime.fromtimestamp(BEGIN + 301, dt.UTC),
        **NAMES,
    )
    compact(path)
    assert describe(path) == before
    assert path.stat().st_size < size / 2
    with Journal.open(path, JOB) as journal:
        assert not journal.resumes
        assert journal.begin(batch(1)) is None


def test_unfinished_journal_is_not_compacted(path: Path) -> None:
    """All of it is needed."""
    upload(path)
    with pytest.raises(JournalError, match="is of an unfinished upload, which needs all of it"):
        compact(path)
    assert describe(path).batches[BatchState.ACKNOWLEDGED] == 2


def test_journal_is_removed_with_its_log(path: Path) -> None:
    """Also an unfinished one; the next upload starts anew."""
    upload(path)
    path.with_name("crm.journal-wal").touch()
    remove(path)
    assert [each.name for each in path.parent.iterdir()] == [REGISTER_NAME]
    with Journal.open(path, JOB) as journal:
        assert (journal.resumes, journal.set_aside) == (False, None)


def test_empty_journal_is_removed(path: Path) -> None:
    """Nothing is lost with a journal in which no upload has begun, as its name says."""
    path.touch()
    remove(path)
    assert not path.exists()


def test_journal_in_use_is_named_and_left(path: Path) -> None:
    """Its counts are nobody else's to read."""
    with Journal.open(path, JOB, now=lambda: BEGIN) as journal:
        journal.begin(batch(1))
        in_use = JournalSummary(path=path, state=JournalState.IN_USE, **NAMES)
        assert describe(path) == in_use
        assert list_journals(path.parent) == [in_use]
        for act in (remove, compact):
            with pytest.raises(JournalError, match="is in use by another upload"):
                act(path)
        journal.end(1, BatchState.ACKNOWLEDGED, valid=10)
    assert describe(path).identifiers == 10


@pytest.mark.parametrize("act", [describe, compact, remove])
def test_what_is_no_journal_is_left(act: Any, tmp_path: Path) -> None:
    """Text, nothing, an empty file, another database, a link, a directory."""
    upload(tmp_path / "real")
    (tmp_path / "text").write_text("email\n")
    (tmp_path / "empty").touch()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "directory").mkdir()
    with sqlite3.connect(tmp_path / "other") as db:
        db.execute("CREATE TABLE t (x)")
    db.close()
    names = {
        "text": "is no journal",
        "missing": "does not exist",
        "empty": "is empty: no upload has begun",
        "link": "is a link",
        "directory": "is a directory",
        "other": "is no journal",
        REGISTER_NAME: "is no journal",
    }
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    for name, message in names.items():
        with pytest.raises(JournalError, match=message):
            act(tmp_path / name)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


def test_journals_of_a_directory_are_listed(tmp_path: Path) -> None:
    """By name, damaged ones among them; what is no journal is not."""
    for name in ("b", "a"):
        upload(tmp_path / name)
    upload(tmp_path / "c", (BatchState.ACKNOWLEDGED,))
    content = (tmp_path / "a").read_bytes()
    (tmp_path / "damaged").write_bytes(content[:4096] + os.urandom(len(content) - 4096))
    (tmp_path / "text").write_text("email\n")
    (tmp_path / "empty").touch()
    (tmp_path / "link").symlink_to("a")
    os.mkfifo(tmp_path / "pipe")
    assert [(each.path.name, each.state) for each in list_journals(tmp_path)] == [
        ("a", JournalState.UNFINISHED),
        ("b", JournalState.UNFINISHED),
        ("c", JournalState.COMPLETED),
        ("damaged", JournalState.DAMAGED),
    ]


def test_directory_that_is_not_there_has_no_journals(tmp_path: Path) -> None:
    """Nobody has kept one there yet."""
    assert list_journals(tmp_path / "nowhere") == []


def test_what_is_no_directory_is_refused(tmp_path: Path) -> None:
    """In a sentence."""
    path = tmp_path / "file"
    path.touch()
    with pytest.raises(JournalError, match=r"The directory .*file cannot be read: Not a directory"):
        list_journals(path)


def test_register_knows_the_last_run_on_each_list(tmp_path: Path) -> None:
    """Lists of other services and hosts are others; a run that overlapped with another leaves nobody's."""
    with JournalDirectory(tmp_path / "state") as register:
        assert register.last_mark("s", "h", "1") is None
        register.note("s", "h", "1", "a")
        register.note("s", "other", "1", "b")
        register.note("s", "h", "2", "c")
        register.note_end("s", "h", "1", "a")
        register.note_end("s", "h", "2", "a")
        key = register.key()
    with JournalDirectory(tmp_path / "state") as register:
        assert register.last_mark("s", "h", "1") == "a"
        assert register.last_mark("s", "other", "1") == "b"
        assert register.last_mark("s", "h", "2") == ""
        assert register.key() == key
    assert len(key) == 32
    assert (tmp_path / "state" / REGISTER_NAME).stat().st_mode & 0o777 == 0o600


def test_block_of_the_register_that_fails_notes_nothing(tmp_path: Path) -> None:
    """It is one transaction."""

    def fail() -> None:
        with JournalDirectory(tmp_path) as register:
            register.note("s", "h", "1", "a")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with JournalDirectory(tmp_path) as register:
        assert register.last_mark("s", "h", "1") is None


def test_register_is_shared_by_many(tmp_path: Path) -> None:
    """Those that come at the same time wait for each other, and have one key."""
    keys = []

    def use(number: int) -> None:
        for each in range(5):
            with JournalDirectory(tmp_path) as register:
                keys.append(register.key())
                register.note("s", "h", f"{number}/{each}", "run")

    threads = [threading.Thread(target=use, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 30
    assert len(set(keys)) == 1
    with JournalDirectory(tmp_path) as register:
        assert {register.last_mark("s", "h", f"{n}/{e}") for n in range(6) for e in range(5)} == {"run"}


@pytest.mark.parametrize("ask", [describe, list_journals, compact, remove])
def test_a_path_with_a_nul_is_refused(tmp_path: Path, ask: Callable[[Path], object]) -> None:
    """In our words; the system has only a `ValueError` for it."""
    with pytest.raises(JournalError, match="holds a NUL character, which no file's name can hold"):
        ask(tmp_path / "a\0b.journal")
