"""What Spark asks of a data source, without Spark: options, the writers' contract, reports. Needs no Java."""

import json
import pickle
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql.datasource import CaseInsensitiveDict
from pyspark.sql.types import LongType, StringType, StructField, StructType

from criteo_audiences import ConfigurationError, CriteoError, UploadFailedError
from criteo_audiences.integrations.partitions import PartitionReport
from criteo_audiences.integrations.spark import CriteoDataSource, CriteoWriter, Written
from criteo_audiences.sandbox import Sandbox
from pyspark_criteo_audiences import DefaultSource
from tests.kit import AMENDING, emails

SCHEMA = StructType([StructField("id", LongType()), StructField("email", StringType())])
OPTIONS = {"segment_id": "7", "column": "email", "hash": "none", "batch_size": "10"}


def source(**changed: str) -> CriteoDataSource:
    """Returns the data source as Spark makes it."""
    return CriteoDataSource(CaseInsensitiveDict({**OPTIONS, **changed}))


def writer(**changed: str) -> CriteoWriter:
    """Returns a writer that has been to an executor and back."""
    made: CriteoWriter = pickle.loads(pickle.dumps(source(**changed).writer(SCHEMA, overwrite=False)))  # noqa: S301
    return made


def batches(rows: list[str]) -> Any:
    """Returns rows as Spark hands them to a task."""
    return iter(pa.table({"id": range(len(rows)), "email": rows}).to_batches(max_chunksize=7))


def calls(sandbox: Sandbox) -> int:
    """Counts the calls that change a list."""
    return sum(AMENDING in each.path for each in sandbox.requests)


def test_spark_finds_it() -> None:
    """By the name of the module and the format."""
    assert DefaultSource is CriteoDataSource
    assert DefaultSource.name() == "criteo_audiences"


def test_partitions_are_uploaded_and_reported(criteo_sandbox: Sandbox, tmp_path: Path) -> None:
    """Each task's message comes back to the driver, which writes the sum and every part."""
    segment_id, rows = criteo_sandbox.add_contact_list(), list(emails(95))
    ready = writer(segment_id=segment_id, report_path=str(tmp_path / "report.json"))
    messages = [ready.write(batches(rows[:50])), ready.write(batches(rows[50:])), ready.write(iter(()))]
    ready.commit(pickle.loads(pickle.dumps(messages)))  # noqa: S301
    assert criteo_sandbox.contact_list(segment_id).identifiers == set(rows)
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["state"], report["ok"]) == ("committed", True)
    assert (report["read"], report["valid"], report["batches"], report["calls"]) == (95, 95, 10, 10)
    assert [each["read"] for each in report["partitions"]] == [50, 45, 0]
    assert [path.name for path in tmp_path.glob("*.json")] == ["report.json"]
    assert "example" not in json.dumps(report)


def test_aborted_write_reports_what_is_known(tmp_path: Path) -> None:
    """Tasks without a message are counted as missing."""
    ready = writer(report_path=str(tmp_path / "report.json"))
    ready.abort([None, None])
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["state"], report["ok"], report["missing"]) == ("aborted", False, 2)
    assert "Running it again is safe." in report["faults"][0]


def test_failed_batch_fails_the_task(criteo_sandbox: Sandbox) -> None:
    """Spark repeats it then."""
    ready = writer(segment_id=criteo_sandbox.add_contact_list())
    criteo_sandbox.fail_next(status=400, on=AMENDING)
    with pytest.raises(UploadFailedError, match="failed"):
        ready.write(batches(list(emails(30))))


def test_bounds_of_the_whole_fail_the_commit(criteo_sandbox: Sandbox, tmp_path: Path) -> None:
    """What was rejected is a share of all rows, which no task can judge."""
    path = tmp_path / "report.json"
    ready = writer(segment_id=criteo_sandbox.add_contact_list(), report_path=str(path), max_rejected="0.1")
    with pytest.raises(CriteoError, match="1 of 3 rows were rejected, more than 10%"):
        ready.commit([ready.write(batches(["a@b.co", "nobody", "c@d.co"]))])
    assert not json.loads(path.read_text())["ok"]


def test_small_partitions_are_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """In the log and in the report, with the number of calls."""
    ready = writer(report_path=str(tmp_path / "report.json"))
    ready.commit([Written(PartitionReport(read=2, valid=2, batches=1, calls=1))] * 10)
    (warning,) = json.loads((tmp_path / "report.json").read_text())["warnings"]
    assert warning.startswith("8 of 10 calls were wasted, because 10 partitions are too small")
    assert [record.getMessage() for record in caplog.records] == [warning]


def test_stream_writes_a_report_a_micro_batch(criteo_sandbox: Sandbox, tmp_path: Path) -> None:
    """With its number before the suffix; shares beyond their bounds stop no stream."""
    options = {"segment_id": criteo_sandbox.add_contact_list(), "report_path": str(tmp_path / "report.json")}
    ready = source(**options, checkpointLocation="somewhere").streamWriter(SCHEMA, overwrite=False)
    ready.commit([ready.write(batches(["a@b.co", "nobody", "none"]))], 4)
    ready.abort([None], 5)
    states = {path.name: json.loads(path.read_text())["state"] for path in tmp_path.glob("*.json")}
    assert states == {"report.4.json": "committed", "report.5.json": "aborted"}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"segmentid": "7"}, "'segmentid' is unknown; did you mean 'segment_id'?"),
        ({"colunm": "email"}, "did you mean 'column'?"),
        ({"segment_id": ""}, "'segment_id' is missing"),
        ({"column": "Email"}, "no column 'Email'; did you mean 'email'? Its columns are: id, email."),
        ({"column": "id"}, "has the type bigint; cast it to string"),
        ({"batch_size": "many"}, "'batch_size' must be a whole number"),
        ({"max_invalid": "half"}, "'max_invalid' must be a number"),
        ({"ledger": "maybe"}, "'ledger' must be true or false"),
        ({"batch_size": "60000"}, "batch_size must be between 1 and 50,000"),
        ({"hash": "sha1"}, "hash is not one"),
        ({"operation": "toggle"}, "operation is not one"),
        ({"path": "/tmp"}, "save() without a path"),  # noqa: S108 - nothing is written there
        ({"report_path": "report.json"}, "must be the absolute path"),
        ({"report_path": "/no/such/directory/report.json"}, "in a directory that exists"),
    ],
)
def test_mistakes_are_found_on_the_driver(criteo_sandbox: Sandbox, changed: dict[str, str], message: str) -> None:
    """Before any call; the option or the column is named."""
    with pytest.raises(ConfigurationError) as caught:
        source(**changed).writer(SCHEMA, overwrite=False)
    assert message in str(caught.value)
    assert not criteo_sandbox.requests


@pytest.mark.parametrize("name", ["client_secret", "clientSecret", "client_id", "refresh_token", "password", "redis_url", "quota_url"])  # fmt: skip
def test_secrets_are_no_options(name: str) -> None:
    """The message says how to pass them, and does not repeat them."""
    with pytest.raises(ConfigurationError) as caught:
        source(**{name: "hush-hush"}).writer(SCHEMA, overwrite=False)
    assert "CRITEO_CLIENT_SECRET_FILE" in str(caught.value)
    assert "hush" not in str(caught.value)


def test_other_modes_are_refused() -> None:
    """Neither `overwrite` nor the streams' `complete` can be meant."""
    with pytest.raises(ConfigurationError, match="overwrite"):
        source().writer(SCHEMA, overwrite=True)
    with pytest.raises(ConfigurationError, match="complete"):
        source().streamWriter(SCHEMA, overwrite=True)
