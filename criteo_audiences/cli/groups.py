"""Options that several commands share: a parameter that is an attrs class stands for the options among its fields."""

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Annotated, Any, get_args, get_origin

import attrs
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
