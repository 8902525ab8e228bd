"""Searching segments: a page of those that pass every filter."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from criteo_audiences.sandbox.problems import invalid
from criteo_audiences.sandbox.segments import Segment
from criteo_audiences.sandbox.services import Service

_MAX_OFFSET = 2**31 - 1

Filters = Mapping[str, frozenset[str]]
"""The values that let a segment through, by the attribute that must have one of them."""


@attrs.frozen
class Page:
    """Which part of the result is asked for."""

    limit: int
    offset: int

    def of(self, found: list[Segment]) -> list[Segment]:
        """Returns the part."""
        return found[self.offset :][: self.limit]

    def meta(self, total: int) -> dict[str, int]:
        """Returns the ``…SearchMetadataV1`` of OpenAPI."""
        return {"totalItems": total, "limit": self.limit, "offset": self.offset}


def read_page(query: Mapping[str, str], service: Service) -> Page:
    """Returns the page.

    Raises:
        ProblemError: 400, for a number that OpenAPI does not allow.
    """
    return Page(
        limit=_number(query, "limit", service.default_page, service.max_page),
        offset=_number(query, "offset", 0, _MAX_OFFSET),
    )


def read_filters(document: Mapping[str, Any], service: Service) -> Filters:
    """Returns the filters. Null lets everything through (Criteo's samples send it), and so does an empty list.

    Raises:
        ProblemError: 400, at the first thing that is not as OpenAPI demands.
    """
    values = _object(_object(document, "data"), "attributes")
    return {attribute: _words(values, name, service) for name, attribute in service.filters.items() if values.get(name)}


def matching(segments: Iterable[Segment], filters: Filters) -> list[Segment]:
    """Returns the segments that pass every filter."""
    return [each for each in segments if _passes({"id": each.id, **each.document()}, filters)]


def _passes(attributes: Mapping[str, Any], filters: Filters) -> bool:
    return all(attributes[attribute] in wanted for attribute, wanted in filters.items())


def _object(parent: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    # OpenAPI requires neither data nor attributes of a search.
    value = parent.get(name, {})
    if not isinstance(value, dict):
        raise invalid(f"{name} must be an object.")
    return value


def _words(values: Mapping[str, Any], name: str, service: Service) -> frozenset[str]:
    words = values[name]
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise invalid(f"{name} must be a list of strings.")
    if service.filters[name] == "type" and not service.types.issuperset(words):
        raise invalid(f"{name} must be among {', '.join(sorted(service.types))}.")
    return frozenset(words)


def _number(query: Mapping[str, str], name: str, default: int, maximum: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not re.fullmatch("[0-9]{1,10}", text) or int(text) > maximum:
        raise invalid(f"{name} must be an integer from 0 to {maximum}.", code="invalid-range")
    return int(text)
