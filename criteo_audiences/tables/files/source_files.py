"""Lists the files of a source, including those in directories, and checks whether they have changed."""

import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from attrs import field, frozen

from criteo_audiences.errors import ConfigurationError, CriteoError, SourceChangedError
from criteo_audiences.tables.files.formats import is_json, is_parquet, parquet_layout
from criteo_audiences.tables.files.inspection import Asked, inspect
from criteo_audiences.tables.files.layout import Layout
from criteo_audiences.tables.files.paths import is_hidden, is_read_once, require_no_lake, require_no_log
from criteo_audiences.tables.files.workspace import Content, Interruption

if TYPE_CHECKING:
    from criteo_audiences.tables.table import Table

_PEEK: Final = 4096
_JSON: Final = "JSON lines"
_TEXT: Final = "other text"
_PARQUET_NAMES: Final = (".parquet", ".parq", ".pq")


@frozen
class Listing:
    """The files of a directory.

    Attributes:
        name: the directory's own name.
        files: the files that may contain rows, in alphabetical order.
        skipped: the number of other files, by kind.
    """

    name: str
    files: tuple[Path, ...]
    skipped: Counter[str]

    @property
    def note(self) -> str | None:
        """A sentence about the skipped files, or `None` if there are none."""
        total = self.skipped.total()
        counts = ", ".join(f"{count:,} {what}" for what, count in sorted(self.skipped.items()))
        return f"{total:,} {'file' if total == 1 else 'files'} in {self.name} skipped: {counts}" if total else None


def listing(directory: Path) -> Listing:
    """Lists the files in a directory and below; follows links, but reads each directory once.

    Raises:
        ConfigurationError: when the directory is, contains or belongs to a table with a log (Delta, Hudi, Iceberg).
        OSError: when it cannot be listed.
    """
    require_no_lake(directory)
    files: list[Path] = []
    skipped: Counter[str] = Counter()
    for found in _walk(directory):
        kind = _skipped_as(found.relative_to(directory), found)
        if kind is None:
            files.append(found)
        else:
            skipped[kind] += 1
    return Listing(directory.resolve().name or str(directory), tuple(sorted(files)), skipped)


def _walk(directory: Path) -> Iterator[Path]:
    """Yields all entries of a directory and below that are not directories."""
    entered: set[tuple[int, int]] = set()
    failures: list[OSError] = []
    for root, below, names in os.walk(directory, followlinks=True, onerror=failures.append):
        status = os.stat(root)  # noqa: PTH116 - as os.walk sees it
        if (status.st_dev, status.st_ino) in entered:
            below.clear()
            continue
        entered.add((status.st_dev, status.st_ino))
        require_no_log(Path(root), below)
        yield from (Path(root, name) for name in names)
    for failure in failures:
        raise OSError(failure.errno, failure.strerror, Path(str(failure.filename)).name)  # a whole path may reveal more


def _skipped_as(place: Path, file: Path) -> str | None:
    """Describes a file that cannot contain rows, or returns `None` if it may."""
    if any(is_hidden(part) for part in place.parts):
        return "hidden or temporary (a part of the path begins with _ or .)"
    if not file.is_file():
        return "no regular file"
    if not file.stat().st_size and file.suffix.lower() not in _PARQUET_NAMES:
        return "empty"
    return None


def layouts_of(
    found: Listing, workspace: Path, interruption: Interruption | None = None, asked: Asked | None = None
) -> Sequence[Layout]:
    """Inspects the files of a directory; blocks.

    Parquet files are inspected as one table. Text files are inspected one by one, and must have one format and header.

    Args:
        found: the files of the directory.
        workspace: a directory only its owner can read, for copies and links.
        interruption: stops the inspection early.
        asked: the caller's options for the files.

    Raises:
        ConfigurationError: when there are no files, or they are not one table.
        OSError: when a file cannot be read, or is damaged.
    """
    formats = Counter(_format(file) for file in found.files)
    if not formats:
        note = f" ({found.note})" if found.note else ""
        raise ConfigurationError(
            f"{found.name} is a directory without Parquet, CSV or JSON lines{note}; expected files of one of them."
        )
    _require_alike(found.name, formats)
    if "Parquet" in formats:
        asked = asked or Asked()
        asked.refuse(found.name, "Parquet")
        place = own_place(workspace)
        return [parquet_layout(found.files, found.name, place, asked.engine, partitioned=asked.partitioned)]
    try:
        layouts = [inspect(str(file), own_place(workspace), interruption, asked) for file in found.files]
    except ConfigurationError as error:
        raise ConfigurationError(f"In the directory {found.name}: {error}") from None
    _require_alike(found.name, Counter(_JSON if each.format == "json" else _TEXT for each in layouts))
    if layouts[0].format == "csv":
        _require_one_header(found.name, layouts)
    return layouts


def own_place(directory: Path) -> Path:
    """Makes a directory for the copies and links of one file; like its parent, only its owner can enter it."""
    return Path(tempfile.mkdtemp(dir=directory))


def _require_alike(name: str, formats: Counter[str]) -> None:
    if len(formats) > 1:
        counts = " and ".join(f"{count:,} of {each}" for each, count in sorted(formats.items()))
        raise ConfigurationError(
            f"{name} holds files of several formats: {counts}. Name those that you mean, with a pattern such as "
            "'*.parquet' or as a list."
        )


def _require_one_header(name: str, layouts: Sequence[Layout]) -> None:
    """Refuses text files with different columns, because they may not be one table."""
    first = layouts[0]
    for other in layouts[1:]:
        if other.names != first.names:
            raise ConfigurationError(
                f"{other.name} in {name} has other columns than {first.name}; the files of a directory are one table "
                "only when their headers are the same. Name them as a list or with a pattern."
            )


def _format(file: Path) -> str:
    with file.open("rb") as opened:
        start = opened.read(_PEEK)
    if is_parquet(start) or file.suffix.lower() in _PARQUET_NAMES:
        return "Parquet"
    return _JSON if is_json(_text_of(file, start)) else _TEXT


def _text_of(file: Path, start: bytes) -> str:
    """Returns the beginning of a text, decompressed; empty if it is damaged, which the inspection reports better."""
    try:
        content = next(Content.of(file, file.name, start, Interruption()).chunks(), b"")
    except OSError:
        return ""
    return content[:_PEEK].decode("utf-8-sig", "replace")


State = tuple[int, int, int, int] | None
"""Shows whether a file was changed or replaced: size, modification time in nanoseconds, inode and device."""


@frozen
class SourceFiles:
    """The files of tables, in the state before any of them was read.

    Attributes:
        listings: the files of each given directory, by the directory's path.
        states: the state of every file that will be read, by its path.
    """

    listings: Mapping[str, Listing] = field(factory=dict)
    states: Mapping[Path, State] = field(factory=dict, repr=False)

    @classmethod
    def of(cls, *tables: "Table") -> "SourceFiles":
        """Lists directories and records the state of each file; blocks.

        Raises:
            ConfigurationError: when a directory cannot be read as files.
            OSError: when it cannot be listed.
        """
        paths = [path for table in tables for path in table.paths if not is_read_once(path)]
        listings = {path: listing(Path(path)) for path in paths if Path(path).is_dir()}
        files = [file for path in paths for file in (listings[path].files if path in listings else [Path(path)])]
        return cls(listings, {file: _state(file) for file in files})

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences about the files that were skipped in directories."""
        return tuple(found.note for found in self.listings.values() if found.note)

    def require_unchanged(self) -> None:
        """Checks that no file has changed; blocks.

        Raises:
            SourceChangedError: when a file was written to, replaced or removed meanwhile.
        """
        if (file := self._changed()) is not None:
            raise _has_changed(file)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Replaces an error in the block by `SourceChangedError` if a file changed meanwhile, as the likely cause.

        Raises:
            SourceChangedError: in place of any error but a `CriteoError`.
        """
        try:
            yield
        except CriteoError:
            raise
        except Exception:
            file = self._changed()
            if file is None or _state(file) is None:  # the error for a missing file is better
                raise
            changed = _has_changed(file)
            try:
                raise changed from None
            finally:
                changed.__context__ = None  # its message may show values

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
