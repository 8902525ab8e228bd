"""Updating and deleting segments: which items of a bulk call are accepted, and why the others are not."""

from collections.abc import Iterator, Mapping
from typing import Any

from criteo_audiences.sandbox.attributes import change, change_violations
from criteo_audiences.sandbox.calls import Action, CallScope, Item, full_entity, id_entity
from criteo_audiences.sandbox.entities import SegmentEntity
from criteo_audiences.sandbox.problems import Violation


def update_violations(item: Item, scope: CallScope) -> Iterator[Violation]:
    """Returns everything that keeps a segment from being changed as the item says."""
    if unreachable := scope.segments.violation(item.id):
        yield unreachable
        return
    segment, changes = scope.segments[item.id], item.attributes
    yield from change_violations(changes, segment, scope.segments)
    yield from _settings_violations(changes, segment)


def update(item: Item, scope: CallScope) -> dict[str, Any]:
    """Change what the item names, and leave the rest."""
    segment, changes = scope.segments[item.id], item.attributes
    if segment.settings_name in _updatable(changes, segment):
        kind = segment.service.kinds[segment.settings_name]
        segment.settings = kind.updated(changes[segment.settings_name], segment.settings)
    change(changes, segment, scope.segments, scope.now)
    return full_entity(segment)


def delete_violations(item: Item, scope: CallScope) -> Iterator[Violation]:
    """Returns what keeps a segment from being deleted."""
    if unreachable := scope.segments.violation(item.id):
        yield unreachable
    elif scope.segments[item.id].in_audience or any(each.uses(item.id) for each in scope.audiences.store):
        yield Violation("segment-must-not-be-used-in-audience", "An audience uses the segment.")


def delete(item: Item, scope: CallScope) -> dict[str, Any]:
    """Forget a segment."""
    segment = scope.segments[item.id]
    scope.segments.store.remove(segment)
    return id_entity(segment)


UPDATE = Action(update_violations, update)
DELETE = Action(delete_violations, delete)


def _updatable(changes: Mapping[str, Any], segment: SegmentEntity) -> list[str]:
    # What the schema of an update has no field for is ignored, like any unknown field.
    kinds = segment.service.kinds
    return [name for name in kinds if name in changes and kinds[name].is_updatable]


def _settings_violations(changes: Mapping[str, Any], segment: SegmentEntity) -> Iterator[Violation]:
    for name in _updatable(changes, segment):
        if name != segment.settings_name:
            yield Violation("type-must-be-the-same", f"The segment is of another type than {name}.")
        elif not isinstance(changes[name], dict):
            yield Violation("invalid", f"{name} must be an object.")
        else:
            yield from segment.service.kinds[name].update_violations(changes[name], segment.settings)
