"""When an unfinished upload is continued, when it starts anew, and when neither is right."""

import datetime as dt
from pathlib import Path
from typing import Final

from attrs import frozen

from criteo_audiences.errors import JournalError
from criteo_audiences.journals.directory import keyed_digest
from criteo_audiences.journals.rows import Run

FRESH_FOR: Final = 24 * 3600.0
"""Seconds after its last batch during which an unfinished upload is continued unasked."""


@frozen(kw_only=True)
class Found:
    """An unfinished upload that a journal holds.

    Attributes:
        path: of the journal.
        run: the job and its run.
        begun: batches that were begun.
        acknowledged: batches of them.
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
        """Whether it is not what another run is to do."""
        mine, other = ((each.service, each.host.lower(), each.segment_id, each.operation) for each in (self.run, run))
        return mine != other or (self.run.key_id == run.key_id and self.run.digest != run.digest)

    def obstacle(self, key_id: bytes, moment: float) -> str | None:
        """Says why it is not continued unasked, `None` when it is."""
        if not self.has_key(key_id):
            return "the ledger in its directory is not the one it was written with"
        if abs(moment - self.active_at) > FRESH_FOR:  # a clock that was put back gives no age either
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
    """Returns a value that differs for every key and says nothing about it."""
    return keyed_digest(key, b"key", b"", size=8)


def decide(path: Path, found: Found | None, run: Run, resume: bool | None, moment: float) -> tuple[bool, str | None]:  # noqa: FBT001 - three answers
    """Decides what becomes of what a journal holds.

    Args:
        path: of the journal.
        found: the unfinished upload in it, if there is one.
        run: what is to be done now.
        resume: whether the user wants to continue; `None` when nothing was said.
        moment: now, in seconds since 1970.

    Returns:
        Whether to continue, and, when that was not done and the user might not expect it, the reason in a sentence.

    Raises:
        JournalError: when there is nothing to continue and the user wants to, or the upload is of another job.
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
