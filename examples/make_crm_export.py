"""Write a made-up CRM export, as untidy as the real ones, to try an upload with.

The people are fictional: names come from Faker, every address lies in a domain reserved for documentation and tests
(``example.com``, ``example.org``, ``example.net``, ``*.example``, ``*.test``), and phone numbers come from the ranges
that regulators keep for fiction where a country has one, else from a block of zeros made up for this file.

The same seed, row count, Faker release and zlib give the same bytes on every run.

    python examples/make_crm_export.py [OUTPUT] [--rows N] [--seed N]
"""

import argparse
import csv
import gzip
import hashlib
import io
import random
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

from faker import Faker

Picked = TypeVar("Picked")

DEFAULT_OUTPUT = Path(__file__).with_name("crm_export.csv.gz")
DEFAULT_ROWS = 134_000
DEFAULT_SEED = 20_240_601
HEADER = (
    "Record ID",
    "First Name",
    "Last Name",
    "Email",
    "Phone",
    "Company",
    "City",
    "Country",
    "Notes",
    "Consent",
    "Created",
)

# What the Email cell of a row contains; the other rows contain an address in plain form.
DUPLICATE_SHARE = 0.05  # an earlier person once more, often in another case or spacing
EMPTY_SHARE = 0.03  # nothing
PLACEHOLDER_SHARE = 0.012  # a word typed because the form asked for something
MALFORMED_SHARE = 0.02  # an address that cannot receive mail as it is written
MAILTO_SHARE = 0.004  # a link copied from a web page: mailto:a@b.c
DISPLAY_NAME_SHARE = 0.004  # a recipient copied from a mail program: Name <a@b.c>
SHA256_SHARE = 0.0025  # the SHA-256 of an address, as 64 hexadecimal digits
MD5_SHARE = 0.001  # the MD5 of an address, as 32 hexadecimal digits
INTERNATIONAL_SHARE = 0.003  # an address with letters outside ASCII

# How addresses are spelled.
MIXED_CASE_SHARE = 0.15  # plain addresses with capitals
PADDED_SHARE = 0.06  # plain addresses with white space around them
DUPLICATE_RESPELLED_SHARE = 0.6  # repeated people whose address has another case or spacing
HASH_OF_EARLIER_SHARE = 0.5  # hashes of an address that an earlier row holds in plain form
HASH_UPPER_CASE_SHARE = 0.3  # hashes written with capital A to F
QUOTED_NAME_SHARE = 0.3  # recipients with the last name first: "Last, First" <a@b.c>
PLUS_TAG_SHARE = 0.01  # local parts with a tag: name+news

# The other cells.
PHONE_SHARE = 0.28  # rows with a phone number
PHONE_DAMAGED_SHARE = 0.015  # phone numbers that a spreadsheet has turned into a figure
PHONE_EXTENSION_SHARE = 0.03  # phone numbers followed by an extension
COMPANY_SHARE = 0.18  # people with a company
COMPANY_ADDRESS_SHARE = 0.6  # people with a company who use its mail domain
USUAL_SPELLING_SHARE = 0.88  # countries and private mail domains that are the usual one without a draw
CITY_SHARE = 0.3  # people with a city
NAME_MISSING_SHARE = 0.03  # people without a first name
NAME_CAPITALS_SHARE = 0.04  # people whose last name is in capitals
NOTE_SHARE = 0.05  # rows with a note
HANDWRITTEN_NOTE_SHARE = 0.7  # notes from the list below, the others being Faker sentences
OTHER_DATE_FORM_SHARE = 0.01  # dates of creation in the American form

# The pools that people are picked from.
POOL_NAMES = 1_500  # names per locale
POOL_CITIES = 120  # cities per locale
POOL_COMPANIES = 250  # companies per locale
POOL_SENTENCES = 40  # sentences for notes, in English
POOL_SKEW = 2.5  # 1 picks all members of a pool alike; more favors its head, as common names are favored in life

FIRST_RECORD_ID = 10_482_113
FIRST_CREATED = datetime(2019, 1, 7, 8, 30)  # noqa: DTZ001 - exports give local times without a zone
RECORD_GAP_SHARE = 0.02  # records before which the numbers jump, as after a deletion
CREATED_STEP_MINUTES = 36  # the longest time between two records

PADDING = (" ", "  ", "\t", "\u00a0", "\u200b")
PLACEHOLDERS = ("n/a", "N/A", "none@", "-", "unknown", "none", "null", "no email", "x", "?", "tbd", "#N/A")
CONSENTS = ("true", "false", "TRUE", "yes", "no", "")
CONSENT_WEIGHTS = (70, 15, 5, 3, 2, 5)
EXTENSIONS = (" x{}", " ext. {}", " ext {}", "#{}", " poste {}", "-{}")
NOTES = (
    "Met at the spring fair, wants a call in May",
    "Prefers mail, not phone",
    'Said "not before summer", call again',
    'Known as "Sunny" to the sales team',
    "Moved house\nNew address to follow",
    "Line 1: two orders\r\nLine 2: one return, refunded",
    "Asked for the catalog, size M, blue",
    "- call back",
    "see info@example.com",
    "Ne pas appeler le matin, préfère l'après-midi",
    "Cliente fidèle ; anniversaire à fêter",
    "Bitte nur per E-Mail, kein Anruf\nGrüße vom Messestand",
    'Interesse an "Größe 42", später nachfassen',
    "Llamar por la mañana, pregunta por la señora de la tienda",
    "Proszę o kontakt po południu, najlepiej w środę",
    "メール希望、電話は不可",
    "Προτιμά επικοινωνία με email",
    "Merged from old CRM, check spelling",
    "Unsubscribed once, came back \U0001f600",
    "Kept,by,import;with|odd\tmarks",
)
LATIN_LETTERS = {"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "ł": "l", "æ": "ae", "œ": "oe", "ø": "o"}
GREEK_LETTERS = dict(zip("αβγδεζηικλμνξοπρσςτυφω", "avgdeziiklmnxoprsstyfo", strict=True))
GREEK_PAIRS = {"\u03b8": "th", "\u03c7": "ch", "\u03c8": "ps"}  # theta, chi, psi
ADDRESS_LETTERS = str.maketrans(LATIN_LETTERS | GREEK_LETTERS | GREEK_PAIRS)


@dataclass(frozen=True, slots=True)
class Market:
    """What the customers of one country have in common.

    Attributes:
        locale: The Faker locale of the names.
        share: The share of all people, out of 100.
        countries: How the country is spelled, the usual spelling first.
        calling_code: The digits after the plus sign of an international number.
        trunk: The digit dialed before a national number, or nothing.
        phones: National numbers without the trunk digit; each ``#`` stands for any digit.
        domains: Mail domains of private people.
        international_domain: A mail domain for addresses with letters outside ASCII.
    """

    locale: str
    share: int
    countries: tuple[str, ...]
    calling_code: str
    trunk: str
    phones: tuple[str, ...]
    domains: tuple[str, ...]
    international_domain: str


MARKETS = (
    Market(
        locale="en_US",
        share=30,
        countries=("United States", "USA", "US", "U.S.A."),
        calling_code="1",
        trunk="",
        # 555-0100 to 555-0199 are kept for fiction in every area code.
        phones=("212 555 01##", "312 555 01##", "415 555 01##", "617 555 01##", "713 555 01##", "206 555 01##"),
        domains=("example.com", "mail.example.com", "inbox.example", "example.net"),
        international_domain="café.example",
    ),
    Market(
        locale="en_GB",
        share=14,
        countries=("United Kingdom", "UK", "England", "GB"),
        calling_code="44",
        trunk="0",
        # Kept for drama by Ofcom.
        phones=("20 7946 0###", "7700 900###", "113 496 0###", "161 496 0###"),
        domains=("example.com", "example.org", "post.example", "uk.example.net"),
        international_domain="naïve.example",
    ),
    Market(
        locale="fr_FR",
        share=20,
        countries=("France", "FRANCE", "FR"),
        calling_code="33",
        trunk="0",
        # Kept for fiction by Arcep.
        phones=("1 99 00 ## ##", "2 61 91 ## ##", "4 65 71 ## ##", "6 39 98 ## ##"),
        domains=("example.com", "example.net", "courrier.example", "fr.example.org"),
        international_domain="société.example",
    ),
    Market(
        locale="de_DE",
        share=14,
        countries=("Germany", "Deutschland", "DE"),
        calling_code="49",
        trunk="0",
        # Kept for fiction by the Bundesnetzagentur.
        phones=("30 23125 ###", "69 90009 ###", "40 66969 ###", "89 99998 ###"),
        domains=("example.org", "example.com", "briefe.example", "post.test"),
        international_domain="bücher.example",
    ),
    Market(
        locale="es_ES",
        share=9,
        countries=("Spain", "España", "ES"),
        calling_code="34",
        trunk="",
        # No range kept for fiction is known; a made-up block of zeros.
        phones=("555 000 ###",),
        domains=("example.com", "correo.example", "es.example.org"),
        international_domain="español.test",
    ),
    Market(
        locale="pl_PL",
        share=6,
        countries=("Poland", "Polska", "PL"),
        calling_code="48",
        trunk="",
        # No range kept for fiction is known; a made-up block of zeros.
        phones=("22 000 0# ##", "12 000 0# ##"),
        domains=("example.com", "poczta.example", "example.net"),
        international_domain="łódź.example",
    ),
    Market(
        locale="ja_JP",
        share=4,
        countries=("Japan", "日本", "JP"),
        calling_code="81",
        trunk="0",
        # No range kept for fiction is known; a made-up block of zeros.
        phones=("3 0000 ####", "6 0000 ####"),
        domains=("example.com", "mail.example.org", "yubin.test"),
        international_domain="例え.test",
    ),
    Market(
        locale="el_GR",
        share=3,
        countries=("Greece", "Ελλάδα", "GR"),
        calling_code="30",
        trunk="",
        # No range kept for fiction is known; a made-up block of zeros.
        phones=("210 000 ####", "2310 000 ###"),
        domains=("example.com", "grammata.example", "example.org"),
        international_domain="παράδειγμα.test",
    ),
)


@dataclass(frozen=True, slots=True)
class Name:
    """A name as it is written and as it stands in an address."""

    first: str
    last: str
    first_ascii: str
    last_ascii: str


@dataclass(frozen=True, slots=True)
class Pool:
    """What the people of one market are made of."""

    market: Market
    names: list[Name]
    cities: list[str]
    companies: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Person:
    """A customer, before any cell is spoiled."""

    name: Name
    pool: Pool
    address: str
    company: str
    city: str
    country: str


@dataclass(slots=True)
class Export:
    """An export in the making.

    Attributes:
        rng: The only source of chance.
        pools: One pool per market.
        sentences: Sentences for notes.
        used: Every address given to a person so far.
        people: People whose address stands in plain form in an earlier row.
        counts: Rows written, by kind.
    """

    rng: random.Random
    pools: list[Pool]
    sentences: list[str]
    used: set[str] = field(default_factory=set)
    people: list[Person] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def chance(self, share: float) -> bool:
        """Draw true in the given share of calls."""
        return self.rng.random() < share

    def count(self, kind: str) -> None:
        """Count one row of a kind."""
        self.counts[kind] += 1


def to_ascii(text: str) -> str:
    """Write a name with the letters, digits and hyphens that an address may hold."""
    letters = unicodedata.normalize("NFC", text).lower().translate(ADDRESS_LETTERS)
    # Letters that only now lose their accents, such as an accented alpha, go through the table once more.
    bare = "".join(c for c in unicodedata.normalize("NFKD", letters) if not unicodedata.combining(c))
    return re.sub(r"[^a-z0-9-]", "", bare.translate(ADDRESS_LETTERS)).strip("-")


def make_name(fake: Faker, locale: str) -> Name:
    """Make one name of a locale."""
    if locale == "ja_JP":
        first, _, first_latin = fake.first_name_pair()
        last, _, last_latin = fake.last_name_pair()
        return Name(first, last, to_ascii(first_latin), to_ascii(last_latin))
    first, last = fake.first_name(), fake.last_name()
    return Name(first, last, to_ascii(first), to_ascii(last))


def make_company(fake: Faker, number: int) -> tuple[str, str]:
    """Make one company and its mail domain; some names hold commas, quotes or line breaks."""
    name = fake.company()
    slug = "-".join(filter(None, map(to_ascii, re.split(r"[\s,]+", name))))[:24].strip("-")
    domain = f"{slug or f'kaisha{number}'}.{'test' if number % 5 == 0 else 'example'}"
    if number % 12 == 1:
        name = f'{name} "The Old Mill"'
    elif number % 12 == 2:
        name = f"{name}, Accounts"
    elif number % 40 == 3:
        name = f"{name}\nc/o Reception"
    return name, domain


def make_pool(market: Market, seed: int) -> Pool:
    """Make the names, cities and companies of one market."""
    fake = Faker(market.locale)
    fake.seed_instance(seed)
    return Pool(
        market=market,
        names=[make_name(fake, market.locale) for _ in range(POOL_NAMES)],
        cities=[fake.city() for _ in range(POOL_CITIES)],
        companies=[make_company(fake, number) for number in range(POOL_COMPANIES)],
    )


def make_sentences(seed: int) -> list[str]:
    """Make sentences for notes."""
    fake = Faker("en_US")
    fake.seed_instance(seed)
    return [fake.sentence(nb_words=8) for _ in range(POOL_SENTENCES)]


def skewed(export: Export, members: list[Picked]) -> Picked:
    """Pick a member of a pool, those at its head more often."""
    return members[int(len(members) * export.rng.random() ** POOL_SKEW)]


def mostly_first(export: Export, spellings: tuple[str, ...]) -> str:
    """Pick the usual spelling most of the time."""
    return spellings[0] if export.chance(USUAL_SPELLING_SHARE) else export.rng.choice(spellings)


def local_part(export: Export, name: Name) -> str:
    """Form the part of an address before the at sign."""
    first, last = name.first_ascii, name.last_ascii
    styles = (f"{first}.{last}", f"{first}{last}", f"{first[:1]}.{last}", f"{first}_{last}", f"{last}.{first}")
    local = export.rng.choices(styles, (55, 15, 15, 8, 7))[0]
    return f"{local}+news" if export.chance(PLUS_TAG_SHARE) else local


def unused_address(export: Export, name: Name, domain: str) -> str:
    """Form an address that no row holds yet, with a number where the plain one is taken."""
    local = local_part(export, name)
    address = f"{local}@{domain}"
    while address in export.used:
        address = f"{local}{export.rng.randrange(1, 1000)}@{domain}"
    export.used.add(address)
    return address


def make_person(export: Export) -> Person:
    """Make a person whose address no row holds yet."""
    pool = export.rng.choices(export.pools, [pool.market.share for pool in export.pools])[0]
    name = skewed(export, pool.names)
    company, domain = "", mostly_first(export, pool.market.domains)
    if export.chance(COMPANY_SHARE):
        company, company_domain = skewed(export, pool.companies)
        domain = company_domain if export.chance(COMPANY_ADDRESS_SHARE) else domain
    return Person(
        name=name,
        pool=pool,
        address=unused_address(export, name, domain),
        company=company,
        city=skewed(export, pool.cities) if export.chance(CITY_SHARE) else "",
        country=mostly_first(export, pool.market.countries),
    )


def mixed_case(export: Export, address: str) -> str:
    """Spell an address with capitals."""
    spellings = (address.title(), address.upper(), address.capitalize())
    return export.rng.choices(spellings, (6, 3, 1))[0]


def padded(export: Export, address: str) -> str:
    """Spell an address with white space before it, after it or on both sides."""
    before, after = export.rng.choice(((1, 0), (0, 1), (0, 1), (1, 1)))
    white = export.rng.choices(PADDING, (50, 15, 10, 15, 10))[0]
    return f"{white * before}{address}{white * after}"


def respelled(export: Export, address: str) -> str:
    """Spell an address in another case, another spacing or both."""
    case, spacing = export.rng.choice(((True, False), (False, True), (True, True)))
    address = mixed_case(export, address) if case else address
    return padded(export, address) if spacing else address


def plain_cell(export: Export, person: Person) -> str:
    """Write an address in plain form, as people type it."""
    export.people.append(person)
    cell = person.address
    if export.chance(MIXED_CASE_SHARE):
        export.count("plain address, mixed case")
        cell = mixed_case(export, cell)
    if export.chance(PADDED_SHARE):
        export.count("plain address, padded")
        cell = padded(export, cell)
    return cell


def placeholder_cell(export: Export, _: Person) -> str:
    """Write a word that stands for no address."""
    return export.rng.choice(PLACEHOLDERS)


def empty_cell(_: Export, __: Person) -> str:
    """Write nothing."""
    return ""


def malformed_cell(export: Export, person: Person) -> str:
    """Write an address with one fault."""
    local, _, domain = person.address.partition("@")
    host, _, ending = domain.rpartition(".")
    faults = (
        f"{local}{domain}",
        f"{local} at {domain}",
        f"{local}@@{domain}",
        f"{local}@mail@{domain}",
        f"{local}@{domain.partition('.')[0]}",
        f"{local[:2]} {local[2:]}@{domain}",
        f"{local}@ {domain}",
        f"{local}@{domain},",
        f"{local}@{domain};",
        f"{local}@{domain}.",
        f"{local}@{host},{ending}",
        f"{local}@{host}..{ending}",
        f"{local[:2]}..{local[2:]}@{domain}",
        f".{local}@{domain}",
        f"@{domain}",
        f"{local}@",
        f"{local}@{domain}; info@{domain}",
    )
    return export.rng.choice(faults)


def mailto_cell(export: Export, person: Person) -> str:
    """Write an address as a link."""
    export.people.append(person)
    return f"{export.rng.choice(('mailto:', 'mailto:', 'MAILTO:', 'mailto: '))}{person.address}"


def display_name_cell(export: Export, person: Person) -> str:
    """Write an address as a recipient."""
    export.people.append(person)
    name = f"{person.name.first} {person.name.last}"
    if export.chance(QUOTED_NAME_SHARE):
        name = f'"{person.name.last}, {person.name.first}"'
    return f"{name} <{person.address}>"


def hashed_address(export: Export, person: Person) -> str:
    """Choose the address to hash: one that an earlier row holds, or one that no row holds."""
    if export.people and export.chance(HASH_OF_EARLIER_SHARE):
        export.count("hash of an address that is also in plain form")
        return export.rng.choice(export.people).address
    return person.address


def hash_cell(export: Export, digest: str) -> str:
    """Write a hash, sometimes with capitals."""
    if export.chance(HASH_UPPER_CASE_SHARE):
        export.count("hash in upper case")
        return digest.upper()
    return digest


def sha256_cell(export: Export, person: Person) -> str:
    """Write the SHA-256 of an address."""
    return hash_cell(export, hashlib.sha256(hashed_address(export, person).encode()).hexdigest())


def md5_cell(export: Export, person: Person) -> str:
    """Write the MD5 of an address."""
    address = hashed_address(export, person).encode()
    return hash_cell(export, hashlib.md5(address, usedforsecurity=False).hexdigest())


def international_cell(export: Export, person: Person) -> str:
    """Write an address with letters outside ASCII before the at sign, after it or on both sides."""
    local, _, domain = person.address.partition("@")
    name = f"{person.name.first}.{person.name.last}".lower().replace(" ", "")
    name = name if not name.isascii() else f"{local}é"
    wide_domain = person.pool.market.international_domain
    address = export.rng.choice((f"{name}@{domain}", f"{local}@{wide_domain}", f"{name}@{wide_domain}"))
    if address in export.used:
        before, _, after = address.partition("@")
        address = f"{before}{len(export.used)}@{after}"
    export.used.add(address)
    return address


EMAIL_KINDS: tuple[tuple[str, float, Callable[[Export, Person], str]], ...] = (
    ("empty", EMPTY_SHARE, empty_cell),
    ("placeholder", PLACEHOLDER_SHARE, placeholder_cell),
    ("malformed", MALFORMED_SHARE, malformed_cell),
    ("mailto link", MAILTO_SHARE, mailto_cell),
    ("name and address", DISPLAY_NAME_SHARE, display_name_cell),
    ("SHA-256", SHA256_SHARE, sha256_cell),
    ("MD5", MD5_SHARE, md5_cell),
    ("international address", INTERNATIONAL_SHARE, international_cell),
)


def person_and_email(export: Export) -> tuple[Person, str]:
    """Choose the person of a row and write the Email cell."""
    draw = export.rng.random()
    if draw < DUPLICATE_SHARE and export.people:
        export.count("duplicate")
        person = export.rng.choice(export.people)
        if not export.chance(DUPLICATE_RESPELLED_SHARE):
            return person, person.address
        export.count("duplicate, respelled")
        return person, respelled(export, person.address)
    person = make_person(export)
    limit = DUPLICATE_SHARE
    for kind, share, cell in EMAIL_KINDS:
        if limit <= draw < limit + share:
            export.count(kind)
            return person, cell(export, person)
        limit += share
    export.count("plain address")
    return person, plain_cell(export, person)


def damaged_phone(export: Export, market: Market, national: str) -> str:
    """Write a phone number as a spreadsheet leaves it when it takes it for a figure."""
    digits = national.replace(" ", "")
    figure = f"{market.calling_code}{digits}"
    return export.rng.choice((f"{int(figure):.5E}", f"{int(figure):.5E}", digits, f"{figure}.0", f"'+{figure}"))


def spelled_phone(export: Export, market: Market, national: str) -> str:
    """Write a phone number in one of the national or international spellings."""
    code, trunk = market.calling_code, market.trunk
    area, _, rest = national.partition(" ")
    dashed = rest.replace(" ", "-")
    spellings = (
        f"{trunk}{national}",
        f"{trunk}{national}".replace(" ", ""),
        f"{trunk}{area}-{dashed}",
        f"({trunk}{area}) {dashed}",
        f"{trunk}{national}".replace(" ", "."),
        f"+{code} {national}",
        f"+{code}{national}".replace(" ", ""),
        f"+{code}-{area}-{dashed}",
        f"+{code} ({trunk or area}){area if trunk else ' '}{' ' if trunk else ''}{rest}",
        f"00{code} {national}",
        f"00{code}{national}".replace(" ", ""),
    )
    return export.rng.choices(spellings, (16, 16, 6, 8, 4, 18, 16, 3, 4, 4, 5))[0]


def phone_cell(export: Export, market: Market) -> str:
    """Write the Phone cell."""
    if not export.chance(PHONE_SHARE):
        return ""
    export.count("phone number")
    pattern = export.rng.choice(market.phones)
    national = re.sub("#", lambda _: str(export.rng.randrange(10)), pattern)
    if export.chance(PHONE_DAMAGED_SHARE):
        export.count("phone number, damaged by a spreadsheet")
        return damaged_phone(export, market, national)
    phone = spelled_phone(export, market, national)
    if export.chance(PHONE_EXTENSION_SHARE):
        export.count("phone number, with an extension")
        phone += export.rng.choice(EXTENSIONS).format(export.rng.randrange(1, 400))
    return phone


def note_cell(export: Export) -> str:
    """Write the Notes cell."""
    if not export.chance(NOTE_SHARE):
        return ""
    export.count("note")
    return export.rng.choice(NOTES if export.chance(HANDWRITTEN_NOTE_SHARE) else export.sentences)


def name_cells(export: Export, name: Name) -> tuple[str, str]:
    """Write the First Name and Last Name cells."""
    first = "" if export.chance(NAME_MISSING_SHARE) else name.first
    return first, name.last.upper() if export.chance(NAME_CAPITALS_SHARE) else name.last


def created_cell(export: Export, created: datetime) -> str:
    """Write the Created cell."""
    if export.chance(OTHER_DATE_FORM_SHARE):
        return f"{created.month}/{created.day}/{created.year}"
    return f"{created:%Y-%m-%d}"


def export_rows(export: Export, rows: int) -> Iterator[tuple[str, ...]]:
    """Make the data rows one after another, in the order of their creation."""
    record, created = FIRST_RECORD_ID, FIRST_CREATED
    for _ in range(rows):
        record += 5 if export.chance(RECORD_GAP_SHARE) else 1
        created += timedelta(minutes=export.rng.randrange(CREATED_STEP_MINUTES))
        person, email = person_and_email(export)
        yield (
            str(record),
            *name_cells(export, person.name),
            email,
            phone_cell(export, person.pool.market),
            person.company,
            person.city,
            person.country,
            note_cell(export),
            export.rng.choices(CONSENTS, CONSENT_WEIGHTS)[0],
            created_cell(export, created),
        )


def write_export(output: Path, rows: int, seed: int) -> Counter[str]:
    """Write the export as gzip-compressed CSV in UTF-8 with a byte order mark.

    Args:
        output: The file to write; an older one is replaced.
        rows: How many data rows to write below the header.
        seed: The seed of everything drawn by chance.

    Returns:
        The rows written, by kind.
    """
    export = Export(
        rng=random.Random(seed),
        pools=[make_pool(market, seed + number) for number, market in enumerate(MARKETS)],
        sentences=make_sentences(seed),
    )
    with (
        output.open("wb") as file,
        gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=file, mtime=0) as packed,
        io.TextIOWrapper(packed, encoding="utf-8-sig", newline="") as text,
    ):
        writer = csv.writer(text)
        writer.writerow(HEADER)
        writer.writerows(export_rows(export, rows))
    return export.counts


def row_count(text: str) -> int:
    """Read a count of rows from the command line.

    Args:
        text: What the user typed.

    Returns:
        The count.

    Raises:
        argparse.ArgumentTypeError: If the text is no count above zero.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above zero")
    return int(text)


def main() -> None:
    """Read the command line, write the export and print how many rows of each kind it holds."""
    parser = argparse.ArgumentParser(description="Write a made-up CRM export to try an upload with.")
    parser.add_argument("output", nargs="?", type=Path, default=DEFAULT_OUTPUT, help="default: %(default)s")
    parser.add_argument("--rows", type=row_count, default=DEFAULT_ROWS, help="data rows, default: %(default)s")
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED, help="default: %(default)s")
    options = parser.parse_args()
    counts = write_export(options.output, options.rows, options.seed)
    print(f"{options.rows:>8,}  rows in {options.output}, {options.output.stat().st_size:,} bytes")
    for kind, count in sorted(counts.items(), key=lambda item: item[0].lower()):
        print(f"{count:>8,}  {kind}")


if __name__ == "__main__":
    main()
