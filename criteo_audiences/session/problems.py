"""Reads the problems of an answer, whatever stands in its `errors` and `warnings`."""

from collections.abc import Mapping
from typing import Any, Final

from criteo_audiences.errors import InvalidResponseError
from criteo_audiences.models import Problem, ProblemType

MOST_PROBLEMS: Final = 10_000
MOST_OF_A_SINGLE_CALL: Final = 100
_LONGEST_TEXT: Final = 1_000
_MOST_SOURCES: Final = 20
_TEXTS: Final = ("code", "instance", "title", "detail")


def read_problems(entries: Any, *, lenient: bool = False, most: int = MOST_PROBLEMS) -> tuple[Problem, ...]:
    """Reads `errors` or `warnings`, which may be missing, `null` or empty.

    Args:
        entries: the JSON value.
        lenient: skip what is no problem object, as among warnings or in the answer of a broken gateway, instead of
            refusing it.
        most: how many are read; a server may list any number.

    Raises:
        InvalidResponseError: when it is no list of objects and `lenient` is false.
    """
    if entries is None:
        return ()
    listed = entries[:most] if isinstance(entries, list) else []
    readable = isinstance(entries, list) and all(entry is None or isinstance(entry, dict) for entry in listed)
    if not readable and not lenient:
        raise InvalidResponseError(["expected a list of problems @ $.errors"])
    return tuple(_problem(entry) for entry in listed if isinstance(entry, dict))


def _problem(entry: Mapping[str, Any]) -> Problem:
    """Reads one problem; the trace id also from its deprecated twin, the stack trace as a text or a list of texts."""
    kind, source, stack = entry.get("type"), entry.get("source"), entry.get("stackTrace")
    lines = [line for line in stack if isinstance(line, str)] if isinstance(stack, list) else []
    return Problem(
        type=ProblemType(kind) if isinstance(kind, str) else None,
        source=_source(source) if isinstance(source, dict) else None,
        stack_trace=_text("\n".join(lines) if lines else stack),
        trace_id=_text(entry.get("traceId")) or _text(entry.get("traceIdentifier")),
        **{name: _text(entry.get(name)) for name in _TEXTS},
    )


def _source(entries: Mapping[str, Any]) -> dict[str, str] | None:
    """Returns what is text of what caused a problem, with a bound on how much."""
    read = {key[:_LONGEST_TEXT]: _text(value) for key, value in list(entries.items())[:_MOST_SOURCES]}
    return {key: value for key, value in read.items() if value is not None} or None


def _text(value: object) -> str | None:
    """Returns a text, cut to a readable length, so that a large answer does not keep much memory."""
    if not isinstance(value, str):
        return None
    return value if len(value) <= _LONGEST_TEXT else value[:_LONGEST_TEXT]
