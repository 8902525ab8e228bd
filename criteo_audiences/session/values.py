"""Reads single values in all of Criteo's spellings; a reader raises `UnreadableError` for what is no such value."""

import datetime as dt
import re
from typing import Any, Final

from criteo_audiences.errors import InvalidResponseError
from criteo_audiences.models import Word

_TIMESTAMP = re.compile(
    r"(\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?\s?(Z|z|[+-]\d{2}:?\d{2})?",
)
_NUMBER = re.compile(r"[+-]?[0-9]{1,15}(?:\.[0-9]{1,15})?")
_WHOLE = re.compile(r"[+-]?\d{1,19}")
_INT64: Final = 2**63 - 1
_BOOLS: Final = {"true": True, "false": False}


class UnreadableError(InvalidResponseError):
    """A value is not of the expected kind. The codec catches this error, which never holds the value.

    Attributes:
        expected: what it should have been.
        way: where it is, from where the reading began: names on the wire and places in lists.
    """

    def __init__(self, expected: str, *way: str | int) -> None:
        self.expected = expected
        self.way = way
        super().__init__([expected])


def read_timestamp(text: str) -> dt.datetime:
    """Reads Criteo's timestamps: none to nine digits of a second, with or without a zone, which is UTC then.

    The fraction is cut to microseconds, not rounded.

    Raises:
        ValueError: when it is no timestamp.
    """
    found = _TIMESTAMP.fullmatch(text)
    if not found:
        raise ValueError("not a timestamp")
    whole, fraction, zone = found.groups()
    micros = (fraction or "")[:6].ljust(6, "0")
    offset = "+00:00" if zone in {None, "Z", "z"} else zone
    return dt.datetime.fromisoformat(f"{whole}.{micros}{offset}").astimezone(dt.UTC)


def read_text(value: Any, _: type) -> str:
    """Reads text; ids are text whatever the wire sends; Criteo's run to 18 digits."""
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
    """Reads a word, also one this release does not know."""
    if isinstance(value, str):
        return kind(value)
    raise UnreadableError("expected a word")
