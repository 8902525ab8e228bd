"""Updating and deleting segments: which items of a bulk call are accepted, and why the others are not."""

from collections.abc import Iterator, Mapping
from typing import Any

from criteo_audiences.sandbox.bulk import Action, Item, full_entity, id_entity
from criteo_audiences.sandbox.checks import is_text
from criteo_audiences.sandbox.creation import name_violations
from criteo_audiences.sandbox.kinds import nillable_violation
from criteo_audiences.sandbox.problems import Violation
from criteo_audiences.sandbox.scope import Scope
from criteo_audiences.sandbox.segments import Segment, timestamp


def update_violations(item: Item, scope: Scope) -> Iterator[Violation]:
    """Returns everything that keeps a segment from being changed as the item says."""
    if unreachable := scope.violation(item.id):
        yield unreachable
        return
    segment, changes = scope[item.id], item.attributes
    if "name" in changes:
        yield from name_violations(changes["name"], segment.owner_id, scope, current=segment.name)
    if "description" in changes:
        wrong = nillable_violation("description", changes["description"], _description_violation)
        yield from [wrong] if wrong else []
    yield from _settings_violations(changes, segment)


def update(item: Item, scope: Scope) -> Segment:
    """Change what the item names, and leave the rest."""
    segment, changes = scope[item.id], item.attributes
    if "name" in changes:
        scope.segments.rename(segment, changes["name"])
    if "description" in changes:
        segment.description = changes["description"].get("value")
    if segment.settings_name in _updatable(changes, segment):
        kind = segment.service.kinds[segment.settings_name]
        segment.settings = kind.updated(changes[segment.settings_name], segment.settings)
    segment.updated_at = timestamp(scope.now)
    return segment


def delete_violations(item: Item, scope: Scope) -> Iterator[Violation]:
    """Returns what keeps a segment from being deleted."""
    if unreachable := scope.violation(item.id):
        yield unreachable
    elif scope[item.id].in_audience:
        yield Violation("segment-must-not-be-used-in-audience", "An audience uses the segment.")


def delete(item: Item, scope: Scope) -> Segment:
    """Forget a segment."""
    segment = scope[item.id]
    scope.segments.remove(segment)
    return segment


UPDATE = Action(update_violations, update, full_entity)
DELETE = Action(delete_violations, delete, id_entity)


def _description_violation(value: object) -> Violation | None:
    return None if is_text(value) else Violation("invalid", "description must be a string or null.")


def _updatable(changes: Mapping[str, Any], segment: Segment) -> list[str]:
    # What the schema of an update has no field for is ignored, like any unknown field.
    kinds = segment.service.kinds
    return [name for name in kinds if name in changes and kinds[name].is_updatable]


def _settings_violations(changes: Mapping[str, Any], segment: Segment) -> Iterator[Violation]:
    for name in _updatable(changes, segment):
        if name != segment.settings_name:
            yield Violation("type-must-be-the-same", f"The segment is of another type than {name}.")
        elif not isinstance(changes[name], dict):
            yield Violation("invalid", f"{name} must be an object.")
        else:
            yield from segment.service.kinds[name].update_violations(changes[name], segment.settings)
