"""Creating, updating and deleting audiences: which items of a bulk call are accepted, and why the others are not."""

from collections.abc import Iterator
from typing import Any

from criteo_audiences.sandbox import algebra
from criteo_audiences.sandbox.attributes import change, change_violations, creation_violations, own_attributes
from criteo_audiences.sandbox.calls import Action, CallScope, Item, full_entity, id_entity
from criteo_audiences.sandbox.problems import Violation

_RETARGETING = "Retargeting"


def algebra_violations(definition: Any, owner_id: object, scope: CallScope) -> Iterator[Violation]:
    """Returns what keeps an owner from having an audience of this algebra."""
    if wrong := algebra.shape_violation(definition):
        yield wrong
        return
    segment_ids = algebra.segment_ids(definition)
    unfit = [each for segment_id in segment_ids if (each := scope.reference_violation(segment_id, owner_id))]
    yield from unfit
    if unfit or algebra.is_lone_segment(definition):
        return
    if any(scope.segments[segment_id].type == _RETARGETING for segment_id in segment_ids):
        yield Violation(
            "audience-with-retargeting-segment-must-be-correctly-specified", "A retargeting segment must stand alone."
        )


def create_violations(item: Item, scope: CallScope) -> Iterator[Violation]:
    """Returns everything that keeps an audience from being created."""
    attributes, limits = item.attributes, scope.service.with_audiences.limits
    yield from creation_violations(attributes, scope.audiences, scope, limits)
    # OpenAPI lets the algebra be null, and demands one.
    if attributes.get("algebra") is None:
        yield Violation("required-field", "algebra is missing.")
    else:
        yield from algebra_violations(attributes["algebra"], scope.owner_of(attributes), scope)


def create(item: Item, scope: CallScope) -> dict[str, Any]:
    """Keep an audience whose attributes break no rule."""
    own = own_attributes(item.attributes, scope)
    return full_entity(scope.audiences.store.add(**own, algebra=item.attributes["algebra"]))


def update_violations(item: Item, scope: CallScope) -> Iterator[Violation]:
    """Returns everything that keeps an audience from being changed as the item says."""
    if unreachable := scope.audiences.violation(item.id):
        yield unreachable
        return
    audience, changes = scope.audiences[item.id], item.attributes
    yield from change_violations(changes, audience, scope.audiences, scope.service.with_audiences.limits)
    if changes.get("algebra") is not None:
        yield from algebra_violations(changes["algebra"], audience.owner_id, scope)


def update(item: Item, scope: CallScope) -> dict[str, Any]:
    """Change what the item names, and leave the rest; OpenAPI lets an algebra be null, which changes nothing."""
    audience, changes = scope.audiences[item.id], item.attributes
    if changes.get("algebra") is not None:
        audience.algebra = changes["algebra"]
    change(changes, audience, scope.audiences, scope.now)
    return full_entity(audience)


def delete_violations(item: Item, scope: CallScope) -> Iterator[Violation]:
    """Returns what keeps an audience from being deleted."""
    if unreachable := scope.audiences.violation(item.id):
        yield unreachable


def delete(item: Item, scope: CallScope) -> dict[str, Any]:
    """Forget an audience."""
    audience = scope.audiences[item.id]
    scope.audiences.store.remove(audience)
    return id_entity(audience)


CREATE = Action(create_violations, create)
UPDATE = Action(update_violations, update)
DELETE = Action(delete_violations, delete)
