"""The hashed forms of an identifier, and how to recognize a value that is hashed already."""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from criteo_audiences.models import HashAlgorithm

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
# What is hashed where no identifier was.
_PLACEHOLDERS: Final = (
    "null|none|nil|nan|<na>|n/a|na|n.a.|nat|undefined|unknown|empty|blank|missing|false|true|test|email|e-mail|phone|mobile"
    "|not available|not provided|no email|(null)|#n/a|\\n|-|--|?|.|@|+|[]|{}|''|\"\"|0.0| |\t|\r\n|"
)


def _sha256(texts: Iterable[str]) -> list[str]:
    return [hashlib.sha256(text.encode()).hexdigest() for text in texts]


def _md5(texts: Iterable[str]) -> list[str]:
    return [hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() for text in texts]


def _sha256_of_md5(texts: Iterable[str]) -> list[str]:
    # Over the 32 characters of the MD5's text, not its 16 bytes: Criteo's published vectors say so.
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
"""What an empty text, `null`, `n/a` and the like hash to, by each algorithm, and digests of nothing but 0 or f."""


def digests(texts: Iterable[str], algorithm: HashAlgorithm) -> list[str]:
    """Hashes normalized identifiers, encoded as UTF-8, to lower-case hexadecimal text (Criteo help center).

    Many at once, because calling a function for each would cost a third of the hashing itself.
    """
    return _DIGESTS[algorithm](texts)


def digest(text: str, algorithm: HashAlgorithm) -> str:
    """Hashes one normalized identifier; see `digests`."""
    return digests((text,), algorithm)[0]


def is_hashed(text: str) -> bool:
    """Whether a trimmed value is a digest already: nothing but hexadecimal digits, as many as MD5 or SHA-256 has."""
    return _HEX_DIGEST.fullmatch(text) is not None


def is_hash_in_other_form(text: str) -> bool:
    """Whether a trimmed value is a hash in a form that Criteo cannot match.

    That is a SHA-1 or SHA-512, Base64, and a digest with `sha256:`, `0x` or the like before it. None is converted: what
    was hashed, and how, only the one who made the export knows.
    """
    return _IN_OTHER_FORM.fullmatch(text) is not None
