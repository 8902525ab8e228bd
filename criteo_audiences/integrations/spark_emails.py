"""Hashes e-mails in Spark SQL exactly as `identifiers/rules.py` does, so that no address leaves the engine.

The code here does with Java's functions what that module does with Python's; a test compares the two, character by
character. Character classes that depend on Unicode (punctuation, digits, widths) are built from Python's own tables.
"""

import sys
import unicodedata
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, Final

from pyspark.sql import Column
from pyspark.sql import functions as F  # noqa: N812 - as everyone calls it

from criteo_audiences.identifiers import BLANKS, DIGESTS_OF_NOTHING
from criteo_audiences.identifiers.raw_values import LONGEST_GUARDED, NARROW, WHITE_SPACE
from criteo_audiences.identifiers.rules import LONGEST_ADDRESS, LONGEST_LABEL, LONGEST_LOCAL, SIGNS_OF_WORDS

_PLAIN: Final = r"\A[a-zA-Z0-9._+-]++@(?:[a-zA-Z0-9]++[.-])++(?<=\.)[a-zA-Z]++\z"
_LONGEST_PLAIN: Final = 64
"""Most bytes of a plain address, as in nearly every row; it is valid, and its normal form is just its lower case."""
_HASHED: Final = r"\A(?:[0-9a-f]{32}|[0-9a-f]{64})\z"
_WRAPPED: Final = r"\A[^<>]*<([^<>]*)>\z"
_MAILTO: Final = "mailto:"
_BAD_PERCENT: Final = "%(?![0-9a-fA-F]{2})"
_CONTROL: Final = r"\x00-\x1f\x7f-\x9f\x{fffd}"
_BEYOND: Final = r"\x{80}-\x{10ffff}"
_LABEL: Final = rf"(?!-)[a-z0-9{_BEYOND}-]++(?<!-)"
_ADDRESS: Final = rf"\A[a-z0-9.!#$%&'*+/=?^_`{{|}}~\-{_BEYOND}]++@{_LABEL}(?:\.{_LABEL})++\z"


def sha256_email(email: Column | str) -> Column:
    """Returns the SHA-256 of an e-mail column, normalized as `hash_email` does; null for a value that is no address.

    It is an expression of Spark SQL: no Python process sees the address, and the executors need no package. A value
    that is already a digest is returned in lower case. For letters newer than this Python's Unicode, Spark may know a
    lower case that Python does not know.

    Args:
        email: the column, or its name.
    """
    column = F.col(email) if isinstance(email, str) else email
    usual = F.sha2(F.lower(column), 256)
    is_plain = (F.octet_length(column) <= _LONGEST_PLAIN) & column.rlike(_PLAIN)
    return F.when(is_plain, usual).otherwise(_let(_tidy(column), _of_tidy))


def _of_tidy(text: Column) -> Column:
    hashed = text.rlike(_HASHED)
    is_nothing = text.isin(*sorted(DIGESTS_OF_NOTHING))
    address = _let(_let(_let(text, _unwrapped), _introduced), _without_scheme)
    return F.when(hashed, F.when(~is_nothing, text)).otherwise(_let(address, _sha256_of_valid))


def _let(value: Column, body: Callable[[Column], Column]) -> Column:
    """Binds a value that a body needs more than once, so that expressions do not grow with each step."""
    return F.element_at(F.transform(F.array(value), body), 1)


def _tidy(text: Column) -> Column:
    """Returns a text with narrow characters, trimmed, without a spreadsheet's guards, in lower case."""
    wide, narrow = _narrowing()
    return F.lower(_let(F.btrim(F.translate(text, wide, narrow), F.lit(BLANKS)), _without_guards))


def _without_guards(text: Column) -> Column:
    """Removes one guard after the other, at most as often as the text has characters."""
    is_guarded = text.rlike("""\\A['"=]""")
    times = F.when(is_guarded & (F.length(text) <= LONGEST_GUARDED), F.sequence(F.lit(1), F.length(text)))
    return F.aggregate(F.coalesce(times, F.array().cast("array<int>")), text, lambda left, _: _bare(left))


def _bare(text: Column) -> Column:
    bare = (
        F.when(text.startswith("'"), F.btrim(text, F.lit("'")))
        .when(text.rlike('(?s)\\A".*"\\z'), F.btrim(text, F.lit('"')))
        .when(text.rlike('(?s)\\A=".*"\\z'), F.substring(text, F.lit(3), F.length(text) - 3))
        .otherwise(text)
    )
    return F.btrim(bare, F.lit(BLANKS))


def _unwrapped(text: Column) -> Column:
    return F.when(text.rlike(_WRAPPED), _tidy(F.regexp_extract(text, _WRAPPED, 1))).otherwise(text)


def _introduced(text: Column) -> Column:
    space = f"[{_escaped(WHITE_SPACE)}]"
    label = rf"\A(?:e-?mail|mail|smtp|courriel|correo)(?:[ -]?(?:address|adresse))?{space}*:{space}*"
    return F.when(text.rlike(label), _tidy(F.regexp_replace(text, label, ""))).otherwise(text)


def _without_scheme(text: Column) -> Column:
    address = F.substring_index(F.substring(text, F.lit(len(_MAILTO) + 1), F.length(text)), "?", 1)
    escaped = F.replace(F.regexp_replace(address, _BAD_PERCENT, "%25"), F.lit("+"), F.lit("%2B"))
    return F.when(text.startswith(_MAILTO), _tidy(F.try_url_decode(escaped))).otherwise(text)


def _sha256_of_valid(address: Column) -> Column:
    local, domain = F.substring_index(address, "@", 1), F.substring_index(address, "@", -1)
    fits = (F.octet_length(address) <= LONGEST_ADDRESS) & (F.octet_length(local) <= LONGEST_LOCAL)
    has_long_label = F.exists(F.split(domain, r"\."), lambda label: F.octet_length(label) > LONGEST_LABEL)
    is_number = domain.rlike(rf"\.[{_digits()}]+\z")
    is_unfit = address.rlike(rf"[{_escaped(BLANKS)}{_CONTROL}{_punctuation()}]")
    return F.when(fits & address.rlike(_ADDRESS) & ~is_unfit & ~is_number & ~has_long_label, F.sha2(address, 256))


def _escaped(characters: Iterable[str]) -> str:
    return "".join(f"\\x{{{ord(each):x}}}" for each in characters)


@cache
def _narrowing() -> tuple[str, str]:
    return "".join(map(chr, NARROW)), "".join(NARROW.values())


@cache
def _punctuation() -> str:
    """Returns the signs beyond ASCII that no address may contain, as ranges of a character class."""
    return _ranges(
        lambda character: unicodedata.category(character)[0] in "PS" and character not in SIGNS_OF_WORDS, first=0x80
    )


@cache
def _digits() -> str:
    """Returns all characters that Python treats as digits, as ranges of a character class."""
    return _ranges(str.isdigit)


def _ranges(holds: Callable[[str], Any], first: int = 0) -> str:
    written, begin = [], None
    for code in range(first, sys.maxunicode + 2):
        belongs = code <= sys.maxunicode and holds(chr(code))
        if belongs and begin is None:
            begin = code
        elif not belongs and begin is not None:
            written.append(f"\\x{{{begin:x}}}-\\x{{{code - 1:x}}}")
            begin = None
    return "".join(written)
