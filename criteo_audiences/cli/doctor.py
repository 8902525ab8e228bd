"""`doctor`, `whoami` and `profiles`: whether this machine, a login and Criteo fit together, and whose login it is."""

import importlib.util
import os
import platform
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from attrs import asdict, frozen

from criteo_audiences import AuthenticationError, CriteoError, PermissionDeniedError, __version__
from criteo_audiences.cli import login
from criteo_audiences.cli.entities import shown
from criteo_audiences.cli.options import Service, ServiceArgument, filled, grouped, service_of
from criteo_audiences.cli.output import (
    Exit,
    exit_for,
    one_line,
    print_error,
    print_json,
    print_marked,
    print_result,
    print_verdict,
)
from criteo_audiences.cli.run import Run, run, run_connected

if TYPE_CHECKING:
    from criteo_audiences import CriteoClient


_EXTRAS: Final = {
    "files": ("duckdb", "no file can be read", False),
    "phone": ("phonenumbers", "phone numbers without a country code are rejected", None),
}
"""Of each extra: its module, what follows where that is missing, and how it is said: `False` fails, `None` notes."""

_TEMPORARY: Final = "TMPDIR", "TEMP", "TMP"
"""In the order in which Python looks at them."""

_MOST_SKEW: Final = 5.0


@frozen
class Finding:
    """What one look found.

    Attributes:
        ok: whether it is as it should be; `None` for what works and could be better.
        subject: what was looked at.
        text: what was found, and what to do about it.
        code: with which the command ends when it is not.
    """

    ok: bool | None
    subject: str
    text: str
    code: Exit = Exit.OK


def doctor(state: Run) -> None:
    """Check host, profile, login, permissions, quota, extras, versions, TMPDIR, journals and clock: ok, or what to do.

    It makes at most one call for each service, and sends no identifier.
    """

    async def command() -> None:
        found: list[Finding] = []
        async for finding in _findings():
            found.append(finding)
            if not state.json:
                print_marked(finding.ok, f"{finding.subject:<12}  {finding.text}")
        wrong = [finding for finding in found if finding.ok is False]
        state.code = wrong[0].code if wrong else Exit.OK
        if state.json:
            print_json({"ok": not wrong, "findings": [asdict(finding) for finding in found]})
        elif wrong:
            subjects = ", ".join(finding.subject for finding in wrong)
            print_verdict(f"FAILED ({state.code:d}): see {subjects} above.", failed=True)
        else:
            print_verdict("OK: uploads can begin.")

    run(command, state)


async def _findings() -> AsyncIterator[Finding]:
    yield Finding(True, "version", f"criteo-audiences {__version__}, Python {platform.python_version()}")
    for finding in (*_extras(), _temporary(), _journals()):
        yield finding
    try:
        criteo = _client()
    except CriteoError as error:
        yield Finding(False, "login", one_line(error), exit_for(error))
        return
    async with criteo:
        yield Finding(True, "profile", f"{login.source()}, for {criteo.host}")
        refused = await _failure(criteo.authenticate)
        if refused is not None:
            subject = "login" if isinstance(refused, AuthenticationError) else "host"
            yield Finding(False, subject, one_line(refused), exit_for(refused))
            return
        yield Finding(True, "login", "accepted")
        async for finding in _permissions(criteo):
            yield finding
        yield _quota(criteo)


def _client(profile: str | None = None) -> "CriteoClient":
    """Builds a client that repeats a failed call once: whoever asks what is wrong waits for the answer."""
    from criteo_audiences import RetryPolicy  # noqa: PLC0415 - loads what only calls need

    return login.client(profile, retry=RetryPolicy(attempts=2))


def _extras() -> Iterator[Finding]:
    for extra, (module, without, ok) in _EXTRAS.items():
        if importlib.util.find_spec(module):
            yield Finding(True, f"extra {extra}", "installed")
        else:
            text = f"not installed, so {without}: pip install 'criteo-audiences[{extra}]'"
            yield Finding(ok, f"extra {extra}", text, Exit.USAGE)


def _temporary() -> Finding:
    """Looks at where files are prepared: Python passes over a directory that it cannot use, and says nothing."""
    variable = next((name for name in _TEMPORARY if os.environ.get(name)), None)
    wanted = os.environ[variable] if variable else ""
    try:
        directory = tempfile.gettempdir()
    except FileNotFoundError:
        text = "no directory can be written in which files are prepared: let TMPDIR name one"
        return Finding(False, "temporary", text, Exit.FILE)
    if variable and Path(wanted).resolve() != Path(directory).resolve():
        text = (
            f"no file can be written in {wanted}, so {directory} would be used: let {variable} name another directory"
        )
        return Finding(False, "temporary", text, Exit.FILE)
    return Finding(True, "temporary", f"files are prepared in {directory}")


def _journals() -> Finding:
    from criteo_audiences import journals  # noqa: PLC0415 - slow to import

    directory = journals.state_directory()
    if directory is None:
        return Finding(None, "journals", "no home directory to keep them in; XDG_STATE_HOME names another place")
    try:
        found = journals.list_journals(directory)
    except CriteoError as error:
        return Finding(False, "journals", one_line(error), exit_for(error))
    nearest = next(each for each in (directory, *directory.parents) if each.exists())
    if not (nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)):
        return Finding(
            None, "journals", f"none can be kept in {nearest}; XDG_STATE_HOME or --journal names another place"
        )
    unfinished = sum(each.state is journals.JournalState.UNFINISHED for each in found)
    damaged = [each.path.name for each in found if each.state is journals.JournalState.DAMAGED]
    if damaged:
        return Finding(False, "journals", f"damaged: {', '.join(damaged)}; remove them from {directory}", Exit.FILE)
    return Finding(True, "journals", f"{len(found)} in {directory}, {unfinished} of them of unfinished uploads")


async def _permissions(criteo: "CriteoClient") -> AsyncIterator[Finding]:
    """Asks each service who the application is: an application is made for some of them, and one is enough."""
    refusals: list[tuple[Service, CriteoError]] = []
    for service in Service:
        error = await _failure(service_of(criteo, service).get_application)
        if error is None:
            yield Finding(True, "permission", f"{service.value} may be called")
        else:
            refusals.append((service, error))
    for service, error in refusals:
        passing = isinstance(error, PermissionDeniedError) and len(refusals) < len(Service)
        yield Finding(None if passing else False, "permission", f"{service.value}: {one_line(error)}", exit_for(error))


def _quota(criteo: "CriteoClient") -> Finding:
    limit = criteo.rate_limit
    if limit is None or limit.limit is None:
        return Finding(None, "quota", "Criteo announced none")
    text = f"{limit.remaining} of {limit.limit} calls of this window are left"
    if limit.reset_at is not None and limit.reset_in is not None:
        skew = limit.reset_at.timestamp() - limit.reset_in - time.time()
        if abs(skew) > _MOST_SKEW:
            side = "behind" if skew > 0 else "ahead"
            return Finding(
                False, "clock", f"this machine's is {abs(skew):,.0f} s {side} of Criteo's: set it by NTP", Exit.USAGE
            )
        text += "; the clock is right"
    return Finding(True, "quota", text)


async def _failure(call: Callable[[], Awaitable[Any]]) -> CriteoError | None:
    try:
        await call()
    except CriteoError as error:
        return error
    return None


profiles = typer.Typer(no_args_is_help=True, help="List and check the profiles of this machine.")

NamesArgument = Annotated[
    list[str] | None,
    typer.Argument(
        parser=filled, metavar="NAME...", help="Profiles (default: all).", autocompletion=login.complete_names
    ),
]


@profiles.command("list")
@grouped
def list_profiles(state: Run) -> None:
    """List the names of the profiles."""

    async def command() -> None:
        names = login.names()
        if state.json:
            print_json({"ok": True, "profiles": names})
            return
        for name in names:
            print_result(name)

    run(command, state)


@profiles.command()
@grouped
def check(names: NamesArgument = None, *, state: Run) -> None:
    """Log in with each profile, which spends no quota: ok, or what to do."""

    async def command() -> None:
        found = []
        for name in names or login.names():
            error = await _refusal(name)
            text = "accepted" if error is None else one_line(error)
            found.append({"profile": name, "ok": error is None, "text": text})
            if error is not None:
                state.code = state.code or exit_for(error)
            if not state.json:
                print_marked(error is None, f"{name}: {text}")
        if state.json:
            print_json({"ok": state.code is Exit.OK, "profiles": found})

    run(command, state)


async def _refusal(name: str) -> CriteoError | None:
    try:
        async with _client(name) as criteo:
            await criteo.authenticate()
    except CriteoError as error:
        return error
    return None


def whoami(service: ServiceArgument, state: Run) -> None:
    """Show the application of the credentials, and the advertisers or accounts it may work for."""

    async def command(criteo: "CriteoClient") -> None:
        application = await service_of(criteo, service).get_application()
        owners = await _owners(criteo, service)
        if state.json:
            found = {"id": application.application_id, **shown(application)}
            del found["application_id"]
            print_json({"ok": True, "application": found, "owners": owners})
            return
        print_result(f"{application.name} (application {application.application_id})")
        for owner in owners:
            print_result(f"  {owner['id']}  {owner['name']}")

    run_connected(command, state)


async def _owners(criteo: "CriteoClient", service: Service) -> list[dict[str, Any]]:
    """Lists whom the application may work for; one that may not list them can still say who it is."""
    try:
        if service is Service.MARKETING_SOLUTIONS:
            advertisers = await criteo.marketing_solutions.list_advertisers()
            return [{"id": each.id, "name": each.advertiser_name} for each in advertisers]
        if service is Service.RETAIL_MEDIA:
            return [shown(each) async for each in criteo.retail_media.list_accounts()]
    except CriteoError as error:
        print_error(one_line(error))
    return []
