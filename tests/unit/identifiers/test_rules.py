from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from criteo_audiences import HashAlgorithm, IdentifierType, InvalidIdentifierError
from criteo_audiences.identifiers import Fingerprints, Preparation, RejectReason, digest, is_hashed, rule_for

IDFA = "6D92078A-8246-4BA4-AE5B-76104861E7DC"
DIGEST = "375320dd9ae7ed408002f3768e16cb5f28c861062fd50dff9a3bff62e9dce4ef"
PIECES = ["+33 1 23 45 67 89", "+33", "00", "(0)", " 1", "234", "-567", "89", ".0", "1.2E+10", "a@b.co", IDFA, DIGEST]
PIECES += ["\u200b", "\u00a0", "\n", "x12", "/", "00000000-0000-0000-0000-000000000000", "10.0.0.1", "{", "}", "\ud800"]
NEAR_VALUES = st.lists(st.sampled_from(PIECES), max_size=6).map("".join)


def expected(kind: str, texts: list[str], algorithm: HashAlgorithm | None) -> tuple[list[str], Counter[Any]]:
    """Returns what the full rule makes of each text on its own, and why others are rejected."""
    rule, prepared, reasons = rule_for(IdentifierType(kind)), [], Counter[Any]()
    for text in texts:
        try:
            value = rule.normalize(text)
        except InvalidIdentifierError as error:
            reasons[RejectReason(error.reason)] += 1
        else:
            clear = algorithm is None or is_hashed(value)
            hashed = value.removeprefix("+") if kind == "phone_number" else value
            prepared.append(value if clear else digest(hashed, algorithm))
    return prepared, reasons


@pytest.mark.parametrize("kind", ["email", "phone_number", "madid", "ip_address_v4", "customer_id"])
@given(texts=st.lists(NEAR_VALUES | st.text(), max_size=5))
@example(texts=[f"{'a' * size}@b.co" for size in (63, 64, 65)])
@example(texts=[f"a@{'-'.join(['b' * size] * parts)}.co" for size in (20, 21, 22) for parts in (1, 2, 3, 4)])
@example(texts=[f"a@b.{'c' * size}" for size in (62, 63, 64)] + ["a@b.c.d.e.f.com"])
@example(texts=["+33a@b.co", "+@b.co"])
@example(texts=[" +33 1-23(45)67\u00a089 ", "+3301 23456789", f" {IDFA}", "\x1fC-1\x1f", "\u200bC-1"])
def test_many_rows_are_prepared_as_one_row_alone_is(kind: str, texts: list[str]) -> None:
    """For every rule the fast path over a slice agrees with the full rule, and preparing again changes nothing."""
    rule = rule_for(IdentifierType(kind))
    for algorithm in [None, *sorted(rule.algorithms)]:
        preparation = Preparation(algorithm=algorithm, rule=rule)
        prepared, reasons = expected(kind, texts, algorithm)
        assert preparation.prepare(texts) == prepared
        assert preparation.rejected == reasons
        again = Preparation(algorithm=None, rule=rule)
        assert again.prepare(prepared) == prepared
        for value in prepared:
            value.encode()


PLAIN = ["a.b-c@d-e.fr", "ab@c.co", "+33123456789", "+12125550123", IDFA.lower(), "C-1_x"]
SEVERAL_LINES = ["ab@c.co\nab@d.co", "\n", "C-1\n", "\n+33123456789", "a@b.co\r", "a@b.co\u2028"]
TEXTS = st.lists(st.sampled_from([*PLAIN, *PLAIN, *PIECES, "", "x" * 65 + "@c.co"]), max_size=40)


@pytest.mark.parametrize("kind", ["email", "phone_number", "madid", "ip_address_v4", "customer_id"])
@given(texts=TEXTS | st.lists(st.sampled_from(PLAIN + SEVERAL_LINES), max_size=5))
@example(texts=[])
@example(texts=["ab@c.co"] * 300)
@example(texts=["", *["ab@c.co"] * 2, "", ""])
@example(texts=["ab@c.co\nab@c.co", "+33123456789\n+33123456789", "C-1\nC-1"])
def test_odd_texts_are_found_among_many_as_one_by_one(kind: str, texts: list[str]) -> None:
    """Texts matched as the lines of one are told apart exactly as each alone is, whatever lines they hold."""
    rule = rule_for(IdentifierType(kind))
    assert rule.find_odd(texts) == [place for place, text in enumerate(texts) if not rule.plain.fullmatch(text)]


@pytest.mark.parametrize("kind", sorted(set(IdentifierType) - {IdentifierType.EMAIL, IdentifierType.PHONE_NUMBER}))
def test_only_what_is_hashed_can_come_as_a_hash(kind: IdentifierType) -> None:
    """A customer id of 64 hexadecimal digits in capitals is a customer id, whatever it looks like."""
    preparation = Preparation(algorithm=None, rule=rule_for(kind))
    assert preparation.prepare([DIGEST.upper()]) in ([DIGEST.upper()], [])
    assert preparation.already_hashed == 0


def test_spellings_of_one_phone_number_are_one_identifier() -> None:
    """Duplicates are looked for among what goes out, a hash in two cases included."""
    preparation = Preparation(algorithm=None, rule=rule_for(IdentifierType.PHONE_NUMBER), seen=Fingerprints())
    rows = ["+33 1 23 45 67 89", "0033123456789", "+33 (0)123456789", DIGEST, DIGEST.upper(), "+33 1 23 45 67 90"]
    assert preparation.prepare(rows) == ["+33123456789", DIGEST, "+33123456790"]
    assert (preparation.duplicates, preparation.already_hashed) == (3, 2)


def test_phone_numbers_are_hashed_without_their_plus_sign() -> None:
    """The digest of a list's numbers is the one of their digits."""
    rule = rule_for(IdentifierType.PHONE_NUMBER)
    preparation = Preparation(algorithm=HashAlgorithm.SHA256, rule=rule)
    wanted = digest("33123456789", HashAlgorithm.SHA256)
    assert preparation.prepare(["+33123456789", "+33 (0)123456789", DIGEST]) == [wanted, wanted, DIGEST]


def test_a_region_reads_national_numbers() -> None:
    """The same rows, with and without one."""
    rows = ["01 23 45 67 89", "+44 20 7946 0958"]
    french = Preparation(algorithm=None, rule=rule_for(IdentifierType.PHONE_NUMBER, region="FR"))
    assert french.prepare(rows) == ["+33123456789", "+442079460958"]
    nowhere = Preparation(algorithm=None, rule=rule_for(IdentifierType.PHONE_NUMBER))
    assert nowhere.prepare(rows) == ["+442079460958"]
    assert nowhere.rejected == {RejectReason.NO_COUNTRY_CODE: 1}


def test_every_reason_is_explained() -> None:
    """docs/reference/identifiers.md has each reason that a report may show."""
    page = (Path(__file__).parents[3] / "docs" / "reference" / "identifiers.md").read_text(encoding="utf-8")
    assert [reason.value for reason in RejectReason if f"`{reason.value}`" not in page] == []
