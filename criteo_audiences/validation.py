"""Checks of a caller's arguments, before anything is sent."""

import math
import unicodedata
from collections.abc import Iterable, Sequence
from typing import TypeVar

import attrs

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.models import Unset, Word

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


def require_one_line(value: object, name: str) -> str:
    """Returns a non-empty text argument without control characters, which a file or a variable easily adds.

    Raises:
        ConfigurationError: naming the argument; never showing it.
    """
    text = require_text(value, name)
    if any(unicodedata.category(character) == "Cc" for character in text):
        raise ConfigurationError(f"{name} must not hold control characters; take away line breaks and tabs.")
    return text


def require_one_of(model: object, names: Sequence[str]) -> None:
    """Refuses a model that does not have exactly one of some fields.

    Raises:
        ConfigurationError: naming the fields and those found.
    """
    given = _given(model, names)
    if len(given) != 1:
        found = " and ".join(given) if given else "none"
        raise ConfigurationError(f"Exactly one of {', '.join(names)} must be given; found {found}.")


def require_at_most_one_of(model: object, names: Sequence[str]) -> None:
    """Refuses a model that has several of some fields.

    Raises:
        ConfigurationError: naming the fields and those found.
    """
    given = _given(model, names)
    if len(given) > 1:
        raise ConfigurationError(f"At most one of {', '.join(names)} may be given; found {' and '.join(given)}.")


def require_change(model: attrs.AttrsInstance) -> None:
    """Refuses an update that changes nothing, or sets to null what cannot be.

    Raises:
        ConfigurationError: naming the field.
    """
    changes = {field: getattr(model, field.name) for field in attrs.fields(type(model)) if field.name != "id"}
    if all(isinstance(value, Unset) for value in changes.values()):
        names = ", ".join(field.name for field in changes)
        raise ConfigurationError(f"An update must change something: give one of {names}.")
    for field, value in changes.items():
        if value is None and not field.metadata.get("nullable"):
            raise ConfigurationError(f"{field.name} cannot be taken away; leave it out to keep it as it is.")


def _given(model: object, names: Sequence[str]) -> list[str]:
    return [name for name in names if not isinstance(value := getattr(model, name), Unset) and value is not None]


def unique_ids(values: Iterable[str] | None) -> tuple[str, ...] | None:
    """Returns ids each once, as OpenAPI's `uniqueItems` asks; `None` stays `None`.

    Raises:
        ConfigurationError: when a single text was given for a list.
    """
    if isinstance(values, str):
        raise ConfigurationError("A list of ids was expected, not a single str.")
    return None if values is None else tuple(dict.fromkeys(values))


def unique_ids_or_unset(values: Iterable[str] | Unset) -> tuple[str, ...] | Unset:
    """Does the same for an update, in which a field may be left out."""
    return values if isinstance(values, Unset) else unique_ids(values) or ()
