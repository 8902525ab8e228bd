"""Opt-outs, and every form in which an identifier may be written: in clear, hashed, with and without a trunk zero."""

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
# What is wrong with a row rather than with a value in it.
_OF_ROWS: Final = {
    RejectReason.BROKEN_QUOTES: "in a row with broken quotes",
    RejectReason.NO_CELL: "in a row that has no cell in the column, but something like an identifier elsewhere",
}


@define(kw_only=True)
class OptOutCount:
    """How many opt-outs can be compared, and where those stand that cannot.

    A blank one holds no identifier and is counted as neither.

    Attributes:
        label: what messages call their list.
        usable: opt-outs that can be compared.
        causes: opt-outs that cannot, by the reason.
        blank: rows of a file without an opt-out.
        file_notes: remarks on their file, a sentence each.
        places: where the first unusable ones stand.
        may_be_empty: whether a list without any opt-out is accepted: the caller says that there is none.
        hiding: where quoted cells stand in which rows may be hidden.
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
        """Opt-outs that cannot be compared; a file with cells in which rows may be hidden has one at least."""
        return self.causes.total() + len(self.hiding)

    @property
    def notes(self) -> tuple[str, ...]:
        """What to know of their file, a sentence each."""
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
        """What is wrong with the list in a clause; `None` when nothing is. It shows counts and places, no value."""
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
        """Why opt-outs cannot be compared, in a clause."""
        others = self.causes.total() - sum(self.causes[reason] for reason in _OF_ROWS)
        if others == self.unusable:
            return "they are no valid identifiers"
        found = [f"{self.causes[reason]:,} {what}" for reason, what in _OF_ROWS.items() if self.causes[reason]]
        if self.hiding:
            found.append(f"{len(self.hiding):,} in a cell of several lines that look like rows")
        return ", ".join([*found, *([f"{others:,} no valid identifier"] if others else [])])

    def require_usable(self) -> None:
        """Refuses a list with an opt-out that cannot be used, or without any.

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
    """A set of identifiers that must not go out.

    One that is written in clear stands for its hashes as well, and a hash for the identifier it was made of. One that
    may hold another (`12|ann@example.com`) stands for both.

    Args:
        rule: of their kind.
        label: what messages call their list.

    Attributes:
        count: how many there are.
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
        """Returns the normalized identifiers of which no form is in the set."""
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
