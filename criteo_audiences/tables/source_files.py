"""Which files a source consists of, and whether they are still what they were."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import field, frozen

from criteo_audiences.errors import CriteoError, SourceChangedError
from criteo_audiences.tables.directories import Listing, listing
from criteo_audiences.tables.layout import STDIN

if TYPE_CHECKING:
    from criteo_audiences.tables.table import Table

State = tuple[int, int, int, int] | None
"""What shows that a file was written to or replaced: size, time of the last change in nanoseconds, file and device."""


@frozen
class SourceFiles:
    """The files of tables as they were before anything looked at them.

    Attributes:
        listings: what is in each directory that was given, by its path.
        states: of every file that will be read, by its path.
    """

    listings: Mapping[str, Listing] = field(factory=dict)
    states: Mapping[Path, State] = field(factory=dict, repr=False)

    @classmethod
    def of(cls, *tables: "Table") -> "SourceFiles":
        """Lists directories and takes the state of each file; blocks.

        Raises:
            ConfigurationError: when a directory cannot be read as files.
            OSError: when it cannot be listed.
        """
        paths = [path for table in tables for path in table.paths if path != STDIN]
        listings = {path: listing(Path(path)) for path in paths if Path(path).is_dir()}
        files = [file for path in paths for file in (listings[path].files if path in listings else [Path(path)])]
        return cls(listings, {file: _state(file) for file in files})

    @property
    def notes(self) -> tuple[str, ...]:
        """Says what was skipped in directories."""
        return tuple(found.note for found in self.listings.values() if found.note)

    def require_unchanged(self) -> None:
        """Looks at each file once more; blocks.

        Raises:
            SourceChangedError: when one was written to, replaced or removed since.
        """
        if (file := self._changed()) is not None:
            raise _has_changed(file)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Says of what fails while the files are read that a file changed, where one did.

        Raises:
            SourceChangedError: in place of any other error but ours.
        """
        try:
            yield
        except CriteoError:
            raise
        except Exception:
            file = self._changed()
            if file is None or _state(file) is None:  # one that is gone has an error of its own
                raise
            changed = _has_changed(file)
            try:
                raise changed from None
            finally:
                changed.__context__ = None  # it may show values to whoever looks for it

    def _changed(self) -> Path | None:
        return next((file for file, state in self.states.items() if _state(file) != state), None)


def _has_changed(file: Path) -> SourceChangedError:
    return SourceChangedError(
        f"{file.name} changed while it was read, so its rows may have been read wrongly. "
        "Upload it again once nothing writes to it."
    )


def _state(file: Path) -> State:
    try:
        status = os.stat(file)  # noqa: PTH116 - the error of a missing file comes when it is read
    except (OSError, ValueError):
        return None
    return status.st_size, status.st_mtime_ns, status.st_ino, status.st_dev
