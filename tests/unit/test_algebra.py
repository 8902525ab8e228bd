"""The audience algebra."""

import copy
import pickle
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from criteo_audiences import ConfigurationError
from criteo_audiences.algebra import Expression, Segment
from tests.kit import nothing_else_measured

EXPRESSION = Segment("1") & (Segment("2") | Segment("3")) & ~Segment("4")
NODE = {
    "and": [
        {"audienceSegmentId": "1"},
        {"or": [{"audienceSegmentId": "2"}, {"audienceSegmentId": "3"}]},
        {"not": {"audienceSegmentId": "4"}},
    ]
}

expressions = st.recursive(
    st.sampled_from("12345").map(Segment),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda pair: pair[0] & pair[1]),
        st.tuples(inner, inner).map(lambda pair: pair[0] | pair[1]),
        inner.map(lambda part: ~part),
    ),
)


def holds(node: Any, segments: frozenset[str]) -> bool:
    """Decides by the wire form whether somebody who is in these segments is in the audience."""
    ((operator, value),) = node.items()
    if operator == "audienceSegmentId":
        return value in segments
    if operator == "not":
        return not holds(value, segments)
    return (all if operator == "and" else any)(holds(part, segments) for part in value)


def test_python_becomes_the_recursive_node_and_back() -> None:
    """The example of the documentation, both ways."""
    assert EXPRESSION.to_wire() == NODE
    assert Expression.from_wire(NODE) == EXPRESSION


def test_repr_reads_like_the_python_that_made_it() -> None:
    """A `repr` has the parentheses it needs and no others."""
    assert repr(EXPRESSION) == "Segment('1') & (Segment('2') | Segment('3')) & ~Segment('4')"
    assert repr(~(Segment("1") & Segment("2"))) == "~(Segment('1') & Segment('2'))"
    assert repr(Segment("1") & Segment("2") | Segment("3")) == "Segment('1') & Segment('2') | Segment('3')"


@given(expressions)
def test_repr_evaluates_to_the_same_expression(expression: Expression) -> None:
    """What is printed can be typed in again."""
    assert eval(repr(expression), {"Segment": Segment}) == expression  # noqa: S307 - our own repr


@given(expressions)
def test_the_wire_form_reads_back(expression: Expression) -> None:
    """Writing and reading keep every expression, its hash included."""
    again = Expression.from_wire(expression.to_wire())
    assert again == expression
    assert hash(again) == hash(expression)


@given(expressions, expressions, st.frozensets(st.sampled_from("12345")))
def test_flattening_keeps_the_meaning(left: Expression, right: Expression, segments: frozenset[str]) -> None:
    """Whoever is in an audience stays in it, however its parts are flattened."""
    for operator, combined, meaning in (
        ("and", left & right, holds(left.to_wire(), segments) and holds(right.to_wire(), segments)),
        ("or", left | right, holds(left.to_wire(), segments) or holds(right.to_wire(), segments)),
    ):
        assert holds(combined.to_wire(), segments) is meaning
        assert all(operator not in part for part in combined.to_wire()[operator])
    assert holds((~left).to_wire(), segments) is not holds(left.to_wire(), segments)
    assert ~~left == left


@pytest.mark.parametrize("depth", [5_000])
def test_depth_costs_no_recursion(depth: int) -> None:
    """A node nested five thousand deep is read, compared, hashed, printed and written."""
    node: dict[str, Any] = {"audienceSegmentId": "0"}
    for level in range(depth // 2):
        node = {"not": {"and": [node, {"audienceSegmentId": str(level)}]}}
    expression = Expression.from_wire(node)
    assert expression == Expression.from_wire(node)
    assert hash(expression) == hash(copy.copy(expression))
    assert len(repr(expression)) > depth
    assert expression.segment_ids[:2] == ("0", "1")
    wire = expression.to_wire()
    for _ in range(1_000):
        wire = wire["not"]["and"][0]


@pytest.mark.parametrize(
    "node",
    [
        None,
        {},
        [],
        "1",
        {"and": []},
        {"and": {"audienceSegmentId": "1"}},
        {"not": [{"audienceSegmentId": "1"}]},
        {"xor": [{"audienceSegmentId": "1"}]},
        {"audienceSegmentId": "1", "not": {"audienceSegmentId": "2"}},
        {"and": [{"audienceSegmentId": "1"}, None]},
        {"audienceSegmentId": ""},
        {"audienceSegmentId": " \n"},
        {"audienceSegmentId": True},
    ],
)
def test_what_is_no_node_is_refused(node: Any) -> None:
    """A malformed node raises, whichever part of it is wrong."""
    with pytest.raises(ValueError, match="expected a node"):
        Expression.from_wire(node)


def test_null_keys_beside_the_one_that_counts_are_ignored() -> None:
    """Criteo may answer every key of a node, all but one of them null."""
    node = {"audienceSegmentId": 7, "and": None, "or": None, "not": None}
    assert Expression.from_wire(node) == Segment("7")


@pytest.mark.parametrize("segment_id", ["", " ", None, 5])
def test_a_segment_needs_an_id(segment_id: Any) -> None:
    """A leaf without an id is refused where it is written."""
    with pytest.raises(ConfigurationError):
        Segment(segment_id)


def test_only_expressions_combine() -> None:
    """A bare id is no expression."""
    with pytest.raises(TypeError):
        Segment("1") & "2"
    with pytest.raises(TypeError):
        Segment("1") | "2"


def test_expressions_travel() -> None:
    """An expression survives pickling and copying."""
    assert pickle.loads(pickle.dumps(EXPRESSION)) == EXPRESSION  # noqa: S301 - our own bytes
    assert copy.deepcopy(Segment("1")) == Segment("1")


def nested(depth: int, operators: tuple[str, ...]) -> Any:
    """Returns a node of that depth in which the operators take turns."""
    node: Any = {"audienceSegmentId": "0"}
    for level in range(depth):
        operator = operators[level % len(operators)]
        node = {operator: node if operator == "not" else [node, {"audienceSegmentId": str(level)}]}
    return node


@pytest.mark.parametrize("operators", [("and",), ("and", "or", "not")])
def test_depth_costs_neither_recursion_nor_its_square(operators: tuple[str, ...]) -> None:
    """A node 20,000 deep is read, printed, compared and written in a moment."""
    node = nested(20_000, operators)
    with nothing_else_measured():
        began = time.process_time()
        expression = Expression.from_wire(node)
        assert Expression.from_wire(expression.to_wire()) == expression == Expression.from_wire(node)
        assert repr(expression).startswith(("Segment", "~", "("))
        assert time.process_time() - began < 5.0


@st.composite
def nodes(draw: st.DrawFn, depth: int = 4) -> Any:
    """Draws a node as a server may send it: nested joins, joins of one part, and double negations among them."""
    kind = draw(st.sampled_from(["audienceSegmentId", "not", "and", "or"] if depth else ["audienceSegmentId"]))
    if kind == "audienceSegmentId":
        return {kind: draw(st.sampled_from("12345"))}
    if kind == "not":
        return {kind: draw(nodes(depth - 1))}
    return {kind: draw(st.lists(nodes(depth - 1), min_size=1, max_size=3))}


@given(nodes(), st.frozensets(st.sampled_from("12345")))
def test_reading_keeps_the_meaning(node: Any, segments: frozenset[str]) -> None:
    """However a server nests an audience, the same people are in it; and no part is joined like its surroundings."""
    expression = Expression.from_wire(node)
    assert holds(expression.to_wire(), segments) is holds(node, segments)
    assert Expression.from_wire(expression.to_wire()) == expression
    assert eval(repr(expression), {"Segment": Segment}) == expression  # noqa: S307 - our own repr
