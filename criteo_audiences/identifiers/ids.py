"""Ids that are sent as they are: those whose form their issuer decides, and mobile advertising ids."""

import re
from typing import Final

from criteo_audiences.errors import InvalidIdentifierError
from criteo_audiences.identifiers.characters import BLANKS, is_spreadsheet_number, without_guards
from criteo_audiences.identifiers.hashing import is_hash_in_other_form
from criteo_audiences.identifiers.reasons import RejectReason

PLAIN_ID: Final = re.compile("[A-Za-z0-9_-]{1,256}+")
"""An id that `normalize_opaque` leaves as it is, for one cheap test."""
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_LONGEST: Final = 4_096  # our own bound: Criteo publishes none, and a page's address may be long
_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IP_ADDRESS_V4 = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}")
_UUID = re.compile("[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
PLAIN_MOBILE_AD_ID: Final = re.compile(rf"(?!0{{8}}-0){_UUID.pattern}")
"""An id that `normalize_mobile_ad_id` leaves as it is, for one cheap test."""
_NONE_GIVEN: Final = "00000000-0000-0000-0000-000000000000"


def normalize_opaque(value: str) -> str:
    """Returns an id trimmed and without guards; its case and all inside it stay, since only its issuer knows them.

    Args:
        value: a customer id, a user id, an IdentityLink, a GUM id or the like.

    Raises:
        InvalidIdentifierError: when it is empty, holds control characters, has more than 4,096 characters, or was
            turned into a number such as `1.2E+10` by a spreadsheet.
    """
    text = without_guards(value.strip(BLANKS))
    if not text:
        raise InvalidIdentifierError(RejectReason.EMPTY)
    if is_spreadsheet_number(text):
        raise InvalidIdentifierError(RejectReason.SPREADSHEET_NUMBER)
    if _FORBIDDEN.search(text):
        raise InvalidIdentifierError(RejectReason.FORBIDDEN_CHARACTER)
    if len(text) > _LONGEST:
        raise InvalidIdentifierError(RejectReason.TOO_LONG)
    return text


def normalize_ip_address_v4(value: str) -> str:
    """Returns an IPv4 address in dotted decimal, trimmed.

    Args:
        value: four numbers of 0 to 255 without leading zeros, with dots between them.

    Raises:
        InvalidIdentifierError: when it is anything else.
    """
    text = normalize_opaque(value)
    if not _IP_ADDRESS_V4.fullmatch(text):
        raise InvalidIdentifierError(RejectReason.NOT_AN_IP_ADDRESS)
    return text


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
