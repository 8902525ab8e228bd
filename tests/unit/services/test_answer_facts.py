"""Every property of every answer that Criteo's OpenAPI documents declare is reachable in what a call returns.

`answer_facts.json` is made of the documents by `tests/conformance/facts.py`, and held against them there.
"""

import json
from pathlib import Path
from typing import Any, Final

import pytest

from criteo_audiences.algebra import Expression
from tests.unit.services.operations import CALLS, Call, of, steps, value_at

FACTS: Final[dict[str, dict[str, dict[str, Any]]]] = json.loads(
    (Path(__file__).parent / "answer_facts.json").read_text(encoding="utf-8")
)


async def listed_accounts(criteo: Any, _: Any) -> Any:
    """Lists the accounts of one page."""
    return [account async for account in criteo.rm.list_accounts()]


WITHOUT_A_BODY: Final[dict[str, Call]] = {
    "GET advertisers/me": lambda c, _: c.ms.list_advertisers(),
    "GET marketing-solutions/me": lambda c, _: c.ms.get_application(),
    "GET retail-media/me": lambda c, _: c.rm.get_application(),
    "GET commerce-grid/me": lambda c, _: c.cg.get_application(),
    "GET marketing-solutions/audience-segments/{audience-segment-id}/contact-list/statistics": (
        lambda c, _: c.ms.get_contact_list_statistics("5")),
    "GET commerce-grid/audience-segments/{audience-segment-id}/contact-list/statistics": (
        lambda c, _: c.cg.get_contact_list_statistics("5")),
    "GET retail-media/accounts/{account-id}/audience-segments/{audience-segment-id}/contact-list": (
        lambda c, _: c.rm.get_contact_list_statistics("7", "5")),
    "GET retail-media/preferred-line-items/{line-item-id}/targeting/audiences": (
        lambda c, _: c.rm.get_line_item_audiences("5")),
    "GET retail-media/accounts": listed_accounts,
    "DELETE marketing-solutions/audience-segments/{audience-segment-id}/contact-list": (
        lambda c, _: c.ms.clear_contact_list("5")),
}  # fmt: skip
"""How to make the calls that send nothing."""

OTHER_NAMES: Final = {
    "nb_valid_identifiers": "valid",
    "nb_invalid_identifiers": "invalid",
    "sample_invalid_identifiers": "sample_invalid",
}
"""Where a property has another name in Python."""
PAGES: Final = {"meta.totalItems": "total_items", "meta.limit": "limit", "meta.offset": "offset"}


def is_said_elsewhere(operation: str, path: str) -> bool:
    """Whether a property is not kept on purpose: the type, which the path said already, the id of a result that was not
    searched for, what turns the pages, and what is left of a list that was cleared.
    """  # noqa: D205 - one sentence
    return (
        path in {"type", "data.type", "data[].type"}
        or (path == "data.id" and "ad-sets" not in operation)
        or path.startswith("metadata")
        or operation.startswith("DELETE")
    )


def leaves(operation: str) -> dict[str, Any]:
    """Returns a value for every property that holds no others; the algebra is a segment."""
    whole: dict[str, Any] = {}
    for path, said in FACTS[operation].items():
        if path.endswith(".algebra"):
            whole[path] = {"audienceSegmentId": "5"}
        elif ".algebra." not in path and said.get("type", "object") not in {"object", "array"}:
            whole[path] = sample(path, said)
    return whole


def sample(path: str, said: dict[str, Any]) -> Any:
    """Returns a value of a property."""
    if "enum" in said:
        return said["enum"][-1]
    if said.get("format") == "date-time":
        return "2024-01-15T12:23:18+00:00"
    return {"string": f"text of {path}", "integer": 7, "number": 0.5, "boolean": True}[said["type"]]


def put(place: Any, way: list[str], value: Any) -> Any:
    """Puts a value into a document and returns what holds it."""
    if not way:
        return value
    step, rest = way[0], way[1:]
    if step == "[]":
        return [put((place or [None])[0], rest, value)]
    return {**(place or {}), step: put((place or {}).get(step), rest, value)}


def document(values: dict[str, Any]) -> dict[str, Any]:
    """Returns an answer that has every property."""
    whole: dict[str, Any] = {}
    for path, value in values.items():
        whole = put(whole, path.replace("[]", ".[]").split("."), value)
    return whole


def spelled(found: Any) -> str:
    """Returns a value as Criteo's sample has it."""
    if isinstance(found, Expression):
        return str(found.to_wire())
    return str(found.isoformat() if hasattr(found, "isoformat") else getattr(found, "value", found))


@pytest.mark.parametrize("operation", list(FACTS))
async def test_every_property_of_an_answer_is_reachable(criteo: Any, experimental: Any, operation: str) -> None:
    """What Criteo says is an attribute of what a call returns, under its own name in Python."""
    method, path = operation.split()
    _, version, rest = path.split("/", 2)
    name, values = f"{method} {rest}", leaves(operation)
    call, example = (WITHOUT_A_BODY[name], None) if name in WITHOUT_A_BODY else (CALLS[name][0], of(operation)[1][0])
    services = experimental if version == "experimental" else criteo
    services.will_answer(document({place: value for place, value in values.items() if "nextPage" not in place}))
    result = await call(services, example)
    item = result.items[0] if hasattr(result, "items") else result[0] if isinstance(result, (list, tuple)) else result
    for place, value in values.items():
        if is_said_elsewhere(operation, place):
            continue
        if place in PAGES:
            found = getattr(result, PAGES[place])
        elif isinstance(item, str):  # of what was deleted only its id is left
            found = item if place.endswith(".id") else value
        else:
            found = value_at(item, [OTHER_NAMES.get(step, step) for step in steps(place)])
        assert plain(spelled(found)) == plain(str(value)), place


def plain(text: str) -> str:
    """Returns a word without case and punctuation."""
    return "".join(filter(str.isalnum, text)).casefold()


def test_every_operation_is_answered() -> None:
    """None is left out: those without a body have a call of their own."""
    names = {f"{operation.split()[0]} {operation.split()[1].split('/', 2)[2]}" for operation in FACTS}
    assert names <= CALLS.keys() | WITHOUT_A_BODY.keys()
