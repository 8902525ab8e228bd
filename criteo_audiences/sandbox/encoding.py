"""JSON of any depth: orjson alone refuses to write more than 254 levels."""

from collections.abc import Iterator
from typing import Any

import orjson


def dumps(value: object) -> bytes:
    """Returns the value as JSON."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        return b"".join(_pieces(value))


def _pieces(value: Any) -> Iterator[bytes]:
    # Bytes among what waits are JSON already: no value of JSON is of that type.
    waiting: list[Any] = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, bytes):
            yield each
        elif isinstance(each, dict):
            members = ((orjson.dumps(name), b":", member) for name, member in each.items())
            waiting.extend(reversed([b"{", *_separated(members), b"}"]))
        elif isinstance(each, list):
            waiting.extend(reversed([b"[", *_separated((member,) for member in each), b"]"]))
        else:
            yield orjson.dumps(each)


def _separated(groups: Iterator[tuple[Any, ...]]) -> Iterator[Any]:
    for index, group in enumerate(groups):
        if index:
            yield b","
        yield from group
