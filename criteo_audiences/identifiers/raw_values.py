"""Raw values: blanks, damage by spreadsheets, variants of characters, hashes, and the reasons for rejecting a value."""

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Any, Final, NamedTuple

from attrs import frozen

from criteo_audiences.models import HashAlgorithm

ZERO_WIDTH: Final = (
    "\u00ad\u061c\u180e\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"
)
"""Zero-width characters that spreadsheets and mail programs leave in values."""
WHITE_SPACE: Final = (
    "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
"""The white space that `str.strip()` removes."""
BLANKS: Final = WHITE_SPACE + ZERO_WIDTH
LONGEST_GUARDED: Final = 5_000  # more than any identifier has; unwrapping a long text of quotes would take too long
# `33612345678.0`, `33612345678,00`, `3.36E+10`, `3,36e10`, `3E+10`.
_NUMBER = re.compile(r"\+?[0-9]+[.,]0{1,2}|\+?[0-9](?:[.,][0-9]+[eE]\+?|[eE]\+)[0-9]{1,3}")
_LINE_ENDS: Final = "\n\r\u2028\u2029\x85"
_MORE_DASHES: Final = "\u2212\u30fc"  # the minus sign, the Japanese long-vowel mark
_FULL_WIDTH: Final = range(0xFF01, 0xFF5F)
_TO_ASCII: Final = 0xFEE0
NARROW: Final = {
    **{wide: chr(wide - _TO_ASCII) for wide in _FULL_WIDTH},
    **{ord(sign): "." for sign in "\u3002\uff61\ufe52"},  # RFC 3490 §3.1, and the small full stop
    0xFE6B: "@",
}
_WIDE = re.compile(f"[{re.escape(''.join(map(chr, NARROW)))}]")


def narrow(text: str) -> str:
    """Returns a text with ASCII instead of full-width letters, digits and signs, which Asian input methods write."""
    return text.translate(NARROW) if not text.isascii() and _WIDE.search(text) else text


def fold(text: str) -> str:
    """Returns a text trimmed, with ASCII digits, dashes, spaces and punctuation, without zero-width characters."""
    if text.isascii() and text.isprintable():
        return text.strip()
    return "".join(map(_folded, text)).strip()


def _folded(character: str) -> str:
    if character in ZERO_WIDTH:
        return ""
    if character in WHITE_SPACE:
        return "\n" if character in _LINE_ENDS else " "
    digit = unicodedata.decimal(character, None)
    if digit is not None:
        return str(digit)
    if character in _MORE_DASHES or unicodedata.category(character) == "Pd":
        return "-"
    return chr(ord(character) - _TO_ASCII) if ord(character) in _FULL_WIDTH else character


def is_spreadsheet_number(text: str) -> bool:
    """Whether a spreadsheet turned a trimmed value into a decimal number or a power of ten.

    Such a value is rejected, never repaired: a power of ten has lost digits, and `33612345678.0` does not show whether
    it had a plus sign, a leading zero or neither.
    """
    return _NUMBER.fullmatch(text) is not None


def without_guards(text: str) -> str:
    """Returns a trimmed value without guards: characters that make a spreadsheet treat a cell as text.

    Guards are a leading apostrophe (or a pair of apostrophes), `="…"`, and quotes around the whole cell, which remain
    if a cell was quoted twice. No identifier begins with such a character, so they are removed for every kind.
    """
    while text[:1] in {"'", '"', "="} and len(text) <= LONGEST_GUARDED:
        bare = _bare(text).strip(BLANKS)
        if bare == text:
            break
        text = bare
    return text


def _bare(text: str) -> str:
    """Removes one kind of guard."""
    if text.startswith("'"):
        inner = text.lstrip("'")
        return inner.rstrip("'") if text.endswith("'") else inner
    quoted = text.removeprefix("=")
    if len(quoted) > 1 and quoted.startswith('"') and quoted.endswith('"'):
        return quoted.strip('"') if quoted is text else quoted[1:-1]
    return text


_HEX_DIGEST = re.compile(r"[0-9a-fA-F]{32}|[0-9a-fA-F]{64}")
_HEX_OF_ANY_HASH = "|".join(f"[0-9a-f]{{{digits}}}" for digits in (32, 40, 56, 64, 96, 128))
_IN_OTHER_FORM = re.compile(
    rf"(?:[\w-]{{1,20}}[:=] ?|\{{[\w-]{{1,20}}\}}|0x|\\x)?(?:{_HEX_OF_ANY_HASH})"  # of another length, or introduced
    r"|[0-9a-f]{2}(?:[: -][0-9a-f]{2}){15,63}"  # byte by byte
    r"|(?:[\w-]{1,20}[:=-] ?|\{[\w-]{1,20}\})?"  # Base64 of MD5, SHA-1, SHA-256, SHA-384 and SHA-512
    r"(?:[a-z0-9+/_-]{22}==|[a-z0-9+/_-]{27}=|[a-z0-9+/_-]{43}=?|[a-z0-9+/]{64}|[a-z0-9+/_-]{86}(?:==)?)"
    r"|\$[a-z0-9-]{1,12}\$\S+",  # crypt(3)
    re.IGNORECASE,
)
_LITERAL = re.compile(r"[bx](['\"])(\S+)\1", re.IGNORECASE)  # as Python and SQL write bytes
# Placeholders that systems hash if there is no identifier.
_PLACEHOLDERS: Final = (
    "null|none|nil|nan|<na>|n/a|na|n.a.|nat|undefined|unknown|empty|blank|missing|false|true|test|email|e-mail|phone|mobile"
    "|not available|not provided|no email|(null)|#n/a|\\n|-|--|?|.|@|+|[]|{}|''|\"\"|0.0| |\t|\r\n|"
)


def _sha256(texts: Iterable[str]) -> list[str]:
    sha256 = hashlib.sha256
    return [sha256(text.encode()).hexdigest() for text in texts]


def _md5(texts: Iterable[str]) -> list[str]:
    return [hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() for text in texts]


def _sha256_of_md5(texts: Iterable[str]) -> list[str]:
    # Of the 32 characters of the MD5's text, not of its 16 bytes, as Criteo's published test vectors show.
    return _sha256(_md5(texts))


_DIGESTS: Final[Mapping[HashAlgorithm, Callable[[Iterable[str]], list[str]]]] = {
    HashAlgorithm.SHA256: _sha256,
    HashAlgorithm.MD5: _md5,
    HashAlgorithm.SHA256_OF_MD5: _sha256_of_md5,
}


def _of_nothing() -> Iterable[str]:
    yield from (digit * digits for digit in "0f" for digits in (32, 64))
    words = _PLACEHOLDERS.split("|")
    spelled = {form for word in words for form in (word, word.upper(), word.title(), word.capitalize())}
    spelled |= {"NaN", "NaT", *("0" * zeros for zeros in range(1, 16))}
    spelled |= {f"{form}\n" for form in spelled}  # as `echo` writes it
    for algorithm in _DIGESTS.values():
        yield from algorithm(sorted(spelled))


DIGESTS_OF_NOTHING: Final = frozenset(_of_nothing())
"""The digests of an empty text, `null`, `n/a` and the like by each algorithm, and digests of only 0 or only f."""


def digests(texts: Iterable[str], algorithm: HashAlgorithm) -> list[str]:
    """Hashes normalized identifiers, encoded as UTF-8, to lower-case hexadecimal text (Criteo help center).

    It hashes many at once, because a function call for each would cost a third of the hashing itself.
    """
    return _DIGESTS[algorithm](texts)


def digest(text: str, algorithm: HashAlgorithm) -> str:
    """Hashes one normalized identifier; see `digests`."""
    return digests((text,), algorithm)[0]


def is_hashed(text: str) -> bool:
    """Whether a trimmed value is a digest: only hexadecimal digits, as many as an MD5 or a SHA-256 has."""
    return _HEX_DIGEST.fullmatch(text) is not None


def is_hash_in_other_form(text: str) -> bool:
    """Whether a trimmed value is a hash in a form that Criteo cannot match.

    Such forms are SHA-1 or SHA-512, Base64, a digest after `sha256:`, `0x` or the like, and a literal of bytes such as
    `X'…'`. None is converted, because only the maker of the export knows what was hashed, and how.
    """
    literal = _LITERAL.fullmatch(text)
    return _IN_OTHER_FORM.fullmatch(literal[2] if literal else text) is not None


class RejectReason(StrEnum):
    """The reasons for rejecting a value, with their names in reports."""

    EMPTY = "empty"
    NO_AT_SIGN = "no_at_sign"
    SEVERAL_AT_SIGNS = "several_at_signs"
    NO_LOCAL_PART = "no_local_part"
    NO_DOT_IN_DOMAIN = "no_dot_in_domain"
    WHITE_SPACE_INSIDE = "white_space_inside"
    FORBIDDEN_CHARACTER = "forbidden_character"
    BAD_DOMAIN = "bad_domain"
    TOO_LONG = "too_long"
    NO_COUNTRY_CODE = "no_country_code"
    UNKNOWN_COUNTRY = "unknown_country"
    UNKNOWN_COUNTRY_CODE = "unknown_country_code"
    TOO_SHORT = "too_short"
    NO_SUCH_NUMBER = "no_such_number"
    NOT_A_PHONE = "not_a_phone"
    SEVERAL_NUMBERS = "several_numbers"
    SPREADSHEET_NUMBER = "spreadsheet_number"
    MD5_OF_PHONE = "md5_of_phone"
    LIMITED_AD_TRACKING = "limited_ad_tracking"
    HASHED_AD_ID = "hashed_ad_id"
    NOT_A_MOBILE_AD_ID = "not_a_mobile_ad_id"
    DIGEST_OF_NOTHING = "digest_of_nothing"
    HASH_IN_OTHER_FORM = "hash_in_other_form"
    NOT_AN_IP_ADDRESS = "not_an_ip_address"
    BROKEN_QUOTES = "broken_quotes"
    NO_CELL = "no_cell"
    SEVERAL_CELLS = "several_cells"
    NOT_HASHED = "not_hashed"


class Reject(NamedTuple):
    """A value that is no identifier; a plain tuple, because there may be millions.

    Attributes:
        file: the name of its file; empty for a source that is no file.
        row: its row of data there, from 1.
        column: the column's name; empty if the source has no columns.
        reason: why it is rejected.
        value: the value as it was read; empty if there was none.
    """

    file: str
    row: int
    column: str
    reason: RejectReason
    value: str


@frozen(kw_only=True)
class SourceRow:
    """A row of a source, without its value, identified as in the file of rejects.

    Attributes:
        file: the name of the file; empty for a source that is no file.
        row: the row of data there, from 1; for other sources, the position in the source.
        column: the column's name; empty if the source has no columns.
    """

    file: str = ""
    row: int
    column: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Returns JSON-safe values."""
        return {"file": self.file, "row": self.row, "column": self.column}
