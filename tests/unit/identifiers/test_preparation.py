import math
import traceback

import pytest

from criteo_audiences.identifiers import Fingerprints, Preparation, RejectReason


def test_missing_values_are_rejected_as_empty() -> None:
    """None and NaN are rows without an identifier, not errors."""
    preparation = Preparation(algorithm=None)
    assert preparation.prepare([None, "a@b.co", math.nan, ""]) == ["a@b.co"]
    assert preparation.rejected == {RejectReason.EMPTY: 3}
    assert preparation.read == 4


@pytest.mark.parametrize(
    ("value", "advice"),
    [
        ({"email": "a@b.co"}, "pass one field of each row, such as row['email'] for row in rows"),
        (("a@b.co",), "pass one field of each row, such as row['email'] for row in rows"),
        (5, "put it in quotes, or pass map(str, ...)"),
        (b"a@b.co", "decode it"),
    ],
    ids=repr,
)
def test_what_rows_are_taken_for_by_mistake_has_a_way_out(value: object, advice: str) -> None:
    """Of a CSV reader, of numbers in a data base, of a file in bytes."""
    with pytest.raises(TypeError) as caught:
        Preparation(algorithm=None).prepare([value])
    assert str(caught.value).endswith(f": {advice}")


@pytest.mark.parametrize("value", [5, 0, 1.5, True, b"a@b.co", ("a@b.co",), {"email": "a@b.co"}], ids=repr)
def test_any_other_value_names_its_row_and_type_only(value: object) -> None:
    """A row that is no text stops with its number in the whole source, and never shows its value."""
    preparation = Preparation(algorithm=None)
    preparation.prepare(["a@b.co", None, "c@d.co"])
    with pytest.raises(TypeError) as caught:
        preparation.prepare(["e@f.co", value, "g@h.co"])
    name = type(value).__name__
    assert str(caught.value).startswith(f"row 5 of the source: expected a str, found {name}")
    assert "b.co" not in "".join(traceback.format_exception(caught.value))
    assert preparation.read == 4


def test_who_asks_is_told_of_every_reject_in_order() -> None:
    """Its position in the whole source, the reason, and the value before anything was done to it."""
    told: list[tuple[int, RejectReason, str]] = []
    preparation = Preparation(algorithm=None, on_reject=lambda *reject: told.append(reject))
    preparation.prepare(["a@b.co", None, " Nobody ", "C@d.co"])
    preparation.prepare([math.nan, "a@b.co", "x@@y.co"])
    assert told == [
        (2, RejectReason.EMPTY, ""),
        (3, RejectReason.NO_AT_SIGN, " Nobody "),
        (5, RejectReason.EMPTY, ""),
        (7, RejectReason.SEVERAL_AT_SIGNS, "x@@y.co"),
    ]
    assert preparation.rejected.total() == len(told)


def test_a_subclass_of_str_is_text() -> None:
    """Strings of numpy and the like are taken."""
    kind = type("Text", (str,), {})
    assert Preparation(algorithm=None).prepare([kind(" A@b.co ")]) == ["a@b.co"]


def test_duplicates_are_looked_for_among_what_goes_out() -> None:
    """Two spellings of one address, and its hash in two cases, are one identifier; the first of each goes out."""
    preparation = Preparation(algorithm=None, seen=Fingerprints())
    digest = "E13743A7F1DB7F4246BADD6FD6FF54FF"
    rows = ["a@b.co", " A@B.co", "c@d.co", digest, digest.lower(), "nothing", "a@b.co"]
    assert preparation.prepare(rows[:3]) + preparation.prepare(rows[3:]) == ["a@b.co", "c@d.co", digest.lower()]
    assert preparation.duplicates == 3
    assert preparation.read == 7
