"""Which files of a directory hold rows, and whether they are of one format."""

import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from attrs import frozen

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.tables import json_lines, parquet
from criteo_audiences.tables.compression import Content
from criteo_audiences.tables.inspection import Asked, inspect
from criteo_audiences.tables.interruption import Interruption
from criteo_audiences.tables.lakes import is_hidden, require_no_lake, require_no_log
from criteo_audiences.tables.layout import Layout

_PEEK: Final = 4096
_JSON: Final = "JSON lines"
_TEXT: Final = "other text"
_PARQUET_NAMES: Final = (".parquet", ".parq", ".pq")


@frozen
class Listing:
    """The files of a directory.

    Attributes:
        name: the directory's own name.
        files: those that hold rows, in alphabetical order.
        skipped: how many do not, by what they are.
    """

    name: str
    files: tuple[Path, ...]
    skipped: Counter[str]

    @property
    def note(self) -> str | None:
        """Says what was skipped."""
        total = self.skipped.total()
        counts = ", ".join(f"{count:,} {what}" for what, count in sorted(self.skipped.items()))
        return f"{total:,} {'file' if total == 1 else 'files'} in {self.name} skipped: {counts}" if total else None


def listing(directory: Path) -> Listing:
    """Lists the files of a directory and below; links are followed, each directory once.

    Raises:
        ConfigurationError: when it is, holds or belongs to a table whose log says which of its files count.
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
    """Yields everything in a directory and below that is no directory."""
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
        raise OSError(failure.errno, failure.strerror, Path(str(failure.filename)).name)  # a path may say more


def _skipped_as(place: Path, file: Path) -> str | None:
    """Says what a file is that holds no rows; `None` of one that may."""
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
    """Looks at the files of a directory: Parquet as one table, text of one format and one header one by one. Blocks.

    Args:
        found: what is in the directory.
        workspace: a directory only its owner can read, for copies and links.
        interruption: ends it half-way.
        asked: what the caller says of them.

    Raises:
        ConfigurationError: when there are no files, or they are not one table.
        OSError: when one cannot be read, or is damaged.
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
        return [parquet.layout(found.files, found.name, own_place(workspace), partitioned=asked.partitioned)]
    try:
        layouts = [inspect(str(file), own_place(workspace), interruption, asked) for file in found.files]
    except ConfigurationError as error:
        raise ConfigurationError(f"In the directory {found.name}: {error}") from None
    _require_alike(found.name, Counter(_JSON if each.format == "json" else _TEXT for each in layouts))
    if layouts[0].format == "csv":
        _require_one_header(found.name, layouts)
    return layouts


def own_place(directory: Path) -> Path:
    """Makes a directory for what belongs to one file; only its owner can enter it, as the one around it."""
    return Path(tempfile.mkdtemp(dir=directory))


def _require_alike(name: str, formats: Counter[str]) -> None:
    if len(formats) > 1:
        counts = " and ".join(f"{count:,} of {each}" for each, count in sorted(formats.items()))
        raise ConfigurationError(
            f"{name} holds files of several formats: {counts}. Name those that you mean, with a pattern such as "
            "'*.parquet' or as a list."
        )


def _require_one_header(name: str, layouts: Sequence[Layout]) -> None:
    """Refuses text files whose columns differ, because nobody can say that they are one table."""
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
    if parquet.begins(start) or file.suffix.lower() in _PARQUET_NAMES:
        return "Parquet"
    return _JSON if json_lines.begins(_text_of(file, start)) else _TEXT


def _text_of(file: Path, start: bytes) -> str:
    """Returns how a text begins, decompressed; nothing of what is damaged, which inspecting it says better."""
    try:
        content = next(Content.of(file, file.name, start, Interruption()).chunks(), b"")
    except OSError:
        return ""
    return content[:_PEEK].decode("utf-8-sig", "replace")
