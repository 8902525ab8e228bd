"""What `segments` and `audiences` both do with many ids at once: delete, size."""

from collections.abc import Coroutine, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from criteo_audiences import ConfigurationError
from criteo_audiences.cli.options import Service, confirm, filled, in_account
from criteo_audiences.cli.run import Run, print_problems
from criteo_audiences.cli.streams import print_json, print_result

if TYPE_CHECKING:  # slow to import: `--help` need not wait for it
    from criteo_audiences import CriteoClient

IdsArgument = Annotated[list[str], typer.Argument(parser=filled, metavar="ID...", help="Ids, separated by spaces.")]
ChannelOption = Annotated[str | None, typer.Option(metavar="TEXT", help="Onsite or Offsite, for Retail Media.")]


def delete_all(
    criteo: "CriteoClient",
    state: Run,
    service: Service,
    account_id: str | None,
    noun: str,
    ids: list[str],
    *,
    yes: bool,
) -> Coroutine[Any, Any, None]:
    """Asks first, unless `--yes` was given, then deletes and prints the ids that are gone, with the problems of others.

    Args:
        criteo: the client.
        state: of the command.
        service: the service.
        account_id: Retail Media's account.
        noun: what is deleted, as the method's name has it.
        ids: which of them.
        yes: whether not to ask.

    Raises:
        ConfigurationError: when an option does not fit, or the answer was not yes.
    """
    delete = in_account(criteo, service, account_id, f"delete_{noun}s")
    if not yes:
        confirm(f"Delete {len(ids)} {noun.replace('_', ' ')}(s) of {service.value}?")

    async def command() -> None:
        result = await delete(ids)
        shown = print_problems(state, result, ids)
        if state.json:
            print_json({"ok": not shown, "deleted": list(result.items), "problems": shown})
            return
        for each in result.items:
            print_result(each)

    return command()


def size_all(
    criteo: "CriteoClient",
    state: Run,
    service: Service,
    account_id: str | None,
    noun: str,
    ids: list[str],
    channel: str | None,
) -> Coroutine[Any, Any, None]:
    """Computes sizes and prints them, with the problems of those that have none; the arguments are `delete_all`'s.

    Raises:
        ConfigurationError: when an option does not fit.
    """
    if (channel is not None) != (service is Service.RETAIL_MEDIA):
        raise ConfigurationError("--channel goes with retail-media, which needs it.")
    options: Mapping[str, Any] = {} if channel is None else {"channel": channel}
    compute = in_account(criteo, service, account_id, f"compute_{noun}_sizes")

    async def command() -> None:
        result = await compute(ids, **options)
        shown = print_problems(state, result, ids)
        if state.json:
            print_json({"ok": not shown, "sizes": {each.id: each.size for each in result.items}, "problems": shown})
            return
        for each in result.items:
            print_result(f"{each.id}  {'not shown' if each.size is None else f'{each.size:,}'}")

    return command()
