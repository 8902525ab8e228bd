"""Paths that mean one file to the engine, to which a path is a pattern, an address or a partition."""

import os
import re
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Final, NewType

from criteo_audiences.errors import ConfigurationError

LiteralPath = NewType("LiteralPath", str)
"""A path that the engine takes for the one file of that name; only `literal_path` makes one."""

# Signs that mean nothing but themselves in an absolute path. All others (`*?[\\`, quotes, control characters) are kept
# from the engine: it has no way to escape them that works for every name and beside every neighbor.
_PLAIN: Final = re.compile(r"[\w .,+=@()&#%~-]+")
_PATTERN: Final = re.compile(r"[^\w .,+@()&#%~-]")


def literal_path(path: Path, workspace: Path, partitions: Mapping[str, str] | None = None) -> LiteralPath:
    """Returns a path by which the engine reads exactly this file: its own, or that of a link to it.

    Args:
        path: the file.
        workspace: a directory only its owner can enter, for the link.
        partitions: columns that the engine shall read out of the path; it then finds these and no others.

    Raises:
        ConfigurationError: when the file needs a link and there can be none.
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
    """Returns a part of a path with percent signs for what is not plain, as writers of partitions have it."""
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
