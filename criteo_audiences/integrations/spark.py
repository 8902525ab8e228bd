"""A Spark data source that uploads: `df.write.format("criteo_audiences").option(...).mode("append").save()`.

Spark finds it through the module `pyspark_criteo_audiences`; `spark.dataSource.register(...)` works as well.
"""

import json
import logging
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from attrs import evolve, fields, frozen

from criteo_audiences.errors import ConfigurationError, CriteoError
from criteo_audiences.integrations.partitions import PartitionConfig, PartitionReport, PartitionTotals, upload_partition
from criteo_audiences.rendering import nearest
from criteo_audiences.settings import WAY_OF_A_LOGIN, is_of_a_login

try:
    from pyspark import TaskContext
    from pyspark.sql.datasource import (
        DataSource,
        DataSourceArrowWriter,
        DataSourceStreamArrowWriter,
        WriterCommitMessage,
    )
    from pyspark.sql.types import CharType, StringType, StructType, VarcharType

    from criteo_audiences.integrations.spark_emails import sha256_email  # which needs pyspark as well
except ImportError as error:
    raise ImportError(
        "The Spark data source needs pyspark 4.1 or newer: pip install 'criteo-audiences[spark]'. An older Spark "
        "can call criteo_audiences.integrations.partitions.upload_partition."
    ) from error

__all__ = ["CriteoDataSource", "sha256_email"]

_LOG: Final = logging.getLogger("criteo_audiences.spark")
_REPORT: Final = "report_path"
_NUMBERS: Final[Mapping[str, type]] = {
    "batch_size": int,
    "max_concurrency": int,
    "max_in_flight_bytes": int,
    "drain_timeout": float,
    "max_rejected": float,
    "max_invalid": float,
}
_KNOWN: Final = (*(each.name for each in fields(PartitionConfig)), _REPORT)
_OF_SPARK: Final = frozenset({"checkpointlocation"})
_NO_SECRETS: Final = "Option {!r} is refused: options are shown in plans and logs, so they must not hold a login. "
_BATCH, _QUERY = "streaming.sql.batchId", "sql.streaming.queryId"


@frozen(kw_only=True)
class Task:
    """The validated settings of a write.

    Attributes:
        config: how to upload every partition.
        report_path: where the driver writes the report; `None` for no report.
        job: a unique name for this write, which identifies its repeated tasks.
    """

    config: PartitionConfig
    report_path: Path | None
    job: str

    @classmethod
    def of(cls, options: Mapping[str, str], schema: StructType) -> "Task":
        """Reads the options of a write, before any task runs and before any call.

        Raises:
            ConfigurationError: naming the option or the column, and its allowed values.
        """
        given = {name: text for name, text in options.items() if name not in _OF_SPARK}
        for name in given:
            _require_known(name)
        for name in ("segment_id", "column"):
            if not given.get(name):
                raise ConfigurationError(f"Option {name!r} is missing: .option({name!r}, ...).")
        report_path = given.pop(_REPORT, None)
        config = PartitionConfig(**{name: _value(name, text) for name, text in given.items()})
        _require_texts(schema, config.column)
        config.check()
        return cls(config=config, report_path=_report_path(report_path), job=uuid.uuid4().hex)


def _require_known(name: str) -> None:
    if name in _KNOWN:
        return
    if is_of_a_login(name):
        raise ConfigurationError(_NO_SECRETS.format(name) + WAY_OF_A_LOGIN.format("executors"))
    if name == "path":
        raise ConfigurationError("This data source writes no files: call save() without a path.")
    raise ConfigurationError(f"Option {name!r} is unknown{_hint(name, _KNOWN)} Known are: {', '.join(_KNOWN)}.")


def _hint(name: str, known: Iterable[str]) -> str:
    near = nearest(name, known)
    return f"; did you mean {near!r}?" if near else "."


def _value(name: str, text: str) -> Any:
    """Converts an option, which Spark passes as text, to its own type."""
    kind = _NUMBERS.get(name)
    if name == "ledger":
        if text.lower() not in {"true", "false"}:
            raise ConfigurationError("Option 'ledger' must be true or false.")
        return text.lower() == "true"
    if kind is None:
        return None if name == "hash" and text.lower() == "none" else text
    try:
        return kind(text)
    except ValueError:
        wanted = "a whole number" if kind is int else "a number"
    raise ConfigurationError(f"Option {name!r} must be {wanted}.")


def _require_texts(schema: StructType, column: str) -> None:
    names = schema.fieldNames()
    if column not in names:
        raise ConfigurationError(
            f"The data has no column {column!r}{_hint(column, names)} Its columns are: {', '.join(names)}."
        )
    kind = schema[column].dataType
    if not isinstance(kind, StringType | VarcharType | CharType):
        raise ConfigurationError(
            f"Column {column!r} has the type {kind.simpleString()}; cast it to string, which is what identifiers are."
        )


def _report_path(text: str | None) -> Path | None:
    if text is None:
        return None
    path = Path(text)
    if not path.is_absolute() or path.is_dir() or not path.parent.is_dir():
        raise ConfigurationError(
            f"Option {_REPORT!r} must be the absolute path of a file on the driver, in a directory that exists."
        )
    return path


class CriteoDataSource(DataSource):
    """The data source `criteo_audiences`. Its options are the attributes of `PartitionConfig`, and `report_path`."""

    @classmethod
    def name(cls) -> str:
        """Returns the name of the format."""
        return "criteo_audiences"

    def writer(self, schema: StructType, overwrite: bool) -> "CriteoWriter":  # noqa: FBT001 - Spark's signature
        """Checks a write on the driver and returns its writer.

        Raises:
            ConfigurationError: when an option or a column is missing or wrong, or the mode is not `append`.
        """
        if overwrite:
            raise ConfigurationError(
                "mode('overwrite') is refused, because the list would be empty or incomplete meanwhile. Use "
                "mode('append'); to empty a list first, call clear_contact_list."
            )
        return CriteoWriter(Task.of(self.options, schema))

    def streamWriter(self, schema: StructType, overwrite: bool) -> "CriteoStreamWriter":  # noqa: FBT001, N802 - Spark's
        """Checks a stream on the driver and returns its writer.

        Raises:
            ConfigurationError: as in `writer`.
        """
        if overwrite:
            raise ConfigurationError("outputMode('complete') is refused; use outputMode('append').")
        return CriteoStreamWriter(Task.of(self.options, schema))


@frozen
class Written(WriterCommitMessage):
    """A task's message to the driver.

    Attributes:
        report: the report of the task's partition.
    """

    report: PartitionReport


class CriteoWriter(DataSourceArrowWriter):
    """Uploads the partitions of a table.

    Args:
        task: what to do.
    """

    def __init__(self, task: Task) -> None:
        self._task = task

    def write(self, iterator: Iterator[Any]) -> Written:
        """Uploads one partition, on an executor."""
        return _written(iterator, self._task.config, self._task.job)

    def commit(self, messages: list[Written | None]) -> None:
        """Writes the report, on the driver.

        Raises:
            CriteoError: when more was rejected or invalid than allowed; identifiers that were sent stay in the list.
        """
        totals = _totals(self._task, messages)
        _tell(totals, "committed", self._task.report_path)
        if faults := totals.faults():
            raise CriteoError(" ".join(faults))

    def abort(self, messages: list[Written | None]) -> None:
        """Writes a report of the successful tasks; failed tasks may have delivered more."""
        _tell(_totals(self._task, messages), "aborted", self._task.report_path)


class CriteoStreamWriter(DataSourceStreamArrowWriter):
    """Uploads the micro-batches of a stream.

    Args:
        task: what to do.
    """

    def __init__(self, task: Task) -> None:
        self._task = task

    def write(self, iterator: Iterator[Any]) -> Written:
        """Uploads one partition of a micro-batch, on an executor.

        A micro-batch that Spark repeats, in this query or after a restart from its checkpoint, keeps its name.
        """
        task, config = TaskContext.get(), self._task.config
        batch = task.getLocalProperty(_BATCH) if task else None
        query = task.getLocalProperty(_QUERY) if task else None
        run = config.run and f"{config.run}/{batch}"
        return _written(iterator, evolve(config, run=run), f"{query or self._task.job}/{batch}")

    def commit(self, messages: list[Written | None], batchId: int) -> None:  # noqa: N803 - Spark's
        """Writes the report of a micro-batch, on the driver; logs shares that exceed their limits."""
        totals = _totals(self._task, messages)
        _tell(totals, "committed", self._task.report_path, batchId)
        for fault in totals.faults():
            _LOG.error("Micro-batch %d: %s", batchId, fault)

    def abort(self, messages: list[Written | None], batchId: int) -> None:  # noqa: N803 - Spark's
        """Writes a report of the successful tasks of a failed micro-batch."""
        _tell(_totals(self._task, messages), "aborted", self._task.report_path, batchId)


def _written(batches: Iterator[Any], config: PartitionConfig, job: str) -> Written:
    task = TaskContext.get()
    partition, attempt = (task.partitionId(), task.attemptNumber()) if task else (0, 0)
    return Written(upload_partition(batches, config, partition=partition, attempt=attempt, job=job))


def _totals(task: Task, messages: list[Written | None]) -> PartitionTotals:
    reports = tuple(message.report for message in messages if message is not None)
    return PartitionTotals(reports=reports, config=task.config, missing=len(messages) - len(reports))


def _tell(totals: PartitionTotals, state: str, path: Path | None, batch: int | None = None) -> None:
    """Writes the report of a write; for a stream, one file per micro-batch, with its number before the suffix."""
    document = {"state": state, "batch": batch, **totals.to_dict()}
    counts = ", ".join(f"{document[name]:,} {name}" for name in ("read", "valid", "invalid", "calls", "resumed"))
    _LOG.info("Upload to segment %s %s: %s", totals.config.segment_id, state, counts)
    for warning in document["warnings"]:
        _LOG.warning(warning)
    if path is None:
        return
    place = path if batch is None else path.with_suffix(f".{batch}{path.suffix}")
    half = place.with_name(f".{place.name}.{os.getpid()}")
    try:
        half.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        half.replace(place)
    except OSError as error:  # the upload is over, so an error here must not make it fail
        _LOG.error("The report could not be written: %s.", error.strerror or type(error).__name__)
