"""How commands share options: as the fields of an attrs class, explained by the library's own words."""

import functools
import inspect
import re
from collections.abc import Callable, Iterator
from typing import Annotated, Any, get_args, get_origin

import attrs
import typer.core
import typer.models

Command = Callable[..., None]


def grouped(command: Command) -> Command:
    """Returns the command as typer wants it: with the options of its groups in place of the groups.

    typer makes an option of every parameter, so that commands with the same options would each list them all. Here
    they are written once, as the fields of an attrs class, and reach the command as one object.

    Args:
        command: takes groups beside arguments and options of its own; an attrs class is a group, and of its fields
            those annotated with `typer.Option` are options.
    """
    shown: list[inspect.Parameter] = []
    groups: dict[str, tuple[Callable[..., Any], list[str]]] = {}
    for parameter in inspect.signature(command).parameters.values():
        if attrs.has(parameter.annotation):
            options = list(_options(parameter.annotation))
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


class UploadCommand(typer.core.TyperCommand):
    """A command whose options are keywords of the library's uploads: those without a help text get the library's."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Writes the help; only now, because the library's words are slow to import."""
        meanings = keyword_meanings()
        for parameter in self.params:
            if isinstance(parameter, typer.core.TyperOption) and not parameter.help and parameter.name in meanings:
                parameter.help = in_short(meanings[parameter.name])
        super().format_help(ctx, formatter)


def keyword_meanings() -> dict[str, str]:
    """Returns what each keyword of an upload means, as the docstring of `UploadOptions` has it, on one line each."""
    from criteo_audiences import UploadOptions  # noqa: PLC0415 - slow to import, and most commands upload nothing

    text = inspect.cleandoc(UploadOptions.__doc__ or "")  # -OO takes docstrings away
    entries = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", text, re.MULTILINE)
    return {keyword: " ".join(words.split()) for keyword, words in entries}


def in_short(meaning: str) -> str:
    """Returns the first sentence of a meaning as a help text: in the command line's spelling."""
    sentence = re.split(r"(?<=\.) (?=[A-Z`])", meaning, maxsplit=1)[0]
    spelled = re.sub(r"`([^`]*)`", lambda found: found[1].replace("_", "-"), sentence)
    return spelled[0].upper() + spelled[1:]
