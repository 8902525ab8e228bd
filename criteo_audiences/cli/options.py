"""Arguments and options that several commands share, written once and explained by the library's own words."""

import ast
import contextlib
import functools
import importlib
import inspect
import math
import os
import pkgutil
import re
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar, get_args, get_origin

import attrs
import typer
import typer.core
import typer.models

from criteo_audiences import ConfigurationError, CriteoError
from criteo_audiences.cli.help import HelpfulCommand
from criteo_audiences.rendering import nearest

if TYPE_CHECKING:  # slow to import: `--help` need not wait for it
    from criteo_audiences import CriteoClient

_DURATION: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([smhd]?)")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_SHARE: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+) ?(%?)")

W = TypeVar("W", bound=StrEnum)
Command = Callable[..., None]


class Service(StrEnum):
    """The services."""

    MARKETING_SOLUTIONS = "marketing-solutions"
    RETAIL_MEDIA = "retail-media"
    COMMERCE_GRID = "commerce-grid"

    @property
    def owner(self) -> str:
        """The keyword that names the owner of a segment."""
        return _OWNERS[self]


_OWNERS = {
    Service.MARKETING_SOLUTIONS: "advertiser_id",
    Service.RETAIL_MEDIA: "account_id",
    Service.COMMERCE_GRID: "data_provider_id",
}


def one_of(words: type[W]) -> Callable[[str], W]:
    """Returns what reads a word of the command line: in any case, with dashes or underscores; a typo gets a hint."""

    def read(text: str) -> W:
        known = {_plain(word): word for word in words if getattr(word, "is_known", True)}
        synonyms: Mapping[str, str] = getattr(words, "synonyms", dict)()
        known |= {_plain(other): known[_plain(word)] for other, word in synonyms.items()}
        if word := known.get(_plain(text)):
            return word
        near = nearest(_plain(text), known)
        hint = f" Did you mean {_dashed(known[near])!r}?" if near else ""
        expected = ", ".join(dict.fromkeys(map(_dashed, known.values())))
        raise typer.BadParameter(f"expected one of: {expected}.{hint}")

    return read


def _plain(word: str) -> str:
    return word.lower().replace("-", "").replace("_", "")


def _dashed(word: str) -> str:
    return word.replace("_", "-")


def available_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def duration(text: str) -> float:
    """Reads seconds, or a number followed by s, m, h or d: `90`, `1.5h`."""
    found = _DURATION.fullmatch(str(text).strip().lower())
    if found is None:
        raise typer.BadParameter("expected seconds, or a number with s, m, h or d: 90, 15m, 1.5h, 30d.")
    return float(found[1]) * _SECONDS[found[2] or "s"]


def age(text: str) -> float:
    """Reads a duration whose unit must be written: who means 30 days must not remove what is 30 seconds old."""
    if str(text).strip().isdecimal():
        raise typer.BadParameter("expected a number with its unit: 12h or 30d.")
    return duration(text)


def share(text: str) -> float:
    """Reads a share: `0.05` or `5%`."""
    found = _SHARE.fullmatch(str(text).strip())
    number = math.nan if found is None else float(found[1]) / (100 if found[2] else 1)
    if not 0 <= number <= 1:
        raise typer.BadParameter("expected a share from 0 to 1, or 0% to 100%: 0.05 or 5%.")
    return number


def filled(text: str) -> str:
    """Reads a text that must not be empty, as the value of an unset shell variable would be."""
    if not text.strip():
        raise typer.BadParameter("must not be empty.")
    return text


def words_of(words: type[StrEnum]) -> Callable[[], list[str]]:
    """Returns what gives a shell the words of an option, to complete one."""
    return lambda: [_dashed(word) for word in words]


def known_segments() -> list[str]:
    """Returns the lists that uploads were made to, for a shell's completion, which is silent about what is wrong."""
    from criteo_audiences import journals  # noqa: PLC0415 - slow to import

    with contextlib.suppress(CriteoError):
        directory = journals.state_directory()
        found = journals.list_journals(directory) if directory is not None else []
        return sorted({each.segment_id for each in found if each.segment_id})
    return []


ServiceArgument = Annotated[
    Service,
    typer.Argument(
        parser=one_of(Service), metavar="SERVICE", help="One of marketing-solutions, retail-media, commerce-grid."
    ),
]
SegmentArgument = Annotated[
    str,
    typer.Argument(parser=filled, metavar="SEGMENT_ID", help="Id of the segment.", autocompletion=known_segments),
]
AccountOption = Annotated[str | None, typer.Option(parser=filled, metavar="ID", help="Owner in Retail Media.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
DescriptionOption = Annotated[str | None, typer.Option(metavar="TEXT", help="Free text.")]
RetailerOption = Annotated[str | None, typer.Option(parser=filled, metavar="ID", help="Retailer, for Retail Media.")]


@attrs.frozen(kw_only=True)
class Buyer:
    """Whose a segment or an audience is, in the services that have both."""

    advertiser_id: Annotated[
        str | None, typer.Option(parser=filled, metavar="ID", help="Owner in Marketing Solutions.")
    ] = None
    account_id: AccountOption = None

    def of(self, service: Service) -> str | None:
        """Returns the owner that was given for a service.

        Raises:
            ConfigurationError: when one was given that the service does not have.
        """
        given = {keyword: getattr(self, keyword, None) for keyword in _OWNERS.values()}
        for keyword, value in given.items():
            if value is not None and keyword != service.owner:
                wanted, found = _option(service.owner), _option(keyword)
                raise ConfigurationError(f"{service.value} has no {found}; its segments belong to {wanted}.")
        return given[service.owner]

    def required(self, service: Service) -> str:
        """Returns the owner that was given for a service.

        Raises:
            ConfigurationError: when none was, or one that the service does not have.
        """
        owner = self.of(service)
        if owner is None:
            raise ConfigurationError(f"{service.value} needs {_option(service.owner)} here.")
        return owner


@attrs.frozen(kw_only=True)
class Owner(Buyer):
    """Whose a segment is."""

    data_provider_id: Annotated[
        str | None, typer.Option(parser=filled, metavar="ID", help="Owner in Commerce Grid.")
    ] = None


def _option(keyword: str) -> str:
    return f"--{_dashed(keyword)}"


@attrs.frozen(kw_only=True)
class Changes:
    """What can be changed of a segment and of an audience alike."""

    name: Annotated[str | None, typer.Option(parser=filled, metavar="TEXT", help="New name.")] = None
    description: DescriptionOption = None
    no_description: Annotated[bool, typer.Option("--no-description", help="Remove the description.")] = False

    @property
    def given(self) -> bool:
        """Whether there are any."""
        return self != Changes()

    def keywords(self) -> dict[str, str | None]:
        """Returns what was given, as an update takes it.

        Raises:
            ConfigurationError: when two of them contradict each other.
        """
        if self.description is not None and self.no_description:
            raise ConfigurationError("Give --description or --no-description, not both.")
        name = {} if self.name is None else {"name": self.name}
        changed = self.description is not None or self.no_description
        return {**name, "description": self.description} if changed else {**name}


def require_terminal() -> None:
    """Refuses to continue when standard input is no terminal, so that the user cannot be asked.

    Raises:
        ConfigurationError: when standard input is no terminal.
    """
    if not sys.stdin.isatty():
        raise ConfigurationError("Nothing was done: confirm with --yes where standard input is no terminal.")


def examples(*commands: str) -> str:
    """Returns the end of a help text: commands that can be pasted, each without the program's name."""
    return "\n\n".join(["Examples:", *(f"criteo-audiences {command}" for command in commands)])


def confirm(question: str | Callable[[], str]) -> None:
    """Asks the user, on standard error, to confirm a step that cannot be undone.

    Args:
        question: the question, or a function that returns it and is called only where there is a terminal to answer at.

    Raises:
        ConfigurationError: when the answer is not yes, or standard input is no terminal.
    """
    require_terminal()
    text = question if isinstance(question, str) else question()
    print(f"{text} [y/N]: ", end="", file=sys.stderr, flush=True)  # noqa: T201 - a question, not a result
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise ConfigurationError("Nothing was done.")


def in_account(
    criteo: "CriteoClient", service: Service, account_id: str | None, method: str
) -> Callable[..., Coroutine[Any, Any, Any]]:
    """Returns a service's method, with the account that Retail Media wants first.

    Raises:
        ConfigurationError: when Retail Media's account is missing, or another service was given one.
    """
    bound: Callable[..., Coroutine[Any, Any, Any]] = getattr(service_of(criteo, service), method)
    if service is Service.RETAIL_MEDIA:
        return functools.partial(bound, Buyer(account_id=account_id).required(service))
    if account_id is not None:
        raise ConfigurationError(f"{service.value} has no --account-id.")
    return bound


def models_of(service: Service) -> Any:
    """Returns the package that holds a service's models; imported here, since most commands need none."""
    return importlib.import_module(f"criteo_audiences.{service.name.lower()}")


def service_of(criteo: "CriteoClient", service: Service) -> Any:
    """Returns the client's service; the services' methods have the same names."""
    return getattr(criteo, service.name.lower())


def grouped(command: Command) -> Command:
    """Returns the command as typer wants it: with the options of its groups in place of the groups.

    typer makes an option of every parameter, so that commands with the same options would each list them all. Here
    they are written once, as the fields of an attrs class, and reach the command as one object.

    Args:
        command: takes groups as well as arguments and options of its own; an attrs class is a group, and of its fields
            those annotated with `typer.Option` are options.
    """
    shown: list[inspect.Parameter] = []
    groups: dict[str, tuple[Callable[..., Any], list[str]]] = {}
    parameters = inspect.signature(command).parameters
    for parameter in parameters.values():
        if attrs.has(parameter.annotation):  # an option of the command's own takes the place of the group's
            options = [option for option in _options(parameter.annotation) if option.name not in parameters]
            groups[parameter.name] = parameter.annotation, [option.name for option in options]
            shown += options
        else:
            shown.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))

    @functools.wraps(command)
    def called(**values: Any) -> None:
        for name, (group, options) in groups.items():
            values[name] = group(**{option: values.pop(option) for option in options})
        command(**values)

    called.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
    called.__annotations__ = {parameter.name: parameter.annotation for parameter in shown}
    return called


def _options(group: Any) -> Iterator[inspect.Parameter]:
    for field in attrs.fields(group):
        if get_origin(field.type) is Annotated and isinstance(get_args(field.type)[-1], typer.models.OptionInfo):
            default = inspect.Parameter.empty if field.default is attrs.NOTHING else field.default
            kind = inspect.Parameter.KEYWORD_ONLY
            yield inspect.Parameter(field.name, kind, default=default, annotation=field.type)


class UploadCommand(HelpfulCommand):
    """A command whose options are keywords of the library's uploads: those without a help text get the library's."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Writes the help; only now, because the library's words are slow to import."""
        meanings = keyword_meanings()
        for parameter in self.params:
            if isinstance(parameter, typer.core.TyperOption) and not parameter.help and parameter.name in meanings:
                parameter.help = in_short(meanings[parameter.name])
        super().format_help(ctx, formatter)


def keyword_meanings() -> dict[str, str]:
    """Returns what each keyword of an upload means, as the docstring of `UploadOptions` has it, on one line each.

    It is read and not imported, which would take longer than all the rest of `--help`.
    """
    return _meanings("uploads/keywords.py", "OtherOptions")


def _meanings(module: str, name: str) -> dict[str, str]:
    """Returns the entries of a class's docstring."""
    source = pkgutil.get_data("criteo_audiences", module) or b""
    classes = {node.name: node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)}
    entries = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", ast.get_docstring(classes[name]) or "", re.MULTILINE)
    return {keyword: " ".join(words.split()) for keyword, words in entries}


def in_short(meaning: str) -> str:
    """Returns the first sentence of a meaning as a help text: in the command line's spelling."""
    sentence = re.split(r"(?<=\.) (?=[A-Z`])", meaning, maxsplit=1)[0]
    spelled = re.sub(r"`([^`]*)`", lambda found: found[1].replace("_", "-"), sentence)
    return spelled[0].upper() + spelled[1:]


def in_option_spelling(message: str) -> str:
    """Returns a message of the library with its keywords spelled as the options they are on the command line."""
    words = sorted(keyword_meanings() | _meanings("mirrors/options.py", "MirrorOptions"), key=len, reverse=True)
    some, long = "|".join(words), "|".join(word for word in words if "_" in word)
    value = r"(?:True|(?P<off>False)|'(?P<text>[^']*)'|(?P<number>[0-9.]*[0-9])|(?P<member>[a-z]+(?:-[a-z]+)*))"
    for pattern in (
        rf"\b(?P<word>{some})={value}(?!\w|\.[0-9])(?: \(--[^)]*\))?",
        rf"^(?P<word>{some})(?= (?:must|goes|names|is|needs|and|has|or|excludes)\b)",
        rf"(?<=goes with )(?P<word>{some})\b",
        rf"(?<![\w/.'-])(?P<word>{long})(?![\w/'.=-])",
    ):
        message = re.sub(pattern, _spelled, message)
    return message


def _spelled(found: re.Match[str]) -> str:
    given = found.groupdict()
    option = f"--no-{_dashed(given['word'])}" if given.get("off") else _option(given["word"])
    value = given.get("text") or given.get("number") or given.get("member")
    return option if value is None else f"{option} {value}"
