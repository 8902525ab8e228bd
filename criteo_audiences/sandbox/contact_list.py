"""Keep the identifiers of a contact list: rules for valid identifiers by kind, and a set for millions of them.

Criteo publishes the accepted forms in its guides (https://developers.criteo.com), not in OpenAPI.
"""

import asyncio
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import attrs

_HASHED_EMAIL = r"[0-9a-fA-F]{64}|[0-9a-fA-F]{32}"
_PLAIN_EMAIL = r"[^@\s]+@[^@\s]+\.[^@\s]+"
# OpenAPI names the type IpAddressV4; Criteo publishes no more about it.
_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_SHARDS = 64
_HEX_LENGTHS = frozenset({32, 64})
# The server shares its caller's event loop: after some three milliseconds of work it lets other tasks run.
_SLICE = 2_000
_SAMPLE = 10

# One identifier type covers plain text, MD5, SHA-256 and SHA-256 of MD5: the server decides from the string.
is_email: Final = re.compile(f"{_HASHED_EMAIL}|{_PLAIN_EMAIL}").fullmatch

# "+" and the country code, spaces and hyphens allowed; or the SHA-256 of the digits. There is no MD5 form.
is_phone_number: Final = re.compile(r"\+[0-9](?:[ -]*[0-9])+|[0-9a-fA-F]{64}").fullmatch

# IDFA and AAID are UUIDs; Criteo publishes no rule on their case.
is_mobile_ad_id: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}").fullmatch

is_ip_address_v4: Final = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}").fullmatch


def is_opaque_id(text: str) -> bool:
    """Returns whether the text can be an id whose format its issuer decides (identityLink, gum, customerId …)."""
    return text.isprintable() and not text.isspace() and bool(text)


IdentifierRule = Callable[[str], object]
"""Takes an identifier; the result is true if Criteo would count it as valid."""


class IdentifierSet:
    """Distinct identifiers, each kept exactly as it was sent.

    A hash (32 or 64 hexadecimal characters in lower case) is kept as its raw bytes, any other string as it is:
    120 to 150 bytes in memory for each SHA-256, overhead included.
    """

    def __init__(self) -> None:
        self._shards: tuple[set[str | bytes], ...] = tuple(set() for _ in range(_SHARDS))
        # One big set would be copied whole when it grows, which takes a second at ten million. Shards copy less at
        # a time. Their shares differ (the last is twice the first), so that they do not all grow in one call.
        self._slots = [shard for part, shard in enumerate(self._shards, start=_SHARDS) for _ in range(part)]

    def update(self, identifiers: Iterable[str]) -> None:
        """Add the identifiers that are not there yet."""
        slots, count = self._slots, len(self._slots)
        for member in map(_packed, identifiers):
            slots[hash(member) % count].add(member)

    def difference_update(self, identifiers: Iterable[str]) -> None:
        """Remove identifiers; those that are not in the set are ignored."""
        slots, count = self._slots, len(self._slots)
        for member in map(_packed, identifiers):
            slots[hash(member) % count].discard(member)

    def clear(self) -> None:
        """Remove every identifier."""
        for shard in self._shards:
            shard.clear()

    def __contains__(self, identifier: str) -> bool:
        member = _packed(identifier)
        return member in self._slots[hash(member) % len(self._slots)]

    def __iter__(self) -> Iterator[str]:
        for shard in self._shards:
            for member in shard:
                yield member.hex() if isinstance(member, bytes) else member

    def __len__(self) -> int:
        return sum(map(len, self._shards))


def _packed(identifier: str) -> str | bytes:
    """Returns the bytes that a hexadecimal text stands for, if the same text can be restored from them."""
    if len(identifier) not in _HEX_LENGTHS:
        return identifier
    try:
        raw = bytes.fromhex(identifier)
    except ValueError:
        return identifier
    return raw if raw.hex() == identifier else identifier


@attrs.define
class AmendmentCounts:
    """How many identifiers of one amendment are valid and invalid."""

    valid: int = 0
    invalid: int = 0
    sample_invalid: list[str] = attrs.field(factory=list, repr=False)


class ContactList:
    """The identifiers in one list, for a test to compare with what it sent.

    ``len()`` and ``in`` are cheap; ``identifiers`` builds a new set each time.
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
        """Count these identifiers as invalid from now on. Pass them exactly as the client sends them."""
        self._refused |= frozenset(identifiers)

    async def amend(self, identifiers: Sequence[str], is_valid: IdentifierRule, *, adds: bool) -> AmendmentCounts:
        """Add or remove the valid identifiers, slice by slice. Overlapping calls may interleave.

        Args:
            identifiers: The identifiers of one call, in its order.
            is_valid: The rule for their kind.
            adds: Whether to add them; otherwise they are removed.
        """
        change = self._members.update if adds else self._members.difference_update
        outcome = AmendmentCounts()
        refused = self._refused
        rule: IdentifierRule = (
            (lambda identifier: identifier not in refused and is_valid(identifier)) if refused else is_valid
        )
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


def _divided(identifiers: Sequence[str], is_valid: IdentifierRule) -> tuple[list[str], list[str]]:
    valid = list(filter(is_valid, identifiers))
    if len(valid) == len(identifiers):
        return valid, []
    return valid, [identifier for identifier in identifiers if not is_valid(identifier)]
