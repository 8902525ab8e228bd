"""Uploads the partitions of a table from the tasks of a cluster, whatever engine runs them; needs no engine itself."""

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
"""Says of `hash` that the column holds digests."""
_WELL_FILLED: Final = 0.8
_THREAD: Final = "criteo-audiences-partition"


@frozen(kw_only=True)
class PartitionConfig:
    """What to upload of every partition: names and numbers, never identifiers or secrets. Pickle-safe.

    The login and `CRITEO_QUOTA_URL` come from the environment of the machine that runs the task. With that URL, tasks
    that do the same operation share a list, and other jobs and writes wait for it.

    Attributes:
        service: `marketing-solutions`, `retail-media` or `commerce-grid`.
        segment_id: the contact list.
        column: column with the identifiers.
        operation: `add` or `remove`.
        identifier_type: kind of identifier.
        hash: how to hash, as for `upload_contact_list`, or `already`: the column holds digests, and what is none is
            rejected. It must be chosen for e-mails and phone numbers.
        region: country of phone numbers without a country code.
        gum_caller_id: the caller id that GUM ids need.
        profile: the profile whose login the tasks use; `None`: their environment's.
        run: names what is to be done once: with `CRITEO_QUOTA_URL`, batches that an attempt of the same name got
            acknowledged within a day are not sent again. `None`: only those of the same job.
        ledger: whether that Redis remembers acknowledged batches at all.
        batch_size: identifiers per batch.
        max_concurrency: batches in flight at the same time, for each task.
        max_in_flight_bytes: bytes of identifiers in flight at the same time, for each task.
        drain_timeout: seconds that batches in flight get when a task is canceled.
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
        """Refuses what no partition could be uploaded with; needs no login and makes no call.

        Raises:
            ConfigurationError: naming the option and what it may be.
        """

        async def upload_nothing() -> None:
            async with CriteoClient(StaticToken("unused"), base_url="http://127.0.0.1:9") as criteo:
                await _upload(criteo, self, iter(()))

        run_apart(upload_nothing, _THREAD)

    def keywords(self) -> dict[str, Any]:
        """Returns the keywords of `upload_contact_list`; what bounds the whole job is judged at its end."""
        own = {"segment_id", "column", "service", "hash", "profile", "run", "ledger", "max_rejected"}
        given = {each.name: getattr(self, each.name) for each in fields(type(self)) if each.name not in own}
        if not isinstance(self.hash, Unset):
            given["hash"] = "sha256" if self.hash == ALREADY else self.hash
        return given | {"max_rejected": 1.0, "allow_empty": True}


@frozen(kw_only=True)
class PartitionReport:
    """What became of a partition: every row that was read is in `valid`, `invalid` or `rejected`. Pickle-safe.

    Attributes:
        partition: its number or name.
        attempt: which attempt this was, from 0.
        read: rows read.
        valid: identifiers that Criteo accepted.
        invalid: identifiers that Criteo refused.
        rejected: rows that held no identifier, by reason; `not_hashed` for a value that should have been a digest.
        batches: batches.
        resumed: how many of them an earlier attempt had got acknowledged.
        calls: requests made, retries included.
        elapsed: seconds.
        waited: seconds of them during which the quota held a batch back.
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
        """Identifiers that are in acknowledged batches."""
        return self.valid + self.invalid

    def to_dict(self) -> dict[str, Any]:
        """Returns JSON-safe values, without an identifier."""
        values = {each.name: getattr(self, each.name) for each in fields(type(self))}
        rounded = {name: round(values[name], 3) for name in ("elapsed", "waited")}
        return values | rounded | {"rejected": dict(self.rejected), "sent": self.sent}


@frozen(kw_only=True)
class PartitionTotals:
    """What became of a job: the sum of its partitions, and what to know of it.

    Attributes:
        reports: those of the partitions that were uploaded.
        config: what was to be done.
        missing: partitions of which there is no report; what they sent before they failed is not in the sums.
    """

    reports: tuple[PartitionReport, ...]
    config: PartitionConfig
    missing: int = 0

    def sum_of(self, name: str) -> int:
        """Adds up a count of the partitions."""
        return sum(getattr(report, name) for report in self.reports)

    @property
    def rejected(self) -> dict[str, int]:
        """Rows that held no identifier, by reason."""
        return dict(sum((Counter(report.rejected) for report in self.reports), Counter[str]()))

    @property
    def wasted_calls(self) -> int:
        """Batches beyond those that full ones would have been."""
        return self.sum_of("batches") - math.ceil(self.sum_of("sent") / self.config.batch_size)

    def warning(self) -> str | None:
        """Says how many calls small partitions have cost, when that is a fifth of them or more."""
        batches, wasted, of = self.sum_of("batches"), self.wasted_calls, len(self.reports)
        if batches - wasted >= _WELL_FILLED * batches:
            return None
        enough = max(1, (batches - wasted) // 20)
        return (
            f"{wasted:,} of {batches:,} calls were wasted, because {of:,} partitions are too small for full batches of "
            f"{self.config.batch_size:,}; join them before the upload, into {enough:,} or so."
        )

    def faults(self) -> list[str]:
        """Says what is not as it should be, a sentence each."""
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
    """Uploads one partition; a task that repeats it sends only what Redis does not remember as acknowledged.

    It runs in a thread and an event loop of its own, so that any task may call it. The batches are read while those
    before them are sent, and never more than are in flight.

    Args:
        batches: what the engine gives a task: Arrow record batches or tables, pandas or polars frames, mappings of
            columns; or lists of values.
        config: what to do; the same for all partitions.
        partition: its number or name, for the report.
        attempt: which attempt this is, for the report.
        job: names the job whose tasks are repeated, where `config` has no `run`.

    Raises:
        UploadFailedError: when a batch failed, or its fate is unknown; the engine should run the task again.
        ConfigurationError: when a setting is missing or wrong, or there is no such column.
        CriteoError: as `upload_contact_list`.
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
    """Returns the report as that of a part: only a full batch of refused identifiers is its own fault."""
    return report if report.sent >= config.batch_size else evolve(report, max_invalid=1.0)


def _lease(config: PartitionConfig, host: str) -> "ListLease | None":
    """Returns what keeps other operations from the list while tasks upload to it, `None` where there is no Redis."""
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
    """Returns the ledger, `None` where there is no Redis or nothing to call the job by.

    Raises:
        ConfigurationError: when a run is named and there is no Redis.
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
    """Yields the values of the column; each batch is waited for in a thread, so that those in flight go on."""
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
    """Returns the values of a batch.

    Raises:
        ConfigurationError: when it has no such column.
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
