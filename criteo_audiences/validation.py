"""Checks of a caller's arguments, before anything is sent."""

import math
from typing import TypeVar

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.models import Word

W = TypeVar("W", bound=Word)


def choose(words: type[W], value: object, name: str) -> W:
    """Turns a caller's word into a member, or refuses it.

    Args:
        words: the vocabulary.
        value: a member, or its text in any case.
        name: the argument's name, for the message.

    Raises:
        ConfigurationError: naming the argument and what it may be; never the value, which may be misplaced data.
    """
    word = words(value) if isinstance(value, str) else None
    if word is None or not word.is_known:
        allowed = ", ".join(member.value for member in words if member.is_known)
        raise ConfigurationError(f"{name} is not one this library knows; expected one of: {allowed}.")
    return word


def require_range(value: float, name: str, *, least: float, most: float = math.inf, hint: str = "") -> None:
    """Refuses a number outside its bounds, both inclusive.

    Raises:
        ConfigurationError: naming the argument, its bounds and what was found.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ConfigurationError(f"{name} must be a number, not {type(value).__name__}.")
    if not least <= value <= most:
        bounds = f"at least {least:,}" if most == math.inf else f"between {least:,} and {most:,}"
        raise ConfigurationError(f"{name} must be {bounds}, not {value:,}.{' ' + hint if hint else ''}")


def require_text(value: object, name: str) -> str:
    """Returns a non-empty text argument.

    Raises:
        ConfigurationError: naming the argument; never showing it.
    """
    if not isinstance(value, str):
        raise ConfigurationError(f"{name} must be a str, not {type(value).__name__}.")
    if not value.strip():
        raise ConfigurationError(f"{name} must not be empty.")
    return value
