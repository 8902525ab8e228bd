"""For each kind of identifier, the rule that a list of them is prepared by."""

import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final

from attrs import frozen

from criteo_audiences.identifiers.calling_codes import PLAIN_NUMBER
from criteo_audiences.identifiers.email import PLAIN_ADDRESS, normalize_email
from criteo_audiences.identifiers.hashing import DIGESTS
from criteo_audiences.identifiers.mobile import PLAIN_MOBILE_AD_ID, normalize_mobile_ad_id
from criteo_audiences.identifiers.opaque import PLAIN_ID, normalize_ip_address_v4, normalize_opaque
from criteo_audiences.identifiers.phone import PHONE_ALGORITHMS, close_up, normalized_phone
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
        slice_size: values that are prepared in well under a millisecond when the full rule must judge each.
    """

    normalize: Callable[[str], str]
    plain: re.Pattern[str]
    tidied: Callable[[Sequence[str]], list[str]] = _trimmed
    algorithms: frozenset[HashAlgorithm] = frozenset()
    hashed_from: int = 0
    slice_size: int = 128

    def match_plain(self, texts: Iterable[str]) -> list[object]:
        """Tells which tidied texts `normalize` leaves as they are.

        Returns:
            One entry a text, `None` where the full rule must decide. A list at a time: the loop then runs in C.
        """
        return list(map(self.plain.fullmatch, texts))

    def digest(self, algorithm: HashAlgorithm) -> Callable[[str], str]:
        """Returns the function that hashes a normalized value."""
        plain_digest, start = DIGESTS[algorithm], self.hashed_from
        return (lambda text: plain_digest(text[start:])) if start else plain_digest


EMAIL_RULE: Final = Rule(
    normalize=normalize_email,
    plain=PLAIN_ADDRESS,
    tidied=_trimmed_in_lower_case,
    algorithms=frozenset(HashAlgorithm),
)
_OPAQUE_RULE: Final = Rule(normalize=normalize_opaque, plain=PLAIN_ID)
_OTHER_RULES: Final = {
    IdentifierType.EMAIL: EMAIL_RULE,
    IdentifierType.MADID: Rule(normalize=normalize_mobile_ad_id, plain=PLAIN_MOBILE_AD_ID),
    IdentifierType.IP_ADDRESS_V4: Rule(normalize=normalize_ip_address_v4, plain=_NOTHING),
}


def rule_for(kind: IdentifierType, *, region: str | None = None) -> Rule:
    """Returns the rule for a kind of identifier.

    Args:
        kind: the kind.
        region: where phone numbers without a country code are dialed, in capital letters and checked.
    """
    if kind is IdentifierType.PHONE_NUMBER:
        return Rule(
            normalize=partial(normalized_phone, region=region),
            plain=PLAIN_NUMBER,
            tidied=_closed_up,
            algorithms=PHONE_ALGORITHMS,
            hashed_from=len("+"),
            slice_size=64 if region is None else 8,
        )
    return _OTHER_RULES.get(kind, _OPAQUE_RULE)
