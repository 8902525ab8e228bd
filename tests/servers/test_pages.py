"""The code and the commands of how-to pages that need a Redis or a Spark, run as they stand.

Ray and Dask are not installed here: stand-ins call what the pages give them, as those engines do.
"""

import json
import os
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame, SparkSession

from criteo_audiences.sandbox import Sandbox
from tests.kit import emails
from tests.pages.test_pages import HOW_TO, blocks, commands, run, shell
from tests.servers.spark_session import digests

ROWS = list(emails(3_000))
PLACES = ("/exports/", "/var/log/criteo/", "s3://lake/")
ELSEWHERE = "redis://quota.internal:6379/0"

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas", "ignore::ResourceWarning"),
]


@pytest.fixture
def frame(spark: SparkSession) -> DataFrame:
    """The customers."""
    return spark.createDataFrame([(row,) for row in ROWS], "email string").repartition(2)


@pytest.fixture
def here(criteo: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Puts the test's list, directory and Redis where a page has those of a reader."""
    segment_id = criteo.add_contact_list()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    Path("crm.csv").write_text("email\n" + "\n".join(ROWS), "utf-8")
    pq.write_table(pa.table({"email": ROWS}), "crm-2026-11-27.parquet")

    def placed(text: str) -> str:
        for place in PLACES:
            text = text.replace(place, f"{tmp_path}/")
        return text.replace("812345", segment_id).replace(ELSEWHERE, os.environ["CRITEO_QUOTA_URL"])

    return placed


def held(criteo: Sandbox, here: Callable[[str], str]) -> set[str]:
    """Returns what the test's list holds."""
    return set(criteo.contact_list(here("812345")).identifiers)


async def test_share_a_quota(criteo: Sandbox, here: Callable[[str], str]) -> None:
    """The client of the page asks the Redis; the command does, once its variable is exported."""
    (code,) = blocks(HOW_TO / "share-a-quota.md", "python")
    names: dict[str, Any] = {"credentials": criteo.credentials}
    code = code.replace("(credentials,", f"(credentials, base_url={criteo.url!r},")
    await run(here(code.replace("        ...", "        await criteo.authenticate()")), names)
    assert names["quota"].window is not None
    *_, export, upload = commands(HOW_TO / "share-a-quota.md")[:3]
    code_of_it, printed = await shell(here(f"{export} && {upload}"))
    assert code_of_it == 0, printed
    assert held(criteo, here) == digests(3_000)


async def test_queue_workers(criteo: Sandbox, here: Callable[[str], str]) -> None:
    """A job goes through a queue and is run by a worker of either kind."""
    queued: dict[str, Any] = {}
    names: dict[str, Any] = {"queue": SimpleNamespace(put=queued.__setitem__)}
    for block in blocks(HOW_TO / "queue-workers.md", "python"):
        await run(here(block), names)
    assert [json.loads(json.dumps(job)) for job in queued.values()] == [names["job"].to_dict()]
    assert names["report"].ok
    assert held(criteo, here) == digests(3_000)


def ray() -> ModuleType:
    """A stand-in for Ray's data sets: each block is a task, and what it returns is a row."""

    def map_batches(task: Callable[[Any], dict[str, list[Any]]], **how: Any) -> Any:
        assert how["retry_exceptions"] is True
        done = [task(pa.table({"email": part})) for part in (ROWS[:1_000], ROWS[1_000:])]
        return SimpleNamespace(take_all=lambda: [{"report": each["report"][0]} for each in done])

    module: Any = ModuleType("ray")
    module.dataset = SimpleNamespace(repartition=lambda **_: SimpleNamespace(map_batches=map_batches))
    return module


def dask() -> ModuleType:
    """A stand-in for Dask's delayed calls, of which `compute` makes the results."""

    def delayed(function: Callable[..., Any], **_: Any) -> Callable[..., Any]:
        def call(parts: list[Callable[[], Any]], *given: Any, **named: Any) -> Callable[[], Any]:
            return lambda: function([part() for part in parts], *given, **named)

        return call

    module: Any = ModuleType("dask")
    module.delayed, module.compute = delayed, lambda *tasks, **_: tuple(task() for task in tasks)
    parts = [lambda: pa.table({"email": ROWS[:1_000]}), lambda: pa.table({"email": ROWS[1_000:]})]
    module.frame = SimpleNamespace(to_delayed=lambda: parts)
    return module


async def test_clusters(
    criteo: Sandbox, here: Callable[[str], str], frame: DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call itself, and what Ray, Dask and an older Spark make of it: every time all rows arrive once."""
    engines: dict[str, Any] = {"ray": ray(), "dask": dask()}
    for name, module in engines.items():
        monkeypatch.setitem(sys.modules, name, module)
    alone, of_ray, of_dask, of_spark = blocks(HOW_TO / "clusters.md", "python")
    names: dict[str, Any] = {"batches": [{"email": ROWS}], "reports": (), "frame": frame, "json": json, "pyarrow": pa}
    await run(here(alone), names)
    assert names["report"].valid == 3_000
    names["dataset"] = engines["ray"].dataset
    await run(here(of_ray), names)
    assert names["totals"].to_dict()["valid"] == 3_000
    names |= {"frame": engines["dask"].frame, "job": uuid.uuid4().hex}
    await run(here(of_dask), names)
    assert names["totals"].to_dict()["valid"] == 3_000
    names |= {"frame": frame, "job": uuid.uuid4().hex}
    await run(here(of_spark), names)
    assert sum(json.loads(row.report)["valid"] for row in names["reports"]) == 3_000
    assert held(criteo, here) == digests(3_000)


def test_spark(
    criteo: Sandbox, here: Callable[[str], str], spark: SparkSession, frame: DataFrame, tmp_path: Path
) -> None:
    """Digests are written, read and uploaded; then a stream is."""
    table, stream = blocks(HOW_TO / "spark.md", "python")
    names: dict[str, Any] = {"spark": spark, "frame": frame}
    exec(here(table), names)  # noqa: S102 - this project's own page, in the thread whose session Spark looks for
    assert json.loads((tmp_path / "crm.json").read_text("utf-8"))["valid"] == 3_000
    assert held(criteo, here) == digests(3_000)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "1.json").write_text('{"email": "new@example.com"}\n', "utf-8")
    names["stream"] = spark.readStream.schema("email string").json(f"{tmp_path}/in")
    exec(here(stream).replace("10 minutes", "1 second"), names)  # noqa: S102 - see above
    (query,) = spark.streams.active
    query.processAllAvailable()
    query.stop()
    assert len(held(criteo, here)) == 3_001
