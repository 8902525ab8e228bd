import sys
import time
from typing import Any

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


def test_an_entry_costs_at_most_22_bytes() -> None:
    """Memory for many identifiers stays near that of their fingerprints."""
    fingerprints = Fingerprints()
    for number in range(MANY):
        fingerprints.add(f"{number}@example.com")
    assert len(fingerprints) == MANY
    assert size([*vars(fingerprints).values()]) / MANY <= 22


def test_no_addition_keeps_the_event_loop_waiting() -> None:
    """However full it is, one addition never takes 5 ms: no growth moves everything at once."""
    with nothing_else_measured():
        # What one addition costs by itself it costs each time; what the machine did meanwhile, it does once.
        slow = list(map(min, zip(*(times_of_additions() for _ in range(3)), strict=True)))
    assert max(slow) < 0.005


def times_of_additions() -> list[float]:
    """Returns the processor time of each of many additions, in seconds."""
    fingerprints, times = Fingerprints(), []
    for number in range(MANY):
        began = time.thread_time()
        fingerprints.add(f"{number}@example.com")
        times.append(time.thread_time() - began)
    return times


def test_its_repr_shows_a_count_only() -> None:
    """No identifier, not even a fingerprint, is shown."""
    fingerprints = Fingerprints()
    fingerprints.add("a@b.co")
    assert repr(fingerprints) == "Fingerprints(1 identifiers)"
