"""What other processes and users see of a table that is read: temporary files, and standard error at the end."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from criteo_audiences.tables.files.workspace import workspace
from tests.integration.forking import Forking

SCRIPT = """
import asyncio, sys, tempfile
from pathlib import Path
from criteo_audiences import CriteoClient
from criteo_audiences.sandbox import Sandbox

async def main(end, path):
    async with Sandbox() as sandbox, CriteoClient(sandbox.credentials, base_url=sandbox.url) as criteo:
        ms, path = criteo.marketing_solutions, Path(path)
        options = {"hash": "md5", "threads": 1, "batch_size": 10_000}
        if end == "stdin":
            from criteo_audiences import Table
            path = Table.from_file("-")
        if end == "error":
            options["where"] = "CAST(email AS INT) = 1"
        if end == "error in the middle":
            options |= {"where": "CAST(id AS INT) >= 0", "dedupe": False}
        segment_id = sandbox.add_contact_list()
        if end in {"abandoned", "abandoned in time"}:
            stream = ms.stream_contact_list(segment_id, path, **options)
            running = await stream.__aenter__()
            if end == "abandoned in time":
                await anext(running)
            globals()["kept"] = stream
            return
        task = asyncio.create_task(ms.upload_contact_list(segment_id, path, **options))
        if end == "cancelled":
            while not any(Path(tempfile.gettempdir()).iterdir()):
                await asyncio.sleep(0.001)
            task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        print(end, task.cancelled() or type(task.exception()).__name__)

asyncio.run(main(*sys.argv[1:]))
"""
ENDS = {
    "success": "NoneType",
    "error": "ConfigurationError",
    "error in the middle": "ConfigurationError",
    "cancelled": "True",
    "abandoned": "",
    "abandoned in time": "",
}


@pytest.fixture(scope="module")
def crm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that takes a moment."""
    path = tmp_path_factory.mktemp("tables") / "crm.csv"
    path.write_text("id,email\n" + "".join(f"{n},p{n}@example.com\n" for n in range(60_000)) + "x,last@example.com\n")
    return path


def environment(temporary: Path) -> dict[str, str]:
    """Returns our environment with a directory for temporary files."""
    temporary.mkdir()
    return {**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": os.pathsep.join(sys.path)}


@pytest.mark.parametrize(("end", "said"), ENDS.items())
def test_nothing_is_left_and_nothing_is_said(forking: Forking, crm: Path, tmp_path: Path, end: str, said: str) -> None:
    """However an upload ends, temporary files are gone; the engine complains of nothing, and nor does anybody else."""
    ended = forking.run(SCRIPT, end, str(crm), directory=tmp_path, variables=environment(tmp_path / "tmp"))
    assert said in ended.stdout
    assert "leaked" not in ended.stderr
    if not end.startswith("abandoned"):  # where Python complains of a context manager that was never left
        assert ended.stderr == ""
        assert ended.returncode == 0
    assert [path.name for path in tmp_path.rglob("*")] == ["tmp"]


def test_only_the_owner_sees_copies(tmp_path: Path) -> None:
    """What is copied, as standard input is, lies in one directory that nobody else can enter, whatever the umask is."""
    with subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", f"import os; os.umask(0)\n{SCRIPT}", "stdin", "-"],
        env=environment(tmp_path / "tmp"),
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as reading:
        assert reading.stdin is not None
        reading.stdin.write("email\na@b.co\n")
        reading.stdin.flush()
        deadline = time.monotonic() + 20
        while not (copies := list((tmp_path / "tmp").rglob("input"))) and time.monotonic() < deadline:
            time.sleep(0.01)
        seen = {path: path.stat().st_mode & 0o777 for path in (tmp_path / "tmp").rglob("*")}
        out, _ = reading.communicate()
    (copy,) = copies
    assert seen.pop(copy) == 0o600
    assert set(seen.values()) == {0o700}
    assert out == "stdin NoneType\n"
    assert [path.name for path in tmp_path.rglob("*")] == ["tmp"]


STUCK = """
import asyncio, sys, threading
import pyarrow as pa
from attrs import evolve
from criteo_audiences.identifiers import rule_for
from criteo_audiences.models import IdentifierType
from criteo_audiences.tables import Table
from criteo_audiences.tables.table import Plan, Selection
from criteo_audiences.uploads.table_lane import TableRun

stuck = threading.Event()

def wait_for_ever(*_):
    stuck.set()
    threading.Event().wait()

def batches():
    yield pa.record_batch({"email": ["a@b.co"] * 5_000})
    if where == "rows":
        wait_for_ever()
    while where == "busy":
        stuck.set()
    yield pa.record_batch({"email": ["\u00e4@b.co"] * 5_000})

class Table_:
    def __arrow_c_stream__(self, requested_schema=None):
        if where == "export":
            wait_for_ever()
        return pa.RecordBatchReader.from_batches(pa.schema({"email": pa.string()}), batches()).__arrow_c_stream__()

class Rule:
    def __getattr__(self, name):
        return wait_for_ever if name == "normalize" and where == "engine" else getattr(rule_for(kind), name)

async def main():
    plan = Plan(selections=(Selection(kind=kind, rule=Rule(), columns=("email",)),), dedupe=dedupe)
    async def read():
        async for _ in TableRun(Table.from_arrow(Table_()), plan).chunks():
            pass
    reading = asyncio.create_task(read())
    await asyncio.to_thread(stuck.wait)
    if end == "cancelled":
        reading.cancel()
        await asyncio.wait([reading])
    print("ending", reading.done() and reading.cancelled(), flush=True)
    if end == "exit":
        raise SystemExit(7)

kind, (where, end, dedupe) = IdentifierType.EMAIL, (*sys.argv[1:3], sys.argv[3] == "True")
asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("where", "end", "dedupe"),
    [
        ("export", "cancelled", "True"),
        ("export", "exit", "False"),
        ("rows", "cancelled", "False"),
        ("rows", "exit", "True"),
        ("busy", "cancelled", "True"),
        ("busy", "exit", "False"),
        ("engine", "cancelled", "True"),
        ("engine", "cancelled", "False"),
        ("engine", "exit", "True"),
    ],
)
def test_a_program_ends_whatever_its_rows_wait_for(
    forking: Forking, tmp_path: Path, where: str, end: str, dedupe: str
) -> None:
    """The producer of the rows never answers or never rests, or the engine's thread does not return, as a held one."""
    began = time.monotonic()
    ended = forking.run(STUCK, where, end, dedupe, directory=tmp_path, variables=environment(tmp_path / "tmp"))
    assert time.monotonic() - began < 10
    assert ended.stdout == f"ending {end == 'cancelled'}\n"
    assert (ended.stderr, ended.returncode) == ("", 7 if end == "exit" else 0)
    assert list((tmp_path / "tmp").iterdir()) == []


QUERYING = """
import asyncio, sys
from pathlib import Path
from criteo_audiences.identifiers import rule_for
from criteo_audiences.models import IdentifierType
from criteo_audiences.tables import Table
from criteo_audiences.tables.table import Plan, Selection
from criteo_audiences.uploads.table_lane import TableRun

async def main(query):
    kind = IdentifierType.EMAIL
    plan = Plan(selections=(Selection(kind=kind, rule=rule_for(kind), columns=("email",)),))
    reading = asyncio.create_task(anext(TableRun(Table.from_query(query), plan).chunks()))
    while not any(each.read_text() for each in Path("/proc/self/task").glob("*/children")):
        await asyncio.sleep(0.01)
    print("reading", flush=True)  # and is killed, whether the engine has begun or not
    await reading

asyncio.run(main(sys.argv[1]))
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks at processes as Linux shows them")
def test_a_query_ends_with_the_program_that_was_killed(tmp_path: Path) -> None:
    """Its process does not outlive the one that waits for it."""
    query = "SELECT sleep_ms(100000)::VARCHAR AS email"
    with subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", QUERYING, query], env=environment(tmp_path / "tmp"), stdout=subprocess.PIPE
    ) as program:
        assert program.stdout is not None
        program.stdout.readline()
        tasks = Path(f"/proc/{program.pid}/task").glob("*/children")
        (child,) = [Path("/proc", number) for task in tasks for number in task.read_text().split()]
        program.kill()
    deadline = time.monotonic() + 30
    while _runs(child) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _runs(child)


def _runs(process: Path) -> bool:
    try:
        return " Z " not in (process / "stat").read_text()
    except OSError:
        return False


CHILD = """
import sys, time
from criteo_audiences.tables.files.workspace import workspace
with workspace() as directory:
    (directory / "identifiers").write_text("planted@b.co")
    print(directory, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary directory of this test's own."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def child(place: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A process that works in a directory of its own, made an hour ago, and that directory."""
    command = [sys.executable, "-c", CHILD]
    environment = {**os.environ, "TMPDIR": str(place)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:  # noqa: S603 - our own
        assert process.stdout is not None
        directory = Path(process.stdout.readline().decode().strip())
        an_hour_ago(directory)
        yield process, directory
        process.kill()


def an_hour_ago(directory: Path) -> None:
    """Makes a directory old."""
    os.utime(directory, (time.time() - 3_600,) * 2)


def test_what_a_killed_process_left_is_removed(child: tuple[subprocess.Popen[bytes], Path]) -> None:
    """By the next run of the same user; never while the process lives."""
    process, directory = child
    with workspace():
        assert (directory / "identifiers").exists()
    process.send_signal(signal.SIGKILL)
    process.wait()
    with workspace():
        assert not directory.exists()


def test_what_is_not_surely_a_leftover_stays(place: Path, child: tuple[subprocess.Popen[bytes], Path]) -> None:
    """Young directories, those that are called or kept otherwise, links and files of such a name."""
    process, directory = child
    os.utime(directory)
    process.kill()
    process.wait()
    for name, mode in {
        "criteo-audiences-exports": 0o700,
        "criteo-audiences-open.run": 0o755,
        "elsewhere": 0o700,
    }.items():
        (place / name).mkdir(mode=mode)
        an_hour_ago(place / name)
    (place / "criteo-audiences-file.run").touch()
    (place / "criteo-audiences-link.run").symlink_to(place / "elsewhere")
    before = sorted(place.iterdir())
    with workspace():
        pass
    assert sorted(place.iterdir()) == before


_NOTEBOOK = """
import asyncio, sys, types
shell = types.SimpleNamespace(config={"IPKernelApp": {}})  # by this, and by no __file__, the engine knows a notebook
sys.modules["IPython"] = types.SimpleNamespace(get_ipython=lambda: shell)
from pathlib import Path
from criteo_audiences import CriteoClient
from criteo_audiences.sandbox import Sandbox

async def main():
    async with Sandbox() as sandbox, CriteoClient(sandbox.credentials, base_url=sandbox.url) as criteo:
        upload = criteo.marketing_solutions.upload_contact_list
        report = await upload(sandbox.add_contact_list(), Path(sys.argv[1]), hash="sha256")
        print(report.valid)

asyncio.run(main())
"""


def test_a_notebook_without_widgets_reads_files(tmp_path: Path) -> None:
    """The engine can then count no progress, which is no reason to read nothing."""
    path = tmp_path / "crm.csv"
    path.write_text("email\nanna@example.com\n")
    ended = subprocess.run(  # noqa: S603
        [sys.executable, "-c", _NOTEBOOK, path], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.stdout == "1\n", ended.stderr
