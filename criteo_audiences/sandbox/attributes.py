"""Handle what segments and audiences have in common: names, descriptions, and searches by filters, in pages."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import attrs

from criteo_audiences.sandbox.calls import CallScope, Reach
from criteo_audiences.sandbox.entities import E, timestamp
from criteo_audiences.sandbox.kinds import nillable_violation
from criteo_audiences.sandbox.problems import Violation, invalid, is_text
from criteo_audiences.sandbox.services import Limits, Service

_INT32_MAX = 2**31 - 1

Filters = Mapping[str, frozenset[str]]
"""The values that a filter accepts, by the attribute that must have one of them."""


@attrs.frozen
class PageRequest:
    """Which part of the result the call asks for."""

    limit: int
    offset: int

    def of(self, found: list[E]) -> list[E]:
        """Returns that part of the result."""
        return found[self.offset :][: self.limit]

    def meta(self, total: int) -> dict[str, int]:
        """Returns the ``…SearchMetadataV1`` of OpenAPI."""
        return {"totalItems": total, "limit": self.limit, "offset": self.offset}


def read_page(query: Mapping[str, str], service: Service) -> PageRequest:
    """Returns the page that a query string asks for.

    Raises:
        ProblemError: 400, for a number that OpenAPI does not allow.
    """
    return PageRequest(
        limit=read_number(query, "limit", service.default_page, service.max_page),
        offset=read_number(query, "offset", 0),
    )


def read_filters(document: Mapping[str, Any], names: Mapping[str, str], types: Collection[str] = ()) -> Filters:
    """Returns the filters of a search. A filter that is null (as in Criteo's samples) or empty filters nothing.

    Args:
        document: The body.
        names: The attribute that each filter compares.
        types: The words that a filter of the attribute ``type`` may contain.

    Raises:
        ProblemError: 400, at the first deviation from OpenAPI.
    """
    values = _object(_object(document, "data"), "attributes")
    return {
        attribute: _words(values, name, types if attribute == "type" else None)
        for name, attribute in names.items()
        if values.get(name)
    }


def matching(entities: Iterable[E], filters: Filters) -> list[E]:
    """Returns the entities that pass every filter."""
    return [each for each in entities if _passes(each.searchable(), filters)]


def _passes(attributes: Mapping[str, Any], filters: Filters) -> bool:
    return all(not wanted.isdisjoint(_values(attributes[attribute])) for attribute, wanted in filters.items())


def _values(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _object(parent: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    # OpenAPI requires neither data nor attributes of a search.
    value = parent.get(name, {})
    if not isinstance(value, dict):
        raise invalid(f"{name} must be an object.")
    return value


def _words(values: Mapping[str, Any], name: str, allowed: Collection[str] | None) -> frozenset[str]:
    words = values[name]
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise invalid(f"{name} must be a list of strings.")
    if allowed is not None and not set(words) <= set(allowed):
        raise invalid(f"{name} must be among {', '.join(sorted(allowed))}.")
    return frozenset(words)


def read_number(query: Mapping[str, str], name: str, default: int, maximum: int = _INT32_MAX) -> int:
    """Returns an integer of the query.

    Raises:
        ProblemError: 400, for anything but an integer from 0 to the maximum.
    """
    text = query.get(name)
    if text is None:
        return default
    if not re.fullmatch("[0-9]{1,10}", text) or int(text) > maximum:
        raise invalid(f"{name} must be an integer from 0 to {maximum}.", code="invalid-range")
    return int(text)


_ANY_LENGTH = Limits()


def required_text_violations(name: str, attributes: Mapping[str, Any]) -> Iterator[Violation]:
    """Returns what is wrong with a required string."""
    if name not in attributes:
        yield Violation("required-field", f"{name} is missing.")
    elif not is_text(attributes[name]):
        yield Violation("invalid", f"{name} must be a string.")


def creation_violations(
    attributes: Mapping[str, Any], reach: Reach[E], scope: CallScope, limits: Limits = _ANY_LENGTH
) -> Iterator[Violation]:
    """Returns what is wrong with the owner, the name and the description of a new entity."""
    for name in scope.service.required:
        yield from required_text_violations(name, attributes)
    yield from _name_violations(attributes.get("name", ""), scope.owner_of(attributes), reach, limits)
    if "description" in attributes and (wrong := _description_violation(attributes["description"], limits)):
        yield wrong


def change_violations(
    changes: Mapping[str, Any], entity: E, reach: Reach[E], limits: Limits = _ANY_LENGTH
) -> Iterator[Violation]:
    """Returns what is wrong with a new name that differs from the old one, and with a new, wrapped description."""
    if changes.get("name", entity.name) != entity.name:
        yield from _name_violations(changes["name"], entity.owner_id, reach, limits)
    if "description" in changes:
        wrong = nillable_violation(
            "description", changes["description"], lambda value: _description_violation(value, limits)
        )
        yield from [wrong] if wrong else []


def change(changes: Mapping[str, Any], entity: E, reach: Reach[E], now: float) -> None:
    """Apply a new name and a new description to an entity, and update its time of change."""
    if "name" in changes:
        reach.store.rename(entity, changes["name"])
    if "description" in changes:
        entity.description = changes["description"].get("value")
    entity.updated_at = timestamp(now)


def own_attributes(attributes: Mapping[str, Any], scope: CallScope) -> dict[str, Any]:
    """Returns the fields of a new entity, as a store keeps them, except those that depend on its kind."""
    now = timestamp(scope.now)
    return {
        "service": scope.service,
        "owner_id": scope.owner_of(attributes),
        "name": attributes.get("name"),
        "description": attributes.get("description"),
        "attributes": {each: _at(path, attributes) for each, path in scope.service.attributes.items()},
        "created_at": now,
        "updated_at": now,
    }


def _name_violations(name: object, owner_id: object, reach: Reach[E], limits: Limits) -> Iterator[Violation]:
    if not isinstance(name, str):
        yield Violation("invalid", "name must be a string.")
    elif not name.strip():
        yield Violation("name-must-not-be-empty", "The name is empty.")
    elif len(name) > limits.name:
        yield Violation("name-must-not-be-too-long", f"The name is longer than {limits.name} characters.")
    elif isinstance(owner_id, str) and reach.store.has_name(reach.service, owner_id, name):
        yield Violation("name-must-be-unique", f"The owner has another {reach.store.word} of that name.")


def _description_violation(value: object, limits: Limits) -> Violation | None:
    if not isinstance(value, str):
        return Violation("invalid", "description must be a string.")
    # Criteo's guide gives the limit, but no code for it.
    too_long = len(value) > limits.description
    return Violation("invalid", f"description is longer than {limits.description} characters.") if too_long else None


def _at(path: tuple[str, ...], attributes: Mapping[str, Any]) -> Any:
    value: Any = attributes
    for name in path:
        value = (value or {}).get(name)
    return value
