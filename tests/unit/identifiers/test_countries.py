import phonenumbers
from babel import Locale
from babel.languages import get_official_languages
from babel.localedata import locale_identifiers
from hypothesis import given
from hypothesis import strategies as st

from criteo_audiences.identifiers.countries import REGIONS, SHORT_FORMS, find_country

LANGUAGES = set(locale_identifiers())
ENGLISH = Locale("en").territories


UNDERSTOOD = dict(
    [
        *(
            (written, "ES")
            for written in ("ES", "es", "ESP", "Spain", "SPAIN", " spain ", "España", "espana", "Espanya")
        ),
        *((written, "ES") for written in ("Spanien", "Espagne", "スペイン", "\U0001f1ea\U0001f1f8", "\uff25\uff33")),
        *(
            (written, "ES")
            for written in ("ES - Spain", "Spain (ES)", "es-ES", "Spain/España", "'Spain", '="ES"', "Kingdom of Spain")
        ),
        *(
            (written, "DE")
            for written in ("Deutschland", "Germany", "DEU", "Federal Republic of Germany", "Allemagne", "BRD")
        ),
        *((written, "GB") for written in ("UK", "U.K.", "GBR", "Great Britain", "England", "England, UK", "Scotland")),
        *(
            (written, "GB")
            for written in ("United Kingdom of Great Britain and Northern Ireland", "Vereinigtes Königreich")
        ),
        *(
            (written, "US")
            for written in ("USA", "U.S.A.", "us", "United States", "United States of America", "EE. UU.")
        ),
        *((written, "NL") for written in ("Holland", "The Netherlands", "Netherlands, The", "Nederland", "Pays-Bas")),
        *((written, "AE") for written in ("UAE", "U.A.E.", "United Arab Emirates")),
        *((written, "CZ") for written in ("Czech Republic", "Czechia", "Česká republika", "Česko")),
        *((written, "KR") for written in ("Korea, Republic of", "South Korea", "Republic of Korea", "대한민국")),
        *((written, "CI") for written in ("Côte d\u2019Ivoire", "Cote d'Ivoire", "Ivory Coast")),
        *((written, "CD") for written in ("Congo, the Democratic Republic of the", "COD", "Congo - Kinshasa")),
        *((written, "CH") for written in ("Schweiz", "Suisse", "Svizzera", "Switzerland")),
        ("Russian Federation", "RU"),
        ("Россия", "RU"),
        ("Viet Nam", "VN"),
        ("Türkiye", "TR"),
        ("Turkey", "TR"),
        ("Hong Kong", "HK"),
        ("Taiwan, Province of China", "TW"),
        ("Republic of China", "TW"),
        ("日本", "JP"),
        ("Ελλάδα", "GR"),
        ("भारत", "IN"),
        ("Österreich", "AT"),
        ("Oesterreich", "AT"),
        ("IN", "IN"),  # the codes of ISO 3166 come first: neither Indiana
        ("CA", "CA"),  # nor California
        ("GE", "GE"),
        ("Georgia", "GE"),
        *((written, "ES") for written in ("+34", "0034", " +34 ", "+ 34", "Spain (+34)")),
        ("Kosovo", "XK"),
    ]
)


def test_a_country_is_understood_as_exports_write_it() -> None:
    """By code, by name in English and other languages, by short form, by flag, by its calling code, and with a code beside its name."""
    assert {written: find_country(written) for written in UNDERSTOOD} == UNDERSTOOD


NOT_UNDERSTOOD = [
    *(
        "",
        " ",
        "-",
        "n/a",
        "NULL",
        "none",
        "Other",
        "Indiana",
        "California",
        "Narnia",
        "E",
        "34",
        "724",
        "+1",
        "0044",
        "+999",
        "+034",
        "34?",
        "France (+34)",
        "planted",
    ),
    *(
        "ES/FR",
        "Spain, France",
        "US-CA",
        "de-AT",
        "Germany (FR)",
        "Berlin, Germany",
        "Virgin Islands",
        "Bỉ",
        "Mỹ",
        "EU",
        "ZZ",
    ),
    *("State of Georgia", "Spain" * 100),
]


def test_what_is_no_country_or_two_is_not_understood() -> None:
    """Nothing is guessed: neither a state, a placeholder, a calling code without its sign or of several regions, nor what contradicts itself."""
    assert {written for written in NOT_UNDERSTOOD if find_country(written)} == set()


def test_every_country_with_phones_is_called_by_its_names() -> None:
    """The table has what CLDR calls it in English and in its own languages, or takes a name of two for none."""
    for country in sorted(phonenumbers.SUPPORTED_REGIONS):
        assert find_country(country) == find_country(ENGLISH[country]) == country
        for language in {*get_official_languages(country)} & LANGUAGES:
            if name := Locale.parse(language).territories.get(country):
                assert find_country(name) in {country, None}, (country, language)


def test_a_short_form_has_one_meaning() -> None:
    """None stands for two countries, and each is understood."""
    for country, forms in SHORT_FORMS.items():
        for form in forms.split("|"):
            assert find_country(form) == country, form


@given(written=st.text(max_size=200))
def test_any_text_is_a_country_or_none(written: str) -> None:
    """Nothing a cell can hold raises."""
    found = find_country(written)
    assert found is None or len(found) == 2


def test_calling_codes_of_one_region_are_those_of_libphonenumber() -> None:
    """The table is our own, so that a cell means the same with every release of the library."""
    regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE.items()
    assert {str(code): found[0] for code, found in regions if len(found) == 1 and found[0] != "001"} == REGIONS
