"""The rules for preparing identifiers, one for each kind; this module contains those for e-mail addresses and ids."""

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final
from urllib.parse import unquote

from attrs import field, frozen

from criteo_audiences.errors import InvalidIdentifierError
from criteo_audiences.identifiers.countries import PLAIN_NUMBER
from criteo_audiences.identifiers.phone import PHONE_ALGORITHMS, close_up, normalized_phone, spellings
from criteo_audiences.identifiers.raw_values import (
    BLANKS,
    DIGESTS_OF_NOTHING,
    RejectReason,
    digest,
    digests,
    is_hash_in_other_form,
    is_hashed,
    is_spreadsheet_number,
    narrow,
    without_guards,
)
from criteo_audiences.models import HashAlgorithm, IdentifierType
from criteo_audiences.validation import choose

# The usual form of an address, for one cheap test. A match is valid by the full rule below, which decides about all
# other texts. No label can be too long in a text of at most 64 characters.
PLAIN_ADDRESS: Final = re.compile(r"(?!.{65})[a-z0-9._+-]++@[a-z0-9]++(?:[.-][a-z0-9]++)*?\.[a-z]++")

# The same with few and short parts: it needs no look-ahead to count letters, and takes a sixth of the time.
_SHORT_ADDRESS: Final = re.compile(r"[a-z0-9._+-]{1,64}+@[a-z0-9]{1,20}+(?:[.-][a-z0-9]{1,20}+){0,2}?\.[a-z]{1,63}+")

# An address may contain these signs, but they may also be delimiters that a file's header lacks: `12|ann@example.com`.
ADDRESS_AFTER_A_SIGN: Final = re.compile(r"[^@]*[!#$*/=^`{|}~]([^@]+@[^@]+)")

# In delimited text, these few signs are far more likely a delimiter than a part of the address.
_DIVIDED = re.compile(rf"[^@]*[^\W_][^@]*[|^~]{PLAIN_ADDRESS.pattern}")

_INSIDE = re.compile(f"[{re.escape(BLANKS)}]")
_WRAPPED = re.compile(r"[^<>]*<([^<>]*)>")
_INTRODUCTION = re.compile(r"(?:e-?mail|mail|smtp|courriel|correo)(?:[ -]?(?:address|adresse))?\s*:\s*")
_MAILTO = "mailto:"
# RFC 5321 §4.1.2 and RFC 6531: an atom's ASCII characters, and anything beyond ASCII. Dots are free: real mailboxes
# with two in a row or one at the end exist. Quoted local parts are not taken: Criteo's matching cannot use them.
_LOCAL = re.compile(r"[a-z0-9.!#$%&'*+/=?^_`{|}~\-\u0080-\U0010ffff]+")
_LABEL = re.compile(r"[a-z0-9\u0080-\U0010ffff](?:[a-z0-9\u0080-\U0010ffff-]*[a-z0-9\u0080-\U0010ffff])?")
# RFC 5892: signs beyond ASCII that a domain may contain. All others are from the text around an address, or between
# cells: quotation marks, bullets, dashes.
SIGNS_OF_WORDS: Final = frozenset("\u00b7\u0375\u05f3\u05f4\u0f0b\u06fd\u06fe\u30fb")
# U+FFFD replaces bytes of a damaged file that could not be decoded.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffd]")
# RFC 5321 §4.5.3.1 (local part 64 octets), RFC 3696 erratum 1690 (address 254), RFC 1035 §2.3.4 (label 63).
LONGEST_ADDRESS, LONGEST_LOCAL, LONGEST_LABEL = 254, 64, 63


def normalize_email(value: str) -> str:
    """Returns an address trimmed and in lower case, the form that Criteo matches and hashes.

    White space, zero-width characters and a spreadsheet's guards are removed. `Name <address>`, `mailto:` and `Email:`
    are unwrapped. Full-width characters become ASCII. Dots and plus-tags stay, because Criteo does not ask for their
    removal. A value that is a digest already is returned in lower case.

    Args:
        value: an address as people write it.

    Raises:
        InvalidIdentifierError: when it is no address; `.reason` says why.
        TypeError: when it is no `str`.

    Source: Criteo's help center, "Contact lists" (trimmed and in lower case before hashing); RFC 5321, RFC 6531.
    """
    if not isinstance(value, str):
        raise TypeError(f"an e-mail must be a str, not {type(value).__name__}")
    text = _tidy(value)
    if is_hashed(text):
        if text in DIGESTS_OF_NOTHING:
            raise InvalidIdentifierError(RejectReason.DIGEST_OF_NOTHING)
        return text
    address = _unwrap(text)
    reason = _fault(address)
    if reason is not None:
        raise InvalidIdentifierError(reason)
    return address


def hash_email(value: str, algorithm: HashAlgorithm | str = HashAlgorithm.SHA256) -> str:
    """Normalizes an address and hashes it; a value that is a digest already is returned in lower case, not hashed.

    Args:
        value: an address as people write it.
        algorithm: `"sha256"`, `"md5"` or `"sha256_of_md5"`.

    Raises:
        InvalidIdentifierError: when it is no address; `.reason` says why.
        ConfigurationError: when the algorithm is none of these.

    Source: Criteo's help center and its published vectors for `john.doe@gmail.com`.
    """
    chosen = choose(HashAlgorithm, algorithm, "algorithm")
    text = normalize_email(value)
    return text if is_hashed(text) else digest(text, chosen)


def may_be_several_cells(address: str) -> bool:
    """Whether a normalized address ends with a usual address after a delimiter, as in `12|ann@example.com`."""
    return _DIVIDED.fullmatch(address) is not None


def _tidy(text: str) -> str:
    return without_guards(narrow(text).strip(BLANKS)).lower()


def _unwrap(text: str) -> str:
    """Returns the address in `Name <address>`, after a label, or in a percent-encoded `mailto:` URI (RFC 6068)."""
    wrapped = _WRAPPED.fullmatch(text)
    if wrapped:
        text = _tidy(wrapped[1])
    introduced = _INTRODUCTION.match(text)
    if introduced:
        text = _tidy(text[introduced.end() :])
    if text.startswith(_MAILTO):
        address = text.removeprefix(_MAILTO).partition("?")[0]
        text = _tidy(unquote(address, errors="surrogateescape"))  # so that bytes that are no UTF-8 are refused later
    return text


def _fault(address: str) -> RejectReason | None:
    """Returns why a normalized text is no address, or `None`."""
    if not address:
        return RejectReason.EMPTY
    local, at_sign, domain = address.partition("@")
    if not at_sign:
        return RejectReason.HASH_IN_OTHER_FORM if is_hash_in_other_form(address) else RejectReason.NO_AT_SIGN
    if "@" in domain:
        return RejectReason.SEVERAL_AT_SIGNS
    if _INSIDE.search(address):
        return RejectReason.WHITE_SPACE_INSIDE
    if _CONTROL.search(address):
        return RejectReason.FORBIDDEN_CHARACTER
    return _local_fault(local) or _domain_fault(domain) or _length_fault(address, local, domain)


def _local_fault(local: str) -> RejectReason | None:
    if not local:
        return RejectReason.NO_LOCAL_PART
    return None if _LOCAL.fullmatch(local) and _has_words_only(local) else RejectReason.FORBIDDEN_CHARACTER


def _domain_fault(domain: str) -> RejectReason | None:
    if "." not in domain.strip("."):
        return RejectReason.NO_DOT_IN_DOMAIN
    labels = domain.split(".")
    if not all(_LABEL.fullmatch(label) for label in labels) or labels[-1].isdigit() or not _has_words_only(domain):
        return RejectReason.BAD_DOMAIN
    return None


def _has_words_only(text: str) -> bool:
    """Whether a text has no punctuation or symbols beyond ASCII."""
    return text.isascii() or not any(
        unicodedata.category(letter)[0] in "PS" and not letter.isascii() and letter not in SIGNS_OF_WORDS
        for letter in text
    )


def _length_fault(address: str, local: str, domain: str) -> RejectReason | None:
    if len(address.encode()) > LONGEST_ADDRESS or len(local.encode()) > LONGEST_LOCAL:
        return RejectReason.TOO_LONG
    return RejectReason.TOO_LONG if any(len(label.encode()) > LONGEST_LABEL for label in domain.split(".")) else None


PLAIN_ID: Final = re.compile("[A-Za-z0-9_-]{1,256}+")
"""Matches only ids that `normalize_opaque` does not change; a cheap test."""
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_LONGEST: Final = 4_096  # our own limit: Criteo publishes none, and the URL of a page may be long
_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IP_ADDRESS_V4 = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}")
_UUID = re.compile("[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
PLAIN_MOBILE_AD_ID: Final = re.compile(rf"(?!0{{8}}-0){_UUID.pattern}")
"""Matches only ids that `normalize_mobile_ad_id` does not change; a cheap test."""
_NONE_GIVEN: Final = "00000000-0000-0000-0000-000000000000"


def normalize_opaque(value: str) -> str:
    """Returns an id trimmed and without guards, otherwise unchanged, because only its issuer knows its form.

    Args:
        value: a customer id, a user id, an IdentityLink, a GUM id or the like.

    Raises:
        InvalidIdentifierError: when it is empty, contains control characters, has more than 4,096 characters, or a
            spreadsheet turned it into a number such as `1.2E+10`.
    """
    text = without_guards(value.strip(BLANKS))
    if not text:
        raise InvalidIdentifierError(RejectReason.EMPTY)
    if is_spreadsheet_number(text):
        raise InvalidIdentifierError(RejectReason.SPREADSHEET_NUMBER)
    if _FORBIDDEN.search(text):
        raise InvalidIdentifierError(RejectReason.FORBIDDEN_CHARACTER)
    if len(text) > _LONGEST:
        raise InvalidIdentifierError(RejectReason.TOO_LONG)
    return text


def normalize_ip_address_v4(value: str) -> str:
    """Returns an IPv4 address in dotted decimal, trimmed.

    Args:
        value: four numbers of 0 to 255 without leading zeros, with dots between them.

    Raises:
        InvalidIdentifierError: when it is anything else.
    """
    text = normalize_opaque(value)
    if not _IP_ADDRESS_V4.fullmatch(text):
        raise InvalidIdentifierError(RejectReason.NOT_AN_IP_ADDRESS)
    return text


def normalize_mobile_ad_id(value: str) -> str:
    """Returns a mobile advertising id trimmed and without braces and guards; its case stays.

    Criteo publishes no rule on case: Apple writes IDFAs in upper case, Android AAIDs in lower case. Therefore the same
    id in two cases counts as two. 32 hexadecimal digits without dashes are refused, because an MD5 looks the same.

    Args:
        value: a UUID with dashes, such as `6D92078A-8246-4BA4-AE5B-76104861E7DC`.

    Raises:
        InvalidIdentifierError: when it is no such id, a hash, or all zeros, the id that phones report after an opt-out.

    Source: RFC 9562 §4; Apple's documentation of `advertisingIdentifier`, Google's of `AdvertisingIdClient`.
    """
    text = without_guards(value.strip(BLANKS))
    if text.startswith("{") and text.endswith("}"):
        text = without_guards(text[1:-1].strip(BLANKS))
    if not text:
        raise InvalidIdentifierError(RejectReason.EMPTY)
    if text == _NONE_GIVEN:
        raise InvalidIdentifierError(RejectReason.LIMITED_AD_TRACKING)
    if not _UUID.fullmatch(text):
        hashed = is_hash_in_other_form(text)
        raise InvalidIdentifierError(RejectReason.HASHED_AD_ID if hashed else RejectReason.NOT_A_MOBILE_AD_ID)
    return text


_NOTHING = re.compile("(?!)")


def _trimmed(rows: Sequence[str]) -> list[str]:
    return [row.strip() for row in rows]


def _trimmed_in_lower_case(rows: Sequence[str]) -> list[str]:
    return [row.strip().lower() for row in rows]


def _closed_up(rows: Sequence[str]) -> list[str]:
    return [close_up(row.strip()) for row in rows]


@frozen(kw_only=True)
class Rule:
    """The rule for preparing the values of one kind of identifier.

    Attributes:
        normalize: applies the full rule to one value; raises `InvalidIdentifierError`.
        plain: matches tidied values that the full rule does not change; nearly all values match.
        tidied: tidies every value before `plain` is tested.
        algorithms: the algorithms to choose from for hashing; empty for kinds that Criteo accepts unhashed. For these
            kinds, no value counts as a hash.
        hashed_from: the position in a normalized value where the hashed part begins.
        spellings: returns the spellings of an identifier; `None` if it has only one.
        held: finds another identifier within an identifier, because two cells may have been read as one.
        slice_size: most values to prepare at once, so that it takes few milliseconds even if all are unusual.
    """

    normalize: Callable[[str], str]
    plain: re.Pattern[str]
    tidied: Callable[[Sequence[str]], list[str]] = _trimmed
    algorithms: frozenset[HashAlgorithm] = frozenset()
    hashed_from: int = 0
    spellings: Callable[[str], Sequence[str]] | None = None
    held: re.Pattern[str] | None = None
    slice_size: int = 256
    _plain_lines: re.Pattern[str] = field(init=False)

    @_plain_lines.default
    def _many_plain(self) -> re.Pattern[str]:
        return re.compile(f"(?:{self.plain.pattern}\n)*")

    def find_odd(self, texts: Sequence[str]) -> list[int]:
        """Returns the positions of the tidied texts for which the full rule is needed.

        The texts are matched as lines of one text, which takes half as long as matching them one by one.

        Returns:
            The positions; `normalize` does not change the other texts.
        """
        lines = "\n".join(texts) + "\n"
        if lines.count("\n") != len(texts):  # some text has several lines itself
            return [position for position, text in enumerate(texts) if self.plain.fullmatch(text) is None]
        odd: list[int] = []
        position = read = 0
        while (end := self._end_of_plain(lines, read)) < len(lines):
            position += lines.count("\n", read, end)
            odd.append(position)
            position += 1
            read = lines.index("\n", end) + 1
        return odd

    def _end_of_plain(self, lines: str, start: int) -> int:
        """Returns the position of the first line that `plain` does not match."""
        found = self._plain_lines.match(lines, start)
        return found.end() if found else start

    def digests(self, texts: Sequence[str], algorithm: HashAlgorithm) -> list[str]:
        """Hashes normalized values."""
        start = self.hashed_from
        return digests([text[start:] for text in texts] if start else texts, algorithm)


EMAIL_RULE: Final = Rule(
    normalize=normalize_email,
    plain=_SHORT_ADDRESS,
    tidied=_trimmed_in_lower_case,
    algorithms=frozenset(HashAlgorithm),
    held=ADDRESS_AFTER_A_SIGN,
)
_OPAQUE_RULE: Final = Rule(normalize=normalize_opaque, plain=PLAIN_ID)
_OTHER_RULES: Final = {
    IdentifierType.EMAIL: EMAIL_RULE,
    IdentifierType.MADID: Rule(normalize=normalize_mobile_ad_id, plain=PLAIN_MOBILE_AD_ID),
    IdentifierType.IP_ADDRESS_V4: Rule(normalize=normalize_ip_address_v4, plain=_NOTHING),
}


def rule_for(
    kind: IdentifierType,
    *,
    region: str | None = None,
    unlocated: RejectReason = RejectReason.NO_COUNTRY_CODE,
    keep_trunk_zero: bool = False,
) -> Rule:
    """Returns the rule for a kind of identifier.

    Args:
        kind: the kind.
        region: the country in which phone numbers without a country code are dialed, from `require_region`.
        unlocated: the reason for rejecting such numbers if there is no region.
        keep_trunk_zero: keep a zero after the country code, which E.164 drops.
    """
    if kind is IdentifierType.PHONE_NUMBER:
        return Rule(
            normalize=partial(normalized_phone, region=region, unlocated=unlocated, keep_trunk_zero=keep_trunk_zero),
            spellings=spellings if keep_trunk_zero else None,
            plain=PLAIN_NUMBER,
            tidied=_closed_up,
            algorithms=PHONE_ALGORITHMS,
            hashed_from=len("+"),
            slice_size=64 if region is None else 8,
        )
    return _OTHER_RULES.get(kind, _OPAQUE_RULE)
