"""Uploads the partitions of a table from the tasks of a cluster; works with any engine and imports none."""

import asyncio
import math
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, aclosing
from functools import partial
from os import environ
from typing import TYPE_CHECKING, Any, Final

from attrs import evolve, field, fields, frozen

from criteo_audiences.client import CriteoClient
from criteo_audiences.errors import ConfigurationError
from criteo_audiences.identifiers import RejectReason, is_hashed
from criteo_audiences.loops import run_apart
from criteo_audiences.models import OWNER_FIELDS, UNSET, Unset
from criteo_audiences.session import StaticToken
from criteo_audiences.settings import read_shared_quota
from criteo_audiences.uploads import UploadReport
from criteo_audiences.validation import require_range

if TYPE_CHECKING:
    from criteo_audiences.integrations.ledger import ListLease, RedisLedger

__all__ = ["PartitionConfig", "PartitionReport", "PartitionTotals", "upload_partition"]

ALREADY: Final = "already"
"""The value of `hash` for a column that contains digests."""
_WELL_FILLED: Final = 0.8
_THREAD: Final = "criteo-audiences-partition"


@frozen(kw_only=True)
class PartitionConfig:
    """How to upload every partition: names and numbers, never identifiers or secrets. Pickle-safe.

    The login and `CRITEO_QUOTA_URL` come from the environment of the machine that runs the task. With that URL, tasks
    with the same operation share a list, while other jobs and writes wait for it.

    Attributes:
        service: `marketing-solutions`, `retail-media` or `commerce-grid`.
        segment_id: the contact list.
        column: the column with the identifiers.
        operation: `add` or `remove`.
        identifier_type: kind of identifier.
        hash: how to hash, as for `upload_contact_list`, or `already` for a column of digests, in which other values
            are rejected. It must be chosen for e-mails and phone numbers.
        region: country of phone numbers without a country code.
        gum_caller_id: the caller id that GUM ids need.
        profile: the profile with the login for the tasks; `None` for the login in their environment.
        run: a name for work to be done once. With `CRITEO_QUOTA_URL`, a batch that was acknowledged within a day in a
            run of the same name is not sent again; with `None`, a batch acknowledged in the same job.
        ledger: whether that Redis remembers acknowledged batches at all.
        batch_size: identifiers per batch.
        max_concurrency: batches in flight at the same time, for each task.
        max_in_flight_bytes: bytes of identifiers in flight at the same time, for each task.
        drain_timeout: seconds that batches in flight get to finish when a task is canceled.
        max_rejected: share of all rows that may be rejected, 0 to 1.
        max_invalid: share of all identifiers that Criteo may refuse, 0 to 1; a first full batch beyond it also ends
            its task.
    """

    segment_id: str
    column: str
    service: str = "marketing-solutions"
    operation: str = "add"
    identifier_type: str = "email"
    hash: str | Unset | None = UNSET
    region: str | None = None
    gum_caller_id: int | str | None = None
    profile: str | None = None
    run: str | None = None
    ledger: bool = True
    batch_size: int = 50_000
    max_concurrency: int | None = None
    max_in_flight_bytes: int | None = None
    drain_timeout: float = 10.0
    max_rejected: float = 0.5
    max_invalid: float = 0.5

    def __attrs_post_init__(self) -> None:
        if self.service not in OWNER_FIELDS:
            raise ConfigurationError(f"service must be one of {', '.join(OWNER_FIELDS)}.")
        for name in ("segment_id", "column", "profile", "run"):
            value = getattr(self, name)
            if not (isinstance(value, str) and value) and not (value is None and name in {"profile", "run"}):
                raise ConfigurationError(f"{name} must be a text that is not empty.")
        require_range(self.max_rejected, "max_rejected", least=0, most=1)

    def check(self) -> None:
        """Refuses settings with which no partition could be uploaded; needs no login and makes no call.

        Raises:
            ConfigurationError: naming the option and its allowed values.
        """

        async def upload_nothing() -> None:
            async with CriteoClient(StaticToken("unused"), base_url="http://127.0.0.1:9") as criteo:
                await _upload(criteo, self, iter(()))

        run_apart(upload_nothing, _THREAD)

    def keywords(self) -> dict[str, Any]:
        """Returns the keywords for `upload_contact_list`; limits for the whole job are checked at its end instead."""
        own = {"segment_id", "column", "service", "hash", "profile", "run", "ledger", "max_rejected"}
        given = {each.name: getattr(self, each.name) for each in fields(type(self)) if each.name not in own}
        if not isinstance(self.hash, Unset):
            given["hash"] = "sha256" if self.hash == ALREADY else self.hash
        return given | {"max_rejected": 1.0, "allow_empty": True}


@frozen(kw_only=True)
class PartitionReport:
    """The result of a partition: every row that was read is in `valid`, `invalid` or `rejected`. Pickle-safe.

    Attributes:
        partition: the number or name of the partition.
        attempt: the number of the attempt, from 0.
        read: rows read.
        valid: identifiers that Criteo accepted.
        invalid: identifiers that Criteo refused.
        rejected: rows without a valid identifier, by reason; `not_hashed` for a value that should have been a digest.
        batches: batches, including those that were resumed.
        resumed: batches that were acknowledged in an earlier attempt.
        calls: requests made, retries included.
        elapsed: seconds that the upload took.
        waited: seconds of these during which the quota delayed a batch.
    """

    partition: int | str = 0
    attempt: int = 0
    read: int = 0
    valid: int = 0
    invalid: int = 0
    rejected: Mapping[str, int] = field(factory=dict)
    batches: int = 0
    resumed: int = 0
    calls: int = 0
    elapsed: float = 0.0
    waited: float = 0.0

    @property
    def sent(self) -> int:
        """Identifiers in acknowledged batches."""
        return self.valid + self.invalid

    def to_dict(self) -> dict[str, Any]:
        """Returns JSON-safe values, without an identifier."""
        values = {each.name: getattr(self, each.name) for each in fields(type(self))}
        rounded = {name: round(values[name], 3) for name in ("elapsed", "waited")}
        return values | rounded | {"rejected": dict(self.rejected), "sent": self.sent}


@frozen(kw_only=True)
class PartitionTotals:
    """The result of a job: the sums over its partitions, and anything remarkable about them.

    Attributes:
        reports: the reports of the partitions that were uploaded.
        config: the settings of the job.
        missing: partitions without a report; the sums do not include what they sent before they failed.
    """

    reports: tuple[PartitionReport, ...]
    config: PartitionConfig
    missing: int = 0

    def sum_of(self, name: str) -> int:
        """Adds up a count of the partitions."""
        return sum(getattr(report, name) for report in self.reports)

    @property
    def rejected(self) -> dict[str, int]:
        """Rows without a valid identifier, by reason."""
        return dict(sum((Counter(report.rejected) for report in self.reports), Counter[str]()))

    @property
    def wasted_calls(self) -> int:
        """Batches in excess of the number that full batches would have needed."""
        return self.sum_of("batches") - math.ceil(self.sum_of("sent") / self.config.batch_size)

    def warning(self) -> str | None:
        """Returns a warning if small partitions caused more than a fifth of the calls, otherwise `None`."""
        batches, wasted, of = self.sum_of("batches"), self.wasted_calls, len(self.reports)
        if batches - wasted >= _WELL_FILLED * batches:
            return None
        enough = max(1, (batches - wasted) // 20)
        return (
            f"{wasted:,} of {batches:,} calls were wasted, because {of:,} partitions are too small for full batches of "
            f"{self.config.batch_size:,}; join them before the upload, into {enough:,} or so."
        )

    def faults(self) -> list[str]:
        """Returns a sentence for each problem of the job."""
        read, sent, rejected = self.sum_of("read"), self.sum_of("sent"), sum(self.rejected.values())
        invalid, config = self.sum_of("invalid"), self.config
        faults = []
        if self.missing:
            faults.append(
                f"{self.missing:,} partitions have no report; some of their batches may have been delivered. "
                "Running it again is safe."
            )
        if rejected > config.max_rejected * read:
            faults.append(f"{rejected:,} of {read:,} rows were rejected, more than {config.max_rejected:.0%}.")
        if invalid > config.max_invalid * sent:
            faults.append(f"{invalid:,} of {sent:,} identifiers are invalid, more than {config.max_invalid:.0%}.")
        return faults

    def to_dict(self) -> dict[str, Any]:
        """Returns JSON-safe values, without an identifier."""
        counts = ("read", "sent", "valid", "invalid", "batches", "resumed", "calls")
        warning = self.warning()
        return {
            "ok": not self.faults(),
            "service": self.config.service,
            "segment_id": self.config.segment_id,
            "operation": self.config.operation,
            **{name: self.sum_of(name) for name in counts},
            "rejected": self.rejected,
            "wasted_calls": self.wasted_calls,
            "faults": self.faults(),
            "warnings": [] if warning is None else [warning],
            "missing": self.missing,
            "partitions": [report.to_dict() for report in self.reports],
        }


def upload_partition(
    batches: Iterable[Any], config: PartitionConfig, *, partition: int | str = 0, attempt: int = 0, job: str = ""
) -> PartitionReport:
    """Uploads one partition; a repeated task sends only batches that Redis does not remember as acknowledged.

    The upload runs in its own thread and event loop, so any task may call this function. It reads batches while it
    sends the batches before them, and never more than are in flight.

    Args:
        batches: the data that the engine gives to a task: Arrow record batches or tables, pandas or polars frames,
            mappings of columns, or lists of values.
        config: the settings, the same for all partitions.
        partition: the number or name of the partition, for the report.
        attempt: the number of the attempt, for the report.
        job: a name for the job that identifies repeated tasks if `config` has no `run`.

    Raises:
        UploadFailedError: when a batch failed or its outcome is unknown; the engine should run the task again.
        ConfigurationError: when a setting is missing or wrong, or there is no such column.
        CriteoError: as in `upload_contact_list`.
    """
    return run_apart(partial(_upload_partition, batches, config, partition, attempt, job), _THREAD)


async def _upload_partition(
    batches: Iterable[Any], config: PartitionConfig, number: int | str, attempt: int, job: str
) -> PartitionReport:
    not_hashed = Counter[str]()
    async with AsyncExitStack() as stack:
        criteo = await stack.enter_async_context(CriteoClient.from_env(profile=config.profile))
        ledger = _ledger(config, job)
        if ledger is not None:
            await stack.enter_async_context(ledger)
        values = await stack.enter_async_context(aclosing(_values(iter(batches), config, not_hashed)))
        upload, lease = partial(_upload, criteo, config, values, ledger), _lease(config, criteo.host)
        report = await upload() if lease is None else await lease.run(upload)
    _judged(report, config).raise_for_failures()
    return PartitionReport(
        partition=number,
        attempt=attempt,
        read=report.read + not_hashed.total(),
        valid=report.valid,
        invalid=report.invalid,
        rejected={str(reason): count for reason, count in report.rejected.items()} | not_hashed,
        batches=report.batches,
        resumed=report.resumed,
        calls=report.calls,
        elapsed=report.elapsed,
        waited=report.waited,
    )


async def _upload(
    criteo: CriteoClient,
    config: PartitionConfig,
    values: Any,
    ledger: "RedisLedger | None" = None,
    before_call: Callable[[], Awaitable[None]] | None = None,
) -> UploadReport:
    service: Any = getattr(criteo, config.service.replace("-", "_"))
    report: UploadReport = await service.upload_contact_list(
        config.segment_id, values, **config.keywords(), ledger=ledger, before_call=before_call
    )
    return report


def _judged(report: UploadReport, config: PartitionConfig) -> UploadReport:
    """Returns the report of a part of a job: `max_invalid` applies to it only if the part fills a batch."""
    return report if report.sent >= config.batch_size else evolve(report, max_invalid=1.0)


def _lease(config: PartitionConfig, host: str) -> "ListLease | None":
    """Returns the lease that keeps other operations from the list while tasks upload to it; `None` without Redis."""
    shared = read_shared_quota(environ)
    if shared is None:
        return None
    from criteo_audiences.integrations.ledger import ListLease  # noqa: PLC0415 - needs the extra

    return ListLease(
        shared.url,
        source="CRITEO_QUOTA_URL",
        host=host,
        service=config.service,
        segment_id=config.segment_id,
        operation=config.operation,
        shared=True,
    )


def _ledger(config: PartitionConfig, job: str) -> "RedisLedger | None":
    """Returns the ledger; `None` without Redis, or if neither the run nor the job has a name.

    Raises:
        ConfigurationError: when a run is named, but there is no Redis.
    """
    run = (config.run or job) if config.ledger else ""
    shared = read_shared_quota(environ) if run else None
    if shared is None:
        if config.run is not None and config.ledger:
            raise ConfigurationError(
                "run needs CRITEO_QUOTA_URL on the machines of the tasks: Redis remembers the run."
            )
        return None
    from criteo_audiences.integrations.ledger import RedisLedger  # noqa: PLC0415 - needs the extra

    return RedisLedger(shared.url, run=run, source="CRITEO_QUOTA_URL")


async def _values(
    batches: Iterator[Any], config: PartitionConfig, not_hashed: Counter[str]
) -> AsyncGenerator[object, None]:
    """Yields the values of the column; waits for each input batch in a thread, so that uploads in flight continue."""
    accepts = _has_no_clear_text if config.hash == ALREADY else None
    while (batch := await asyncio.to_thread(next, batches, None)) is not None:
        for value in _column(batch, config.column):
            if accepts is None or accepts(value):
                yield value
            else:
                not_hashed[RejectReason.NOT_HASHED.value] += 1


def _has_no_clear_text(value: object) -> bool:
    return not isinstance(value, str) or not value.strip() or is_hashed(value.strip())


def _column(batch: Any, name: str) -> Iterable[object]:
    """Returns the values of a column of a batch.

    Raises:
        ConfigurationError: when the batch has no such column.
    """
    if isinstance(batch, list | tuple):
        return batch
    try:
        column = batch.column(name) if hasattr(batch, "schema") and hasattr(batch, "num_rows") else batch[name]
    except Exception:  # noqa: BLE001 - each kind of frame has its own
        column = None
    if column is None:
        raise ConfigurationError(f"A {type(batch).__name__} of the partition has no column {name!r}.")
    listed: Callable[[], list[object]] | None = next(
        (getattr(column, way) for way in ("to_pylist", "to_list", "tolist") if hasattr(column, way)), None
    )
    return column if listed is None else listed()
