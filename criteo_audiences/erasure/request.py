"""The request of an erasure: identifiers in every form, and the search for them in a text that we have stored."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any, Final, Self
from urllib.parse import unquote

from attrs import field, frozen

from criteo_audiences.errors import ConfigurationError, InvalidIdentifierError
from criteo_audiences.identifiers import is_hashed, require_region
from criteo_audiences.identifiers.opt_outs import all_forms, kinds_of
from criteo_audiences.identifiers.raw_values import fold
from criteo_audiences.models import IdentifierType
from criteo_audiences.validation import choose, no_text, require_list, require_text

Fingerprint = Callable[[str], str]
"""Returns the fingerprint of an identifier for a receipt; it reveals nothing about the identifier without the key."""

Identifiers = Iterable[str] | Mapping[IdentifierType | str, Iterable[str]]
"""The argument of `CriteoClient.erase`: values with a form that shows their kind, or a mapping from kind to values."""

# "A user identifier list (IDFA, AAID, Liveramp ID or Criteo Cookie ID)": Criteo's help center on Retail Media.
_USER_IDENTIFIERS: Final = frozenset({IdentifierType.MADID, IdentifierType.IDENTITY_LINK, IdentifierType.GUM})
_LONGEST_CALLING_CODE: Final = 3
_TELLING: Final = 6
"""Fewest characters of an identifier that is recognized inside a name."""
_BETWEEN: Final = (
    re.compile(r"[\s<>,;|:\"()\[\]\\]+"),  # characters that no address contains
    re.compile(r"[\s<>,;|:\"'()\[\]{}=/\\!#$*^`~?&%]+"),  # characters of few addresses, but of many links and notes
)
_AROUND_SIGNS: Final = re.compile(r"\s*([@.])\s*")
_TWICE: Final = re.compile(r"([@.])\1+")
_DIGEST = re.compile(r"(?<![0-9a-f])(?:[0-9a-f]{64}|[0-9a-f]{32})(?![0-9a-f])")
_DIGITS: Final = re.compile(r"[0-9]+")
_LONGEST_NUMBER: Final = 8
"""Most groups of digits in which people write a telephone number."""


@frozen(kw_only=True)
class ErasedIdentifier:
    """An identifier to erase, without its value.

    Attributes:
        fingerprint: a keyed digest of it; equal for equal identifiers as long as the key is the same.
        kinds: the kinds that it may be of: a SHA-256 may be of an address or of a telephone number.
        forms: how many forms of it were searched for.
    """

    fingerprint: str
    kinds: tuple[IdentifierType, ...]
    forms: int

    def to_dict(self) -> dict[str, Any]:
        """Returns JSON-safe values."""
        kinds = [str(kind.value) for kind in self.kinds]
        return {"fingerprint": self.fingerprint, "kinds": kinds, "forms": self.forms}


@frozen(kw_only=True)
class ErasureRequest:
    """Identifiers of one or more people, in every form in which a list or file may contain them.

    Attributes:
        identifiers: the identifiers to erase, without repetitions, in the order in which they were given.
        forms: their forms by kind, without repetitions.
    """

    identifiers: tuple[ErasedIdentifier, ...]
    forms: Mapping[IdentifierType, tuple[str, ...]] = field(repr=False)
    _texts: frozenset[str] = field(init=False, repr=False)
    _numbers: frozenset[str] = field(init=False, repr=False)

    @_texts.default
    def _forms_as_texts(self) -> frozenset[str]:
        return frozenset(form.lower() for forms in self.forms.values() for form in forms)

    @_numbers.default
    def _forms_as_numbers(self) -> frozenset[str]:
        """Returns telephone numbers as digits: complete, and without their first one to three digits.

        A calling code has up to three digits, so that one of these forms is the number without its calling code.
        """
        spelled = (form for form in self.forms.get(IdentifierType.PHONE_NUMBER, ()) if not is_hashed(form))
        digits = [_digits_of(form) for form in spelled]
        return frozenset(each[start:] for each in digits for start in range(_LONGEST_CALLING_CODE + 1))

    @classmethod
    def of(
        cls,
        identifiers: Identifiers,
        *,
        kind: IdentifierType | str | None = None,
        region: str | None = None,
        fingerprint: Fingerprint,
    ) -> Self:
        """Returns the request for the identifiers that a caller gives; ignores blank entries.

        Raises:
            ConfigurationError: when there is none, or an entry is no identifier; shows its position, never its value.
        """
        checked = None if region is None else require_region(require_text(region, "region"))
        found: dict[str, ErasedIdentifier] = {}
        forms: dict[IdentifierType, dict[str, None]] = {}
        for place, known, value in _entries(identifiers, kind):
            if not value.strip():
                continue
            by_kind = _forms_of(place, known, value, checked)
            canonical = next(iter(by_kind.values()))[0]
            kinds, count = tuple(by_kind), len(dict.fromkeys(form for each in by_kind.values() for form in each))
            found.setdefault(canonical, ErasedIdentifier(fingerprint=fingerprint(canonical), kinds=kinds, forms=count))
            for each, spelled in by_kind.items():
                forms.setdefault(each, {}).update(dict.fromkeys(spelled))
                if each in _USER_IDENTIFIERS:
                    forms.setdefault(IdentifierType.USER_IDENTIFIER, {}).update(dict.fromkeys(spelled))
        if not found:
            raise ConfigurationError("identifiers must hold at least one identifier; found none.")
        return cls(identifiers=tuple(found.values()), forms={each: tuple(spelled) for each, spelled in forms.items()})

    def occurs_in(self, text: str) -> bool:
        """Whether a text is one of the identifiers, or contains one of them among other things.

        The text may be a rejected value: a number may lack its country code, and an address may contain blanks, a
        second `@`, or a comma instead of a dot. A part of a longer address or number does not count, because it belongs
        to another person.
        """
        folded = fold(text).lower()
        digests = _DIGEST.findall(re.sub(r"\s+", "", folded))
        return not (
            self._texts.isdisjoint(digests)
            and self._texts.isdisjoint(_addresses_in(folded))
            and self._numbers.isdisjoint(_numbers_in(folded))
        )

    def is_in_name(self, name: str) -> bool:
        """Whether a file's name contains one of the identifiers; ignores short ids, which occur in any name."""
        plain = name.lower()
        return self.occurs_in(name) or any(text in plain for text in self._texts if len(text) >= _TELLING)


def _entries(
    identifiers: Identifiers, kind: IdentifierType | str | None
) -> Iterator[tuple[str, IdentifierType | None, str]]:
    """Yields the place of each value, in words for messages, its kind if the caller gives it, and the value.

    Raises:
        ConfigurationError: when a value is no text, or the kind is given twice.
    """
    if isinstance(identifiers, Mapping):
        if kind is not None:
            raise ConfigurationError("identifiers says the kinds already: leave out identifier_type.")
        groups: list[tuple[IdentifierType | None, Iterable[str]]]
        groups = [(choose(IdentifierType, each, "identifiers"), values) for each, values in identifiers.items()]
    else:
        groups = [(None if kind is None else choose(IdentifierType, kind, "identifier_type"), identifiers)]
    for known, values in groups:
        name = f"identifiers of {known.value}" if isinstance(identifiers, Mapping) and known else "identifiers"
        for position, value in enumerate(require_list(values, name), start=1):
            place = f"{name}, entry {position:,}"
            if not isinstance(value, str):
                raise ConfigurationError(f"{place}: {no_text(value)}.")
            yield place, known, value


def _forms_of(
    place: str, known: IdentifierType | None, value: str, region: str | None
) -> dict[IdentifierType, tuple[str, ...]]:
    """Returns the forms of a value, by the kinds that it may be of.

    Raises:
        ConfigurationError: when it is no identifier.
    """
    try:
        kinds = kinds_of(value, region=region) if known is None else (known,)
        return {kind: all_forms(value, kind, region=region) for kind in kinds}
    except InvalidIdentifierError as error:
        reason = error.reason
    what = (
        "an e-mail, a telephone number or a mobile id; say identifier_type if it is another"
        if known is None
        else known.value
    )
    raise ConfigurationError(f"{place}: expected {what}, found neither ({reason}). Nothing was sent.")


def _addresses_in(folded: str) -> Iterator[str]:
    """Yields the parts of a text that may be an identifier: all of it, its words, and the two sides of each `@`."""
    texts = {folded, unquote(folded)}
    texts |= {_AROUND_SIGNS.sub(r"\1", text) for text in texts} | {re.sub(r"\s+", "", text) for text in texts}
    texts = {_TWICE.sub(r"\1", text) for text in texts}
    texts |= {text.replace(",", ".") for text in texts}
    for piece in {*texts, *(word for text in texts for between in _BETWEEN for word in between.split(text))}:
        word = piece.strip(".")
        yield from (piece, word, word.rstrip("-_"))
        if word.count("@") > 1:
            yield from (f"{local}@{domain.rstrip('-_.')}" for local, domain in pairwise(word.split("@")))


def _numbers_in(folded: str) -> Iterator[str]:
    """Yields the digits of every run of consecutive groups of digits, each of which may be a telephone number."""
    groups = _DIGITS.findall(folded)
    for start in range(len(groups)):
        for stop in range(start + 1, start + 1 + min(_LONGEST_NUMBER, len(groups) - start)):
            yield "".join(groups[start:stop]).lstrip("0")


def _digits_of(text: str) -> str:
    return "".join(filter(str.isdigit, text))
