"""What a spreadsheet makes of an identifier: a damaged number, or a guarded text."""

import re
from typing import Final

from criteo_audiences.identifiers.blanks import BLANKS

_LONGEST_GUARDED: Final = 5_000  # more than any identifier has; a text of quotes alone is not worth the time

# `33612345678.0`, `33612345678,00`, `3.36E+10`, `3,36e10`, `3E+10`.
_NUMBER = re.compile(r"\+?[0-9]+[.,]0{1,2}|\+?[0-9](?:[.,][0-9]+[eE]\+?|[eE]\+)[0-9]{1,3}")


def is_spreadsheet_number(text: str) -> bool:
    """Whether a trimmed value was turned into a decimal number or a power of ten on its way.

    Such a value is rejected, never repaired: the digits of a power of ten are lost, and of `33612345678.0` nobody can
    tell whether it had a plus sign, a leading zero or neither.
    """
    return _NUMBER.fullmatch(text) is not None


def without_guards(text: str) -> str:
    """Returns a trimmed value without the signs that make a spreadsheet take a cell for a text.

    They are a leading apostrophe (also a pair of them), `="…"`, and quotes around the whole cell, which stay when a
    cell was quoted twice. No identifier begins with one, so they are taken off of every kind.
    """
    while text[:1] in {"'", '"', "="} and len(text) <= _LONGEST_GUARDED:
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
