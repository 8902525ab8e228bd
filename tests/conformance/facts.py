"""What Criteo's OpenAPI documents say of requests and answers, in a form small enough to be kept with the tests.

`python -m tests.conformance.facts FOLDER` writes it again from a folder of the documents.
"""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

_KEPT: Final = Path(__file__).parent.parent / "unit" / "services"
REQUESTS: Final = _KEPT / "request_facts.json"
ANSWERS: Final = _KEPT / "answer_facts.json"

Facts = dict[str, dict[str, Any]]
"""What is said of each property by its path, such as `data[].attributes.name`, and of each query parameter."""

_SAID: Final = ("type", "format", "enum", "minimum", "maximum", "maxLength", "uniqueItems", "nullable")
_METHODS: Final = ("get", "put", "post", "delete", "patch")


def request_facts(folder: Path) -> dict[str, Facts]:
    """Returns what is sent in every operation with a body or a query, such as `PATCH /2026-07/.../audiences`."""
    return _facts_of(folder, _sent)


def answer_facts(folder: Path) -> dict[str, Facts]:
    """Returns what is answered in every operation whose answer has a body; its problems are the same in all."""
    return _facts_of(folder, _answered)


def _facts_of(folder: Path, facts_of: Callable[[Mapping[str, Any], Mapping[str, Any]], Facts]) -> dict[str, Facts]:
    found: dict[str, Facts] = {}
    for path in sorted(folder.glob("*.json")):
        document = json.loads(path.read_bytes())
        for route, item in document["paths"].items():
            for method in _METHODS:
                facts = facts_of(document, item[method]) if method in item else {}
                if facts:
                    found[f"{method.upper()} {route}"] = dict(sorted(facts.items()))
    return dict(sorted(found.items()))


def _answered(document: Mapping[str, Any], operation: Mapping[str, Any]) -> Facts:
    for status, answer in operation["responses"].items():
        for content in answer.get("content", {}).values() if status.startswith("2") else ():
            found = _properties(document, content.get("schema", {}), "", ())
            return {path: said for path, said in found if not path.startswith(("errors", "warnings"))}
    return {}


def _sent(document: Mapping[str, Any], operation: Mapping[str, Any]) -> Facts:
    facts: Facts = {}
    for parameter in (_resolved(document, each) for each in operation.get("parameters", ())):
        if parameter["in"] == "query":
            needed = {"required": True} if parameter.get("required") else {}
            facts[f"?{parameter['name']}"] = _said(_resolved(document, parameter["schema"])) | needed
    for content in operation.get("requestBody", {}).get("content", {}).values():
        facts.update(_properties(document, content["schema"], "", ()))
        break  # Criteo declares several content types of one schema
    return facts


def _properties(
    document: Mapping[str, Any], schema: Mapping[str, Any], path: str, above: tuple[str, ...]
) -> Iterator[tuple[str, dict[str, Any]]]:
    name = schema.get("$ref", "")
    if name in above:  # the algebra holds itself
        return
    whole = _resolved(document, schema)
    within = (*above, name) if name else above
    for part in whole.get("allOf", ()):
        yield from _properties(document, part, path, within)
    for key, value in whole.get("properties", {}).items():
        where = f"{path}.{key}" if path else key
        needed = {"required": True} if key in whole.get("required", ()) else {}
        yield where, _said(_resolved(document, value)) | needed
        yield from _properties(document, value, where, within)
    if "items" in whole:
        each = _resolved(document, whole["items"])
        if "properties" not in each and "$ref" not in whole["items"]:
            yield f"{path}[]", _said(each)
        yield from _properties(document, whole["items"], f"{path}[]", within)


def _said(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {key: schema[key] for key in _SAID if schema.get(key) is not None and schema[key] is not False}


def _resolved(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in schema:
        found: Any = document
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        schema = found
    return schema


def written(facts: Mapping[str, Facts]) -> str:
    """Returns facts as JSON, a property a line."""
    operations = []
    for operation, properties in facts.items():
        lines = ",\n".join(f"  {json.dumps(path)}: {json.dumps(said)}" for path, said in properties.items())
        operations.append(f"{json.dumps(operation)}: {{\n{lines}\n}}")
    return "{\n" + ",\n".join(operations) + "\n}\n"


if __name__ == "__main__":
    REQUESTS.write_text(written(request_facts(Path(sys.argv[1]))), encoding="utf-8")
    ANSWERS.write_text(written(answer_facts(Path(sys.argv[1]))), encoding="utf-8")
