import base64
import hashlib
import pickle
import traceback
from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from criteo_audiences import ConfigurationError, HashAlgorithm, InvalidIdentifierError, hash_email, normalize_email
from criteo_audiences.identifiers import Preparation, RejectReason, digest, is_hashed

# Published by Criteo for john.doe@gmail.com.
MD5 = "e13743a7f1db7f4246badd6fd6ff54ff"
SHA256 = "375320dd9ae7ed408002f3768e16cb5f28c861062fd50dff9a3bff62e9dce4ef"
SHA256_OF_MD5 = "000e3171a5110c35c69d060112bd0ba55d9631c7c2ec93f1840e4570095b263a"

# Everything an address is made of, everything that may stand around it, and what must not be there.
NEAR_ADDRESSES = st.lists(
    st.sampled_from(
        [
            *"aZ09.@@-_+<>? \t\u00a0\u200b\u212aß\u0130ς\ud800\x00'\":=\uff20\uff0e\uff07",
            *("gmail", ".com", "mailto:", "%40", "%27", "%C3", '="', "email:", "sha256:", "0x", MD5, SHA256),
        ]
    ),
    max_size=14,
).map("".join)
ANY_TEXT = st.text() | st.text(st.characters(categories=None)) | NEAR_ADDRESSES | st.emails()


@pytest.mark.parametrize(
    ("algorithm", "expected"), [("md5", MD5), ("sha256", SHA256), ("sha256_of_md5", SHA256_OF_MD5)]
)
@pytest.mark.parametrize("written", ["john.doe@gmail.com", " John.Doe@GMAIL.com\n"])
def test_hashes_are_the_ones_criteo_publishes(algorithm: str, expected: str, written: str) -> None:
    """Each algorithm gives Criteo's published vector, also for an address that has to be normalized first."""
    assert hash_email(written, algorithm) == expected
    assert digest("john.doe@gmail.com", HashAlgorithm(algorithm)) == expected


def test_an_unknown_algorithm_is_refused() -> None:
    """Only Criteo's three algorithms can be asked for."""
    with pytest.raises(ConfigurationError, match="sha256, md5, sha256_of_md5"):
        hash_email("a@b.co", "sha1")


@pytest.mark.parametrize(
    "blank",
    [
        *(" ", "\t", "\r\n", "\x0b", "\x0c", "\x1c", "\x85", "\u00a0", "\u2003", "\u2028", "\u202f", "\u3000"),
        *("\u200b", "\ufeff", "\u2060", "\u200e", "\u200f", "\u202a", "\u202c", "\u2066", "\u2069", "\u061c", "\u00ad"),
        " \u200b\u00a0\ufeff ",
    ],
    ids=ascii,
)
def test_blanks_around_an_address_are_trimmed(blank: str) -> None:
    """White space and characters without width are trimmed at both ends; inside they make an address invalid."""
    assert normalize_email(f"{blank}a@b.co{blank}") == "a@b.co"
    assert normalize_email(f"Ann <{blank}a@b.co{blank}>") == "a@b.co"
    with pytest.raises(InvalidIdentifierError) as caught:
        normalize_email(f"a{blank}a@b.co")
    assert caught.value.reason == RejectReason.WHITE_SPACE_INSIDE


@pytest.mark.parametrize(
    ("written", "normalized"),
    [
        ("A@B.CO", "a@b.co"),
        ("JOSÉ@BÜCHER.DE", "josé@bücher.de"),
        ("ПОЧТА@ПРИМЕР.РФ", "почта@пример.рф"),
        ("a@col\u00b7legi.cat", "a@col\u00b7legi.cat"),
        ("राम@डाटामेल.भारत", "राम@डाटामेल.भारत"),
        ("\u212aate@b.co", "kate@b.co"),  # the Kelvin sign
        ("Ann <A@b.co>", "a@b.co"),
        ('"Doe, Ann" <a@b.co>', "a@b.co"),
        ("<a@b.co>", "a@b.co"),
        ("mailto:A@b.co", "a@b.co"),
        ("MAILTO:a@b.co?subject=Hello%20you", "a@b.co"),
        ("Ann <mailto:a@b.co>", "a@b.co"),
        ("mailto: a@b.co ?subject=x", "a@b.co"),
        ("mailto:anna%2Bnews@b.co", "anna+news@b.co"),
        ("mailto:%41nna%40B.co?subject=x%40y", "anna@b.co"),
        ("mailto:ann%C3%A9@b.co", "anné@b.co"),
        ("100%25@b.co", "100%25@b.co"),
        ("email: A@b.co", "a@b.co"),
        ("E-Mail:a@b.co", "a@b.co"),
        ("Email address : mailto:a@b.co", "a@b.co"),
        ("SMTP:a@b.co", "a@b.co"),
        ("Ann <e-mail: a@b.co>", "a@b.co"),
        ("'a@b.co", "a@b.co"),
        ("'a@b.co'", "a@b.co"),
        ('="a@b.co"', "a@b.co"),
        ('"a@b.co"', "a@b.co"),
        ('"""A@b.co"""', "a@b.co"),
        (' ="a@b.co " ', "a@b.co"),
        ('\'="a@b.co"', "a@b.co"),
        ("Ann <'a@b.co'>", "a@b.co"),
        ("mailto:%27a@b.co", "a@b.co"),
        ("o'brien@b.co", "o'brien@b.co"),
        ("a\uff20b.co", "a@b.co"),
        ("\uff21\uff4e\uff4e\uff20\uff42\uff0e\uff23\uff4f", "ann@b.co"),
        ("ann@b\u3002co", "ann@b.co"),
        ("ann\ufe6bb\uff61co", "ann@b.co"),
        (f"\uff07{SHA256}", SHA256),
        ('="' + MD5.upper() + '"', MD5),
        ("jose\u0301@b.co", "jose\u0301@b.co"),  # two code points stay two: no other normalization
        ("\ufb01@b.co", "\ufb01@b.co"),
        ("john.doe@gmail.com", "john.doe@gmail.com"),
        ("john+news@gmail.com", "john+news@gmail.com"),
        ("john.@docomo.ne.jp", "john.@docomo.ne.jp"),
        ("j..d@docomo.ne.jp", "j..d@docomo.ne.jp"),
        ("!#$%&'*+/=?^_`{|}~-@b.co", "!#$%&'*+/=?^_`{|}~-@b.co"),
        ("a@b-c.xn--p1ai", "a@b-c.xn--p1ai"),
        ("1@2.3.example", "1@2.3.example"),
        ("a" * 64 + "@b.co", "a" * 64 + "@b.co"),
        ("a@" + "b" * 63 + ".co", "a@" + "b" * 63 + ".co"),
        ("a@" + ".".join(["b" * 60] * 4) + ".example", "a@" + ".".join(["b" * 60] * 4) + ".example"),
    ],
)
def test_what_people_write_becomes_what_criteo_matches(written: str, normalized: str) -> None:
    """Addresses are lower-cased and unwrapped; dots and plus-tags stay, and so does whatever real mailboxes have."""
    assert normalize_email(written) == normalized


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("", RejectReason.EMPTY),
        (" \u200b ", RejectReason.EMPTY),
        ("<>", RejectReason.EMPTY),
        ("mailto:", RejectReason.EMPTY),
        ("mailto:?subject=x", RejectReason.EMPTY),
        ('=""', RejectReason.EMPTY),
        ('"""', RejectReason.EMPTY),
        ("''", RejectReason.EMPTY),
        ("email:", RejectReason.EMPTY),
        ("john.doe", RejectReason.NO_AT_SIGN),
        ("email", RejectReason.NO_AT_SIGN),
        ("website:a@b.co", RejectReason.FORBIDDEN_CHARACTER),
        ("'" * 100_000 + "a@b.co", RejectReason.TOO_LONG),
        ("+33 1 23 45 67 89", RejectReason.NO_AT_SIGN),
        ("a@b@c.co", RejectReason.SEVERAL_AT_SIGNS),
        ("a@b.co, c@d.co", RejectReason.SEVERAL_AT_SIGNS),
        ("@b.co", RejectReason.NO_LOCAL_PART),
        ("a@", RejectReason.NO_DOT_IN_DOMAIN),
        ("a@localhost", RejectReason.NO_DOT_IN_DOMAIN),
        ("a@b.", RejectReason.NO_DOT_IN_DOMAIN),
        ("a b@c.co", RejectReason.WHITE_SPACE_INSIDE),
        ("a@b .co", RejectReason.WHITE_SPACE_INSIDE),
        ('"a"@b.co', RejectReason.FORBIDDEN_CHARACTER),
        ("a,b@c.co", RejectReason.FORBIDDEN_CHARACTER),
        *(
            (f"{sign}a@b.co", RejectReason.FORBIDDEN_CHARACTER)
            for sign in "\u201c\u2018\u00ab\u2022\u2013\u25a0\u2192\u00b4"
        ),
        ("J\u00a6a@b.co", RejectReason.FORBIDDEN_CHARACTER),
        *((f"a@b.co{sign}", RejectReason.BAD_DOMAIN) for sign in "\u201d\u2019\u00bb\u2026\u3001"),
        ("a(b)@c.co", RejectReason.FORBIDDEN_CHARACTER),
        ("mailto:mailto:a@b.co", RejectReason.FORBIDDEN_CHARACTER),
        ("mailto:ann%E9@b.co", RejectReason.FORBIDDEN_CHARACTER),
        ("mailto:%20%20", RejectReason.EMPTY),
        ("a\x00@b.co", RejectReason.FORBIDDEN_CHARACTER),
        ("a\ud800@b.co", RejectReason.FORBIDDEN_CHARACTER),
        ("a@b.c\udce9", RejectReason.FORBIDDEN_CHARACTER),
        ("a@b..co", RejectReason.BAD_DOMAIN),
        ("a@.b.co", RejectReason.BAD_DOMAIN),
        ("a@b.co.", RejectReason.BAD_DOMAIN),
        ("a@-b.co", RejectReason.BAD_DOMAIN),
        ("a@b-.co", RejectReason.BAD_DOMAIN),
        ("a@b_c.co", RejectReason.BAD_DOMAIN),
        ("a@[127.0.0.1]", RejectReason.BAD_DOMAIN),
        ("a@127.0.0.1", RejectReason.BAD_DOMAIN),
        ("a" * 65 + "@b.co", RejectReason.TOO_LONG),
        ("é" * 33 + "@b.co", RejectReason.TOO_LONG),
        ("a@" + "b" * 64 + ".co", RejectReason.TOO_LONG),
        ("a@" + ".".join(["b" * 60] * 4) + ".examples1", RejectReason.TOO_LONG),
    ],
)
def test_what_is_no_address_is_rejected_with_its_reason(written: str, reason: RejectReason) -> None:
    """Each reason is reached, and lengths are judged in bytes on both sides of the bound."""
    with pytest.raises(InvalidIdentifierError) as caught:
        normalize_email(written)
    assert caught.value.reason == reason


@pytest.mark.parametrize("algorithm", [None, *HashAlgorithm])
@pytest.mark.parametrize("hashed", [MD5, SHA256, MD5.upper(), SHA256.title()], ids=len)
def test_a_hash_is_never_hashed_again(hashed: str, algorithm: HashAlgorithm | None) -> None:
    """A value of 32 or 64 hexadecimal digits, any case, spaces around it, goes out in lower case and is counted."""
    written = f" {hashed}\u00a0"
    assert normalize_email(written) == hashed.lower()
    assert hash_email(written, algorithm or HashAlgorithm.SHA256) == hashed.lower()
    preparation = Preparation(algorithm=algorithm)
    assert preparation.prepare([written, "a@b.co"])[0] == hashed.lower()
    assert preparation.already_hashed == 1


@pytest.mark.parametrize("text", [SHA256[:-1], SHA256 + "0", MD5[:-1], MD5 + "0", "g" * 32, "٣" * 32, f"0x{MD5[2:]}"])
def test_what_only_resembles_a_hash_is_none(text: str) -> None:
    """63 or 65 digits, letters beyond f, digits of other scripts: rejected, not sent as a hash."""
    assert not is_hashed(text)
    with pytest.raises(InvalidIdentifierError):
        normalize_email(text)


PLACEHOLDERS = [
    "",
    " ",
    "\n",
    "null",
    "NULL",
    "None",
    "n/a",
    "N/A",
    "nan",
    "NaN",
    "undefined",
    "-",
    "0",
    "Unknown",
    "\\N",
]


@pytest.mark.parametrize("algorithm", HashAlgorithm)
@pytest.mark.parametrize("placeholder", PLACEHOLDERS)
def test_a_digest_of_nothing_is_nobody(placeholder: str, algorithm: HashAlgorithm) -> None:
    """What stood where an address was missing was hashed with the rest: in any case it is rejected by name."""
    for written in (digest(placeholder, algorithm), f" {digest(placeholder, algorithm).upper()}\u200b"):
        with pytest.raises(InvalidIdentifierError) as caught:
            normalize_email(written)
        assert caught.value.reason == RejectReason.DIGEST_OF_NOTHING


@pytest.mark.parametrize("written", ["0" * 32, "0" * 64, "f" * 32, "F" * 64])
def test_a_digest_of_one_digit_is_nobody(written: str) -> None:
    """Zeros and the highest value stand where a column had no default."""
    with pytest.raises(InvalidIdentifierError) as caught:
        normalize_email(written)
    assert caught.value.reason == RejectReason.DIGEST_OF_NOTHING


ADDRESS = b"john.doe@gmail.com"
SHA256_BYTES = hashlib.sha256(ADDRESS).digest()


@pytest.mark.parametrize(
    "written",
    [
        *(
            f"0x{SHA256}",
            f"0X{MD5}",
            f"\\x{SHA256}",
            f"sha256:{SHA256}",
            f"SHA-256: {SHA256}",
            f"md5={MD5}",
            f"{{SHA256}}{SHA256}",
        ),
        *(hashlib.new(name, ADDRESS).hexdigest() for name in ("sha1", "sha224", "sha384", "sha512")),
        *(hashlib.sha512(ADDRESS).hexdigest().upper(), f"sha1:{'5e' * 20}"),
        *(base64.b64encode(SHA256_BYTES).decode(), base64.urlsafe_b64encode(SHA256_BYTES).decode().rstrip("=")),
        *(
            base64.b64encode(hashlib.new(name, ADDRESS).digest()).decode()
            for name in ("md5", "sha1", "sha384", "sha512")
        ),
        *(f"sha256-{base64.b64encode(SHA256_BYTES).decode()}", SHA256_BYTES.hex(":"), SHA256_BYTES.hex("-").upper()),
        *("$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW", f"'0x{SHA256}", f'="sha256:{SHA256}"'),
        *(f"X'{SHA256}'", f"x'{MD5.upper()}'", f"b'{SHA256}'", f'b"{base64.b64encode(SHA256_BYTES).decode()}"'),
    ],
)
def test_a_hash_in_another_form_is_called_one(written: str) -> None:
    """Other algorithms, other encodings and prefixes: Criteo matches none, and none is guessed at."""
    with pytest.raises(InvalidIdentifierError) as caught:
        normalize_email(written)
    assert caught.value.reason == RejectReason.HASH_IN_OTHER_FORM


@pytest.mark.parametrize("value", [None, 5, b"a@b.co", ["a@b.co"]])
def test_what_is_no_text_is_a_type_error_without_the_value(value: object) -> None:
    """A programming mistake is told by type alone."""
    with pytest.raises(TypeError, match=f"^an e-mail must be a str, not {type(value).__name__}$"):
        normalize_email(value)


def outcome(text: str) -> str | InvalidIdentifierError:
    """Returns what the full rule makes of a text; anything else that it raises fails the test."""
    try:
        return normalize_email(text)
    except InvalidIdentifierError as error:
        return error


@given(text=ANY_TEXT)
@example(text="\ud800@b.co")
@example(text="\u0130@b.co")
def test_any_text_is_normalized_once_and_for_all_or_rejected_in_silence(text: str) -> None:
    """No text raises anything but InvalidIdentifierError, which holds a reason alone; normalizing is idempotent."""
    found = outcome(text)
    if isinstance(found, InvalidIdentifierError):
        assert vars(found) == {"reason": RejectReason(found.reason)}
        assert found.args == InvalidIdentifierError(found.reason).args
        assert found.__context__ is None
    else:
        assert normalize_email(found) == found
        assert found.encode()


@pytest.mark.parametrize(
    "text", ["planted", "planted@b@c.co", "pla nted@b.co", "planted\ud800@b.co", "planted@b.\udce9"]
)
def test_a_rejection_never_shows_the_text(text: str) -> None:
    """Neither the message nor the traceback holds a part of it."""
    with pytest.raises(InvalidIdentifierError) as caught:
        normalize_email(text)
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert "nted" not in shown


@given(texts=st.lists(ANY_TEXT, max_size=5), algorithm=st.sampled_from([None, *HashAlgorithm]))
@example(texts=["A" * 65 + "@b.co", "a@" + "b" * 64 + ".co", "a@b.co\u200b", "\u212a@b.co"], algorithm=None)
def test_many_rows_are_prepared_as_one_row_alone_is(texts: list[str], algorithm: HashAlgorithm | None) -> None:
    """The fast path over a slice of rows agrees with the full rule, for any text and for near-addresses."""
    outcomes = [outcome(text) for text in texts]
    normalized = [found for found in outcomes if isinstance(found, str)]
    preparation = Preparation(algorithm=algorithm)
    assert preparation.prepare(texts) == [hash_email(text, algorithm) if algorithm else text for text in normalized]
    rejected = Counter(RejectReason(found.reason) for found in outcomes if not isinstance(found, str))
    assert preparation.rejected == rejected
    assert preparation.read == len(texts)
    assert preparation.already_hashed == sum(map(is_hashed, normalized))


def test_an_invalid_identifier_error_is_a_value_error_and_survives_pickling() -> None:
    """Callers may catch ValueError, and workers may send the error home."""
    error = pickle.loads(pickle.dumps(InvalidIdentifierError("no_at_sign")))  # noqa: S301 - our own bytes
    assert isinstance(error, ValueError)
    assert (error.reason, str(error)) == ("no_at_sign", "Not a valid identifier: no at sign.")
