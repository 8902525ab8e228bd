"""How many rows an upload prepares before it looks whether others wait."""

from typing import Any

import pytest

from criteo_audiences.identifiers import Preparation
from tests.kit import LIST, options_of, run_in_virtual_time, upload

USUAL, ODD = 1e-6, 20e-6
ROWS = 4_096


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The slices that were prepared, by a clock that only preparing moves: an odd row takes twenty usual ones."""
    slices: list[int] = []
    now = 0.0
    prepare = Preparation.prepare

    def timed(self: Preparation, values: list[str]) -> list[str]:
        nonlocal now
        now += sum(ODD if "!" in value else USUAL for value in values)
        slices.append(len(values))
        return prepare(self, values)

    monkeypatch.setattr(Preparation, "prepare", timed)
    monkeypatch.setattr("time.perf_counter", lambda: now)
    return slices


def test_odd_rows_are_taken_fewer_at_a_time(taken: list[int], fake_amend: Any) -> None:
    """After one slice that takes long they shrink to where one is short, and grow again with usual rows."""
    rows = ["ab@c.co"] * ROWS + ["a!b@c.co"] * ROWS + ["ab@c.co"] * ROWS
    amend = fake_amend()
    run_in_virtual_time(upload(amend, LIST, rows, options_of()))
    assert amend.identifiers == rows
    assert taken[: ROWS // 256] == [256] * (ROWS // 256)
    odd = taken[ROWS // 256 :]
    assert odd[0] == 256
    assert max(odd[4:-32]) * ODD < 0.001
    assert odd[-1] == 256
