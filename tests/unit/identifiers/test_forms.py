import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from criteo_audiences import HashAlgorithm, IdentifierType, InvalidIdentifierError, hash_email, hash_phone
from criteo_audiences.identifiers import Preparation, rule_for
from criteo_audiences.identifiers.opt_outs import all_forms, kinds_of

EMAIL, PHONE, MADID = IdentifierType.EMAIL, IdentifierType.PHONE_NUMBER, IdentifierType.MADID
ANNA = "anna@example.com"
MADID_VALUE = "6D92078A-8246-4BA4-AE5B-76104861E7DC"
WORDS = st.text("abcdefgXYZ0189._+", min_size=1, max_size=12).filter(lambda text: text.strip("._+"))


def md5(text: str) -> str:
    """Returns an MD5 in hexadecimal."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def sha256(text: str) -> str:
    """Returns a SHA-256 in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def test_an_address_has_four_forms() -> None:
    """In clear, and the three digests that Criteo takes, however it is written."""
    for written in (ANNA, " Anna@Example.com ", "Anna Kowalska <ANNA@example.com>", "mailto:anna@example.com"):
        assert set(all_forms(written, EMAIL)) - {"Anna@Example.com"} == {
            ANNA, md5(ANNA), sha256(ANNA), sha256(md5(ANNA))
        }  # fmt: skip
    assert "Anna@Example.com" in all_forms(" Anna@Example.com ", EMAIL)


def test_a_number_has_two_spellings_in_clear_and_hashed() -> None:
    """Without the trunk zero and with it, whichever was given; and as it was given, where Criteo takes that."""
    expected = {"+919812345678", "+9109812345678", sha256("919812345678"), sha256("9109812345678")}
    assert set(all_forms("+919812345678", PHONE)) == expected
    assert set(all_forms("+9109812345678", PHONE)) == expected
    assert set(all_forms("+91 (0)98123 45678", PHONE)) == expected
    assert set(all_forms("+91 98123-45678", PHONE)) == expected | {"+91 98123-45678"}
    assert set(all_forms("098123 45678", PHONE, region="IN")) == expected


def test_of_a_digest_only_what_follows_from_it_is_known() -> None:
    """An MD5 leads to its SHA-256; a SHA-256 leads nowhere, and is no case of its own in capital letters."""
    assert set(all_forms(md5(ANNA).upper(), EMAIL)) == {md5(ANNA), sha256(md5(ANNA))}
    assert all_forms(sha256(ANNA), EMAIL) == (sha256(ANNA),)
    assert all_forms(sha256("919812345678").upper(), PHONE) == (sha256("919812345678"),)


def test_a_mobile_id_has_both_cases_and_other_ids_one() -> None:
    """Criteo publishes no rule on the case of a mobile id; an issuer's id is its own affair."""
    assert set(all_forms(MADID_VALUE, MADID)) == {MADID_VALUE, MADID_VALUE.lower()}
    assert all_forms(" Xy-7 ", IdentifierType.CUSTOMER_ID) == ("Xy-7",)


def test_an_address_after_a_sign_stands_for_both() -> None:
    """As an opt-out does: a list may hold what a wrong delimiter made."""
    assert {"12|" + ANNA, ANNA, sha256(ANNA)} <= set(all_forms("12|" + ANNA, EMAIL))


@pytest.mark.parametrize(
    ("value", "kinds"),
    [
        (ANNA, (EMAIL,)),
        ("Anna <anna@example.com>", (EMAIL,)),
        ("+91 98123 45678", (PHONE,)),
        ("tel:+919812345678", (PHONE,)),
        (md5(ANNA), (EMAIL,)),
        (sha256(ANNA).upper(), (EMAIL, PHONE)),
        (MADID_VALUE.lower(), (MADID,)),
        ("192.168.100.200", (IdentifierType.IP_ADDRESS_V4,)),
    ],
)
def test_a_value_shows_its_kind(value: str, kinds: tuple[IdentifierType, ...]) -> None:
    """A SHA-256 may be of an address or of a number."""
    assert kinds_of(value) == kinds


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("anna@example", "no_dot_in_domain"),
        ("0981 234 5678", "no_country_code"),
        ("customer-7", "no_at_sign"),
        ("", "empty"),
        (sha256(""), "digest_of_nothing"),
        (md5(ANNA)[:30], "no_at_sign"),
    ],
)
def test_a_value_of_no_kind_says_why(value: str, reason: str) -> None:
    """By the kind that it resembles."""
    with pytest.raises(InvalidIdentifierError) as refused:
        kinds_of(value)
    assert refused.value.reason == reason


def test_a_national_number_is_known_by_its_region() -> None:
    """Which makes a number of digits that would mean nothing alone."""
    assert kinds_of("098123 45678", region="IN") == (PHONE,)


@given(WORDS, st.sampled_from(["example.com", "Mail.Example.ORG"]), st.sampled_from([None, *HashAlgorithm]))
def test_whatever_an_upload_sent_of_an_address_is_among_its_forms(
    word: str, domain: str, algorithm: HashAlgorithm | None
) -> None:
    """In clear or by any hash: what was added can be removed, knowing the address alone."""
    address = f"{word}@{domain}"
    try:
        forms = all_forms(address, EMAIL)
    except InvalidIdentifierError:
        return
    assert set(Preparation(algorithm=algorithm).prepare([address, address.upper()])) <= set(forms)
    assert hash_email(address) in forms


@given(st.integers(6_000_000_000, 9_999_999_999), st.booleans(), st.booleans())
def test_whatever_an_upload_sent_of_a_number_is_among_its_forms(national: int, zero: bool, keep: bool) -> None:  # noqa: FBT001
    """With the trunk zero kept or dropped, in clear or hashed."""
    number = f"+91{'0' if zero else ''}{national}"
    forms = all_forms(number, PHONE)
    rule = rule_for(PHONE, keep_trunk_zero=keep)
    for algorithm in (None, HashAlgorithm.SHA256):
        assert set(Preparation(algorithm=algorithm, rule=rule).prepare([number])) <= set(forms)
    assert hash_phone(number, keep_trunk_zero=keep) in forms
    assert len(forms) == 4
