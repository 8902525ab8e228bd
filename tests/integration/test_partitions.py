"""`upload_partition`: what the tasks of a cluster call, whatever engine runs them."""

import hashlib
import json
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from criteo_audiences import ConfigurationError, UploadFailedError
from criteo_audiences.integrations.partitions import (
    PartitionConfig,
    PartitionReport,
    PartitionTotals,
    upload_partition,
)
from criteo_audiences.sandbox import Sandbox
from tests.kit import AMENDING, emails

CONFIG = PartitionConfig(segment_id="7", column="email", hash="sha256", batch_size=10)


@pytest.fixture
def config(criteo_sandbox: Sandbox) -> PartitionConfig:
    """What to do with a contact list of the sandbox."""
    return evolve(CONFIG, segment_id=criteo_sandbox.add_contact_list())


def digest(text: str) -> str:
    """Returns what Criteo holds of an address."""
    return hashlib.sha256(text.encode()).hexdigest()


def amendments(sandbox: Sandbox) -> int:
    """Counts the calls that change a list."""
    return sum(AMENDING in each.path for each in sandbox.requests)


@pytest.mark.parametrize(
    "made",
    [
        lambda rows: pa.record_batch({"id": rows, "email": rows}),
        lambda rows: pa.table({"id": rows, "email": rows}),
        lambda rows: pd.DataFrame({"id": rows, "email": rows}),
        lambda rows: pl.DataFrame({"id": rows, "email": rows}),
        lambda rows: {"id": rows, "email": pd.Series(rows).to_numpy()},
        lambda rows: {"email": rows},
        list,
    ],
)
def test_batches_of_every_engine_are_read(
    criteo_sandbox: Sandbox, config: PartitionConfig, made: Callable[[list[str]], Any]
) -> None:
    """Arrow, pandas, polars, columns of numpy or plain values: every row arrives, in full batches."""
    rows = list(emails(95))
    report = upload_partition((made(rows[at : at + 19]) for at in range(0, 95, 19)), config, partition=3, attempt=1)
    assert criteo_sandbox.contact_list(config.segment_id).identifiers == set(map(digest, rows))
    assert (report.partition, report.attempt) == (3, 1)
    assert (report.read, report.sent, report.valid, report.batches, report.calls) == (95, 95, 95, 10, 10)
    assert amendments(criteo_sandbox) == 10


def test_every_row_is_accounted_for(criteo_sandbox: Sandbox, config: PartitionConfig) -> None:
    """Missing and unusable values are counted by reason; a report survives pickle and JSON, and shows no identifier."""
    criteo_sandbox.contact_list(config.segment_id).refuse([digest("bad@example.com")])
    rows = ["a@example.com", None, "", "nobody", "bad@example.com"]
    report = upload_partition([pa.table({"email": rows})], config)
    assert (report.read, report.valid, report.invalid, report.rejected) == (5, 1, 1, {"empty": 2, "no_at_sign": 1})
    assert pickle.loads(pickle.dumps(report)) == report  # noqa: S301
    assert "example" not in json.dumps(report.to_dict()) + repr(report)


def test_column_of_digests_holds_nothing_else(criteo_sandbox: Sandbox, config: PartitionConfig) -> None:
    """With `hash="already"` an address is never sent, not even hashed."""
    rows = [digest("a@example.com"), f" {digest('b@example.com').upper()} ", "c@example.com", None, "ab" * 20]
    report = upload_partition([{"email": rows}], evolve(config, hash="already"))
    held = criteo_sandbox.contact_list(config.segment_id).identifiers
    assert held == {digest("a@example.com"), digest("b@example.com")}
    assert (report.read, report.valid, report.rejected) == (5, 2, {"empty": 1, "not_hashed": 2})


def test_empty_partition_makes_no_call(criteo_sandbox: Sandbox, config: PartitionConfig) -> None:
    """There is a report of it all the same."""
    assert upload_partition(iter(()), config) == PartitionReport(elapsed=pytest.approx(0, abs=60))
    assert amendments(criteo_sandbox) == 0


def test_batch_that_failed_fails_the_partition(criteo_sandbox: Sandbox, config: PartitionConfig) -> None:
    """The engine runs the task again then; the message has no identifier."""
    criteo_sandbox.fail_next(status=400, on=AMENDING)
    with pytest.raises(UploadFailedError, match="10 identifiers failed") as caught:
        upload_partition([{"email": list(emails(30))}], config)
    assert "example" not in str(caught.value)


def test_few_refused_identifiers_fail_no_partition(criteo_sandbox: Sandbox, config: PartitionConfig) -> None:
    """A share is judged over all partitions; only a full batch of refused ones ends a task at once."""
    rows = list(emails(30))
    criteo_sandbox.contact_list(config.segment_id).refuse(map(digest, rows))
    assert upload_partition([rows[:9]], config).invalid == 9
    with pytest.raises(UploadFailedError, match="are invalid"):
        upload_partition([rows], evolve(config, max_concurrency=1))
    assert amendments(criteo_sandbox) == 2


def test_error_of_the_engine_is_raised_as_it_is(criteo_sandbox: Sandbox, config: PartitionConfig) -> None:
    """What was read before it is sent or pending; nothing hangs."""

    def broken() -> Iterator[Any]:
        yield {"email": list(emails(30))}
        raise LookupError("lost")

    with pytest.raises(LookupError, match="lost"):
        upload_partition(broken(), config)
    assert amendments(criteo_sandbox) <= 3


@pytest.mark.parametrize("batch", [{"mail": ["a@b.co"]}, pa.table({"mail": ["a@b.co"]}), 5])
def test_missing_column_is_named(criteo_sandbox: Sandbox, config: PartitionConfig, batch: Any) -> None:
    """Nothing is sent then."""
    with pytest.raises(ConfigurationError, match="has no column 'email'"):
        upload_partition([batch], config)
    assert amendments(criteo_sandbox) == 0


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"service": "crm"}, "service must be one of"),
        ({"segment_id": ""}, "segment_id must be a text"),
        ({"column": 5}, "column must be a text"),
        ({"max_rejected": 2}, "max_rejected must be between 0 and 1"),
        ({"hash": "sha1"}, "hash is not one"),
        ({"operation": "toggle"}, "operation is not one"),
        ({"batch_size": 0}, "batch_size must be between"),
        ({"identifier_type": "customer_id", "hash": None}, "Marketing Solutions takes no identifier_type"),
        ({"identifier_type": "gum", "hash": None}, "gum_caller_id"),
    ],
)
def test_mistakes_are_found_without_a_call(changed: dict[str, Any], message: str) -> None:
    """Before any task runs, and without a login."""
    with pytest.raises(ConfigurationError, match=message):
        evolve(CONFIG, **changed).check()


def test_good_configuration_passes_and_travels() -> None:
    """It is the same in every process."""
    CONFIG.check()
    assert pickle.loads(pickle.dumps(CONFIG)) == CONFIG  # noqa: S301


def test_named_run_needs_redis(criteo_sandbox: Sandbox, config: PartitionConfig) -> None:
    """Who counts on the ledger must not go without it unawares."""
    with pytest.raises(ConfigurationError, match="run needs CRITEO_QUOTA_URL"):
        upload_partition([["a@b.co"]], evolve(config, run="today"))
    assert upload_partition([["a@b.co"]], config, job="one").valid == 1
    assert amendments(criteo_sandbox) == 1


REPORTS = st.builds(
    PartitionReport,
    valid=st.integers(0, 100),
    invalid=st.integers(0, 100),
    batches=st.integers(0, 30),
    rejected=st.dictionaries(st.sampled_from(["empty", "too_long"]), st.integers(1, 5)),
)


@given(st.lists(REPORTS))
def test_totals_are_sums(reports: list[PartitionReport]) -> None:
    """Every count of the whole is the sum of those of the partitions, and JSON holds it."""
    totals = PartitionTotals(reports=tuple(reports), config=CONFIG).to_dict()
    assert totals["sent"] == sum(each.valid + each.invalid for each in reports)
    assert sum(totals["rejected"].values()) == sum(sum(each.rejected.values()) for each in reports)
    assert json.loads(json.dumps(totals)) == totals


def test_wasted_calls_are_counted() -> None:
    """Partitions that are too small for full batches are warned of, with the number; others are not."""
    small = tuple(PartitionReport(partition=at, read=3, valid=3, batches=1) for at in range(100))
    totals = PartitionTotals(reports=small, config=CONFIG)
    assert totals.wasted_calls == 70
    assert "70 of 100 calls were wasted, because 100 partitions" in (totals.warning() or "")
    full = tuple(PartitionReport(partition=at, read=95, valid=95, batches=10) for at in range(4))
    assert PartitionTotals(reports=full, config=CONFIG).warning() is None
    assert PartitionTotals(reports=(), config=CONFIG).warning() is None


@pytest.mark.parametrize(
    ("report", "missing", "fault"),
    [
        (PartitionReport(read=10, valid=4, rejected={"empty": 6}), 0, "6 of 10 rows were rejected, more than 50%."),
        (PartitionReport(read=10, valid=4, invalid=6), 0, "6 of 10 identifiers are invalid, more than 50%."),
        (PartitionReport(read=10, valid=10), 2, "2 partitions have no report"),
    ],
)
def test_bounds_hold_for_the_whole(report: PartitionReport, missing: int, fault: str) -> None:
    """Each fault is a sentence."""
    totals = PartitionTotals(reports=(report,), config=CONFIG, missing=missing)
    assert [fault in each for each in totals.faults()] == [True]
    assert not totals.to_dict()["ok"]
