"""Opt-outs: compared in every form in which an identifier may be written."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from attrs import define, field

from criteo_audiences.errors import ConfigurationError, InvalidIdentifierError
from criteo_audiences.identifiers.raw_values import RejectReason, is_hashed
from criteo_audiences.identifiers.rules import Rule

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
        """Opt-outs that cannot be compared."""
        return self.causes.total()

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
            more = ", …" if self.unusable > len(self.places) else ""
            where = f" ({', '.join(self.places)}{more})" if self.places else ""
            return f"{self.unusable:,} of the {self.total:,} opt-outs in {self.label} cannot be used{where}"
        if not self.usable and not self.may_be_empty:
            return f"{self.label} holds no opt-out"
        return None

    @property
    def _cause(self) -> str:
        """Why opt-outs cannot be compared, in a clause."""
        others = self.unusable - sum(self.causes[reason] for reason in _OF_ROWS)
        if others == self.unusable:
            return "they are no valid identifiers"
        found = [f"{self.causes[reason]:,} {what}" for reason, what in _OF_ROWS.items() if self.causes[reason]]
        return ", ".join([*found, *([f"{others:,} no valid identifier"] if others else [])])

    def require_usable(self) -> None:
        """Refuses a list with an opt-out that cannot be used, or without any.

        Raises:
            ConfigurationError: when an opt-out is no valid identifier, or there is none.
        """
        if self.unusable:
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
