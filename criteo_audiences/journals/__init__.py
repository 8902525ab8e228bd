"""Journals as a user sees them: what is in one, which ones a directory holds, and how to get rid of them.

`upload_contact_list(..., journal=path)` makes them.
"""

from criteo_audiences.journals.directory import state_directory
from criteo_audiences.journals.rows import BatchState
from criteo_audiences.journals.sqlite_file import make_directory
from criteo_audiences.journals.summaries import (
    JournalState,
    JournalSummary,
    compact,
    describe,
    list_journals,
    note_operation,
    read_entries,
    remove,
)

__all__ = [
    "BatchState",
    "JournalState",
    "JournalSummary",
    "compact",
    "describe",
    "list_journals",
    "make_directory",
    "note_operation",
    "read_entries",
    "remove",
    "state_directory",
]
