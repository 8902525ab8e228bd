"""Where the command line keeps its journals, and how it says that an upload can be finished."""

import itertools
import os
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from criteo_audiences import ConfigurationError
from criteo_audiences.cli.options import Service
from criteo_audiences.cli.streams import print_error

if TYPE_CHECKING:  # slow to import: `--help` need not wait for it
    from criteo_audiences import CriteoClient

_MODULE: Final = "__main__.py"
_PROGRAM: Final = "criteo-audiences"
_RESUME: Final = ("--resume", "--no-resume")
# What may be an identifier in a condition; it is not repeated where logs are kept.
_TELLING: Final = re.compile(r"@|[0-9][0-9 ()./-]{5,}[0-9]|[0-9a-fA-F]{32}")


def state_directory() -> Path:
    """Returns the user's directory for journals.

    Raises:
        ConfigurationError: when the user has no home directory, and no variable names another place.
    """
    from criteo_audiences import journals  # noqa: PLC0415 - slow to import

    directory = journals.state_directory()
    if directory is None:
        raise ConfigurationError("There is no home directory to keep journals in; XDG_STATE_HOME names another place.")
    return directory


def usable_directory() -> Path | None:
    """Returns the user's directory for journals, made if need be; says why there is none where it cannot be used."""
    from criteo_audiences import journals  # noqa: PLC0415 - slow to import

    try:
        directory = state_directory()
        journals.make_directory(directory)
        reason = None if os.access(directory, os.R_OK | os.W_OK | os.X_OK) else "it may not be written to"
    except ConfigurationError:
        print_error("No journal is kept, since there is no home directory; --journal names another place.")
        return None
    except OSError as error:
        reason = error.strerror or type(error).__name__
    if reason is None:
        return directory
    print_error(f"No journal is kept, since {directory} cannot be used ({reason}); --journal names another place.")
    return None


def note_operation(criteo: "CriteoClient", service: Service, segment_id: str) -> None:
    """Keeps unfinished uploads to a list from being continued unasked, because something else changes it.

    Raises:
        JournalError: when it cannot be written down.
    """
    from criteo_audiences import journals  # noqa: PLC0415 - slow to import

    directory = journals.state_directory()
    if directory is not None and directory.exists():
        journals.note_operation(directory, service=service.value, host=criteo.host, segment_id=segment_id)


def resume_command(arguments: Sequence[str]) -> str:
    """Returns the command that finishes an upload: the one that began it, as it can be pasted into a shell.

    A condition that may hold an identifier is not repeated.
    """
    program, *rest = arguments
    words = [word for word in rest if word not in _RESUME]
    if any(_TELLING.search(word) for word in _conditions(words)):
        return "the same command with --resume"
    name = Path(program).name
    start = [sys.executable, "-m", "criteo_audiences"] if name == _MODULE else [_PROGRAM]
    return shlex.join([*start, *words, "--resume"])


def _conditions(words: Sequence[str]) -> list[str]:
    """Returns the values of `--where`."""
    separate = [after for word, after in itertools.pairwise(words) if word == "--where"]
    return separate + [word for word in words if word.startswith("--where=")]
