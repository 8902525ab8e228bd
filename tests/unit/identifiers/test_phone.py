import base64
import hashlib
import pickle
import sys
import traceback
from collections.abc import Iterator
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import phonenumbers
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from criteo_audiences import ConfigurationError, HashAlgorithm, InvalidIdentifierError, hash_phone, normalize_phone
from criteo_audiences.identifiers import RejectReason, has_phone_form
from criteo_audiences.identifiers.countries import _MORE_TRUNK_PREFIXES, CALLING_CODES
from criteo_audiences.identifiers.phone import spellings

EMAIL_MD5 = "e13743a7f1db7f4246badd6fd6ff54ff"
DIGEST = hashlib.sha256(b"33123456789").hexdigest()

# Region, as written, expected digits or reason. "" is no region.
SPELLINGS = [
    ("", "+33 01 23 45 67 89", "33123456789"),  # this and the next two are Criteo's own examples
    ("", "+330123456789", "33123456789"),
    ("", "+330123-45-6789", "33123456789"),
    ("", "+33 (0)1 23 45 67 89", "33123456789"),
    ("", "0033 (0) 1.23.45.67.89", "33123456789"),
    ("FR", "01 23 45 67 89", "33123456789"),
    ("FR", "(0)1 23 45 67 89 poste 12", "33123456789"),
    ("FR", "33612345678", "33612345678"),
    ("FR", "06.12.34.56.78/79", RejectReason.SEVERAL_NUMBERS),
    ("FR", "01 23 45 67 8", RejectReason.NO_SUCH_NUMBER),
    ("", "33612345678.0", RejectReason.SPREADSHEET_NUMBER),
    ("FR", "3,36E+10", RejectReason.SPREADSHEET_NUMBER),
    ("", "+49 (30) 123456", "4930123456"),
    ("", "+49 30/123456", "4930123456"),
    ("", "+49 (0)30 123456 Durchwahl: 7", "4930123456"),
    ("", "0049-1512-3456789", "4915123456789"),
    ("DE", "030/123456", "4930123456"),
    ("DE", "01512 3456789", "4915123456789"),
    ("", "030 123456", RejectReason.NO_COUNTRY_CODE),
    ("", "+44 (0)20 7946 0958", "442079460958"),
    ("", "+44\u00a07400\u2011123456\u200b", "447400123456"),
    ("GB", "07400 123456 ext. 12", "447400123456"),
    ("GB", "020 7946 0958 or 07400 123456", RejectReason.SEVERAL_NUMBERS),
    ("GB", "+44 7400 123456, +44 7400 123457", RejectReason.SEVERAL_NUMBERS),
    ("", "+39 06 698 12345", "390669812345"),
    ("", "+39 (0)6 698 12345", "390669812345"),
    ("", "0039 312 345 6789", "393123456789"),
    ("IT", "06 698 12345", "390669812345"),
    ("IT", "312.345.6789", "393123456789"),
    ("", "+1 (201) 555-0123", "12015550123"),
    ("", "+1-201-555-0123 x12", "12015550123"),
    ("", "tel:+1-201-555-0123;ext=12", "12015550123"),
    ("", "tel:555-0123;phone-context=+1-201", "12015550123"),
    ("US", "(201) 555-0123 #12", "12015550123"),
    ("", "+1 201-555-0123;ext=12", "12015550123"),
    ("US", "011 33 1 23 45 67 89", "33123456789"),
    ("US", "00 33 1 23 45 67 89", "33123456789"),
    ("US", "1-800-FLOWERS", RejectReason.NOT_A_PHONE),
    ("US", "555-0123", RejectReason.TOO_SHORT),
    ("US", "123 456 7890", RejectReason.NO_SUCH_NUMBER),
    ("", "+1 201 555 012", RejectReason.TOO_SHORT),
    ("", "+1 201 555 01234", RejectReason.TOO_LONG),
    ("", "+1 123 456 7890", RejectReason.NO_SUCH_NUMBER),
    ("", "+55 (11) 96123-4567", "5511961234567"),
    ("", "+55 011 2345-6789 ramal 9", "551123456789"),
    ("BR", "(11) 96123-4567", "5511961234567"),
    ("", "+91 81234 56789", "918123456789"),
    ("", "\uff0b\uff19\uff11 \uff10\uff18\uff11\uff12\uff13\uff14 \uff15\uff16\uff17\uff18\uff19", "918123456789"),
    ("", "9.18123E+11", RejectReason.SPREADSHEET_NUMBER),
    ("IN", "081234 56789", "918123456789"),
    ("IN", "\u0967\u0968", RejectReason.TOO_SHORT),
    ("", "+81 3-1234-5678", "81312345678"),
    ("JP", "\uff10\uff19\uff10\u30fc\uff11\uff12\uff13\uff14\u30fc\uff15\uff16\uff17\uff18", "819012345678"),
    ("JP", "010 33 1 23 45 67 89", "33123456789"),
    ("", "+34 612 34 56 78", "34612345678"),
    ("ES", "612 345 678", "34612345678"),
    ("ES", "612 345 678 9012", RejectReason.TOO_LONG),
    ("", "+31 (0)6 12345678", "31612345678"),
    ("NL", "06-12345678", "31612345678"),
    ("", "'+48 512 345 678", "48512345678"),
    ("PL", "512 345 678", "48512345678"),
    ("", "+61 (0)412 345 678", "61412345678"),
    ("AU", "0412 345 678", "61412345678"),
    ("AU", "0011 33 1 23 45 67 89", "33123456789"),
    ("", "+36 (06) 20 123 4567", "36201234567"),
    ("HU", "06 20 123 4567", "36201234567"),
    ("", "+250 0720 123 456", "250720123456"),
    ("", "+250 06 123456", "25006123456"),
    ("", "+241 06 03 12 34", "24106031234"),
    ("", "+ 00 33 1 23 45 67 89", "33123456789"),
    ("", "+\u0663\u0663\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668\u0669", "33123456789"),
    ("", "tel:%2B33123456789", "33123456789"),
    ("FR", "tel:7042;phone-context=example.com", RejectReason.TOO_SHORT),
    ("", "", RejectReason.EMPTY),
    ("", " \u200b\u00a0", RejectReason.EMPTY),
    ("", "+", RejectReason.NOT_A_PHONE),
    ("", "n/a", RejectReason.NOT_A_PHONE),
    ("", "anna@example.com", RejectReason.NOT_A_PHONE),
    ("", "+33 1 23 45 67 89\u00b2", RejectReason.NOT_A_PHONE),
    ("", "*31#0123456789", RejectReason.NOT_A_PHONE),
    ("", "++33123456789", RejectReason.NOT_A_PHONE),
    ("", "+33 1 23 45 67 89\n+33 6 12 34 56 78", RejectReason.SEVERAL_NUMBERS),
    ("", "0123456789; 0612345678", RejectReason.SEVERAL_NUMBERS),
    ("DE", "17\t301234567", RejectReason.SEVERAL_CELLS),
    ("DE", "301234567~17", RejectReason.SEVERAL_CELLS),
    ("", "+4930 1234567 \t 17", RejectReason.SEVERAL_CELLS),
    ("DE", "\t030 1234567\t", "49301234567"),
    ("FR", "06~12~34~56~78", "33612345678"),
    ("", "+0612345678", RejectReason.NO_COUNTRY_CODE),
    ("", "+999 123456789", RejectReason.UNKNOWN_COUNTRY_CODE),
    ("", "+33 00 12 34 56 78", RejectReason.NO_SUCH_NUMBER),
    ("", "+683 400", RejectReason.TOO_SHORT),
    ("", "+683 4002", "6834002"),
    ("", "+49 1234567890123", "491234567890123"),
    ("", "+49 12345678901234", RejectReason.TOO_LONG),
    ("", "1234567890123456", RejectReason.TOO_LONG),
    ("", "+33/" + " " * 300 + "123456789", RejectReason.TOO_LONG),
    ("", "p:+14155550134", "14155550134"),
    ("", "whatsapp:+14155550134", "14155550134"),
    ("", "WhatsApp: +1 (415) 555-0134", "14155550134"),
    ("", "Mobile: +33 6 12 34 56 78", "33612345678"),
    ("", "Mobile phone number: 0033 6 12 34 56 78", "33612345678"),
    ("FR", "Tel. 01 23 45 67 89", "33123456789"),
    ("FR", "T\u00e9l.: 01 23 45 67 89", "33123456789"),
    ("FR", "tel: 01 23 45 67 89", "33123456789"),
    ("DE", "Telefon 030 123456", "4930123456"),
    ("GB", "m: 07400 123456", "447400123456"),
    ("", "callto:+14155550134", "14155550134"),
    ("", "Tel+33 1 23 45 67 89", "33123456789"),
    ("", "T +33 1 23 45 67 89", "33123456789"),
    ("FR", "M. 06 12 34 56 78", "33612345678"),
    ("", "t33123456789", RejectReason.NOT_A_PHONE),
    ("", "fax: +33 1 23 45 67 89", RejectReason.NOT_A_PHONE),
    ("", "m33612345678", RejectReason.NOT_A_PHONE),
    ("", "phone:", RejectReason.NOT_A_PHONE),
    ("", '="+34612345678"', "34612345678"),
    ("", "'+34 612 34 56 78'", "34612345678"),
    ("", '"""+34612345678"""', "34612345678"),
    ("ES", '="612 345 678"', "34612345678"),
    ("", "'", RejectReason.EMPTY),
    ("", f"sha256:{DIGEST}", RejectReason.HASH_IN_OTHER_FORM),
    ("", f"0x{DIGEST}", RejectReason.HASH_IN_OTHER_FORM),
    ("", f"X'{DIGEST}'", RejectReason.HASH_IN_OTHER_FORM),
    ("FR", hashlib.sha1(b"33123456789").hexdigest(), RejectReason.HASH_IN_OTHER_FORM),  # noqa: S324 - a specimen
    ("", base64.b64encode(hashlib.sha256(b"33123456789").digest()).decode(), RejectReason.HASH_IN_OTHER_FORM),
    ("", hashlib.sha256(b"").hexdigest(), RejectReason.DIGEST_OF_NOTHING),
    ("", hashlib.md5(b"").hexdigest(), RejectReason.DIGEST_OF_NOTHING),  # noqa: S324 - a specimen
    ("FR", "0" * 64, RejectReason.DIGEST_OF_NOTHING),
    ("", EMAIL_MD5, RejectReason.MD5_OF_PHONE),
    ("FR", EMAIL_MD5.upper(), RejectReason.MD5_OF_PHONE),
]

# All that numbers are written with, and what must not be in them.
NEAR_NUMBERS = st.lists(
    st.sampled_from([*"0123456789+ ()-./x#;,'", "+33", "00", "(0)", "tel:", "ext", ".0", "E+10", "\u0663", "\u00a0"]),
    max_size=22,
).map("".join)
ANY_TEXT = st.text() | st.text(st.characters(categories=None)) | NEAR_NUMBERS


def test_what_people_write_becomes_digits_or_a_reason() -> None:
    """Spellings of a dozen countries and more: national, international, with extensions, damaged by spreadsheets."""
    for region, written, expected in SPELLINGS:
        is_rejected = isinstance(expected, RejectReason)
        assert (written, outcome(written, region or None)) == (written, expected if is_rejected else f"+{expected}")
        if not is_rejected:
            # Criteo's guide: digits with the country code, without the plus sign, then SHA-256.
            assert hash_phone(written, region=region or None) == hashlib.sha256(expected.encode()).hexdigest(), written


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("+33 01 23 45 67 89", "330123456789"),  # Criteo's own three examples
        ("+330123456789", "330123456789"),
        ("+330123-45-6789", "330123456789"),
        ("+33 (0)1 23 45 67 89", "330123456789"),
        ("0033 01 23 45 67 89", "330123456789"),
        ("+91 098123 45678", "9109812345678"),
        ("+36 (06) 20 123 4567", "3606201234567"),
        ("+33 1 23 45 67 89", "33123456789"),  # no zero is made
        ("+39 06 698 12345", "390669812345"),
        ("+7 8 912 345-67-89", "79123456789"),
    ],
)
def test_a_trunk_zero_stays_where_it_is_asked_for(written: str, kept: str) -> None:
    """The digits are those of the formula in Criteo's guide, everything dropped but 0 to 9."""
    assert normalize_phone(written, keep_trunk_zero=True) == f"+{kept}"
    assert hash_phone(written, keep_trunk_zero=True) == hashlib.sha256(kept.encode()).hexdigest()
    assert normalize_phone(f"+{kept}", keep_trunk_zero=True, region="IN") == f"+{kept}"


@given(text=NEAR_NUMBERS.map("+{}".format) | NEAR_NUMBERS)
@example(text="+330123456789012")
@example(text="+3300123456789")
def test_a_number_that_keeps_its_zero_is_the_same_number(text: str) -> None:
    """Without the zero it is what it is otherwise; it is rejected for the same reasons, or for its length."""
    usual = outcome(text)
    kept = outcome(text, keep_trunk_zero=True)
    if kept.startswith("+"):
        assert outcome(kept) == usual
        assert kept in {usual, *spellings(usual)} or usual[:3] in {"+52", "+54", "+55", "+57"}  # other prefixes, too
    else:
        assert kept in {usual, RejectReason.TOO_LONG}


def test_the_page_of_identifiers_has_both_digests() -> None:
    """docs/reference/identifiers.md shows what either way makes of Criteo's example."""
    page = (Path(__file__).parents[3] / "docs" / "reference" / "identifiers.md").read_text(encoding="utf-8")
    assert hash_phone("+33 01 23 45 67 89") in page
    assert hash_phone("+33 01 23 45 67 89", keep_trunk_zero=True) in page


def test_a_hash_is_the_one_of_the_digits_alone() -> None:
    """`printf 33123456789 | sha256sum` gives the same."""
    assert hash_phone("+33 01 23 45 67 89") == "c473fbda80d42b39ba327f6a8b30fc64390255128a1b9d411179454bb58e5ec7"


@pytest.mark.parametrize("written", [DIGEST, DIGEST.upper(), f" {DIGEST}\u00a0", f"\u200b{DIGEST}"])
def test_a_sha256_is_never_hashed_again(written: str) -> None:
    """64 hexadecimal digits in any case go out in lower case."""
    assert normalize_phone(written) == hash_phone(written) == DIGEST


@pytest.mark.parametrize("algorithm", ["md5", "sha256_of_md5", HashAlgorithm.MD5])
def test_no_other_hash_can_be_asked_for(algorithm: str) -> None:
    """Criteo has no MD5 form of a phone number."""
    with pytest.raises(ConfigurationError, match="algorithm must be sha256"):
        hash_phone("+33123456789", algorithm)


@cache
def example_numbers() -> list[tuple[str, phonenumbers.PhoneNumber]]:
    """Returns libphonenumber's example numbers of people's lines, with their regions."""
    kinds = phonenumbers.PhoneNumberType
    lines = (kinds.FIXED_LINE, kinds.MOBILE, kinds.VOIP, kinds.PERSONAL_NUMBER)
    regions = sorted(phonenumbers.SUPPORTED_REGIONS)
    examples = [(region, phonenumbers.example_number_for_type(region, line)) for region in regions for line in lines]
    return [(region, number) for region, number in examples if number is not None]


def neighbors() -> Iterator[tuple[str, phonenumbers.PhoneNumber]]:
    """Yields more numbers that exist: the examples with other last digits."""
    for region, number in example_numbers():
        for ending in (0, 1234, 4321, 5678, 8015, 9999):
            neighbor = phonenumbers.PhoneNumber()
            neighbor.merge_from(number)
            neighbor.national_number = number.national_number // 10_000 * 10_000 + ending
            if phonenumbers.is_valid_number_for_region(neighbor, region):
                yield region, neighbor


def test_every_regions_numbers_are_read_as_libphonenumber_reads_them() -> None:
    """International, with a zero that is dialed at home only, from abroad, and national: the same number comes out."""
    checked = 0
    for region, number in chain(example_numbers(), neighbors()):
        e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        international = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
        national = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL)
        uri = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.RFC3966)
        for written in (e164, international, uri, "00" + e164[1:], f"{international} x12"):
            assert normalize_phone(written) == e164
            if "+" in written:
                assert normalize_phone(written, region=region) == e164
        if phonenumbers.ndd_prefix_for_region(region, strip_non_digits=True) == "0":
            assert normalize_phone(f"+{number.country_code} (0){e164[1 + len(str(number.country_code)) :]}") == e164
        assert normalize_phone(national, region=region) == e164
        checked += 1
    assert checked > 2_000


def test_every_calling_code_is_known() -> None:
    """The table of calling codes is libphonenumber's; a new code shows here first."""
    assert set(map(int, CALLING_CODES)) == set(phonenumbers.COUNTRY_CODE_TO_REGION_CODE)


def test_a_zero_is_kept_wherever_lines_of_people_begin_with_one() -> None:
    """No region's fixed or mobile number loses a zero that is its own."""
    for region, number in example_numbers():
        if number.italian_leading_zero:
            e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
            assert normalize_phone(e164) == e164, region


# Country, what is or was dialed there before an area, and numbers from abroad. The extra knows most, but not all of it.
TRUNK_PREFIXES = {
    "RU": ("8", "0"),
    "KZ": ("8", "0"),
    "LT": ("8", "0"),
    "BY": ("8", "80", "8 0", "0"),
    "TM": ("8",),
    "UZ": ("8",),
    "AZ": ("8", "0"),
    "AM": ("8", "0"),
    "GE": ("8", "0"),
    "MD": ("80", "8", "0"),
    "UA": ("80", "0"),
    "TJ": ("8",),
    "HU": ("06",),
    "MX": ("1", "01", "044", "045"),
    "US": ("1", "0"),
    "CA": ("1",),
    "MH": ("1",),
    "BR": ("0", "015", "021", "031"),
    "CO": ("0", "03", "05", "07"),
    "BO": ("0", "010"),
    "KR": ("0", "081", "082"),
    "AR": ("0",),
}


@pytest.mark.parametrize(("region", "prefixes"), TRUNK_PREFIXES.items())
def test_what_is_dialed_inside_a_country_only_makes_no_other_person(region: str, prefixes: tuple[str, ...]) -> None:
    """With a trunk prefix or a carrier's, after the country code or at home, it is the number that E.164 has."""
    for number in [number for of, number in example_numbers() if of == region]:
        e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        national = phonenumbers.national_significant_number(number)
        for prefix in prefixes:
            assert normalize_phone(f"+{number.country_code} ({prefix}) {national}") == e164
            assert normalize_phone(f"00{number.country_code}{prefix}{national}", region=region) == e164
            assert outcome(f"{prefix}-{national}", region) in {e164, RejectReason.NO_SUCH_NUMBER, RejectReason.TOO_LONG}


@pytest.mark.parametrize(
    ("written", "region"),
    [
        ("+54 9 11 2345-6789", None),
        ("+54 11 15 2345-6789", None),
        ("+54 (011) 15 2345 6789", None),
        ("+54 9 11 15 2345 6789", None),
        ("011 15-2345-6789", "AR"),
        ("11 15 2345 6789", "Argentina"),
    ],
)
def test_an_argentine_mobile_number_is_one_whether_or_not_it_was_dialed_at_home(
    written: str, region: str | None
) -> None:
    """15 after the area at home is 9 before it from abroad."""
    assert normalize_phone(written, region=region) == "+5491123456789"


@pytest.mark.parametrize(
    ("written", "e164"),
    [
        ("0341 15 612-3456", "+5493416123456"),
        ("02944 15 45-6789", "+5492944456789"),
        ("8 (912) 345-67-89", "+79123456789"),
        ("8 10 33 1 23 45 67 89", "+33123456789"),
        ("044 55 1234 5678", "+525512345678"),
        ("01 55 1234 5678", "+525512345678"),
        ("8 029 491 19 11", "+375294911911"),
    ],
)
def test_numbers_dialed_at_home_are_the_ones_from_abroad(written: str, e164: str) -> None:
    """As people of these countries write them."""
    region = {"+54": "AR", "+79": "RU", "+33": "RU", "+52": "MX", "+37": "BY"}[e164[:3]]
    assert outcome(written, region) == e164


@pytest.mark.parametrize(
    ("region", "written", "expected"),
    [
        ("BR", "0055 11 96123-4567", "5511961234567"),  # 0055 is also how a Brazilian carrier calls abroad
        ("BR", "0055 21 2345 6789", "552123456789"),
        ("BR", "00 21 33 1 23 45 67 89", "33123456789"),  # a carrier's
        ("CO", "0057 601 2345678", "576012345678"),
        ("KR", "0082 2 212 3456", "8222123456"),
        ("KR", "001 33 1 23 45 67 89", "33123456789"),
        ("HK", "0086 139 1234 5678", "8613912345678"),
        ("HK", "001 33 1 23 45 67 89", "33123456789"),
        ("SG", "0065 8123 4567", "6581234567"),
        ("SG", "001 1 201 555 0123", "12015550123"),
        ("KR", "001 99 12", RejectReason.NO_SUCH_NUMBER),
    ],
)
def test_what_follows_two_zeros_is_read_as_a_number_that_exists(region: str, written: str, expected: str) -> None:
    """Where carriers have prefixes of their own, `00` and a country code may look like one: nobody else is called."""
    assert outcome(written, region).removeprefix("+") == expected


def test_a_number_behind_two_zeros_is_itself_in_its_own_country() -> None:
    """`00`, country code and number are never taken for a carrier's prefix."""
    for region, number in example_numbers():
        e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        assert (region, outcome("00" + e164[1:], region)) == (region, e164)


@given(data=st.data(), code=st.sampled_from(sorted(_MORE_TRUNK_PREFIXES)))
@settings(max_examples=settings.default.max_examples * 7)  # each costs little
def test_no_number_that_exists_is_taken_for_one_with_a_prefix(data: Any, code: str) -> None:
    """What is taken away makes numbers too long for their plan: no valid one is turned into another."""
    national = data.draw(st.from_regex(rf"\A{_MORE_TRUNK_PREFIXES[code][0]}\Z"))
    number = phonenumbers.PhoneNumber(country_code=int(code), national_number=int(national))
    assert not phonenumbers.is_valid_number(number)


def test_detection_and_the_rule_agree_on_what_a_number_looks_like() -> None:
    """A column of what the rule reads is found."""
    read = [written for _, written, expected in SPELLINGS if not isinstance(expected, RejectReason)]
    assert [written for written in read if not has_phone_form(written)] == []


@given(text=NEAR_NUMBERS)
def test_what_has_a_numbers_form_is_read_where_it_is_dialed_or_is_no_number(text: str) -> None:
    """Detection takes nothing that the rule would call no phone number, no digest or empty."""
    if has_phone_form(text):
        assert outcome(text) not in {RejectReason.NOT_A_PHONE, RejectReason.EMPTY, RejectReason.HASH_IN_OTHER_FORM}


@pytest.mark.parametrize(
    "region", ["FR", "fr", "FRA", "France", "Frankreich", "Francia", "\U0001f1eb\U0001f1f7", "FR - France"]
)
def test_a_region_may_be_called_by_its_name(region: str) -> None:
    """A code or a name, as exports write it."""
    assert normalize_phone("01 23 45 67 89", region=region) == "+33123456789"


def test_the_extra_changes_no_international_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without phonenumberslite every spelling without a region gives the same; a region says what to install."""
    texts = [written for region, written, _ in SPELLINGS if not region]
    texts += [phonenumbers.format_number(each, phonenumbers.PhoneNumberFormat.E164) for _, each in example_numbers()]
    found = [outcome(text) for text in texts]
    monkeypatch.setitem(sys.modules, "phonenumbers", None)
    assert [outcome(text) for text in texts] == found
    with pytest.raises(ConfigurationError, match=r"pip install 'criteo-audiences\[phone\]'"):
        normalize_phone("0123456789", region="FR")


def outcome(text: str, region: str | None = None, **options: bool) -> str:
    """Returns what becomes of a text; anything but the one error fails the test."""
    try:
        return normalize_phone(text, region=region, **options)
    except InvalidIdentifierError as error:
        return RejectReason(error.reason)


@given(text=ANY_TEXT, region=st.sampled_from([None, "FR", "US", "IT", "UY", "RW", "HU", "SG", "AR"]))
@example(text="\ud800", region=None)
@example(text="00777123456", region="JP")
def test_any_text_is_normalized_once_and_for_all_or_rejected_in_silence(text: str, region: str | None) -> None:
    """No text raises anything but the error without its value; what comes out is digits that stay as they are."""
    found = outcome(text, region)
    if found.startswith("+"):
        assert found[1:].isascii()
        assert found[1:].isdigit()
        assert 7 <= len(found[1:]) <= 15
        assert outcome(found, region) == outcome(found) == found


@given(text=NEAR_NUMBERS, region=st.sampled_from(["FR", "US", "IT", "JP", "RU", "AR", "MX"]))
def test_a_region_changes_no_number_that_has_its_country_code(text: str, region: str) -> None:
    """What begins with a plus sign reads the same everywhere."""
    assert outcome(f"+{text}", region) == outcome(f"+{text}")


@pytest.mark.parametrize("region", ["", "F", "33", "+1", "AQ", "FR/DE", "none", 33, "planted"])
def test_a_wrong_region_is_refused(region: object) -> None:
    """Also for a number that has no need of it; a misplaced value is not shown."""
    with pytest.raises(ConfigurationError, match=r"^region ") as caught:
        normalize_phone("+33123456789", region=region)
    assert "planted" not in str(caught.value)


@pytest.mark.parametrize("value", [None, 33123456789, 33123456789.0, b"+33123456789", ["+33123456789"]])
def test_what_is_no_text_is_a_type_error_without_the_value(value: object) -> None:
    """A programming mistake is told by type alone."""
    with pytest.raises(TypeError, match=f"^a phone number must be a str, not {type(value).__name__}$"):
        normalize_phone(value)


@pytest.mark.parametrize("region", [None, "FR"])
@pytest.mark.parametrize("written", ["4242424242", "+4242424242 or +4242424243", "424242424.0", "x4242424", "42" * 9])
def test_a_rejection_never_shows_the_number(written: str, region: str | None) -> None:
    """Neither the message nor the traceback holds a part of it."""
    with pytest.raises(InvalidIdentifierError) as caught:
        normalize_phone(written, region=region)
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + repr(pickle.dumps(caught.value))
    assert "4242" not in shown
    assert caught.value.__context__ is None or caught.value.__suppress_context__
