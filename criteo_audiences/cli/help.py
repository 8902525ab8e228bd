"""What `--help` prints: usage, options under headings that say what they are about, and an example of every command."""

import inspect
from collections.abc import Iterator
from enum import Enum
from typing import Any, Final

import typer
import typer.core

_PROGRAM: Final = "criteo-audiences"
_LABELS: Final = 28  # columns at most; a longer label has a line of its own
_OTHERS: Final = "Options"
_WIDTH: Final = 80

_PANELS: Final = {
    "What": "operation column columns hash identifier_type region region_column keep_trunk_zero gum_caller_id",
    "Which rows": "where skip_rows encoding hive_partitioning suppress suppress_column suppress_strict dedupe",
    "Sending": "dry_run batch_size max_concurrency max_in_flight_bytes max_body_bytes threads memory_limit deadline "
    "drain_timeout",
    "Limits": "max_rejected max_invalid fail_on allow_empty",
    "Resuming": "journal no_journal resume",
    "Owner": "advertiser_id account_id retailer_id data_provider_id",
    _OTHERS: "",
    "Output": "rejects rejects_plain json quiet no_progress verbose debug profile help version",
}
_PANEL_OF: Final = {name: panel for panel, names in _PANELS.items() for name in names.split()}

_EXAMPLES: Final = {
    "": ["demo", "whoami marketing-solutions", "upload marketing-solutions 812345 crm.csv --hash sha256"],
    "upload": [
        "upload marketing-solutions 812345 crm.csv --hash sha256",
        "upload marketing-solutions 812345 'exports/*.csv.gz' --hash sha256 --suppress opt-outs.csv",
        "upload marketing-solutions 812345 crm.csv --hash none --column email --where \"consent = 'yes'\"",
        "upload marketing-solutions 812345 crm.csv --hash sha256 --dry-run",
    ],
    "remove": ["remove retail-media 812345 gone.csv --hash sha256 --account-id 1"],
    "demo": ["demo", "demo crm.csv --hash sha256 --where \"country = 'FR'\""],
    "doctor": ["doctor", "doctor --profile agency"],
    "journals prune": ["journals prune --older-than 30d"],
    "journals remove": ["journals remove --completed"],
    "journals compact": ["journals compact --completed"],
}
# What a command without an example of its own is shown with, by the metavar.
_VALUES: Final = {
    "SERVICE": "marketing-solutions",
    "SEGMENT_ID": "812345",
    "FILE...": "crm.csv",
    "FILE": "crm.csv",
    "ID...": "812345 812346",
    "ID": "123",
    "NAME": "'CRM buyers'",
    "ADVERTISER_ID": "123",
    "COUNTRY": "FR",
    "CODE": "FR",
    "JSON": '\'{"audienceSegmentId": "1"}\'',
}


class HelpfulCommand(typer.core.TyperCommand):
    """A command whose help is ours."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:  # noqa: ARG002 - as the base class has it
        """Returns the arguments for a usage line, also that of an error."""
        return _usage(self)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Writes the help."""
        _write_help(self, ctx, formatter)


class HelpfulGroup(typer.core.TyperGroup):
    """A group of commands whose help is ours."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:  # noqa: ARG002 - see above
        """See `HelpfulCommand`."""
        return _usage(self)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Writes the help."""
        _write_help(self, ctx, formatter)


def make_helpful(app: typer.Typer) -> None:
    """Gives every command of an application, and of the groups in it, the help of this module."""
    app.info.cls = HelpfulGroup
    for command in app.registered_commands:
        if command.cls is typer.core.TyperCommand:
            command.cls = HelpfulCommand
    for group in app.registered_groups:
        if group.typer_instance is not None:
            make_helpful(group.typer_instance)


def _write_help(command: Any, ctx: Any, formatter: Any) -> None:
    formatter.width = min(formatter.width, _WIDTH)
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    commands = getattr(command, "commands", {})
    formatter.write_usage(ctx.command_path, " ".join(_usage(command)))
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        formatter.write_paragraph()
        formatter.write_text(" ".join(paragraph.split()))
    _write_rows(formatter, "Commands", [(name, _sentence(each.help)) for name, each in commands.items()])
    _write_rows(formatter, "Arguments", [(_usage_of(argument), argument.help or "") for argument in arguments])
    for panel, options in _panels(command, ctx).items():
        _write_rows(formatter, panel, [(_label(option), _meaning(option)) for option in options])
    with formatter.section("Examples"):
        for example in _examples(ctx, command):
            formatter.write(_folded(f"  {_PROGRAM} {example}"))


def _usage(command: Any) -> list[str]:
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    return [*(["COMMAND"] if hasattr(command, "commands") else []), *map(_usage_of, arguments), "[OPTIONS]"]


def _write_rows(formatter: Any, heading: str, rows: list[tuple[str, str]]) -> None:
    if rows:
        with formatter.section(heading):
            formatter.write_dl(rows, col_max=_LABELS)


def _sentence(text: str | None) -> str:
    return " ".join((text or "").split("\n\n")[0].split())


def _usage_of(argument: Any) -> str:
    name = argument.metavar or argument.name.upper()
    return name if argument.required else f"[{name}]"


def _panels(command: Any, ctx: Any) -> dict[str, list[Any]]:
    """Returns the options by their heading, in the order of the headings."""
    found: dict[str, list[Any]] = {panel: [] for panel in _PANELS}
    for param in command.get_params(ctx):
        if param.param_type_name == "option" and not param.hidden:
            panel = getattr(param, "rich_help_panel", None) or _PANEL_OF.get(param.name, _OTHERS)
            found.setdefault(panel, []).append(param)
    return {panel: options for panel, options in found.items() if options}


def _label(option: Any) -> str:
    names = ", ".join(sorted(option.opts, key=len))
    if option.secondary_opts:
        names += f", {option.secondary_opts[0]}"
    return names if option.is_flag else f"{names} {option.metavar or option.name.upper()}"


def _meaning(option: Any) -> str:
    text = option.help or ""
    if option.required:
        return f"{text} [required]"
    default = option.default() if callable(option.default) else option.default
    if default is None or default is False or default in ((), []) or "default" in text or option.name == "help":
        return text
    shown = "on" if default is True else default.value if isinstance(default, Enum) else f"{default}"
    return f"{text} [default: {shown}]" if option.secondary_opts or not option.is_flag else text


def _examples(ctx: Any, command: Any) -> Iterator[str]:
    path = " ".join(ctx.command_path.split()[len(ctx.find_root().command_path.split()) :])
    if command.epilog:
        for example in command.epilog.split("\n\n")[1:]:
            yield example.removeprefix(f"{_PROGRAM} ")
    elif path in _EXAMPLES:
        yield from _EXAMPLES[path]
    elif getattr(command, "commands", None):
        yield " ".join((path, next(iter(command.commands)), "--help"))
    else:
        wanted = (param for param in command.params if param.required)
        yield " ".join((path, *map(_shown, wanted)))


def _shown(param: Any) -> str:
    value = _VALUES.get(param.metavar or "", param.metavar or "")
    return value if param.param_type_name == "argument" else f"{param.opts[0]} {value}"


def _folded(command: str) -> str:
    """Returns a command for a shell, folded before its options where it is too long for a line."""
    lines = [""]
    for part in command.split(" --"):
        word = f"{' --' if lines != [''] else ''}{part}"
        if lines != [""] and len(lines[-1] + word) > _WIDTH - len(" \\"):
            lines.append("     ")
        lines[-1] += word
    return " \\\n".join(lines) + "\n"
