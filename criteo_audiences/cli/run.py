"""Runs a command's coroutine: signals, errors, exit codes, the one line on standard error."""

import asyncio
import datetime as dt
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from attrs import define, field

from criteo_audiences import BulkResult
from criteo_audiences.cli import login
from criteo_audiences.cli.options import filled
from criteo_audiences.cli.output import (
    Exit,
    QuotaPlan,
    exit_for,
    exit_for_problems,
    exit_for_report,
    flush,
    one_line,
    print_error,
    print_json,
    print_report,
    print_result,
    print_verdict,
    shortfall,
)

if TYPE_CHECKING:
    from criteo_audiences import CriteoClient, UploadReport
    from criteo_audiences.progress import Bar


_READING: Final = "criteo-audiences-table"
"""Names the threads that read tables."""

_MOMENT: Final = 0.5
"""Seconds in which such a thread ends after a command, unless it hangs in a call of the system."""

_ENDING: Final = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """The signals that ask a command to end.

    Args:
        at_first: is called at the first signal.

    Attributes:
        first: the first signal that came, `None` as long as none did.
    """

    def __init__(self, at_first: Callable[[], None]) -> None:
        self.first: signal.Signals | None = None
        self._at_first = at_first

    async def heeded_by(self, command: Coroutine[Any, Any, None]) -> None:
        """Runs the command; the first signal cancels it, the second all that still runs, a third ends the process.

        A signal that whoever started the process had it ignore stays ignored.
        """
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        if sys.platform != "win32" and task is not None:
            for number in _ENDING:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    loop.add_signal_handler(number, self._stop, task, number)
        await command

    def _stop(self, task: "asyncio.Task[Any]", number: signal.Signals) -> None:
        if self.first is None:
            self.first = number
            self._at_first()
            task.cancel()
            return
        loop = task.get_loop()
        for each in _ENDING:
            loop.remove_signal_handler(each)
        for running in asyncio.all_tasks(loop):
            running.cancel()


@define(kw_only=True)
class Run:
    """A command under way: the options that every command has, and what it has to show when it ends or is stopped.

    Attributes:
        json: whether standard output gets one JSON document and nothing else.
        debug: whether an error is shown with its traceback.
        quiet: whether nothing is shown on the way.
        no_progress: whether no progress is shown.
        verbose: whether standard error gets the log.
        profile: whose login it works with; `None` for what stands before the command, or for the environment's.
        report: of an upload, as far as it came.
        resume: the command that finishes an upload which was cut short; `None` when there is nothing to finish.
        plan: of an upload that is only rehearsed.
        rejects: the path of the file of rejects as it was given, once there is one.
        remarks: lines to print after the report.
        afterwards: lines to print after its verdict.
        facts: what the JSON document holds in addition to the report.
        code: how a command without a report ends.
        shows_notes: whether the notes of an error that ends it are shown: they say how far it came, without a report.
        drains: seconds that what is in flight gets at the first Ctrl-C.
        reads_standard_input: whether a thread may still wait for it when the command ends.
    """

    json: Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")] = False
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback with an error.")] = False
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the result and errors, nothing on the way.")] = (
        False
    )
    no_progress: Annotated[bool, typer.Option("--no-progress", help="Show no progress.")] = False
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show what is logged on the way.")] = False
    profile: Annotated[
        str | None,
        typer.Option(
            parser=filled, metavar="NAME", help="Log in as this profile.", autocompletion=login.complete_names
        ),
    ] = None
    report: "UploadReport | None" = None
    resume: str | None = None
    plan: QuotaPlan | None = None
    rejects: str | None = None
    remarks: list[str] = field(factory=list)
    afterwards: list[str] = field(factory=list)
    facts: dict[str, Any] = field(factory=dict)
    code: int = Exit.OK
    shows_notes: bool = False
    drains: float = 0.0
    reads_standard_input: bool = False

    def __attrs_post_init__(self) -> None:
        if self.profile is not None:
            login.choose_profile(self.profile)
        if self.verbose:
            logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(name)s %(message)s")
            logging.getLogger("criteo_audiences").setLevel(logging.INFO)

    @contextmanager
    def progress(self) -> Iterator["Bar"]:
        """Shows the progress of an upload, unless it is not wanted; yields what an upload takes as `on_progress`."""
        from criteo_audiences.progress import bar  # noqa: PLC0415 - slow to import, and most commands upload nothing

        with nullcontext(_Silent(quiet=self.quiet)) if self.quiet or self.no_progress else bar() as show:
            yield show


class _Silent:
    """Shows no progress; says what is about to happen, unless that is not wanted either."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet

    def __call__(self, progress: object) -> None:
        """Shows nothing."""

    def note(self, line: str) -> None:
        """Prints a line."""
        if not self._quiet:
            print(line, file=sys.stderr, flush=True)  # noqa: T201 - no result, so not on standard output


def run(command: Callable[[], Coroutine[Any, Any, None]], state: Run) -> None:
    """Runs a command and ends the process with the code that says how it went.

    What the command does before it returns its coroutine happens outside the event loop: it may ask a question there,
    which Ctrl-C can answer.
    """
    code = _run(command, state)
    if unwritten := flush():
        print_error(f"The result could not be written to standard output: {unwritten.strerror}.")
        code = code or Exit.FILE
    # The interpreter would wait for these threads, and so for the input's end, or for a file that does not answer.
    # While it ends, a further signal would kill it without the code.
    is_interrupted = code in {Exit.INTERRUPTED, Exit.TERMINATED}
    if is_interrupted or state.reads_standard_input or _is_still_reading():
        sys.stderr.flush()
        os._exit(code)
    raise typer.Exit(code)


def _is_still_reading() -> bool:
    """Whether a thread hangs that reads a table; one that is about to end is waited for."""
    for thread in threading.enumerate():
        if thread.name == _READING:
            thread.join(_MOMENT)
    return any(thread.name == _READING for thread in threading.enumerate())


def run_connected(command: Callable[["CriteoClient"], Coroutine[Any, Any, None]], state: Run) -> None:
    """Runs a command that needs a client, which the environment describes."""

    def connected() -> Coroutine[Any, Any, None]:
        criteo = login.client()
        return _connected(criteo, command(criteo))

    run(connected, state)


async def _connected(criteo: "CriteoClient", command: Coroutine[Any, Any, None]) -> None:
    async with criteo:
        await command


def print_problems(state: Run, result: BulkResult[Any], ids: Sequence[str]) -> list[dict[str, str]]:
    """Says which items of a bulk call failed, each by its id, and lets the command end with the code for that.

    The rule is `BulkResult`'s: what Criteo only warns of is said as well, and changes nothing.
    """
    shown = [
        {"id": ids[failure.index] if failure.index < len(ids) else "", "problem": str(problem)}
        for failure in result.failures
        for problem in failure.problems
    ]
    shown += [{"id": "", "problem": str(problem)} for problem in result.call_errors]
    if result.unaccounted:
        missing = f"{result.unaccounted} of {result.asked} may or may not be done: Criteo's answer does not name them."
        shown.append({"id": "", "problem": missing})
    for each in shown:
        print_error(" ".join(each.values()).strip())
    told = {entry["problem"] for entry in shown}
    for problem in (*result.errors, *result.warnings):
        if str(problem) not in told:
            print_error(f"Criteo warns: {problem}")
    if not result.ok:
        failed = [*result.call_errors, *(problem for failure in result.failures for problem in failure.problems)]
        state.code = exit_for_problems(failed, done=bool(result.items or result.unaccounted))
    return shown


def _run(command: Callable[[], Coroutine[Any, Any, None]], state: Run) -> int:
    """Runs a command, shows what came of it, and returns the code that says how it went."""
    interrupts = Interrupts(lambda: _tell_draining(state))
    try:
        asyncio.run(interrupts.heeded_by(command()))
    except (KeyboardInterrupt, asyncio.CancelledError) as error:
        code = Exit.TERMINATED if interrupts.first is signal.SIGTERM else Exit.INTERRUPTED
        if interrupts.first is not None:
            _end_at_next(code)
        return _stopped(state, error, code, "Interrupted. Running the same command again is safe.")
    except Exception as error:  # noqa: BLE001 - every error ends in one line and an exit code
        return _stopped(state, error, exit_for(error), one_line(error))
    return state.code if state.report is None else _finished(state, state.report)


def _end_at_next(code: Exit) -> None:
    """Lets a further signal end the process with the code that is certain by now, whatever it is still writing."""
    for number in _ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *_: os._exit(code))


def _tell_draining(state: Run) -> None:
    if state.drains:
        print_error(f"Stopping: batches in flight get up to {state.drains:g} s; once more stops at once.")


def _finished(state: Run, report: "UploadReport") -> Exit:
    code = exit_for_report(report)
    if state.json:
        planned = {"plan": state.plan.to_dict(dt.datetime.now(dt.UTC))} if state.plan is not None else {}
        print_json({**report.to_dict(), **planned, **_how_to_resume(state), **_rejects(state), **state.facts})
    else:
        print_report(report, state.plan)
        _tell_rejects(state)
        for remark in state.remarks:
            print_result(remark)
    _say_how_to_resume(state)
    if not report.ok:
        print_verdict(f"FAILED ({code:d}): {shortfall(report)}", failed=True)
    elif not state.json:
        print_verdict(str(report).splitlines()[-1])
        for line in state.afterwards if not state.quiet else ():
            print_result(line)
    return code


def _stopped(state: Run, error: BaseException, code: Exit, line: str) -> Exit:
    if state.debug:
        traceback.print_exception(error)
    line = " ".join([line, *getattr(error, "__notes__", ())]) if state.shows_notes else line
    has_report = state.report is not None and state.report.read > 0
    if state.json:
        reported = _how_to_resume(state) | (state.report.to_dict() if state.report is not None else {})
        failed = {"ok": False, "error": {"kind": type(error).__name__, "message": line}}
        print_json({**reported, **_rejects(state), **failed})
    else:
        if state.report is not None and has_report:
            print_report(state.report)
        _tell_rejects(state)
    flush()
    _say_how_to_resume(state)
    if has_report:
        print_verdict(f"FAILED ({code:d}): {line}", failed=True)
    else:
        print_error(line)
    return code


def _rejects(state: Run) -> dict[str, str]:
    return {} if state.rejects is None else {"rejects": state.rejects}


def _tell_rejects(state: Run) -> None:
    if state.rejects is not None:
        print_result(f"What was rejected, and where it stands: {state.rejects}")


def _how_to_resume(state: Run) -> dict[str, str]:
    return {} if state.resume is None else {"resume": state.resume}


def _say_how_to_resume(state: Run) -> None:
    if state.resume is not None:
        print_error(f"To send what is missing: {state.resume}")
