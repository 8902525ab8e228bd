import asyncio
import contextlib
import gc
import logging
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pyarrow as pa
import pytest
from attrs import evolve

from criteo_audiences.identifiers import rule_for
from criteo_audiences.models import HashAlgorithm, IdentifierType
from criteo_audiences.tables import Table
from criteo_audiences.tables.table import Plan, Selection
from criteo_audiences.uploads.table_lane import TableRun

ROWS = 200_000
EMAIL = Selection(
    kind=IdentifierType.EMAIL, rule=rule_for(IdentifierType.EMAIL), algorithm=HashAlgorithm.MD5, columns=("email",)
)


def plan(**options: object) -> Plan:
    """Returns a plan that reads e-mails."""
    return Plan(**{"selections": (EMAIL,), "threads": 1, **options})  # type: ignore[arg-type]


def address(row: int) -> str:
    """Returns the address of a row; one in two comes again later, some in an unusual form."""
    person = row % (ROWS // 2)
    return f"{' ' * (row % 3)}Person{person}@example.com{chr(0xA0) * (row % 1_000 == 7)}"


@pytest.fixture(scope="module")
def crm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of some size."""
    path = tmp_path_factory.mktemp("tables") / "crm.csv"
    path.write_text("id,email\n" + "".join(f"{row},{address(row)}\n" for row in range(ROWS)))
    return path


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of temporary files, for this test only."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def nothing_left(temporary: Path, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Asserts that no thread, no file and no complaint stays behind."""
    yield
    deadline = time.monotonic() + 10
    while reading_threads() and time.monotonic() < deadline:
        time.sleep(0.005)
    gc.collect()
    assert reading_threads() == []
    assert list(temporary.iterdir()) == []
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


def reading_threads() -> list[str]:
    """Names the threads that read tables."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("criteo-audiences-table")]


async def identifiers(run: TableRun) -> list[str]:
    """Reads to the end."""
    found: list[str] = []
    async with contextlib.aclosing(run.chunks()) as chunks:
        async for chunk in chunks:
            for batch in chunk.batches:
                found += orjson.loads(b"[" + b"".join(batch.pieces) + b"]")
    return found


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("dedupe", [True, False])
async def test_threads_keep_the_order(crm: Path, dedupe: bool) -> None:  # noqa: FBT001
    """However many, the identifiers come in the order of the file."""
    table = Table.from_file(crm)
    one, two, four = [await identifiers(TableRun(table, plan(threads=n, dedupe=dedupe))) for n in (1, 2, 4)]
    assert one == two == four
    assert len(one) == (ROWS // 2 if dedupe else ROWS)


@pytest.mark.usefixtures("nothing_left")
async def test_little_memory_is_enough(crm: Path, temporary: Path) -> None:
    """What does not fit into it goes to disk, into a directory that only its owner can enter; the result is the same."""
    expected = await identifiers(TableRun(Table.from_file(crm), plan()))
    found: list[str] = []
    modes: set[int] = set()
    spilled = False
    async with contextlib.aclosing(TableRun(Table.from_file(crm), plan(memory_limit="24MB")).chunks()) as chunks:
        async for chunk in chunks:
            modes |= {directory.stat().st_mode & 0o777 for directory in temporary.iterdir()}
            spilled = spilled or any(temporary.rglob("duckdb_temp*"))
            for batch in chunk.batches:
                found += orjson.loads(b"[" + b"".join(batch.pieces) + b"]")
    assert found == expected
    assert spilled
    assert modes == {0o700}


@pytest.mark.usefixtures("nothing_left")
async def test_too_little_memory_is_an_error_that_says_so(crm: Path) -> None:
    """It names the option and the environment variable."""
    with pytest.raises(OSError, match=r"crm\.csv does not fit into memory_limit.*TMPDIR"):
        await identifiers(TableRun(Table.from_file(crm), plan(memory_limit="4MB")))


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("dedupe", [True, False])
@pytest.mark.parametrize("where", [None, "id > '3'"])
async def test_the_share_grows_to_one(crm: Path, dedupe: bool, where: str | None) -> None:  # noqa: FBT001
    """It never falls, is unknown while rows may be left out or are still compared, and ends at one."""
    run = TableRun(Table.from_file(crm), plan(dedupe=dedupe, where=where, batch_size=10_000))
    shares = [run.share()]
    async with contextlib.aclosing(run.chunks()) as chunks:
        shares += [run.share() async for _ in chunks]
    known = [share for share in shares if share is not None]
    assert shares[: len(shares) - len(known)] == [None] * (len(shares) - len(known))
    assert known == sorted(known)
    assert run.share() == 1.0
    assert len(set(known)) > 1 or (where and not dedupe)


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("options", [{}, {"where": "id > '3'"}, {"dedupe": False, "counted": True}])
async def test_a_table_read_before_its_first_batch_says_how_far_it_is(crm: Path, options: dict[str, Any]) -> None:
    """The share grows to one while it is read, and with it about the rows, unless a condition may leave some out."""
    run = TableRun(Table.from_file([crm] * 3), plan(**options))
    assert (run.staged(), run.seen()) == (None, 0)
    reading = asyncio.create_task(identifiers(run))
    told: list[tuple[float, int]] = []
    while not reading.done():
        if (share := run.staged()) is not None:
            told.append((share, run.seen()))
        await asyncio.sleep(0.001)
    under_way = [(share, seen) for share, seen in told if 0 < share < 1]
    assert len(set(under_way)) > 2
    assert [share for share, _ in told] == sorted(share for share, _ in told)
    rows = [seen for _, seen in under_way]
    assert rows == sorted(rows)
    assert set(rows) == {0} if "where" in options else 0 < max(rows) < 3 * ROWS * 1.1
    assert (run.staged(), run.seen()) == (1.0, run.read)


@pytest.mark.usefixtures("nothing_left")
async def test_a_table_read_while_batches_go_out_counts_its_rows(crm: Path) -> None:
    """Nothing of it is read ahead."""
    run = TableRun(Table.from_file(crm), plan(dedupe=False))
    async with contextlib.aclosing(run.chunks()) as chunks:
        assert {(run.staged(), run.seen() == run.read) async for _ in chunks} == {(None, True)}


@pytest.mark.usefixtures("nothing_left")
async def test_the_share_of_several_columns(temporary: Path) -> None:
    """A row holds an unknown number of values."""
    frame = pl.DataFrame({"email": ["a@b.co"] * 9, "alt": ["c@d.co"] * 9})
    both = Selection(kind=EMAIL.kind, rule=EMAIL.rule, columns=("email", "alt"))
    run = TableRun(Table.from_arrow(frame), plan(selections=(both,), dedupe=False))
    assert len(await identifiers(run)) == 18
    assert run.share() == 1.0
    assert list(temporary.iterdir()) == []


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("delay", [0, 0.001, 0.01, 0.03, 0.06, 0.1, 0.15, 0.2, 0.25, 0.3])
async def test_cancellation_is_prompt(crm: Path, delay: float) -> None:
    """At any moment: while the file is looked at, while rows are compared, while batches are cut."""
    reading = asyncio.create_task(identifiers(TableRun(Table.from_file([crm] * 3), plan())))
    await asyncio.sleep(delay)
    began = time.monotonic()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert time.monotonic() - began < 1


def children() -> list[Path]:
    """Returns the processes that this one has started, as the system shows them."""
    started = Path("/proc/self/task").glob("*/children")
    return [Path("/proc", number) for listed in started for number in listed.read_text().split()]


async def running_query(reading: "asyncio.Task[Any]") -> Path:
    """Returns the process of a query once there is one that runs it."""
    while True:
        for child in children():
            with contextlib.suppress(OSError):
                if b"query_process" in (child / "cmdline").read_bytes() and "duckdb" in (child / "maps").read_text():
                    return child
        assert not reading.done()
        await asyncio.sleep(0.01)


LINUX = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks at processes as Linux shows them")
DEAF = {
    "a long list": "SELECT len(range(300000000))::VARCHAR AS email",
    "a wait": "SELECT sleep_ms(100000)::VARCHAR AS email",
    "many pairs": "SELECT count(a.i + b.i)::VARCHAR AS email FROM range(10000000) a(i), range(1000000) b(i)",
}


@LINUX
@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("query", DEAF.values(), ids=DEAF)
async def test_a_query_that_does_not_listen_is_ended_with_its_process(
    query: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cancellation waits for nothing that a query does, and leaves no process; that one knew no secret."""
    monkeypatch.setenv("CRITEO_CLIENT_SECRET", "planted")
    reading = asyncio.create_task(identifiers(TableRun(Table.from_query(query), plan())))
    process = await running_query(reading)
    assert b"planted" not in (process / "environ").read_bytes()
    assert b"SELECT" not in (process / "cmdline").read_bytes()
    began = time.monotonic()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert time.monotonic() - began < 10
    assert not process.exists()


@LINUX
@pytest.mark.usefixtures("nothing_left")
async def test_a_query_takes_no_more_memory_than_it_may() -> None:
    """The system refuses it what is far beyond the limit; the error names the option."""
    reading = asyncio.create_task(
        identifiers(TableRun(Table.from_query(DEAF["a long list"]), plan(memory_limit="200MB")))
    )
    process = await running_query(reading)
    peak = 0
    while not reading.done():
        with contextlib.suppress(OSError):
            found = re.search(r"VmHWM:\s*(\d+) kB", (process / "status").read_text())
            peak = max(peak, int(found[1]) if found else 0)
        await asyncio.sleep(0.01)
    with pytest.raises(OSError, match="the query does not fit into memory_limit"):
        await reading
    assert peak < 800_000


@LINUX
@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_a_query_whose_process_is_killed_says_by_what(number: signal.Signals) -> None:
    """Memory is one reason of several, and not known to be the one."""
    reading = asyncio.create_task(identifiers(TableRun(Table.from_query(DEAF["a wait"]), plan())))
    process = await running_query(reading)
    os.kill(int(process.name), number)
    with pytest.raises(OSError, match=rf"ended without a result \(signal {number.name}\)\. If memory ran out, change"):
        await reading


def test_the_process_of_a_query_ends_in_peace(tmp_path: Path) -> None:
    """It reports success although the program that started it still holds the other end of its input."""
    request = {"statement": "SELECT 1 AS n", "directory": str(tmp_path), "threads": 1, "memory_limit": "100MB"}
    command = [sys.executable, "-m", "criteo_audiences.tables.engine.query_process"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:  # noqa: S603
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(orjson.dumps(request) + b"\n")
        process.stdin.flush()
        assert (process.wait(20), process.stderr.read()) == (0, b"")
    assert orjson.loads((tmp_path / "query.json").read_bytes()) == {"types": [["n", "INTEGER"]]}


@pytest.mark.usefixtures("nothing_left")
async def test_a_query_keeps_its_types_and_its_order() -> None:
    """Whole numbers of any size, what has no value at all, names that are alike, and far more rows than fit at once."""
    wide = "SELECT NULL AS email, 1 AS n, 'x'::ENUM('x') AS N, [1] AS l, 12345678901234567890123456::HUGEINT AS id"
    ids = evolve(EMAIL, kind=IdentifierType.CUSTOMER_ID, rule=rule_for(IdentifierType.CUSTOMER_ID), algorithm=None)
    chosen = plan(selections=(evolve(ids, columns=("id",)),))
    assert await identifiers(TableRun(Table.from_query(wide), chosen)) == ["12345678901234567890123456"]
    run = TableRun(Table.from_query(wide), plan())
    assert (await identifiers(run), run.rejected.total()) == ([], 1)
    many = "SELECT 'p' || i || '@b.co' AS email FROM range(150000) t(i) ORDER BY i DESC"
    found = await identifiers(TableRun(Table.from_query(many), plan(selections=(evolve(EMAIL, algorithm=None),))))
    assert found == [f"p{number}@b.co" for number in reversed(range(150_000))]


@pytest.mark.parametrize("told", [0.0, 0.3])
async def test_a_source_that_does_not_answer_is_left_alone(temporary: Path, told: float) -> None:
    """As a file does on a network that is gone: a cancellation takes its temporary files away, and goes on."""
    answers = threading.Event()

    def batches() -> Iterator[pa.RecordBatch]:
        answers.wait(30)
        yield pa.record_batch({"email": ["a@b.co"]})

    stream = pa.RecordBatchReader.from_batches(pa.schema({"email": pa.string()}), batches())
    reading = asyncio.create_task(identifiers(TableRun(Table.from_arrow(stream), plan())))
    while not reading_threads() or not list(temporary.iterdir()):  # noqa: ASYNC110 - of another thread
        await asyncio.sleep(0.01)
    await asyncio.sleep(told)
    began = time.monotonic()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert time.monotonic() - began < 10
    assert list(temporary.iterdir()) == []
    answers.set()
    while reading_threads():  # noqa: ASYNC110 - see above
        await asyncio.sleep(0.01)
    assert list(temporary.iterdir()) == []


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("taken", [1, 2, 3])
@pytest.mark.parametrize("dedupe", [True, False])
async def test_leaving_early(crm: Path, taken: int, dedupe: bool) -> None:  # noqa: FBT001
    """Whoever breaks off after some chunks waits for a clean end, and for no more than that."""
    run = TableRun(Table.from_file(crm), plan(dedupe=dedupe))
    async with contextlib.aclosing(run.chunks()) as chunks:
        async for _ in chunks:
            taken -= 1
            if not taken:
                break
    assert run.read <= ROWS


@pytest.mark.usefixtures("nothing_left")
async def test_an_error_that_nobody_waits_for(tmp_path: Path) -> None:
    """It came while the caller was busy with the chunk before; leaving then complains of nothing."""
    run = TableRun(Table.from_file(os.devnull if os.name == "nt" else "/dev/null"), plan())
    with pytest.raises(Exception, match="null is empty"):
        await identifiers(run)
    frame = pl.DataFrame({"email": ["a@b.co"], "n": ["x"]})
    run = TableRun(Table.from_arrow(frame), plan(where="CAST(n AS INT) = 1", dedupe=False))
    async with contextlib.aclosing(run.chunks()) as chunks:
        async for _ in chunks:
            await asyncio.sleep(0.05)
            break
    assert list(tmp_path.iterdir()) == []
