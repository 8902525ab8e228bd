"""`journals`: what uploads have been remembered, where that is kept, and getting rid of it."""

import datetime as dt
import itertools
import os
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from criteo_audiences import ConfigurationError
from criteo_audiences.cli.options import Service, age, filled, grouped
from criteo_audiences.cli.output import print_error, print_json, print_result, print_table
from criteo_audiences.cli.run import Run, run

if TYPE_CHECKING:
    from criteo_audiences import CriteoClient
    from criteo_audiences.journals import JournalSummary


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


journals = typer.Typer(no_args_is_help=True, help="List, compact and remove the journals of uploads.")

DirectoryOption = Annotated[
    str | None,
    typer.Option(parser=filled, metavar="PATH", help="Directory of the journals (default: in your state directory)."),
]
NamesArgument = Annotated[
    list[str] | None, typer.Argument(parser=filled, metavar="NAME...", help="Names as `journals list` shows them.")
]
CompletedOption = Annotated[bool, typer.Option("--completed", help="Every journal of a finished upload.")]


@journals.command("list")
@grouped
def list_journals(*, directory: DirectoryOption = None, state: Run) -> None:
    """List the journals with what they are of, how far their uploads came, and whether the next run continues them."""

    async def command() -> None:
        found = _summaries(_place(directory))
        if state.json:
            print_json({"ok": True, "journals": [_document(summary) for summary in found]})
            return
        header = ("name", "state", "list", "batches", "identifiers", "last activity", "remark")
        print_table(header, *(_row(summary) for summary in found))

    run(command, state)


@journals.command()
@grouped
def remove(
    names: NamesArgument = None,
    *,
    completed: CompletedOption = False,
    directory: DirectoryOption = None,
    state: Run,
) -> None:
    """Remove journals; an unfinished upload then begins anew when it is started again."""
    from criteo_audiences.journals import remove as remove_journal  # noqa: PLC0415 - slow to import

    _each(names, completed, _place(directory), remove_journal, "removed", state)


@journals.command()
@grouped
def compact(
    names: NamesArgument = None,
    *,
    completed: CompletedOption = False,
    directory: DirectoryOption = None,
    state: Run,
) -> None:
    """Forget the batches of finished uploads and keep their summaries."""
    from criteo_audiences.journals import compact as compact_journal  # noqa: PLC0415 - slow to import

    _each(names, completed, _place(directory), compact_journal, "compacted", state)


@journals.command()
@grouped
def prune(
    *,
    older_than: Annotated[
        float, typer.Option(parser=age, metavar="TIME", help="Time since anything last happened: 30d, 12h.")
    ],
    directory: DirectoryOption = None,
    state: Run,
) -> None:
    """Remove the journals that nothing has happened in for so long, those of unfinished uploads too."""
    from criteo_audiences.journals import remove as remove_journal  # noqa: PLC0415 - slow to import

    async def command() -> None:
        oldest = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=older_than)
        found = _summaries(_place(directory))
        old = [each for each in found if each.last_activity is not None and each.last_activity < oldest]
        for summary in old:
            remove_journal(summary.path)
            if not state.json:
                print_result(f"removed {summary.path.name} ({summary.state.value})")
        if state.json:
            print_json({"ok": True, "removed": [summary.path.name for summary in old]})

    run(command, state)


def _each(
    names: list[str] | None,
    completed: bool,
    directory: Path,
    treat: Callable[[Path], None],
    treated: str,
    state: Run,
) -> None:
    async def command() -> None:
        if bool(names) == completed:
            raise ConfigurationError("Name the journals, or give --completed for those of all finished uploads.")
        done = []
        for path in [directory / name for name in names or ()] or _finished(directory):
            treat(path)
            done.append(path.name)
            if not state.json:
                print_result(f"{treated} {path.name}")
        if state.json:
            print_json({"ok": True, treated: done})

    run(command, state)


def _place(directory: str | None) -> Path:
    return state_directory() if directory is None else Path(directory)


def _summaries(directory: Path) -> "list[JournalSummary]":
    from criteo_audiences import journals as kept  # noqa: PLC0415 - slow to import

    return kept.list_journals(directory)


def _finished(directory: Path) -> list[Path]:
    from criteo_audiences.journals import JournalState  # noqa: PLC0415 - slow to import

    return [summary.path for summary in _summaries(directory) if summary.state is JournalState.COMPLETED]


def _row(summary: "JournalSummary") -> tuple[str, ...]:
    batches = ", ".join(f"{count:,} {state.value}" for state, count in summary.batches.items())
    activity = f"{summary.last_activity:%Y-%m-%d %H:%M} UTC" if summary.last_activity else ""
    remark = f"only with --resume: {summary.obstacle}" if summary.obstacle else ""
    whose = f"{summary.operation} {summary.service} {summary.segment_id}".strip()
    return (summary.path.name, summary.state.value, whose, batches, f"{summary.identifiers:,}", activity, remark)


def _document(summary: "JournalSummary") -> dict[str, Any]:
    return {
        "name": summary.path.name,
        "state": summary.state.value,
        "service": summary.service,
        "host": summary.host,
        "segment_id": summary.segment_id,
        "operation": summary.operation,
        "batches": {state.value: count for state, count in summary.batches.items()},
        "identifiers": summary.identifiers,
        "started": summary.started.isoformat() if summary.started else None,
        "last_activity": summary.last_activity.isoformat() if summary.last_activity else None,
        "obstacle": summary.obstacle,
    }
