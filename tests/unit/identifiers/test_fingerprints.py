import gc
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from criteo_audiences.identifiers import Fingerprints

MANY = 300_000


@given(identifiers=st.lists(st.text(max_size=3) | st.integers(0, 400).map(str), max_size=600))
def test_it_tells_new_from_seen_as_a_set_does(identifiers: list[str]) -> None:
    """Adding returns whether the identifier was new, and the length counts the distinct ones."""
    fingerprints, model = Fingerprints(), set[str]()
    for identifier in identifiers:
        assert fingerprints.add(identifier) is (identifier not in model)
        model.add(identifier)
        assert len(fingerprints) == len(model)


@pytest.fixture
def measured() -> Iterator[None]:
    """Keeps the collector from being measured along."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def size(thing: Any) -> int:
    """Bytes of an object and of what its lists hold."""
    return sys.getsizeof(thing) + (sum(map(size, thing)) if isinstance(thing, list) else 0)


def test_an_entry_costs_at_most_22_bytes() -> None:
    """Memory for many identifiers stays near that of their fingerprints."""
    fingerprints = Fingerprints()
    for number in range(MANY):
        fingerprints.add(f"{number}@example.com")
    assert len(fingerprints) == MANY
    assert size([*vars(fingerprints).values()]) / MANY <= 22


@pytest.mark.usefixtures("measured")
def test_no_addition_keeps_the_event_loop_waiting() -> None:
    """However full it is, one addition never takes 5 ms: no growth moves everything at once."""
    fingerprints, slow = Fingerprints(), []
    for number in range(MANY):
        began = time.thread_time()
        fingerprints.add(f"{number}@example.com")
        slow.append(time.thread_time() - began)
    assert max(slow) < 0.005


def test_its_repr_shows_a_count_only() -> None:
    """No identifier, not even a fingerprint, is shown."""
    fingerprints = Fingerprints()
    fingerprints.add("a@b.co")
    assert repr(fingerprints) == "Fingerprints(1 identifiers)"
