"""Phone numbers: reads them in any usual spelling, normalizes them to `+` and digits, and hashes them for Criteo.

Numbers as they are dialed inside a country are read with the metadata of libphonenumber (the extra `phone`).
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from types import ModuleType
from typing import Final
from urllib.parse import unquote

from criteo_audiences.errors import ConfigurationError, InvalidIdentifierError
from criteo_audiences.identifiers.countries import (
    PLAIN_NUMBER,
    find_country,
    international_number,
    with_trunk_zero,
    without_more,
)
from criteo_audiences.identifiers.raw_values import (
    DIGESTS_OF_NOTHING,
    RejectReason,
    digest,
    fold,
    is_hash_in_other_form,
    is_hashed,
    is_spreadsheet_number,
    without_guards,
)
from criteo_audiences.models import HashAlgorithm
from criteo_audiences.validation import choose

_ANYWHERE: Final = "00"  # dialed for abroad in most countries, and used in exports from everywhere


def require_numbering_plans() -> None:
    """Checks that libphonenumber's metadata are installed.

    Raises:
        ConfigurationError: when the extra `phone` is not installed.
    """
    _library()


def require_region(region: object) -> str:
    """Returns a region as ISO 3166-1 alpha-2.

    Args:
        region: a country by its code or name, such as `"FR"`, `"FRA"` or `"France"`.

    Raises:
        ConfigurationError: when it is no country with phone numbers, or the extra `phone` is not installed.
    """
    country = find_country(region) if isinstance(region, str) else None
    if country is None:
        raise ConfigurationError("region must be a country, such as 'FR' (ISO 3166-1 alpha-2), 'FRA' or 'France'.")
    if country not in _library().SUPPORTED_REGIONS:
        raise ConfigurationError(f"region '{country}' has no phone numbers; expected a country such as 'FR' or 'GB'.")
    return country


def find_region(country: str) -> str | None:
    """Returns the region of a cell with a country, or `None` if it is not understood or has no phone numbers."""
    region = find_country(country)
    return region if region in _library().SUPPORTED_REGIONS else None


def dialed_number(digits: str, region: str, *, keep_trunk_zero: bool = False) -> str:
    """Returns the international digits of a number as it is dialed in a region: a national number, or one abroad.

    Args:
        digits: the digits as dialed, such as `0123456789` or `01133123456789`.
        region: the region, from `require_region`.
        keep_trunk_zero: as for `international_number`; applies to numbers abroad.

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
    """Returns the digits after the region's prefix for calls abroad, and the digits after `00`, if they begin so."""
    prefix = library.PhoneMetadata.metadata_for_region(region).international_prefix
    found = re.match(prefix, digits) if prefix else None
    ends = [found.end()] if found and digits[found.end() : found.end() + 1] not in {"", "0"} else []
    if digits.startswith(_ANYWHERE):
        ends.append(len(_ANYWHERE))
    return list(dict.fromkeys(digits[end:] for end in ends))


def _only_number(library: ModuleType, readings: Sequence[str], region: str) -> str:
    """Returns the reading that is an existing number: `0055 11…` may begin with `00`, or with a carrier's code `0055`.

    Raises:
        InvalidIdentifierError: when none exists, or several do and not exactly one is in the region itself.
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
    """Returns a number that was dialed under a former plan, such as Mexico's 044, which the metadata no longer have."""
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


PHONE_ALGORITHMS: Final = frozenset({HashAlgorithm.SHA256})
_MD5_LENGTH: Final = 32

# An extension is a line inside an office and no part of an E.164 number.
_EXTENSION = re.compile(
    r"[;,]? *(?:(?:extension|extn|ext|poste|durchwahl|anexo|ramal|interno|int)[.:=]?|x|#) *[0-9]{1,7}#?\Z"
)
# Labels before a number in exports: `p:` in lead forms, `whatsapp:` in messaging services, `Mobile:` or `Tel.`.
_LABELS: Final = (
    "cell|cellphone|celular|cellulare|fixe|fon|gsm|handy|home|mob|mobiel|mobil|mobile|movil|m\u00f3vil|natel|office|ph"
    "|phone|portable|private|signal|sms|tel|telefon|telefone|telefono|telefoon|telegram|telephone|tel\u00e9fono|t\u00e9l"
    "|t\u00e9l\u00e9phone|viber|wa|whatsapp|whats app|work"
)
_LABEL = re.compile(
    rf"(?:(?:{_LABELS})[ .-]*){{1,3}}(?:number|no|nr)?(?:(?<=[ .])|[ .:]|(?=\+))[ .:]*"
    r"|[chmptw] *(?:[.:]+ *|(?=\+))|callto: *"
)
_SEPARATOR = re.compile(r"[,;|&\n/]|\b(?:or|and|ou|et|oder|und|o|y)\b")
_ALLOWED = re.compile(r"[(\[ ]*\+?[0-9 .()\[\]/~-]+")
_ONE_NUMBER = re.compile(r"[( ]*\+?[0-9 .()-]*[0-9][0-9 .()-]*")  # the steps after this one do not change such a text
_DELIMITERS = re.compile(r"[\t~]")  # they do not occur between the digits of one number
_WHOLE_NUMBER: Final = 7
"""Fewest digits of a complete number."""
_WITH_AN_ALTERNATIVE: Final = 9
_ENDING: Final = 4
"""Most digits of an alternative ending, as in `01 23 45 67 89/90`."""
_MOST_DIGITS: Final = 15
_LONGEST_TEXT: Final = 250
_DIGITS_OF_NUMBERS: Final = range(7, 18)
_DIGEST_REASONS: Final = frozenset({RejectReason.MD5_OF_PHONE, RejectReason.DIGEST_OF_NOTHING})
_OF_ANOTHER_FORM: Final = frozenset({RejectReason.EMPTY, RejectReason.NOT_A_PHONE, RejectReason.HASH_IN_OTHER_FORM})


def normalize_phone(value: str, *, region: str | None = None, keep_trunk_zero: bool = False) -> str:
    """Returns a phone number as `+` and digits, country code first, the plain form that Criteo accepts.

    Marketing Solutions accepts phone numbers of advertisers in India only.

    Spaces, punctuation, extensions, `tel:`, `Mobile:` and the like, a spreadsheet's guards, `00` instead of the plus
    sign, and prefixes that are dialed inside a country only, such as the zero of `+33 (0)1 23 45 67 89`, are removed.
    A number with its plus sign has the same result for any region, and with or without the extra `phone`. A value that
    is a SHA-256 already is returned in lower case.

    Args:
        value: a number as people write it.
        region: the country in which numbers without a country code are dialed, such as `"IN"`, `"IND"` or `"India"`;
            needs the extra `phone`. Without a region, such numbers are rejected.
        keep_trunk_zero: keep the zero of `+33 (0)1 23 45 67 89`, as the formula in Criteo's guide does; E.164 has none
            (docs/reference/identifiers.md).

    Raises:
        InvalidIdentifierError: when it is no phone number; `.reason` says why.
        ConfigurationError: when the region is no country, or the extra is not installed.
        TypeError: when it is no `str`.

    Source: Criteo's guide to contact lists (plain numbers have "+" and the country code); ITU-T E.164, RFC 3966.
    """
    if not isinstance(value, str):
        raise TypeError(f"a phone number must be a str, not {type(value).__name__}")
    checked = None if region is None else require_region(region)
    return normalized_phone(value, checked, keep_trunk_zero=keep_trunk_zero)


def hash_phone(
    value: str,
    algorithm: HashAlgorithm | str = HashAlgorithm.SHA256,
    *,
    region: str | None = None,
    keep_trunk_zero: bool = False,
) -> str:
    """Normalizes a phone number and hashes its digits without the plus sign; a SHA-256 is not hashed again.

    Args:
        value: a number as people write it.
        algorithm: `"sha256"`, the only one that Criteo accepts for phone numbers.
        region: as for `normalize_phone`.
        keep_trunk_zero: as for `normalize_phone`.

    Raises:
        InvalidIdentifierError: when it is no phone number; `.reason` says why.
        ConfigurationError: when the algorithm is another, the region is no country, or the extra is not installed.

    Source: Criteo's guide to contact lists: digits only, with the country code, at most 15, then SHA-256.
    """
    chosen = choose(HashAlgorithm, algorithm, "algorithm")
    if chosen not in PHONE_ALGORITHMS:
        raise ConfigurationError("algorithm must be sha256: Criteo matches phone numbers by no other hash.")
    text = normalize_phone(value, region=region, keep_trunk_zero=keep_trunk_zero)
    return text if is_hashed(text) else digest(text.removeprefix("+"), chosen)


def normalized_phone(
    value: str,
    region: str | None,
    unlocated: RejectReason = RejectReason.NO_COUNTRY_CODE,
    *,
    keep_trunk_zero: bool = False,
) -> str:
    """Returns the same as `normalize_phone`, for a region that is checked already.

    Args:
        value: a number as people write it.
        region: the region, from `require_region`.
        unlocated: the reason for rejecting a number that needs a region if there is none.
        keep_trunk_zero: as for `normalize_phone`.
    """
    _require_one_cell(value)
    text = without_guards(fold(value))
    if is_hashed(text):
        return _digest(text.lower())
    if PLAIN_NUMBER.fullmatch(close := close_up(text)):
        return close
    return "+" + _number(_dialed(text), region, unlocated, keep_trunk_zero=keep_trunk_zero)


def spellings(number: str) -> tuple[str, str]:
    """Returns a normalized number without and with its trunk zero; returns a digest twice, unchanged."""
    try:
        digits = international_number(number.removeprefix("+")) if number.startswith("+") else None
    except InvalidIdentifierError:  # an id of another kind: the engine may call this before it checks the kind
        digits = None
    if digits is None:
        return number, number
    return f"+{digits}", f"+{with_trunk_zero(digits)}"


def has_phone_form(value: str) -> bool:
    """Whether a value is a digest or is written like a phone number of any country."""
    try:
        if is_hashed(normalized_phone(value, None)):
            return True
    except InvalidIdentifierError as error:
        if error.reason in _DIGEST_REASONS:
            return True
        damaged = error.reason == RejectReason.SPREADSHEET_NUMBER and any(map(str.isalpha, value))
        if damaged or error.reason in _OF_ANOTHER_FORM:
            return False
    return _digits_of(value) in _DIGITS_OF_NUMBERS


def _digest(text: str) -> str:
    if text in DIGESTS_OF_NOTHING:
        raise InvalidIdentifierError(RejectReason.DIGEST_OF_NOTHING)
    if len(text) == _MD5_LENGTH:
        raise InvalidIdentifierError(RejectReason.MD5_OF_PHONE)
    return text


def _require_one_cell(value: str) -> None:
    """Refuses a number and something else with a tab or a tilde between, as their digits would form another number."""
    if "\t" not in value and "~" not in value:
        return
    filled = [part for part in _DELIMITERS.split(value) if part.strip()]
    if len(filled) > 1 and any(_digits_of(part) >= _WHOLE_NUMBER for part in filled):
        raise InvalidIdentifierError(RejectReason.SEVERAL_CELLS)


def close_up(text: str) -> str:
    """Returns a text without the usual separators between digits.

    It keeps dots, because a dot may come from a spreadsheet that turned the value into a decimal number.
    """
    return text.replace(" ", "").replace("-", "").replace("(", "").replace(")", "").replace("\u00a0", "")


def _number(dialed: str, region: str | None, unlocated: RejectReason, *, keep_trunk_zero: bool) -> str:
    """Returns the international digits of a number without words around it."""
    digits = re.sub("[^0-9]", "", dialed)
    if region is not None and "+" not in dialed:
        return dialed_number(digits, region, keep_trunk_zero=keep_trunk_zero)
    if "+" in dialed or digits.startswith("00"):
        return international_number(digits.removeprefix("00"), keep_trunk_zero=keep_trunk_zero)
    raise InvalidIdentifierError(RejectReason.TOO_LONG if len(digits) > _MOST_DIGITS else unlocated)


def _dialed(text: str) -> str:
    """Returns the number in a text, without URI scheme, label and extension: only digits and punctuation."""
    if not text:
        raise InvalidIdentifierError(RejectReason.EMPTY)
    if len(text) > _LONGEST_TEXT:
        raise InvalidIdentifierError(RejectReason.TOO_LONG)
    if is_spreadsheet_number(text):
        raise InvalidIdentifierError(RejectReason.SPREADSHEET_NUMBER)
    if _ONE_NUMBER.fullmatch(text):
        return text
    if is_hash_in_other_form(text):
        raise InvalidIdentifierError(RejectReason.HASH_IN_OTHER_FORM)
    number = _without_extension(_unlabeled(text.lower()))
    if _holds_several(number):
        raise InvalidIdentifierError(RejectReason.SEVERAL_NUMBERS)
    if not _ALLOWED.fullmatch(number) or not _digits_of(number):
        raise InvalidIdentifierError(RejectReason.NOT_A_PHONE)
    return number


def _unlabeled(text: str) -> str:
    """Returns the number of a `tel:` URI, or the number after a label such as `Mobile:`."""
    if text.startswith("tel:"):
        return _of_uri(text)
    label = _LABEL.match(text)
    return text[label.end() :].strip() if label else text


def _of_uri(text: str) -> str:
    """Returns the number of a `tel:` URI; prefixes a local number with its context if that is a number (RFC 3966)."""
    number, *parameters = unquote(text.removeprefix("tel:")).split(";")
    for parameter in parameters:
        name, _, context = parameter.partition("=")
        if name.strip() == "phone-context" and context.startswith("+") and "+" not in number:
            number = context + number
    return number.strip()


def _without_extension(text: str) -> str:
    found = _EXTENSION.search(text)
    return text[: found.start()].strip() if found else text


def _holds_several(text: str) -> bool:
    """Whether a text contains two numbers, or one with an alternative ending (`01 23 45 67 89/90`)."""
    before, plus, _ = text.rpartition("+")
    if plus and _digits_of(before) >= _WHOLE_NUMBER:
        return True
    lengths = [_digits_of(part) for part in _SEPARATOR.split(text)]
    if sum(length >= _WHOLE_NUMBER for length in lengths) > 1:
        return True
    return len(lengths) == 2 and lengths[0] >= _WITH_AN_ALTERNATIVE and 0 < lengths[1] <= _ENDING  # noqa: PLR2004


def _digits_of(text: str) -> int:
    return sum(map(str.isdigit, text))
