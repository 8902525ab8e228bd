"""One spelling for the signs that keyboards, spreadsheets and scripts write in many ways."""

import re
import unicodedata
from typing import Final

from criteo_audiences.identifiers.blanks import WHITE_SPACE, ZERO_WIDTH

_LINE_ENDS: Final = "\n\r\u2028\u2029\x85"
_MORE_DASHES: Final = "\u2212\u30fc"  # the minus sign, the Japanese long-vowel mark
_FULL_WIDTH: Final = range(0xFF01, 0xFF5F)
_TO_ASCII: Final = 0xFEE0
_NARROW: Final = {
    **{wide: chr(wide - _TO_ASCII) for wide in _FULL_WIDTH},
    **{ord(sign): "." for sign in "\u3002\uff61\ufe52"},  # RFC 3490 §3.1, and the small full stop
    0xFE6B: "@",
}
_WIDE = re.compile(f"[{re.escape(''.join(map(chr, _NARROW)))}]")


def narrow(text: str) -> str:
    """Returns a text with full-width letters, digits and signs as ASCII: an input method wrote the same keys wide."""
    return text.translate(_NARROW) if not text.isascii() and _WIDE.search(text) else text


def fold(text: str) -> str:
    """Returns a text with ASCII digits, dashes, spaces and punctuation, without characters of no width, trimmed."""
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
