"""The rows of a journal: their content and checksums, and the rules for continuing an unfinished upload."""

import datetime as dt
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Protocol

from attrs import fields, frozen

from criteo_audiences.errors import JournalError
from criteo_audiences.journals.directory import keyed_digest
from criteo_audiences.journals.sqlite_file import Format, checksum
from criteo_audiences.models import IdentifierType


@frozen(kw_only=True)
class Acknowledged:
    """Criteo's answer to a batch.

    Attributes:
        valid: identifiers that it accepted.
        invalid: identifiers that it refused.
        at: when the answer came, in seconds since 1970.
    """

    valid: int
    invalid: int
    at: float


class BatchLedger(Protocol):
    """Remembers which batches were acknowledged, so that another run of the same upload sends only the others.

    An upload calls `find` once per batch before it sends the batch, and `note` after the acknowledgement, before it
    frees the batch's slot. A ledger that loses its data does no harm: batches that it does not know are sent again.
    """

    async def find(self, digest: bytes) -> Acknowledged | None:
        """Returns the acknowledgement of a batch, or `None` if the batch must be sent.

        Args:
            digest: 32 bytes; two batches have the same digest only if they are the same change to the same list.
        """
        ...

    async def note(self, digest: bytes, acknowledged: Acknowledged) -> None:
        """Records that a batch was acknowledged."""
        ...


JOURNAL_SUFFIX: Final = ".journal"
"""The suffix of the journals in a directory."""

COLUMNS: Final = (
    "number, digest, kind, count, size, sent_at, state, ended_at, valid, invalid, unreported, trace_id, checksum"
)
NO_END: Final = ("sent", None, 0, 0, 0, None)
"""The values of the columns from `state` on until a batch comes back."""


class BatchState(StrEnum):
    """The state of a batch: pending (handed back unsent), sent, or one of three outcomes."""

    PENDING = "pending"
    SENT = "sent"
    ACKNOWLEDGED = "acknowledged"
    FAILED = "failed"
    UNKNOWN = "unknown"


FORMAT: Final = Format(
    what="journal",
    application_id=0x43724A6C,
    version=2,
    schema=(
        """
        CREATE TABLE job (
            run_id TEXT NOT NULL,
            service TEXT NOT NULL,
            host TEXT NOT NULL,
            segment_id TEXT NOT NULL,
            operation TEXT NOT NULL,
            digest BLOB NOT NULL,
            key_id BLOB NOT NULL,
            started REAL NOT NULL CHECK (typeof(started) = 'real'),
            completed REAL CHECK (typeof(completed) IN ('real', 'null')),
            last_activity REAL NOT NULL CHECK (typeof(last_activity) = 'real'),
            batches INTEGER NOT NULL CHECK (typeof(batches) = 'integer'),
            identifiers INTEGER NOT NULL CHECK (typeof(identifiers) = 'integer'),
            mark TEXT NOT NULL,
            earlier_mark TEXT,
            checksum BLOB NOT NULL
        )
        """,
        """
        CREATE TABLE batches (
            number INTEGER PRIMARY KEY,
            digest BLOB NOT NULL CHECK (typeof(digest) = 'blob' AND length(digest) = 32),
            kind TEXT,
            count INTEGER NOT NULL CHECK (typeof(count) = 'integer'),
            size INTEGER NOT NULL CHECK (typeof(size) = 'integer'),
            state TEXT NOT NULL CHECK (state IN ('pending', 'sent', 'acknowledged', 'failed', 'unknown')),
            sent_at REAL NOT NULL CHECK (typeof(sent_at) = 'real'),
            ended_at REAL CHECK (typeof(ended_at) IN ('real', 'null')),
            trace_id TEXT,
            valid INTEGER NOT NULL DEFAULT 0 CHECK (typeof(valid) = 'integer'),
            invalid INTEGER NOT NULL DEFAULT 0 CHECK (typeof(invalid) = 'integer'),
            unreported INTEGER NOT NULL DEFAULT 0 CHECK (typeof(unreported) = 'integer'),
            checksum BLOB NOT NULL,
            reserve BLOB
        )
        """,
    ),
)


@frozen(kw_only=True)
class Entry:
    """The record of a batch in a journal.

    Attributes:
        number: from 1, in the order of the source.
        kind: the kind of its identifiers; `None` if the job has only one kind.
        count: identifiers in it.
        size: bytes of identifiers.
        state: its state.
        sent_at: when it was begun, in seconds since 1970.
        ended_at: when it came back; `None` if it has not.
        trace_id: the trace id of Criteo's answer.
        valid: identifiers that Criteo accepted.
        invalid: identifiers that Criteo refused.
        unreported: identifiers that Criteo's answer did not count.
    """

    number: int
    kind: IdentifierType | None = None
    count: int
    size: int
    state: BatchState
    sent_at: float
    ended_at: float | None = None
    trace_id: str | None = None
    valid: int = 0
    invalid: int = 0
    unreported: int = 0


@frozen(kw_only=True)
class Run:
    """The row of a journal's job; its fields are the columns of the table `job`, without the checksum.

    Attributes:
        run_id: the id of the run, which is part of the batches' checksums.
        service: the service's name.
        host: the host of the API.
        segment_id: the list.
        operation: add or remove.
        digest: the keyed digest of the job with its whole configuration.
        key_id: shows whether a key is the one with which the digests were made.
        started: when it began, in seconds since 1970.
        completed: when it was completed, in seconds since 1970; `None` while it is unfinished.
        last_activity: when it was completed, in seconds since 1970; until then, when it began.
        batches: acknowledged batches, once it is completed.
        identifiers: identifiers in them.
        mark: the mark that the run left in the register when it last began to send, see `JournalDirectory`.
        earlier_mark: the mark in the register before that, in case the process ended in between; `None` without one.
    """

    run_id: str
    service: str
    host: str
    segment_id: str
    operation: str
    digest: bytes
    key_id: bytes
    started: float
    completed: float | None = None
    last_activity: float
    batches: int = 0
    identifiers: int = 0
    mark: str
    earlier_mark: str | None = None


def run_of(row: tuple[Any, ...]) -> Run:
    """Reads a row of the table `job`.

    Raises:
        ValueError: when its checksum does not match.
    """
    *values, written = row
    if written != checksum(*values):
        raise ValueError("the row of the job is not as it was written")
    return Run(**dict(zip((each.name for each in fields(Run)), values, strict=True)))


def entry_of(row: tuple[Any, ...]) -> Entry:
    """Reads a row of the table `batches`."""
    number, _, kind, count, size, sent_at, state, ended_at, valid, invalid, unreported, trace_id, _ = row
    return Entry(
        number=number,
        kind=None if kind is None else IdentifierType(kind),
        count=count,
        size=size,
        state=BatchState(state),
        sent_at=sent_at,
        ended_at=ended_at,
        trace_id=trace_id,
        valid=valid,
        invalid=invalid,
        unreported=unreported,
    )


def checksum_of(run: Run | None, begun: tuple[Any, ...], ended: tuple[Any, ...]) -> bytes:
    """Returns the checksum of a batch's row; equal rows of different runs have different checksums."""
    return checksum("" if run is None else run.run_id, *begun, *ended)


def check_batches(rows: Iterable[tuple[Any, ...]], run: Run | None) -> int:
    """Verifies the rows of all batches, and returns how many there are.

    Raises:
        ValueError: when a row has been changed or is missing.
    """
    number = 0
    for number, row in enumerate(rows, start=1):
        if row[0] != number or row[-1] != checksum_of(run, row[:6], row[6:-1]):
            raise ValueError("the row of a batch is not as it was written")
        if not _adds_up(entry_of(row)):
            raise ValueError("an answer does not count its batch")
    return number


def settled(state: BatchState, counts: tuple[int, int, int], count: int) -> tuple[BatchState, tuple[int, int, int]]:
    """Returns the state and the counts to record; an acknowledged batch becomes unknown if its counts do not add up."""
    if min(counts) < 0 or sum(counts) > count or (state is BatchState.ACKNOWLEDGED and sum(counts) != count):
        return (BatchState.UNKNOWN if state is BatchState.ACKNOWLEDGED else state), (0, 0, 0)
    return state, counts


def _adds_up(entry: Entry) -> bool:
    counts = (entry.valid, entry.invalid, entry.unreported)
    return settled(entry.state, counts, entry.count) == (entry.state, counts)


FRESH_FOR: Final = 24 * 3600.0
"""Seconds after its last batch during which an unfinished upload is continued by default."""


@frozen(kw_only=True)
class Found:
    """An unfinished upload in a journal.

    Attributes:
        path: the path of the journal.
        run: the job and its run.
        begun: batches that were begun.
        acknowledged: batches of them that were acknowledged.
        active_at: when something last happened, in seconds since 1970.
        disturbed: whether something else has operated on the list since.
    """

    path: Path
    run: Run
    begun: int
    acknowledged: int
    active_at: float
    disturbed: bool

    def is_another_job(self, run: Run) -> bool:
        """Whether the given run is another job than the one that was begun."""
        mine, other = ((each.service, each.host.lower(), each.segment_id, each.operation) for each in (self.run, run))
        return mine != other or (self.run.key_id == run.key_id and self.run.digest != run.digest)

    def obstacle(self, key_id: bytes, moment: float) -> str | None:
        """Returns why it is not continued by default, or `None` if it is."""
        if not self.has_key(key_id):
            return "the register in its directory is not the one it was written with"
        if abs(moment - self.active_at) > FRESH_FOR:  # also if the clock was set back, because the age is unknown then
            return "its last batch was more than 24 hours ago"
        if self.disturbed:
            return "something else has operated on the list since"
        return None

    def has_key(self, key_id: bytes) -> bool:
        """Whether its digests were made with this key; otherwise no batch can be recognized."""
        return self.run.key_id == key_id

    def __str__(self) -> str:
        run = self.run
        began = dt.datetime.fromtimestamp(run.started, dt.UTC)
        return (
            f"the unfinished upload of {began:%Y-%m-%d %H:%M} UTC ({run.operation}, segment {run.segment_id} of "
            f"{run.service}; {self.acknowledged:,} of {self.begun:,} batches acknowledged)"
        )


def key_id_of(key: bytes) -> bytes:
    """Returns an id of a key that reveals nothing about the key."""
    return keyed_digest(key, b"key", b"", size=8)


def decide(path: Path, found: Found | None, run: Run, resume: bool | None, moment: float) -> tuple[bool, str | None]:  # noqa: FBT001 - three answers
    """Decides whether to continue the unfinished upload in a journal.

    Args:
        path: the path of the journal.
        found: the unfinished upload in it, if there is one.
        run: the run that is about to begin.
        resume: whether the user wants to continue; `None` for the default.
        moment: now, in seconds since 1970.

    Returns:
        Whether to continue it, and, if not and the user might not expect that, the reason in a sentence.

    Raises:
        JournalError: when `resume` is true and there is nothing to continue, or the upload is of another job.
    """
    if resume is False or (found is None and resume is None):
        return False, None
    if found is None:
        raise JournalError(
            f"The journal {path} has no unfinished upload to resume: run without resume, and everything is sent."
        )
    if found.is_another_job(run):
        if resume is None and not found.acknowledged:
            return False, None
        raise JournalError(
            f"The journal {path} holds {found}, which is another job or has other settings: finish that one, name "
            "another journal, or give it up with resume=False."
        )
    reason = found.obstacle(run.key_id, moment)
    if resume and not found.has_key(run.key_id):
        raise JournalError(f"The journal {path} cannot be resumed because {reason}: run without resume.")
    if resume or reason is None:
        return True, None
    if not found.acknowledged:
        return False, None
    advice = (
        " (resume=True, --resume on the command line, would have continued it)" if found.has_key(run.key_id) else ""
    )
    return False, f"Everything is sent again: {found} was not continued because {reason}{advice}."
