"""What a caller may choose of a table's reading, checked before anything is read."""

import codecs
import re
from typing import Final

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.validation import require_range

MEMORY_SIZE: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([KMGT]i?B)", re.IGNORECASE)
_MOST_THREADS: Final = 256


def skip_rows_of(value: object) -> int | None:
    """Returns how many lines to leave out before the header.

    Raises:
        ConfigurationError: when it is no number of lines.
    """
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
        raise ConfigurationError("skip_rows must be the number of lines before the header, 0 or more.")
    return value


def encoding_of(value: object) -> str | None:
    """Returns the name of a codec for text.

    Raises:
        ConfigurationError: when it is none.
    """
    if value is None:
        return None
    try:
        found = codecs.lookup(value) if isinstance(value, str) else None
        "a@b.co".encode(found.name if found else "")  # `base64` and `rot13` are codecs, too, but hold no text
    except (LookupError, ValueError):
        found = None
    if found is None:
        raise ConfigurationError(
            "encoding must be a codec that Python knows, such as 'cp1252', 'cp1251', 'gb18030', 'euc-kr' or 'utf-16'."
        )
    return found.name


def memory_limit_of(value: object) -> str | None:
    """Returns a memory limit that the engine understands.

    Raises:
        ConfigurationError: when it is no number with a unit.
    """
    if value is None:
        return None
    if not isinstance(value, str) or not MEMORY_SIZE.fullmatch(value.strip()):
        raise ConfigurationError("memory_limit must be a size such as '512MB' or '2GB'.")
    return value.strip()


def threads_of(value: object) -> int | None:
    """Returns a number of threads.

    Raises:
        ConfigurationError: when it is no whole number, or out of range.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigurationError(f"threads must be a whole number, not {type(value).__name__}.")
    require_range(value, "threads", least=1, most=_MOST_THREADS)
    return value
