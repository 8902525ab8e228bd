"""Mobile advertising ids: Apple's IDFA and Android's AAID."""

import re
from typing import Final

from criteo_audiences.errors import InvalidIdentifierError
from criteo_audiences.identifiers.blanks import BLANKS
from criteo_audiences.identifiers.damage import without_guards
from criteo_audiences.identifiers.hashing import is_hash_in_other_form
from criteo_audiences.identifiers.reasons import RejectReason

_UUID = re.compile("[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
PLAIN_MOBILE_AD_ID: Final = re.compile(rf"(?!0{{8}}-0){_UUID.pattern}")
"""An id that `normalize_mobile_ad_id` leaves as it is, for one cheap test."""
_NONE_GIVEN: Final = "00000000-0000-0000-0000-000000000000"


def normalize_mobile_ad_id(value: str) -> str:
    """Returns a mobile advertising id trimmed and without braces and guards, in the case it was given in.

    Criteo publishes no rule on case: Apple writes IDFAs in capital letters, Android AAIDs in small ones. So the same id
    in two cases counts as two. 32 hexadecimal digits without dashes are refused, because an MD5 looks the same.

    Args:
        value: a UUID with dashes, such as `6D92078A-8246-4BA4-AE5B-76104861E7DC`.

    Raises:
        InvalidIdentifierError: when it is none, a hash, or all zeros, which a phone whose owner opted out gives to all.

    Source: RFC 9562 §4; Apple's documentation of `advertisingIdentifier`, Google's of `AdvertisingIdClient`.
    """
    text = without_guards(value.strip(BLANKS))
    if text.startswith("{") and text.endswith("}"):
        text = without_guards(text[1:-1].strip(BLANKS))
    if not text:
        raise InvalidIdentifierError(RejectReason.EMPTY)
    if text == _NONE_GIVEN:
        raise InvalidIdentifierError(RejectReason.LIMITED_AD_TRACKING)
    if not _UUID.fullmatch(text):
        hashed = is_hash_in_other_form(text)
        raise InvalidIdentifierError(RejectReason.HASHED_AD_ID if hashed else RejectReason.NOT_A_MOBILE_AD_ID)
    return text
