"""Bulk calls: the items of one body are judged and carried out one by one, and the answer is 200 whatever happened."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

from criteo_audiences.sandbox.entities import Entity
from criteo_audiences.sandbox.problems import Violation, invalid
from criteo_audiences.sandbox.scope import Scope


@attrs.frozen
class Item:
    """An entity in a request, before anything but its outer shape is checked."""

    id: Any
    attributes: Mapping[str, Any]


@attrs.frozen
class Action:
    """What is done with each item."""

    violations: Callable[[Item, Scope], Iterator[Violation]]
    """Everything that keeps an item from being carried out."""
    carry_out: Callable[[Item, Scope], dict[str, Any]]
    """For an item without violations; returns its part of the answer."""


def items(document: Mapping[str, Any]) -> list[Item]:
    """Returns the items of a body.

    Raises:
        ProblemError: 400, when the body has not the shape of OpenAPI: then no item can be told from another.
    """
    data = document.get("data")
    if not isinstance(data, list) or not all(isinstance(item, dict) for item in data):
        raise invalid("data must be a list of objects.", code="invalid" if "data" in document else "required-field")
    if not all(isinstance(item.get("attributes", {}), dict) for item in data):
        raise invalid("attributes must be an object.")
    return [Item(item.get("id"), item.get("attributes", {})) for item in data]


def full_entity(entity: Entity) -> dict[str, Any]:
    """Returns the ``…EntityV1Resource`` of OpenAPI."""
    return {**id_entity(entity), "attributes": entity.document()}


def id_entity(entity: Entity) -> dict[str, Any]:
    """Returns the ``…IdEntityV1Resource`` of OpenAPI."""
    return {"id": entity.id, "type": entity.entity_type}
