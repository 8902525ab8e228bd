"""Runs a command's coroutine: signals, errors, exit codes, the one line on standard error."""

import asyncio
import os
import signal
import sys
import traceback
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, NoReturn

import orjson
import typer
from attrs import define, field

from criteo_audiences import BulkResult, CriteoClient, UploadReport
from criteo_audiences.cli.exits import Exit, exit_for, exit_for_report, one_line, shortfall
from criteo_audiences.cli.printing import print_report


@define
class Run:
    """What a command has to show, also when it is stopped half-way.

    Attributes:
        json: whether standard output gets one JSON document and nothing else.
        debug: whether an error is shown with its traceback.
        report: of an upload, as far as it came.
        remarks: lines to print after the report.
        facts: what the JSON document holds beside the report.
        code: how a command without a report ends.
        reads_standard_input: whether a thread may still wait for it when the command ends.
    """

    json: bool = False
    debug: bool = False
    report: UploadReport | None = None
    remarks: list[str] = field(factory=list)
    facts: dict[str, Any] = field(factory=dict)
    code: Exit = Exit.OK
    reads_standard_input: bool = False


def run(command: Callable[[], Coroutine[Any, Any, Any]], state: Run) -> None:
    """Runs a command and ends the process with the code that says how it went."""
    try:
        _run(command, state)
    except typer.Exit as ended:
        if state.reads_standard_input:  # the interpreter would wait for that thread, and so for the input's end
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(ended.exit_code)
        raise


def run_connected(command: Callable[[CriteoClient], Coroutine[Any, Any, None]], state: Run) -> None:
    """Runs a command that needs a client, which the environment describes."""

    async def connected() -> None:
        async with CriteoClient.from_env() as criteo:
            await command(criteo)

    run(connected, state)


def tell_problems(state: Run, result: BulkResult[Any], ids: Sequence[str]) -> list[dict[str, str]]:
    """Says which items of a bulk call failed, each by its id, and lets the command end as incomplete if any did."""
    told = []
    for problem in (*result.errors, *result.warnings):
        named = problem.index is not None and problem.index < len(ids)
        told.append({"id": ids[problem.index or 0] if named else "", "problem": str(problem)})
        say(" ".join(told[-1].values()).strip())
    if told:
        state.code = Exit.INCOMPLETE
    return told


def _run(command: Callable[[], Coroutine[Any, Any, Any]], state: Run) -> NoReturn:
    """Runs a command and raises the exit that says how it went."""
    try:
        asyncio.run(_until_terminated(command()))
    except (KeyboardInterrupt, asyncio.CancelledError) as error:
        _stop(state, error, Exit.INTERRUPTED, "Interrupted. Running the same command again is safe.")
    except Exception as error:  # noqa: BLE001 - every error ends in one line and an exit code
        _stop(state, error, exit_for(error), one_line(error))
    if state.report is not None:
        _finish(state, state.report)
    raise typer.Exit(state.code)


async def _until_terminated(command: Coroutine[Any, Any, Any]) -> None:
    """Lets SIGTERM end the command as Ctrl-C does: batches in flight get their time."""
    task = asyncio.current_task()
    if task is not None and sys.platform != "win32":
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await command


def _finish(state: Run, report: UploadReport) -> NoReturn:
    if state.json:
        write_json({**report.to_dict(), **state.facts})
    else:
        print_report(report)
        for remark in state.remarks:
            typer.echo(remark)
    if not report.ok:
        say(shortfall(report))
    raise typer.Exit(exit_for_report(report))


def _stop(state: Run, error: BaseException, code: Exit, line: str) -> NoReturn:
    if state.debug:
        traceback.print_exception(error)
    if state.json:
        reported = state.report.to_dict() if state.report is not None else {}
        write_json({**reported, "ok": False, "error": {"kind": type(error).__name__, "message": line}})
    elif state.report is not None and state.report.read:
        print_report(state.report)
    say(line)
    raise typer.Exit(code)


def say(line: str) -> None:
    """Prints an error's line on standard error."""
    print(f"criteo-audiences: {line}", file=sys.stderr)  # noqa: T201 - this is where a command speaks


def write_json(document: dict[str, Any]) -> None:
    """Prints the one document of `--json`."""
    sys.stdout.write(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode() + "\n")
    sys.stdout.flush()
