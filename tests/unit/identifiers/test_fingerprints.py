import sys
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from criteo_audiences.identifiers import Fingerprints
from tests.kit import nothing_else_measured

MANY = 300_000


@given(identifiers=st.lists(st.text(max_size=3) | st.integers(0, 400).map(str), max_size=600))
def test_it_tells_new_from_seen_as_a_set_does(identifiers: list[str]) -> None:
    """Adding returns whether the identifier was new, and the length counts the distinct ones."""
    fingerprints, model = Fingerprints(), set[str]()
    for identifier in identifiers:
        assert fingerprints.add(identifier) is (identifier not in model)
        model.add(identifier)
        assert len(fingerprints) == len(model)


def size(thing: Any) -> int:
    """Bytes of an object and of what its lists hold."""
    return sys.getsizeof(thing) + (sum(map(size, thing)) if isinstance(thing, list) else 0)


@pytest.fixture(scope="module")
def many() -> list[str]:
    """Many identifiers."""
    return [f"{number}@example.com" for number in range(MANY)]


def test_an_entry_costs_at_most_22_bytes(many: list[str]) -> None:
    """Memory for many identifiers stays near that of their fingerprints."""
    fingerprints = Fingerprints()
    assert all(map(fingerprints.add, many))
    assert len(fingerprints) == MANY
    assert size([*vars(fingerprints).values()]) / MANY <= 22


def test_no_addition_keeps_the_event_loop_waiting(many: list[str]) -> None:
    """However full it is, ten additions never take 5 ms: no growth moves everything at once."""
    with nothing_else_measured():
        times = times_of_additions(many)
        for _ in range(2):  # what the machine did meanwhile, it does once; what additions cost, they cost each time
            if max(times) >= 0.005:
                times = list(map(min, zip(times, times_of_additions(many), strict=True)))
    assert max(times) < 0.005


def times_of_additions(identifiers: list[str]) -> list[float]:
    """Returns the processor time of each ten additions, in seconds."""
    fingerprints, times = Fingerprints(), []
    for start in range(0, MANY, 10):
        ten, began = identifiers[start : start + 10], time.thread_time()
        for identifier in ten:
            fingerprints.add(identifier)
        times.append(time.thread_time() - began)
    return times


def test_its_repr_shows_a_count_only() -> None:
    """No identifier, not even a fingerprint, is shown."""
    fingerprints = Fingerprints()
    fingerprints.add("a@b.co")
    assert repr(fingerprints) == "Fingerprints(1 identifiers)"
