"""E-mail addresses: normalized as Criteo asks, validated as far as its matching can use them."""

import re
import unicodedata
from typing import Final
from urllib.parse import unquote

from criteo_audiences.errors import InvalidIdentifierError
from criteo_audiences.identifiers.characters import BLANKS, narrow, without_guards
from criteo_audiences.identifiers.hashing import DIGESTS_OF_NOTHING, digest, is_hash_in_other_form, is_hashed
from criteo_audiences.identifiers.reasons import RejectReason
from criteo_audiences.models import HashAlgorithm
from criteo_audiences.validation import choose

# The address nearly every row holds, for one cheap test: what fits is valid by the full rule below, which decides about
# the others. No label can be too long in a text of at most 64 characters.
PLAIN_ADDRESS: Final = re.compile(r"(?!.{65})[a-z0-9._+-]++@[a-z0-9]++(?:[.-][a-z0-9]++)*?\.[a-z]++")

# An address may hold these signs, and they may be delimiters that a file's header lacks: `12|ann@example.com`.
ADDRESS_AFTER_A_SIGN: Final = re.compile(r"[^@]*[!#$*/=^`{|}~]([^@]+@[^@]+)")

# Of these few signs, in delimited text, a delimiter is far more likely than an address that holds them itself.
_DIVIDED = re.compile(rf"[^@]*[^\W_][^@]*[|^~]{PLAIN_ADDRESS.pattern}")

_INSIDE = re.compile(f"[{re.escape(BLANKS)}]")
_WRAPPED = re.compile(r"[^<>]*<([^<>]*)>")
_INTRODUCTION = re.compile(r"(?:e-?mail|mail|smtp|courriel|correo)(?:[ -]?(?:address|adresse))?\s*:\s*")
_MAILTO = "mailto:"
# RFC 5321 §4.1.2 and RFC 6531: an atom's ASCII characters, and anything beyond ASCII. Dots are free: real mailboxes
# with two in a row or one at the end exist. Quoted local parts are not taken: Criteo's matching cannot use them.
_LOCAL = re.compile(r"[a-z0-9.!#$%&'*+/=?^_`{|}~\-\u0080-\U0010ffff]+")
_LABEL = re.compile(r"[a-z0-9\u0080-\U0010ffff](?:[a-z0-9\u0080-\U0010ffff-]*[a-z0-9\u0080-\U0010ffff])?")
# RFC 5892: signs beyond ASCII that a domain may hold. All others are what a text has around an address, or between
# cells: quotation marks, bullets, dashes.
SIGNS_OF_WORDS: Final = frozenset("\u00b7\u0375\u05f3\u05f4\u0f0b\u06fd\u06fe\u30fb")
# U+FFFD stands where bytes of a damaged file could not be read.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffd]")
# RFC 5321 §4.5.3.1 (local part 64 octets), RFC 3696 erratum 1690 (address 254), RFC 1035 §2.3.4 (label 63).
LONGEST_ADDRESS, LONGEST_LOCAL, LONGEST_LABEL = 254, 64, 63


def normalize_email(value: str) -> str:
    """Returns an address trimmed and in lower case, the form Criteo matches and hashes.

    White space, characters of no width and a spreadsheet's guards are taken off, `Name <address>`, `mailto:` and
    `Email:` unwrapped, full-width characters become ASCII. Dots and plus-tags stay: Criteo asks nowhere for their
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
    """Whether a normalized address is a usual one after something else and a delimiter, as `12|ann@example.com` is."""
    return _DIVIDED.fullmatch(address) is not None


def _tidy(text: str) -> str:
    return without_guards(narrow(text).strip(BLANKS)).lower()


def _unwrap(text: str) -> str:
    """Takes the address out of `Name <address>`, of a `mailto:` URI (RFC 6068), percent-encoded, and after a label."""
    wrapped = _WRAPPED.fullmatch(text)
    if wrapped:
        text = _tidy(wrapped[1])
    introduced = _INTRODUCTION.match(text)
    if introduced:
        text = _tidy(text[introduced.end() :])
    if text.startswith(_MAILTO):
        address = text.removeprefix(_MAILTO).partition("?")[0]
        text = _tidy(unquote(address, errors="surrogateescape"))  # what is no UTF-8 stays refusable
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
