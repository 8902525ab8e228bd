"""Countries: their calling codes, trunk prefixes, names, codes and short forms."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from pkgutil import get_data
from types import MappingProxyType
from typing import Final

from criteo_audiences.errors import InvalidIdentifierError
from criteo_audiences.identifiers.raw_values import BLANKS, RejectReason, without_guards

_ASSIGNED: Final = """
    1 7 20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 60 61 62 63 64 65 66 81 82 84 86
    90 91 92 93 94 95 98 211 212 213 216 218 220 221 222 223 224 225 226 227 228 229 230 231 232 233 234 235 236 237
    238 239 240 241 242 243 244 245 246 247 248 249 250 251 252 253 254 255 256 257 258 260 261 262 263 264 265 266
    267 268 269 290 291 297 298 299 350 351 352 353 354 355 356 357 358 359 370 371 372 373 374 375 376 377 378 380
    381 382 383 385 386 387 389 420 421 423 500 501 502 503 504 505 506 507 508 509 590 591 592 593 594 595 596 597
    598 599 670 672 673 674 675 676 677 678 679 680 681 682 683 685 686 687 688 689 690 691 692 800 808 850 852 853
    855 856 870 878 880 881 882 883 886 888 960 961 962 963 964 965 966 967 968 970 971 972 973 974 975 976 977 979
    992 993 994 995 996 998
"""
CALLING_CODES: Final = frozenset(_ASSIGNED.split())

# Calling codes that belong to a single region, each followed by the region's ISO 3166-1 alpha-2 code.
_ALONE: Final = """
    20EG 211SS 213DZ 216TN 218LY 220GM 221SN 222MR 223ML 224GN 225CI 226BF 227NE 228TG 229BJ 230MU 231LR 232SL
    233GH 234NG 235TD 236CF 237CM 238CV 239ST 240GQ 241GA 242CG 243CD 244AO 245GW 246IO 247AC 248SC 249SD 250RW
    251ET 252SO 253DJ 254KE 255TZ 256UG 257BI 258MZ 260ZM 261MG 263ZW 264NA 265MW 266LS 267BW 268SZ 269KM 27ZA
    291ER 297AW 298FO 299GL 30GR 31NL 32BE 33FR 34ES 350GI 351PT 352LU 353IE 354IS 355AL 356MT 357CY 359BG 36HU
    370LT 371LV 372EE 373MD 374AM 375BY 376AD 377MC 378SM 380UA 381RS 382ME 383XK 385HR 386SI 387BA 389MK 40RO 41CH
    420CZ 421SK 423LI 43AT 45DK 46SE 48PL 49DE 500FK 501BZ 502GT 503SV 504HN 505NI 506CR 507PA 508PM 509HT 51PE
    52MX 53CU 54AR 55BR 56CL 57CO 58VE 591BO 592GY 593EC 594GF 595PY 596MQ 597SR 598UY 60MY 62ID 63PH 64NZ 65SG
    66TH 670TL 672NF 673BN 674NR 675PG 676TO 677SB 678VU 679FJ 680PW 681WF 682CK 683NU 685WS 686KI 687NC 688TV
    689PF 690TK 691FM 692MH 81JP 82KR 84VN 850KP 852HK 853MO 855KH 856LA 86CN 880BD 886TW 90TR 91IN 92PK 93AF 94LK
    95MM 960MV 961LB 962JO 963SY 964IQ 965KW 966SA 967YE 968OM 970PS 971AE 972IL 973BH 974QA 975BT 976MN 977NP 98IR
    992TJ 993TM 994AZ 995GE 996KG 998UZ
"""
REGIONS: Final[Mapping[str, str]] = MappingProxyType({each[:-2]: each[-2:] for each in _ALONE.split()})

_LONGEST_CODE: Final = 3
_FEWEST_DIGITS: Final = 7  # Niue: a code of three and a number of four
_MOST_DIGITS: Final = 15  # E.164 §6.2.1

# Countries in which a national number itself may begin with a zero. Elsewhere, a zero is dialed only inside a country.
_OWN_ZERO: Final = {
    "39": "0[0-9]+",  # Italy, Vatican City
    "225": "0[0-9]+",  # Ivory Coast
    "226": "0[0-9]+",  # Burkina Faso
    "229": "0[0-9]+",  # Benin
    "241": "0[0-9]{7}",  # Gabon; a zero before eight digits is from the old plan
    "242": "0[0-9]+",  # Congo
    "250": "06[0-9]{6}",  # Rwanda's fixed lines; its mobile numbers are dialed with a zero
    "378": "0[0-9]+",  # San Marino
    "881": "0[0-9]+",  # satellites
    "992": "0[0-9]+",  # Tajikistan
}
_OTHER_TRUNK_PREFIXES: Final = {"36": "06"}  # Hungary
# Other prefixes that are dialed inside a country only, recognized by the number of digits after them.
_MORE_TRUNK_PREFIXES: Final[Mapping[str, tuple[str, str]]] = {
    "1": (r"1([2-9][0-9]{9})", r"\1"),  # North America
    "7": (r"8([1-9][0-9]{9})", r"\1"),  # Russia, Kazakhstan
    "52": (r"(?:1|4[45])([1-9][0-9]{9})", r"\1"),  # Mexico, for mobile numbers until 2019
    "54": (r"9?(?=[0-9]{12}(?![0-9]))(11|[23][0-9]{2,3})15([0-9]{6,8})", r"9\1\2"),  # Argentina: 15, or 9 from abroad
    "55": (r"(?:1[245]|2[1-35]|31|4[13]|[56]5|99)([1-9][0-9]{9,10})", r"\1"),  # Brazil: a carrier
    "57": (r"(?:[3579]|4(?:[14]4|56))([1-9][0-9]{9})", r"\1"),  # Colombia: a carrier
    "82": (r"8[1-46-8]([1-7][0-9]{7,9})", r"\1"),  # South Korea: a carrier
    "370": (r"8([1-9][0-9]{7})", r"\1"),  # Lithuania
    "373": (r"80?([1-9][0-9]{7})", r"\1"),  # Moldova, as it was dialed in the Soviet Union and for long after
    "374": (r"8([1-9][0-9]{7})", r"\1"),  # Armenia
    "375": (r"80?((?:1[5-7]|[2-4][0-9])[0-9]{7})", r"\1"),  # Belarus
    "380": (r"80([1-9][0-9]{8})", r"\1"),  # Ukraine
    "591": (r"1[0-9]([2-9][0-9]{7})", r"\1"),  # Bolivia: a carrier
    "692": (r"1([1-9][0-9]{6})", r"\1"),  # Marshall Islands
    "993": (r"8([1-9][0-9]{7})", r"\1"),  # Turkmenistan
    **dict.fromkeys(("992", "994", "995", "998"), (r"8([1-9][0-9]{8})", r"\1")),  # Tajikistan, … Uzbekistan
}
_NORTH_AMERICA: Final = "1"
_NORTH_AMERICAN_DIGITS: Final = 11


def _one_of(codes: Iterable[str]) -> str:
    """Returns a pattern of calling codes, which is fast: codes that differ only in the last digit share a branch."""
    last_digits: dict[str, str] = {}
    for code in sorted(codes):
        last_digits[code[:-1]] = last_digits.get(code[:-1], "") + code[-1]
    return "|".join(f"{first}[{last}]" for first, last in last_digits.items())


_OTHERS = rf"(?:{_one_of(CALLING_CODES - _MORE_TRUNK_PREFIXES.keys())})[1-9][0-9]*"
_WITH_OWN_ZERO = "|".join(f"{code}{own}" for code, own in _OWN_ZERO.items())
_WITH_MORE = "|".join(
    rf"{code}(?!{re.sub(r'[(](?![?])', '(?:', prefixed)}(?![0-9]))[1-9][0-9]*"
    for code, (prefixed, _) in _MORE_TRUNK_PREFIXES.items()
    if code != _NORTH_AMERICA
)
PLAIN_NUMBER: Final = re.compile(
    rf"\+(?:1[2-9][0-9]{{9}}|(?=[0-9]{{{_FEWEST_DIGITS},{_MOST_DIGITS}}}(?![0-9]))"
    rf"(?:{_OTHERS}|{_WITH_OWN_ZERO}|{_WITH_MORE}))"
)
"""A number as `international_number` returns it, with its plus sign."""


def international_number(digits: str, *, keep_trunk_zero: bool = False) -> str:
    """Returns the digits of an international number without a prefix that is dialed inside a country only (often 0).

    Args:
        digits: the digits after the plus sign, such as `330123456789`.
        keep_trunk_zero: return the digits unchanged if they contain such a zero; E.164 has none.

    Raises:
        InvalidIdentifierError: when there can be no such number; `.reason` says why.

    Source: ITU-T E.164 §6 (at most 15 digits); the national numbering plans define which digits belong to a number.
    """
    code = _calling_code(digits)
    national = digits.removeprefix(code)
    without_zero = _without_zero(code, national)
    number = code + without_more(code, without_zero)
    reason = _north_american_fault(number) if code == _NORTH_AMERICA else _length_fault(number)
    if reason is None and PLAIN_NUMBER.fullmatch(f"+{number}") is None:
        reason = RejectReason.NO_SUCH_NUMBER
    kept = keep_trunk_zero and without_zero != national
    if reason is None and kept:
        reason = _length_fault(digits)
    if reason is not None:
        raise InvalidIdentifierError(reason)
    return digits if kept else number


def with_trunk_zero(number: str) -> str:
    """Returns the digits of an international number with its country's trunk zero (or `06`) after the calling code."""
    code = _calling_code(number)
    return code + _OTHER_TRUNK_PREFIXES.get(code, "0") + number.removeprefix(code)


def _calling_code(digits: str) -> str:
    if digits.startswith("0"):
        raise InvalidIdentifierError(RejectReason.NO_COUNTRY_CODE)
    for length in range(1, _LONGEST_CODE + 1):
        if digits[:length] in CALLING_CODES:
            return digits[:length]
    raise InvalidIdentifierError(RejectReason.UNKNOWN_COUNTRY_CODE)


def _without_zero(code: str, national: str) -> str:
    if code in _OWN_ZERO and re.fullmatch(_OWN_ZERO[code], national):
        return national
    return national.removeprefix(_OTHER_TRUNK_PREFIXES.get(code, "0"))


def without_more(code: str, national: str) -> str:
    """Returns a national number without a prefix other than a zero; see `_MORE_TRUNK_PREFIXES`."""
    if code not in _MORE_TRUNK_PREFIXES:
        return national
    prefixed, without = _MORE_TRUNK_PREFIXES[code]
    return re.sub(rf"\A{prefixed}\Z", without, national)


def _length_fault(number: str) -> RejectReason | None:
    if len(number) < _FEWEST_DIGITS:
        return RejectReason.TOO_SHORT
    return RejectReason.TOO_LONG if len(number) > _MOST_DIGITS else None


def _north_american_fault(number: str) -> RejectReason | None:
    if len(number) == _NORTH_AMERICAN_DIGITS:
        return None
    return RejectReason.TOO_SHORT if len(number) < _NORTH_AMERICAN_DIGITS else RejectReason.TOO_LONG


# Names that CLDR lacks: ISO 3166-1's word order, older names, parts of states that are called countries, abbreviations.
SHORT_FORMS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "AE": "UAE|U.A.E.|Emirates|The Emirates",
        "AR": "Argentine Republic",
        "AT": "Oesterreich",
        "AX": "Aland Islands",
        "BA": "Bosnia|Bosnia Herzegovina|BiH",
        "BD": "People's Republic of Bangladesh",
        "BN": "Brunei Darussalam",
        "BO": "Plurinational State of Bolivia|Bolivia, Plurinational State of",
        "BQ": "Bonaire, Sint Eustatius and Saba|Bonaire",
        "BY": "Belorussia|Byelorussia|Weißrussland|Biélorussie|Bielorrusia",
        "CD": "Democratic Republic of the Congo|Congo, Democratic Republic of the|Congo, the Democratic Republic of the"
        "|Congo (DRC)|Congo-Kinshasa|DR Congo|DRC|Congo, Dem. Rep.|Zaire",
        "CG": "Congo|Republic of the Congo|Congo (Republic)|Congo-Brazzaville|Congo, Republic of the|Congo, Rep.",
        "CH": "Swiss Confederation",
        "CI": "Ivory Coast|Cote d'Ivoire|Republic of Cote d'Ivoire",
        "CN": "PRC|P.R.C.|P.R. China|PR China|People's Republic of China China|China mainland|Zhongguo",
        "CV": "Cabo Verde",
        "CZ": "Czech Republic|Czech Rep.|Czechia (Czech Republic)|Česká republika|Tschechische Republik"
        "|République tchèque|República Checa|Repubblica Ceca",
        "DE": "Federal Republic of Germany|Bundesrepublik Deutschland|BRD",
        "DO": "Dominican Rep.",
        "DZ": "People's Democratic Republic of Algeria",
        "EG": "Arab Republic of Egypt",
        "ER": "State of Eritrea",
        "ET": "Federal Democratic Republic of Ethiopia",
        "FK": "Falkland Islands (Malvinas)|Malvinas",
        "FM": "Federated States of Micronesia|Micronesia, Federated States of",
        "FR": "French Republic",
        "GA": "Gabonese Republic",
        "GB": "UK|U.K.|G.B.|Great Britain|Britain|England|Scotland|Wales|Northern Ireland"
        "|United Kingdom of Great Britain and Northern Ireland|United Kingdom of Great Britain",
        "GR": "Hellenic Republic|Hellas|Ellada",
        "HK": "Hong Kong|Hong Kong SAR|Hong Kong S.A.R.|Hongkong|HKSAR|Hong Kong, China|China, Hong Kong",
        "IE": "Republic of Ireland|Eire|Irish Republic",
        "IL": "State of Israel",
        "IN": "Bharat",
        "IR": "Islamic Republic of Iran|Iran, Islamic Republic of|Iran, Islamic Rep.",
        "IT": "Italian Republic",
        "JO": "Hashemite Kingdom of Jordan",
        "JP": "Nippon|Nihon",
        "KG": "Kyrgyz Republic",
        "KM": "Union of the Comoros",
        "KN": "Saint Kitts and Nevis",
        "KP": "Korea, Democratic People's Republic of|Korea, the Democratic People's Republic of|DPRK|D.P.R.K."
        "|Democratic People's Republic of Korea",
        "KR": "Korea|Korea, Republic of|Republic of Korea|Korea, Rep.|Korea (South)|Korea, South|R.O.K.|S. Korea",
        "KW": "State of Kuwait",
        "LA": "Lao People's Democratic Republic|Lao PDR",
        "LB": "Lebanese Republic",
        "LC": "Saint Lucia",
        "LK": "Ceylon|Democratic Socialist Republic of Sri Lanka",
        "LU": "Grand Duchy of Luxembourg",
        "LY": "Libyan Arab Jamahiriya|State of Libya",
        "MD": "Republic of Moldova|Moldova, Republic of|Moldavia",
        "MF": "Saint Martin|Saint Martin (French part)",
        "MK": "Macedonia|Macedonia (FYROM)|FYROM|FYR Macedonia|Republic of North Macedonia"
        "|Macedonia, the Former Yugoslav Republic of|The Former Yugoslav Republic of Macedonia",
        "MM": "Burma|Myanmar|Republic of the Union of Myanmar",
        "MO": "Macau|Macao|Macao SAR|Macau SAR|Macau S.A.R.",
        "MX": "United Mexican States",
        "NL": "Holland|The Netherlands|Netherlands, The|Kingdom of the Netherlands",
        "NP": "Federal Democratic Republic of Nepal",
        "PG": "Independent State of Papua New Guinea",
        "PH": "Philippine Islands",
        "PL": "Republic of Poland",
        "PM": "Saint Pierre and Miquelon",
        "PS": "Palestine|State of Palestine|Palestine, State of|Palestinian Territory|Palestinian Territory, Occupied",
        "PT": "Portuguese Republic",
        "QA": "State of Qatar",
        "RE": "Reunion Island",
        "RU": "Russian Federation|Russian Fed.|Rossiya|Rossija",
        "SA": "KSA|K.S.A.|Kingdom of Saudi Arabia",
        "SH": "Saint Helena, Ascension and Tristan da Cunha|Saint Helena",
        "SK": "Slovak Republic|Slovak Rep.|Slovenská republika",
        "ST": "Democratic Republic of Sao Tome and Principe",
        "SX": "Sint Maarten (Dutch part)|St. Maarten",
        "SY": "Syrian Arab Republic",
        "SZ": "Swaziland|Eswatini",
        "TG": "Togolese Republic",
        "TL": "East Timor|Timor Leste|Democratic Republic of Timor-Leste",
        "TR": "Turkiye|Türkiye|Republic of Turkey|Republic of Türkiye|Türkiye Cumhuriyeti|Turkey",
        "TT": "Trinidad|Trinidad and Tobago",
        "TW": "Republic of China|Taiwan, Province of China|Taiwan, Republic of China|Taiwan, R.O.C.|Chinese Taipei",
        "TZ": "United Republic of Tanzania|Tanzania, United Republic of",
        "UA": "Ukraina",
        "US": "USA|U.S.A.|U.S.|United States of America|The United States of America|America|Estados Unidos de America"
        "|EEUU|EE.UU.|EE. UU.|E.U.A.|EUA|Vereinigte Staaten von Amerika|Etats-Unis d'Amerique|Stati Uniti d'America",
        "UY": "Eastern Republic of Uruguay",
        "VA": "Holy See|Holy See (Vatican City State)|Vatican|Vatican City State",
        "VC": "Saint Vincent and the Grenadines|St. Vincent",
        "VE": "Bolivarian Republic of Venezuela|Venezuela, Bolivarian Republic of",
        "VG": "Virgin Islands, British",
        "VI": "Virgin Islands, U.S.|United States Virgin Islands|US Virgin Islands|Virgin Islands of the United States",
        "VN": "Viet Nam|Socialist Republic of Vietnam",
        "WS": "Independent State of Samoa",
        "ZA": "Republic of South Africa|RSA|R.S.A.",
    }
)

_CODE = re.compile("[A-Za-z]{2,3}")
# "State of" is not included: the state of Georgia is no country.
_FORMAL = re.compile(
    "(?:(?:federal |federative |islamic |united )?republic|kingdom|principality|commonwealth|sultanate) of"
    " (?:the )?(.+)"
    "|(.+) (?:republic|kingdom) of"
)
_PARTS = re.compile(r"[()\[\]/|:;,\n]+| *- *| +[\u2013\u2014] +")
_CALLING_CODE = re.compile(r"(?:\+|00) *([1-9][0-9]{0,2})")  # without a sign it might be ISO 3166-1's numeric code
_FLAG_A: Final = 0x1F1E6
_FLAGS: Final = {_FLAG_A + place: chr(ord("A") + place) for place in range(26)}
_LONGEST: Final = 120


def fold_name(name: str) -> str:
    """Returns a name for comparison with other names: without case, accents, punctuation and a leading "the"."""
    decomposed = unicodedata.normalize("NFKD", name.casefold())
    letters = "".join(
        letter if letter.isalnum() else " " for letter in decomposed if unicodedata.category(letter) != "Mn"
    )
    return " ".join(letters.replace(" and ", " ").split()).removeprefix("the ")


def find_country(written: str) -> str | None:
    """Returns the ISO 3166-1 alpha-2 code of a country; `None` if the text names no country, or two.

    Two letters are first taken for alpha-2, and three for alpha-3: `CA` is Canada, `IN` India, `GE` Georgia. A code
    next to a name (`ES - Spain`, `Spain (ES)`) must agree with it.

    Args:
        written: a code, a name in one of many languages, a usual short form such as `UK`, a flag, or a calling code
            with its sign (`+34`, `0034`) that belongs to a single region.

    Source: ISO 3166-1; the names are from Unicode's CLDR.
    """
    return None if len(written) > _LONGEST else _found(written)


@lru_cache(maxsize=1_000)
def _found(written: str) -> str | None:
    text = without_guards(unicodedata.normalize("NFKC", written.translate(_FLAGS)).strip(BLANKS))
    whole = _named(text)
    if whole is not None:
        return whole
    found = {_named(part) for part in _PARTS.split(text) if part.strip(BLANKS)}
    return found.pop() if len(found) == 1 else None


def _named(text: str) -> str | None:
    text = text.strip(BLANKS)
    if called := _CALLING_CODE.fullmatch(text):
        return REGIONS.get(called[1])
    codes, names = _table()
    if _CODE.fullmatch(text) and text.upper() in codes:
        return codes[text.upper()]
    name = fold_name(text)
    formal = None if name in names else _FORMAL.fullmatch(name)
    return names.get(formal[1] or formal[2] if formal else name)


@cache
def _table() -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Returns the countries by their codes, and by their folded names."""
    codes: dict[str, str] = {}
    names: dict[str, str] = {}
    for line in (get_data(__package__, "countries.txt") or b"").decode().splitlines():
        if line.startswith("#"):
            continue
        alpha_2, alpha_3, called = line.split(" ", 2)
        codes.update(dict.fromkeys((alpha_2, *alpha_3.split(",")), alpha_2))
        names.update((fold_name(name), alpha_2) for name in called.split("|"))
    for alpha_2, called in SHORT_FORMS.items():
        names.update((fold_name(name), alpha_2) for name in called.split("|"))
    return codes, names
