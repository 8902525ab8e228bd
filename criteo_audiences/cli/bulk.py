"""What `segments` and `audiences` both do with many at once: create and update from a file, delete, size."""

from collections.abc import AsyncIterable, Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import attrs
import typer

from criteo_audiences import BulkResult, ConfigurationError, CriteoError
from criteo_audiences.cli.entities import has_settings, shown
from criteo_audiences.cli.options import Buyer, RetailerOption, Service, confirm, filled, in_account
from criteo_audiences.cli.output import Exit, one_line, print_error, print_json, print_result
from criteo_audiences.cli.run import Run, print_problems

if TYPE_CHECKING:  # slow to import: `--help` need not wait for it
    from criteo_audiences import CriteoClient

IdsArgument = Annotated[list[str], typer.Argument(parser=filled, metavar="ID...", help="Ids, separated by spaces.")]
ChannelOption = Annotated[str | None, typer.Option(metavar="TEXT", help="Onsite or Offsite, for Retail Media.")]
Reading = Callable[[Sequence[str]], AsyncIterable[Any]]
"""Searches what has one of these ids."""


@attrs.frozen(kw_only=True)
class EstimateScope(Buyer):
    """Among whose people an estimate counts."""

    retailer_id: RetailerOption = None
    channel: ChannelOption = None

    def of_file(self, service: Service) -> dict[str, str | None]:
        """Returns what was given, for a file that may hold it, too.

        Raises:
            ConfigurationError: when something was that the service does not have.
        """
        if service is Service.COMMERCE_GRID:
            raise ConfigurationError("commerce-grid estimates no sizes.")
        whose = {service.owner: self.of(service)}
        if service is Service.RETAIL_MEDIA:
            return {**whose, "retailer_id": self.retailer_id, "channel": self.channel}
        for name in ("retailer_id", "channel"):
            if getattr(self, name) is not None:
                raise ConfigurationError(f"{service.value} has no --{name.replace('_', '-')}.")
        return whose

    def keywords(self, service: Service) -> dict[str, str]:
        """Returns what an estimate is made of, in addition to what is estimated.

        Raises:
            ConfigurationError: when something is missing, or does not fit.
        """
        given = self.of_file(service)
        for name, value in given.items():
            if value is None:
                raise ConfigurationError(f"{service.value} needs --{name.replace('_', '-')} here.")
        return {name: str(value) for name, value in given.items() if name != "account_id"}


def reading(criteo: "CriteoClient", service: Service, account_id: str | None, noun: str) -> Reading:
    """Returns the search by id of a service.

    Args:
        criteo: the client.
        service: the service.
        account_id: Retail Media's account.
        noun: what is searched, as the method's name has it.

    Raises:
        ConfigurationError: when an option does not fit.
    """
    search: Callable[..., Any] = in_account(criteo, service, account_id, f"search_{noun}s")
    return lambda ids: search(**{f"{noun}_ids": ids})


async def send_all(
    call: Coroutine[Any, Any, BulkResult[Any]], state: Run, noun: str, names: Sequence[str], read: Reading
) -> None:
    """Prints what became of each definition of a file: the ids of those that Criteo took, and the problems of others.

    Args:
        call: creates or updates them.
        state: of the command.
        noun: what they are: `segment` or `audience`.
        names: what to call each in a message.
        read: searches those whose settings the answer does not have.
    """
    result = await call
    problems = print_problems(state, result, names)
    if state.json:
        whole = await _completed(result.items, noun, read)
        print_json({"ok": not problems, f"{noun}s": [shown(each) for each in whole], "problems": problems})
        return
    for each in result.items:
        print_result(each.id)


async def send_one(call: Coroutine[Any, Any, Any], state: Run, noun: str, read: Reading) -> None:
    """Prints the id of what was created or changed, with `--json` all that Criteo said about it; see `send_all`."""
    found = await call
    if state.json:
        (whole,) = await _completed([found], noun, read)
        print_json({"ok": True, noun: shown(whole)})
    else:
        print_result(found.id)


async def _completed(answered: Sequence[Any], noun: str, read: Reading) -> list[Any]:
    """Reads again what Criteo answered without its settings, so that what is printed can be fed back.

    That costs one search at most. The call was made whatever becomes of it, so a search that fails is only mentioned.
    """
    lacking = [each.id for each in answered if each.id is not None and not has_settings(each)]
    found: dict[str, Any] = {}
    failure = ""
    if lacking:
        try:
            found = {each.id: each async for each in read(lacking)}
        except CriteoError as error:
            failure = f" Reading it again failed: {one_line(error)}"
    whole = [_joined(each, found.get(each.id)) for each in answered]
    incomplete = [each.id for each in whole if each.id in lacking and not has_settings(each)]
    if incomplete:
        print_error(
            f"Criteo answered without the settings of {noun} {', '.join(incomplete)}, so --from-file may not take it;"
            f" `{noun}s list --id` may have them later.{failure}"
        )
    return whole


def _joined(answered: Any, found: Any) -> Any:
    """Returns an answer whose gaps are filled from a second one."""
    if found is None:
        return answered
    missing = [name for name, value in attrs.asdict(answered, recurse=False).items() if value is None]
    return attrs.evolve(answered, **{name: getattr(found, name) for name in missing})


def missing_ids(state: Run, noun: str, wanted: Sequence[str] | None, found: Sequence[Any]) -> list[dict[str, str]]:
    """Says which of the ids that a list was asked for are not in it, and lets the command end with the code for that.

    Args:
        state: of the command.
        noun: what is listed: `segment` or `audience`.
        wanted: the ids.
        found: what Criteo found.

    Returns:
        The problems, as `--json` prints them.
    """
    known = {each.id for each in found}
    missing = {
        each: f"There is no {noun} {each} that this login may see and that the other options fit."
        for each in wanted or ()
        if each not in known
    }
    for problem in missing.values():
        print_error(problem)
    if missing:
        state.code = Exit.SEGMENT
    return [{"id": each, "problem": problem} for each, problem in missing.items()]


async def show_estimate(call: Coroutine[Any, Any, Any], state: Run) -> None:
    """Prints how many people something would hold."""
    found = await call
    if state.json:
        print_json({"ok": True, **{name: value for name, value in shown(found).items() if name != "id"}})
    else:
        print_result(_people(found.size))


def _people(size: int | None) -> str:
    return "not shown" if size is None else f"{size:,}"


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
        problems = print_problems(state, result, ids)
        if state.json:
            print_json({"ok": not problems, "deleted": list(result.items), "problems": problems})
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
        problems = print_problems(state, result, ids)
        if state.json:
            sizes = {each.id: each.size for each in result.items}
            of_all = {"relative_sizes": {each.id: each.relative_size for each in result.items}} if options else {}
            print_json({"ok": not problems, "sizes": sizes, **of_all, "problems": problems})
            return
        for each in result.items:
            print_result(f"{each.id}  {_people(each.size)}")

    return command()
