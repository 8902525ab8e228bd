import hashlib
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from criteo_audiences import IdentifierType, InvalidIdentifierError
from criteo_audiences.identifiers import (
    RejectReason,
    normalize_ip_address_v4,
    normalize_mobile_ad_id,
    normalize_opaque,
)

IDFA = "6D92078A-8246-4BA4-AE5B-76104861E7DC"
AAID = "38400000-8cf0-11bd-b23e-10b96e40000d"


@pytest.mark.parametrize(
    "written", [IDFA, f" {IDFA}\n", f"{{{IDFA}}}", f"{{ {IDFA} }}\u200b", f"'{IDFA}", f'="{{{IDFA}}}"']
)
def test_a_mobile_ad_id_keeps_its_case(written: str) -> None:
    """Criteo publishes no rule on case, so an IDFA stays in capitals and an AAID in small letters."""
    assert normalize_mobile_ad_id(written) == IDFA
    assert normalize_mobile_ad_id(written.replace(IDFA, AAID)) == AAID


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("", RejectReason.EMPTY),
        ("{}", RejectReason.EMPTY),
        ("00000000-0000-0000-0000-000000000000", RejectReason.LIMITED_AD_TRACKING),
        ("{00000000-0000-0000-0000-000000000000}", RejectReason.LIMITED_AD_TRACKING),
        (IDFA.replace("-", ""), RejectReason.HASHED_AD_ID),
        (hashlib.sha256(IDFA.encode()).hexdigest(), RejectReason.HASHED_AD_ID),
        ("a" * 40, RejectReason.HASHED_AD_ID),
        (f"sha1:{'a' * 40}", RejectReason.HASHED_AD_ID),
        (f"0x{IDFA.replace('-', '')}", RejectReason.HASHED_AD_ID),
        ('="00000000-0000-0000-0000-000000000000"', RejectReason.LIMITED_AD_TRACKING),
        ('=""', RejectReason.EMPTY),
        (IDFA[:-1], RejectReason.NOT_A_MOBILE_AD_ID),
        (IDFA + "0", RejectReason.NOT_A_MOBILE_AD_ID),
        (IDFA.replace("D", "G"), RejectReason.NOT_A_MOBILE_AD_ID),
        (IDFA.replace("6", "\u0666"), RejectReason.NOT_A_MOBILE_AD_ID),
        ("{" + IDFA, RejectReason.NOT_A_MOBILE_AD_ID),
        ("anna@example.com", RejectReason.NOT_A_MOBILE_AD_ID),
    ],
)
def test_what_is_no_mobile_ad_id_is_rejected_with_its_reason(written: str, reason: RejectReason) -> None:
    """Hashes, the id of all who opted out, and anything else."""
    with pytest.raises(InvalidIdentifierError) as caught:
        normalize_mobile_ad_id(written)
    assert caught.value.reason == reason


@given(number=st.integers(1, 2**128 - 1))
def test_every_uuid_but_zero_is_a_mobile_ad_id(number: int) -> None:
    """Also one that begins with zeros."""
    written = str(uuid.UUID(int=number))
    assert normalize_mobile_ad_id(written) == written


@pytest.mark.parametrize(
    "written", ["'00042", '="00042"', '"""00042"""', "'00042'", ' ="00042" ', '\'="00042"', '"00042"']
)
def test_a_spreadsheets_guards_are_no_part_of_an_id(written: str) -> None:
    """They keep a cell a text; what they guard stays as it is."""
    assert normalize_opaque(written) == "00042"


@pytest.mark.parametrize("written", ["a'b", "=a", '="a', 'a"', '"a', '=HYPERLINK("x")', "=1+1", 'a="b"'])
def test_signs_that_guard_no_whole_cell_stay(written: str) -> None:
    """Only a pair around the whole value, or an apostrophe before it, is a guard."""
    assert normalize_opaque(written) == written


@pytest.mark.parametrize("written", ["a", "C-1 b", "00042", "é/ü?x=1", "1e5", "12E5", "1.2.3", "x" * 4_096, IDFA])
def test_an_id_stays_as_its_issuer_wrote_it(written: str) -> None:
    """Case, leading zeros and what stands inside are kept; blanks around it are not."""
    assert normalize_opaque(written) == normalize_opaque(f"\u00a0{written}\u200b\n") == written


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("", RejectReason.EMPTY),
        ("\u200b \t", RejectReason.EMPTY),
        ("1.2E+10", RejectReason.SPREADSHEET_NUMBER),
        ("1,23456e10", RejectReason.SPREADSHEET_NUMBER),
        ("3E+08", RejectReason.SPREADSHEET_NUMBER),
        ("1042.0", RejectReason.SPREADSHEET_NUMBER),
        ("a\x00b", RejectReason.FORBIDDEN_CHARACTER),
        ("a\nb", RejectReason.FORBIDDEN_CHARACTER),
        ("a\ud800", RejectReason.FORBIDDEN_CHARACTER),
        ("x" * 4_097, RejectReason.TOO_LONG),
    ],
)
def test_a_damaged_id_is_rejected_with_its_reason(written: str, reason: RejectReason) -> None:
    """Powers of ten, lost columns and the like are named; both sides of the bound."""
    with pytest.raises(InvalidIdentifierError) as caught:
        normalize_opaque(written)
    assert caught.value.reason == reason


@pytest.mark.parametrize("written", ["0.0.0.1", "255.255.255.255", " 192.0.2.1\n"])
def test_an_ip_address_is_four_numbers(written: str) -> None:
    """In dotted decimal, trimmed."""
    assert normalize_ip_address_v4(written) == written.strip()


@pytest.mark.parametrize("written", ["1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "::1", "1.2.3.x", "1.2.3.\u0664"])
def test_what_is_no_ip_address_is_rejected(written: str) -> None:
    """Neither IPv6 nor numbers beyond 255 nor leading zeros."""
    with pytest.raises(InvalidIdentifierError) as caught:
        normalize_ip_address_v4(written)
    assert caught.value.reason == RejectReason.NOT_AN_IP_ADDRESS


def test_every_kind_is_in_the_vocabulary() -> None:
    """A new kind has to be thought of here: is it hashed, has it a form?"""
    assert sum(kind.is_known for kind in IdentifierType) == 15
