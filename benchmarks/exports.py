"""What is uploaded: addresses as a CRM spells them, in a file or made as they are read."""

import csv
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from attrs import frozen

SEED = 2_026
HEADER = "customer_id,email,country,signed_up"
EMAIL = 1
REPEATED = 20  # every so manyth row repeats an address that went before
CHUNK = 10_000
FIRST = (
    "anna",
    "ben",
    "chloe",
    "david",
    "emma",
    "felix",
    "grace",
    "hugo",
    "iris",
    "jonas",
    "katarzyna",
    "louis",
    "maria",
)
LAST = (
    "andersson",
    "bianchi",
    "chen",
    "dubois",
    "evans",
    "fischer",
    "garcia",
    "hansen",
    "ivanova",
    "jones",
    "kowalski",
)
DOMAINS = ("gmail.com", "outlook.com", "gmail.com", "yahoo.co.uk", "gmail.com", "gmx.de", "mail.example.com")
COUNTRIES = ("FR", "DE", "IT", "ES", "GB", "PL", "SE", "US")


class Source(Protocol):
    """Something to upload."""

    @property
    def rows(self) -> int:
        """How many addresses it has."""

    def emails(self) -> Iterator[str]:
        """Yields the addresses."""


@frozen
class Generated:
    """Addresses that are made as they are read: no file, and nothing is kept."""

    rows: int

    def emails(self) -> Iterator[str]:
        """Yields the addresses."""
        for number in range(self.rows):
            yield f" Customer.{number}@Mail{number % 97}.Example.com"


@frozen
class Export:
    """A CSV file, and how many of its addresses differ once trimmed and lower-cased; all of them are valid."""

    path: Path
    rows: int

    @property
    def distinct(self) -> int:
        """How many identifiers the file stands for."""
        return self.rows - self.rows // REPEATED

    def emails(self) -> Iterator[str]:
        """Yields the addresses as a plain script reads them."""
        with self.path.open(encoding="utf-8", newline="") as file:
            rows = csv.reader(file)
            next(rows)
            for row in rows:
                yield row[EMAIL]


def write_export(directory: Path, rows: int) -> Export:
    """Writes an export of so many rows; the same ones every time."""
    export = Export(directory / f"crm_{rows}.csv", rows)
    seeded = random.Random(SEED)
    with export.path.open("w", encoding="utf-8", newline="") as file:
        file.write(f"{HEADER}\n")
        for start in range(0, rows, CHUNK):
            file.writelines(line(number, seeded) for number in range(start, min(start + CHUNK, rows)))
    return export


def line(number: int, seeded: random.Random) -> str:
    """Returns a row: an address of its own, or one that a row before it has, maybe spelled otherwise."""
    repeats = number % REPEATED == REPEATED - 1
    email = spelled(address(seeded.randrange(number) if repeats else number), seeded.random())
    country, day = COUNTRIES[number % len(COUNTRIES)], f"20{number % 26:02}-0{number % 9 + 1}-1{number % 10}"
    return f"{100_000_000 + number},{email},{country},{day}\n"


def address(number: int) -> str:
    """Returns the address of a row; a row that repeats another has none, so the one before it stands for it."""
    number -= number % REPEATED == REPEATED - 1
    return f"{FIRST[number % len(FIRST)]}.{LAST[number % len(LAST)]}{number}@{DOMAINS[number % len(DOMAINS)]}"


def spelled(email: str, share: float) -> str:
    """Spells an address as people do: a fifth with capitals, one in twenty with a space around it.

    Args:
        email: the address.
        share: a random number from 0 to 1.
    """
    if share < 0.15:
        return email.title()
    if share < 0.20:
        return email.upper()
    if share < 0.25:
        return f" {email}" if share < 0.22 else f"{email} "
    return email
