"""The hashed forms of an identifier, and how to tell that a value is one already."""

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Final

from criteo_audiences.models import HashAlgorithm

_HEX_DIGEST = re.compile(r"[0-9a-fA-F]{32}|[0-9a-fA-F]{64}")


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _sha256_of_md5(text: str) -> str:
    # Over the 32 characters of the MD5's text, not its 16 bytes: Criteo's published vectors say so.
    return hashlib.sha256(_md5(text).encode()).hexdigest()


DIGESTS: Final[Mapping[HashAlgorithm, Callable[[str], str]]] = {
    HashAlgorithm.SHA256: _sha256,
    HashAlgorithm.MD5: _md5,
    HashAlgorithm.SHA256_OF_MD5: _sha256_of_md5,
}


def digest(text: str, algorithm: HashAlgorithm) -> str:
    """Hashes a normalized identifier, encoded as UTF-8, to lower-case hexadecimal text (Criteo help center)."""
    return DIGESTS[algorithm](text)


def is_hashed(text: str) -> bool:
    """Whether a trimmed value is a digest already: nothing but hexadecimal digits, as many as MD5 or SHA-256 has."""
    return _HEX_DIGEST.fullmatch(text) is not None
