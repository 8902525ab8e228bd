"""JSON lines: one object a line, the columns being their keys."""

import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Final

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.tables.files.compression import Content
from criteo_audiences.tables.files.dialect import too_long
from criteo_audiences.tables.files.layout import SAMPLED_ROWS, Layout
from criteo_audiences.tables.files.scan import Scan

_BEGINS = re.compile(r'\s*(?:\{\s*["}]|\[\s*[\[{"\]])')
_EXPECTED: Final = "expected JSON lines: one object a line, without a list around them"


def begins(head: str) -> bool:
    """Tells whether a text begins as a JSON object or list does."""
    return _BEGINS.match(head) is not None


def layout(content: Content, scan: Scan, head: str) -> Layout:
    """Reads the first objects.

    Raises:
        ConfigurationError: when a line is no JSON object.
    """
    text = head if scan.whole else head[: head.rfind("\n") + 1]
    if not text:
        raise too_long(content.name)
    objects = list(itertools.islice(_objects(text, content.name), SAMPLED_ROWS))
    names = tuple(dict.fromkeys(key for each in objects for key in each))
    all_sampled = scan.whole and len(objects) < SAMPLED_ROWS
    return Layout(
        path=str(content.path),
        name=content.name,
        format="json",
        names=names,
        compression=content.compression,
        rows=len(objects) if all_sampled else scan.lines,
        recount=partial(_filled_lines, content),
        held=tuple(_held(each.get(name) for each in objects) for name in names),
        sample=tuple(tuple(_cell(each.get(name)) for name in names) for each in objects),
    )


def _filled_lines(content: Content) -> int:
    """Counts the lines that hold something; reads all of the content."""
    filled = 0
    kept = b""
    for chunk in content.chunks():
        *lines, kept = (kept + chunk).split(b"\n")
        filled += sum(map(bool, map(bytes.strip, lines)))
    return filled + bool(kept.strip())


class _Fraction(str):
    """A number with a point or an exponent, as it is written."""

    __slots__ = ()


def _objects(text: str, name: str) -> Iterator[Mapping[str, Any]]:
    if text.lstrip().startswith("["):
        raise ConfigurationError(f"{name} is one JSON list; {_EXPECTED}. 'jq -c .[]' turns it into them.")
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            # Numbers stay the text that they are.
            parsed = json.loads(line, parse_int=str, parse_float=_Fraction, parse_constant=_Fraction)
        except (ValueError, RecursionError):
            parsed = None
        if not isinstance(parsed, dict):
            raise ConfigurationError(f"Line {number:,} of {name} is no JSON object; {_EXPECTED}.")
        yield parsed


def _held(values: Iterable[object]) -> str:
    """Returns what a column holds that is neither text nor a whole number; the worst where there are several."""
    kinds = {type(value) for value in values}
    return next((word for kind, word in _NO_IDENTIFIERS.items() if kind in kinds), "")


def _cell(value: object) -> str | None:
    """Returns a value as text; what is nested holds no identifier."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else None


_NO_IDENTIFIERS: Final = {list: "lists", dict: "structures", _Fraction: "fractions"}
