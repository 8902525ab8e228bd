"""Turns the caller's paths into files: expands patterns, and refuses addresses and tables with a log (lakes)."""

import errno
import glob
import itertools
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, NewType

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.rendering import nearest
from criteo_audiences.tables.header_words import looks_like_data, shown

STDIN: Final = "-"
"""The path that stands for standard input."""

STREAM: Final = "\0"
"""The path that stands for an open stream; no file has that name."""

_DESCRIPTOR: Final = re.compile(r"/(?:dev|proc/self)/fd/[0-9]+")

LiteralPath = NewType("LiteralPath", str)
"""A path by which the engine reads exactly one file, because nothing in it is a pattern; see `literal_path`."""

# Characters without a special meaning in an absolute path. All others (`*?[\\`, quotes, control characters) must not
# reach the engine: it has no escape for them that works in every name and next to every other character.
_PLAIN: Final = re.compile(r"[\w .,+=@()&#%~-]+")
_PATTERN: Final = re.compile(r"[^\w .,+@()&#%~-]")


def literal_path(path: Path, workspace: Path, partitions: Mapping[str, str] | None = None) -> LiteralPath:
    """Returns a path by which the engine reads exactly this file: its own, or the path of a link to it.

    Args:
        path: the file.
        workspace: a directory only its owner can enter, for the link.
        partitions: columns that the engine must read from the path; the link's path then names these and no others.

    Raises:
        ConfigurationError: when the file needs a link and none can be made.
    """
    absolute = Path.cwd() / path
    if partitions is None and _is_plain(absolute):
        return LiteralPath(str(absolute))
    if not _is_plain(workspace) or (partitions and "=" in str(workspace)):
        raise ConfigurationError(
            "The path of the temporary directory holds a sign that DuckDB takes for a pattern or a partition; "
            "let TMPDIR name another one."
        )
    mark = blake2b(os.fsencode(absolute), digest_size=12).hexdigest()
    directory = workspace / f"link-{mark}"
    for column, value in (partitions or {}).items():
        directory /= f"{_encoded(column)}={_encoded(value)}"
    return LiteralPath(str(_link(absolute, directory)))


def _is_plain(path: Path) -> bool:
    return all(_PLAIN.fullmatch(part) and part != ".." for part in path.parts[1:])


def _encoded(text: str) -> str:
    """Returns a part of a path with special characters percent-encoded, as in the partitions that other tools write."""
    return _PATTERN.sub(lambda sign: "".join(f"%{byte:02X}" for byte in sign[0].encode()), text)


def _link(target: Path, directory: Path) -> Path:
    link = directory / "rows"
    if link.is_symlink():
        return link
    try:
        directory.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigurationError(
            f"A file's name holds a sign that DuckDB takes for a pattern, and no link to it can be made ({reason}); "
            "rename the file."
        ) from None
    return link


_LAKES: Final = (
    ("_delta_log", "a Delta table", "Table.from_arrow(deltalake.DeltaTable(path).to_pyarrow_table())"),
    (".hoodie", "a Hudi table", "Table.from_arrow(pyarrow.Table.from_batches(hudi_table.read_snapshot()))"),
)
_ICEBERG: Final = ("an Iceberg table", "Table.from_arrow(catalog.load_table(name).scan().to_arrow())")


def is_hidden(part: str) -> bool:
    """Whether a part of a path is temporary, administrative or hidden, by the convention of all writers of lakes.

    A partition such as `_day=1` contains data and is not hidden.
    """
    return part.startswith(".") or (part.startswith("_") and "=" not in part)


def require_no_lake(directory: Path) -> None:
    """Refuses a directory that belongs to a table with a log of its own (Delta, Hudi, Iceberg).

    Raises:
        ConfigurationError: when it does; names the kind of table, and how to read it.
    """
    place = directory.resolve()
    for each in (place, *place.parents):
        for log, kind, reader in _LAKES:
            if (each / log).is_dir():
                raise _is_lake(each.name, kind, reader)
        if _has_iceberg_metadata(each / "metadata"):  # next to `data`, or to partitions of a table that was migrated
            raise _is_lake(each.name, *_ICEBERG)


def require_no_log(directory: Path, below: Iterable[str]) -> None:
    """Refuses a directory that contains the log of a table (Delta, Hudi, Iceberg).

    Args:
        directory: the directory.
        below: the names of the directories in it.

    Raises:
        ConfigurationError: when it does; names the kind of table, and how to read it.
    """
    for log, kind, reader in _LAKES:
        if log in below:
            raise _is_lake(directory.name, kind, reader)
    if "metadata" in below and _has_iceberg_metadata(directory / "metadata"):
        raise _is_lake(directory.name, *_ICEBERG)


def _has_iceberg_metadata(directory: Path) -> bool:
    with suppress(OSError):  # a directory far above may be unreadable
        return any(".metadata.json" in file.name for file in directory.iterdir())
    return False


def _is_lake(name: str, kind: str, reader: str) -> ConfigurationError:
    return ConfigurationError(
        f"{shown(name)} is {kind}, whose log says which of its files count: rows that were deleted are still in the "
        f"others. Read it with its own reader, such as {reader}."
    )


_ADDRESS: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://?(?=.)")
_STORES: Final = {"s3", "s3a", "s3n", "gs", "gcs", "abfs", "abfss", "az", "azure", "adl", "wasb", "wasbs", "r2", "hdfs"}
_WEB: Final = {"http", "https", "ftp", "sftp"}
_ALIKE: Final = 0.75  # least similarity of two names for one to be a misspelling of the other
_SUFFIXES: Final = re.compile(
    r"\.(csv|tsv|psv|txt|tab|dat|json|jsonl|ndjson|parquet|parq|pq|gz|zst|zstd|bz2|xz|zip|xlsx?|db|log|out|tmp|bin)",
    re.IGNORECASE,
)


def given_paths(given: object) -> tuple[str, ...]:
    """Returns the paths that a caller names, with patterns expanded.

    The name of an existing file is never taken for a pattern.

    Raises:
        TypeError: for anything that is no path: an open file, a column of data, a mapping.
        FileNotFoundError: when a pattern matches nothing, or a path does not exist and may be an identifier.
        ConfigurationError: when a path cannot be a file on this machine, or the list is empty.
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
    """Refuses objects that can be iterated but do not yield paths.

    Raises:
        TypeError: for such an object; names its type, and what to pass instead.
    """
    kind = type(given).__name__
    if hasattr(given, "read") or hasattr(given, "readline"):
        raise TypeError(
            f"path must be the path of a file, not an open file ({kind}): pass its path, '-' for standard input, "
            "Table.from_stream(file), or a list of the identifiers as the source"
        )
    if any(hasattr(given, name) for name in ("__arrow_c_stream__", "__arrow_c_array__", "__dataframe__", "__array__")):
        raise TypeError(f"path must be a path, not data ({kind}): pass the {kind} itself as the source")
    if isinstance(given, bytes | bytearray | memoryview | Mapping) or not isinstance(given, Iterable):
        raise TypeError(f"path must be a str, a pathlib.Path or a list of them, not {kind}")


def _text(entry: object, which: str) -> tuple[str, str]:
    """Returns a path as text, and the name for it in messages, which must not show it: it may be no path at all."""
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
        return _matching(path, which)
    if not _looks_like_a_path(path):
        raise no_file(path, which)
    return [path]


def _require_local(path: str, which: str) -> None:
    """Refuses an address on the web or in an object store, which would be taken for a file on this machine.

    Raises:
        ConfigurationError: for an address; says what kind it is, and what to do.
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
    """Returns the path of a file to write; `~` is the home directory.

    Args:
        path: the path that the caller gave.
        which: the name for it in messages.

    Raises:
        ConfigurationError: when it cannot be a file on this machine.
    """
    if "\0" in path:
        raise ConfigurationError(f"{which} holds a NUL character, which no file's name can hold.")
    if not os.path.exists(os.path.dirname(path)):  # noqa: PTH110, PTH120 - knows no error
        _require_local(path, which)
    return Path(os.path.expanduser(path))  # noqa: PTH111 - leaves an unknown user's name as it is


def ends_as_directory(path: object) -> bool:
    """Whether a path ends with a slash, so that it means a directory."""
    return isinstance(path, str) and path.endswith(tuple(filter(None, (os.sep, os.altsep))))


def _beyond_directories(path: str) -> str:
    """Returns the rest of a path after the directories that exist under exactly the given names."""
    parts = Path(path).parts
    known = itertools.takewhile(os.path.isdir, itertools.accumulate(parts, os.path.join))
    return os.path.join("", *parts[sum(1 for _ in known) :])  # noqa: PTH118 - a path of no parts would be "."


def _matching(pattern: str, which: str) -> list[str]:
    """Returns the paths that a pattern matches, in alphabetical order, without temporary and hidden ones.

    Raises:
        FileNotFoundError: when nothing matches.
        ConfigurationError: when a match belongs to a table with a log of its own.
    """
    parts = Path(pattern).parts
    fixed = len(parts) - len(Path(_beyond_directories(pattern)).parts)
    if pattern.endswith(os.sep):
        parts = (*parts, "")
    wanted = os.path.join(glob.escape(os.path.join("", *parts[:fixed])), *parts[fixed:])  # noqa: PTH118 - see above
    wants_hidden = any(is_hidden(part) for part in parts[fixed:])
    found = sorted(
        path
        for path in glob.glob(wanted, recursive=True, include_hidden=wants_hidden)  # noqa: PTH207 - may be absolute
        if wants_hidden or not any(map(is_hidden, Path(path).parts[fixed:]))
    )
    if "**" in parts:  # it matches directories, too, and also the files in them
        found = [path for path in found if not os.path.isdir(path)]  # noqa: PTH112 - see above
    if not found:
        raise no_file(pattern, which)
    for directory in {Path(path).parent for path in found}:
        require_no_lake(directory)
    return found


def no_file(path: str, which: str = "path") -> FileNotFoundError:
    """Returns the error for a path without a file; does not show a path that might be an identifier.

    Args:
        path: the path that the caller gave.
        which: the name for it in messages that do not show it.
    """
    parent, name = os.path.split(path)
    near = _near(parent, name)
    hint = f"; did you mean {near!r}?" if near else "."
    if not _looks_like_a_path(path) and not (near and _misspells(name, near)):
        found = f"{which} names no file that exists; it is not shown, since it might be an identifier{hint}"
        way = "Check the path, or pass identifiers as a list, without Table.from_file."
    elif parent and not os.path.isdir(parent):  # noqa: PTH112 - knows no error, also where a name is too long
        found = f"There is no directory {_last_part(parent)!r}, so no file {name!r} in it."
        way = "Check the path; a relative one begins at the working directory."
    else:
        kind = " and none that it matches as a pattern" if glob.has_magic(name) else ""
        found = f"There is no file {name!r}{kind}{hint}"
        way = "Check the path; a relative one begins at the working directory."
    error = FileNotFoundError(f"{found} {way}")
    error.errno = errno.ENOENT
    return error


def _near(parent: str, name: str) -> str | None:
    """Returns the name in a directory that is most similar to a missing one, or `None`."""
    try:
        names = [each for each in os.listdir(parent or ".") if each != name]  # noqa: PTH208 - names, and not paths
    except (OSError, ValueError):
        return None
    shown = [each for each in names if each.isprintable() and not is_hidden(each) and not looks_like_data(each)]
    return nearest(name, shown, cutoff=_ALIKE)


def _misspells(name: str, near: str) -> bool:
    """Whether two names differ only in the order of the letters in their suffix, as `crm.cvs` and `crm.csv`."""
    (stem, suffix), (near_stem, near_suffix) = map(os.path.splitext, (name, near))
    return (
        stem == near_stem and sorted(suffix) == sorted(near_suffix) and name.isprintable() and not looks_like_data(name)
    )


def _last_part(parent: str) -> str:
    name = Path(parent).name or parent
    return "…" if looks_like_data(name) else name


def _looks_like_a_path(path: str) -> bool:
    if os.path.islink(path):  # noqa: PTH114 - knows no error, also where a name is too long
        return True
    parent, name = os.path.split(path)
    if looks_like_data(name) or not path.isprintable():
        return False
    if parent and os.path.isdir(parent):  # noqa: PTH112 - see above
        return True
    return bool(_SUFFIXES.fullmatch(Path(name).suffix)) and not any(map(looks_like_data, Path(parent).parts))


_NAMES: Final = {STDIN: "standard input", STREAM: "the stream"}


def is_read_once(path: str) -> bool:
    """Whether a path can be read only once: standard input, a stream, a pipe or a character device."""
    if path in {STDIN, STREAM}:
        return True
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - takes a name that is no path, too
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


def name_of(path: str) -> str:
    """Returns the name of a file for messages, never its path; empty if it has no name."""
    if path in _NAMES:
        return _NAMES[path]
    return path if _DESCRIPTOR.fullmatch(path) else Path(path).name


def shown_paths(paths: Iterable[str]) -> str:
    """Returns paths for a `repr`; masks parts that may be personal data."""
    return repr(tuple(_masked(paths)))


def _masked(paths: Iterable[str]) -> Iterator[str]:
    for path in paths:
        if path == STREAM:
            yield _NAMES[STREAM]
            continue
        parts: list[Any] = ["…" if looks_like_data(part) else part for part in Path(path).parts]
        yield str(Path(*parts)) if parts else path
