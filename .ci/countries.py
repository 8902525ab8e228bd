"""Writes criteo_audiences/identifiers/countries.txt: what the countries of the world are called.

Run it with the extra `dev` installed, after a new release of CLDR: `.venv/bin/python .ci/countries.py`.
"""

import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import babel
from babel import Locale, UnknownLocaleError
from babel.core import get_global
from babel.languages import get_official_languages

from criteo_audiences.identifiers.countries import SHORT_FORMS, fold_name

WRITTEN = Path(__file__).parent.parent / "criteo_audiences" / "identifiers" / "countries.txt"
EVERYWHERE = "en en_GB de es es_MX fr it nl pt pt_PT pl sv da nb fi cs hu ro tr ru ja ko zh zh_Hant"
NO_COUNTRIES = {"EU", "EZ", "QO", "UN", "ZZ"}
SHORTEST = 4  # what is shorter could be a code: in Vietnamese Burundi's is Belgium
NOTICE = """\
# The countries of the world: alpha-2, alpha-3, then names in English, their own languages and those of most CRMs.
# Written by .ci/countries.py out of the Unicode Common Locale Data Repository, as Babel {version} has it.
# A name that means two countries is left out. Copyright 1991-2026 Unicode, Inc. SPDX-License-Identifier: Unicode-3.0.
# Permission to use, copy, modify and distribute is given on condition that this notice and that of
# https://www.unicode.org/license.txt go with the data, which is provided "as is", without warranty of any kind.
"""


def languages_of(region: str) -> Iterator[Locale]:
    """Yields the languages that a region's name is wanted in."""
    for tag in (*EVERYWHERE.split(), *get_official_languages(region, regional=True, de_facto=True)):
        try:
            yield Locale.parse(tag)
        except UnknownLocaleError:  # a language that CLDR knows no names in
            continue


def regions() -> dict[str, list[str]]:
    """Returns every country by its two letters, with its three, old ones included."""
    found: dict[str, list[str]] = {"XK": ["XKX", "XKK"]}  # Kosovo has none in ISO 3166
    for alias, replaced in get_global("territory_aliases").items():
        if re.fullmatch("[A-Z]{3}", alias) and len(replaced) == 1 and replaced[0] not in NO_COUNTRIES:
            found.setdefault(replaced[0], []).append(alias)
    return {region: sorted(codes) for region, codes in sorted(found.items()) if region in Locale("en").territories}


def names_of(region: str) -> dict[str, str]:
    """Returns a country's names by what they are compared by."""
    names: dict[str, str] = {}
    for locale in languages_of(region):
        name = locale.territories.get(region, "")
        folded = fold_name(name)
        if len(folded) >= SHORTEST or not (folded.isascii() or name.isascii()):
            names.setdefault(folded, name)
    return names


def main() -> None:
    """Writes the file."""
    codes = regions()
    names = {region: names_of(region) for region in codes}
    meanings = Counter(folded for found in names.values() for folded in found)
    english = {fold_name(Locale("en").territories[region]): region for region in codes}
    english |= {fold_name(name): region for region, several in SHORT_FORMS.items() for name in several.split("|")}
    lines = [
        f"{region} {','.join(codes[region])} "
        + "|".join(
            name
            for folded, name in found.items()
            if english.get(folded, region) == region and (meanings[folded] == 1 or folded in english)
        )
        for region, found in names.items()
    ]
    WRITTEN.write_text(NOTICE.format(version=babel.__version__) + "\n".join(lines) + "\n", encoding="utf-8")
    sys.stdout.write(f"{len(lines)} countries\n")


if __name__ == "__main__":
    main()
