"""The Spark data source in a real Spark: every identifier is delivered whatever fails, and what was is not sent again."""

import gzip
import json
import os
import random
import subprocess
import sys
import unicodedata
from pathlib import Path

import psutil
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - as everyone calls it

from criteo_audiences import InvalidIdentifierError, hash_email
from criteo_audiences.integrations.spark import sha256_email
from criteo_audiences.sandbox import Sandbox
from tests.kit import AMENDING
from tests.servers.spark_session import calls, digests, meanwhile, save, sender, stream, until

ROWS = int(os.environ.get("SPARK_ROWS", "200000"))
IDEAL = 40
BATCH = ROWS // IDEAL
PIECES = [
    "a", "B", "@", "@", ".", "-", "'", '"', "=", " ", "\t", "\u200b", "\xa0", "<", ">", "mailto:", "Email: ", "%40", "%2", "%C3%A9",
    "+", "?", "é", "Σ", "İ", "\uff11", "。", "\uff20", ":", "e-mail", "example.com", "ann", "\x1f", "\ufffd", "1", "٣", "f" * 31, "\n", "“", "·",
]  # fmt: skip
ODD = [
    "a@b.co", " A@B.CO ", "'a@b.co'", '="a@b.co"', '"""a@b.co"""', "=\"'a@b.co'\"", "Ann <ann@Ex.com>", "mailto:ann%40ex.com?subject=x",
    "mailto:a+b@ex.com", "mailto:a%zz@b.co", "mailto:%C3@b.co", "E-mail: x@y.zz", "mail\u2003:\u2003x@y.zz", "\ufeffa@b.co", "a@b.1", "a@b.१",
    "a@b.co.", "a@-b.co", "a@@b.co", "\uff41\uff20\uff42\uff0e\uff43\uff4f", "ΑΣ@X.COM", "İ@x.com", "a" * 64 + "@b.co", "a" * 65 + "@b.co", "é" * 33 + "@b.co",
    "a@" + "b" * 64 + ".co", "a@" + ".".join(["b" * 60] * 4) + ".co", "", "f" * 32, "F" * 64, "d41d8cd98f00b204e9800998ecf8427e",
    " e13743a7f1db7f4246badd6fd6ff54ff", "ab" * 20, "a\x00@b.co", "“a@b.co”", "a·b@c.co", "a@b•c.co", "x" * 6000, "'" * 3000 + "a@b.co", None,
]  # fmt: skip

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas", "ignore::ResourceWarning"),
]


@pytest.fixture
def table(spark: SparkSession) -> DataFrame:
    """Addresses that all differ, in two partitions."""
    return spark.range(0, ROWS, 1, 2).select(F.concat(F.col("id"), F.lit("@Example.com")).alias("email"))


def test_hashes_are_those_of_the_library(spark: SparkSession) -> None:
    """Whatever a value holds: the digest of `hash_email`, or null where that refuses it."""
    drawn = random.Random(20261127)
    values = [*ODD, *("".join(drawn.choices(PIECES, k=drawn.randint(1, 9))) for _ in range(20_000))]
    # What this Python's Unicode does not know yet, Spark's may.
    known = (chr(code) for code in range(0x80, 0x3100) if unicodedata.category(chr(code)) != "Cn")
    values += [f"{character}x@b{character}.co" for character in known]

    def expected(value: str | None) -> str | None:
        try:
            return hash_email(value or "")
        except InvalidIdentifierError:
            return None

    rows = spark.createDataFrame(list(enumerate(values)), "at int, value string")
    found = {row.at: row.hashed for row in rows.select("at", sha256_email("value").alias("hashed")).collect()}
    assert [(value, found[at]) for at, value in enumerate(values) if found[at] != expected(value)] == []
    assert sum(each is not None for each in found.values()) > 5_000


@pytest.mark.parametrize(
    ("options", "mode", "message"),
    [
        ({"segmnt_id": "7"}, "append", "did you mean 'segment_id'?"),
        ({"column": "mail"}, "append", "no column 'mail'"),
        ({"client_secret": "hush-hush"}, "append", "CRITEO_CLIENT_SECRET_FILE"),
        ({}, "overwrite", "mode('overwrite') is refused"),
    ],
)
def test_mistakes_make_no_call(
    criteo: Sandbox, table: DataFrame, options: dict[str, str], mode: str, message: str
) -> None:
    """The exception names the mistake, and no task has run."""
    before = len(criteo.requests)
    chosen = {"segment_id": "7", "column": "email", "hash": "sha256", **options}
    with pytest.raises(Exception, match="criteo_audiences") as caught:
        table.write.format("criteo_audiences").options(**chosen).mode(mode).save()
    assert message in str(caught.value)
    assert "hush" not in str(caught.value)
    assert len(criteo.requests) == before


def test_undisturbed_upload_makes_no_call_too_many(criteo: Sandbox, table: DataFrame, tmp_path: Path) -> None:
    """Hashed in SQL, as many calls as full batches; the report says so, and nothing is warned of."""
    segment_id, before = criteo.add_contact_list(), len(calls(criteo))
    hashed = table.select(sha256_email("email").alias("email"))
    save(hashed, segment_id, batch_size=BATCH, hash="already", report_path=str(tmp_path / "report.json"))
    assert criteo.contact_list(segment_id).identifiers == digests(ROWS)
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["valid"], report["calls"], report["wasted_calls"], report["warnings"]) == (ROWS, IDEAL, 0, [])
    assert len(calls(criteo)) - before == IDEAL


def test_small_partitions_are_warned_of(criteo: Sandbox, spark: SparkSession, tmp_path: Path) -> None:
    """The report has the number of calls that they cost."""
    rows = spark.range(0, 16, 1, 16).select(F.concat("id", F.lit("@example.com")).alias("email"))
    save(rows, criteo.add_contact_list(), report_path=str(tmp_path / "report.json"))
    (warning,) = json.loads((tmp_path / "report.json").read_text())["warnings"]
    assert warning.startswith("15 of 16 calls were wasted, because 16 partitions are too small")


def test_job_that_gives_up_says_so(criteo: Sandbox, spark: SparkSession, tmp_path: Path) -> None:
    """After `maxFailures` attempts of a task; the exception has no identifier, and the report counts what is missing."""
    rows = spark.range(0, 10, 1, 1).select(F.concat("id", F.lit("@example.com")).alias("email"))
    criteo.fail_next(status=400, times=3, on=AMENDING)
    with pytest.raises(Exception, match="10 identifiers failed") as caught:
        save(rows, criteo.add_contact_list(), hash="none", report_path=str(tmp_path / "report.json"))
    assert "@example" not in str(caught.value)
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["state"], report["ok"], report["missing"]) == ("aborted", False, 1)


@pytest.mark.parametrize("ledger", [True, False])
@pytest.mark.parametrize("disturbance", ["raises", "killed"])
def test_disturbed_task_delivers_everything(
    criteo: Sandbox,
    table: DataFrame,
    tmp_path: Path,
    disturbance: str,
    ledger: bool,  # noqa: FBT001 - a case
) -> None:
    """A task that raises, or whose Python is killed, is repeated; with the ledger only what was in flight is."""
    segment_id, before = criteo.add_contact_list(), len(calls(criteo))

    def disturb() -> None:
        until(lambda: len(calls(criteo)) - before >= IDEAL // 4)
        if disturbance == "raises":
            criteo.fail_next(status=400, on=AMENDING)
        else:
            until(lambda: sender(criteo)).kill()

    with meanwhile(disturb):
        save(
            table,
            segment_id,
            ledger=ledger,
            batch_size=BATCH,
            max_concurrency=1,
            report_path=str(tmp_path / "report.json"),
        )
    assert criteo.contact_list(segment_id).identifiers == digests(ROWS)
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["state"], report["ok"], report["read"], report["valid"]) == ("committed", True, ROWS, ROWS)
    assert sorted(each["attempt"] for each in report["partitions"]) == [0, 1]
    assert (report["resumed"] > 0) is ledger
    made = len(calls(criteo)) - before
    print(f"{disturbance}, ledger={ledger}: {made} calls for {IDEAL} batches, {report['resumed']} resumed")
    assert made <= IDEAL + (1 if ledger else IDEAL // 2)


def test_killed_stream_goes_on(criteo: Sandbox, spark: SparkSession, tmp_path: Path) -> None:
    """A stream whose processes were all killed in its second micro-batch sends only what was not acknowledged."""
    each = ROWS // 4
    (tmp_path / "in").mkdir()
    for file in range(3):
        lines = (json.dumps({"email": f"{file}.{number}@example.com"}) for number in range(each))
        # Compressed, so that a file is a partition, however long it is.
        (tmp_path / "in" / f"{file}.json.gz").write_bytes(gzip.compress("\n".join(lines).encode(), 1))
    segment_id, before = criteo.add_contact_list(), len(calls(criteo))
    options = {"batch_size": each // 10}
    command = [sys.executable, "-m", "tests.servers.spark_session", str(tmp_path), segment_id, json.dumps(options)]
    driver = psutil.Process(subprocess.Popen(command, cwd=Path(__file__).parents[2]).pid)
    until(lambda: len(calls(criteo)) - before >= 15)
    for process in [driver, *driver.children(recursive=True)]:
        process.kill()
    driver.wait()
    assert (tmp_path / "report.0.json").exists()
    assert not (tmp_path / "report.1.json").exists()
    query = stream(spark, tmp_path, segment_id, **options)
    assert query.awaitTermination(120)
    assert criteo.contact_list(segment_id).identifiers == {
        f"{file}.{number}@example.com" for file in range(3) for number in range(each)
    }
    reports = [json.loads((tmp_path / f"report.{batch}.json").read_text()) for batch in range(3)]
    assert [report["valid"] for report in reports] == [each] * 3
    assert reports[1]["resumed"] >= 3
    made = len(calls(criteo)) - before
    print(f"stream: {made} calls for 30 batches, {reports[1]['resumed']} resumed")
    assert made <= 31
