"""Numbers as they are dialed inside a country, read with libphonenumber's metadata (the extra `phone`)."""

import re
from collections.abc import Sequence
from contextlib import suppress
from types import ModuleType
from typing import Final

from criteo_audiences.errors import ConfigurationError, InvalidIdentifierError
from criteo_audiences.identifiers.countries import find_country, international_number, without_more
from criteo_audiences.identifiers.raw_values import RejectReason

_ANYWHERE: Final = "00"  # what most of the world dials for abroad, and what exports hold everywhere


def require_numbering_plans() -> None:
    """Refuses to go on without libphonenumber's metadata.

    Raises:
        ConfigurationError: when the extra `phone` is not installed.
    """
    _library()


def require_region(region: object) -> str:
    """Returns a region as ISO 3166-1 alpha-2.

    Args:
        region: a country by its code or name, such as `"FR"`, `"FRA"` or `"France"`.

    Raises:
        ConfigurationError: when it is none, or the extra `phone` is not installed.
    """
    country = find_country(region) if isinstance(region, str) else None
    if country is None:
        raise ConfigurationError("region must be a country, such as 'FR' (ISO 3166-1 alpha-2), 'FRA' or 'France'.")
    if country not in _library().SUPPORTED_REGIONS:
        raise ConfigurationError(f"region '{country}' has no phone numbers; expected a country such as 'FR' or 'GB'.")
    return country


def find_region(country: str) -> str | None:
    """Returns the region that a cell with a country names, or `None` if none with phone numbers is understood."""
    region = find_country(country)
    return region if region in _library().SUPPORTED_REGIONS else None


def dialed_number(digits: str, region: str, *, keep_trunk_zero: bool = False) -> str:
    """Returns the international digits of what is dialed in a region, be it a national number or one abroad.

    Args:
        digits: as dialed, such as `0123456789` or `01133123456789`.
        region: from `require_region`.
        keep_trunk_zero: as for `international_number`, of what is dialed abroad.

    Raises:
        InvalidIdentifierError: when the region's numbering plan has no such number; `.reason` says why.

    Source: the numbering plans in the metadata of Google's libphonenumber.
    """
    library = _library()
    if abroad := _readings_from_abroad(library, digits, region):
        number = abroad[0] if len(abroad) == 1 else _only_number(library, abroad, region)
        return international_number(number, keep_trunk_zero=keep_trunk_zero)
    try:
        number = library.parse(digits, region)
    except library.NumberParseException as error:
        reason = _parse_reason(library, error.error_type)
    else:
        if library.is_valid_number(number):
            e164: str = library.format_number(number, library.PhoneNumberFormat.E164)
            return international_number(e164.removeprefix("+"))
        reason = _reason(library, library.is_possible_number_with_reason(number))
    earlier = _dialed_earlier(library, digits, region)
    if earlier is not None:
        return earlier
    raise InvalidIdentifierError(reason)


def _library() -> ModuleType:
    try:
        import phonenumbers  # noqa: PLC0415 - an extra, imported where it is used
    except ImportError:
        raise ConfigurationError(
            "Phone numbers without a country code need the extra 'phone': pip install 'criteo-audiences[phone]'"
        ) from None
    return phonenumbers


def _readings_from_abroad(library: ModuleType, digits: str, region: str) -> list[str]:
    """Returns what follows the region's own prefix for calls abroad, and what follows `00`; else nothing."""
    prefix = library.PhoneMetadata.metadata_for_region(region).international_prefix
    found = re.match(prefix, digits) if prefix else None
    ends = [found.end()] if found and digits[found.end() : found.end() + 1] not in {"", "0"} else []
    if digits.startswith(_ANYWHERE):
        ends.append(len(_ANYWHERE))
    return list(dict.fromkeys(digits[end:] for end in ends))


def _only_number(library: ModuleType, readings: Sequence[str], region: str) -> str:
    """Returns the reading that is of a number that exists: `0055 11…` is `00`, or `0055` to a carrier of Brazil.

    Raises:
        InvalidIdentifierError: when there is none, or when there are two of which none is in the region itself.
    """
    existing = {number: reading for reading in readings if (number := _existing(library, reading))}
    code = str(library.country_code_for_region(region))
    found = [reading for number, reading in existing.items() if number.startswith(code)] or [*existing.values()]
    if len(found) != 1:
        raise InvalidIdentifierError(RejectReason.SEVERAL_NUMBERS if found else RejectReason.NO_SUCH_NUMBER)
    return found[0]


def _existing(library: ModuleType, reading: str) -> str | None:
    with suppress(InvalidIdentifierError):
        number = international_number(reading)
        return number if library.is_valid_number(library.parse(f"+{number}")) else None
    return None


def _dialed_earlier(library: ModuleType, digits: str, region: str) -> str | None:
    """Returns the number of what was dialed under a plan that metadata has forgotten, such as Mexico's 044."""
    code = str(library.country_code_for_region(region))
    dialed = digits.removeprefix("0")
    national = without_more(code, dialed)
    if national == dialed or not library.is_valid_number(library.parse(f"+{code}{national}")):
        return None
    return code + national


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
