"""Creating segments: which items of a bulk call are accepted, and why the others are not."""

from collections.abc import Iterator, Mapping
from typing import Any

from criteo_audiences.sandbox.attributes import creation_violations, own_attributes
from criteo_audiences.sandbox.calls import Action, CallScope, Item, full_entity
from criteo_audiences.sandbox.contact_list import ContactList
from criteo_audiences.sandbox.entities import SegmentEntity
from criteo_audiences.sandbox.problems import Violation
from criteo_audiences.sandbox.services import Service


def violations(item: Item, scope: CallScope) -> Iterator[Violation]:
    """Returns everything that keeps a segment from being created."""
    yield from creation_violations(item.attributes, scope.segments, scope)
    yield from _settings_violations(item.attributes, scope)


def create(item: Item, scope: CallScope) -> SegmentEntity:
    """Keep a segment whose attributes break no rule; without a name it gets one."""
    attributes, service = item.attributes, scope.service
    (name,) = _settings_names(attributes, service)
    settings = attributes.get(name, {})
    return scope.segments.store.add(
        **own_attributes(attributes, scope),
        settings_name=name,
        settings=service.kinds[name].kept(settings),
        contact_list=ContactList() if name == "contactList" else None,
    )


CREATE = Action(violations, lambda item, scope: full_entity(create(item, scope)))


def _settings_names(attributes: Mapping[str, Any], service: Service) -> list[str]:
    names = [name for name in service.kinds if name in attributes]
    return names if names or service.default_kind is None else [service.default_kind]


def _settings_violations(attributes: Mapping[str, Any], scope: CallScope) -> Iterator[Violation]:
    names = _settings_names(attributes, scope.service)
    if len(names) != 1:
        # In Criteo's guide, not in OpenAPI: each segment is of one kind.
        yield Violation("invalid" if names else "required-field", "There must be exactly one settings object.")
        return
    (name,) = names
    settings, kind = attributes.get(name, {}), scope.service.kinds[name]
    if not isinstance(settings, dict):
        yield Violation("invalid", f"{name} must be an object.")
        return
    wrong = list(kind.violations(settings))
    yield from wrong
    for segment_id in [] if wrong else kind.segment_ids(settings):
        if violation := scope.reference_violation(segment_id, scope.owner_of(attributes)):
            yield violation
