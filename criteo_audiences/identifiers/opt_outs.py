"""Opt-outs, and all forms in which an identifier may be written: in clear, hashed, with and without a trunk zero."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from attrs import define, field

from criteo_audiences.errors import ConfigurationError, InvalidIdentifierError
from criteo_audiences.identifiers.phone import has_phone_form, spellings
from criteo_audiences.identifiers.raw_values import BLANKS, RejectReason, digest, is_hashed, without_guards
from criteo_audiences.identifiers.rules import Rule, rule_for
from criteo_audiences.models import HashAlgorithm, IdentifierType

MOST_PLACES: Final = 5
_ACCEPT: Final = "give suppress_strict=False (--no-suppress-strict)"
# Reasons that concern a row rather than a value in it.
_OF_ROWS: Final = {
    RejectReason.BROKEN_QUOTES: "in a row with broken quotes",
    RejectReason.NO_CELL: "in a row that has no cell in the column, but something like an identifier elsewhere",
}


@define(kw_only=True)
class OptOutCount:
    """How many opt-outs can be compared, and the places of those that cannot.

    A blank value counts as neither.

    Attributes:
        label: the name of their list in messages.
        usable: opt-outs that can be compared.
        causes: the number of opt-outs that cannot be compared, by reason.
        blank: rows of a file without an opt-out.
        file_notes: remarks on their file, a sentence each.
        places: the places of the first unusable ones.
        may_be_empty: whether a list without any opt-out is accepted, because the caller gave an empty one.
        hiding: the places of quoted cells that may hide rows.
    """

    label: str = "suppress"
    usable: int = 0
    causes: Counter[RejectReason] = field(factory=Counter)
    blank: int = 0
    file_notes: tuple[str, ...] = ()
    places: list[str] = field(factory=list)
    may_be_empty: bool = False
    hiding: tuple[str, ...] = ()

    @property
    def unusable(self) -> int:
        """Opt-outs that cannot be compared; each file with a quoted cell that may hide rows counts as one more."""
        return self.causes.total() + len(self.hiding)

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks on their file, a sentence each."""
        if not self.blank:
            return self.file_notes
        rows = "1 row has" if self.blank == 1 else f"{self.blank:,} rows have"
        return (*self.file_notes, f"{self.label}: {rows} no opt-out in the column, and so leave nobody out.")

    @property
    def total(self) -> int:
        """Opt-outs, usable or not."""
        return self.usable + self.unusable

    def note_unusable(self, place: str, reason: RejectReason) -> None:
        """Counts an opt-out that cannot be compared."""
        self.causes[reason] += 1
        if len(self.places) < MOST_PLACES:
            self.places.append(place)

    @property
    def fault(self) -> str | None:
        """A clause on what is wrong with the list; `None` if nothing is. It shows counts and places, no value."""
        if self.unusable:
            places = [*self.places, *self.hiding][:MOST_PLACES]
            more = ", …" if self.unusable > len(places) else ""
            where = f" ({', '.join(places)}{more})" if places else ""
            return f"{self.unusable:,} of the {self.total:,} opt-outs in {self.label} cannot be used{where}"
        if not self.usable and not self.may_be_empty:
            return f"{self.label} holds no opt-out"
        return None

    @property
    def _cause(self) -> str:
        """A clause on why opt-outs cannot be compared."""
        others = self.causes.total() - sum(self.causes[reason] for reason in _OF_ROWS)
        if others == self.unusable:
            return "they are no valid identifiers"
        found = [f"{self.causes[reason]:,} {what}" for reason, what in _OF_ROWS.items() if self.causes[reason]]
        if self.hiding:
            found.append(f"{len(self.hiding):,} in a cell of several lines that look like rows")
        return ", ".join([*found, *([f"{others:,} no valid identifier"] if others else [])])

    def require_usable(self) -> None:
        """Refuses a list with an opt-out that cannot be used, and a list without opt-outs unless it may be empty.

        Raises:
            ConfigurationError: when an opt-out is no valid identifier or may be hidden, or there is none.
        """
        if self.causes:
            notes = "".join(f" {note}" for note in self.file_notes)
            raise ConfigurationError(
                f"{self.fault}: {self._cause}, so those people would not be left out.{notes} Correct them, or "
                f"{_ACCEPT} to go on without them."
            )
        if self.hiding:
            where = ", ".join(self.hiding[:MOST_PLACES])
            raise ConfigurationError(
                f"The opt-outs in {self.label} have a quoted cell with several lines that look like rows of their own "
                f"({where}), so people in them might not be left out. Correct the quotes, or {_ACCEPT} to read it as "
                "it stands."
            )
        if self.fault is not None:
            raise ConfigurationError(
                f"{self.fault}, so nobody would be left out. Give the right list, or {_ACCEPT} if nobody has opted out."
            )


class OptOuts:
    """A set of identifiers that must not be sent.

    An opt-out in clear also excludes the identifier's hashes, and a hash excludes the identifier that it was made of.
    An opt-out that may contain another identifier (`12|ann@example.com`) excludes both.

    Args:
        rule: the rule of their kind.
        label: the name of their list in messages.

    Attributes:
        count: how many there are, usable or not.
    """

    def __init__(self, rule: Rule, label: str = "suppress") -> None:
        self._rule = rule
        self._algorithms = sorted(rule.algorithms)
        self._forms: set[str] = set()
        self._has_digests = False
        self.count: Final = OptOutCount(label=label)

    def __len__(self) -> int:
        return len(self._forms)

    def __repr__(self) -> str:
        return f"OptOuts({len(self):,} forms)"

    def add(self, values: Iterable[str | None]) -> None:
        """Adds raw values, normalized by the rule."""
        for position, value in enumerate(values, start=1):
            try:
                identifier = self._rule.normalize(value or "")
            except InvalidIdentifierError as error:
                if error.reason != RejectReason.EMPTY:
                    self.count.note_unusable(f"entry {position:,}", RejectReason(error.reason))
                continue
            self.count.usable += 1
            held = self._rule.held.fullmatch(identifier) if self._rule.held else None
            for spelling in (*self._spelled(identifier), *(held.groups() if held else ())):
                self._add(spelling)

    def _add(self, identifier: str) -> None:
        self._forms.add(identifier)
        if not self._algorithms:
            return
        if is_hashed(identifier):
            self._has_digests = True
        else:
            self._forms.update(self._hashed(identifier))

    def without(self, identifiers: Sequence[str]) -> list[str]:
        """Returns those of the normalized identifiers that have no form in the set."""
        if self._has_digests or self._rule.spellings is not None:
            return [identifier for identifier in identifiers if not self._holds(identifier)]
        return [identifier for identifier in identifiers if identifier not in self._forms]

    def _holds(self, identifier: str) -> bool:
        return any(self._holds_spelling(spelling) for spelling in self._spelled(identifier))

    def _holds_spelling(self, identifier: str) -> bool:
        if identifier in self._forms:
            return True
        return not is_hashed(identifier) and any(digest in self._forms for digest in self._hashed(identifier))

    def _spelled(self, identifier: str) -> Sequence[str]:
        return (identifier, *(self._rule.spellings(identifier) if self._rule.spellings else ()))

    def _hashed(self, identifier: str) -> Iterator[str]:
        return (self._rule.digests((identifier,), algorithm)[0] for algorithm in self._algorithms)


_MD5_LENGTH: Final = 32
_DETECTED: Final = (
    IdentifierType.IP_ADDRESS_V4,
    IdentifierType.MADID,
    IdentifierType.EMAIL,
    IdentifierType.PHONE_NUMBER,
)
"""Kinds that are recognized by a value's form, the strictest first: an IPv4 address may look like a phone number."""
_SPACED_NUMBER = re.compile(r"\+[0-9](?:[ -]*[0-9])+")


def kinds_of(value: str, *, region: str | None = None) -> tuple[IdentifierType, ...]:
    """Returns the kinds that a value may be of, judged by its form.

    A SHA-256 may be of an address or of a telephone number, and counts as both.

    Args:
        value: an identifier as people write it.
        region: the country in which numbers without a country code are dialed, checked by `require_region`.

    Raises:
        InvalidIdentifierError: when it is of no kind; the reason is that of the kind that it resembles.
    """
    text = without_guards(value.strip(BLANKS))
    if is_hashed(text):
        is_md5 = len(text) == _MD5_LENGTH  # phone numbers are never hashed with MD5
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
    rule_for(looks_like, region=region).normalize(value)  # raises again, with the reason
    raise AssertionError("a value that no rule takes was taken by one")  # pragma: no cover


def all_forms(value: str, kind: IdentifierType, *, region: str | None = None) -> tuple[str, ...]:
    """Returns each form in which a list may contain an identifier, the normalized form first.

    An address has four forms: in clear and three digests. A telephone number has two spellings, without and with its
    trunk zero, each in clear and as SHA-256. From a digest, only other digests can be derived: from an MD5, the SHA-256
    of it. Mobile ids are compared exactly, so upper and lower case are two forms. A value that Criteo accepts without
    normalization, such as a number with spaces, is a further form, because a single call sends it unchanged.

    Args:
        value: an identifier as people write it.
        kind: its kind.
        region: the country in which numbers without a country code are dialed, checked by `require_region`.

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
    """Yields the digests that can be derived from a normalized form."""
    rule = rule_for(kind)
    if not is_hashed(form):
        yield from (rule.digests((form,), algorithm)[0] for algorithm in HashAlgorithm if algorithm in rule.algorithms)
    elif len(form) == _MD5_LENGTH and HashAlgorithm.SHA256_OF_MD5 in rule.algorithms:
        yield digest(form, HashAlgorithm.SHA256)


def _as_given(value: str, normalized: str, kind: IdentifierType) -> Iterable[str]:
    """Returns a value that Criteo accepts without normalization, such as an address in capitals or a spaced number."""
    text = value.strip(BLANKS)
    is_address = kind is IdentifierType.EMAIL and text.lower() == normalized and not is_hashed(text)
    is_number = kind is IdentifierType.PHONE_NUMBER and _SPACED_NUMBER.fullmatch(text)
    return (text,) if is_address or is_number else ()
