"""What a spreadsheet makes of an identifier that looks like a number."""

import re

# `33612345678.0`, `33612345678,00`, `3.36E+10`, `3,36e10`, `3E+10`.
_NUMBER = re.compile(r"\+?[0-9]+[.,]0{1,2}|\+?[0-9](?:[.,][0-9]+[eE]\+?|[eE]\+)[0-9]{1,3}")


def is_spreadsheet_number(text: str) -> bool:
    """Whether a trimmed value was turned into a decimal number or a power of ten on its way.

    Such a value is rejected, never repaired: the digits of a power of ten are lost, and of `33612345678.0` nobody can
    tell whether it had a plus sign, a leading zero or neither.
    """
    return _NUMBER.fullmatch(text) is not None
