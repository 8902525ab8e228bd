"""The journal against processes that are killed, that compete, and disks that are full or cannot lock."""

import asyncio
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from criteo_audiences.batches import Batch
from criteo_audiences.errors import JournalError
from criteo_audiences.journals import JournalState, describe, file_lock, journal, list_journals, sqlite_file
from criteo_audiences.journals.directory import REGISTER_NAME, JournalDirectory
from criteo_audiences.journals.journal import Job, Journal
from criteo_audiences.journals.sqlite_file import InUseError
from criteo_audiences.sandbox import Sandbox
from criteo_audiences.uploads.slots import MOST
from tests.integration.forking import Forking

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and limits of POSIX")

JOB = Job(service="marketing-solutions", host="api.criteo.com", segment_id="812345", operation="add")
BATCH = Batch(number=1, count=1, full=True, pieces=(b'"1@b.co"',))
PRELUDE = """
import json, os, random, resource, signal, sys, time
from pathlib import Path
from criteo_audiences.batches import Batch
from criteo_audiences.errors import JournalError
from criteo_audiences.journals.journal import Job, Journal
from criteo_audiences.journals.rows import BatchState

JOB = Job(service="marketing-solutions", host="api.criteo.com", segment_id="812345", operation="add")
DIRECTORY = Path(sys.argv[1])
WINDOW = 4

def batch(number):
    return Batch(number=number, count=1, full=True, pieces=(b'"%d@b.co"' % number,))
"""


def run_anew(script: str, directory: Path, *wrapper: str) -> Any:
    """Runs a script in a small process, which forks faster than one that has imported more; returns what it prints."""
    command = [*wrapper, sys.executable, "-c", PRELUDE + script, str(directory)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)  # noqa: S603 - ours
    assert not done.returncode, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def run(forking: Forking, tmp_path: Path) -> Callable[[str], Any]:
    """Runs a script in a process of its own; returns what it prints."""

    def printed(script: str) -> Any:
        done = forking.run(PRELUDE + script, str(tmp_path), directory=Path.cwd(), variables=os.environ)
        assert not done.returncode, done.stderr
        return json.loads(done.stdout)

    return printed


KILLING = """
def upload(path, tell):
    journal, flying = Journal.open(path, JOB), []
    for number in range(1, 100):
        if journal.begin(batch(number)) is None:
            os.write(tell, b"b%d\\n" % number)
            flying.append(number)
        if len(flying) == WINDOW:
            number = flying.pop(random.randrange(WINDOW))
            journal.end(number, BatchState.ACKNOWLEDGED, valid=1)
            os.write(tell, b"e%d\\n" % number)

def killed_after(lines, path):
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        upload(path, writing)
        os._exit(0)
    os.close(writing)
    with open(reading) as told:
        seen = [line for _, line in zip(range(lines), told)]
        time.sleep(random.random() / 1000)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        seen += told.readlines()
    return [line for line in seen if line.endswith("\\n")]

kills = 0
for attempt in range(15):
    path, seen = DIRECTORY / f"{attempt}.journal", []
    for _ in range(2):
        seen += killed_after(random.randrange(80), path)
        kills += 1
    begun = {int(line[1:]) for line in seen if line[0] == "b"}
    ended = {int(line[1:]) for line in seen if line[0] == "e"}
    again = set()
    with Journal.open(path, JOB) as journal:
        for number in range(1, 100):
            if journal.begin(batch(number)) is None:
                again.add(number)
    assert not again & ended, (again, ended)
    assert len(again & begun) <= WINDOW, (again, begun)
print(json.dumps(kills))
"""


def test_killed_upload_sends_again_only_what_was_in_flight(tmp_path: Path) -> None:
    """Whenever the process is killed, also twice: what was acknowledged is skipped, at most four batches repeat."""
    assert run_anew(KILLING, tmp_path) == 30


RACING = """
def compete(path, start, tell, stay):
    os.read(start, 1)
    try:
        journal = Journal.open(path, JOB)
        os.write(tell, b"1")
    except JournalError as error:
        os.write(tell, b"0" if "is in use by another upload" in str(error) else b"?")
    os.read(stay, 1)
    os._exit(0)

won = []
for attempt in range(15):
    pipes = [os.pipe() for _ in range(3)]
    (start, starts), (told, tell), (stay, ends) = pipes
    children = []
    for _ in range(4):
        child = os.fork()
        if not child:
            os.close(starts)
            os.close(ends)
            compete(DIRECTORY / f"{attempt}.journal", start, tell, stay)
        children.append(child)
    os.close(starts)
    answers = b""
    while len(answers) < len(children):
        answers += os.read(told, 8)
    os.close(ends)
    for child in children:
        os.waitpid(child, 0)
    for each in (start, told, tell, stay):
        os.close(each)
    won.append("".join(sorted(answers.decode())))
print(json.dumps(won))
"""


def test_one_of_several_processes_gets_a_journal(tmp_path: Path) -> None:
    """Also when all of them make it at the same moment; the others are refused in words."""
    assert run_anew(RACING, tmp_path) == ["0001"] * 15


def test_journals_are_opened_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The register is locked meanwhile: of two that make a journal neither would get it, if each waited for the other."""
    monkeypatch.setattr(sqlite_file, "_PATIENCE", 0.0)
    opened = journal.Store

    def watched(path: Path) -> Any:
        with pytest.raises(InUseError), JournalDirectory(tmp_path):
            pass
        return opened(path)

    monkeypatch.setattr(journal, "Store", watched)
    Journal.open(tmp_path / "crm.journal", JOB).close()
    with JournalDirectory(tmp_path):
        pass


TRYING = """
try:
    Journal.open(DIRECTORY / "crm.journal", JOB).close()
    print(json.dumps("opened"))
except JournalError as error:
    print(json.dumps(str(error)))
"""


def test_lock_survives_whatever_this_process_does_beside_it(run: Callable[[str], Any], tmp_path: Path) -> None:
    """A second upload, a look at it and a list of all do not free it for another process; its end does."""
    path = tmp_path / "crm.journal"
    with Journal.open(path, JOB):
        with pytest.raises(JournalError, match="is in use"):
            Journal.open(path, JOB)
        assert describe(path).state is JournalState.IN_USE
        assert [each.segment_id for each in list_journals(tmp_path)] == ["812345"]
        assert run(TRYING) == (
            f"The journal {path} is in use by another upload: wait for its end, or name another journal."
        )
    assert run(TRYING) == "opened"


@pytest.mark.parametrize("look", [Path.read_bytes, lambda path: path.open("rb").close(), Path.stat])
def test_lock_survives_that_this_process_reads_the_file(
    run: Callable[[str], Any], look: Callable[[Path], object], tmp_path: Path
) -> None:
    """A backup that runs in the same process takes SQLite's locks away, but not the journal's own."""
    path = tmp_path / "crm.journal"
    with Journal.open(path, JOB) as opened:
        opened.begin(BATCH)
        for each in tmp_path.iterdir():
            look(each)
        assert "is in use by another upload" in run(TRYING)
    assert run(TRYING) == "opened"


LEFT = """
reading, writing = os.pipe()
if not os.fork():
    journal = Journal.open(DIRECTORY / "crm.journal", JOB)
    journal.begin(batch(1))
    if not os.fork():
        os.write(writing, b"%d\\n" % os.getpid())
        signal.pause()
    signal.pause() if sys.argv[2:] else os._exit(0)
grandchild = int(os.read(reading, 100))
try:
    os.wait()
    assert (DIRECTORY / "crm.journal-lock").exists()
    with Journal.open(DIRECTORY / "crm.journal", JOB):
        pass
    print(json.dumps(sorted(path.name for path in DIRECTORY.iterdir())))
finally:
    os.kill(grandchild, signal.SIGKILL)
"""


def test_lock_ends_with_its_process_and_not_with_its_children(run: Callable[[str], Any]) -> None:
    """A child that was forked meanwhile and lives on does not keep it; the file that was left is used and removed."""
    assert run(LEFT) == [".criteo-audiences.register", "crm.journal"]


def test_planted_lock_is_refused(tmp_path: Path) -> None:
    """A link or a directory in its place; the journal is not made then."""
    for plant in (lambda path: path.symlink_to(tmp_path / "target"), Path.mkdir, os.mkfifo):
        lock = tmp_path / "crm.journal-lock"
        plant(lock)
        with pytest.raises(JournalError, match=r"crm\.journal"):
            Journal.open(tmp_path / "crm.journal", JOB)
        assert {path.name for path in tmp_path.iterdir()} == {lock.name, REGISTER_NAME}
        lock.rmdir() if lock.is_dir() else lock.unlink()


LIMITED = """
def refused(act):
    try:
        act()
    except JournalError as error:
        return str(error)

path = DIRECTORY / "crm.journal"
log = path.with_name("crm.journal-wal")
unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, unlimited[1]))
messages = [refused(lambda: Journal.open(path, JOB))]
resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)

journal = Journal.open(path, JOB)
resource.setrlimit(resource.RLIMIT_FSIZE, (log.stat().st_size, unlimited[1]))
begun = 0
while (message := refused(lambda: journal.begin(batch(begun + 1)))) is None:
    begun += 1
messages += [message, refused(lambda: journal.begin(batch(begun + 1)))]
for number in range(begun, 0, -1):
    journal.end(number, BatchState.ACKNOWLEDGED, valid=1, trace_id="f" * 48)
resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
journal.close()
with Journal.open(path, JOB) as journal:
    skipped = sum(journal.begin(batch(number)) is not None for number in range(1, begun + 1))
print(json.dumps({"messages": messages, "begun": begun, "skipped": skipped}))
"""

FILLED = """
import subprocess
mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(DIRECTORY)], capture_output=True)
if mounted.returncode:
    print(json.dumps(None))
    sys.exit()

def fill():
    with open(DIRECTORY / "filler", "ab", buffering=0) as filler:
        try:
            while filler.write(bytes(4096)):
                pass
        except OSError:
            pass

def left(full, name):
    before = set(DIRECTORY.iterdir())
    try:
        Journal.open(DIRECTORY / name, JOB).close()
        message = None
    except JournalError as error:
        message = str(error)
    return {"full": full, "message": message, "left": [each.name for each in set(DIRECTORY.iterdir()) - before]}

Journal.open(DIRECTORY / "first.journal", JOB).close()
openings = []
for spared in (0, 4096, 8192, 16384, 65536):
    fill()
    with open(DIRECTORY / "filler", "ab") as filler:
        filler.truncate(filler.tell() - spared)
    openings.append(left(True, "new.journal"))
    (DIRECTORY / "filler").unlink()
    openings.append(left(False, "new.journal"))
results = [openings]
for early in (0, 3, 60):
    path = DIRECTORY / f"{early}.journal"
    journal, flying, begun, ended, message = Journal.open(path, JOB), [], 0, 0, None
    while message is None:
        if begun == early:
            fill()
        try:
            journal.begin(batch(begun + 1))
        except JournalError as error:
            message = str(error)
            break
        begun += 1
        flying.append(begun)
        if len(flying) == WINDOW:
            journal.end(flying.pop(1), BatchState.ACKNOWLEDGED, valid=1, trace_id="f" * 48)
            ended += 1
    for number in flying:
        journal.end(number, BatchState.ACKNOWLEDGED, valid=1, trace_id="f" * 48)
        ended += 1
    journal.close()
    (DIRECTORY / "filler").unlink()
    with Journal.open(path, JOB) as journal:
        skipped = sum(journal.begin(batch(number)) is not None for number in range(1, begun + 1))
    results.append({"message": message, "begun": begun, "ended": ended, "skipped": skipped, "early": early})
print(json.dumps(results))
"""


def test_file_that_may_not_grow_loses_no_acknowledgement(run: Callable[[str], Any], tmp_path: Path) -> None:
    """A batch is refused before it is sent; the end of each of the many in flight is recorded all the same."""
    found = run(LIMITED)
    assert set(found["messages"]) == {f"The journal {tmp_path / 'crm.journal'} cannot be written: File too large."}
    assert found["begun"] == found["skipped"] > 60


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs a mount namespace")
def test_full_disk_loses_no_acknowledgement(tmp_path: Path) -> None:
    """However early it is full: what was begun can be ended, and is skipped by the next run.

    A journal that cannot be made leaves neither a file nor a lock, and can be made as soon as there is room.
    """
    wrapper = ["unshare", "--map-root-user", "--mount"]
    if subprocess.run([*wrapper, "true"], capture_output=True, check=False).returncode:  # noqa: S603 - ours
        pytest.skip("no mount namespaces here")
    found = run_anew(FILLED, tmp_path, *wrapper)
    if found is None:
        pytest.skip("no mounts here")
    openings, *uploads = found
    for each in openings:
        assert each["left"] == []
        assert "because the disk is full" in each["message"] if each["full"] else each["message"] is None
    assert [each["early"] for each in uploads] == [0, 3, 60]
    for each in uploads:
        assert each["begun"] == each["ended"] == each["skipped"] >= each["early"]
        assert "because the disk is full: make room and run again." in each["message"]


def no_locks(*_: object) -> None:
    """Grants every lock, as some network file systems do."""


def refuse(number: int) -> Callable[..., None]:
    """Returns locks that the file system refuses."""

    def lock(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    return lock


@pytest.mark.parametrize(
    ("lock", "reason"),
    [
        (no_locks, "a lock is granted twice"),
        (refuse(errno.ENOLCK), "No locks available"),
        (refuse(errno.EOPNOTSUPP), "Operation not supported"),
    ],
)
def test_file_system_that_cannot_lock_is_refused(
    lock: Callable[..., None], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the reason, and before anything is made there."""
    monkeypatch.setattr(file_lock.fcntl, "fcntl", lock)
    monkeypatch.setattr(file_lock.fcntl, "flock", lock)
    with pytest.raises(JournalError) as caught:
        Journal.open(tmp_path / "crm.journal", JOB)
    assert str(caught.value) == (
        f"The journal {tmp_path / 'crm.journal'} is on a file system that cannot lock, so two uploads could write it "
        f"at once: name a local directory ({reason})."
    )
    assert list(tmp_path.iterdir()) == []


def test_locks_of_an_old_kernel_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where locks of open files are not known, SQLite's cannot be tried; those of the whole file must exclude others."""
    monkeypatch.setattr(file_lock.fcntl, "fcntl", refuse(errno.EINVAL))
    Journal.open(tmp_path / "crm.journal", JOB).close()
    monkeypatch.setattr(file_lock.fcntl, "flock", no_locks)
    with pytest.raises(JournalError, match="a lock is granted twice"):
        Journal.open(tmp_path / "crm.journal", JOB)


@pytest.mark.parametrize(
    ("name", "claim"),
    [
        ("SQLITE_BUSY_RECOVERY", "is in use by another upload"),
        ("SQLITE_IOERR_LOCK", "is on a file system that cannot lock"),
        ("SQLITE_PROTOCOL", "is on a file system that cannot lock"),
        ("SQLITE_FULL", "because the disk is full"),
        ("SQLITE_IOERR_WRITE", "cannot be written"),
        ("SQLITE_READONLY_DIRECTORY", "cannot be written"),
        ("SQLITE_IOERR_READ", "cannot be read"),
        ("SQLITE_CORRUPT_INDEX", "is damaged"),
        ("SQLITE_ERROR", "is damaged"),
    ],
)
def test_errors_of_the_database_become_words(name: str, claim: str) -> None:
    """By their names; their own text, which may hold values, is left out."""
    error = sqlite_file.sqlite3.OperationalError("jane.doe@example.com")
    error.sqlite_errorname = name
    with pytest.raises(JournalError) as caught, sqlite_file.TranslatedErrors(Path("crm.journal"), "journal"):
        raise error
    assert str(caught.value).startswith("The journal crm.journal ")
    assert claim in str(caught.value)
    assert "jane" not in str(caught.value)
    assert caught.value.__suppress_context__


UPLOADING = """
import asyncio, json, sys
from criteo_audiences import ClientCredentials, CriteoClient, Quota

async def main():
    url, client_id, client_secret, segment_id, options = sys.argv[1:]
    credentials = ClientCredentials(client_id=client_id, client_secret=client_secret)
    async with CriteoClient(credentials, base_url=url, quota=Quota(100_000)) as criteo:
        report = await criteo.marketing_solutions.upload_contact_list(
            segment_id, [f"{number}@example.com" for number in range(2_000)], hash="sha256", **json.loads(options)
        )
    print(json.dumps([report.resumed, report.valid, report.most_in_flight]))

asyncio.run(main())
"""


@pytest.mark.parametrize("max_concurrency", [40, None])
async def test_a_kill_costs_no_more_calls_than_were_in_flight(
    forking: Forking, max_concurrency: int | None, tmp_path: Path
) -> None:
    """SIGKILL in the middle of 200 batches, forty at a time: at most what was in flight is sent again, and all arrives."""
    most = max_concurrency or MOST
    options = {
        "batch_size": 10,
        "max_concurrency": max_concurrency,
        "max_in_flight_bytes": 200_000_000,
        "journal": str(tmp_path / "crm.journal"),
    }
    async with Sandbox(rate_limit=None, latency=0.1) as sandbox:
        segment_id = sandbox.add_contact_list(name="crm")
        credentials = sandbox.credentials
        login = (sandbox.url, credentials.client_id, credentials.client_secret)
        command = (UPLOADING, *login, segment_id, json.dumps(options))
        process: Any = {"directory": Path.cwd(), "variables": os.environ}

        def amended() -> list[str]:
            return [str(call.digest) for call in sandbox.requests if call.identifiers]

        killed = forking.start(*command, **process)
        async with asyncio.timeout(30):
            while len(amended()) < 90:  # noqa: ASYNC110 - what happens in another process has no event here
                await asyncio.sleep(0.005)
        os.kill(killed, signal.SIGKILL)
        assert (await asyncio.to_thread(forking.ended)).returncode == -signal.SIGKILL
        first = len(amended())
        again = await asyncio.to_thread(forking.run, *command, **process)
        resumed, valid, _ = json.loads(again.stdout)
        repeated = Counter(amended()).total() - len(set(amended()))
        assert (valid, len(set(amended()))) == (2_000, 200)
        assert repeated <= min(most, sandbox.max_in_flight)
        assert resumed >= first - most
        assert len(sandbox.contact_list(segment_id).identifiers) == 2_000
