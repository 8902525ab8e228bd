"""The hashed forms of an identifier, and how to tell that a value is one already."""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from criteo_audiences.models import HashAlgorithm

_HEX_DIGEST = re.compile(r"[0-9a-fA-F]{32}|[0-9a-fA-F]{64}")


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
