from typing import Any

import orjson
import pytest

from criteo_audiences.sandbox import algebra
from criteo_audiences.sandbox.wire import dumps


def leaf(segment_id: str) -> dict[str, str]:
    """Returns the node of a segment."""
    return {"audienceSegmentId": segment_id}


def negated(times: int) -> dict[str, Any]:
    """Returns a segment below so many negations."""
    node: dict[str, Any] = leaf("1")
    for _ in range(times):
        node = {"not": node}
    return node


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        [],
        {},
        {"x": 1},
        {"audienceSegmentId": None},
        {"audienceSegmentId": 1},
        {"and": []},
        {"or": {}},
        {"and": [leaf("1"), {}]},
        {"and": [7]},
        {"not": [leaf("1")]},
        {**leaf("1"), "not": leaf("2")},
        {"or": [{"not": {"and": [leaf("1")], "or": [leaf("1")]}}]},
    ],
)
def test_a_node_has_exactly_one_key(wrong: Any) -> None:
    """Empty lists, several keys and other types are refused at any depth."""
    assert algebra.shape_violation(wrong)


def test_keys_that_are_null_do_not_count() -> None:
    """OpenAPI lets every key of a node be null."""
    node = {"audienceSegmentId": None, "and": [leaf("1")], "or": None, "not": None}
    assert algebra.shape_violation(node) is None
    assert algebra.segment_ids(node) == ["1"]


def test_segments_are_named_once_and_in_order() -> None:
    """A segment may stand in several places."""
    node = {"and": [leaf("2"), {"or": [leaf("1"), {"not": leaf("2")}]}, leaf("3")]}
    assert algebra.segment_ids(node) == ["2", "1", "3"]


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (leaf("2"), 20),
        ({"and": [leaf("1"), leaf("2")]}, 10),
        ({"or": [leaf("1"), leaf("2")]}, 30),
        ({"or": [leaf("5")] * 3}, 100),
        ({"not": leaf("1")}, 90),
        ({"and": [leaf("5"), {"not": {"or": [leaf("3"), leaf("4")]}}]}, 30),
    ],
)
def test_sizes_follow_the_operations(node: dict[str, Any], expected: int) -> None:
    """The smallest of all, the sum of all, and everyone else."""
    assert algebra.size(node, lambda each: int(each) * 10, 100) == expected


def test_an_algebra_may_be_deep() -> None:
    """No function calls itself, and JSON of any depth can be written."""
    node = negated(50_001)
    assert algebra.shape_violation(node) is None
    assert algebra.segment_ids(node) == ["1"]
    assert algebra.size(node, lambda _: 1, 100) == 99
    assert (
        dumps({"data": [node, 1]})
        == b'{"data":[' + b'{"not":' * 50_001 + b'{"audienceSegmentId":"1"}' + b"}" * 50_001 + b",1]}"
    )


@pytest.mark.parametrize("depth", [0, 300])
def test_what_is_written_can_be_read(depth: int) -> None:
    """Beyond the depth that orjson writes, the same JSON comes out."""
    value = {"a": [[], {}, None, True, 1.5, "\n", [1, 2]], "b": negated(depth), "": {"c": 1, "d": []}}
    assert orjson.loads(dumps(value)) == value


@pytest.mark.parametrize(
    ("node", "alone"),
    [(leaf("1"), True), ({"and": [leaf("1")]}, True), ({"not": leaf("1")}, False), ({"or": [leaf("1")] * 2}, False)],
)
def test_a_segment_stands_alone(node: dict[str, Any], *, alone: bool) -> None:
    """Nothing is combined with it or excluded."""
    assert algebra.is_lone_segment(node) is alone
