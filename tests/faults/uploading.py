"""One run of an upload, for a process of its own that may be killed at any moment; it leaves its report in a file."""

import asyncio
import hashlib
import json
import os
from collections.abc import AsyncIterator, Coroutine, Iterator
from pathlib import Path
from typing import Any

from attrs import frozen

from criteo_audiences import ClientCredentials, CriteoClient, CriteoError, RetryPolicy
from criteo_audiences.marketing_solutions import MarketingSolutions  # noqa: F401 - loaded once, before processes fork
from criteo_audiences.uploads import UploadStream


@frozen(kw_only=True)
class Errand:
    """What a process is to do for a list.

    Attributes:
        url: of the server.
        client_id: its application.
        client_secret: of the application.
        segment_id: the list.
        path: a CSV file of one column.
        lane: how it is read: `table`, `list`, `generator` or `async`.
        report: where the report goes.
        state: the user's state directory.
        options: keywords of the method.
    """

    url: str
    client_id: str
    client_secret: str
    segment_id: str
    path: Path
    lane: str
    report: Path
    state: Path
    options: dict[str, Any]

    @property
    def credentials(self) -> ClientCredentials:
        """The login of its application."""
        return ClientCredentials(client_id=self.client_id, client_secret=self.client_secret)


@frozen(kw_only=True)
class Task(Errand):
    """An upload, with its journal's file."""

    journal: Path


def run(task: Task) -> None:
    """Uploads and writes down how that ended."""
    carry_out(task, _upload(task))


def carry_out(errand: Errand, work: Coroutine[Any, Any, dict[str, Any]]) -> None:
    """Does the work of an errand and writes down how it ended, at once and whole."""
    os.environ["XDG_STATE_HOME"] = str(errand.state)
    ended = asyncio.run(work)
    unfinished = errand.report.with_suffix(".part")
    unfinished.write_text(json.dumps(ended), encoding="utf-8")
    os.replace(unfinished, errand.report)  # noqa: PTH105 - atomic


def operate(task: Task, what: str, identifiers: list[str]) -> None:
    """Does something else to the list, as another program of the same user would: `what` names it."""
    os.environ["XDG_STATE_HOME"] = str(task.state)
    asyncio.run(_operate(task, what, identifiers))


async def _operate(task: Task, what: str, identifiers: list[str]) -> None:
    async with CriteoClient(task.credentials, base_url=task.url) as criteo:
        lists = criteo.marketing_solutions
        if what == "clear":
            await lists.clear_contact_list(task.segment_id)
        elif what == "upload":
            await lists.upload_contact_list(task.segment_id, identifiers, hash="sha256")
        else:
            digests = [hashlib.sha256(identifier.encode()).hexdigest() for identifier in identifiers]
            await lists.amend_contact_list(task.segment_id, operation=what, identifiers=digests)


async def _upload(task: Task) -> dict[str, Any]:
    retry = RetryPolicy(attempts=3, first_delay=0.002, max_delay=0.01)
    async with CriteoClient(task.credentials, base_url=task.url, retry=retry, timeout=0.3) as criteo:
        stream = criteo.marketing_solutions.stream_contact_list
        results, accepted = None, list[int]()
        try:
            async with stream(task.segment_id, source(task), journal=task.journal, **task.options) as results:
                async for batch in results:
                    accepted += [batch.number] if batch.ok else []
        except CriteoError as error:
            return _ended(results, accepted, type(error).__name__)
        return _ended(results, accepted, None)


def _ended(results: UploadStream | None, accepted: list[int], error: str | None) -> dict[str, Any]:
    """Returns how a run ended, JSON-safe: its report, the batches that it says were taken, and what it did not continue."""
    report = None if results is None else results.report.to_dict()
    set_aside = None if results is None else results.set_aside
    return {"error": error, "report": report, "accepted": accepted, "set_aside": set_aside}


def source(task: Errand) -> Any:
    """Returns what the upload reads."""
    if task.lane == "table":
        return task.path
    rows = task.path.read_text(encoding="utf-8").splitlines()[1:]
    return {"list": rows, "generator": iter(rows), "async": _asynchronously(rows)}[task.lane]


async def _asynchronously(rows: list[str]) -> AsyncIterator[str]:
    for row in rows:
        yield row


def failing(rows: Iterator[str], after: int) -> Iterator[str]:
    """Yields so many rows and then fails."""
    for number, row in enumerate(rows, start=1):
        yield row
        if number == after:
            raise LookupError
