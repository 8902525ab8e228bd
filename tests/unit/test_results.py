import copy
import pickle
from typing import Any

import pytest

from criteo_audiences import BulkResult, PartialFailureError, Problem

REFUSED = Problem(code="name-must-be-unique", instance="@data/1", trace_id="trace-1")
WARNED = Problem(code="deprecated-field")


def test_one_is_the_only_item() -> None:
    """`one()` returns the only item, whatever was warned of."""
    assert BulkResult(items=("a",), warnings=(WARNED,)).one() == "a"


@pytest.mark.parametrize(
    ("result", "message", "problems"),
    [
        (BulkResult(), "One result was expected, Criteo returned 0.", ()),
        (BulkResult(items=("a", "b")), "One result was expected, Criteo returned 2.", ()),
        (
            BulkResult(errors=(REFUSED,)),
            "One result was expected, Criteo returned 0: name-must-be-unique at @data/1 (trace trace-1).",
            (REFUSED,),
        ),
        (
            BulkResult(items=("a",), errors=(REFUSED,)),
            "One result was expected, Criteo returned 1: name-must-be-unique at @data/1 (trace trace-1).",
            (REFUSED,),
        ),
        (
            BulkResult(errors=(REFUSED,), warnings=(WARNED,)),
            "One result was expected, Criteo returned 0: "
            "name-must-be-unique at @data/1, deprecated-field (trace trace-1).",
            (REFUSED, WARNED),
        ),
    ],
)
def test_one_raises_unless_exactly_one_came(result: BulkResult[str], message: str, problems: tuple[Problem, ...]) -> None:
    """`one()` raises with the problems when not exactly one item came, or a problem stands beside it."""
    with pytest.raises(PartialFailureError) as caught:
        result.one()
    assert str(caught.value) == message
    assert caught.value.problems == problems


@pytest.mark.parametrize("remake", [copy.deepcopy, lambda result: pickle.loads(pickle.dumps(result))])
def test_result_is_a_value(remake: Any) -> None:
    """A result equals its like, can be pickled, and its parts are empty when left out."""
    result = BulkResult(items=(1, 2), errors=(REFUSED,))
    assert remake(result) == result
    assert (BulkResult().items, BulkResult().errors, BulkResult().warnings) == ((), (), ())
