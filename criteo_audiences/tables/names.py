"""Column names: how they are compared, and which may be shown."""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Container, Iterable, Sequence
from typing import Final

from criteo_audiences.identifiers import is_hash_in_other_form, is_hashed

_MOST_SHOWN: Final = 40
_LONGEST_SHOWN: Final = 60
_MOST_DIGITS: Final = 5  # a name with more is never shown: it may be a phone number in a file without a header

_ADDRESS = re.compile(r"[^\s@]@[^\s@]")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_NUMBER = re.compile(r"\+?[\d\s()./\-]{7,}")
_DATE = re.compile(r"\d{4}[-./]?\d{2}[-./]?\d{2}|\d{2}[-./]\d{2}[-./]\d{4}")
_FEWEST_DIGITS: Final = 7


def fold(name: str) -> str:
    """Returns a name's letters and digits without case, width and accents, as names are compared."""
    decomposed = unicodedata.normalize("NFKD", name.casefold())
    return "".join(character for character in decomposed if character.isalnum())


def engine_names(names: Sequence[str]) -> list[str]:
    """Gives every column a name of its own for the engine, which knows no case.

    A name that is empty, or that several columns share, becomes `column_` and the column's position, from 1.
    """
    folded = Counter(name.lower() for name in names)
    given = [name if name and folded[name.lower()] == 1 else None for name in names]
    taken = {name.lower() for name in given if name}
    return [name or _by_position(position, taken) for position, name in enumerate(given, start=1)]


def _by_position(position: int, taken: Container[str]) -> str:
    """Returns the name of a column that has none of its own; with a sign at its end where another is called so."""
    name = f"column_{position}"
    while name in taken:
        name += "_"
    return name


def looks_like_data(name: str) -> bool:
    """Whether a name is an address, a digest, a device's id or a phone number, and so a row's cell."""
    if _ADDRESS.search(name) or is_hashed(name) or is_hash_in_other_form(name) or _UUID.fullmatch(name):
        return True
    digits = sum(map(str.isdigit, name))
    return digits >= _FEWEST_DIGITS and bool(_NUMBER.fullmatch(name)) and not _DATE.fullmatch(name)


def shown(name: str) -> str:
    """Returns a name for a message; what may be a person's datum is masked."""
    return repr(_bounded(name))


def written(name: str, quote: str = '"') -> str:
    """Returns a name for a message as it is written in SQL, or a text; what may be a person's datum is masked."""
    printable = "".join(letter if letter.isprintable() else "\ufffd" for letter in _bounded(name))
    return f"{quote}{printable.replace(quote, quote * 2)}{quote}"


def _bounded(name: str) -> str:
    if looks_like_data(name) or sum(map(str.isdigit, name)) > _MOST_DIGITS:
        return "…"
    return name if len(name) <= _LONGEST_SHOWN else name[:_LONGEST_SHOWN] + "…"


def listed(names: Iterable[str], show: Callable[[str], str] = shown) -> str:
    """Returns names for a message, at most forty of them."""
    texts = [show(name) for name in names]
    return ", ".join(texts[:_MOST_SHOWN]) + (", …" if len(texts) > _MOST_SHOWN else "")
