"""Uploads a source to a contact list: as a stream of results, or as a report."""

import importlib
import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sized
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

import anyio
from anyio import to_thread

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.loops import OwnTask, first_error, own_task
from criteo_audiences.meter import Event, emit
from criteo_audiences.tables.table import as_table
from criteo_audiences.uploads.amendment import Amend, BatchResult, Destination
from criteo_audiences.uploads.lane import Lane
from criteo_audiences.uploads.options import Options
from criteo_audiences.uploads.pipeline import Look, Pipeline, Reading
from criteo_audiences.uploads.rejects import RejectsFile
from criteo_audiences.uploads.report import UploadReport
from criteo_audiences.uploads.slots import Slots
from criteo_audiences.uploads.summary import FATES, in_one_line
from criteo_audiences.uploads.value_lane import ValueLane
from criteo_audiences.windows import NEXT_WINDOW, QuotaWait

_TABLE_LANE: Final = "criteo_audiences.uploads.table_lane"

_log = logging.getLogger("criteo_audiences.uploads")


class UploadStream:
    """A running upload: iterate over it for a `BatchResult` as each batch comes back.

    Attributes:
        upload_id: the upload's id in events and logs.
    """

    def __init__(self, upload: Pipeline, task: OwnTask) -> None:
        self._upload = upload
        self._task = task
        self.upload_id = upload.upload_id

    @property
    def report(self) -> UploadReport:
        """The report so far; complete once the `async with` block is left."""
        return self._upload.report()

    @property
    def journal(self) -> Path | None:
        """The journal's file; `None` for an upload without a journal."""
        return self._upload.recorder.path

    @property
    def resumes(self) -> bool:
        """Whether this run continues an unfinished upload."""
        return self._upload.recorder.resumes

    @property
    def set_aside(self) -> str | None:
        """Why this run does not continue the unfinished upload in the journal; `None` if it does or there is none."""
        return self._upload.recorder.set_aside

    @property
    def resumable(self) -> bool:
        """Whether the same upload, started again now, would send only the missing batches."""
        recorder = self._upload.recorder
        return recorder.path is not None and recorder.acknowledged > 0 and not recorder.completed

    if not TYPE_CHECKING:  # for type checkers it has none

        def __iter__(self) -> NoReturn:
            raise TypeError("The results of an upload are iterated over with `async for batch in results:`.")

    def __aiter__(self) -> "UploadStream":
        return self

    async def __anext__(self) -> BatchResult:
        result = await self._upload.next_result()
        if result is not None:
            return result
        if self._upload.is_failing:
            await self._task.ended()
        raise StopAsyncIteration


def _unknown(_: int) -> None:
    """Returns `None`, for an unknown quota."""


@asynccontextmanager
async def stream(
    amend: Amend,
    destination: Destination,
    source: object,
    options: Options,
    look: Look | None = None,
    quota_wait: QuotaWait = _unknown,
    slots: Slots | None = None,
) -> AsyncIterator[UploadStream]:
    """Runs an upload for the duration of the block; leaving the block early cancels the rest of the upload.

    An error that ends the upload is raised where the caller waits for the next result, or at the end of the block.

    Args:
        amend: makes the calls.
        destination: the contact list.
        source: any iterable or async iterable of text, a file, or a table.
        options: the caller's choices.
        look: checks the contact list, and raises if the upload cannot be meant for it; `None` makes no call.
        quota_wait: returns how long a number of calls must wait for the quota.
        slots: the client's slots, which its uploads share; `None` for a single upload.

    Raises:
        AuthenticationError: when the credentials are refused; the upload then ends at once, not batch by batch.
        ConfigurationError: when the source or the opt-outs cannot be used, or the file of rejects cannot be created;
            no batch has been begun then.
        JournalError: when the journal cannot be used, or can no longer be written.
        OSError: when the file of rejects cannot be written.
        SourceChangedError: when a file changed while it was read; the report contains what was sent by then.
        WindowMissedError: when `deadline` is the next computation and the quota does not let the upload end before it.
        Exception: any exception that the source raises, unchanged.
    """
    rejects = rejects_of(options)
    lane = await _lane_of(source, options, rejects)
    upload = Pipeline(amend, destination.segment_id, lane, options, quota_wait, slots or Slots())
    async with _running(upload, destination, source, options, rejects, look) as running:
        yield running


@asynccontextmanager
async def _running(
    upload: Pipeline,
    destination: Destination,
    source: object,
    options: Options,
    rejects: RejectsFile | None,
    look: Look | None,
) -> AsyncIterator[UploadStream]:
    async def run(entered: Callable[[], Awaitable[None]], left: Awaitable[Exception | None]) -> None:
        # Checks that may refuse the upload come before the journal and the file of rejects are created.
        async with upload.opened(look), upload.recorder.opened(destination, source, options):
            async with nullcontext() if rejects is None else rejects.kept_open():
                await _carry_out(upload, destination, entered, left)
            upload.require_unchanged_source()
            if upload.reading is Reading.DONE:
                await upload.recorder.complete()
        await upload.look_again()

    upload.expect_window(destination.window)
    if rejects is not None:
        await to_thread.run_sync(rejects.require_new)
    async with own_task(run) as task:
        yield UploadStream(upload, task)


async def _carry_out(
    upload: Pipeline,
    destination: Destination,
    entered: Callable[[], Awaitable[None]],
    left: Awaitable[Exception | None],
) -> None:
    """Runs the parts of an upload while the caller is in its block; logs a line when it ends."""
    told = partial(Event, host=destination.host, upload_id=upload.upload_id, segment_id=destination.segment_id)
    emit(told(name="upload.started"), destination.on_event)
    try:
        with first_error():
            async with anyio.create_task_group() as group:
                upload.prepare(group)
                try:
                    await entered()
                    upload.start()
                    if (error := await left) is not None:
                        raise error
                finally:
                    upload.wind_down()
                    group.cancel_scope.cancel()
    finally:
        upload.close()
        document = upload.report().to_dict()
        emit(told(name="upload.ended", counts={name: document[name] for name in FATES}), destination.on_event)
        if _log.isEnabledFor(logging.INFO):
            where = f"{destination.service} segment {destination.segment_id}"
            _log.info("Upload %s to %s: %s", upload.upload_id, where, in_one_line(document))


async def upload(
    amend: Amend,
    destination: Destination,
    source: object,
    options: Options,
    look: Look | None = None,
    quota_wait: QuotaWait = _unknown,
    slots: Slots | None = None,
) -> UploadReport:
    """Runs an upload to its end; arguments and exceptions are those of `stream`.

    An exception that ends it, even a cancellation, gets a note on how far the upload came.
    """
    rejects = rejects_of(options)
    lane = await _lane_of(source, options, rejects)
    return await upload_lane(amend, destination, lane, options, look, rejects, source, quota_wait, slots)


async def upload_lane(
    amend: Amend,
    destination: Destination,
    lane: Lane,
    options: Options,
    look: Look | None = None,
    rejects: RejectsFile | None = None,
    source: object = None,
    quota_wait: QuotaWait = _unknown,
    slots: Slots | None = None,
) -> UploadReport:
    """Runs an upload of the batches that a lane delivers, to its end.

    Args:
        amend: makes the calls.
        destination: the contact list.
        lane: reads the source.
        options: the caller's choices.
        look: see `stream`.
        rejects: the file to which the lane writes rejected values, if there is one.
        source: the source that the lane reads; determines the name of a journal in a directory.
        quota_wait: see `stream`.
        slots: see `stream`.
    """
    pipeline = Pipeline(amend, destination.segment_id, lane, options, quota_wait, slots or Slots())
    try:
        async with _running(pipeline, destination, source, options, rejects, look) as running:
            async for _ in running:
                pass
    except BaseException as error:  # also a cancellation, which becomes the cause of a TimeoutError
        report = pipeline.report()
        if report.read or not isinstance(error, ConfigurationError):  # for a refused source there is nothing to say
            error.add_note(_how_far(report))
        raise
    return running.report


def _how_far(report: UploadReport) -> str:
    rows = "1 row" if report.read == 1 else f"{report.read:,} rows"
    return (
        f"The upload stopped early: {rows} read, {report.sent:,} sent, {report.valid:,} valid, "
        f"{report.unknown:,} unknown, {report.pending:,} pending. Running it again is safe."
    )


def rejects_of(options: Options) -> RejectsFile | None:
    """Returns the file of rejects that the options name, or `None`."""
    return None if options.rejects is None else RejectsFile(options.rejects, plain=options.rejects_plain)


async def _lane_of(source: object, options: Options, rejects: RejectsFile | None) -> Lane:
    """Returns the lane for a source: tables are read in separate threads, other sources on the event loop.

    Raises:
        ConfigurationError: when an option is for tables only and the source is none.
    """
    table = as_table(source, options.selections[0].columns, hive_partitioning=options.hive_partitioning)
    if table is not None:
        if _TABLE_LANE not in sys.modules:  # takes some 50 ms, too long for the event loop
            await to_thread.run_sync(importlib.import_module, _TABLE_LANE)
        from criteo_audiences.uploads.table_lane import TableLane  # noqa: PLC0415 - a list needs no engine

        return TableLane(table, options, rejects)
    if options.hive_partitioning:
        raise ConfigurationError("hive_partitioning is about Parquet files; an iterable has no directories.")
    for option in ("column", "columns", "region_column", "where", "skip_rows", "encoding"):
        if getattr(options, option) is not None:
            raise ConfigurationError(f"{option} is about the columns of a table; an iterable has none.")
    if options.deadline == NEXT_WINDOW and not isinstance(source, Sized):
        raise ConfigurationError(
            f"deadline='{NEXT_WINDOW}' needs a source that can be counted before the first call: a file, a table or a "
            "list, not an iterator."
        )
    return ValueLane(source, options, rejects)
