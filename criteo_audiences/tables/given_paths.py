"""What a caller gives as paths: files under their own names, patterns, which are expanded here, and what is neither."""

import glob
import itertools
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.tables.lakes import is_hidden, require_no_lake
from criteo_audiences.tables.layout import STDIN
from criteo_audiences.tables.names import looks_like_data

_ADDRESS: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://?(?=.)")
_STORES: Final = {"s3", "s3a", "s3n", "gs", "gcs", "abfs", "abfss", "az", "azure", "adl", "wasb", "wasbs", "r2", "hdfs"}
_WEB: Final = {"http", "https", "ftp", "sftp"}
_SUFFIXES: Final = re.compile(
    r"\.(csv|tsv|psv|txt|tab|dat|json|jsonl|ndjson|parquet|parq|pq|gz|zst|zstd|bz2|xz|zip|xlsx?|db|log|out|tmp|bin)",
    re.IGNORECASE,
)


def given_paths(given: object) -> tuple[str, ...]:
    """Returns the paths that a caller names, patterns expanded.

    A file that exists under a name is that file, whatever signs the name holds.

    Raises:
        TypeError: for what is no path: an open file, a column of data, a mapping.
        ConfigurationError: when a path cannot name a file of this machine, a pattern matches nothing, or there is none.
    """
    single = isinstance(given, str | os.PathLike)
    if not single:
        _refuse_lookalikes(given)
    entries = [given] if single else list(given)  # type: ignore[call-overload]  # it was checked
    found = tuple(
        path
        for number, entry in enumerate(entries, start=1)
        for path in _files(_text(entry, "path" if single else f"path, entry {number:,},"))
    )
    if not found:
        raise ConfigurationError("path must name at least one file; the list is empty.")
    return found


def _refuse_lookalikes(given: object) -> None:
    """Refuses what can be iterated but does not yield paths.

    Raises:
        TypeError: names its type, and the way.
    """
    kind = type(given).__name__
    if hasattr(given, "read") or hasattr(given, "readline"):
        raise TypeError(
            f"path must be the path of a file, not an open file ({kind}): pass its path, '-' for standard input, or a "
            "list of the identifiers as the source"
        )
    if any(hasattr(given, name) for name in ("__arrow_c_stream__", "__arrow_c_array__", "__dataframe__", "__array__")):
        raise TypeError(f"path must be a path, not data ({kind}): pass the {kind} itself as the source")
    if isinstance(given, bytes | bytearray | memoryview | Mapping) or not isinstance(given, Iterable):
        raise TypeError(f"path must be a str, a pathlib.Path or a list of them, not {kind}")


def _text(entry: object, which: str) -> tuple[str, str]:
    """Returns a path as text, and what messages call it, since it may be no path at all."""
    path = os.fspath(entry) if isinstance(entry, os.PathLike) else entry
    if not isinstance(path, str):
        raise TypeError(f"{which} must be a str or a pathlib.Path, not {type(entry).__name__}")
    if not path.strip() or (path == "." and not isinstance(entry, str)):
        raise ConfigurationError(
            f"{which} is empty: a variable may be unset. For the working directory give '.' as a str, or Path.cwd()."
        )
    if "\0" in path:
        raise ConfigurationError(f"{which} holds a NUL character, which no file's name can hold.")
    try:
        path.encode()
    except UnicodeEncodeError:
        raise ConfigurationError(f"{which} names a file whose name is no UTF-8; rename the file.") from None
    return path, which


def _files(given: tuple[str, str]) -> Iterable[str]:
    path, which = given
    if path == STDIN or os.path.exists(path):  # noqa: PTH110 - knows no error, also where a name is too long
        return [path]
    _require_local(path, which)
    if path.startswith("~"):
        path = os.path.expanduser(path)  # noqa: PTH111 - leaves an unknown user's name as it is
    if not os.path.exists(path) and glob.has_magic(_beyond_directories(path)):  # noqa: PTH110 - see above
        return _matching(path)
    _require_path(path, which)
    return [path]


def _require_local(path: str, which: str) -> None:
    """Refuses an address: it would be looked for among the files of this machine.

    Raises:
        ConfigurationError: says what it is, and the way.
    """
    found = _ADDRESS.match(path)
    scheme = found[1].lower() if found else ""
    if scheme in _STORES | _WEB:
        what = "an object store" if scheme in _STORES else "the web"
        raise ConfigurationError(
            f"{which} is an address in {what} ({scheme}://), not a file of this machine: fetch it first, or read it "
            "with polars or pyarrow and pass the frame as the source."
        )
    if scheme == "file":
        raise ConfigurationError(f"{which} is an address (file://); give the path of the file itself.")


def written_path(path: str, which: str) -> Path:
    """Returns the path of a file that is to be written; `~` is the home directory.

    Args:
        path: as it was given.
        which: what messages call it.

    Raises:
        ConfigurationError: when it cannot be a file of this machine.
    """
    if "\0" in path:
        raise ConfigurationError(f"{which} holds a NUL character, which no file's name can hold.")
    if not os.path.exists(os.path.dirname(path)):  # noqa: PTH110, PTH120 - knows no error
        _require_local(path, which)
    return Path(os.path.expanduser(path))  # noqa: PTH111 - leaves an unknown user's name as it is


def ends_as_directory(path: object) -> bool:
    """Tells whether a path ends with a slash, and so means a directory."""
    return isinstance(path, str) and path.endswith(tuple(filter(None, (os.sep, os.altsep))))


def _beyond_directories(path: str) -> str:
    """Returns what of a path comes after the directories that exist under the names it gives, whatever their signs."""
    parts = Path(path).parts
    known = itertools.takewhile(os.path.isdir, itertools.accumulate(parts, os.path.join))
    return os.path.join("", *parts[sum(1 for _ in known) :])  # noqa: PTH118 - a path of no parts would be "."


def _matching(pattern: str) -> list[str]:
    """Returns the files that a pattern matches, in alphabetical order, without those of temporary directories.

    Raises:
        ConfigurationError: when nothing matches, or what matches is the inside of a table with a log of its own.
    """
    parts = Path(pattern).parts
    fixed = len(parts) - len(Path(_beyond_directories(pattern)).parts)
    if pattern.endswith(os.sep):
        parts = (*parts, "")
    pattern = os.path.join(glob.escape(os.path.join("", *parts[:fixed])), *parts[fixed:])  # noqa: PTH118 - see above
    wants_hidden = any(is_hidden(part) for part in parts[fixed:])
    found = sorted(
        path
        for path in glob.glob(pattern, recursive=True, include_hidden=wants_hidden)  # noqa: PTH207 - may be absolute
        if wants_hidden or not any(map(is_hidden, Path(path).parts[fixed:]))
    )
    if "**" in parts:  # which matches directories, too, whose files it has matched already
        found = [path for path in found if not os.path.isdir(path)]  # noqa: PTH112 - see above
    if not found:
        raise ConfigurationError("No file matches the pattern; check it, and quote it for your shell.")
    for directory in {Path(path).parent for path in found}:
        require_no_lake(directory)
    return found


def _require_path(path: str, which: str) -> None:
    """Refuses what names no file and might be an identifier, before any message can show it.

    Raises:
        ConfigurationError: shows nothing of it.
    """
    if not _looks_like_a_path(path):
        raise ConfigurationError(
            f"{which} names no file that exists; it is not shown, since it might be an identifier. Check "
            "the path, or pass identifiers as a list, without Table.from_file."
        )


def _looks_like_a_path(path: str) -> bool:
    if os.path.islink(path):  # noqa: PTH114 - knows no error, also where a name is too long
        return True
    parent, name = os.path.split(path)
    if looks_like_data(name) or not path.isprintable():
        return False
    if parent and os.path.isdir(parent):  # noqa: PTH112 - see above
        return True
    return bool(_SUFFIXES.fullmatch(Path(name).suffix)) and not any(map(looks_like_data, Path(parent).parts))


def shown_paths(paths: Iterable[str]) -> str:
    """Returns paths for a `repr`; a part that may be a person's datum is masked."""
    return repr(tuple(_masked(paths)))


def _masked(paths: Iterable[str]) -> Iterator[str]:
    for path in paths:
        parts: list[Any] = ["…" if looks_like_data(part) else part for part in Path(path).parts]
        yield str(Path(*parts)) if parts else path
