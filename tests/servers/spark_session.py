"""A Spark of a test's own, and a stream that a test kills: `python -m tests.servers.spark_session FOLDER SEGMENT`."""

import hashlib
import json
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from pyspark import SparkContext
from pyspark.sql import DataFrame, SparkSession

from criteo_audiences.sandbox import Sandbox
from tests.kit import AMENDING


def start(master: str = "local[2,3]", **more: str) -> SparkSession:
    """Starts a session whose workers use this Python; repeats a task twice."""
    os.environ["PYSPARK_PYTHON"] = sys.executable
    warnings.filterwarnings("ignore", message="PySpark does not yet fully support pandas")
    settings = {
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.sql.shuffle.partitions": "4",
        "spark.task.maxFailures": "3",
        "spark.driver.extraJavaOptions": "-XX:+UseSerialGC",
        **more,
    }
    builder = SparkSession.builder.master(master).appName("criteo_audiences")
    for name, value in settings.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    return session


def stop(session: SparkSession) -> None:
    """Stops a session and its JVM, whose workers have the environment of its start: another one is another test's."""
    gateway: Any = session.sparkContext._gateway
    session.stop()
    gateway.shutdown()
    SparkContext._gateway = SparkContext._jvm = None
    gateway.proc.stdin.close()
    gateway.proc.wait(60)


def stream(session: SparkSession, folder: Path, segment_id: str, **options: Any) -> Any:
    """Uploads the files of a folder, a micro-batch each, until all are read; returns the query."""
    rows = session.readStream.schema("email string").option("maxFilesPerTrigger", 1).json(str(folder / "in"))
    chosen = {"segment_id": segment_id, "column": "email", "hash": "none", "max_concurrency": "1", **options}
    chosen |= {"checkpointLocation": str(folder / "checkpoint"), "report_path": str(folder / "report.json")}
    return rows.writeStream.format("criteo_audiences").options(**chosen).trigger(availableNow=True).start()


def save(rows: DataFrame, segment_id: str, **options: Any) -> None:
    """Uploads."""
    chosen = {"segment_id": segment_id, "column": "email", "hash": "sha256", **options}
    rows.write.format("criteo_audiences").options(**chosen).mode("append").save()


def digests(count: int) -> set[str]:
    """Returns what the list must hold."""
    return {hashlib.sha256(f"{number}@example.com".encode()).hexdigest() for number in range(count)}


def calls(sandbox: Sandbox) -> list[Any]:
    """Returns the calls that change a list."""
    return [each for each in sandbox.requests if AMENDING in each.path]


def until(holds: Callable[[], Any]) -> Any:
    """Waits until something holds, and returns it."""
    ends_at = time.monotonic() + 120
    while not (found := holds()):
        assert time.monotonic() < ends_at
        time.sleep(0.002)
    return found


def sender(sandbox: Sandbox) -> psutil.Process | None:
    """Returns a Python worker of Spark that has a call to the sandbox under way."""
    port = int(sandbox.url.rpartition(":")[2])
    for process in psutil.Process().children(recursive=True):
        try:
            ends = [each.raddr for each in process.net_connections("tcp") if each.raddr]
        except psutil.Error:
            continue
        if any(end.port == port for end in ends):
            return process
    return None


@contextmanager
def meanwhile(action: Callable[[], object]) -> Iterator[None]:
    """Does something in another thread, which must have ended when the block has."""
    thread = threading.Thread(target=action)
    thread.start()
    yield
    thread.join(30)
    assert not thread.is_alive()


if __name__ == "__main__":
    stream(start(), Path(sys.argv[1]), sys.argv[2], **json.loads(sys.argv[3])).awaitTermination()
