"""What a kind of segment consists of, and what becomes of it when it is created and updated."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

from criteo_audiences.sandbox.checks import Check
from criteo_audiences.sandbox.problems import Violation


@attrs.frozen
class Field:
    """A field of a settings object."""

    name: str
    check: Check
    code: str = "invalid"
    """The problem when the check fails."""
    missing: str | None = None
    """The problem when a creation leaves it out; ``None`` for an optional field."""
    is_nillable: bool = False
    """Whether an update wraps it as ``{"value": …}``, where a missing or null value sets it to null."""
    in_creation: bool = True
    """Whether the schema of a creation has it; otherwise it is ignored there, like any unknown field."""
    in_update: bool = True
    """The same for the schema of an update."""
    names_segment: bool = False
    """Whether it is the id of a segment, which must be of the same owner."""
    in_answer: bool = True
    """Whether the answer shows it among the settings."""

    def violation(self, settings: Mapping[str, Any]) -> Violation | None:
        """Returns what is wrong with the field in a creation, if anything."""
        if self.name not in settings:
            return Violation(self.missing, f"{self.name} is missing.") if self.missing else None
        return self._violation(settings[self.name])

    def update_violation(self, value: object) -> Violation | None:
        """Returns what is wrong with its new value, as an update puts it."""
        return nillable_violation(self.name, value, self._violation) if self.is_nillable else self._violation(value)

    def updated(self, value: Any) -> Any:
        """Returns the new value itself."""
        return value.get("value") if self.is_nillable else value

    def _violation(self, value: object) -> Violation | None:
        return None if self.check(value) else Violation(self.code, f"{self.name} is not valid.")


def nillable_violation(name: str, wrapper: object, violation: Callable[[object], Violation | None]) -> Violation | None:
    """Returns what is wrong with a ``Nillable…`` object of OpenAPI, if anything.

    Args:
        name: The field that it stands for.
        wrapper: What should be ``{"value": …}``.
        violation: Judges a value other than null.
    """
    if not isinstance(wrapper, dict):
        return Violation("invalid", f"{name} must be an object with a value.")
    value = wrapper.get("value")
    return None if value is None else violation(value)


def _nothing(_: Mapping[str, Any]) -> Violation | None:
    return None


@attrs.frozen
class Kind:
    """A kind of segment: its name, its fields, a rule across them, and what the server makes of them."""

    type: str
    fields: tuple[Field, ...] = ()
    across: Callable[[Mapping[str, Any]], Violation | None] = _nothing
    completed: Callable[[Mapping[str, Any]], dict[str, Any]] = dict
    defaults: Mapping[str, Any] = attrs.field(factory=dict)
    """What the server adds when a segment is created."""
    size: Callable[[Mapping[str, Any]], int | None] | None = None
    """How many users settings come to, ``None`` when that cannot be said of these; ``None`` itself for a kind whose
    size is not supported."""

    @property
    def is_updatable(self) -> bool:
        """Whether an update can change anything about the settings."""
        return any(field.in_update for field in self.fields)

    def violations(self, settings: Mapping[str, Any]) -> Iterator[Violation]:
        """Returns everything that keeps a segment with these settings from being created."""
        wrong = [each for field in self.fields if field.in_creation and (each := field.violation(settings))]
        yield from wrong
        if not wrong and (violation := self.across(settings)):
            yield violation

    def kept(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the settings as the server gives them back: without fields it does not know."""
        shown = [field.name for field in self.fields if field.in_creation and field.in_answer]
        return self.completed({**self.defaults, **{name: settings[name] for name in shown if name in settings}})

    def segment_ids(self, settings: Mapping[str, Any]) -> list[str]:
        """Returns the ids of the segments that settings name."""
        return [settings[field.name] for field in self.fields if field.names_segment]

    def update_violations(self, changes: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterator[Violation]:
        """Returns everything that keeps the settings of a segment from being changed."""
        wrong = [each for field in self._named(changes) if (each := field.update_violation(changes[field.name]))]
        yield from wrong
        if not wrong and (violation := self.across(self.updated(changes, settings))):
            yield violation

    def updated(self, changes: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the settings after an update that breaks no rule."""
        new = {field.name: field.updated(changes[field.name]) for field in self._named(changes)}
        return self.completed({**settings, **new})

    def _named(self, changes: Mapping[str, Any]) -> Iterator[Field]:
        return (field for field in self.fields if field.in_update and field.name in changes)
