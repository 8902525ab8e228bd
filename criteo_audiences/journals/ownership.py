"""Who else may change a file of ours: files and directories that another user owns or may write are not trusted."""

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

if sys.platform != "win32":
    import grp
    import pwd

_OTHERS: Final = stat.S_IWOTH
_GROUP: Final = stat.S_IWGRP

_NOT_YOURS: Final = "belongs to another user: name another place"
_OPEN_FILE: Final = "can be written by other users, so it cannot be trusted: remove it, or use chmod 600 if nobody has"
_OPEN_DIRECTORY: Final = "can be written by other users: take that right away (chmod go-w), or name another place"


def make_directory(path: Path) -> None:
    """Makes a directory and those above it that are missing, for its owner only, whatever the umask says.

    Raises:
        OSError: when it cannot be made.
    """
    missing = []
    while not path.exists():
        missing.append(path)
        path = path.parent
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)


def objection_to_file(status: os.stat_result) -> str | None:
    """Says why a file of ours cannot be trusted, `None` when it can.

    Others must not write it; that they can read it is for the caller to mend.
    """
    if os.name != "posix":
        return None
    if status.st_uid != os.geteuid():
        return _NOT_YOURS
    return _OPEN_FILE if status.st_mode & (_GROUP | _OTHERS) else None


def objection_to_place(directory: Path) -> str | None:
    """Says which directory on the way to a file lets other users replace it, `None` when none does.

    Both the way as it is written and the way that its links lead are followed. Directories such as `/tmp`, where each
    user can remove their own files only, are trusted; so is the group of a user who is its only member.
    """
    if os.name != "posix":
        return None
    for each in _on_the_way(directory):
        status = each.lstat()
        if claim := _objection(status):
            return f"the directory {each} {claim}"
    return None


def _on_the_way(directory: Path) -> Iterator[Path]:
    """Yields a directory and its parents, first as written, then with symbolic links resolved."""
    written, real = directory.absolute(), directory.resolve()
    yield from dict.fromkeys((written, *written.parents, real, *real.parents))


def _objection(status: os.stat_result) -> str | None:
    user = os.geteuid()
    # Root may use what belongs to a user, such as a volume; whoever owns the root directory can do anything anyway.
    if user and status.st_uid not in {user, 0, Path("/").stat().st_uid}:
        return _NOT_YOURS
    if stat.S_ISLNK(status.st_mode) or status.st_mode & stat.S_ISVTX:
        return None
    if status.st_mode & _OTHERS:
        return _OPEN_DIRECTORY
    return _OPEN_DIRECTORY if status.st_mode & _GROUP and not _is_own_group(status.st_gid) else None


def _is_own_group(group: int) -> bool:
    """Whether a group is root's, or has the user's name and no other member."""
    if not group or sys.platform == "win32":
        return True
    try:
        user, found = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(group)
    except KeyError:  # a user or a group without a name, as in containers
        return False
    return found.gr_name == user and set(found.gr_mem) <= {user}
