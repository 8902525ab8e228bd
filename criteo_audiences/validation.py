"""Checks of a caller's arguments, before anything is sent."""

import codecs
import functools
import inspect
import math
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import ContextDecorator
from functools import partial
from types import NoneType
from typing import Any, Final, ParamSpec, TypeVar, cast

import attrs

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.models import Unset, Word
from criteo_audiences.rendering import nearest

P = ParamSpec("P")
T = TypeVar("T")
W = TypeVar("W", bound=Word)
_LONG_ID: Final = re.compile(r"[0-9]{1,19}")
Validator = Callable[[object, "attrs.Attribute[Any]", object], None]


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


def require_whole(value: object, name: str, *, least: int, most: int = 2**31 - 1) -> None:
    """Refuses anything but a whole number within bounds, both inclusive.

    Raises:
        ConfigurationError: naming the argument, its bounds and what was found.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigurationError(f"{name} must be a whole number, not {type(value).__name__}.")
    require_range(value, name, least=least, most=most)


def require_number(value: object, name: str, *, least: float, most: float = math.inf) -> None:
    """Refuses anything but a finite number within bounds, both inclusive.

    Raises:
        ConfigurationError: naming the argument, its bounds and what was found.
    """
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigurationError(f"{name} must be a finite number.")
    require_range(cast("float", value), name, least=least, most=most)


def require_plain_function(value: object, name: str, argument: str) -> None:
    """Refuses a value that cannot be called, or whose result would have to be awaited.

    Raises:
        ConfigurationError: naming the option and the argument of the function.
    """
    called: Any = value if inspect.isroutine(value) or isinstance(value, partial) else getattr(value, "__call__", None)  # noqa: B004 - the method itself is wanted
    others = inspect.iscoroutinefunction, inspect.isasyncgenfunction, inspect.isgeneratorfunction
    if not callable(value) or isinstance(value, ContextDecorator) or any(of(inspect.unwrap(called)) for of in others):
        raise ConfigurationError(f"{name} must be a plain function that takes {argument}; it is not awaited.")


def require_text(value: object, name: str) -> str:
    """Returns a non-empty text argument.

    Raises:
        ConfigurationError: naming the argument; never showing it.
    """
    if not isinstance(value, str):
        advice = ": put it in quotes." if type(value) is int else "."
        raise ConfigurationError(f"{name} must be a str, not {type(value).__name__}{advice}")
    if not value.strip():
        raise ConfigurationError(f"{name} must not be empty.")
    return value


def require_unicode(text: str, name: str) -> None:
    """Refuses a text with half of a surrogate pair, which stands for a byte of the command line that is not UTF-8.

    Raises:
        ConfigurationError: naming the argument; never showing it.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        unusable = ConfigurationError(f"{name} must be Unicode text; a character of it is none.")
    else:
        return
    raise unusable  # outside the `except` block: the encoder's exception contains the text


def require_kind(value: object, kind: type[T], name: str) -> T:
    """Returns the argument if it is an instance of a class, such as one of a service's models.

    Raises:
        ConfigurationError: naming the argument and the class.
    """
    if not isinstance(value, kind):
        raise ConfigurationError(f"{name} must be {kind.__name__}, not {type(value).__name__}.")
    return value


def require_list(values: Iterable[object], name: str) -> list[Any]:
    """Returns the items of a bulk call as a list; refuses a single object or text.

    Raises:
        ConfigurationError: naming the argument.
    """
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
        raise ConfigurationError(f"{name} must be a list, not a single {type(values).__name__}.")
    return list(values)


def no_text(value: object) -> str:
    """Returns an error text for a value that should be text: its type, and what to pass instead; never the value."""
    found = f"expected a str, found {type(value).__name__}"
    if isinstance(value, Mapping | list | tuple):
        return f"{found}: pass one field of each row, such as row['email'] for row in rows"
    if isinstance(value, int):
        return f"{found}: put it in quotes, or pass map(str, ...)"
    return f"{found}: decode it" if isinstance(value, bytes | bytearray) else found


def require_ids(ids: Iterable[object], name: str) -> list[str]:
    """Returns ids as a list, at least one.

    Raises:
        ConfigurationError: when it is not a list, is empty, or contains anything but text; naming the argument.
    """
    listed = require_list(ids, name)
    _refuse_other_ids(listed, name)
    if not listed:
        raise ConfigurationError(f"{name} must hold at least one id; found none.")
    return listed


def require_long_ids(ids: Iterable[object], name: str) -> list[str]:
    """Returns ids whose format OpenAPI calls `long-id`: whole numbers of 64 bits, as text; the list may be empty.

    Raises:
        ConfigurationError: naming the argument; never showing its values.
    """
    listed = require_list(ids, name)
    if not all(isinstance(each, str) and _LONG_ID.fullmatch(each) and int(each) < 2**63 for each in listed):
        raise ConfigurationError(f"{name} must hold ids of digits, as str.")
    return listed


def require_models(models: Iterable[T], kind: type[T], name: str) -> list[T]:
    """Returns the models of a bulk call as a list.

    Raises:
        ConfigurationError: naming the argument and the class that each must be of.
    """
    return [require_kind(model, kind, f"each of {name}") for model in require_list(models, name)]


def require_change(model: attrs.AttrsInstance, subject: str = "An update") -> None:
    """Refuses an update that changes nothing, or sets a field to null that cannot be null.

    Args:
        model: the update.
        subject: the name of the update in the message.

    Raises:
        ConfigurationError: naming the field.
    """
    changes = {field: getattr(model, field.name) for field in attrs.fields(type(model)) if field.name != "id"}
    if all(isinstance(value, Unset) for value in changes.values()):
        names = ", ".join(field.name for field in changes)
        raise ConfigurationError(f"{subject} must change something: give one of {names}.")
    for field, value in changes.items():
        if value is None and not field.metadata.get("nullable"):
            raise ConfigurationError(f"{field.name} cannot be removed; leave it out to keep it as it is.")


def unique_ids(values: Iterable[str] | None) -> tuple[str, ...] | None:
    """Returns ids without duplicates, as OpenAPI's `uniqueItems` demands; `None` stays `None`.

    A value with anything but ids is returned unchanged, for `id_field` to refuse: that knows the field's name.
    """
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
        return cast("None", values)
    listed = tuple(values)
    return tuple(dict.fromkeys(listed)) if all(map(_is_id, listed)) else listed


def unique_ids_or_unset(values: Iterable[str] | Unset) -> tuple[str, ...] | Unset:
    """Works like `unique_ids`, for an update, in which a field may be left out."""
    return values if isinstance(values, Unset) else unique_ids(values) or ()


def id_field(_model: object, field: "attrs.Attribute[Any]", value: object) -> None:
    """Refuses a field with anything but ids; an attrs validator.

    Raises:
        ConfigurationError: naming the field; never showing its value.
    """
    if isinstance(value, (Unset, NoneType)):
        return
    if not isinstance(value, tuple):
        raise ConfigurationError(f"{field.name} must be a list of ids, not a single {type(value).__name__}.")
    _refuse_other_ids(value, field.name)


def text_field(_model: object, field: "attrs.Attribute[Any]", value: object) -> None:
    """Refuses an empty text, and a missing text if it is required; an attrs validator.

    Raises:
        ConfigurationError: naming the field.
    """
    if not _is_left_out(field, value):
        require_text(value, field.name)


def whole_field(*, least: int, most: int = 2**31 - 1) -> Validator:
    """Returns an attrs validator that refuses anything but a whole number within bounds, both inclusive.

    A field that may be left out passes where it is; it raises `ConfigurationError`, naming the field.
    """

    def validate(_model: object, field: "attrs.Attribute[Any]", value: object) -> None:
        if not _is_left_out(field, value):
            require_whole(value, field.name, least=least, most=most)

    return validate


def number_field(*, least: float, most: float = math.inf) -> Validator:
    """Returns an attrs validator that refuses anything but a finite number within bounds, both inclusive.

    A field that may be left out passes where it is; it raises `ConfigurationError`, naming the field.
    """

    def validate(_model: object, field: "attrs.Attribute[Any]", value: object) -> None:
        if not _is_left_out(field, value):
            require_number(value, field.name, least=least, most=most)

    return validate


def require_order(model: object, low: str, high: str, *, apart: bool = False) -> None:
    """Refuses a minimum above a maximum; if an update leaves out either, only the server can check that.

    Args:
        model: the object with both fields.
        low: the field of the minimum.
        high: the field of the maximum.
        apart: whether equal values are refused, too.

    Raises:
        ConfigurationError: naming both fields and their values.
    """
    first, last = getattr(model, low), getattr(model, high)
    if not isinstance(first, (int, float)) or not isinstance(last, (int, float)):
        return
    if last < first or (apart and last == first):
        bound = "greater than" if apart else "at least"
        raise ConfigurationError(f"{high} must be {bound} {low}, not {last} against {first}.")


def _is_left_out(field: "attrs.Attribute[Any]", value: object) -> bool:
    return isinstance(value, Unset) or (value is None and field.default is not attrs.NOTHING)


def _refuse_other_ids(ids: Iterable[object], name: str) -> None:
    for value in ids:
        if not _is_id(value):
            found = "an empty one" if isinstance(value, str) else f"{type(value).__name__}: put it in quotes"
            raise ConfigurationError(f"{name} must hold ids as non-empty str, not {found}.")


def _is_id(value: object) -> bool:
    return isinstance(value, str) and bool(value)


MEMORY_SIZE: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([KMGT]i?B)", re.IGNORECASE)
_MOST_THREADS: Final = 256


def skip_rows_of(value: object) -> int | None:
    """Returns how many lines to skip before the header.

    Raises:
        ConfigurationError: when it is not a number of lines.
    """
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
        raise ConfigurationError("skip_rows must be the number of lines before the header, 0 or more.")
    return value


def encoding_of(value: object) -> str | None:
    """Returns the name of a codec for text.

    Raises:
        ConfigurationError: when there is no such codec.
    """
    if value is None:
        return None
    try:
        found = codecs.lookup(value) if isinstance(value, str) else None
        "a@b.co".encode(found.name if found else "")  # `base64` and `rot13` are codecs, too, but not for text
    except (LookupError, ValueError):
        found = None
    if found is None:
        raise ConfigurationError(
            "encoding must be a codec that Python knows, such as 'cp1252', 'cp1251', 'gb18030', 'euc-kr' or 'utf-16'."
        )
    return found.name


def memory_limit_of(value: object) -> str | None:
    """Returns a memory limit that the engine understands.

    Raises:
        ConfigurationError: when it is not a number with a unit.
    """
    if value is None:
        return None
    if not isinstance(value, str) or not MEMORY_SIZE.fullmatch(value.strip()):
        raise ConfigurationError("memory_limit must be a size such as '512MB' or '2GB'.")
    return value.strip()


def threads_of(value: object) -> int | None:
    """Returns a number of threads.

    Raises:
        ConfigurationError: when it is not a whole number, or is out of range.
    """
    if value is not None and type(value) is not int:
        raise ConfigurationError(f"threads must be a whole number, not {type(value).__name__}.")
    require_range(1 if value is None else value, "threads", least=1, most=_MOST_THREADS)
    return value


def require_known(given: Iterable[str], known: Iterable[str], function: str, advice: str = "") -> None:
    """Refuses an unknown keyword with an error that names the function and suggests the keyword that may be meant.

    Args:
        given: the keywords of the call.
        known: the keywords of the function.
        function: the name of the function.
        advice: what to do if no known keyword is similar.

    Raises:
        TypeError: for the first unknown keyword.
    """
    names = list(known)
    for name in given:
        if name not in names:
            hint = f"; did you mean {near!r}?" if (near := nearest(name, names)) else advice
            raise TypeError(f"{function}() got an unexpected keyword argument {name!r}{hint}")


def hinted(make: Callable[P, T], advice: str | None = None) -> Callable[P, T]:
    """Decorates a function so that errors about wrong arguments suggest a similar keyword, or list all keywords.

    Args:
        make: the function.
        advice: what to do if no keyword is similar to the given one; the default is a list of the keywords.
    """
    signature = inspect.signature(make)
    parameters = {name: each.kind for name, each in signature.parameters.items() if name not in {"self", "cls"}}
    known = [name for name, kind in parameters.items() if kind is not inspect.Parameter.VAR_KEYWORD]
    is_open = len(known) < len(parameters)
    function = make.__qualname__.removesuffix(".__init__") if make.__name__ == "__init__" else make.__name__
    more = f"; it takes {', '.join(f'{name}=' for name in known)}" if advice is None else advice

    @functools.wraps(make)
    def made(*args: P.args, **keywords: P.kwargs) -> T:
        if not is_open:
            require_known(keywords, known, function, more)
        try:
            signature.bind(*args, **keywords)
        except TypeError as error:
            raise TypeError(f"{function}(): {error}{more}") from None
        return make(*args, **keywords)

    return made


def advised(advice: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Returns the decorator `hinted` with this advice."""
    return lambda make: hinted(make, advice)


def hinted_class(kind: type[T]) -> type[T]:
    """Decorates a class so that its constructor reports wrong arguments as `hinted` does."""
    kind.__init__ = hinted(kind.__init__)  # type: ignore[method-assign]
    return kind
