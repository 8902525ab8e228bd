"""What the server holds of one contact list."""

import asyncio
from collections.abc import Iterable, Sequence

import attrs

from criteo_audiences.sandbox.identifier_rules import Rule
from criteo_audiences.sandbox.identifier_set import IdentifierSet

# The server shares its caller's event loop: some three milliseconds of work, then the others have their turn.
_SLICE = 2_000
_SAMPLE = 10


@attrs.define
class Outcome:
    """How the identifiers of one amendment were received."""

    valid: int = 0
    invalid: int = 0
    sample_invalid: list[str] = attrs.field(factory=list, repr=False)


class ContactList:
    """The identifiers of one list, for a test to compare with what it sent.

    ``len()`` and ``in`` cost nothing to speak of; ``identifiers`` builds a new set each time.
    """

    def __init__(self, *, read_only: bool = False) -> None:
        self.read_only = read_only
        self._members = IdentifierSet()
        self._refused: frozenset[str] = frozenset()

    @property
    def identifiers(self) -> frozenset[str]:
        """Every identifier in the list, spelled as it was sent."""
        return frozenset(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, identifier: str) -> bool:
        return identifier in self._members

    def __repr__(self) -> str:
        return f"<ContactList of {len(self)} identifiers>"

    def refuse(self, identifiers: Iterable[str]) -> None:
        """Count these as invalid from now on, spelled as they are sent, whatever their form."""
        self._refused |= frozenset(identifiers)

    async def amend(self, identifiers: Sequence[str], is_valid: Rule, *, adds: bool) -> Outcome:
        """Add or remove the valid ones, a slice at a time; calls that overlap are not kept apart.

        Args:
            identifiers: The strings of one call, in its order.
            is_valid: The rule for their kind.
            adds: Whether they come or go.
        """
        change = self._members.update if adds else self._members.difference_update
        outcome = Outcome()
        refused = self._refused
        rule: Rule = (lambda identifier: identifier not in refused and is_valid(identifier)) if refused else is_valid
        for start in range(0, len(identifiers), _SLICE):
            valid, invalid = _divided(identifiers[start : start + _SLICE], rule)
            change(valid)
            outcome.valid += len(valid)
            outcome.invalid += len(invalid)
            outcome.sample_invalid += invalid[: _SAMPLE - len(outcome.sample_invalid)]
            await asyncio.sleep(0)
        return outcome

    def clear(self) -> None:
        """Empty the list; the segment stays."""
        self._members.clear()


def _divided(identifiers: Sequence[str], is_valid: Rule) -> tuple[list[str], list[str]]:
    valid = list(filter(is_valid, identifiers))
    if len(valid) == len(identifiers):
        return valid, []
    return valid, [identifier for identifier in identifiers if not is_valid(identifier)]
