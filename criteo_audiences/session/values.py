"""Reads single values and problems in all of Criteo's spellings; raises `UnreadableError` for anything else."""

import datetime as dt
import re
from collections.abc import Mapping
from typing import Any, Final

from criteo_audiences.errors import InvalidResponseError
from criteo_audiences.models import Problem, ProblemType, Word

_TIMESTAMP = re.compile(
    r"(\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?\s?(Z|z|[+-]\d{2}:?\d{2})?",
)
_NUMBER = re.compile(r"[+-]?[0-9]{1,15}(?:\.[0-9]{1,15})?")
_WHOLE = re.compile(r"[+-]?\d{1,19}")
_INT64: Final = 2**63 - 1
_BOOLS: Final = {"true": True, "false": False}


class UnreadableError(InvalidResponseError):
    """A value is not of the expected kind. The codec catches this error, which never contains the value.

    Attributes:
        expected: what the value should have been.
        way: the path to it from where the reading began: names on the wire and positions in lists.
    """

    def __init__(self, expected: str, *way: str | int) -> None:
        self.expected = expected
        self.way = way
        super().__init__([expected])


def read_timestamp(text: str) -> dt.datetime:
    """Reads Criteo's timestamps, with zero to nine fractional digits; one without a time zone is in UTC.

    The fraction is cut to microseconds, not rounded.

    Raises:
        ValueError: when it is not a timestamp.
    """
    found = _TIMESTAMP.fullmatch(text)
    if not found:
        raise ValueError("not a timestamp")
    whole, fraction, zone = found.groups()
    micros = (fraction or "")[:6].ljust(6, "0")
    offset = "+00:00" if zone in {None, "Z", "z"} else zone
    return dt.datetime.fromisoformat(f"{whole}.{micros}{offset}").astimezone(dt.UTC)


def read_text(value: Any, _: type) -> str:
    """Reads text. A number is read as text too: Criteo may send ids, of up to 18 digits, as numbers."""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise UnreadableError("expected text")


def read_int(value: Any, _: type) -> int:
    """Reads a whole number of 64 bits, which may be written as text or with a fraction of zero."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) <= _INT64:
        return int(value)
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        return int(value)
    raise UnreadableError("expected a whole number")


def read_float(value: Any, _: type) -> float:
    """Reads a number, which may be written as text."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return float(value)
    raise UnreadableError("expected a number")


def read_bool(value: Any, _: type) -> bool:
    """Reads true or false, which may be written as text."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in _BOOLS:
        return _BOOLS[value.lower()]
    raise UnreadableError("expected true or false")


def read_datetime(value: Any, _: type) -> dt.datetime:
    """Reads a timestamp, see `read_timestamp`."""
    try:
        return read_timestamp(value)
    except (TypeError, ValueError, OverflowError):
        raise UnreadableError("expected a timestamp") from None


def read_word(value: Any, kind: type[Word]) -> Word:
    """Reads a word of a vocabulary, even one that this release does not know."""
    if isinstance(value, str):
        return kind(value)
    raise UnreadableError("expected a word")


MOST_PROBLEMS: Final = 10_000
MOST_OF_A_SINGLE_CALL: Final = 100
_LONGEST_TEXT: Final = 1_000
_MOST_SOURCES: Final = 20
_TEXTS: Final = ("code", "instance", "title", "detail")


def read_problems(entries: Any, *, lenient: bool = False, most: int = MOST_PROBLEMS) -> tuple[Problem, ...]:
    """Reads `errors` or `warnings`, which may be missing, `null` or empty.

    Args:
        entries: the JSON value.
        lenient: skip anything that is not an object instead of refusing it; for warnings, and for answers of broken
            gateways.
        most: the most entries to read; a server may list any number.

    Raises:
        InvalidResponseError: when it is not a list of objects and `lenient` is false.
    """
    if entries is None:
        return ()
    listed = entries[:most] if isinstance(entries, list) else []
    readable = isinstance(entries, list) and all(entry is None or isinstance(entry, dict) for entry in listed)
    if not readable and not lenient:
        raise InvalidResponseError(["expected a list of problems @ $.errors"])
    return tuple(_problem(entry) for entry in listed if isinstance(entry, dict))


def _problem(entry: Mapping[str, Any]) -> Problem:
    """Reads one problem. The trace id may have its deprecated name; the stack trace may be one text or several."""
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
    """Returns the texts in a problem's `source`, limited in number and length."""
    read = {key[:_LONGEST_TEXT]: _text(value) for key, value in list(entries.items())[:_MOST_SOURCES]}
    return {key: value for key, value in read.items() if value is not None} or None


def _text(value: object) -> str | None:
    """Returns a text, cut to a readable length, so that a large answer does not keep much memory."""
    if not isinstance(value, str):
        return None
    return value if len(value) <= _LONGEST_TEXT else value[:_LONGEST_TEXT]
