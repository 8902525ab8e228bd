"""The only converter between Criteo's JSON and our models: tolerant in, strict out.

A call cannot be undone, so the codec reads as much of its answer as possible:

- A `null` counts as absent: a missing field, or no item of a list.
- An unreadable field counts as absent if it has a default. A list with an unreadable item counts as absent as a whole,
  because a shortened list would pass for the complete one. The log names the field at DEBUG, without its value.
- The rest is required: an object or a list where the schema has one, a readable `id` if there is one, a list of
  `errors`, and every field without a default. Otherwise the codec raises an error that names the path.
"""

import datetime as dt
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar, cast, get_args, get_origin

import attrs
import cattrs
from cattrs.gen import make_dict_unstructure_fn, override

from criteo_audiences.errors import ConfigurationError, InvalidResponseError, PartialFailureError
from criteo_audiences.models import UNSET, Problem, Unset, Word
from criteo_audiences.results import BulkResult, Page
from criteo_audiences.session.values import (
    MOST_OF_A_SINGLE_CALL,
    MOST_PROBLEMS,
    UnreadableError,
    read_bool,
    read_datetime,
    read_float,
    read_int,
    read_problems,
    read_text,
    read_word,
)

T = TypeVar("T")

_LOG: Final = logging.getLogger("criteo_audiences.session")

_INT32: Final = 2**31 - 1
_IDENTITY: Final = "id"
_MOST_ITEMS: Final = 20_000


def read_one(document: Any, kind: type[T]) -> T:
    """Reads the single result of a call: `data` as an entity, with `id` and `type` next to its attributes.

    Raises:
        PartialFailureError: when the answer lists problems; if it has a result as well, that is the `.receipt`.
        InvalidResponseError: when it cannot be read; names paths, never values.
    """
    envelope = _envelope(document)
    problems, warnings = _single_problems(envelope)
    if problems:
        receipt = _receipt(envelope, kind)
        raise _mixed(problems, None if receipt is None else _warned(receipt, warnings))
    return _warned(_read_entity(envelope.get("data"), kind, "$.data"), warnings)


def _single_problems(envelope: Mapping[str, Any]) -> tuple[tuple[Problem, ...], tuple[Problem, ...]]:
    """Returns the errors and the warnings of a call without items; a deprecation notice always counts as a warning."""
    errors = read_problems(envelope.get("errors"), most=MOST_OF_A_SINGLE_CALL)
    warnings = read_problems(envelope.get("warnings"), lenient=True, most=MOST_OF_A_SINGLE_CALL)
    notices = tuple(problem for problem in errors if not problem.is_failure)
    return tuple(problem for problem in errors if problem.is_failure), notices + warnings


def _warned(result: T, warnings: tuple[Problem, ...]) -> T:
    """Returns the single result of an answer with the answer's warnings attached to it."""
    kept: Any = result
    return cast("T", attrs.evolve(kept, warnings=warnings)) if warnings and hasattr(kept, "warnings") else result


def _receipt(envelope: Mapping[str, Any], kind: type[T]) -> T | None:
    """Returns the result of an answer that also lists problems, or `None` if no result is readable."""
    if not envelope.get("data"):
        return None
    try:
        return _read_entity(envelope["data"], kind, "$.data")
    except InvalidResponseError:
        return None


def _mixed(problems: tuple[Problem, ...], receipt: object = None) -> PartialFailureError:
    """Returns the error for a single call that succeeded with problems: it may have been applied in part."""
    failure = PartialFailureError(problems, receipt=receipt)
    failure.outcome_unknown = True
    return failure


def read_bulk(document: Any, kind: type[T], requested: Sequence[Any] = ()) -> BulkResult[T]:
    """Reads the results of a bulk call and its problems; a `null` among the results is left out.

    Args:
        document: the answer.
        kind: the model of a result.
        requested: the items of the call, in its order.

    Raises:
        InvalidResponseError: when it cannot be read; names paths, never values.
    """
    envelope = _envelope(document)
    data = envelope.get("data")
    if data is None:
        data = []
    if not isinstance(data, list):
        raise InvalidResponseError(["expected a list @ $.data"])
    _check_length(data, _MOST_ITEMS, "$.data")
    _check_length(envelope.get("errors"), MOST_PROBLEMS, "$.errors")
    return BulkResult(
        items=tuple(_read_entity(entity, kind, f"$.data[{n}]") for n, entity in enumerate(data) if entity is not None),
        errors=read_problems(envelope.get("errors")),
        warnings=read_problems(envelope.get("warnings"), lenient=True),
        requested=tuple(requested),
    )


def _check_length(entries: Any, most: int, where: str) -> None:
    """Refuses a list longer than any of our calls can cause; a part of it would pass for the whole."""
    if isinstance(entries, list) and len(entries) > most:
        raise InvalidResponseError([f"more than {most:,} entries @ {where}"])


def read_page(document: Any, kind: type[T]) -> Page[T]:
    """Reads a page of a search.

    Raises:
        PartialFailureError: when it lists problems; if the page has items as well, it is the `.receipt`.
        InvalidResponseError: when it cannot be read; names paths, never values.
    """
    found = read_bulk(document, kind)
    errors = tuple(problem for problem in found.errors if problem.is_failure)
    envelope = _envelope(document)
    meta, places = envelope.get("meta"), len(envelope.get("data") or ())
    said = structure(meta if isinstance(meta, dict) else {}, _Meta, "$.meta")
    page = Page(
        items=found.items,
        total_items=said.total_items,
        limit=said.limit,
        offset=said.offset,
        places=places,
        warnings=(*(problem for problem in found.errors if not problem.is_failure), *found.warnings),
    )
    if errors:
        raise PartialFailureError(errors, receipt=page if page.items else None)
    return page


@attrs.frozen(kw_only=True)
class _Meta:
    """What a search says about its page."""

    total_items: int | None = None
    limit: int | None = None
    offset: int | None = None


def read_nothing(document: Any) -> None:
    """Reads the answer of a call that returns nothing.

    Raises:
        PartialFailureError: when it lists problems.
        InvalidResponseError: when it cannot be read.
    """
    envelope = _envelope({} if document is None else document)
    problems, _ = _single_problems(envelope)
    if problems:
        raise _mixed(problems)


def _envelope(document: Any) -> Mapping[str, Any]:
    if not isinstance(document, dict):
        raise InvalidResponseError(["expected an object @ $"])
    return document


def _read_entity(entity: Any, kind: type[T], where: str) -> T:
    """Reads an entity: its `id` next to its `attributes`, or all of its fields at the top level.

    The entity's own `type` is ignored: the path implies it.
    """
    attributes = entity.get("attributes") if isinstance(entity, dict) else None
    if attributes is None:
        return structure(entity, kind, where)
    if not isinstance(attributes, dict):
        raise InvalidResponseError([f"expected an object @ {where}.attributes"])
    if entity.get(_IDENTITY) is None:
        return structure(attributes, kind, f"{where}.attributes")
    return structure({**attributes, _IDENTITY: entity[_IDENTITY]}, kind, where, within="attributes")


def structure(value: Any, kind: type[T], where: str = "$", *, within: str | None = None) -> T:
    """Builds a model from decoded JSON.

    Args:
        value: the JSON value.
        kind: the model.
        where: its place in the document.
        within: key of the object there that contains all fields but `id`; `None` if they are not nested.

    Raises:
        InvalidResponseError: naming the place of the error, never the value.
    """
    try:
        return _CONVERTER.structure(value, kind)
    except Exception as error:  # noqa: BLE001 - whatever a hook raises
        expected, way = _explained(error)
        if within is not None and way != (_IDENTITY,):
            way = (within, *way)
        # `from None`: the exceptions of hooks may carry the values.
        raise InvalidResponseError([f"{expected} @ {where}{_path(way)}"]) from None


def _explained(error: Exception) -> tuple[str, tuple[str | int, ...]]:
    """Returns what was expected and where; the text of a foreign exception may contain values, so it is never shown."""
    return (error.expected, error.way) if isinstance(error, UnreadableError) else ("expected something else", ())


def _path(way: tuple[str | int, ...]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in way)


def unstructure(model: object) -> Any:
    """Turns a model into JSON values: camel case, words as Criteo spells them, `UNSET` and absent settings left out."""
    return _CONVERTER.unstructure(model)


def _new_converter() -> cattrs.Converter:
    converter = cattrs.Converter(detailed_validation=False)
    converter.register_structure_hook(str, read_text)
    converter.register_structure_hook(Word, read_word)  # overrides the hook for `str`, of which words are subclasses
    converter.register_structure_hook(int, read_int)
    converter.register_structure_hook(float, read_float)
    converter.register_structure_hook(bool, read_bool)
    converter.register_structure_hook(dt.datetime, read_datetime)
    converter.register_structure_hook_factory(attrs.has, lambda kind: _model_reader(kind, converter))
    converter.register_structure_hook_factory(_is_list, lambda kind: _list_reader(kind, converter))
    converter.register_unstructure_hook_factory(attrs.has, lambda kind: _model_writer(kind, converter))
    converter.register_unstructure_hook(Word, lambda word: word.value)
    converter.register_unstructure_hook(Unset, lambda unset: unset)  # for `_model_writer` to leave out
    # Types that convert themselves, such as the audience algebra.
    converter.register_structure_hook_func(_reads_itself, lambda value, kind: kind.from_wire(value))
    converter.register_unstructure_hook_func(_reads_itself, lambda value: value.to_wire())
    return converter


def _reads_itself(kind: Any) -> bool:
    return isinstance(kind, type) and hasattr(kind, "from_wire") and hasattr(kind, "to_wire")


def _is_list(kind: Any) -> bool:
    return get_origin(kind) is tuple


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


def _wire_names(kind: type) -> dict[str, str]:
    return {field.name: field.metadata.get("wire") or _camel(field.name) for field in _wire_fields(kind)}


def _wire_fields(kind: type) -> list["attrs.Attribute[Any]"]:
    """Returns the fields that are part of an entity; other parts of the answer, such as warnings, are left out."""
    return [field for field in attrs.fields(kind) if not field.metadata.get("envelope")]


def _model_reader(kind: type, converter: cattrs.Converter) -> Callable[..., Any]:
    """Returns a reader of objects that matches wire names in any case (`accountId`, `accountID`).

    It ignores unknown fields. It leaves out an unreadable field that has a default, except for `id`.
    """
    names = _wire_names(kind)
    spellings = {wire.casefold(): wire for wire in names.values()}
    fields = [(names[field.name], field, converter.get_structure_hook(field.type)) for field in _wire_fields(kind)]

    def reader(value: Any, _: Any) -> Any:
        if not isinstance(value, dict):
            raise UnreadableError("expected an object")
        given = _given(value, spellings)
        read: dict[str, Any] = {}
        for wire, field, hook in fields:
            required = field.default is attrs.NOTHING
            if wire not in given:
                if required:
                    raise UnreadableError("required field missing", wire)
                continue
            try:
                read[field.alias or field.name] = hook(given[wire], field.type)
            except Exception as error:  # noqa: BLE001 - whatever a hook raises
                expected, way = _explained(error)
                if required or wire == _IDENTITY:
                    raise UnreadableError(expected, wire, *way) from None
                _LOG.debug("left out of an answer: %s @ %s%s", expected, kind.__name__, _path((wire, *way)))
        return kind(**read)

    return reader


def _given(value: Mapping[str, Any], spellings: Mapping[str, str]) -> dict[str, Any]:
    """Returns the known fields that are not `null`; if a field has two spellings, Criteo's own overrides the other."""
    given: dict[str, Any] = {}
    for key, raw in value.items():
        name, entry = spellings.get(key.casefold()), _unwrapped(raw)
        if name is not None and entry is not None and (key == name or name not in given):
            given[name] = entry
    return given


def _list_reader(kind: Any, converter: cattrs.Converter) -> Callable[..., Any]:
    """Returns a reader of lists that refuses any other iterable."""
    item_kind = get_args(kind)[0]
    hook = converter.get_structure_hook(item_kind)

    def reader(value: Any, _: Any) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise UnreadableError("expected a list")
        read = []
        for place, item in enumerate(value):
            try:
                read += [] if item is None else [hook(item, item_kind)]
            except Exception as error:  # noqa: BLE001 - whatever a hook raises
                expected, way = _explained(error)
                raise UnreadableError(expected, place, *way) from None
        return tuple(read)

    return reader


def _unwrapped(entry: Any) -> Any:
    """Takes a text out of the `{"value": …}` that belongs in updates but appears in answers too."""
    return entry["value"] if isinstance(entry, dict) and entry.keys() == {"value"} else entry


def _model_writer(kind: type, converter: cattrs.Converter) -> Callable[[Any], Any]:
    """Returns a writer by wire name that leaves out `UNSET`, and any `None` that is the field's default."""
    names = _wire_names(kind)
    fields = {names[field.name]: field for field in _wire_fields(kind)}
    renames: dict[str, Any] = {name: override(rename=wire) for name, wire in names.items()}
    renames.update({field.name: override(omit=True) for field in attrs.fields(kind) if field.name not in names})
    write: Callable[[Any], dict[str, Any]] = make_dict_unstructure_fn(kind, converter, **renames)

    def writer(model: Any) -> Any:
        return {
            name: _wire_value(value, fields[name])
            for name, value in write(model).items()
            if value is not UNSET and not (value is None and fields[name].default is None)
        }

    return writer


def _wire_value(value: Any, field: "attrs.Attribute[Any]") -> Any:
    """Returns a field's value as it is sent, or refuses a number that JSON or Criteo's schema cannot represent.

    A field that an update may set to null is wrapped as `{"value": …}` (OpenAPI `Nillable…`): absence means no change.
    """
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigurationError(f"{field.name} must be a finite number.")
    most = field.metadata.get("most", _INT32)
    if isinstance(value, int) and not -most - 1 <= value <= most:
        raise ConfigurationError(f"{field.name} is a number larger than Criteo's schema holds.")
    if "words" in field.metadata:
        value = field.metadata["words"][value]
    return {"value": value} if field.metadata.get("nullable") else value


_CONVERTER: Final = _new_converter()
"""Built at import, because building takes a millisecond or two: too long for the first answer on an event loop."""
