"""Search segments and audiences: a page of those that pass every filter."""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import attrs

from criteo_audiences.sandbox.entities import E
from criteo_audiences.sandbox.problems import invalid
from criteo_audiences.sandbox.services import Service

_INT32_MAX = 2**31 - 1

Filters = Mapping[str, frozenset[str]]
"""The values that let an entity through, by the attribute that must have one of them."""


@attrs.frozen
class PageRequest:
    """Which part of the result the call asks for."""

    limit: int
    offset: int

    def of(self, found: list[E]) -> list[E]:
        """Returns the part."""
        return found[self.offset :][: self.limit]

    def meta(self, total: int) -> dict[str, int]:
        """Returns the ``…SearchMetadataV1`` of OpenAPI."""
        return {"totalItems": total, "limit": self.limit, "offset": self.offset}


def read_page(query: Mapping[str, str], service: Service) -> PageRequest:
    """Returns the page.

    Raises:
        ProblemError: 400, for a number that OpenAPI does not allow.
    """
    return PageRequest(
        limit=read_number(query, "limit", service.default_page, service.max_page),
        offset=read_number(query, "offset", 0),
    )


def read_filters(document: Mapping[str, Any], names: Mapping[str, str], types: Collection[str] = ()) -> Filters:
    """Returns the filters. A filter that is null (Criteo's samples send it) or empty filters nothing.

    Args:
        document: The body.
        names: The attribute that each filter compares.
        types: The words that a filter of the attribute ``type`` may have.

    Raises:
        ProblemError: 400, at the first thing that is not as OpenAPI demands.
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
