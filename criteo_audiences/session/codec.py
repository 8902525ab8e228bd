"""The only converter between Criteo's JSON and our models: tolerant in, strict out."""

import datetime as dt
import math
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final, TypeVar

import attrs
import cattrs
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from criteo_audiences.errors import ConfigurationError, InvalidResponseError, PartialFailureError
from criteo_audiences.models import UNSET, Problem, ProblemType, Unset, Word
from criteo_audiences.results import BulkResult, Page

T = TypeVar("T")

_TIMESTAMP = re.compile(
    r"(\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?\s?(Z|z|[+-]\d{2}:?\d{2})?",
)
_NUMBER = re.compile(r"[+-]?[0-9]{1,15}(?:\.[0-9]{1,15})?")
_WHOLE = re.compile(r"[+-]?\d{1,19}")
_INT32: Final = 2**31 - 1
_BOOLS: Final = {"true": True, "false": False}
_PROBLEM_TEXTS: Final = ("code", "instance", "title", "detail")


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


def read_problems(entries: Any, *, where: str = "$.errors", lenient: bool = False) -> tuple[Problem, ...]:
    """Reads `errors` or `warnings`, which may be missing, `null` or empty.

    Args:
        entries: the JSON value.
        where: its place in the document.
        lenient: skip what is no problem object, as in the answer of a broken gateway, instead of refusing it.

    Raises:
        InvalidResponseError: when it is no list of objects and `lenient` is false.
    """
    if entries is None:
        return ()
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        if not lenient:
            raise InvalidResponseError([f"expected a list of problems @ {where}"])
        entries = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    return tuple(_problem(entry) for entry in entries)


def _problem(entry: Mapping[str, Any]) -> Problem:
    """Reads one problem; the trace id also from its deprecated twin, and nothing of the stack trace."""
    kind = entry.get("type")
    return Problem(
        type=ProblemType(kind) if isinstance(kind, str) else None,
        trace_id=_text(entry.get("traceId")) or _text(entry.get("traceIdentifier")),
        **{name: _text(entry.get(name)) for name in _PROBLEM_TEXTS},
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def read_one(document: Any, kind: type[T]) -> T:
    """Reads the single result of a call: `data` as an entity, its `id` and `type` beside its attributes.

    Raises:
        PartialFailureError: when problems stand beside the result, or instead of it.
        InvalidResponseError: when it cannot be read; names paths, never values.
    """
    envelope = _envelope(document)
    problems = read_problems(envelope.get("errors"))
    if problems:
        raise PartialFailureError(problems)
    return structure(_flattened(envelope.get("data")), kind, "$.data")


def read_bulk(document: Any, kind: type[T]) -> BulkResult[T]:
    """Reads the results of a bulk call with the problems beside them.

    Raises:
        InvalidResponseError: when it cannot be read; names paths, never values.
    """
    envelope = _envelope(document)
    data = envelope.get("data")
    if data is None:
        data = []
    if not isinstance(data, list):
        raise InvalidResponseError(["expected a list @ $.data"])
    return BulkResult(
        items=tuple(structure(_flattened(entity), kind, f"$.data[{n}]") for n, entity in enumerate(data)),
        errors=read_problems(envelope.get("errors")),
        warnings=read_problems(envelope.get("warnings"), where="$.warnings"),
    )


def read_page(document: Any, kind: type[T]) -> Page[T]:
    """Reads a page of a search.

    Raises:
        PartialFailureError: when it lists problems.
        InvalidResponseError: when it cannot be read; names paths, never values.
    """
    found = read_bulk(document, kind)
    if found.errors:
        raise PartialFailureError(found.errors)
    meta = structure(_envelope(document).get("meta") or {}, _Meta, "$.meta")
    return Page(items=found.items, total_items=meta.total_items, limit=meta.limit, offset=meta.offset)


@attrs.frozen(kw_only=True)
class _Meta:
    """What a search says about its page."""

    total_items: int | None = None
    limit: int | None = None
    offset: int | None = None


def read_nothing(document: Any) -> None:
    """Reads the answer of a call whose result is that it was done.

    Raises:
        PartialFailureError: when it lists problems.
        InvalidResponseError: when it cannot be read.
    """
    problems = read_problems(_envelope({} if document is None else document).get("errors"))
    if problems:
        raise PartialFailureError(problems)


def _envelope(document: Any) -> Mapping[str, Any]:
    if not isinstance(document, dict):
        raise InvalidResponseError(["expected an object @ $"])
    return document


def _flattened(entity: Any) -> Any:
    """Lays an entity's `attributes` beside its `id`; the entity's own `type` only says what the path did already."""
    if not isinstance(entity, dict) or not isinstance(entity.get("attributes"), dict):
        return entity
    return {"id": entity.get("id"), **entity["attributes"]}


def structure(value: Any, kind: type[T], where: str = "$") -> T:
    """Builds a model from decoded JSON.

    Raises:
        InvalidResponseError: naming where it is wrong, never the value.
    """
    try:
        return _converter().structure(value, kind)
    except Exception as error:  # noqa: BLE001 - cattrs wraps whatever a hook raises
        paths = cattrs.transform_error(error, path=where)
        # `from None`: the converter's exceptions carry the values.
        raise InvalidResponseError(paths) from None


def unstructure(model: object) -> Any:
    """Turns a model into JSON values: camel case, words as Criteo spells them, `UNSET` and absent settings left out."""
    return _converter().unstructure(model)


@cache
def _converter() -> cattrs.Converter:
    """Builds the converter, on first use."""
    converter = cattrs.Converter(detailed_validation=True)
    converter.register_structure_hook(str, _read_text)
    converter.register_structure_hook(Word, _read_word)  # nearer than `str`, of which the words are subclasses
    converter.register_structure_hook(int, _read_int)
    converter.register_structure_hook(float, _read_float)
    converter.register_structure_hook(bool, _read_bool)
    converter.register_structure_hook(dt.datetime, _read_datetime)
    converter.register_structure_hook_factory(attrs.has, lambda kind: _model_reader(kind, converter))
    converter.register_unstructure_hook_factory(attrs.has, lambda kind: _model_writer(kind, converter))
    converter.register_unstructure_hook(Word, lambda word: word.value)
    converter.register_unstructure_hook(Unset, lambda unset: unset)  # for `_model_writer` to leave out
    # What reads and writes itself, such as the audience algebra.
    converter.register_structure_hook_func(_reads_itself, lambda value, kind: kind.from_wire(value))
    converter.register_unstructure_hook_func(_reads_itself, lambda value: value.to_wire())
    return converter


def _reads_itself(kind: Any) -> bool:
    return isinstance(kind, type) and hasattr(kind, "from_wire") and hasattr(kind, "to_wire")


def _read_text(value: Any, _: type) -> str:
    """Ids are text whatever the wire sends; Criteo's run to 18 digits."""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise ValueError("expected text")


def _read_int(value: Any, _: type) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        return int(value)
    raise ValueError("expected a whole number")


def _read_float(value: Any, _: type) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return float(value)
    raise ValueError("expected a number")


def _read_bool(value: Any, _: type) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in _BOOLS:
        return _BOOLS[value.lower()]
    raise ValueError("expected true or false")


def _read_datetime(value: Any, _: type) -> dt.datetime:
    if isinstance(value, str):
        return read_timestamp(value)
    raise ValueError("expected a timestamp")


def _read_word(value: Any, kind: type[Word]) -> Word:
    if isinstance(value, str):
        return kind(value)
    raise ValueError("expected a word")


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


def _wire_names(kind: type) -> dict[str, str]:
    return {field.name: field.metadata.get("wire") or _camel(field.name) for field in attrs.fields(kind)}


def _model_reader(kind: type, converter: cattrs.Converter) -> Callable[..., Any]:
    """Reads by wire name, whatever its case (`accountId`, `accountID`).

    An object is demanded; an unknown field is ignored, and so is a `null` in a field with a default.
    """
    names = _wire_names(kind)
    known = {wire.casefold(): wire for wire in names.values()}
    optional = {names[field.name] for field in attrs.fields(kind) if field.default is not attrs.NOTHING}
    renames: dict[str, Any] = {name: override(rename=wire) for name, wire in names.items()}
    read: Callable[..., Any] = make_dict_structure_fn(kind, converter, **renames)

    def reader(value: Any, wanted: Any) -> Any:
        if not isinstance(value, dict):
            raise TypeError("expected an object")
        entries = {known.get(key.casefold(), key): _unwrapped(entry) for key, entry in value.items()}
        return read({key: entry for key, entry in entries.items() if entry is not None or key not in optional}, wanted)

    return reader


def _unwrapped(entry: Any) -> Any:
    """Takes a text out of the `{"value": …}` that belongs in updates but appears in answers too."""
    return entry["value"] if isinstance(entry, dict) and entry.keys() == {"value"} else entry


def _model_writer(kind: type, converter: cattrs.Converter) -> Callable[[Any], Any]:
    """Writes by wire name; `UNSET` is left out, and so is a `None` that is a field's default."""
    names = _wire_names(kind)
    fields = {names[field.name]: field for field in attrs.fields(kind)}
    renames: dict[str, Any] = {name: override(rename=wire) for name, wire in names.items()}
    write: Callable[[Any], dict[str, Any]] = make_dict_unstructure_fn(kind, converter, **renames)

    def writer(model: Any) -> Any:
        return {
            name: _wire_value(value, fields[name])
            for name, value in write(model).items()
            if value is not UNSET and not (value is None and fields[name].default is None)
        }

    return writer


def _wire_value(value: Any, field: "attrs.Attribute[Any]") -> Any:
    """Returns a field's value as it goes out, or refuses a number that JSON or Criteo's schema cannot hold.

    What an update may set to null is wrapped as `{"value": …}` (OpenAPI `Nillable…`): leaving it out means no change.
    """
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigurationError(f"{field.name} must be a finite number.")
    most = field.metadata.get("most", _INT32)
    if isinstance(value, int) and not -most - 1 <= value <= most:
        raise ConfigurationError(f"{field.name} is a number larger than Criteo's schema holds.")
    if "words" in field.metadata:
        value = field.metadata["words"][value]
    return {"value": value} if field.metadata.get("nullable") else value
