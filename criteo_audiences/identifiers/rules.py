"""For each kind of identifier, the rule that a list of them is prepared by."""

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from attrs import field, frozen

from criteo_audiences.identifiers.countries import PLAIN_NUMBER
from criteo_audiences.identifiers.email import ADDRESS_AFTER_A_SIGN, PLAIN_ADDRESS, normalize_email
from criteo_audiences.identifiers.hashing import digests
from criteo_audiences.identifiers.ids import (
    PLAIN_ID,
    PLAIN_MOBILE_AD_ID,
    normalize_ip_address_v4,
    normalize_mobile_ad_id,
    normalize_opaque,
)
from criteo_audiences.identifiers.phone import PHONE_ALGORITHMS, close_up, normalized_phone, spellings
from criteo_audiences.identifiers.reasons import RejectReason
from criteo_audiences.models import HashAlgorithm, IdentifierType

_NOTHING = re.compile("(?!)")


def _trimmed(rows: Sequence[str]) -> list[str]:
    return [row.strip() for row in rows]


def _trimmed_in_lower_case(rows: Sequence[str]) -> list[str]:
    return [row.strip().lower() for row in rows]


def _closed_up(rows: Sequence[str]) -> list[str]:
    return [close_up(row.strip()) for row in rows]


@frozen(kw_only=True)
class Rule:
    """What becomes of the values of one kind of identifier.

    Attributes:
        normalize: the full rule for one value; raises `InvalidIdentifierError`.
        plain: recognizes the tidied values that the full rule leaves as they are, which are nearly all.
        tidied: what is done to every value before.
        algorithms: how values may be hashed, which must be chosen then; none for kinds that Criteo takes as they are,
            among which nothing counts as a hash either.
        hashed_from: where in a normalized value the part begins that is hashed.
        spellings: the forms that one identifier may have; `None` where it has one only.
        held: finds the identifier that may be within another one, because its cells were not told apart.
        slice_size: values to prepare at once at most, so that it takes few milliseconds when each is an odd one.
    """

    normalize: Callable[[str], str]
    plain: re.Pattern[str]
    tidied: Callable[[Sequence[str]], list[str]] = _trimmed
    algorithms: frozenset[HashAlgorithm] = frozenset()
    hashed_from: int = 0
    spellings: Callable[[str], Sequence[str]] | None = None
    held: re.Pattern[str] | None = None
    slice_size: int = 256
    _plain_lines: re.Pattern[str] = field(init=False)

    @_plain_lines.default
    def _many_plain(self) -> re.Pattern[str]:
        return re.compile(f"(?:{self.plain.pattern}\n)*")

    def find_odd(self, texts: Sequence[str]) -> list[int]:
        """Tells which tidied texts the full rule must decide about.

        They are matched as lines of one text, which takes half as long as one by one.

        Returns:
            Their positions; all other texts `normalize` leaves as they are.
        """
        lines = "\n".join(texts) + "\n"
        if lines.count("\n") != len(texts):  # some text has several lines itself
            return [position for position, text in enumerate(texts) if self.plain.fullmatch(text) is None]
        odd: list[int] = []
        position = read = 0
        while (end := self._end_of_plain(lines, read)) < len(lines):
            position += lines.count("\n", read, end)
            odd.append(position)
            position += 1
            read = lines.index("\n", end) + 1
        return odd

    def _end_of_plain(self, lines: str, start: int) -> int:
        """Returns where the first line begins that `plain` does not recognize."""
        found = self._plain_lines.match(lines, start)
        return found.end() if found else start

    def digests(self, texts: Sequence[str], algorithm: HashAlgorithm) -> list[str]:
        """Hashes normalized values."""
        start = self.hashed_from
        return digests([text[start:] for text in texts] if start else texts, algorithm)


EMAIL_RULE: Final = Rule(
    normalize=normalize_email,
    plain=PLAIN_ADDRESS,
    tidied=_trimmed_in_lower_case,
    algorithms=frozenset(HashAlgorithm),
    held=ADDRESS_AFTER_A_SIGN,
)
_OPAQUE_RULE: Final = Rule(normalize=normalize_opaque, plain=PLAIN_ID)
_OTHER_RULES: Final = {
    IdentifierType.EMAIL: EMAIL_RULE,
    IdentifierType.MADID: Rule(normalize=normalize_mobile_ad_id, plain=PLAIN_MOBILE_AD_ID),
    IdentifierType.IP_ADDRESS_V4: Rule(normalize=normalize_ip_address_v4, plain=_NOTHING),
}


def rule_for(
    kind: IdentifierType,
    *,
    region: str | None = None,
    unlocated: RejectReason = RejectReason.NO_COUNTRY_CODE,
    keep_trunk_zero: bool = False,
) -> Rule:
    """Returns the rule for a kind of identifier.

    Args:
        kind: the kind.
        region: where phone numbers without a country code are dialed, in capital letters and checked.
        unlocated: why such numbers are rejected without a region.
        keep_trunk_zero: keep a zero after the country code, which E.164 drops.
    """
    if kind is IdentifierType.PHONE_NUMBER:
        return Rule(
            normalize=partial(normalized_phone, region=region, unlocated=unlocated, keep_trunk_zero=keep_trunk_zero),
            spellings=spellings if keep_trunk_zero else None,
            plain=PLAIN_NUMBER,
            tidied=_closed_up,
            algorithms=PHONE_ALGORITHMS,
            hashed_from=len("+"),
            slice_size=64 if region is None else 8,
        )
    return _OTHER_RULES.get(kind, _OPAQUE_RULE)
