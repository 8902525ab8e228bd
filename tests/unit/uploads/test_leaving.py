"""An upload with a journal that is left or stopped, after any number of turns of the event loop."""

import asyncio
import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from anyio.lowlevel import checkpoint

from criteo_audiences import NotFoundError, journals
from criteo_audiences.journals.journal import Journal
from criteo_audiences.journals.rows import BatchState
from criteo_audiences.models import ContactListOperation
from criteo_audiences.uploads import Amendment, UploadStream
from criteo_audiences.uploads.sender import Recorder
from tests.kit import LIST, assert_adds_up, options_of, stream, upload

ROWS = [f"{number}@example.com" for number in range(8)]


@pytest.fixture(autouse=True)
def nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps to one thread, so that as many turns always lead to the same moment, and to one register, the journal's."""

    async def sync(_: Recorder) -> None:
        await checkpoint()

    monkeypatch.setattr(Journal, "waits_for_disk", False)
    monkeypatch.setattr(Recorder, "sync", sync)
    monkeypatch.setenv("XDG_STATE_HOME", os.devnull)


async def take(results: UploadStream) -> None:
    """Takes all results that come."""
    async for _ in results:
        pass


async def turn(turns: int) -> None:
    """Lets the event loop turn so many times."""
    for _ in range(turns):
        await asyncio.sleep(0)


@pytest.mark.parametrize("drain_timeout", [0.0, 60.0])
@pytest.mark.parametrize("senders", [1, 3])
async def test_the_journal_tells_what_arrived_from_what_was_never_sent(
    senders: int,
    drain_timeout: float,
    fake_amend: Callable[..., Any],
    tmp_path: Path,
) -> None:
    """Nothing comes out of the block, and journal, report and server agree on every batch."""
    rows = ROWS[:5]
    settings = {"hash": None, "batch_size": 1, "max_concurrency": senders, "drain_timeout": drain_timeout}
    for turns in itertools.count():
        amend, path = fake_amend(), tmp_path / f"{turns}.journal"
        left = stream(amend, LIST, rows, options_of(**settings, journal=path))
        async with asyncio.TaskGroup() as group, left as results:
            taking = group.create_task(take(results))
            await turn(turns)
            has_ended = taking.done()  # leaving it after one turn more would be the same
        report = results.report
        assert_adds_up(report)
        kept = journals.describe(path).batches if path.exists() else {}  # nothing is left of what never began
        batches = {state: kept.get(state, 0) for state in BatchState}
        assert (batches[BatchState.ACKNOWLEDGED], batches[BatchState.UNKNOWN]) == (report.valid, report.unknown)
        assert len(amend.received) == report.valid + report.unknown
        assert batches[BatchState.SENT] == 0
        if has_ended:
            break
    assert report.valid == len(rows) < turns


@pytest.mark.parametrize("first_takes", range(20, 25))
async def test_a_batch_that_is_handed_over_while_another_stops_the_upload_is_pending(
    first_takes: int, fake_amend: Callable[..., Any], tmp_path: Path
) -> None:
    """The reader is stopped while it waits for a sender, and a sender comes in the same turn."""
    for others_take in range(30):

        async def reply(amendment: Amendment, others_take: int = others_take) -> ContactListOperation:
            first = amendment.batch.number == 1
            await turn(first_takes if first else others_take)
            if first:
                raise NotFoundError(404)
            return ContactListOperation(valid=1, invalid=0)

        amend, path = fake_amend(reply=reply), tmp_path / f"{others_take}.journal"
        settings = options_of(batch_size=1, max_concurrency=2, journal=path)
        report = await upload(amend, LIST, ROWS, settings)
        assert_adds_up(report)
        summary = journals.describe(path)
        assert summary.batches.get(BatchState.ACKNOWLEDGED, 0) == report.valid
        assert summary.batches.get(BatchState.FAILED) == report.failed == 1
        assert BatchState.SENT not in summary.batches
