"""A Spark of a test's own, and a stream that a test kills: `python -m tests.servers.spark_session FOLDER SEGMENT`."""

import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession


def start(master: str = "local[2,3]") -> SparkSession:
    """Starts a session whose workers use this Python; repeats a task twice."""
    os.environ["PYSPARK_PYTHON"] = sys.executable
    warnings.filterwarnings("ignore", message="PySpark does not yet fully support pandas")
    settings = {
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.sql.shuffle.partitions": "4",
        "spark.task.maxFailures": "3",
        "spark.driver.extraJavaOptions": "-XX:+UseSerialGC",
    }
    builder = SparkSession.builder.master(master).appName("criteo_audiences")
    for name, value in settings.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    return session


def stream(session: SparkSession, folder: Path, segment_id: str, **options: Any) -> Any:
    """Uploads the files of a folder, a micro-batch each, until all are read; returns the query."""
    rows = session.readStream.schema("email string").option("maxFilesPerTrigger", 1).json(str(folder / "in"))
    chosen = {"segment_id": segment_id, "column": "email", "hash": "none", "max_concurrency": "1", **options}
    chosen |= {"checkpointLocation": str(folder / "checkpoint"), "report_path": str(folder / "report.json")}
    return rows.writeStream.format("criteo_audiences").options(**chosen).trigger(availableNow=True).start()


if __name__ == "__main__":
    stream(start(), Path(sys.argv[1]), sys.argv[2], **json.loads(sys.argv[3])).awaitTermination()
