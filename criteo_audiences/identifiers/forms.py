"""Every form in which a contact list may hold one identifier: in clear, hashed, with and without a trunk zero."""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from criteo_audiences.errors import InvalidIdentifierError
from criteo_audiences.identifiers.phone import has_phone_form, spellings
from criteo_audiences.identifiers.raw_values import BLANKS, digest, is_hashed, without_guards
from criteo_audiences.identifiers.rules import rule_for
from criteo_audiences.models import HashAlgorithm, IdentifierType

_MD5_LENGTH: Final = 32
_DETECTED: Final = (
    IdentifierType.IP_ADDRESS_V4,
    IdentifierType.MADID,
    IdentifierType.EMAIL,
    IdentifierType.PHONE_NUMBER,
)
"""Kinds that a value's own form shows, the strictest first: an IPv4 address might pass for a telephone number."""
_SPACED_NUMBER = re.compile(r"\+[0-9](?:[ -]*[0-9])+")


def kinds_of(value: str, *, region: str | None = None) -> tuple[IdentifierType, ...]:
    """Returns the kinds that a value may be of, as its form shows.

    A SHA-256 may be an address's or a telephone number's, and counts as both.

    Args:
        value: as people write it.
        region: where numbers without a country code are dialed, checked by `require_region`.

    Raises:
        InvalidIdentifierError: when it is of none, with the reason by the kind that it resembles.
    """
    text = without_guards(value.strip(BLANKS))
    if is_hashed(text):
        is_md5 = len(text) == _MD5_LENGTH  # phone numbers have none
        kinds = (IdentifierType.EMAIL,) if is_md5 else (IdentifierType.EMAIL, IdentifierType.PHONE_NUMBER)
        rule_for(IdentifierType.EMAIL).normalize(text)
        return kinds
    for kind in _DETECTED:
        try:
            rule_for(kind, region=region).normalize(value)
        except InvalidIdentifierError:
            continue
        return (kind,)
    looks_like = IdentifierType.PHONE_NUMBER if "@" not in value and has_phone_form(value) else IdentifierType.EMAIL
    rule_for(looks_like, region=region).normalize(value)  # fails as it did before, with the reason
    raise AssertionError("a value that no rule takes was taken by one")  # pragma: no cover


def all_forms(value: str, kind: IdentifierType, *, region: str | None = None) -> tuple[str, ...]:
    """Returns each form in which a list may hold an identifier, the normalized one first.

    An address has four: in clear and three digests. A telephone number has two spellings, without its trunk zero and
    with it, each in clear and as SHA-256. Of a digest only what follows from it is known: an MD5 leads to the SHA-256
    of it. A mobile id is compared letter by letter, so both cases count. A value that Criteo takes as it was given,
    such as a number with spaces, is one more form, because a single call sends what it is given.

    Args:
        value: as people write it.
        kind: what it is.
        region: where numbers without a country code are dialed, checked by `require_region`.

    Raises:
        InvalidIdentifierError: when it is no identifier of that kind; `.reason` says why.
    """
    rule = rule_for(kind, region=region)
    normalized = rule.normalize(value)
    held = rule.held.fullmatch(normalized) if rule.held else None
    forms = [normalized, *(held.groups() if held else ())]
    if kind is IdentifierType.PHONE_NUMBER:
        forms += spellings(normalized)
    elif kind is IdentifierType.MADID:
        forms += [normalized.lower(), normalized.upper()]
    hashed = [each for form in forms for each in _hashed(form, kind)]
    return tuple(dict.fromkeys([*forms, *hashed, *_as_given(value, normalized, kind)]))


def _hashed(form: str, kind: IdentifierType) -> Iterator[str]:
    """Yields the digests that follow from a normalized form."""
    rule = rule_for(kind)
    if not is_hashed(form):
        yield from (rule.digests((form,), algorithm)[0] for algorithm in HashAlgorithm if algorithm in rule.algorithms)
    elif len(form) == _MD5_LENGTH and HashAlgorithm.SHA256_OF_MD5 in rule.algorithms:
        yield digest(form, HashAlgorithm.SHA256)


def _as_given(value: str, normalized: str, kind: IdentifierType) -> Iterable[str]:
    """Yields a value as Criteo takes it without any normalization: an address in capitals, a number with spaces."""
    text = value.strip(BLANKS)
    is_address = kind is IdentifierType.EMAIL and text.lower() == normalized and not is_hashed(text)
    is_number = kind is IdentifierType.PHONE_NUMBER and _SPACED_NUMBER.fullmatch(text)
    return (text,) if is_address or is_number else ()
