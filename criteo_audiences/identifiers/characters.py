"""Blank characters, the damage that spreadsheets do to a value, and signs that are written in many ways."""

import re
import unicodedata
from typing import Final

ZERO_WIDTH: Final = (
    "\u00ad\u061c\u180e\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"
)
"""The characters of no width that spreadsheets and mail programs leave."""
WHITE_SPACE: Final = (
    "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
"""What `str.strip()` takes for white space."""
BLANKS: Final = WHITE_SPACE + ZERO_WIDTH
LONGEST_GUARDED: Final = 5_000  # more than any identifier has; a text of quotes alone is not worth the time
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
    """Returns a text with full-width letters, digits and signs, as Asian input methods write them, as ASCII."""
    return text.translate(NARROW) if not text.isascii() and _WIDE.search(text) else text


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


def is_spreadsheet_number(text: str) -> bool:
    """Whether a spreadsheet turned a trimmed value into a decimal number or a power of ten.

    Such a value is rejected, never repaired: the digits of a power of ten are lost, and `33612345678.0`
    does not show whether it had a plus sign, a leading zero or neither.
    """
    return _NUMBER.fullmatch(text) is not None


def without_guards(text: str) -> str:
    """Returns a trimmed value without the signs that make a spreadsheet take a cell for a text.

    They are a leading apostrophe (also a pair of them), `="…"`, and quotes around the whole cell, which stay when a
    cell was quoted twice. No identifier begins with one, so they are taken off of every kind.
    """
    while text[:1] in {"'", '"', "="} and len(text) <= LONGEST_GUARDED:
        bare = _bare(text).strip(BLANKS)
        if bare == text:
            break
        text = bare
    return text


def _bare(text: str) -> str:
    """Takes one kind of guard off."""
    if text.startswith("'"):
        inner = text.lstrip("'")
        return inner.rstrip("'") if text.endswith("'") else inner
    quoted = text.removeprefix("=")
    if len(quoted) > 1 and quoted.startswith('"') and quoted.endswith('"'):
        return quoted.strip('"') if quoted is text else quoted[1:-1]
    return text
