"""Countries as people and CRMs write them: codes, names in many languages, and usual short forms."""

import re
import unicodedata
from collections.abc import Mapping
from functools import cache, lru_cache
from pkgutil import get_data
from types import MappingProxyType
from typing import Final

from criteo_audiences.identifiers.calling_codes import REGIONS
from criteo_audiences.identifiers.characters import BLANKS, without_guards

# What CLDR's names lack: ISO 3166-1's own order of words, older names, parts that are called countries, abbreviations.
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
# "State of" is not among them: the state of Georgia is none.
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
    """Returns a name's letters as names are compared: without case, accents, punctuation and a leading "the"."""
    decomposed = unicodedata.normalize("NFKD", name.casefold())
    letters = "".join(
        letter if letter.isalnum() else " " for letter in decomposed if unicodedata.category(letter) != "Mn"
    )
    return " ".join(letters.replace(" and ", " ").split()).removeprefix("the ")


def find_country(written: str) -> str | None:
    """Returns the ISO 3166-1 alpha-2 code of a country; `None` for what is none, or is two.

    Two letters are alpha-2 before anything else, and three are alpha-3: `CA` is Canada, `IN` India, `GE` Georgia.
    A code next to a name (`ES - Spain`, `Spain (ES)`) must agree with it.

    Args:
        written: a code, a name in one of many languages, a usual short form such as `UK`, a flag, or a calling code
            with its sign (`+34`, `0034`) that belongs to one region alone.

    Source: ISO 3166-1; the names are those of Unicode's CLDR.
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
