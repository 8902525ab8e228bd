"""Every property of every request that Criteo's OpenAPI documents declare, held against what the client sends.

`request_facts.json` is made of the documents by `tests/conformance/facts.py`, and held against them there.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import attrs
import pytest

from criteo_audiences import ConfigurationError
from criteo_audiences.models import UNSET
from tests.unit.services.operations import CALLS, MS_SETTINGS, of, steps, value_at

FACTS: Final[dict[str, dict[str, dict[str, Any]]]] = json.loads(
    (Path(__file__).parent / "request_facts.json").read_text(encoding="utf-8")
)
ONLY_ONE: Final = "data[].attributes.lookalike.targetSize"
"""The only thing that an update of such settings can change, so that without it nothing would be changed."""
OF_ITS_OWN: Final = {"pageIndex", "pageSize"}
"""Query parameters that the client turns by itself."""
KEYWORDS: Final = {"limit_to_id": ["account_ids"], "id": ["ids", "[]"]}
"""Where a call's keywords have a property under another name."""


@pytest.fixture
def services(criteo: Any, experimental: Any) -> dict[bool, Any]:
    """The services under both versions."""
    return {False: criteo, True: experimental}


async def sent(services: dict[bool, Any], operation: str, example: Any) -> tuple[dict[str, list[Any]], Any]:
    """Makes a call; returns the values it sent by path, and the services it was made with."""
    call, _, is_experimental = of(operation)
    criteo = services[is_experimental]
    criteo.will_answer({"data": None, "errors": [{"code": "x"}]}, status=422)
    with pytest.raises(Exception, match="HTTP 422"):
        await call(criteo, example)
    _, path, document = criteo.last
    values: dict[str, list[Any]] = {}
    for where, value in (*flattened(document, ""), *queried(path)):
        values.setdefault(re.sub(r"algebra(?:\.(?:and\[\]|or\[\]|not))+\.", "algebra.", where), []).append(value)
    return values, criteo


def queried(path: str) -> Iterator[tuple[str, Any]]:
    """Yields the query parameters of a path."""
    for each in path.partition("?")[2].split("&") if "?" in path else ():
        name, _, value = each.partition("=")
        yield f"?{name}", int(value) if name in {"limit", "offset", *OF_ITS_OWN} else value


def flattened(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yields every value of a document that stands in an object, and the plain ones in lists, by path."""
    if isinstance(value, dict):
        for key, each in value.items():
            where = f"{path}.{key}" if path else key
            yield where, each
            yield from flattened(each, where)
    if isinstance(value, list):
        for each in value:
            if not isinstance(each, dict):
                yield f"{path}[]", each
            yield from flattened(each, f"{path}[]")


def is_of(value: Any, said: dict[str, Any]) -> bool:
    """Whether a value is what a schema says."""
    kinds = {"string": str, "integer": int, "number": (int, float), "array": list, "object": dict}
    if value is None:
        return bool(said.get("nullable"))
    return isinstance(value, kinds[said["type"]]) and value in said.get("enum", [value])


def is_optional_here(operation: str, path: str) -> bool:
    """Whether the client leaves a property out on purpose: an object without properties says nothing, nor does the
    type of a search, which no sample has.
    """  # noqa: D205 - one sentence
    said = FACTS[operation]
    is_empty = said[path]["type"] == "object" and not any(other.startswith(f"{path}.") for other in said)
    return is_empty or (path == "data.type" and operation.endswith("/search"))


def test_every_operation_is_here() -> None:
    """Each that has a body or a query, and none that Criteo does not have."""
    assert {of(operation)[0] for operation in FACTS} == {call for call, _ in CALLS.values()}


@pytest.mark.parametrize("operation", FACTS)
async def test_every_property_is_sent_as_declared(services: dict[bool, Any], operation: str) -> None:
    """No property is missing, none is undeclared, and each is of its type."""
    said, found = FACTS[operation], set()
    for example in of(operation)[1]:
        values, _ = await sent(services, operation, example)
        found |= values.keys()
        assert values.keys() <= said.keys()
        for path, each in values.items():
            if path != "?limitToId":
                assert all(is_of(value, said[path]) for value in each), path
    missing = said.keys() - found
    assert {path for path in missing if not is_optional_here(operation, path)} == set()


def changed(example: Any, way: list[str], value: Any) -> Any:
    """Returns an example with another value somewhere."""
    if not way:
        return value
    step, rest = way[0], way[1:]
    if step == "[]":
        return [changed(example[0], rest, value), *example[1:]]
    if isinstance(example, dict):
        return {**example, step: changed(example.get(step), rest, value)}
    return attrs.evolve(example, **{step: changed(getattr(example, step), rest, value)})


def without(example: Any, way: list[str]) -> Any:
    """Returns an example built anew without one of its properties."""
    if len(way) > 1 and way[0] != "[]":
        inner = example[way[0]] if isinstance(example, dict) else getattr(example, way[0])
        return changed(example, way[:1], without(inner, way[1:]))
    if isinstance(example, dict):
        return {name: value for name, value in example.items() if name != way[0]}
    kept = {field.name: getattr(example, field.name) for field in attrs.fields(type(example)) if field.init}
    del kept[way[0]]
    return type(example)(**kept)


def properties(operation: str) -> Iterator[tuple[str, list[str], Any]]:
    """Yields the properties that a caller gives, with the way to each and an example that has it."""
    _, examples, _ = of(operation)
    for path in FACTS[operation]:
        way = steps(path)
        if isinstance(examples[0], dict):
            way = KEYWORDS.get(way[0], way)
        if path in {"data", "data.id", "data.attributes", "data[].attributes"} or way[-1] == "type":
            continue
        if ".algebra." in path or path.removeprefix("?") in OF_ITS_OWN:
            continue
        example = next((each for each in examples if value_at(each, way) is not UNSET), None)
        if example is not None:
            yield path, way, example


ALL: Final = [(operation, *each) for operation in FACTS for each in properties(operation)]
NAMED: Final = [f"{operation}-{path}" for operation, path, _, _ in ALL]

WRONG: Final[dict[str, list[Any]]] = {
    "string": [5, 1.5, True, ["x"], {"x": 1}, b"x"],
    "integer": ["five", 1.5, True, float("nan"), -1, [5], 2**64],
    "number": ["5", True, float("nan"), float("inf"), [5], -200],
    "array": ["x", 5, {"x": 1}],
    "object": ["x", 5, {"x": 1}],
}


def wrong_values(said: dict[str, Any], value: Any) -> list[Any]:
    """Returns values that cannot be right in a property; a wrapper is the client's own, its value the caller's."""
    if said["type"] == "object" and not attrs.has(type(value)) and not hasattr(value, "to_wire"):
        return []
    more = ["nonsense"] if "enum" in said else []
    more += [2**31] if said.get("format") == "int32" else [2**63] if said.get("format") == "int64" else []
    more += [said["maximum"] + 1] if "maximum" in said else []
    more += ["abc", "1.5", str(2**63)] if said.get("format") == "long-id" else []
    return WRONG[said["type"]] + more


@pytest.mark.parametrize(("operation", "path", "way", "example"), ALL, ids=NAMED)
async def test_a_wrong_value_is_refused_with_its_field_named(
    services: dict[bool, Any], operation: str, path: str, way: list[str], example: Any
) -> None:
    """Before a call, whatever the property is: of another type, out of bounds, or no word of its vocabulary."""
    call, _, is_experimental = of(operation)
    field = next(step for step in reversed(way) if step != "[]")
    for value in wrong_values(FACTS[operation][path], value_at(example, way)):
        with pytest.raises((ConfigurationError, TypeError), match=field.removesuffix("s")):
            await call(services[is_experimental], changed(example, way, value))
    assert not services[is_experimental].asked


@pytest.mark.parametrize(("operation", "path", "way", "example"), ALL, ids=NAMED)
async def test_what_is_required_cannot_be_left_out_and_only_that(
    services: dict[bool, Any], operation: str, path: str, way: list[str], example: Any
) -> None:
    """A required property is demanded before a call, but for those with a default; an optional one is not."""
    if "[]" in way or path.endswith(".id") or way == ["ids"]:
        return  # part of a list, or what a call is about
    call, _, is_experimental = of(operation)
    field = way[-1]
    if FACTS[operation][path].get("required"):
        with pytest.raises((ConfigurationError, TypeError), match=field):
            await call(services[is_experimental], without(example, way))
        assert not services[is_experimental].asked
    elif len(way) == 1 and field in {*MS_SETTINGS, "events"}:
        return  # exactly one of them is required, which no schema can say
    elif not isinstance(example, dict) and path != ONLY_ONE:
        without(example, way)


@pytest.mark.parametrize(("operation", "path", "way", "example"), ALL, ids=NAMED)
async def test_every_word_is_sent_as_declared(
    services: dict[bool, Any], operation: str, path: str, way: list[str], example: Any
) -> None:
    """Each word of an enumeration but the one that says nothing, and a list's members once."""
    for word in FACTS[operation][path].get("enum", ()):
        if word.lower() == "unknown":
            continue
        given = changed(example, way, word)
        if word == "gum":
            given["gum_caller_id"] = 7
        values, _ = await sent(services, operation, given)
        assert values[path] == [word]
    if FACTS[operation][path].get("uniqueItems"):
        [one] = value_at(example, way)
        values, _ = await sent(services, operation, changed(example, way, [one, one]))
        assert len(values[f"{path}[]"]) == 1
