"""Who has opted out: compared in every form an identifier is written in."""

from collections.abc import Iterable, Iterator, Sequence

from criteo_audiences.errors import InvalidIdentifierError
from criteo_audiences.identifiers.hashing import is_hashed
from criteo_audiences.identifiers.rules import Rule


class OptOuts:
    """A set of identifiers that must not go out.

    One that is written in clear stands for its hashes as well, and a hash for the identifier it was made of.

    Args:
        rule: of their kind.
    """

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._algorithms = sorted(rule.algorithms)
        self._forms: set[str] = set()
        self._has_digests = False
        self.unusable = 0
        """Values that are no identifiers and match nothing."""

    def __len__(self) -> int:
        return len(self._forms)

    def __repr__(self) -> str:
        return f"OptOuts({len(self):,} forms)"

    def add(self, values: Iterable[str | None]) -> None:
        """Adds raw values, normalized by the rule."""
        for value in values:
            try:
                identifier = self._rule.normalize(value or "")
            except InvalidIdentifierError:
                self.unusable += 1
                continue
            for spelling in self._spelled(identifier):
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
