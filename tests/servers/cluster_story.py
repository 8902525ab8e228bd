"""A Spark of two executors, one of which is killed in the middle of an upload; `make soak` tells it."""

import json
from pathlib import Path

import psutil
import pytest
from pyspark.sql import functions as F  # noqa: N812 - as everyone calls it

from criteo_audiences.sandbox import Sandbox
from tests.servers.spark_session import calls, digests, meanwhile, save, sender, start, stop, until

ROWS, BATCH = 400_000, 10_000

pytestmark = [
    pytest.mark.timeout(500),
    pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas", "ignore::ResourceWarning"),
]


def executor(sandbox: Sandbox) -> psutil.Process | None:
    """Returns the Java process whose Python worker has a call to the sandbox under way."""
    worker = sender(sandbox)
    above = [] if worker is None else worker.parents()
    return next((each for each in above if "CoarseGrainedExecutorBackend" in " ".join(each.cmdline())), None)


def test_killed_executor_loses_nothing(criteo: Sandbox, tmp_path: Path) -> None:
    """Its tasks run on another one, every identifier arrives, and only what was in flight is sent twice."""
    session = start("local-cluster[2,1,1024]")
    table = session.range(0, ROWS, 1, 4).select(F.concat(F.col("id"), F.lit("@example.com")).alias("email"))
    segment_id = criteo.add_contact_list()

    def disturb() -> None:
        until(lambda: len(calls(criteo)) >= 8)
        until(lambda: executor(criteo)).kill()

    with meanwhile(disturb):
        save(table, segment_id, batch_size=BATCH, max_concurrency=1, report_path=str(tmp_path / "report.json"))
    stop(session)
    assert criteo.contact_list(segment_id).identifiers == digests(ROWS)
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["ok"], report["read"], report["valid"]) == (True, ROWS, ROWS)
    print(f"{len(calls(criteo))} calls for {ROWS // BATCH} batches, {report['resumed']} resumed")
    assert report["resumed"] > 0
    assert len(calls(criteo)) <= ROWS // BATCH + 1
