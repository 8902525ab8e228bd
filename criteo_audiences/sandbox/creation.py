"""Creating segments in Marketing Solutions: which items of a bulk call are accepted, and why the others are not."""

from collections.abc import Iterator, Mapping
from typing import Any

from criteo_audiences.sandbox.contact_list import ContactList
from criteo_audiences.sandbox.problems import Violation, invalid
from criteo_audiences.sandbox.segments import Segment, SegmentStore, timestamp
from criteo_audiences.sandbox.settings import KINDS, is_text

SERVICE = "marketing-solutions"


def items(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Returns the attributes of each item.

    Raises:
        ProblemError: 400, when the body has not the shape of OpenAPI: then no item can be told from another.
    """
    data = document.get("data")
    if not isinstance(data, list) or not all(isinstance(item, dict) for item in data):
        raise invalid("data must be a list of objects.", code="invalid" if "data" in document else "required-field")
    attributes = [item.get("attributes", {}) for item in data]
    if not all(isinstance(each, dict) for each in attributes):
        raise invalid("attributes must be an object.")
    return attributes


def violations(attributes: Mapping[str, Any], segments: SegmentStore) -> Iterator[Violation]:
    """Returns everything that keeps a segment from being created."""
    yield from _owner_violations(attributes)
    yield from _name_violations(attributes, segments)
    if "description" in attributes and not is_text(attributes["description"]):
        yield Violation("invalid", "description must be a string.")
    yield from _settings_violations(attributes)


def create(attributes: Mapping[str, Any], segments: SegmentStore, *, now: float) -> Segment:
    """Keep a segment whose attributes break no rule."""
    (name,) = KINDS.keys() & attributes.keys()
    return segments.add(
        service=SERVICE,
        owner_id=attributes["advertiserId"],
        name=attributes["name"],
        kind=KINDS[name].type,
        description=attributes.get("description"),
        settings={name: KINDS[name].kept(attributes[name])},
        contact_list=ContactList() if name == "contactList" else None,
        created_at=timestamp(now),
    )


def entity(segment: Segment) -> dict[str, Any]:
    """Returns the segment as ``AudienceSegmentEntityV1Resource`` of OpenAPI."""
    attributes = {
        "advertiserId": segment.owner_id,
        "name": segment.name,
        "description": segment.description,
        "type": segment.kind,
        "createdAt": segment.created_at,
        "updatedAt": segment.created_at,
        **segment.settings,
    }
    return {"id": segment.id, "type": "AudienceSegment", "attributes": attributes}


def _owner_violations(attributes: Mapping[str, Any]) -> Iterator[Violation]:
    if "advertiserId" not in attributes:
        yield Violation("required-field", "advertiserId is missing.")
    elif not is_text(attributes["advertiserId"]):
        yield Violation("invalid", "advertiserId must be a string.")


def _name_violations(attributes: Mapping[str, Any], segments: SegmentStore) -> Iterator[Violation]:
    name, owner_id = attributes.get("name", ""), attributes.get("advertiserId")
    if not isinstance(name, str):
        yield Violation("invalid", "name must be a string.")
    elif not name.strip():
        yield Violation("name-must-not-be-empty", "The name is empty.")
    elif isinstance(owner_id, str) and segments.has_name(SERVICE, owner_id, name):
        yield Violation("name-must-be-unique", "The advertiser has a segment of that name.")


def _settings_violations(attributes: Mapping[str, Any]) -> Iterator[Violation]:
    names = KINDS.keys() & attributes.keys()
    if len(names) != 1:
        # In Criteo's guide, not in OpenAPI: each segment is of one kind.
        yield Violation("invalid" if names else "required-field", "There must be exactly one settings object.")
        return
    (name,) = names
    if isinstance(attributes[name], dict):
        yield from KINDS[name].violations(attributes[name])
    else:
        yield Violation("invalid", f"{name} must be an object.")
