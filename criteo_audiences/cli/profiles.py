"""`profiles`: the logins that a machine has by name."""

from typing import Annotated

import typer

from criteo_audiences import CriteoError
from criteo_audiences.cli import login
from criteo_audiences.cli.exit_codes import Exit, exit_for, one_line
from criteo_audiences.cli.options import filled, grouped
from criteo_audiences.cli.run import Run, run
from criteo_audiences.cli.streams import print_json, print_marked, print_result

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
        async with login.client(name) as criteo:
            await criteo.authenticate()
    except CriteoError as error:
        return error
    return None
