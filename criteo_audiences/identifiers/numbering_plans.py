"""Numbers as they are dialed inside a country, read with libphonenumber's metadata (the extra `phone`)."""

import re
from types import ModuleType
from typing import Final

from criteo_audiences.errors import ConfigurationError, InvalidIdentifierError
from criteo_audiences.identifiers.calling_codes import international_number
from criteo_audiences.identifiers.reasons import RejectReason

_REGION = re.compile("[A-Za-z]{2}")
_ANYWHERE: Final = "00"  # what most of the world dials for abroad, and what exports hold everywhere


def require_numbering_plans() -> None:
    """Refuses to go on without what knows the numbers of countries.

    Raises:
        ConfigurationError: when the extra `phone` is not installed.
    """
    _library()


def require_region(region: object) -> str:
    """Returns a region in capital letters.

    Args:
        region: ISO 3166-1 alpha-2, such as `"FR"`.

    Raises:
        ConfigurationError: when it is none, or the extra `phone` is not installed.
    """
    if not isinstance(region, str) or not _REGION.fullmatch(region):
        raise ConfigurationError("region must be the two letters of a country, such as 'FR' (ISO 3166-1 alpha-2).")
    if region.upper() not in _library().SUPPORTED_REGIONS:
        raise ConfigurationError(
            f"region '{region}' has no phone numbers; expected the two letters of a country, such as 'FR' or 'GB'."
        )
    return region.upper()


def dialed_number(digits: str, region: str) -> str:
    """Returns the international digits of what is dialed in a region, be it a national number or one abroad.

    Args:
        digits: as dialed, such as `0123456789` or `01133123456789`.
        region: from `require_region`.

    Raises:
        InvalidIdentifierError: when the region's numbering plan has no such number; `.reason` says why.

    Source: the numbering plans in the metadata of Google's libphonenumber.
    """
    abroad = _dialed_abroad(digits, region)
    if abroad is not None:
        return international_number(abroad)
    library = _library()
    try:
        number = library.parse(digits, region)
    except library.NumberParseException as error:
        reason = _parse_reason(library, error.error_type)
    else:
        if library.is_valid_number(number):
            e164: str = library.format_number(number, library.PhoneNumberFormat.E164)
            return international_number(e164.removeprefix("+"))
        reason = _reason(library, library.is_possible_number_with_reason(number))
    raise InvalidIdentifierError(reason)


def _library() -> ModuleType:
    try:
        import phonenumbers  # noqa: PLC0415 - an extra, imported where it is used
    except ImportError:
        raise ConfigurationError(
            "Phone numbers without a country code need the extra 'phone': pip install 'criteo-audiences[phone]'"
        ) from None
    return phonenumbers


def _dialed_abroad(digits: str, region: str) -> str | None:
    """Returns what follows the region's own prefix for calls abroad, or `00`; `None` for a national number."""
    prefix = _library().PhoneMetadata.metadata_for_region(region).international_prefix
    found = re.match(prefix, digits) if prefix else None
    if found and digits[found.end() : found.end() + 1] not in {"", "0"}:
        return digits[found.end() :]
    return digits.removeprefix(_ANYWHERE) if digits.startswith(_ANYWHERE) else None


def _parse_reason(library: ModuleType, error_type: int) -> RejectReason:
    errors = library.NumberParseException
    if error_type in {errors.TOO_SHORT_NSN, errors.TOO_SHORT_AFTER_IDD, errors.NOT_A_NUMBER}:
        return RejectReason.TOO_SHORT  # digits alone come here, so that no number means too few of them
    return RejectReason.TOO_LONG if error_type == errors.TOO_LONG else RejectReason.NO_SUCH_NUMBER


def _reason(library: ModuleType, found: int) -> RejectReason:
    results = library.ValidationResult
    if found in {results.TOO_SHORT, results.IS_POSSIBLE_LOCAL_ONLY}:
        return RejectReason.TOO_SHORT
    return RejectReason.TOO_LONG if found == results.TOO_LONG else RejectReason.NO_SUCH_NUMBER
