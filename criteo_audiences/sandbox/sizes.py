"""How many users a segment comes to: figures of our own that follow from what the server holds, and never change.

Criteo publishes neither its figures nor how it makes them.
"""

import math
import re
import zlib
from collections.abc import Mapping
from typing import Any, Final

EVERYONE: Final = 10_000_000
"""The users that there are at all."""
_USERS_PER_SQUARE_KILOMETER = 300
_USERS_PER_DAY = 1_000


def scattered(*words: str) -> int:
    """Returns some number below a million, always the same one for the same words."""
    return zlib.crc32("|".join(words).encode()) % 1_000_000


def matched(count: int, match_rate: float) -> int:
    """Returns how many of so many identifiers are users."""
    return math.floor(count * match_rate)


def in_market(settings: Mapping[str, Any]) -> int:
    """Returns the users of the country, halved by everything that narrows them."""
    narrowing = [name for name, value in settings.items() if name != "country" and value]
    return (1_000_000 + scattered(settings["country"])) >> len(narrowing)


def location(settings: Mapping[str, Any]) -> int:
    """Returns the users around all points."""
    area: int = len(settings["pointsOfInterest"]) * settings["radiusInKm"] ** 2
    return min(EVERYONE, area * _USERS_PER_SQUARE_KILOMETER)


def lookalike(settings: Mapping[str, Any]) -> int | None:
    """Returns the size that was asked for, if any was."""
    target: int | None = settings.get("targetSize")
    return None if target is None else max(0, min(EVERYONE, target))


def events(settings: Mapping[str, Any]) -> int:
    """Returns the users of so many days."""
    (days,) = re.findall("[0-9]+", settings["lookbackDays"])
    return int(days) * _USERS_PER_DAY
