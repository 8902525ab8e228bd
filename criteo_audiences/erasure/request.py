"""What is to be erased: identifiers in every form, and how a text of ours is searched for them."""

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
"""Returns what stands for an identifier in a receipt; without a key it cannot be found from that."""

Identifiers = Iterable[str] | Mapping[IdentifierType | str, Iterable[str]]
"""What `CriteoClient.erase` takes: values whose form shows their kind, or a mapping that says it."""

# "A user identifier list (IDFA, AAID, Liveramp ID or Criteo Cookie ID)": Criteo's help center on Retail Media.
_USER_IDENTIFIERS: Final = frozenset({IdentifierType.MADID, IdentifierType.IDENTITY_LINK, IdentifierType.GUM})
_LONGEST_CALLING_CODE: Final = 3
_TELLING: Final = 6
"""Characters from which on an identifier is recognized inside a name."""
_BETWEEN: Final = (
    re.compile(r"[\s<>,;|:\"()\[\]\\]+"),  # what no address has in it
    re.compile(r"[\s<>,;|:\"'()\[\]{}=/\\!#$*^`~?&%]+"),  # what few addresses have, and links and notes often
)
_AROUND_SIGNS: Final = re.compile(r"\s*([@.])\s*")
_TWICE: Final = re.compile(r"([@.])\1+")
_DIGEST = re.compile(r"(?<![0-9a-f])(?:[0-9a-f]{64}|[0-9a-f]{32})(?![0-9a-f])")
_DIGITS: Final = re.compile(r"[0-9]+")
_LONGEST_NUMBER: Final = 8
"""Groups of digits that a telephone number is written in at most."""


@frozen(kw_only=True)
class ErasedIdentifier:
    """One identifier that was to be erased, without itself.

    Attributes:
        fingerprint: a keyed digest of it; equal for equal identifiers as long as the key is the same.
        kinds: what it may be: a SHA-256 may be of an address or of a telephone number.
        forms: how many forms of it were looked for.
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
    """Identifiers of one or more people in every form in which something may hold them.

    Attributes:
        identifiers: what was asked for, each once, in the order it was given.
        forms: by kind, each form once.
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
        """Telephone numbers as digits, with their calling code and without the digits that may be one."""
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
        """Reads what a caller wants erased; blank entries are passed over.

        Raises:
            ConfigurationError: when there is none, or an entry is no identifier; with its position, never its value.
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
        """Whether a text is one of the identifiers, or has one of them in it among other things.

        A text may be what an upload has rejected, so a number may lack its country, and blanks, a second `@` or a comma
        for a dot may stand in an address. Part of a longer address or number is another person's.
        """
        folded = fold(text).lower()
        digests = _DIGEST.findall(re.sub(r"\s+", "", folded))
        return not (
            self._texts.isdisjoint(digests)
            and self._texts.isdisjoint(_addresses_in(folded))
            and self._numbers.isdisjoint(_numbers_in(folded))
        )

    def is_in_name(self, name: str) -> bool:
        """Whether the name of a file has one of the identifiers in it; a short id may be part of any name."""
        plain = name.lower()
        return self.occurs_in(name) or any(text in plain for text in self._texts if len(text) >= _TELLING)


def _entries(
    identifiers: Identifiers, kind: IdentifierType | str | None
) -> Iterator[tuple[str, IdentifierType | None, str]]:
    """Yields each value with the words for its place and its kind, where that is said.

    Raises:
        ConfigurationError: when something is no text, or the kind is said twice.
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
    """Returns the forms of a value by the kinds that it may be of.

    Raises:
        ConfigurationError: when it is none.
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
    """Yields what may be an identifier in a text: all of it, its words, and each `@` with what is on its two sides."""
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
    """Yields the digits of what may be a telephone number: some of the groups of digits that follow each other."""
    groups = _DIGITS.findall(folded)
    for start in range(len(groups)):
        for stop in range(start + 1, start + 1 + min(_LONGEST_NUMBER, len(groups) - start)):
            yield "".join(groups[start:stop]).lstrip("0")


def _digits_of(text: str) -> str:
    return "".join(filter(str.isdigit, text))
