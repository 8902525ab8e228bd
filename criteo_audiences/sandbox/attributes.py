"""Check and change names and descriptions, which segments and audiences have alike."""

from collections.abc import Iterator, Mapping
from typing import Any

from criteo_audiences.sandbox.calls import CallScope, Reach
from criteo_audiences.sandbox.entities import E, timestamp
from criteo_audiences.sandbox.kinds import nillable_violation
from criteo_audiences.sandbox.problems import Violation
from criteo_audiences.sandbox.schema import is_text
from criteo_audiences.sandbox.services import Limits

_ANY_LENGTH = Limits()


def required_text_violations(name: str, attributes: Mapping[str, Any]) -> Iterator[Violation]:
    """Returns what is wrong with a string that must be there."""
    if name not in attributes:
        yield Violation("required-field", f"{name} is missing.")
    elif not is_text(attributes[name]):
        yield Violation("invalid", f"{name} must be a string.")


def creation_violations(
    attributes: Mapping[str, Any], reach: Reach[E], scope: CallScope, limits: Limits = _ANY_LENGTH
) -> Iterator[Violation]:
    """Returns what is wrong with the owner, the name and the description of something new."""
    for name in scope.service.required:
        yield from required_text_violations(name, attributes)
    yield from _name_violations(attributes.get("name", ""), scope.owner_of(attributes), reach, limits)
    if "description" in attributes and (wrong := _description_violation(attributes["description"], limits)):
        yield wrong


def change_violations(
    changes: Mapping[str, Any], entity: E, reach: Reach[E], limits: Limits = _ANY_LENGTH
) -> Iterator[Violation]:
    """Returns what is wrong with a new name, which may be the old one, and with a new description in its wrapper."""
    if changes.get("name", entity.name) != entity.name:
        yield from _name_violations(changes["name"], entity.owner_id, reach, limits)
    if "description" in changes:
        wrong = nillable_violation(
            "description", changes["description"], lambda value: _description_violation(value, limits)
        )
        yield from [wrong] if wrong else []


def change(changes: Mapping[str, Any], entity: E, reach: Reach[E], now: float) -> None:
    """Apply a new name and a new description to an entity, and note when it changed."""
    if "name" in changes:
        reach.store.rename(entity, changes["name"])
    if "description" in changes:
        entity.description = changes["description"].get("value")
    entity.updated_at = timestamp(now)


def own_attributes(attributes: Mapping[str, Any], scope: CallScope) -> dict[str, Any]:
    """Returns the fields of something new, as a store keeps them, that its kind has nothing to do with."""
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
    # The limit is in Criteo's guide; a code for it is not.
    too_long = len(value) > limits.description
    return Violation("invalid", f"description is longer than {limits.description} characters.") if too_long else None


def _at(path: tuple[str, ...], attributes: Mapping[str, Any]) -> Any:
    value: Any = attributes
    for name in path:
        value = (value or {}).get(name)
    return value
