"""Journals and registers whose bytes are not those that were written."""

import os
import random
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from criteo_audiences.batches import Batch
from criteo_audiences.errors import JournalError
from criteo_audiences.journals import JournalState, compact, describe, list_journals
from criteo_audiences.journals.directory import REGISTER_NAME, JournalDirectory
from criteo_audiences.journals.journal import Job, Journal
from criteo_audiences.journals.rows import BatchState, Entry, settled

BEGIN = 1_790_000_000.0
JOB = Job(service="retail-media", host="api.criteo.com", segment_id="812345", operation="add")
NUMBERS = range(1, 41)
FATES = (BatchState.ACKNOWLEDGED, BatchState.FAILED, BatchState.UNKNOWN, BatchState.PENDING, BatchState.SENT)
STEP = 11


def batch(number: int) -> Batch:
    """Returns a batch of ten identifiers."""
    return Batch(number=number, count=10, full=True, pieces=(b'"%d@b.co"' % number,))


def fate(number: int) -> BatchState:
    """Says what becomes of a batch."""
    return FATES[number % len(FATES)]


def open_journal(path: Path) -> Journal:
    """Opens a journal, as an upload does that was told nothing."""
    return Journal.open(path, JOB, now=lambda: BEGIN)


def write(journal: Journal) -> None:
    """Records batches of every fate."""
    for number in NUMBERS:
        journal.begin(batch(number))
        state = fate(number)
        if state is BatchState.ACKNOWLEDGED:
            journal.end(number, state, valid=7, invalid=2, unreported=1, trace_id="0123456789abcdef")
        elif state is not BatchState.SENT:
            journal.end(number, state)


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with an unfinished journal, batches of every fate in it, and another upload's finished one.

    Nothing else witnesses what happens to the list, or the copies would be recognized as such.
    """
    monkeypatch.setenv("XDG_STATE_HOME", os.devnull)
    directory = tmp_path / "written"
    with open_journal(directory / "crm.journal") as journal:
        write(journal)
    with Journal.open(directory / "other.journal", JOB, now=lambda: BEGIN) as other:
        other.complete()
    return directory


def known(path: Path) -> list[Entry | None]:
    """Returns what a journal knows of each batch when its upload is started again."""
    with open_journal(path) as journal:
        return [journal.begin(batch(number)) for number in NUMBERS]


def bytes_of(path: Path, step: int, seed: int) -> Iterator[tuple[int, bytes]]:
    """Yields a file with one bit of every so many bytes in use flipped, one at a time, and where."""
    content, chosen = path.read_bytes(), random.Random(seed)  # noqa: S311 - which bits
    used = [each for each in range(len(content)) if content[max(0, each - 8) : each + 8].strip(b"\0")]
    for position in used[chosen.randrange(step) :: step]:
        flipped = bytearray(content)
        flipped[position] ^= 1 << chosen.randrange(8)
        yield position, bytes(flipped)


def copied(written: Path, tmp_path: Path, name: str, content: bytes) -> Path:
    """Returns a copy of the directory in which one file has another content."""
    directory = tmp_path / "copy"
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(written, directory, copy_function=shutil.copy)
    (directory / name).write_bytes(content)
    return directory


@pytest.mark.parametrize("name", ["crm.journal", REGISTER_NAME])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_flipped_bit_is_a_journal_error_or_nothing(written: Path, tmp_path: Path, name: str, seed: int) -> None:
    """Whichever bit it is: no other exception, no other data, no unsent batch that is taken for sent."""
    right, refused = known(copied(written, tmp_path, "marker", b"") / "crm.journal"), 0
    assert sum(entry is not None for entry in right) == 8
    for position, content in bytes_of(written / name, STEP, seed):
        path = copied(written, tmp_path, name, content) / "crm.journal"
        try:
            assert known(path) == right, position
        except JournalError:
            refused += 1
    assert refused > 20


@pytest.mark.parametrize("seed", [1, 2])
def test_a_flipped_bit_in_the_log_of_a_killed_run_resumes_nothing_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """The log counts up to the bit, or the journal is refused: no batch is taken for acknowledged that was not."""
    monkeypatch.setenv("XDG_STATE_HOME", os.devnull)
    with open_journal(tmp_path / "running" / "crm.journal") as journal:
        write(journal)
        written = Path(shutil.copytree(tmp_path / "running", tmp_path / "killed"))
    right = known(copied(written, tmp_path, "marker", b"") / "crm.journal")
    assert sum(entry is not None for entry in right) == 8
    log, shorter = written / "crm.journal-wal", 0
    for position, content in bytes_of(log, 60 * STEP, seed):
        path = copied(written, tmp_path, log.name, content) / "crm.journal"
        try:
            found = known(path)
        except JournalError:
            continue
        assert all(entry in {None, expected} for entry, expected in zip(found, right, strict=True)), position
        shorter += found != right
    assert shorter > 5


def test_a_flipped_bit_shows_in_the_list_of_all(written: Path, tmp_path: Path) -> None:
    """The damaged journal stands there by its name; the other one is described as ever."""
    other, sound = describe(written / "other.journal"), describe(written / "crm.journal")
    for _, content in bytes_of(written / "crm.journal", 5 * STEP, 3):
        directory = copied(written, tmp_path, "crm.journal", content)
        damaged, beside = list_journals(directory)
        assert (damaged.path.name, beside.path.name) == ("crm.journal", "other.journal")
        assert damaged.state is JournalState.DAMAGED or damaged.batches == sound.batches
        assert (beside.state, beside.started) == (JournalState.COMPLETED, other.started)


def test_a_damaged_register_refuses_what_needs_it(written: Path) -> None:
    """Journals beside it can neither be continued nor listed as sound; the message names the register."""
    register = written / REGISTER_NAME
    with JournalDirectory(written) as opened:
        key = opened.key()
    content = register.read_bytes()
    register.write_bytes(content.replace(key, bytes(reversed(key))))
    for act in (lambda: known(written / "crm.journal"), lambda: describe(written / "crm.journal")):
        with pytest.raises(JournalError, match=r"The register .* is damaged"):
            act()
    assert [each.state for each in list_journals(written)] == [JournalState.DAMAGED] * 2


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE batches SET valid = 8 WHERE number = 5",
        "UPDATE batches SET state = 'acknowledged' WHERE number = 6",
        "UPDATE batches SET state = 'acknowledged', valid = 10 WHERE number = 6",
        "UPDATE batches SET digest = (SELECT digest FROM batches WHERE number = 5) WHERE number = 6",
        "UPDATE batches SET number = 41 WHERE number = 7",
        "UPDATE batches SET trace_id = 'fedcba9876543210' WHERE number = 5",
        "UPDATE batches SET sent_at = 0.0 WHERE number = 5",
        "DELETE FROM batches WHERE number = 7",
        "DELETE FROM job",
        "INSERT INTO job SELECT * FROM job",
        "UPDATE job SET started = 0.0",
        "UPDATE job SET completed = 1.0",
        "UPDATE job SET run_id = 'x'",
    ],
)
def test_a_row_that_nobody_wrote_is_damage(written: Path, change: str) -> None:
    """Every value stands in a checksum, rows follow each other, and counts add up to the batch."""
    db = sqlite3.connect(written / "crm.journal")
    db.execute(change)
    db.commit()
    db.close()
    for act in (known, describe, compact):
        with pytest.raises(JournalError, match=r"is damaged: remove it, and the next upload sends everything\."):
            act(written / "crm.journal")


@pytest.mark.parametrize("counts", [(9, 0, 0), (10, 10, 0), (10**18, 0, 0), (-1, 11, 0), (0, 0, 0)])
def test_an_answer_that_does_not_count_its_batch_acknowledges_nothing(counts: tuple[int, int, int]) -> None:
    """It is unknown then, and sent again; one that does is written down as it is."""
    assert settled(BatchState.ACKNOWLEDGED, counts, 10) == (BatchState.UNKNOWN, (0, 0, 0))
    assert settled(BatchState.ACKNOWLEDGED, (7, 2, 1), 10) == (BatchState.ACKNOWLEDGED, (7, 2, 1))
    assert settled(BatchState.FAILED, (0, 0, 0), 10) == (BatchState.FAILED, (0, 0, 0))


def test_such_an_answer_does_not_count_as_acknowledged(tmp_path: Path) -> None:
    """Neither while the upload runs nor when it is started again; nor does what a changed batch made the journal forget."""
    path = tmp_path / "crm.journal"
    with open_journal(path) as journal:
        for number, valid in ((1, 10), (2, 10**18), (3, 10)):
            journal.begin(batch(number))
            journal.end(number, BatchState.ACKNOWLEDGED, valid=valid)
        assert journal.acknowledged == 2
    with open_journal(path) as journal:
        assert journal.acknowledged == 2
        assert journal.begin(batch(1)) is not None
        journal.begin(Batch(number=2, count=10, full=True, pieces=(b'"other@b.co"',)))
        assert journal.acknowledged == 1
