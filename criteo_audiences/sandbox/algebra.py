"""The algebra of an audience: a tree of nodes, each with one of ``audienceSegmentId``, ``and``, ``or`` and ``not``.

All functions here walk the tree with a list instead of recursion, because Criteo publishes no limit of its depth.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

from criteo_audiences.sandbox.problems import Violation

LEAF: Final = "audienceSegmentId"
_LISTS = "and", "or"
_KEYS = LEAF, *_LISTS, "not"


def operation(node: dict[str, Any]) -> tuple[str, Any]:
    """Returns the one key of a valid node that has a value (OpenAPI lets the others be null), and the value."""
    ((key, value),) = _given(node)
    return key, value


def nodes(algebra: dict[str, Any]) -> Iterator[Any]:
    """Yields every node before its children; an invalid node has no children."""
    waiting: list[Any] = [algebra]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(reversed(_below(node)))


def shape_violation(algebra: object) -> Violation | None:
    """Returns the first thing that is wrong with the form of an algebra, if anything."""
    if not isinstance(algebra, dict):
        return Violation("invalid", "algebra must be an object.")
    return next((wrong for node in nodes(algebra) if (wrong := _node_violation(node))), None)


def segment_ids(algebra: dict[str, Any]) -> list[str]:
    """Returns the ids of the segments in a valid algebra, in its order, each once."""
    operations = map(operation, nodes(algebra))
    return list(dict.fromkeys(value for key, value in operations if key == LEAF))


def is_lone_segment(algebra: dict[str, Any]) -> bool:
    """Returns whether a valid algebra amounts to a single segment."""
    keys = [operation(node)[0] for node in nodes(algebra)]
    return keys.count(LEAF) == 1 and "not" not in keys


def size(algebra: dict[str, Any], size_of: Callable[[str], int], everyone: int) -> int:
    """Returns an estimate of how many users a valid algebra selects.

    Args:
        algebra: The whole tree.
        size_of: Returns the number of users of a segment.
        everyone: The number of all users.
    """
    sizes: dict[int, int] = {}
    for node in reversed(list(nodes(algebra))):
        key, value = operation(node)
        sizes[id(node)] = (
            size_of(value) if key == LEAF else _combined(key, [sizes[id(each)] for each in _below(node)], everyone)
        )
    return sizes[id(algebra)]


def _combined(key: str, sizes: list[int], everyone: int) -> int:
    if key == "and":
        return min(sizes)
    return min(everyone, sum(sizes)) if key == "or" else everyone - sizes[0]


def _given(node: dict[str, Any]) -> list[tuple[str, Any]]:
    return [(key, node[key]) for key in _KEYS if node.get(key) is not None]


def _node_violation(node: object) -> Violation | None:
    if not isinstance(node, dict):
        return Violation("invalid", "A node of the algebra must be an object.")
    given = _given(node)
    if len(given) != 1:
        return Violation("invalid", f"A node of the algebra must have exactly one of {', '.join(_KEYS)}.")
    ((key, value),) = given
    if key == LEAF and not isinstance(value, str):
        return Violation("segment-must-have-valid-segment-id", f"{LEAF} must be a string.")
    if key in _LISTS and not (isinstance(value, list) and value):
        return Violation("invalid", f"{key} must be a list of at least one node.")
    return None


def _below(node: object) -> list[Any]:
    if not isinstance(node, dict) or _node_violation(node):
        return []
    key, value = operation(node)
    if key == LEAF:
        return []
    return value if key in _LISTS else [value]
