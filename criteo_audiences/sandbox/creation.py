"""Creating segments: which items of a bulk call are accepted, and why the others are not."""

from collections.abc import Iterator, Mapping
from typing import Any

from criteo_audiences.sandbox.bulk import Action, Item, full_entity
from criteo_audiences.sandbox.checks import is_text
from criteo_audiences.sandbox.contact_list import ContactList
from criteo_audiences.sandbox.problems import Violation
from criteo_audiences.sandbox.scope import Scope
from criteo_audiences.sandbox.segments import Segment, timestamp
from criteo_audiences.sandbox.services import Service


def violations(item: Item, scope: Scope) -> Iterator[Violation]:
    """Returns everything that keeps a segment from being created."""
    attributes = item.attributes
    for name in scope.service.required:
        yield from required_text_violations(name, attributes)
    yield from name_violations(attributes.get("name", ""), _owner_id(attributes, scope), scope)
    if "description" in attributes and not is_text(attributes["description"]):
        yield Violation("invalid", "description must be a string.")
    yield from _settings_violations(attributes, scope.service)


def create(item: Item, scope: Scope) -> Segment:
    """Keep a segment whose attributes break no rule; without a name it gets one."""
    attributes, service, now = item.attributes, scope.service, timestamp(scope.now)
    (name,) = _settings_names(attributes, service)
    settings = attributes.get(name, {})
    return scope.segments.add(
        service=service,
        owner_id=_owner_id(attributes, scope),
        name=attributes.get("name"),
        description=attributes.get("description"),
        attributes={each: _at(path, attributes) for each, path in service.attributes.items()},
        settings_name=name,
        settings=service.kinds[name].kept(settings),
        contact_list=ContactList() if name == "contactList" else None,
        created_at=now,
        updated_at=now,
    )


CREATE = Action(violations, create, full_entity)


def required_text_violations(name: str, attributes: Mapping[str, Any]) -> Iterator[Violation]:
    """Returns what is wrong with a string that must be there."""
    if name not in attributes:
        yield Violation("required-field", f"{name} is missing.")
    elif not is_text(attributes[name]):
        yield Violation("invalid", f"{name} must be a string.")


def name_violations(name: object, owner_id: object, scope: Scope, *, current: str | None = None) -> Iterator[Violation]:
    """Returns what is wrong with the name of a segment.

    Args:
        name: The new name.
        owner_id: Whose segments must not have it already.
        scope: Where these segments are.
        current: The name that the segment has now, which it may keep.
    """
    if not isinstance(name, str):
        yield Violation("invalid", "name must be a string.")
    elif not name.strip():
        yield Violation("name-must-not-be-empty", "The name is empty.")
    elif name != current and isinstance(owner_id, str) and scope.segments.has_name(scope.service, owner_id, name):
        yield Violation("name-must-be-unique", "The owner has a segment of that name.")


def _owner_id(attributes: Mapping[str, Any], scope: Scope) -> Any:
    return attributes.get(scope.service.owner) if scope.owner_id is None else scope.owner_id


def _settings_names(attributes: Mapping[str, Any], service: Service) -> list[str]:
    names = [name for name in service.kinds if name in attributes]
    return names if names or service.default_kind is None else [service.default_kind]


def _settings_violations(attributes: Mapping[str, Any], service: Service) -> Iterator[Violation]:
    names = _settings_names(attributes, service)
    if len(names) != 1:
        # In Criteo's guide, not in OpenAPI: each segment is of one kind.
        yield Violation("invalid" if names else "required-field", "There must be exactly one settings object.")
        return
    (name,) = names
    settings = attributes.get(name, {})
    if isinstance(settings, dict):
        yield from service.kinds[name].violations(settings)
    else:
        yield Violation("invalid", f"{name} must be an object.")


def _at(path: tuple[str, ...], attributes: Mapping[str, Any]) -> Any:
    value: Any = attributes
    for name in path:
        value = (value or {}).get(name)
    return value
