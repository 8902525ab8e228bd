"""What comes in between the runs of an upload, and what it leaves in the journal."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from attrs import frozen

KINDS: Final = ("clear", "add", "remove", "upload", "restore")
"""Calls of another program of the same user, and a copy of the journal that is brought back."""
REMOVING: Final = ("clear", "remove")
"""Whoever goes on after these leaves a hole in the list; no story does."""
ADDING: Final = ("add", "upload")
FORCED: Final = (*((kind, False) for kind in KINDS), *((kind, True) for kind in KINDS if kind not in REMOVING))
"""What a soak begins with: every kind, and whether the user consents to go on after it."""


@frozen(kw_only=True)
class Interruption:
    """Something that came in between, until a run has dealt with it.

    Attributes:
        kind: what it was.
        run_id: the upload that must not be continued unasked.
        mark: of that upload at this moment; it gets another one when it goes on.
        may_consent: whether the list is whole after it goes on.
    """

    kind: str
    run_id: str | None
    mark: str | None
    may_consent: bool


@frozen
class JournalFile:
    """A journal, read by nothing of the library's."""

    path: Path

    def acknowledged(self) -> set[int]:
        """Returns the batches that it has as acknowledged."""
        return {number for (number,) in self._rows("SELECT number FROM batches WHERE state = 'acknowledged'")}

    def unfinished(self) -> str | None:
        """Returns which unfinished upload it holds, if that has sent something."""
        found = self._rows("SELECT run_id FROM job WHERE completed IS NULL") if self.acknowledged() else []
        return next((run_id for (run_id,) in found), None)

    def holds(self, run_id: str | None) -> bool:
        """Whether it holds this upload, finished or not."""
        return (run_id,) in self._rows("SELECT run_id FROM job")

    def mark(self) -> str | None:
        """Returns the mark of the upload's last run."""
        return next((mark for (mark,) in self._rows("SELECT mark FROM job")), None)

    def is_completed(self) -> bool:
        """Whether its upload is finished."""
        return self._rows("SELECT 1 FROM job WHERE completed IS NOT NULL") != []

    def keep_a_copy(self) -> None:
        """Copies it with its log, while it is not in use."""
        self._move("", ".copy")

    def bring_back(self) -> None:
        """Puts the copy in its place."""
        Path(f"{self.path}-shm").unlink(missing_ok=True)
        self._move(".copy", "")

    def _move(self, before: str, after: str) -> None:
        for suffix in ("", "-wal"):
            Path(f"{self.path}{suffix}{after}").unlink(missing_ok=True)
            if (source := Path(f"{self.path}{suffix}{before}")).exists():
                shutil.copy(source, f"{self.path}{suffix}{after}")

    def _rows(self, query: str) -> list[Any]:
        if not self.path.exists():
            return []
        with closing(sqlite3.connect(self.path)) as db:
            return db.execute(query).fetchall()
