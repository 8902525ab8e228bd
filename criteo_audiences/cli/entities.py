"""Segments and audiences as JSON: what `--json` prints, and what `--from-file` and `--algebra` read."""

import codecs
import datetime as dt
import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from enum import Enum
from typing import Annotated, Any, Final, get_args, get_origin

import attrs
import orjson
import typer

from criteo_audiences import ConfigurationError, Problem
from criteo_audiences.cli.options import filled
from criteo_audiences.cli.output import print_error, read_content
from criteo_audiences.rendering import nearest

FileOption = Annotated[
    str | None,
    typer.Option(
        parser=filled, metavar="FILE", help="Criteo's JSON, or what --json has printed; - for standard input."
    ),
]

_LARGEST: Final = 16_000_000
"""Bytes that a file of definitions may have; a hundred thousand segments need no more."""

_FIELD: Final = re.compile(r"[A-Za-z_]{1,40}")
"""What may be repeated of a file: the name of a field, and nothing that could be an identifier."""

_WITHOUT_SETTINGS: Final = (
    "is an answer of Criteo's without the settings of the segment; take it from `segments list --id ... --json`."
)

_ANSWERED: Final = frozenset(
    {"id", "type", "createdat", "updatedat", "createdbyid", "channels", "adsetids", "isreadonly", "sharingstatus"}
)
"""Fields that only answers have, as `_fold` spells them; a file may leave them in."""


def shown(model: Any) -> dict[str, Any]:
    """Returns everything that Criteo said about a segment, an audience or the like, as `--json` prints it.

    The names are the library's. Settings of another kind, and what settings do not say, are left out.
    """
    return {
        name: _shown(value)
        for name, value in attrs.asdict(model, recurse=False).items()
        if not (name == "warnings" and not value)
        and (value is not None or _model(attrs.fields_dict(type(model))[name].type) is None)
    }


def _shown(value: Any) -> Any:
    if isinstance(value, Problem):
        return str(value)
    if attrs.has(type(value)):
        return {name: each for name, each in shown(value).items() if each is not None}
    if isinstance(value, tuple):
        return [_shown(each) for each in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, dt.datetime):
        return value.isoformat()
    return value.to_wire() if hasattr(value, "to_wire") else value


def has_settings(model: Any) -> bool:
    """Whether a segment says the settings of its kind, or an audience its algebra; some of Criteo's answers do not.

    Commerce Grid's have none that could be missing.
    """
    kinds = {field.name: _model(field.type) for field in attrs.fields(type(model))}
    return any(
        getattr(model, name) is not None or (attrs.has(kind) and not attrs.fields(kind))
        for name, kind in kinds.items()
        if kind is not None
    )


def read_algebra(text: str) -> Any:
    """Reads the node that Criteo uses, also in the document about one audience that `audiences … --json` prints.

    Raises:
        ConfigurationError: when it is no such node.
    """
    from criteo_audiences.algebra import Expression  # noqa: PLC0415 - no other command needs it

    given = _parsed(text.encode(errors="surrogateescape"), "--algebra")
    if isinstance(given, dict):
        given = next((given[each] for each in ("audience", "audiences") if each in given), given)
    if isinstance(given, list) and len(given) == 1:
        (given,) = given
    if isinstance(given, dict):
        given = given.get("algebra", given)
    try:
        return Expression.from_wire(given)
    except ValueError:
        raise ConfigurationError("--algebra must be a node of audienceSegmentId, and, or, not, as JSON.") from None


@attrs.frozen(kw_only=True)
class Definitions:
    """How a file of definitions becomes the models of a call.

    Attributes:
        kind: the model that a call takes.
        answer: the model of Criteo's answers, whose other fields a file may have, too: they are left out, and named.
        noun: what is defined: `segment` or `audience`.
        owner: ids that stand for all; a definition that says another is refused.
    """

    kind: type
    answer: type
    noun: str
    owner: Mapping[str, str | None] = attrs.field(factory=dict)

    def read(self, path: str) -> list[Any]:
        """Reads a file, or with `-` standard input: a definition or a list of them, also in Criteo's envelope.

        Names may be spelled as Criteo does or as the library does. Nothing is sent before all of it is understood.

        Raises:
            ConfigurationError: naming the file, the definition and the field that is wrong, never what it holds.
            OSError: when the file cannot be read.
        """
        name = "standard input" if path == "-" else path
        left_out: dict[str, None] = {}
        models = []
        for number, given in enumerate(self._entities(_document(path, name), name)):
            reader = _Reader(f"{name} @data/{number}", left_out, self.owner.keys())
            owned = self._owned(reader, given)
            models.append(reader.read(self.kind, self.answer, owned))
        if left_out:
            print_error(f"Not sent, because Criteo does not take it here: {', '.join(left_out)}.")
        return models

    def read_one(self, path: str) -> Any:
        """Reads a file with a single definition.

        Raises:
            ConfigurationError: as for `read`, and when there are several.
            OSError: when the file cannot be read.
        """
        models = self.read(path)
        if len(models) > 1:
            raise ConfigurationError(f"{path} must define one {self.noun} here, not {len(models)}.")
        return models[0]

    def _entities(self, document: Any, name: str) -> list[Any]:
        """Takes the definitions out of Criteo's envelope, or of a document that `--json` has printed."""
        wrappers = ("data", self.noun, f"{self.noun}s")
        if isinstance(document, dict):
            if document.get("ok") is False and "error" in document:
                raise ConfigurationError(f"{name} holds the error of a command, and no {self.noun}.")
            document = next((document[each] for each in wrappers if each in document), document)
        found = document if isinstance(document, list) else [document]
        if not found or found == [{}]:
            raise ConfigurationError(f"{name} defines no {self.noun}.")
        return found

    def _owned(self, reader: "_Reader", entity: Any) -> Any:
        """Returns the attributes of a definition, its owner among them."""
        given = _attributes(entity)
        if not isinstance(given, dict):
            return given
        spelled = {_fold(key): key for key in given}
        for field, wanted in self.owner.items():
            found = given.get(spelled.get(_fold(field), ""))
            if wanted is None:
                continue
            if found is not None and str(found) != wanted:
                raise reader.wrong(f"has another {field} than --{field.replace('_', '-')}.")
            if field in attrs.fields_dict(self.kind):
                given = {**given, spelled.get(_fold(field), field): wanted}
        return given


def _document(path: str, name: str) -> Any:
    """Reads JSON of a bounded size."""
    data = read_content(path, _LARGEST)
    if len(data) > _LARGEST:
        raise ConfigurationError(f"{name} is larger than {_LARGEST // 1_000_000} MB, which no file of definitions is.")
    data = data.removeprefix(codecs.BOM_UTF8)
    if not data.strip():
        raise ConfigurationError(f"{name} is empty; expected JSON.")
    return _parsed(data, name)


def _parsed(data: bytes, name: str) -> Any:
    """Reads JSON as RFC 8259 has it: UTF-8, no NaN, and no object that says something twice."""
    try:
        data.decode()
    except UnicodeDecodeError:
        raise ConfigurationError(f"{name} is no UTF-8, which JSON is written in; save it again as UTF-8.") from None
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise ConfigurationError(f"{name} is no JSON, from line {error.lineno} column {error.colno} on.") from None

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        said = dict(pairs)
        if len(said) < len(pairs):
            twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
            named = f" {twice!r}" if _FIELD.fullmatch(twice) else ""
            raise ConfigurationError(f"{name} says a field{named} twice in one object.")
        return said

    try:
        return json.loads(data, object_pairs_hook=unique)  # where orjson would take the last without a word
    except RecursionError:  # orjson reads some levels more
        raise ConfigurationError(f"{name} is nested too deeply to be a definition.") from None


def _attributes(entity: Any) -> Any:
    """Returns what an entity says, its `id` among it; the `type` next to `attributes` says only what it is called."""
    if not isinstance(entity, dict) or not isinstance(entity.get("attributes"), dict):
        return entity
    return {**({"id": entity["id"]} if "id" in entity else {}), **entity["attributes"]}


@attrs.frozen
class _Reader:
    """Builds models from JSON that a person wrote, or that Criteo answered; strict where the reader of answers is not.

    Attributes:
        place: what the messages begin with.
        left_out: collects the fields that Criteo answers but does not take.
        owners: fields that say what the call says elsewhere.
    """

    place: str
    left_out: dict[str, None]
    owners: Collection[str]

    def wrong(self, what: str, way: tuple[str, ...] = ()) -> ConfigurationError:
        """Returns the error for a place in the definition."""
        return ConfigurationError(f"{' '.join([self.place, '.'.join(way)]).strip()} {what}")

    def read(self, kind: type, answer: type | None, given: Any, way: tuple[str, ...] = ()) -> Any:
        """Builds a model.

        Args:
            kind: the model.
            answer: the model of the same thing in answers.
            given: the JSON object.
            way: where it stands.

        Raises:
            ConfigurationError: naming the field.
        """
        if not isinstance(given, dict):
            raise self.wrong("must be an object.", way)
        known = attrs.fields_dict(kind)
        given = _settled(known, answer, given)
        values = {
            name: self._value(known[name], answer, value, (*way, name))
            for name, value in self._named(known, answer, given, way)
            if value is not None or known[name].metadata.get("nullable") or not _is_optional(known[name])
        }
        if not way:
            values |= self._implied(known, answer, given, values)
        missing = [name for name, field in known.items() if field.default is attrs.NOTHING and values.get(name) is None]
        if missing:
            raise self.wrong(f"needs {' and '.join(missing)}.", way)
        try:
            return kind(**values)
        except ConfigurationError as error:
            raise self.wrong(f"cannot be sent: {error}", way) from None

    def _named(
        self, known: Mapping[str, Any], answer: type | None, given: Mapping[str, Any], way: tuple[str, ...]
    ) -> Iterator[tuple[str, Any]]:
        """Yields the fields under the library's names; refuses a field that neither the library nor Criteo has."""
        wire = {_fold(field.metadata["wire"]): name for name, field in known.items() if "wire" in field.metadata}
        names = {**wire, **{_fold(name): name for name in known}}
        answered = {_fold(name): name for name in attrs.fields_dict(answer)} if answer is not None else {}
        said: set[str] = set()
        for key, value in given.items():
            if name := names.get(_fold(key)):
                if name in said:
                    raise self.wrong(f"says {name} twice, in two spellings.", way)
                said.add(name)
                yield name, value
            elif name := answered.get(_fold(key)):
                if name not in self.owners and _may_be_meant(name, value):
                    self.left_out[".".join((*way, name))] = None
            else:
                named = f"field, {key!r}" if _FIELD.fullmatch(key) else "field"
                raise self.wrong(f"has an unknown {named}.{_hint(key, [*known, *([] if way else ['data'])])}", way)

    def _value(self, field: Any, answer: type | None, value: Any, way: tuple[str, ...]) -> Any:
        """Returns a field's value as its model takes it."""
        if isinstance(value, dict) and value.keys() == {"value"}:  # how an update wraps what may be null
            value = value["value"]
        inner = _model(field.type)
        if inner is None or value is None:
            return value
        if hasattr(inner, "from_wire"):
            try:
                return inner.from_wire(value)
            except ValueError:
                raise self.wrong("must be a node of audienceSegmentId, and, or, not.", way) from None
        theirs = attrs.fields_dict(answer).get(field.name) if answer is not None else None
        answered = _model(theirs.type) if theirs is not None else None
        if not _is_list(field.type):
            return self.read(inner, answered, value, way)
        if not isinstance(value, list):
            raise self.wrong("must be a list.", way)
        return [self.read(inner, answered, each, (*way, str(number))) for number, each in enumerate(value)]

    def _implied(
        self, known: Mapping[str, Any], answer: type | None, given: Mapping[str, Any], values: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Returns the settings that a definition names by its `type` alone; refuses a type that does not fit them."""
        kinds = {_fold(name): name for name, field in known.items() if _model(field.type) is not None}
        word = next((value for key, value in given.items() if _fold(key) == "type"), None)
        if answer is None or not hasattr(attrs.fields(answer), "type") or "id" in known:
            return {}  # an audience has no type, and that of a segment which exists is no news
        if any(_fold(key) == "id" for key in given) and all(values.get(name) is None for name in kinds.values()):
            possible = kinds.values() if word is None else [kinds.get(_fold(str(word)))]
            if any(_settings_in_common(known, attrs.fields_dict(answer), name) for name in possible if name):
                raise self.wrong(_WITHOUT_SETTINGS)
        if word is None:
            return {}
        if not isinstance(word, str) or _fold(word) not in kinds:
            raise self.wrong(f"has a type that cannot be used here.{_hint(str(word), kinds.values())}")
        name = kinds[_fold(word)]
        others = [each for each in kinds.values() if each != name and values.get(each) is not None]
        if others:
            raise self.wrong(f"has a type that does not go with {' and '.join(others)}.")
        if values.get(name) is not None:
            return {}
        return {name: self._value(known[name], None, {}, (name,))}


def _settings_in_common(known: Mapping[str, Any], answered: Mapping[str, Any], name: str) -> Collection[str]:
    """Returns the settings of a kind that an answer says and a request takes, so that a copy would need them."""
    given, taken = (_model(fields[name].type) if name in fields else None for fields in (answered, known))
    return attrs.fields_dict(given).keys() & attrs.fields_dict(taken).keys() if given and taken else ()


def _settled(known: Mapping[str, Any], answer: type | None, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Moves into the settings what Criteo answers next to them but takes inside them.

    That is the `remoteId` of a list of Commerce Grid.
    """
    answered = {_fold(name) for name in attrs.fields_dict(answer)} if answer is not None else set()
    elsewhere = [key for key in given if _fold(key) in answered - {_fold(name) for name in known}]
    for name, field in known.items():
        inner = _model(field.type)
        taken = {_fold(each) for each in attrs.fields_dict(inner)} if inner and attrs.has(inner) else set()
        moved = {key: given[key] for key in elsewhere if _fold(key) in taken and given[key] is not None}
        home = next((key for key in given if _fold(key) == _fold(name)), name)
        if moved and isinstance(settings := given.get(home) or {}, dict):
            return {**{key: value for key, value in given.items() if key not in moved}, home: {**moved, **settings}}
    return given


def _may_be_meant(name: str, value: Any) -> bool:
    """Whether a user may expect this field to be sent; empty fields and those that only answers have are not."""
    if isinstance(value, dict):
        return any(_may_be_meant(inner, each) for inner, each in value.items())
    return value is not None and _fold(name) not in _ANSWERED


def _fold(name: str) -> str:
    """Returns a name in the one spelling that Criteo's and the library's share."""
    return name.replace("_", "").replace("-", "").casefold()


def _hint(word: str, names: Iterable[str]) -> str:
    known = {_fold(name): name for name in names}.values()
    near = nearest(word, known, spelled=_fold)
    return f" Did you mean {near!r}?" if near else f" Expected one of: {', '.join(known)}."


def _model(annotation: Any) -> type | None:
    """Returns the model in a field's annotation, or the expression of an algebra; `None` when there is neither."""
    if isinstance(annotation, type) and (attrs.has(annotation) or hasattr(annotation, "from_wire")):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model(part)) is not None), None)


def _is_list(annotation: Any) -> bool:
    return get_origin(annotation) is tuple or any(get_origin(part) is tuple for part in get_args(annotation))


def _is_optional(field: Any) -> bool:
    """Whether a null says the same as leaving the field out: for settings, and where `None` is the default."""
    return field.default is None or _model(field.type) is not None
