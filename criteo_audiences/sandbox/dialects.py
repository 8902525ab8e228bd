"""Give the server's answers the shapes of OpenAPI, or those of Criteo's guides where the two contradict each other.

Where the guides show a thing in several ways, answers alternate between them: each answer has a number, and the same
numbers give the same answers. Both dialects accept every request that OpenAPI allows.
"""

import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal

import attrs

from criteo_audiences.sandbox.contact_list import is_opaque_id
from criteo_audiences.sandbox.services import COMMERCE_GRID, MARKETING_SOLUTIONS, RETAIL_MEDIA, SERVICES, Service

# The fraction has seven digits. The last is not zero, so that cutting to microseconds differs from rounding.
_TIMESTAMPS = (
    "{second}.{fraction:.3}Z",
    "{second}.{fraction:.2}Z",
    "{second}.{fraction}Z",
    "{second}.{fraction}",
    "{second}.{fraction:.2}",
    "{second}.{fraction}+00:00",
    "{second}Z",
)
_BEYOND_MILLISECONDS = "0009"
_CREATIONS = frozenset({"create", "audiences.create"})
# The guide of audiences keeps failures among the errors.
_WITH_WARNINGS = frozenset({"create", "update", "delete"})

DialectName = Literal["openapi", "guides"]

Document = dict[str, Any]


@attrs.frozen
class Answer:
    """An answer before it becomes bytes; its body is ``None`` where there is none."""

    status: int
    body: Document | None


@attrs.frozen
class Occasion:
    """The call that is answered. A call that found no endpoint has neither service nor endpoint."""

    turn: int
    service: str = ""
    endpoint: str = ""
    segment_id: str = ""


@attrs.frozen
class Dialect:
    """Three pure functions that translate between the server and its callers."""

    described: Callable[[Service], Service]
    """Returns a service with the limits and identifiers that this dialect gives it."""
    understood: Callable[[Document, Service, str], Document]
    """Translates the body of a request to an endpoint of a service into the words of OpenAPI."""
    worded: Callable[[Answer, Occasion], Answer]
    """Translates an answer into the words of this dialect."""

    @property
    def services(self) -> list[Service]:
        """Every service, as this dialect describes it."""
        return [self.described(service) for service in SERVICES.values()]


OPENAPI: Final = Dialect(
    described=lambda service: service,
    understood=lambda document, _service, _endpoint: document,
    worded=lambda answer, _occasion: answer,
)

Rewording = Callable[[Any], Any]
"""Takes the value of a field and returns what replaces it."""


def _described(service: Service) -> Service:
    if service.name == RETAIL_MEDIA.name:
        return attrs.evolve(service, default_page=500)
    if service.name == MARKETING_SOLUTIONS.name:  # its guide lists a type that OpenAPI dropped in 2024
        return attrs.evolve(service, identifiers={**service.identifiers, "customerid": is_opaque_id})
    return service


# What requests may do in addition to OpenAPI: spell words differently, and add or drop a value's wrapper.


def _as_it_is(value: Any) -> Any:
    return value


def _spelled(words: Iterable[str]) -> Rewording:
    known = {word.lower(): word for word in words}
    return lambda word: known.get(word.replace("-", "").lower(), word) if isinstance(word, str) else word


def _each_spelled(words: Iterable[str]) -> Rewording:
    spelled = _spelled(words)
    return lambda values: list(map(spelled, values)) if isinstance(values, list) else values


def _unwrapped(value: Any) -> Any:
    return value["value"] if isinstance(value, dict) and value.keys() == {"value"} else value


def _wrapped(value: Any) -> Any:
    return {"value": value} if isinstance(value, str) else value


def _with_users(prospecting: Any) -> Any:
    # The guide sends an empty object, and does not say what is assumed.
    return {"usersType": "Prospects", **prospecting} if isinstance(prospecting, dict) else prospecting


_REQUEST_WORDS: Mapping[tuple[str, str], Mapping[str, Rewording]] = {
    (MARKETING_SOLUTIONS.name, "create"): {"description": _unwrapped, "prospecting": _with_users},
    (RETAIL_MEDIA.name, "update"): {"description": _wrapped},
}


def _understood(document: Document, service: Service, endpoint: str) -> Document:
    words: dict[str, Rewording] = {
        # Listed only to be skipped: there may be 50,000 identifiers, and an algebra may be too deep to recurse into.
        **dict.fromkeys(("identifiers", "algebra"), _as_it_is),
        "identifierType": _spelled(service.identifiers),
        "audienceSegmentTypes": _each_spelled(service.types),
        **_REQUEST_WORDS.get((service.name, endpoint), {}),
    }
    return {name: _reworded(value, words) for name, value in document.items()}


def _reworded(value: Any, words: Mapping[str, Rewording]) -> Any:
    if isinstance(value, list):
        return [_reworded(each, words) for each in value]
    if isinstance(value, dict):
        return {name: words[name](each) if name in words else _reworded(each, words) for name, each in value.items()}
    return value


# What answers contain instead: first words anywhere, then whole entities, then problems and their surroundings.


def _in_lower_case(word: Any) -> Any:
    return word.lower() if isinstance(word, str) else word


# The misspellings of one service each; ids of contact lists in the samples of Marketing Solutions are text.
_ANSWER_WORDS: Mapping[str, Mapping[str, Rewording]] = {
    MARKETING_SOLUTIONS.name: {
        "identifierType": lambda word: "phonenumber" if word == "phoneNumber" else word,
        "registryType": lambda _: "PointsOfInterest",
    },
    RETAIL_MEDIA.name: {"identifierType": _in_lower_case},
}


def _read_only_as_text(entity: Document) -> Document:
    settings = entity["attributes"].get("contactList")
    if not isinstance(settings, dict) or "isReadOnly" not in settings:
        return entity
    return _with(entity, contactList={**settings, "isReadOnly": str(settings["isReadOnly"]).lower()})


def _list_id_as_text(operation: Document) -> Document:
    return _with(operation, contactListId=str(operation["attributes"]["contactListId"]))


def _answer_words(occasion: Occasion) -> dict[str, Rewording]:
    turns = itertools.count(occasion.turn)

    def timestamp(text: Any) -> Any:
        return _timestamp(text, next(turns)) if isinstance(text, str) else text

    dates = dict.fromkeys(("createdAt", "updatedAt", "requestDate"), timestamp)
    return {**dates, "algebra": _as_it_is, **_ANSWER_WORDS.get(occasion.service, {})}


def _timestamp(text: str, turn: int) -> str:
    second, _, fraction = text.removesuffix("Z").partition(".")
    return _TIMESTAMPS[turn % len(_TIMESTAMPS)].format(second=second, fraction=fraction + _BEYOND_MILLISECONDS)


def _renamed(document: Document, old: str, new: str) -> Document:
    return {new if name == old else name: value for name, value in document.items()}


def _with(entity: Document, **attributes: Any) -> Document:
    return {**entity, "attributes": {**entity["attributes"], **attributes}}


# Each of these is a sample of the guides: for a new segment, for one service, for one call.


def _never_updated(entity: Document) -> Document:
    return _with(entity, updatedAt=None)


def _description_in_wrapper(entity: Document) -> Document:
    description = entity["attributes"]["description"]
    return entity if description is None else _with(entity, description={"value": description})


def _without_in_market(entity: Document) -> Document:
    return {**entity, "attributes": _without(entity["attributes"], "inMarket")}


def _account_in_capitals(entity: Document) -> Document:
    return {**entity, "attributes": _renamed(entity["attributes"], "accountId", "accountID")}


def _keyed_by_identifier_type(entity: Document) -> Document:
    return _renamed(entity, "type", "identifierType")


def _typed(type_: str) -> Callable[[Document], Document]:
    return lambda entity: {**entity, "type": type_}


def _nested(operation: Document) -> Document:
    attributes = _without(operation, "contactListId") if operation["operation"] == "remove" else operation
    return {"type": "ContactlistAmendment", "attributes": attributes}


_ENTITIES: Mapping[tuple[str, str], tuple[Callable[[Document], Document], ...]] = {
    (MARKETING_SOLUTIONS.name, "create"): (_never_updated, _description_in_wrapper, _without_in_market),
    (RETAIL_MEDIA.name, "create"): (_never_updated, _account_in_capitals),
    (RETAIL_MEDIA.name, "update"): (_account_in_capitals,),
    (RETAIL_MEDIA.name, "search"): (_account_in_capitals, _typed("AudienceSegment"), _read_only_as_text),
    (RETAIL_MEDIA.name, "statistics"): (_keyed_by_identifier_type,),
    (RETAIL_MEDIA.name, "amend"): (_nested,),
    (COMMERCE_GRID.name, "create"): (_never_updated,),
}


# Where Criteo's pages contradict each other about a call, every second answer has these changes.
_EVERY_SECOND: Mapping[tuple[str, str], tuple[Callable[[Document], Document], ...]] = {
    (MARKETING_SOLUTIONS.name, "clear"): (_typed("ContactListAudienceSegment"),),
    (MARKETING_SOLUTIONS.name, "amend"): (_list_id_as_text,),
    (RETAIL_MEDIA.name, "update"): (_typed("Audience Segment"), _keyed_by_identifier_type),
    (RETAIL_MEDIA.name, "delete"): (_typed("Audience Segment"), _keyed_by_identifier_type),
}


def _is_second(turn: int) -> bool:
    return turn % 2 == 1


def _entity(entity: Document, occasion: Occasion) -> Document:
    call = occasion.service, occasion.endpoint
    for change in (*_ENTITIES.get(call, ()), *(_EVERY_SECOND.get(call, ()) if _is_second(occasion.turn) else ())):
        entity = change(entity)
    return entity


def _problem(problem: Document, turn: int) -> Document:
    # OpenAPI has both forms of a trace, one in CommonProblem and one in AudienceError; samples keep to neither.
    trace = ["at Criteo", "at the gateway"]
    return {
        **(problem if _is_second(turn) else _renamed(problem, "traceId", "traceIdentifier")),
        "code": _code(problem["code"], turn),
        "stackTrace": "\n".join(trace) if _is_second(turn) else trace,
    }


def _code(code: str, turn: int) -> str:
    if code == "segment-not-found":
        return ("segment-has-not-been-found", "audience-segment-not-found")[_is_second(turn)]
    return f"audience-{code}" if code.startswith("segment-size-") else code


def _worded(answer: Answer, occasion: Occasion) -> Answer:
    if answer.body is None:
        return _cleared(answer, occasion)
    if occasion.endpoint == "audiences.delete" and answer.body.get("errors") == [] and _is_second(occasion.turn):
        return Answer(204, None)
    body: Document = _reworded(answer.body, _answer_words(occasion))
    for name in ("errors", "warnings"):
        body[name] = [_problem(each, turn) for turn, each in enumerate(body.get(name, ()), start=occasion.turn)]
    if "data" in body:
        body["data"] = _entities(body["data"], occasion)
        # Nowhere in the guides has an answer a type at its top.
        body.pop("type", None)
    status, body = _placed(answer.status, body, occasion)
    return Answer(status, body if body["errors"] or body["warnings"] else _without(body, "errors", "warnings"))


def _cleared(answer: Answer, occasion: Occasion) -> Answer:
    if occasion.service != RETAIL_MEDIA.name:
        return answer
    entity = {"id": occasion.segment_id, "type": "AudienceSegment"}
    return Answer(201, None) if _is_second(occasion.turn) else Answer(200, {"data": entity})


def _entities(data: Any, occasion: Occasion) -> Any:
    return [_entity(each, occasion) for each in data] if isinstance(data, list) else _entity(data, occasion)


def _placed(status: int, body: Document, occasion: Occasion) -> tuple[int, Document]:
    """Returns the answer to a bulk call, with its failures where the guides put them."""
    failures = body["errors"]
    if "data" not in body or not failures:
        return status, body
    if occasion.endpoint in _CREATIONS and not body["data"] and _is_second(occasion.turn):
        return 400, _without(body, "data")
    if occasion.service == MARKETING_SOLUTIONS.name or occasion.endpoint not in _WITH_WARNINGS:
        return status, body
    # The page of Retail Media says warnings, and its own sample of a failed deletion has them in errors.
    if occasion.service == RETAIL_MEDIA.name and occasion.endpoint == "delete" and _is_second(occasion.turn):
        return status, body
    return status, {**body, "errors": [], "warnings": [*failures, *body["warnings"]]}


def _without(document: Document, *names: str) -> Document:
    return {name: value for name, value in document.items() if name not in names}


GUIDES: Final = Dialect(_described, _understood, _worded)
_DIALECTS: Final[Mapping[str, Dialect]] = {"openapi": OPENAPI, "guides": GUIDES}


def dialect_of(name: str) -> Dialect:
    """Returns the dialect of that name.

    Raises:
        ValueError: There is no such dialect.
    """
    if name not in _DIALECTS:
        raise ValueError(f"dialect must be one of {', '.join(_DIALECTS)}")
    return _DIALECTS[name]
