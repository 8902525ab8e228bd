import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from criteo_audiences.sandbox.contact_list import (
    IdentifierSet,
    is_email,
    is_mobile_ad_id,
    is_opaque_id,
    is_phone_number,
)

HEX_DIGITS = st.text("0123456789abcdefABCDEF", min_size=30, max_size=66)
IDENTIFIERS = st.lists(st.one_of(st.text(), HEX_DIGITS, st.binary(min_size=32, max_size=32).map(bytes.hex)))
UUID = "8f14e45f-ceea-467f-9a0b-1c2d3e4f5a6b"


@given(IDENTIFIERS, IDENTIFIERS, IDENTIFIERS)
def test_the_packed_set_behaves_like_a_set(first: list[str], second: list[str], third: list[str]) -> None:
    """Whatever strings come and go, it holds exactly what a set of str would."""
    model, packed = set(first) | set(second), IdentifierSet()
    packed.update(first)
    packed.update(second)
    packed.difference_update([*third, *first[::2]])
    model -= {*third, *first[::2]}
    assert sorted(packed) == sorted(model)
    assert len(packed) == len(model)
    assert all((each in packed) == (each in model) for each in first + third)


@pytest.mark.parametrize("text", ["AB" * 32, "ab" * 31 + " f", "0x" + "a" * 62, "a_" * 32, "\u0661" * 64, "é" * 32])
def test_what_only_looks_like_a_hash_is_kept_as_text(text: str) -> None:
    """Upper case, spaces, signs and foreign digits come back unchanged."""
    identifiers = IdentifierSet()
    identifiers.update([text, text.casefold()])
    assert set(identifiers) == {text, text.casefold()}


def test_hashes_of_different_lengths_are_different() -> None:
    """A value of 32 digits and the same with leading zeros are two members."""
    identifiers = IdentifierSet()
    identifiers.update(["1".zfill(32), "1".zfill(64)])
    assert set(identifiers) == {"1".zfill(32), "1".zfill(64)}


def test_clearing_leaves_nothing() -> None:
    """An emptied set can be filled again."""
    identifiers = IdentifierSet()
    identifiers.update([hashlib.md5(b"%d" % n).hexdigest() for n in range(100)])  # noqa: S324
    identifiers.clear()
    assert (len(identifiers), set(identifiers)) == (0, set())
    identifiers.update(["a@b.co"])
    assert set(identifiers) == {"a@b.co"}


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("john.doe@gmail.com", True),
        ("JOHN+tag@sub.example.co.uk", True),
        ("jürgen@exämple.de", True),
        ("a" * 32, True),
        ("A" * 64, True),
        ("a" * 40, False),
        ("g" * 64, False),
        ("john@localhost", False),
        ("john@example.", False),
        ("@example.com", False),
        ("a@b@example.com", False),
        ("john doe@example.com", False),
        (" john@example.com", False),
        ("john@example.com\n", False),
        ("", False),
    ],
)
def test_emails(text: str, valid: bool) -> None:  # noqa: FBT001
    """An e-mail has one @, something before it and a dot in its domain; or it is a hash of 32 or 64 digits."""
    assert bool(is_email(text)) is valid


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("+33 01 23 45 67 89", True),
        ("+330123456789", True),
        ("+330123-45-6789", True),
        ("f" * 64, True),
        ("f" * 32, False),
        ("330123456789", False),
        ("+", False),
        ("+33 ", False),
        ("+33(0)1", False),
        ("+\u0663\u0663", False),
    ],
)
def test_phone_numbers(text: str, valid: bool) -> None:  # noqa: FBT001
    """Criteo's three examples and a SHA-256 are valid; without a plus, or as MD5, they are not."""
    assert bool(is_phone_number(text)) is valid


@pytest.mark.parametrize(
    ("text", "valid"), [(UUID, True), (UUID.upper(), True), (UUID.replace("-", ""), False), (f"{UUID}0", False)]
)
def test_mobile_ad_ids(text: str, valid: bool) -> None:  # noqa: FBT001
    """A mobile ad id is a UUID with its hyphens, in either case."""
    assert bool(is_mobile_ad_id(text)) is valid


@pytest.mark.parametrize(("text", "valid"), [("k-1", True), ("a b", True), ("", False), (" ", False), ("a\n", False)])
def test_opaque_ids(text: str, valid: bool) -> None:  # noqa: FBT001
    """Any printable text that is not blank will do."""
    assert bool(is_opaque_id(text)) is valid
